"""Who commits for a group and is no member of it (assign(), Flink, Spark): seen by its commits alone.

A window forgets after two minutes, and many commit less often (Flink with each checkpoint, Spark with each batch). What
was seen of their commits is carried on from cycle to cycle, of those that move: most groups without members have been
dead for long.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .numbers import NO_COMMIT
from .window import GAP_STEPS, Sample, Window

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

SIMPLE_MOVES, SIMPLE_SECONDS, SIMPLE_PAUSES = 2, 30.0, 2.25
"""Who commits without being a member is there when its commits moved so often, and nothing has waited since they last
did for longer than this, or than so many of the pauses between them: a checkpoint may fail, and the next be late. One
movement may be that of a tool."""
LONGEST_SECONDS = 1800.0
"""Who lets records wait for so long is not there, whatever its pauses were."""
BORN_SECONDS = 330.0
"""So long a group that came with its first commit may be somebody's who commits each five minutes, or a tool's."""
KEPT_PAUSES = 3.0
"""A pause is one that it makes until commits have moved for so many times its length without another."""


@dataclass(frozen=True, slots=True)
class Habit:
    """What was seen of the commits for a group without members; times are unix seconds of samples."""

    moves: int  # since it came to be there; 0 when it has stopped
    began_at: float  # with the first of these
    moved_at: float
    answered_at: float  # when its commits had last moved, or nothing waited
    pauses: tuple[tuple[float, float], ...] = ()  # (when it ended, seconds) of those that are long enough to matter
    is_born: bool = False  # the only movement is that the group came to be

    def patience(self, *, interval_seconds: float) -> float | None:
        """Seconds without a movement that say nothing; None where too little was seen to know that it is there.

        No pause is forgotten while nothing comes: the next record waits as long for a commit as those before it.
        """
        if self.moves < SIMPLE_MOVES:
            return None
        longest = max((seconds for _, seconds in self.pauses), default=0.0)
        return min(LONGEST_SECONDS, max(SIMPLE_SECONDS, 3 * interval_seconds, SIMPLE_PAUSES * longest))

    def has_stopped(self, now: float, *, interval_seconds: float) -> bool:
        """Whether records wait for longer than its pauses explain."""
        patience = self.patience(interval_seconds=interval_seconds)
        return patience is not None and now - self.answered_at > patience

    def moved(self, now: float, *, is_after_gap: bool = False) -> Habit:
        """With one movement more; after a gap between samples nobody knows how long it had paused.

        Who had stopped had perhaps only paused for the first time: so it is when that took longer than all that was
        seen of it before (a batch whose partitions are committed one after another).
        """
        pauses = tuple((ended, one) for ended, one in self.pauses if now - ended <= KEPT_PAUSES * one)
        pause = now - self.moved_at
        is_pause = self.moves > 0 or pause > self.moved_at - self.began_at
        if is_pause and pause * SIMPLE_PAUSES > SIMPLE_SECONDS and not is_after_gap:
            pauses = (*pauses, (now, pause))
        return Habit(self.moves + 1, self.began_at if self.moves else now, now, now, pauses)

    @classmethod
    def begun(cls, now: float, *, is_born: bool = False) -> Habit:
        """With the first movement."""
        return cls(1, now, now, now, is_born=is_born)

    def later(self, seconds: float) -> Habit:
        """The same by a clock that was set."""
        return replace(
            self,
            began_at=self.began_at + seconds,
            moved_at=self.moved_at + seconds,
            answered_at=self.answered_at + seconds,
            pauses=tuple((ended + seconds, pause) for ended, pause in self.pauses),
        )


def habit_of(times: Iterable[float]) -> Habit | None:
    """What movements at some times, oldest first, tell of who made them; None where there was none."""
    habit: Habit | None = None
    for at in times:
        begins = habit is None or at - habit.moved_at > LONGEST_SECONDS
        habit = Habit.begun(at) if habit is None or begins else habit.moved(at)
    return habit


def habits_after(
    habits: Mapping[str, Habit],
    window: Window,
    *,
    simple: Collection[str],
    undescribed: Collection[str] = (),
    born: Collection[str] = (),
    interval_seconds: float,
) -> dict[str, Habit]:
    """The habits with what the newest sample of the window tells.

    `simple` are the groups that nobody has joined, as far as is known; of those `undescribed` just now what was known
    stays. All others are forgotten. Who has stopped must move twice again: once may be a tool's doing. `born` are the
    groups that the sample before did not have.
    """
    found = {name: habit for name, habit in habits.items() if name in simple or name in undescribed}
    watched = [name for name in window.layout.owners if name in simple or name in found]
    samples = list(window.samples)
    if not watched or len(samples) < 2:
        return found
    now, before = samples[-1].taken_at, samples[-2].taken_at
    is_gap = now - before > GAP_STEPS * interval_seconds
    moved, answered = _told(window, samples, watched)
    for name in (moved | set(born)) & set(watched) - found.keys():
        found[name] = Habit.begun(now, is_born=name in born)
    for name in found.keys() & moved:
        if found[name].moved_at < now:
            found[name] = found[name].moved(now, is_after_gap=is_gap)
    for name in found.keys() - moved:
        habit = found[name]
        if name in answered or (is_gap and habit.answered_at == before):
            found[name] = habit = replace(habit, answered_at=now)
        if now - habit.answered_at > LONGEST_SECONDS:
            del found[name]
        elif habit.has_stopped(now, interval_seconds=interval_seconds):
            found[name] = replace(habit, moves=0)
    return found


def read_alone(habits: Mapping[str, Habit], *, interval_seconds: float) -> dict[str, float]:
    """The groups that somebody reads for without being a member, and how long each may pause, in seconds."""
    told = {name: habit.patience(interval_seconds=interval_seconds) for name, habit in habits.items()}
    return {name: patience for name, patience in told.items() if patience is not None}


def just_born(habits: Mapping[str, Habit], now: float) -> set[str]:
    """The groups that have one commit since they came to be, not long ago: nobody knows yet whether another comes."""
    return {name for name, habit in habits.items() if habit.is_born and now - habit.moved_at <= BORN_SECONDS}


def _told(window: Window, samples: list[Sample], names: list[str]) -> tuple[set[str], set[str]]:
    """Of some groups those whose commits have moved on with the newest sample, and those for which nothing waits."""
    layout = window.layout
    chosen = np.zeros(len(layout.owners), dtype=np.bool_)
    chosen[[index for name in names if (index := layout.owner_index(name)) is not None]] = True
    owners = layout.owner_of_position
    at = np.flatnonzero(chosen[owners])
    newest, end = samples[-1].committed.take(at), samples[-1].end.take(at)
    has_commit = newest.known & (newest.values != NO_COMMIT)
    moved = np.zeros(len(at), dtype=np.bool_)
    open_ = np.flatnonzero(has_commit)  # of which no earlier commit is known yet
    for sample in reversed(samples[:-1]):
        before = sample.committed.take(at[open_])
        known = before.known & (before.values != NO_COMMIT)
        moved[open_] = known & (newest.values[open_] > before.values)
        open_ = open_[~before.known]
        if not len(open_):
            break
    waits = ~(has_commit & end.known & (newest.values >= end.values))
    is_moving = np.bincount(owners[at[moved]], minlength=len(layout.owners)) > 0
    is_waiting = np.bincount(owners[at[waits]], minlength=len(layout.owners)) > 0
    return (
        {layout.owners[i] for i in np.flatnonzero(is_moving).tolist()},
        {layout.owners[i] for i in np.flatnonzero(chosen & ~is_waiting).tolist()},
    )
