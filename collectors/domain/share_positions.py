"""Where share groups stand in a log, made from the lag that brokers count for them.

A share group acknowledges records in any order, so it has no committed offset. Its position here is the log end less
the broker's lag: where it would stand had it read in order. The records below it that still wait are as many as those
past it that are done, so that its lag is right, and a log start past it means that at least so many were lost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .lag import gather, positions_in
from .numbers import Column, Layout, Numbers

Ints = NDArray[np.int64]


def stands_at(lag: Numbers, after: Numbers, before: Numbers, last: Numbers) -> Numbers:
    """Positions (n,) from the lag (n,) that was counted between two looks at the log ends, `before` and `after`.

    The broker counted from an end between these two, so that the position lies between `before` and `after` less the
    lag. The one of the cycle before, `last`, stays where it lies there too: else what arrives while we ask would look
    like reading. Otherwise it is the log end of this cycle less the lag, and the lag of the stored cycle is the
    broker's own, also where that was counted an interval ago; where the position stays, lag is overstated by what
    arrived in between, as that of commits is.

    Not known where the lag or the log end is not, and where the lag is more than the log ever held (a topic made anew).
    In a log that never held a record nothing waits, whatever the broker knows.
    """
    at = after.values - lag.values
    known = lag.known & after.known & (at >= 0)
    stays = last.known & before.known & (last.values <= at) & (last.values >= before.values - lag.values)
    position = np.where(stays, last.values, at)
    is_empty = after.known & (after.values == 0)
    return Numbers(np.where(known, position, 0), known | is_empty)


class SharePositions:
    """Puts the positions of share groups beside the commits of the other groups; the layout is the same object while
    both memberships are. For one thread."""

    def __init__(self) -> None:
        self._key: tuple[Layout, Layout] | None = None
        self._layout = Layout.build({})
        self._source: Ints = np.zeros(0, dtype=np.int64)  # of each position: in the commits, or behind them
        self._after: tuple[Layout, Layout, Ints] | None = None
        self._before: tuple[Layout, Layout, Ints] | None = None
        self._last: Column = Column.empty()
        self._topics: tuple[Layout, Layout, Layout] | None = None

    def topics(self, ends: Layout) -> Layout:
        """The part of a layout of log ends that the share groups read, as last seen: what to look at before asking."""
        shares = self._last.layout
        if self._topics is None or self._topics[0] is not ends or self._topics[1] is not shares:
            read = set(shares.topics)
            part = {t: ends.partitions[ends.slice_of(t)].tolist() for t in ends.owners if t in read}
            self._topics = ends, shares, Layout.of_topics(part)
        return self._topics[2]

    def add_to(self, committed: Column, lag: Column, before: Column, after: Column) -> Column:
        """The commits and, in the same column, the positions of share groups.

        `lag` is of share groups, none of which is in `committed`; `before` and `after` are log ends from before and
        after it was asked. Its layout decides which positions there are: those whose lag is not known stay, not known.
        Without a share group in it, where they stood is forgotten.
        """
        if not lag.layout.owners:
            self._last = Column.empty()
            return committed
        self._after, there = _places(self._after, lag.layout, after.layout)
        self._before, earlier = _places(self._before, lag.layout, before.layout)
        last = gather(self._last.numbers, lag.layout.places_in(self._last.layout))
        found = stands_at(lag.numbers, gather(after.numbers, there), gather(before.numbers, earlier), last)
        # what is not known in one cycle is compared with the last that was
        kept = Numbers(np.where(found.known, found.values, last.values), found.known | last.known)
        self._last = Column(lag.layout, kept)
        if self._key is None or self._key[0] is not committed.layout or self._key[1] is not lag.layout:
            self._join(committed.layout, lag.layout)
        values = np.concatenate([committed.numbers.values, found.values])[self._source]
        known = np.concatenate([committed.numbers.known, found.known])[self._source]
        return Column(self._layout, Numbers(values, known))

    def _join(self, commits: Layout, shares: Layout) -> None:
        """The layout of both, its owners sorted as `Layout.build` makes them, and where each position comes from."""
        runs = sorted(
            (owner, int(layout.starts[i]), int(layout.starts[i + 1]), layout is shares)
            for layout in (commits, shares)
            for i, owner in enumerate(layout.owners)
        )
        topics: list[str] = []
        starts = [0]
        source = [np.zeros(0, dtype=np.int64)]
        partitions = [np.zeros(0, dtype=np.int32)]
        for _, first, after, is_share in runs:
            own = shares if is_share else commits
            topics += own.topics[first:after]
            starts.append(len(topics))
            source.append(np.arange(first, after) + (len(commits) if is_share else 0))
            partitions.append(own.partitions[first:after])
        owners = tuple(owner for owner, *_ in runs)
        made = Layout(owners, np.array(starts, dtype=np.int64), tuple(topics), np.concatenate(partitions))
        if made.digest != self._layout.digest:
            self._layout = made
        self._source = np.concatenate(source)
        self._key = commits, shares


def _places(
    kept: tuple[Layout, Layout, Ints] | None, source: Layout, target: Layout
) -> tuple[tuple[Layout, Layout, Ints], Ints]:
    """Where the positions of one layout are in another, found anew only when one of them is another object."""
    if kept is None or kept[0] is not source or kept[1] is not target:
        kept = source, target, positions_in(source, target)
    return kept, kept[2]
