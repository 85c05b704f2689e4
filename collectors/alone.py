"""Who reads for the groups of a cluster without being a member of them, from one cycle to the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from .domain.numbers import Layout
from .domain.rounds import Alone, Round, Rounds, is_seldom, round_times, rounds_after
from .domain.simple_consumers import (
    BORN_SECONDS,
    SIMPLE_MOVES,
    Habit,
    habit_of,
    habits_after,
    just_born,
    read_alone,
)
from .domain.topology import GroupType
from .domain.verdicts import GroupRow, Verdict
from .domain.window import LENGTH, Window
from .history.moves import commits_moved_at
from .history.standing import standings_at
from .models import Group

PAST_SECONDS = 3600.0
"""How far back commits are read after a restart: two of the longest pauses that are no end."""
GROUPS_READ = 50
"""Of whose past commits are read then, some milliseconds each; of the others what was told last goes on."""


class ReadAlone:
    """What was seen of simple consumers, of which a window shows too little when they commit seldom."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._habits: dict[str, Habit] = {}
        self._rounds: dict[str, Rounds] = {}
        self._known: frozenset[str] | None = None  # groups that were there before; None: not known

    def rebuild(self, cluster_id: int, groups: Iterable[Group], *, taken_at: float, now: float) -> None:
        """After a restart: from the commits that were stored until `taken_at`, as if no time had passed since."""
        groups = [row for row in groups if row.gone_at is None]
        self._known = frozenset(row.name for row in groups)
        simple = [row for row in groups if _may_be_read_alone(row)]
        read = [row.name for row in simple[:GROUPS_READ]]
        moves = commits_moved_at(cluster_id, read, taken_at - PAST_SECONDS, taken_at)
        # a pause that no window would have shown
        unseen = Habit(SIMPLE_MOVES, taken_at, taken_at, taken_at, ((taken_at, LENGTH * self._interval),))
        for row in simple:
            habit = habit_of(moves.get(row.name, ()))
            if row.is_read_alone and (habit is None or habit.moves < SIMPLE_MOVES):
                habit = unseen
            elif row.is_read_alone and habit is not None:
                habit = replace(habit, answered_at=taken_at)  # it was there; since when records wait is not known
            if habit is not None:
                self._habits[row.name] = habit
                self._remember_rounds(cluster_id, row.name, habit, moves.get(row.name, ()), taken_at)
        self.later(max(0.0, now - taken_at - self._interval))

    def _remember_rounds(
        self, cluster_id: int, group: str, habit: Habit, moves: Iterable[float], taken_at: float
    ) -> None:
        patience = habit.patience(interval_seconds=self._interval)
        if patience is None or not self._is_seldom(patience):
            return
        began_at = {last: began for began, last in round_times(moves, patience=patience)}
        layout, stood = standings_at(cluster_id, group, list(began_at))
        over = [Round(began_at[one.taken_at], one.taken_at, one.committed, one.end) for one in stood]
        if over:
            # the newest may still go on: it is over when the next sample says so
            self._rounds[group] = Rounds(layout, tuple(over[:-1]), over[-1])

    def look(self, window: Window, groups: Mapping[str, GroupRow]) -> dict[str, Alone]:
        """Who reads, by group that somebody reads for; once for each sample."""
        simple = {row.name for row in groups.values() if row.is_simple}
        undescribed = {row.name for row in groups.values() if row.members is None}
        self._habits = habits_after(
            self._habits,
            window,
            simple=simple,
            undescribed=undescribed,
            born=self._born(window.layout),
            interval_seconds=self._interval,
        )
        now = float(window.samples[-1].taken_at)
        alone = read_alone(self._habits, interval_seconds=self._interval)
        seldom = {name: patience for name, patience in alone.items() if self._is_seldom(patience)}
        self._rounds = rounds_after(self._rounds, window, self._habits, seldom)
        told = {name: Alone(patience, self._rounds.get(name)) for name, patience in alone.items()}
        return told | {name: Alone(BORN_SECONDS, is_unsure=True) for name in just_born(self._habits, now)}

    def stood_since(self, window: Window, group: str) -> float | None:
        """Since when a partition stands by the rounds of a group, unix seconds; None where they tell of none."""
        rounds = self._rounds.get(group)
        if rounds is None or window.layout.owner_index(group) is None:
            return None
        return rounds.stood_since(window.samples[-1].committed.take(window.layout.slice_of(group)))

    def _born(self, layout: Layout) -> frozenset[str]:
        """The groups that were not there before."""
        before, self._known = self._known, frozenset(layout.owners)
        return frozenset() if before is None else self._known - before

    def _is_seldom(self, patience: float) -> bool:
        return is_seldom(patience, interval_seconds=self._interval)

    def later(self, seconds: float) -> None:
        """The clock was set by so much."""
        if seconds:
            self._habits = {name: habit.later(seconds) for name, habit in self._habits.items()}
            self._rounds = {name: rounds.later(seconds) for name, rounds in self._rounds.items()}


def _may_be_read_alone(row: Group) -> bool:
    is_simple = row.type == GroupType.CLASSIC and not row.protocol_type
    return is_simple and not row.member_count and row.verdict != Verdict.NO_MEMBERS
