"""Whether the lag of groups climbs or falls, beyond the sawtooth that commits draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .numbers import NO_COMMIT
from .window import Window

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

TREND_SAMPLES = 9
TREND_SECONDS = 30.0
UNREAD_SHARE = 0.04
"""Of what arrived in the window this share stayed unread, or the lag does not climb (the arrivals swing)."""
SURGE_SHARE = 0.2
"""The same over the newest TREND_SAMPLES alone: seen within half a minute, so it has to be far beyond chance."""
BEAT_SECONDS = 5.0
"""Commits and samples of nearly the same interval beat: the lag seen drifts through all that arrives in one commit
interval (Kafka's default) without anybody falling behind. A climb of less than that is no climb."""
TURN_STEPS = 3
"""So many steps down in a row, and further than the beat reaches, are no sawtooth."""


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Groups (g) over the samples (k) of a window: times (k,), lag (k, g), whether all positions were known (k, g),
    records that arrived between a sample and the newest (k, g), whether a commit moved in a step (k - 1, g)."""

    times: NDArray[np.float64]
    lag: Ints
    whole: Bools
    arrived_since: Ints
    moved: Bools

    def newest(self, first: int) -> Curves:
        return Curves(
            self.times[first:], self.lag[first:], self.whole[first:], self.arrived_since[first:], self.moved[first:]
        )


def curves_of(window: Window) -> Curves:
    """The curves of every group of a window; those of a group without positions are never whole."""
    count, rows = len(window.layout.owners), len(window.samples)
    lag, unknown, arrived, moved = (np.zeros((rows, count), dtype=np.int64) for _ in range(4))
    filled = np.diff(window.layout.starts) > 0
    starts = window.layout.starts[:-1][filled]  # reduceat needs owners that have positions
    newest = window.samples[-1].end if rows else None
    before: tuple[Ints, Bools] | None = None
    for row, sample in enumerate(window.samples if len(starts) else ()):
        assert newest is not None
        committed, end = sample.committed, sample.end
        has_commit = committed.known & (committed.values != NO_COMMIT)
        waiting = np.maximum(end.values - committed.values, 0) * (has_commit & end.known)
        lag[row, filled] = np.add.reduceat(waiting, starts)
        answered = committed.known & end.known
        if not answered.all():
            unknown[row, filled] = np.add.reduceat((~answered).astype(np.int64), starts)
        since = (newest.values - end.values) * (end.known & newest.known)
        arrived[row, filled] = np.add.reduceat(since, starts)
        if before is not None:
            step = has_commit & before[1] & (committed.values != before[0])
            moved[row, filled] = np.logical_or.reduceat(step, starts)
        before = committed.values, has_commit
    return Curves(window.times, lag, (unknown == 0) & filled, arrived, moved[1:] > 0)


def trends(window: Window) -> tuple[Bools, Bools]:
    """Groups (by owner) whose lag climbs, and those whose lag falls; never both.

    A window is cut in thirds: climbing means that the lowest lag of the last third lies above the highest of the
    first by more than a typical step between samples. It is looked at as a whole, and its newest samples alone, which
    tell a sudden rise early. A lag that has come down for some steps in a row is no longer climbing.
    """
    if not window.samples:
        nothing = np.zeros(len(window.layout.owners), dtype=np.bool_)
        return nothing, nothing
    curves = curves_of(window)
    climbs, falls = _between_thirds(curves, UNREAD_SHARE)
    recent = curves.newest(recent_rows(curves.times))
    surges, sinks = _between_thirds(recent, SURGE_SHARE)
    turned = has_turned(curves)
    climbs = (climbs | surges) & ~turned & ~sinks
    return climbs, (falls | sinks | turned) & ~climbs


def has_turned(curves: Curves) -> Bools:
    """(g,) whether the lag came down in each of the newest TURN_STEPS steps, by more than commits and samples that
    beat can feign. Catching up is seen so within three samples."""
    if len(curves.times) <= TURN_STEPS:
        return np.zeros(curves.lag.shape[1], dtype=np.bool_)
    newest = curves.newest(len(curves.times) - TURN_STEPS - 1)
    seconds = newest.times[-1] - newest.times[0]
    fallen = newest.lag[0] - newest.lag[-1]
    beyond = fallen > newest.arrived_since[0] * BEAT_SECONDS / max(seconds, 1e-9)
    down: Bools = newest.whole.all(axis=0) & (np.diff(newest.lag, axis=0) < 0).all(axis=0) & beyond
    return down


def recent_rows(times: NDArray[np.float64]) -> int:
    """The row from which on the fewest samples are that a trend can be told from; 0 when there are no more."""
    enough = int((times <= times[-1] - TREND_SECONDS).sum()) - 1
    return max(0, min(len(times) - TREND_SAMPLES, enough))


def _between_thirds(curves: Curves, unread_share: float) -> tuple[Bools, Bools]:
    times, lag, whole = curves.times, curves.lag, curves.whole
    count = lag.shape[1]
    nothing = np.zeros(count, dtype=np.bool_)
    if len(times) < TREND_SAMPLES or times[-1] - times[0] < TREND_SECONDS or count == 0:
        return nothing, nothing
    third = len(times) // 3
    first, last = slice(0, third), slice(len(times) - third, len(times))
    high, low = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    enough = (whole[first].sum(axis=0) * 2 >= third) & (whole[last].sum(axis=0) * 2 >= third) & whole[-1]
    first_low = np.where(whole[first], lag[first], high).min(axis=0)
    first_high = np.where(whole[first], lag[first], low).max(axis=0)
    last_low = np.where(whole[last], lag[last], high).min(axis=0)
    last_high = np.where(whole[last], lag[last], low).max(axis=0)
    step_known = whole[1:] & whole[:-1]
    steps = np.where(step_known, np.abs(np.diff(lag, axis=0)), 0).sum(axis=0) / np.maximum(step_known.sum(axis=0), 1)
    # a swing of the arrivals swings the lag that lies between two commits: that is not falling behind
    arrived = curves.arrived_since[0]
    left_unread = lag[last].mean(axis=0) - lag[first].mean(axis=0)
    # compared, not subtracted: the sentinels of groups that are not `enough` would overflow
    tolerated = steps + arrived * BEAT_SECONDS / (times[-1] - times[0])
    climbs = enough & (last_low > np.where(enough, first_high, 0) + tolerated) & (left_unread > unread_share * arrived)
    # a group that read nothing until a moment ago stood still: whether it falls behind now is not to be seen yet
    climbs &= curves.moved[: len(times) - third].any(axis=0)
    falls = enough & (last_high < np.where(enough, first_low, 0) - tolerated)
    return climbs, falls
