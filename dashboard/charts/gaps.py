"""Stretches of a chart without data: where they are, and their cause in words; pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

import numpy as np
from numpy.typing import NDArray

from collectors.domain import words

from .figures import Gap

GAP_INTERVALS = 2.5
MOST = 20
"""Of more gaps than this the newest are shown with their causes; the line is broken at all of them."""


@dataclass(frozen=True, slots=True)
class Hole:
    """From the last point that is known to the next one; unix seconds."""

    since: float
    until: float
    is_open: bool = False  # it lasts to the end of the range


@dataclass(frozen=True, slots=True)
class Tried:
    """A cycle that was taken within a hole, or the one that ends it."""

    at: float
    is_reachable: bool
    skipped: int = 0
    why: str = ""  # what it could not learn


def holes(
    times: NDArray[np.float64],
    gap_before: NDArray[np.bool_],
    known: NDArray[np.bool_],
    *,
    until: float,
    interval: float,
) -> list[Hole]:
    """Where a curve of points at `times` (n,) breaks: samples are missing, or their value is not known.

    That the first point of a rate is not known yet is no hole; neither is what lies before the first sample.
    """
    if not len(times):
        return []
    broken = gap_before[1:] | ~known[1:] | ~known[:-1]
    edges = np.flatnonzero(np.diff(np.concatenate(([False], broken, [False])).astype(np.int8)))
    found = [
        Hole(float(times[first]), float(times[last]))
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        if first > 0 or last > 1 or gap_before[last]
    ]
    usual = max(interval, float(np.median(np.diff(times)))) if len(times) > 2 else interval
    if until - times[-1] > GAP_INTERVALS * usual:
        since = found.pop().since if found and found[-1].until == times[-1] and not known[-1] else float(times[-1])
        found.append(Hole(since, until, is_open=True))
    return found[-MOST:]


def explained(
    holes: Sequence[Hole],
    cycles: Sequence[Tried],
    *,
    is_paused: bool,
    interval: float = 5.0,
    recorded_since: float = 0.0,
    zone: tzinfo = UTC,
) -> list[Gap]:
    """Holes with their cause, times in `zone`.

    `cycles` are those within the holes and the ones that end them, oldest first. Of holes that ended before
    `recorded_since` no records of cycles are kept: nobody knows why.
    """

    def cause(hole: Hole) -> str:
        if hole.until < recorded_since:
            return "why is no longer on record"
        return _cause(hole, cycles, is_paused, interval)

    return [Gap(hole.since, hole.until, f"no data {_span(hole, zone)}: {cause(hole)}") for hole in holes]


def _cause(hole: Hole, cycles: Sequence[Tried], is_paused: bool, interval: float) -> str:
    within = [cycle for cycle in cycles if hole.since < cycle.at < hole.until - 0.001]
    moments = [hole.since, *(cycle.at for cycle in within), hole.until]
    silent, resumed = max((later - earlier, later) for earlier, later in itertools.pairwise(moments))
    if silent > max(0.5 * (hole.until - hole.since), GAP_INTERVALS * interval):
        # most of it passed without a cycle; what the first ones after it did not know yet is not why
        within = []
    after = next((cycle for cycle in cycles if abs(cycle.at - resumed) <= 0.001), None)
    missed = next((cycle for cycle in within if not cycle.is_reachable), None)
    if missed is not None:
        return f"cluster not reached{': ' if missed.why else ''}{missed.why}"
    if within:
        return next((cycle.why for cycle in within if cycle.why), "not every partition was known")
    if after is not None and after.skipped:
        return f"{words.counted(after.skipped, 'cycle')} skipped, the one before took longer than the interval"
    if hole.is_open and resumed == hole.until:
        return "sampling is paused" if is_paused else "no cycle has come since"
    return "the collector did not run"


def _span(hole: Hole, zone: tzinfo) -> str:
    start, end = (datetime.fromtimestamp(at, zone) for at in (hole.since, hole.until))
    if hole.is_open:
        return f"since {start:%H:%M:%S}"
    style = "%H:%M:%S" if start.date() == end.date() else "%b %d %H:%M"
    return f"{start:{style}} to {end:{style}}"
