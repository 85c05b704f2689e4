"""The newest samples of a cluster with all that a window in memory holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from collectors.domain.numbers import Column
from collectors.domain.window import Window
from collectors.models import Cycle, Frame
from collectors.models.moments import aware

from . import decoded, layouts, reading
from .kinds import Kind
from .policies import compacted_only, losable

_KINDS = (Kind.COMMITTED, Kind.END, Kind.START, Kind.STABLE, Kind.COMMITTED_AT)


@dataclass(frozen=True, slots=True)
class Recent:
    """One cycle: commits and log ends; log starts where they were asked anew, stable offsets where some were asked."""

    cycle: int
    taken_at: float
    committed: Column
    end: Column
    start: Column | None  # not known of topics that are only compacted: nothing is lost there
    stable: Column | None
    committed_at: Column | None = None  # where commits are read

    def into(self, window: Window) -> None:
        window.push(
            self.taken_at,
            self.committed,
            self.end,
            start=self.start,
            stable=self.stable,
            committed_at=self.committed_at,
        )


def recent_samples(cluster_id: int, since: float) -> list[Recent]:
    """Every cycle since a moment that has commits and log ends, oldest first; twelve queries at most.

    The newest half hour, or 60 cycles, is always in frames; what was compacted is left out.
    """
    cycles = reading.frame_range(cluster_id, Kind.COMMITTED, since, math.inf)
    if cycles is None:
        return []
    rows = Frame.objects.filter(cluster_id=cluster_id, segment=0, taken_at__gte=since)
    rows = rows.filter(kind__in=[kind.value for kind in _KINDS], cycle__gte=cycles[0], cycle__lte=cycles[1])
    marks = decoded.marks(rows)
    loaded = layouts.load_named({mark.layout: mark.digest for own in marks.values() for mark in own})
    found: dict[Kind, dict[int, Column]] = {}
    for kind in _KINDS:
        own = marks.get(kind, [])
        read = zip(own, decoded.columns(cluster_id, kind, own, loaded), strict=True)
        found[kind] = {mark.cycle: column for mark, column in read if column is not None}
    committed, ends, starts, stables, times = (found[kind] for kind in _KINDS)
    has_moved = any((column.numbers.values[column.numbers.known] > 0).any() for column in starts.values())
    compacted = compacted_only(cluster_id) if has_moved else frozenset()
    starts = {cycle: losable(column, compacted) for cycle, column in starts.items()}
    return [
        Recent(
            mark.cycle,
            mark.taken_at,
            committed[mark.cycle],
            ends[mark.cycle],
            starts.get(mark.cycle),
            stables.get(mark.cycle),
            times.get(mark.cycle),
        )
        for mark in marks.get(Kind.COMMITTED, [])
        if mark.cycle in committed and mark.cycle in ends
    ]


def last_before(cluster_id: int, moment: float) -> float | None:
    """When the cluster was last reached before a moment; None when it never was."""
    cycles = Cycle.objects.filter(cluster_id=cluster_id, is_reachable=True, taken_at__lt=aware(moment))
    found = cycles.order_by("-number").values_list("taken_at", flat=True).first()
    return None if found is None else found.timestamp()
