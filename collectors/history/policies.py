"""How long topics keep their records, as their configuration says it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from django.db.models import Count, Max
from numpy.typing import NDArray

from collectors.domain.configuration import number_of
from collectors.domain.numbers import Column, Numbers
from collectors.domain.rights import NOT_ASKED
from collectors.models import ClusterRight, Configuration, Cycle

from .cache import LeastRecent


@dataclass(frozen=True, slots=True)
class Policy:
    """Of one topic: None where it is not known."""

    seconds: float | None
    size_bytes: int | None
    deletes: bool | None
    compacts: bool | None = None


ASKED_EVERY_SECONDS = 600.0
"""How often the survey asks for them (collectors.kafka.survey.EVERY_SECONDS, which a web process does not import)."""

UNKNOWN = Policy(None, None, None)
_Version = tuple[datetime | None, int, bool]
_kept: LeastRecent[tuple[int, _Version], dict[str, Policy]] = LeastRecent(100)


def deletes_nothing(cluster_id: int, topics: tuple[str, ...]) -> NDArray[np.bool_]:
    """(n,) whether each topic is compacted and nothing else: what is gone from it was written anew under its key."""
    compacted = compacted_only(cluster_id)
    return np.array([topic in compacted for topic in topics], dtype=np.bool_)


def without_compacted(cluster_id: int, topics: tuple[str, ...], lost: Numbers) -> Numbers:
    """Records lost, per position of these topics (n,): none where the topic is only compacted."""
    if not (lost.values > 0).any():
        return lost
    return Numbers(np.where(deletes_nothing(cluster_id, topics), 0, lost.values), lost.known)


def compacted_only(cluster_id: int) -> frozenset[str]:
    """The topics from which nothing is deleted but what was written anew under its key."""
    return frozenset(name for name, one in policies_of(cluster_id).items() if one.deletes is False)


def losable(starts: Column, compacted: Collection[str]) -> Column:
    """Log starts (owned by topics) where what lies before them was deleted; not known of compacted topics."""
    layout = starts.layout
    at = [place for name in compacted if (place := layout.owner_index(name)) is not None]
    if not at:
        return starts
    known = starts.numbers.known.copy()
    for place in at:
        known[layout.starts[place] : layout.starts[place + 1]] = False
    return Column(layout, Numbers(starts.numbers.values, known))


def _version(cluster_id: int) -> _Version:
    """What changes when a topic's settings do, or whether they may still be seen; two queries."""
    rows = Configuration.objects.filter(cluster_id=cluster_id, kind=Configuration.Kind.TOPIC)
    found = rows.aggregate(newest=Max("changed_at"), count=Count("pk"))
    why = ClusterRight.objects.filter(cluster_id=cluster_id, key="topic_configs").values_list("why", flat=True).first()
    return found["newest"], int(found["count"]), bool(why) and why != NOT_ASKED


def policies_of(cluster_id: int) -> dict[str, Policy]:
    """How each topic is set, by name; nothing while this login may not see it. Two queries while nothing changes."""
    version = _version(cluster_id)
    if version[2]:
        return {}  # what was seen before the right went may not be so any more
    kept = _kept.get((cluster_id, version))
    if kept is not None:
        return kept
    rows = Configuration.objects.filter(cluster_id=cluster_id, kind=Configuration.Kind.TOPIC)
    made = {name: _policy(entries) for name, entries in rows.values_list("name", "entries").iterator()}
    return _kept.put((cluster_id, version), made)


def seconds_since_read(cluster_id: int, cycle: int) -> float | None:
    """How old the newest reading of all topics' settings was at a cycle; None where it does not say. One query."""
    ages = Cycle.objects.filter(cluster_id=cluster_id, number=cycle).values_list("ages", flat=True).first()
    age = dict(ages or {}).get("topic_configs")
    return float(age) if isinstance(age, int | float) else None


def _policy(entries: dict[str, Any]) -> Policy:
    milliseconds, size = number_of(entries, "retention.ms"), number_of(entries, "retention.bytes")
    policy = entries.get("cleanup.policy")
    words = None if policy is None or policy[0] is None else str(policy[0])
    return Policy(
        None if milliseconds is None else milliseconds / 1000,
        size,
        None if words is None else "delete" in words,
        None if words is None else "compact" in words,
    )
