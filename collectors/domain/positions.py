"""Facts about each group and partition of a window, on which verdicts rest: where it stands, since when, what came."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .losses import looks, lost_between
from .numbers import NO_COMMIT
from .ownership import Owner
from .window import Window

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


HELD_SECONDS, HELD_SAMPLES = 10.0, 3
"""A last stable offset that has not moved for so long, over so many samples, is that of a transaction that stays open:
those of healthy producers end within moments."""
MARKERS = 1
"""A reader that commits the offset behind its last record stands before the marker that ended its transaction."""
LOST_SECONDS, LOST_SAMPLES = 60.0, 3
"""A loss is said to go on for so long, or so many samples. Log starts are asked each 10 s while a group is in trouble,
and a group that came back and reads loses nothing any more, whatever it lost before."""


@dataclass(frozen=True, slots=True)
class Positions:
    """Facts about each position (n,) of a window, seen from its newest sample."""

    lag: Ints
    known: Bools  # the commit and the log end are known now, and the group has committed here
    base: Ints  # row of the last sample at which the commit moved or nothing waited; else the first
    base_is_seen: Bools  # such a sample is in the window
    waiting_seconds: NDArray[np.float64]
    passed_by_seconds: NDArray[np.float64]  # since the sample before the first that came after the base
    samples_since: Ints  # known samples after the base
    arrived_since: Ints  # records that arrived after the base
    uncommitted: Bools  # known: assigned, and no offset was ever committed
    uncommitted_seconds: NDArray[np.float64]  # since a sample first showed a record that it could have committed
    uncommitted_arrived: Ints
    rewound_from: Ints  # the commit went back from here, and has not come back to it; NO_COMMIT where it did not
    rewound_to: Ints
    lost: Ints  # records that were deleted unread in the last minute, as far as is certain
    held: Ints  # records of an open transaction that wait, where nothing before them does; else 0
    unowned_seconds: NDArray[np.float64]  # that no member has owned it; 0 where one does, or nobody can tell


def positions(window: Window, where: slice = slice(None), *, only_forward: Bools | bool = False) -> Positions:
    """Facts about the positions in `where`; the window must hold at least one sample.

    `only_forward` (n,): a step back there is no act of the group, but our knowing better (`share_positions`).
    """
    times = window.times
    count = len(range(*where.indices(len(window.layout))))
    base, samples_since, arrived_since = (np.zeros(count, dtype=np.int64) for _ in range(3))
    last_before = np.zeros(count, dtype=np.int64)
    first_waiting, arrived_since_none = (np.zeros(count, dtype=np.int64) for _ in range(2))
    was_known, base_is_seen, was_none, has_waited, has_passed = (np.zeros(count, dtype=np.bool_) for _ in range(5))
    before = np.zeros(count, dtype=np.int64)  # the last known commit
    end_at_before = np.zeros(count, dtype=np.int64)  # the log end of the same sample
    end_before = window.samples[0].end.values[where]
    back = _Steps(count)
    # A pass a sample, since 100 000 positions stay in the cache and twenty-four times as many would not. Masks are
    # multiplied with: that costs a fifth of choosing by them.
    for row, sample in enumerate(window.samples):
        committed, end = sample.committed.values[where], sample.end.values[where]
        answered = sample.committed.known[where] & sample.end.known[where]
        no_commit = committed == NO_COMMIT
        both = answered & ~no_commit & (committed <= end)  # past the end is no place in the log
        moved = was_known & (committed != before) & ~((committed < before) & only_forward)
        fine = both & (moved | (end <= committed))
        begins = fine | (both & ~was_known)  # until something is fine, the first known sample is the base
        goes_on = ~begins
        base = np.maximum(base, row * begins)
        samples_since = (samples_since + both) * goes_on
        # over the samples between, whatever an unknown end held there is added and taken away again
        arrived = end - end_before
        arrived_since = (arrived_since + arrived) * goes_on
        passed_by = goes_on & (has_passed | (both & (arrived_since > 0)))
        last_before = np.where(passed_by & has_passed, last_before, max(row - 1, 0))
        has_passed = passed_by
        went_back = both & moved & (committed < before)
        # A log that became shorter, or a topic made anew, took the commit with it, and one past the end was put right:
        # nobody rewound the group.
        back.take(went_back & (before <= end_at_before) & (end >= end_at_before), both, before, committed)
        everywhere = both.all()
        before = committed if everywhere else np.where(both, committed, before)
        end_at_before = end if everywhere else np.where(both, end, end_at_before)
        was_known |= both
        base_is_seen |= fine
        none = answered & no_commit
        if was_none.any() or none.any():
            first = none & ~was_none
            arrived_since_none = (arrived_since_none + arrived) * ~first
            begins_to_wait = none & (arrived_since_none > 0) & ~has_waited
            first_waiting = np.maximum(first_waiting, row * begins_to_wait)
            has_waited |= begins_to_wait
            was_none |= none
        end_before = end
    lag = np.maximum(end - committed, 0) * both
    return Positions(
        lag=lag,
        known=both,
        base=base,
        base_is_seen=base_is_seen,
        waiting_seconds=np.where(lag > 0, times[-1] - times[base], 0.0),
        passed_by_seconds=np.where((lag > 0) & has_passed, times[-1] - times[last_before], 0.0),
        samples_since=samples_since,
        arrived_since=arrived_since * both,
        uncommitted=none,
        uncommitted_seconds=np.where(none & has_waited, times[-1] - times[first_waiting], 0.0),
        uncommitted_arrived=arrived_since_none * none,
        rewound_from=back.high,
        rewound_to=back.low,
        lost=_lost(window, where, count),
        held=_held(window, where, count, committed) * both,
        unowned_seconds=_unowned_seconds(window, where, count),
    )


class _Steps:
    """Steps back of commits: from where, to where, until the place is reached again."""

    def __init__(self, count: int) -> None:
        self.high = np.full(count, NO_COMMIT, dtype=np.int64)
        self.low = np.full(count, NO_COMMIT, dtype=np.int64)
        self._any = False

    def take(self, went_back: Bools, both: Bools, before: Ints, committed: Ints) -> None:
        if self._any:
            over = both & (committed >= self.high)
            self.high[over] = self.low[over] = NO_COMMIT
        if went_back.any():
            self._any = True
            self.high[went_back] = np.maximum(self.high, before)[went_back]
            self.low[went_back] = committed[went_back]


def _lost(window: Window, where: slice, count: int) -> Ints:
    """(count,) records deleted unread between the newest looks at the log starts."""
    lost = np.zeros(count, dtype=np.int64)
    since = window.samples[-1].taken_at - LOST_SECONDS
    samples = list(window.samples)
    found = looks(samples)
    for first, last in pairwise(found):
        if samples[last].taken_at >= since or last >= len(samples) - LOST_SAMPLES:
            lost += lost_between(samples, first, last, where)
    return lost


def _held(window: Window, where: slice, count: int, committed: Ints) -> Ints:
    """(count,) records behind a last stable offset that stands, at positions whose commit has come to it."""
    newest = before = window.samples[-1]
    if newest.stable is None:
        return np.zeros(count, dtype=np.int64)
    stable, end = newest.stable.take(where), newest.end.take(where)
    stands = stable.known & end.known & (stable.values < end.values) & (committed >= stable.values - MARKERS)
    rows = 0
    for sample in reversed(window.samples):
        if sample.stable is None or (newest.taken_at - before.taken_at >= HELD_SECONDS and rows >= HELD_SAMPLES):
            break
        earlier = sample.stable.take(where)
        stands &= earlier.known & (earlier.values == stable.values)
        before, rows = sample, rows + 1
    if newest.taken_at - before.taken_at < HELD_SECONDS or rows < HELD_SAMPLES:
        stands[:] = False
    held: Ints = (end.values - stable.values) * stands
    return held


def _unowned_seconds(window: Window, where: slice, count: int) -> NDArray[np.float64]:
    newest = window.samples[-1].owned
    nothing = np.zeros(count, dtype=np.float64)
    if newest is None or not (unowned := newest[where] == Owner.NOBODY).any():
        return nothing
    since = np.where(unowned, window.samples[-1].taken_at, 0.0)
    run, same = unowned.copy(), newest
    for sample in reversed(window.samples):
        if sample.owned is None:
            break
        if sample.owned is not same:
            run &= sample.owned[where] == Owner.NOBODY
            same = sample.owned
        if not run.any():
            break
        since = np.where(run, sample.taken_at, since)
    return np.where(unowned, window.samples[-1].taken_at - since, 0.0)
