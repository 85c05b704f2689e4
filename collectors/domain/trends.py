"""Whether the lag of groups climbs or falls, beyond the sawtooth that commits draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .numbers import NO_COMMIT, Numbers
from .rates import rate_per_second
from .window import Sample, Window

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

TREND_SAMPLES = 9
TREND_SECONDS = 30.0
UNREAD_SHARE = 0.04
"""Of what arrived in the window this share stayed unread, or the lag does not climb (the arrivals swing)."""
BEAT_SECONDS = 5.0
"""Commits and samples of nearly the same interval beat: the lag seen drifts through all that arrives in one commit
interval (Kafka's default) without anybody falling behind. A climb of less than that is no climb."""
RUN_STEPS = 3
"""So many steps up or down in a row, and further than the beat reaches, are no sawtooth."""
RUN_DEVIATIONS = 5.0
"""And no chance: standard deviations of a Poisson count of what arrived meanwhile."""
_BEAT, _CHANCE = BEAT_SECONDS * (1 - 1e-9), RUN_DEVIATIONS**2 * (1 - 1e-9)
"""A little less, for a product that is rounded otherwise than the quotient it is compared in place of."""


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Groups (g) over the samples (k) of a window: times (k,), lag (k, g), whether all positions were known (k, g),
    records that arrived between a sample and the newest (k, g), whether a commit moved in a step (k - 1, g).

    The lag is that of a group that had stood where it went back to all the time: a step back is no pace, and what
    comes after it climbs or falls by itself.
    """

    times: NDArray[np.float64]
    lag: Ints
    whole: Bools
    arrived_since: Ints
    moved: Bools

    def arriving(self, from_row: int = 0) -> NDArray[np.float64]:
        """(g,) records per second since the first sample from `from_row` on at which all of a group was known: a part
        that is not known would make it too little."""
        known_from = from_row + np.argmax(self.whole[from_row:], axis=0)
        seconds = np.maximum(self.times[-1] - self.times[known_from], 1e-9)
        per_second: NDArray[np.float64] = self.arrived_since[known_from, np.arange(self.lag.shape[1])] / seconds
        return per_second


def curves_of(window: Window, at: Ints | None = None) -> Curves:
    """The curves of every group of a window; those of a group without positions are never whole.

    With `at` (g,): of these positions, each by itself.
    """
    count, rows = len(window.layout.owners) if at is None else len(at), len(window.samples)
    lag, arrived = (np.zeros((rows, count), dtype=np.int64) for _ in range(2))
    unknown, moved = (np.zeros((rows, count), dtype=np.bool_) for _ in range(2))
    filled = np.diff(window.layout.starts) > 0 if at is None else np.ones(count, dtype=np.bool_)
    starts = window.layout.starts[:-1][filled] if at is None else at  # reduceat needs owners that have positions
    add, any_of = (np.add.reduceat, np.logical_or.reduceat) if at is None else (_each, _each)
    taken = slice(None) if at is None else at
    end_newest = window.samples[-1].end.take(taken) if rows else None
    before: tuple[Ints, Bools, Numbers] | None = None
    for row, sample in enumerate(window.samples if len(starts) else ()):
        assert end_newest is not None
        committed, end = sample.committed.take(taken), sample.end.take(taken)
        has_commit = committed.known & (committed.values != NO_COMMIT)
        waiting = np.maximum(end.values - committed.values, 0) * (has_commit & end.known)
        lag[row, filled] = add(waiting, starts)
        answered = committed.known & end.known
        if not answered.all():
            unknown[row, filled] = any_of(~answered, starts)
        since = (end_newest.values - end.values) * (end.known & end_newest.known)
        arrived[row, filled] = add(since, starts)
        if before is not None:
            step = has_commit & before[1] & (committed.values != before[0])
            moved[row, filled] = any_of(step, starts)
            back = step & (committed.values < before[0])
            # a log that became shorter took the commit with it
            back &= ~(before[2].known & end.known & (end.values < before[2].values))
            if back.any():
                lag[:row, filled] += add((before[0] - committed.values) * back, starts)
        before = committed.values, has_commit, end
    return Curves(window.times, lag, ~unknown & filled, arrived, moved[1:])


def _each(values: NDArray[Any], starts: Ints) -> NDArray[Any]:
    """What `reduceat` makes of owners with one position each."""
    return values


def position_trends(window: Window, lag: Ints, known: Bools) -> tuple[Bools, Bools]:
    """(n,) positions whose lag climbs, and those that catch up: it falls, and is more than lies between two commits.

    `lag` and whether it is `known` (n,) are those of the newest sample.
    """
    climbs, falls = np.zeros(len(lag), dtype=np.bool_), np.zeros(len(lag), dtype=np.bool_)
    if not window.samples:
        return climbs, falls
    at = np.flatnonzero(_may_have_trend(window, lag, known))
    climbs[at], falls[at] = trends_of(curves_of(window, at))
    falling = np.flatnonzero(falls)
    ends = [sample.end.take(falling) for sample in window.samples]
    values, is_end_known = np.stack([end.values for end in ends]), np.stack([end.known for end in ends])
    arriving = rate_per_second(window.times, values, is_end_known)
    falls[falling] = arriving.known & (lag[falling] > arriving.values * BEAT_SECONDS)
    return climbs, falls


def _may_have_trend(window: Window, lag: Ints, known: Bools) -> Bools:
    """(n,) positions of which `position_trends` may tell something: mostly few, and curves are made of these alone.

    What is asked here follows from each trend that is told: between thirds, from the first and the newest sample. Where
    something was not known, or a commit went back, nothing is ruled out.
    """
    first, newest = window.samples[0], window.samples[-1]
    seconds = window.times[-1] - window.times[0]
    beat = (newest.end.values - first.end.values) * _BEAT
    is_behind = lag * seconds > beat
    change = (lag - _raw_lag(first)) * seconds
    rose, fell = _may_run(window)
    may: Bools = is_behind & ((change > beat) & (newest.committed.values != first.committed.values) | (-change > beat))
    may |= rose | (fell & is_behind)
    before = first.committed.values
    for sample in window.samples:
        if not (sample.committed.known.all() and sample.end.known.all()):
            may |= ~(sample.committed.known & sample.end.known)
        may |= sample.committed.values < before
        before = sample.committed.values
    may &= known & (lag > 0)
    return may


def _may_run(window: Window) -> tuple[Bools, Bools]:
    """(n,) positions with a run up, and down, among the newest samples, by a weaker condition than `runs` has."""
    recent, times = list(window.samples)[-TREND_SAMPLES - RUN_STEPS :], window.times[-TREND_SAMPLES - RUN_STEPS :]
    rose, fell = (np.zeros(len(window.layout), dtype=np.bool_) for _ in range(2))
    ups, downs = (np.zeros(len(window.layout), dtype=np.int8) for _ in range(2))
    lags = [_raw_lag(sample) for sample in recent]
    for last in range(1, len(recent)):
        has_moved = recent[last].committed.values != recent[last - 1].committed.values
        ups = (ups + 1) * ((lags[last] > lags[last - 1]) & has_moved)
        downs = (downs + 1) * (lags[last] < lags[last - 1])
        ran = np.flatnonzero((ups >= RUN_STEPS) | (downs >= RUN_STEPS))
        if not len(ran):
            continue
        begin = last - RUN_STEPS
        came = recent[last].end.values[ran] - recent[begin].end.values[ran]
        moved = np.abs(lags[last][ran] - lags[begin][ran]).astype(np.float64)
        far = ran[(moved * (times[last] - times[begin]) > came * _BEAT) & (moved * moved > came * _CHANCE)]
        rose[far] |= ups[far] >= RUN_STEPS
        fell[far] |= downs[far] >= RUN_STEPS
    return rose, fell


def _raw_lag(sample: Sample) -> Ints:
    """(n,) without a look at what is known; 0 where nothing was ever committed."""
    lag: Ints = (sample.end.values - sample.committed.values) * (sample.committed.values != NO_COMMIT)
    return lag


def trends_of(curves: Curves) -> tuple[Bools, Bools]:
    """Groups (by owner) whose lag climbs, and those whose lag falls; never both.

    The window is cut in thirds: climbing means that the lowest lag of the last third lies above the highest of the
    first by more than a typical step between samples. That is slow to see; a run of steps in one direction among the
    newest samples tells a rush, and its end, within three samples. The newer of the two runs counts.
    """
    if not len(curves.times):
        nothing = np.zeros(curves.lag.shape[1], dtype=np.bool_)
        return nothing, nothing
    climbs, falls = _between_thirds(curves)
    rose, fell = runs(curves)
    climbs = (climbs | (rose >= 0)) & ~(fell > rose)
    return climbs, (falls | (fell >= 0)) & ~climbs


def runs(curves: Curves) -> tuple[Ints, Ints]:
    """(g,) the row at which the newest run of RUN_STEPS steps up, and down, ended; -1 where there is none.

    Only runs within the newest TREND_SAMPLES, further than commits and samples that beat can feign, and not undone
    since. A run up needs commits in each step: who commits seldom rises just as steadily.
    """
    times, lag, whole = curves.times, curves.lag, curves.whole
    count = lag.shape[1]
    rose, fell = np.full(count, -1, dtype=np.int64), np.full(count, -1, dtype=np.int64)
    step = np.diff(lag, axis=0)
    came = curves.arrived_since[:-1] - curves.arrived_since[1:]
    for last in range(max(RUN_STEPS, len(times) - TREND_SAMPLES), len(times)):
        steps = slice(last - RUN_STEPS, last)
        known = whole[last - RUN_STEPS : last + 1].all(axis=0) & whole[-1]
        fastest = (came[steps] / np.maximum(np.diff(times)[steps, None], 1e-9)).max(axis=0)
        far = np.maximum(fastest * BEAT_SECONDS, RUN_DEVIATIONS * np.sqrt(np.maximum(came[steps].sum(axis=0), 0)))
        moved = lag[last] - lag[last - RUN_STEPS]
        up = known & (step[steps] > 0).all(axis=0) & (moved > far) & curves.moved[steps].all(axis=0)
        down = known & (step[steps] < 0).all(axis=0) & (-moved > far)
        rose[up & (lag[-1] > lag[last] - far)] = last
        fell[down & (lag[-1] < lag[last] + far)] = last
    return rose, fell


def catches_up(curves: Curves, falls: Bools) -> Bools:
    """(g,) whose lag falls and is still more than what always lies between two commits."""
    if not len(curves.times) or not falls.any():
        return np.zeros_like(falls)
    much: Bools = curves.lag[-1] > np.maximum(curves.arriving(), 0) * BEAT_SECONDS
    return falls & much


def recent_rows(times: NDArray[np.float64]) -> int:
    """The row from which on the fewest samples are that a trend can be told from; 0 when there are no more."""
    enough = int((times <= times[-1] - TREND_SECONDS).sum()) - 1
    return max(0, min(len(times) - TREND_SAMPLES, enough))


def _between_thirds(curves: Curves) -> tuple[Bools, Bools]:
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
    per_second = curves.arriving()
    arrived = per_second * (times[-1] - times[0])
    # the lag between two commits is that of the newest arrivals: a rush makes it more, and nobody falls behind by that
    late = curves.arriving(last.start)
    left_unread = _mean(lag[last], whole[last]) - _mean(lag[first], whole[first])
    # a swing of the arrivals swings the lag that lies between two commits: that is not falling behind
    # compared, not subtracted: the sentinels of groups that are not `enough` would overflow
    # a log that was cut off, or made anew, has arrivals below zero, which tolerate nothing less
    tolerated = steps + np.maximum(np.maximum(per_second, late), 0.0) * BEAT_SECONDS
    climbs = enough & (last_low > np.where(enough, first_high, 0) + tolerated)
    climbs &= left_unread > UNREAD_SHARE * arrived
    # a group that read nothing until a moment ago stood still: whether it falls behind now is not to be seen yet
    climbs &= curves.moved[: len(times) - third].any(axis=0)
    falls = enough & (last_high < np.where(enough, first_low, 0) - tolerated)
    return climbs, falls


def _mean(lag: Ints, whole: Bools) -> NDArray[np.float64]:
    """(g,) mean of the samples at which all of a group was known; 0 where there is none."""
    mean: NDArray[np.float64] = np.where(whole, lag, 0).sum(axis=0) / np.maximum(whole.sum(axis=0), 1)
    return mean
