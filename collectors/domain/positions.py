"""Facts about each group and partition of a window, on which verdicts rest: where it stands, since when, what came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .lag import newly_lost
from .numbers import NO_COMMIT, Numbers
from .ownership import Owner
from .window import Window

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


LOST_SECONDS, LOST_SAMPLES = 60.0, 3
"""A loss is said to go on for so long, or so many samples. Log starts are asked each 12 s while a group is in trouble,
and a group that came back and reads loses nothing any more, whatever it lost before."""


@dataclass(frozen=True, slots=True)
class Positions:
    """Facts about each position (n,) of a window, seen from its newest sample."""

    lag: Ints
    known: Bools  # the commit and the log end are known now, and the group has committed here
    base: Ints  # row of the last sample at which the commit moved or nothing waited; else the first
    base_is_seen: Bools  # such a sample is in the window
    waiting_seconds: NDArray[np.float64]
    samples_since: Ints  # known samples after the base
    arrived_since: Ints  # records that arrived after the base
    uncommitted: Bools  # known: assigned, and no offset was ever committed
    uncommitted_seconds: NDArray[np.float64]
    uncommitted_arrived: Ints
    rewound_from: Ints  # the commit went back from here, and has not come back to it; NO_COMMIT where it did not
    rewound_to: Ints
    lost: Ints  # records that were deleted unread in the last minute, as far as is certain
    unowned_seconds: NDArray[np.float64]  # that no member has owned it; 0 where one does, or nobody can tell


def positions(window: Window, where: slice = slice(None), *, only_forward: Bools | bool = False) -> Positions:
    """Facts about the positions in `where`; the window must hold at least one sample.

    `only_forward` (n,): a step back there is no act of the group, but our knowing better (`share_positions`).
    """
    times = window.times
    count = len(range(*where.indices(len(window.layout))))
    base, samples_since, arrived_since = (np.zeros(count, dtype=np.int64) for _ in range(3))
    first_none, arrived_since_none = (np.zeros(count, dtype=np.int64) for _ in range(2))
    was_known, base_is_seen, was_none = (np.zeros(count, dtype=np.bool_) for _ in range(3))
    before = np.zeros(count, dtype=np.int64)  # the last known commit
    end_before = window.samples[0].end.values[where]
    end_was_known = np.zeros(count, dtype=np.bool_)
    back = _Steps(count)
    # A pass a sample, since 100 000 positions stay in the cache and twenty-four times as many would not. Masks are
    # multiplied with: that costs a fifth of choosing by them.
    for row, sample in enumerate(window.samples):
        committed, end = sample.committed.values[where], sample.end.values[where]
        answered = sample.committed.known[where] & sample.end.known[where]
        no_commit = committed == NO_COMMIT
        both = answered & ~no_commit
        moved = was_known & (committed != before) & ~((committed < before) & only_forward)
        fine = both & (moved | (end <= committed))
        begins = fine | (both & ~was_known)  # until something is fine, the first known sample is the base
        goes_on = ~begins
        base = np.maximum(base, row * begins)
        samples_since = (samples_since + both) * goes_on
        # over the samples between, whatever an unknown end held there is added and taken away again
        arrived = end - end_before
        arrived_since = (arrived_since + arrived) * goes_on
        went_back = both & moved & (committed < before)
        # a log that became shorter, or a topic made anew, took the commit with it: nobody rewound the group
        back.take(went_back & ~(end_was_known & (arrived < 0)), both, before, committed)
        before = committed if both.all() else np.where(both, committed, before)
        was_known |= both
        base_is_seen |= fine
        none = answered & no_commit
        if was_none.any() or none.any():
            first = none & ~was_none
            first_none = np.maximum(first_none, row * first)
            arrived_since_none = (arrived_since_none + arrived) * ~first
            was_none |= none
        end_before, end_was_known = end, sample.end.known[where]
    lag = np.maximum(end - committed, 0) * both
    return Positions(
        lag=lag,
        known=both,
        base=base,
        base_is_seen=base_is_seen,
        waiting_seconds=np.where(lag > 0, times[-1] - times[base], 0.0),
        samples_since=samples_since,
        arrived_since=arrived_since * both,
        uncommitted=none,
        uncommitted_seconds=np.where(none, times[-1] - times[first_none], 0.0),
        uncommitted_arrived=arrived_since_none * none,
        rewound_from=back.high,
        rewound_to=back.low,
        lost=_lost(window, where, count),
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
    previous: Numbers | None = None
    for row, sample in enumerate(window.samples):
        if sample.start is None or sample.start is previous:
            continue
        is_new = sample.taken_at >= since or row >= len(window.samples) - LOST_SAMPLES
        if previous is not None and is_new:
            step = newly_lost(sample.committed.take(where), sample.start.take(where), previous.take(where))
            lost += step.values * step.known
        previous = sample.start
    return lost


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
