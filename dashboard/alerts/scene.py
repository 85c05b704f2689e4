"""What sentences about one cluster at one moment are made from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from collectors.domain.numbers import Numbers
from collectors.domain.window import LENGTH, Window
from collectors.history.now import ClusterNow
from collectors.history.recents import Recent
from collectors.models import Cluster

from .readings import Behind, LastEnds, Subjects, records_lost

SPELT_OUT = 100
"""Sentences of one cycle for which rows and samples are looked through; of an outage of 5 000 groups the others are
short, made from the numbers at hand."""
RecentSamples = Callable[[int, float], list[Recent]]


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence and the numbers that it was made of (plain JSON)."""

    sentence: str
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Silence:
    """How long a cluster has not been reached."""

    age_seconds: float
    interval_seconds: float
    intervals: float
    because: str = ""  # of the newest cycle that failed


@dataclass(eq=False)
class Scene:
    """All that sentences about one cluster at one moment are made from; history is read when one needs it."""

    cluster: Cluster
    at: float  # unix seconds
    now: ClusterNow | None = None
    last: LastEnds = field(default_factory=lambda: LastEnds(0))
    dead_letters: Mapping[str, str] = field(default_factory=dict)
    internal: Collection[str] = ()  # topics of Kafka itself
    before: ClusterNow | None = None  # at the cycle before
    silence: Silence | None = None
    behind: Mapping[int, Behind] | None = None  # what brokers' replicas lack; None: not known
    recent: RecentSamples | None = None
    looks: int = 0

    def looks_closer(self) -> bool:
        """Whether one more sentence may have rows and samples looked through for it."""
        self.looks += 1
        return self.looks <= SPELT_OUT

    @cached_property
    def lost(self) -> Subjects:
        """Records that each group lost since the cycle before; nothing is known of a cycle without numbers."""
        return Subjects((), Numbers.unknown(0)) if self.now is None else records_lost(self.now, self.before)

    @cached_property
    def window(self) -> Window:
        """The newest samples up to this moment, as the group page's sentence is made from."""
        window = Window()
        if self.now is None or self.recent is None:
            return window
        since = self.at - LENGTH * max(1.0, self.cluster.interval_seconds)
        for recent in self.recent(self.cluster.pk, since):
            if recent.cycle <= self.now.cycle:
                recent.into(window)
        return window
