"""What one cycle changes in the rows of its cluster, on the way to the transaction that writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .domain import topology
from .domain.words import storable
from .models import Event
from .models.moments import aware

EVENTS_OF_A_KIND_AT_ONCE = 50
"""A cluster that gets 10 000 topics in one survey is one sentence, not 10 000."""


@dataclass
class Changes:
    """What one cycle changes, written in its transaction."""

    create: list[Any] = field(default_factory=list)
    update: list[tuple[Any, tuple[str, ...]]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    members: dict[str, tuple[topology.Member, ...]] = field(default_factory=dict)  # group name -> present members
    progress: dict[str, tuple[topology.Member, ...]] = field(default_factory=dict)  # those with other targets or tasks
    log_dirs: tuple[topology.LogDir, ...] | None = None

    def note(
        self, cluster_id: int, now: float, kind: Event.Kind, subject: tuple[str, str], text: str, data: dict[str, Any]
    ) -> None:
        """An event; from the EVENTS_OF_A_KIND_AT_ONCE-th of its kind on, one stands for all."""
        same = sum(1 for event in self.events if event.kind == kind)
        if same == EVENTS_OF_A_KIND_AT_ONCE:
            text, subject, data = f"more than {same} events like this one at once: {text}", ("", ""), {}
        elif same > EVENTS_OF_A_KIND_AT_ONCE:
            return
        self.events.append(
            Event(
                cluster_id=cluster_id,
                at=aware(now),
                kind=kind,
                subject_kind=subject[0],
                subject=storable(subject[1], 500),
                text=storable(text, 5000),
                data=data,
            )
        )
