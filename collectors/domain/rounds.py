"""What the rounds of a reader tell that commits more seldom than a window is long (Flink's checkpoints).

A window of two minutes holds less than one of its pauses: all its partitions stand, and its lag climbs, until it
commits again. So what it left unread is kept of its last rounds: commits that come one after another, and then none for
long.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .lag import gather
from .numbers import NO_COMMIT, Layout, Numbers
from .positions import MARKERS
from .simple_consumers import SIMPLE_PAUSES, Habit
from .trends import RUN_STEPS, Curves, runs
from .window import LENGTH, Window

Bools = NDArray[np.bool_]

KEPT_ROUNDS = 6
"""A trend is three steps, and is told until two more have not gone on with it."""
BACKLOG_SHARE = 1.1
"""Who has read all when a round begins leaves unread what comes until its commits are seen, be that a moment or nearly
the whole pause: a checkpoint takes its time, and another the next. More than so many times what came in the pause
before is left by who reads too little; the part beyond one is for what comes between a commit and its sample."""
MISSED_ROUNDS = 2
"""Who has missed so many stands still. One is none: what came while a round began is committed with the next."""


@dataclass(frozen=True, slots=True)
class Round:
    """Where a group stood, by position (n,) of its own, when the last commits of a round were seen."""

    began_at: float  # unix seconds of the sample with the first of them
    taken_at: float  # and of that with the last
    committed: Numbers
    end: Numbers

    @property
    def known(self) -> Bools:
        return self.committed.known & self.end.known

    @property
    def unread(self) -> Numbers:
        """(1 + n,) records of all positions together, where all are known, and of each that has a commit."""
        has_commit = self.known & (self.committed.values != NO_COMMIT)
        lag = np.maximum(self.end.values - self.committed.values, 0) * has_commit
        return Numbers(np.concatenate(([lag.sum()], lag)), np.concatenate(([self.known.all()], has_commit)))

    def filled(self, committed: Numbers, end: Numbers) -> Round:
        """What was not answered, as it was seen a sample later."""
        return replace(self, committed=_or(self.committed, committed), end=_or(self.end, end))

    def at(self, places: NDArray[np.int64]) -> Round:
        return replace(self, committed=gather(self.committed, places), end=gather(self.end, places))

    def later(self, seconds: float) -> Round:
        return replace(self, began_at=self.began_at + seconds, taken_at=self.taken_at + seconds)


@dataclass(frozen=True, slots=True)
class Trends:
    """Of a group and of each of its positions (n,): whether what its rounds leave unread climbs, or gets less, and is
    more than comes in a pause."""

    climbs: bool
    falls: bool
    climbing: Bools
    falling: Bools


@dataclass(frozen=True)
class Rounds:
    """The rounds of one group that are over, oldest first, and the one that may still go on; all of one layout."""

    layout: Layout  # of a window, not of the group alone
    over: tuple[Round, ...] = ()
    newest: Round | None = None

    def seen(self, window: Window, group: str, habit: Habit, *, patience: float) -> Rounds:
        """With what the newest sample of the window tells of a group that it holds."""
        rounds = self._moved_to(window.layout, group)
        where, sample = window.layout.slice_of(group), window.samples[-1]
        now = sample.taken_at
        over, newest = rounds.over, rounds.newest
        if newest is not None and now - newest.began_at > _round_seconds(patience):
            over, newest = (*over, newest)[-KEPT_ROUNDS:], None
        if habit.moved_at == now:
            newest = Round(
                newest.began_at if newest is not None else now,
                now,
                _copy(sample.committed.take(where)),
                _copy(sample.end.take(where)),
            )
        elif newest is not None and not newest.known.all():
            newest = newest.filled(sample.committed.take(where), sample.end.take(where))
        if over is rounds.over and newest is rounds.newest:
            return rounds
        return replace(rounds, over=over, newest=newest)

    @cached_property
    def trends(self) -> Trends | None:
        """Runs of lag over the rounds, as `trends.runs` tells them of samples; None before the first is over."""
        if not self.over:
            return None
        unread = [one.unread for one in self.over]
        lag, known = np.stack([one.values for one in unread]), np.stack([one.known for one in unread])
        end = np.stack([one.end.values for one in self.over])
        arrived = np.maximum(end[-1] - end, 0) * known[:, 1:]
        arrived = np.concatenate((arrived.sum(axis=1, keepdims=True), arrived), axis=1)
        times = np.array([one.taken_at for one in self.over])
        moved = np.ones((len(times) - 1, known.shape[1]), dtype=np.bool_)
        rose, fell = runs(Curves(times, lag, known, arrived, moved))
        too_much = lag[1:] > BACKLOG_SHARE * np.maximum(arrived[:-1] - arrived[1:], 0)
        # one pause that was longer, or in which more came, ends no climb
        climbs = (rose >= 0) & ~(fell > rose) & too_much[-RUN_STEPS:].any(axis=0)
        if self.newest is not None:
            # more of a round that goes on may be committed yet, but what is read is read
            now = self.newest.unread
            climbs &= ~(now.known & (2 * now.values < lag[-1]))
        falls = (fell >= 0) & ~climbs & too_much[-1:].any(axis=0)
        return Trends(bool(climbs[0]), bool(falls[0]), climbs[1:], falls[1:])

    def missed(self, committed: Numbers) -> Bools:
        """(n,) positions that stand at these commits of now, and that stood there through the last rounds in which
        others of the group moved, though records had waited before: more than the marker of a transaction, which waits
        wherever a reader has come to the end."""
        if len(self.over) <= MISSED_ROUNDS:
            return np.zeros(len(committed), dtype=np.bool_)
        first, *later = self.over[-MISSED_ROUNDS - 1 :]
        missed: Bools = committed.known & first.known & (committed.values != NO_COMMIT)
        missed &= first.end.values - first.committed.values > MARKERS
        for commits in (first.committed, *(one.committed for one in later)):
            missed &= commits.known & (commits.values == committed.values)
        return missed

    def stood_since(self, committed: Numbers) -> float | None:
        """Unix seconds of the round that was the last to move the position which has missed most; None: none has."""
        stands = self.missed(committed)
        since = None
        for one in reversed(self.over):
            stands &= one.committed.known & (one.committed.values == committed.values)
            if not stands.any():
                break
            since = one.taken_at
        return since

    def passed_by(self, missed: Bools) -> Bools:
        """(n,) of the positions that were `missed` those where more came before the first of these rounds was over: the
        next one should have moved them. A window forgets that, when nothing comes any more."""
        if not missed.any():
            return missed
        before, first = self.over[-MISSED_ROUNDS - 1 : -MISSED_ROUNDS + 1]
        passed: Bools = missed & first.end.known & (first.end.values > before.end.values)
        return passed

    def later(self, seconds: float) -> Rounds:
        """The same by a clock that was set."""
        newest = self.newest.later(seconds) if self.newest is not None else None
        return Rounds(self.layout, tuple(one.later(seconds) for one in self.over), newest)

    def _moved_to(self, layout: Layout, group: str) -> Rounds:
        if self.layout is layout:
            return self
        if self.layout.digest == layout.digest:
            return replace(self, layout=layout)
        old = {key: place for place, key in enumerate(self.layout.keys_of(group))}
        places = np.array([old.get(key, -1) for key in layout.keys_of(group)], dtype=np.int64)
        newest = self.newest.at(places) if self.newest is not None else None
        return Rounds(layout, tuple(one.at(places) for one in self.over), newest)


@dataclass(frozen=True, slots=True)
class Alone:
    """Somebody who reads for a group without being a member of it."""

    patience: float  # seconds that its commits may pause
    rounds: Rounds | None = None  # where a window is too short to tell what it does
    is_unsure: bool = False  # it has committed once, and nobody knows whether it does again


def is_seldom(patience: float, *, interval_seconds: float) -> bool:
    """Whether a window may hold less than one of the pauses that say nothing."""
    return patience > (LENGTH - 1) * interval_seconds


def round_times(moves: Iterable[float], *, patience: float) -> list[tuple[float, float]]:
    """When each of the last rounds began and ended, from when commits moved, oldest first."""
    found: list[tuple[float, float]] = []
    for at in moves:
        if found and at - found[-1][0] <= _round_seconds(patience):
            found[-1] = found[-1][0], at
        else:
            found.append((at, at))
    return found[-KEPT_ROUNDS:]


def rounds_after(
    rounds: Mapping[str, Rounds], window: Window, habits: Mapping[str, Habit], patience: Mapping[str, float]
) -> dict[str, Rounds]:
    """The rounds of those that commit seldom, by group with its `patience`; those of others are forgotten."""
    found = {}
    for group, seconds in patience.items():
        if window.layout.owner_index(group) is not None:
            before = rounds.get(group) or Rounds(window.layout)
            found[group] = before.seen(window, group, habits[group], patience=seconds)
        elif group in rounds:
            found[group] = rounds[group]  # all of it is gone, or was not answered for
    return found


def _round_seconds(patience: float) -> float:
    """How long commits belong to one round: half of the longest pause."""
    return patience / SIMPLE_PAUSES / 2


def _or(numbers: Numbers, others: Numbers) -> Numbers:
    return Numbers(np.where(numbers.known, numbers.values, others.values), numbers.known | others.known)


def _copy(numbers: Numbers) -> Numbers:
    """Not a view, which would keep what the whole cluster had."""
    return Numbers(numbers.values.copy(), numbers.known.copy())
