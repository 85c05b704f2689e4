"""The sentence of a group's verdict, from a window of its newest samples that this process keeps."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collectors.domain.explanations import Finding, explain
from collectors.domain.looks import Epochs
from collectors.domain.topology import GroupType
from collectors.domain.verdicts import GroupRow, Verdict
from collectors.domain.window import GAP_STEPS, LENGTH, Window
from collectors.history.recents import last_before, recent_samples
from collectors.models import Cluster

CLUSTERS_KEPT = 32
"""Windows in memory at once; the one that was not asked for longest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What `explain` needs of a group beside its offsets."""

    name: str
    type: str
    members: int | None
    verdict: Verdict
    since: float | None
    owners: Mapping[tuple[str, int], str] = field(default_factory=dict)
    lost: int | None = None  # records deleted before they were read; None: not known
    reason: str = ""  # why something is not known of it
    markers: int = 0  # of its lag, what transaction markers make
    epochs: Epochs = field(default_factory=dict)  # leader epochs of commits that do not fit their partitions
    arriving_before: float | None = None  # records a second that came before it fell behind
    standing: frozenset[tuple[str, int]] = frozenset()  # partitions that were told to stand still


@dataclass
class _Kept:
    window: Window = field(default_factory=Window)
    cycle: int = 0
    taken_at: float = 0.0


_kept: OrderedDict[int, _Kept] = OrderedDict()
_lock = threading.Lock()


def forget() -> None:
    """Drop all windows (tests, and databases that were replaced)."""
    with _lock:
        _kept.clear()


def findings(
    cluster: Cluster, subjects: Sequence[Subject], *, cycle: int, taken_at: float, now: float, is_old: bool
) -> dict[str, Finding]:
    """A finding for each group, as seen at `cycle`; `is_old`: that was too long ago to speak of now. Reads only the
    frames that came since it was last asked."""
    parts = _parts(cluster, [subject.name for subject in subjects], cycle=cycle, taken_at=taken_at)
    return {
        subject.name: explain(
            GroupRow(subject.name, _group_type(subject.type), subject.members),
            parts[subject.name],
            verdict=subject.verdict,
            now=now,
            since=subject.since,
            owners=subject.owners,
            reason=subject.reason,
            lost=subject.lost,
            markers=subject.markers,
            epochs=subject.epochs,
            arriving_before=subject.arriving_before,
            standing=subject.standing,
            is_old=is_old,
        )
        for subject in subjects
    }


def _parts(cluster: Cluster, groups: Sequence[str], *, cycle: int, taken_at: float) -> dict[str, Window]:
    """The window of each group; what came since it was last asked for is read."""
    # Under the lock, since pages and the hub ask from different threads and a push moves the arrays.
    with _lock:
        kept = _kept.setdefault(cluster.pk, _Kept())
        _kept.move_to_end(cluster.pk)
        while len(_kept) > CLUSTERS_KEPT:
            _kept.popitem(last=False)
        if kept.cycle < cycle:
            _catch_up(cluster, kept, taken_at=taken_at)
        return {group: kept.window.only(group) for group in groups}


def _catch_up(cluster: Cluster, kept: _Kept, *, taken_at: float) -> None:
    interval = max(1.0, cluster.interval_seconds)
    since = max(kept.taken_at, taken_at - LENGTH * interval)
    found = recent_samples(cluster.pk, since)
    if not kept.window.samples and found and found[0].taken_at - since > GAP_STEPS * interval:
        kept.window.missing_since = last_before(cluster.pk, found[0].taken_at)
    for recent in found:
        if recent.cycle > kept.cycle:
            recent.into(kept.window)
            kept.cycle, kept.taken_at = recent.cycle, recent.taken_at


def _group_type(text: str) -> GroupType:
    try:
        return GroupType(text)
    except ValueError:
        return GroupType.UNKNOWN
