"""Commits that a group has left behind: on topics that none of its members reads any more, while it reads others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .numbers import Column, Layout, Numbers
from .ownership import is_settled
from .topology import Group

SETTLED_SECONDS = 20.0
"""Longer than the survey's pause between two looks at the groups: two looks found nobody who reads the topic."""

Ints = NDArray[np.int64]
Pair = tuple[str, str]  # group, topic


@dataclass(slots=True)
class _Candidate:
    since: float
    commits: bytes  # as they were then


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
        self._candidates: dict[Pair, _Candidate] = {}
        self._commits: dict[Pair, bytes] = {}  # of abandoned ones, as last known
        self._looked: tuple[object, object] | None = None
        self._places: dict[Pair, Ints] = {}  # in the layout that was looked at
        self._split: _Split | None = None

    def take(self, committed: Column, groups: tuple[Group, ...], *, now: float) -> tuple[Column, Column]:
        """(commits that count, abandoned ones): both owned by groups, their positions together those of `committed`."""
        layout = committed.layout
        if self._looked is None or self._looked[0] is not groups or self._looked[1] is not layout:
            self._looked = groups, layout
            self._places.clear()
            self._look(layout, groups, now)
        self._decide(committed, now)
        if not self.pairs:
            return committed, Column.empty()
        if self._split is None or self._split.layout is not layout or self._split.pairs != self.pairs:
            self._split = _Split.of(layout, self.pairs, self._split)
        return self._split.apart(committed.numbers)

    def _look(self, layout: Layout, groups: tuple[Group, ...], now: float) -> None:
        settled = {g.name: g for g in groups if is_settled(g) and layout.owner_index(g.name) is not None}
        unread: set[Pair] = set()
        for name, group in settled.items():
            read = {topic for topic, _ in group.assigned}
            if read:
                unread |= {(name, topic) for topic in set(layout.topics[layout.slice_of(name)]) - read}
        there = {group.name for group in groups}
        self.pairs = frozenset(
            pair for pair in self.pairs if pair in unread or (pair[0] not in settled and pair[0] in there)
        )
        self._candidates = {
            pair: self._candidates.get(pair, _Candidate(now, b"")) for pair in unread if pair not in self.pairs
        }

    def _decide(self, committed: Column, now: float) -> None:
        found = set()
        for pair, candidate in self._candidates.items():
            commits = self._commits_of(pair, committed)
            if commits is None:
                continue
            if commits != candidate.commits:
                candidate.since, candidate.commits = now, commits
            elif now - candidate.since >= SETTLED_SECONDS:
                found.add(pair)
                self._commits[pair] = commits
        moved = set()
        for pair in self.pairs - found:
            commits = self._commits_of(pair, committed)
            if commits is not None and self._commits.setdefault(pair, commits) != commits:
                moved.add(pair)
        if found or moved:
            self.pairs = (self.pairs | found) - moved
            self._candidates = {pair: one for pair, one in self._candidates.items() if pair not in found}
            self._commits = {pair: commits for pair, commits in self._commits.items() if pair in self.pairs}

    def _commits_of(self, pair: Pair, committed: Column) -> bytes | None:
        """The commits of a group on a topic, to be compared; None while one of them is not known."""
        places = self._places.get(pair)
        if places is None:
            places = self._places[pair] = _positions(committed.layout, pair)
        if not len(places) or not committed.numbers.known[places].all():
            return None
        return bytes(committed.numbers.values[places].tobytes())


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
    def of(cls, layout: Layout, pairs: frozenset[Pair], before: _Split | None) -> _Split:
        is_left = np.zeros(len(layout), dtype=np.bool_)
        for pair in pairs:
            is_left[_positions(layout, pair)] = True
        kept_at, left_at = np.flatnonzero(~is_left), np.flatnonzero(is_left)
        # every group stays in what counts, though it may have nothing there
        kept, left = _part(layout, kept_at, keep_empty=True), _part(layout, left_at, keep_empty=False)
        if before is not None and before.kept.digest == kept.digest:
            kept = before.kept
        if before is not None and before.left.digest == left.digest:
            left = before.left
        return cls(layout, pairs, kept, kept_at, left, left_at)

    def apart(self, numbers: Numbers) -> tuple[Column, Column]:
        return Column(self.kept, numbers.take(self.kept_at)), Column(self.left, numbers.take(self.left_at))


def _positions(layout: Layout, pair: Pair) -> Ints:
    group, topic = pair
    if layout.owner_index(group) is None:
        return np.zeros(0, dtype=np.int64)
    where = layout.slice_of(group)
    return np.array([i for i in range(where.start, where.stop) if layout.topics[i] == topic], dtype=np.int64)


def _part(layout: Layout, at: Ints, *, keep_empty: bool) -> Layout:
    counts = np.bincount(layout.owner_of_position[at], minlength=len(layout.owners))
    stay = np.flatnonzero(counts > 0) if not keep_empty else np.arange(len(layout.owners))
    starts = np.concatenate([[0], np.cumsum(counts[stay], dtype=np.int64)]).astype(np.int64)
    return Layout(
        tuple(layout.owners[i] for i in stay.tolist()),
        starts,
        tuple(layout.topics[i] for i in at.tolist()),
        layout.partitions[at],
    )
