"""Lag of partitions and its sums: never negative, and unknown wherever an input is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .numbers import NO_COMMIT, Layout, Numbers


def partition_lag(committed: Numbers, end: Numbers, start: Numbers) -> Numbers:
    """Records between the committed offset and the log end, per position (aligned arrays of shape (n,)).

    lag = end - max(committed, start). Unknown where the commit or the end is unknown, where the group never committed
    (`NO_COMMIT`) and where its commit lies past the end: these are states, not a lag (`within_log`). An unknown log
    start only means that records which retention has already deleted may be counted.
    """
    floor = np.where(start.known, np.maximum(committed.values, start.values), committed.values)
    known = within_log(committed, end).known & end.known & (committed.values != NO_COMMIT)
    lag = np.where(known, np.maximum(end.values - floor, 0), 0)
    return Numbers(lag, known)


def within_log(committed: Numbers, end: Numbers) -> Numbers:
    """The commits that the log reaches (n,); one past its end is not known to be a place in it.

    The log was cut off or made anew, the offset was set there, or it is a reading between two leaders: what waits, and
    since when, cannot be told from it, and least of all that nothing does.
    """
    return Numbers(committed.values, committed.known & ~(end.known & (committed.values > end.values)))


def lost_records(committed: Numbers, start: Numbers) -> Numbers:
    """Records that were deleted before the group read them, per position (aligned arrays of shape (n,)).

    The log start lies past the commit: what is between is gone. Nothing is known of a position without a commit: where
    a group that begins there would begin is its own affair (auto.offset.reset).
    """
    known = committed.known & start.known & (committed.values != NO_COMMIT)
    return Numbers(np.where(known, np.maximum(start.values - committed.values, 0), 0), known)


def held_records(lag: Numbers, end: Numbers, stable: Numbers, at: NDArray[np.int64]) -> Numbers:
    """Of the lag, the records behind the last stable offset, per position (aligned arrays of shape (n,)).

    `stable` is of the few topics where an open transaction holds records back, `at` (n,) the place of each position
    there, -1 for one elsewhere: nothing is held there. The rest of the lag is readable.
    """
    there = at >= 0
    found = gather(stable, at)
    known = lag.known & (~there | (found.known & end.known))
    held = np.minimum(np.maximum(end.values - found.values, 0), lag.values) * (there & known)
    return Numbers(held, known)


def newly_lost(committed: Numbers, start: Numbers, start_before: Numbers) -> Numbers:
    """Of those, what was lost since an earlier look at the log start; not known without one.

    Counts only what is certain: a commit that has passed the log start may have passed it before the deletion.
    """
    lost = lost_records(committed, start)
    known = lost.known & start_before.known
    before = np.maximum(committed.values, start_before.values)
    return Numbers(np.where(known, np.maximum(start.values - before, 0), 0), known)


def sums(values: Numbers, index: NDArray[np.int64], count: int) -> Numbers:
    """Sum per owner: `index` (n,) names the owner of each value, the answer has shape (count,).

    A sum is known only if the owner has a value and all of its values are known: a part is not the whole.
    """
    # add.at keeps int64 exact where bincount's weights would go through float64
    total = np.zeros(count, dtype=values.values.dtype)
    np.add.at(total, index, np.where(values.known, values.values, 0))
    members = np.bincount(index, minlength=count)
    members_known = np.bincount(index, weights=values.known, minlength=count)
    return Numbers(total, (members > 0) & (members_known == members))


def gather(numbers: Numbers, positions: NDArray[np.int64]) -> Numbers:
    """Numbers at the given positions (m,); -1 means "not there" and gives unknown."""
    if len(numbers) == 0:
        return Numbers.unknown(len(positions))
    there = positions >= 0
    safe = np.where(there, positions, 0)
    return Numbers(numbers.values[safe], numbers.known[safe] & there)


def positions_in(source: Layout, target: Layout) -> NDArray[np.int64]:
    """For each member of `source`: the position of its (topic, partition) in `target`, a layout owned by topics.

    Shape (len(source),), -1 where the target does not hold it. Costs a Python loop: cache it per pair of layouts.
    """
    starts = {topic: target.slice_of(topic) for topic in set(source.topics) if target.owner_index(topic) is not None}
    out = np.full(len(source), -1, dtype=np.int64)
    dense = {
        topic: (s.start, s.stop - s.start)
        for topic, s in starts.items()
        if np.array_equal(target.partitions[s], np.arange(s.stop - s.start))
    }
    for i, (topic, partition) in enumerate(zip(source.topics, source.partitions.tolist(), strict=True)):
        if topic in dense:
            first, count = dense[topic]
            if partition < count:
                out[i] = first + partition
        elif topic in starts:
            out[i] = target.position.get((topic, topic, partition), -1)
    return out
