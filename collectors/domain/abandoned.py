"""Commits that a group has left behind: on topics that none of its members reads any more, while it reads others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .numbers import Column, Layout, Numbers
from .ownership import is_settled
from .topology import Group

SETTLED_SECONDS = 8.0
"""Two looks at the groups, so far apart at least, found nobody who reads the topic."""

Ints = NDArray[np.int64]
Pair = tuple[str, str]  # group, topic
_NEVER_SEEN = -(2**62)


class Abandoned:
    """Which topics of which groups are abandoned, as the groups are looked at again and again.

    Members are given every partition of a topic that one of them subscribes to. So a topic of which no member holds
    any, while they hold others and nothing rebalances, is one that nobody subscribes to. Whoever commits there all the
    same (a tool, a simple consumer of the same name) is no reader that went away: the commits must not move meanwhile.
    A group without members, or one that is not described, keeps what was found before.
    """

    def __init__(self, known: Iterable[Pair] = ()) -> None:
        """`known`: what was abandoned before a restart."""
        self.pairs = frozenset(known)
        self._since: dict[Pair, float] = {}  # candidates, and since when their commits stand
        self._asked: frozenset[Pair] = frozenset()  # of these, those that another look was wanted for
        self._looked: tuple[object, object] | None = None
        self._runs: dict[Pair, slice] = {}  # where each group has commits on each topic, in the layout looked at
        self._watched: _Watched | None = None
        self._split: _Split | None = None

    def take(
        self, committed: Column, groups: tuple[Group, ...], *, looked_at: float, now: float
    ) -> tuple[Column, Column]:
        """(commits that count, abandoned ones): both owned by groups, their positions together those of `committed`.

        `looked_at`: when the groups were found to be so, unix seconds.
        """
        layout = committed.layout
        if self._looked is None or self._looked[0] is not groups or self._looked[1] is not layout:
            if self._looked is None or self._looked[1] is not layout:
                self._runs = _runs(layout)
            self._looked = groups, layout
            self._look(groups, now)
        self._decide(committed, looked_at, now)
        if not self.pairs:
            return committed, Column.empty()
        if self._split is None or self._split.layout is not layout or self._split.pairs != self.pairs:
            self._split = _Split.of(layout, self.pairs, self._runs, self._split)
        return self._split.apart(committed.numbers)

    def _look(self, groups: tuple[Group, ...], now: float) -> None:
        there = {group.name for group in groups}
        settled = {group.name: {topic for topic, _ in group.assigned} for group in groups if is_settled(group)}
        unread = {pair for pair in self._runs if (read := settled.get(pair[0])) and pair[1] not in read}
        self.pairs = frozenset(
            pair for pair in self.pairs if pair in unread or (pair[0] not in settled and pair[0] in there)
        )
        self._since = {pair: self._since.get(pair, now) for pair in unread - self.pairs}
        self._asked &= self._since.keys()

    def wants_look(self, *, looked_at: float, now: float) -> bool:
        """Whether another look at the groups would tell of some topics that nobody reads them; asked once of each."""
        waiting = {
            pair
            for pair, since in self._since.items()
            if pair not in self._asked and now - since >= SETTLED_SECONDS > looked_at - since
        }
        self._asked |= waiting
        return bool(waiting)

    def _decide(self, committed: Column, looked_at: float, now: float) -> None:
        pairs = sorted(pair for pair in {*self._since, *self.pairs} if pair in self._runs)
        if self._watched is None or self._watched.layout is not committed.layout or self._watched.pairs != pairs:
            self._watched = _Watched.of(committed, pairs, self._runs, self._watched)
        for pair, has_moved in self._watched.look(committed.numbers):
            if has_moved:
                self._since[pair] = now
                self.pairs -= {pair}
            elif pair in self._since and looked_at - self._since[pair] >= SETTLED_SECONDS:
                del self._since[pair]
                self.pairs |= {pair}


@dataclass(slots=True)
class _Watched:
    """The commits of some groups on some topics, to be compared from cycle to cycle."""

    layout: Layout
    pairs: list[Pair]
    at: Ints  # their positions, one pair after another
    starts: Ints  # where each pair begins in `at`
    before: Ints  # the commits as last known

    @classmethod
    def of(cls, committed: Column, pairs: list[Pair], runs: Mapping[Pair, slice], old: _Watched | None) -> _Watched:
        each = [np.arange(runs[pair].start, runs[pair].stop) for pair in pairs]
        at = np.concatenate(each) if each else np.zeros(0, dtype=np.int64)
        counts = np.array([len(one) for one in each], dtype=np.int64)
        starts = np.cumsum(counts) - counts
        numbers = committed.numbers
        before = np.where(numbers.known[at], numbers.values[at], _NEVER_SEEN)
        if old is not None and old.layout is committed.layout:
            seen = np.full(len(committed.layout), _NEVER_SEEN, dtype=np.int64)
            seen[old.at] = old.before
            before = np.where(seen[at] == _NEVER_SEEN, before, seen[at])
        return cls(committed.layout, pairs, at, starts, before)

    def look(self, numbers: Numbers) -> list[tuple[Pair, bool]]:
        """Whether the commits of each pair have moved; those of which some are not known are left out."""
        if not self.pairs:
            return []
        values, known = numbers.values[self.at], numbers.known[self.at]
        answered = np.logical_and.reduceat(known, self.starts)
        moved = np.logical_or.reduceat(known & (self.before != _NEVER_SEEN) & (values != self.before), self.starts)
        self.before = np.where(known, values, self.before)
        return [(self.pairs[i], bool(moved[i])) for i in np.flatnonzero(answered).tolist()]


@dataclass(frozen=True, slots=True)
class _Split:
    """A layout cut in two: positions that count, and those that are abandoned."""

    layout: Layout
    pairs: frozenset[Pair]
    kept: Layout
    kept_at: Ints
    left: Layout
    left_at: Ints

    @classmethod
    def of(cls, layout: Layout, pairs: frozenset[Pair], runs: Mapping[Pair, slice], before: _Split | None) -> _Split:
        is_left = np.zeros(len(layout), dtype=np.bool_)
        for pair in pairs:
            if pair in runs:
                is_left[runs[pair]] = True
        kept_at, left_at = np.flatnonzero(~is_left), np.flatnonzero(is_left)
        # every group stays in what counts, though it may have nothing there
        kept, left = layout.part(kept_at, keep_empty=True), layout.part(left_at)
        if before is not None and before.kept.digest == kept.digest:
            kept = before.kept
        if before is not None and before.left.digest == left.digest:
            left = before.left
        return cls(layout, pairs, kept, kept_at, left, left_at)

    def apart(self, numbers: Numbers) -> tuple[Column, Column]:
        return Column(self.kept, numbers.take(self.kept_at)), Column(self.left, numbers.take(self.left_at))


def _runs(layout: Layout) -> dict[Pair, slice]:
    """Where each group has its positions on each topic: members of a group are sorted, so that they are adjacent."""
    if not len(layout):
        return {}
    owners, topics = layout.owner_of_position, np.array(layout.topics, dtype=object)
    begins = np.flatnonzero(np.append(True, (owners[1:] != owners[:-1]) | (topics[1:] != topics[:-1])))
    ends = np.append(begins[1:], len(layout))
    return {
        (layout.owners[owners[begin]], layout.topics[begin]): slice(begin, end)
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
    }
