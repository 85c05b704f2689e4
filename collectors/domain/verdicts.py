"""What a consumer group is doing, judged without thresholds on lag, in a word.

The rules, in the order in which they win. Each is a function named as a question, about positions or groups
(`questions`, `trends`); what explains most comes first, so that one cause has one word:

1. has it no members?                -> no members: without readers nothing else can be said of it. Two looks have found
                                        nobody (`vacancies`). A simple consumer, which commits and joins no group, is
                                        judged by its commits while they move (`simple_consumers`); one that commits
                                        seldom, by what its rounds of commits leave unread (`rounds`)
2. is a waiting partition unowned?   -> unowned: members are there, and none of them was given it; it stands still
3. does a partition stand still?     -> no progress: records wait, more arrive, the committed offset does not move; it
                                        may wait its turn for longer while a reader of several works off a backlog.
                                        Once told it stands still until the offset moves or nothing waits, also when
                                        no more arrive (`standstills`)
4. does it lose data?                -> losing data: it reads, and retention deletes records before it comes to them
5. does the lag climb?               -> falling behind: beyond the sawtooth that commits draw, and not falling by now
6. was it rewound?                   -> rewound: it reads again what it had read; its lag says nothing of its pace
7. does it never commit?             -> not committing: assigned, records arrive, no offset was ever committed. Once
                                        told it does not until it commits, also when no more arrive (`standstills`)
8. does it rebalance all the time?   -> rebalancing: it reads none the less, else a rule above had spoken
9. is something not known?           -> unknown: a part that is fine does not speak for the whole
                                        (members that have just come to what nobody read are not known, either)
10. does the lag fall?               -> catching up: more waits than ever lies between two commits, and it gets less
11. otherwise                        -> ok

A share group stands where the log end less the broker's lag is (`share_positions`) and is judged by the same rules, but
for those that have no meaning for it: nobody rewinds it, it has no commits, and a partition may have many members.

Losing data comes after standing still and having no members: the loss is what follows from these, is told in their
sentences, counted as records and alerted on by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from .lag import gather
from .numbers import Column, Layout, Numbers
from .positions import Positions, positions
from .questions import (
    has_no_owner,
    is_undecided,
    is_unowned,
    is_unsure_after_gap,
    loses_data,
    misses_its_turn,
    never_commits,
    since_members_came,
    stands_still,
    was_rewound,
    works_on_backlog,
)
from .rounds import Alone, Trends
from .topology import GroupType
from .trends import TREND_SECONDS, catches_up, curves_of, trends_of
from .window import Window

Bools = NDArray[np.bool_]


class Worded(IntEnum):
    """What is stored as a number and told in a word."""

    @property
    def word(self) -> str:
        return self.name.lower()


class Verdict(Worded):
    """The numbers are stored in frames: never renumber, put new ones at the end. How bad one is: `severity`."""

    OK = 0
    UNKNOWN = 1
    NOT_COMMITTING = 2
    NO_MEMBERS = 3
    FALLING_BEHIND = 4
    NO_PROGRESS = 5
    CATCHING_UP = 6
    REWOUND = 7
    REBALANCING = 8
    LOSING_DATA = 9
    UNOWNED = 10

    @property
    def severity(self) -> float:
        """How bad it is. Whole numbers are the first six, which rules were stored with: "no progress or worse"."""
        return float(SEVERITY[self])

    @property
    def is_well(self) -> bool:
        """Whether all is read, or will be at this pace."""
        return self in (Verdict.OK, Verdict.CATCHING_UP)


SEVERITY = np.array([0, 1, 2, 3, 4, 5, 0.5, 1.5, 2.5, 4.5, 5.5])
"""(verdicts,) of each stored number."""


def are_well(verdicts: Numbers) -> Bools:
    """(n,) stored verdicts, of groups or of partitions, that say `is_well`."""
    return verdicts.known & np.isin(verdicts.values, [int(verdict) for verdict in Verdict if verdict.is_well])


def severities(verdicts: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) of stored numbers (n,); one that a younger program stored is the worst."""
    known = (verdicts >= 0) & (verdicts < len(SEVERITY))
    return np.where(known, SEVERITY[np.where(known, verdicts, 0)], SEVERITY.max())


@dataclass(frozen=True, slots=True)
class GroupRow:
    """What is known of a group beside its offsets."""

    name: str
    type: GroupType
    members: int | None  # None: it could not be described
    rebalances: int = 0  # seen in the last minutes
    is_storm: bool = False  # these are more than one roll-out explains
    is_simple: bool = False  # nobody ever joined it: whoever reads for it only commits (assign(); Flink, Spark)
    members_since: float | None = None  # unix seconds of the look that found members where there had been none


def is_read_alone(members: int | None, told: Verdict) -> bool:
    """Whether a group of so many members is told as one that somebody reads for without being a member."""
    return members == 0 and told not in (Verdict.NO_MEMBERS, Verdict.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Answers:
    """What the rules say of each position (n,) of a window."""

    facts: Positions
    unowned: Bools
    still: Bools
    loses: Bools
    rewound: Bools
    never_commits: Bools
    has_no_commit: Bools  # known; a share group makes none, and has none that is missing
    is_unmeasured: Bools  # what its owner's positions would mean is not known
    is_unknown: Bools
    may_climb: Bools  # what the window shows of its owner's lag is a pace of who reads now, and holds a whole sawtooth
    may_fall: Bools
    by_rounds: tuple[tuple[slice, Trends], ...] = ()  # of owners that commit more seldom than the window is long


@dataclass(frozen=True, slots=True)
class Judged:
    verdicts: Column  # owned by groups, one position each, always known
    answers: Answers | None  # None before the first sample


def judge(
    window: Window,
    groups: Mapping[str, GroupRow],
    *,
    interval_seconds: float,
    held: Bools | None = None,
    silent: Bools | None = None,
    alone: Mapping[str, Alone] | None = None,
) -> Judged:
    """A verdict for each known group. `held` (n,): positions that stand still, as was told before (`standstills`), and
    `silent` (n,): those where nothing is committed. `alone`: groups that somebody reads for without being a member."""
    layout = Layout.single(groups)
    if not window.samples:
        nothing = Numbers(np.full(len(layout), int(Verdict.UNKNOWN)), np.ones(len(layout), np.bool_))
        return Judged(Column(layout, nothing), None)
    counts = np.diff(window.layout.starts)
    are_shared = _are_shared(window.layout, groups)
    shared = np.repeat(are_shared, counts)
    facts = positions(window, only_forward=shared)
    curves = curves_of(window)
    climbs, falls = trends_of(curves)
    may_climb, may_fall = np.ones((2, len(counts)), dtype=np.bool_)
    if (since := _members_since(window, groups)) is not None:
        facts = since_members_came(facts, window, np.repeat(since, counts))
        may_climb &= window.times[-1] - since >= TREND_SECONDS  # what nobody read before is no pace of theirs
    uncommitted = facts.uncommitted & ~shared
    unanswered = ~(facts.known | uncommitted) | is_undecided(facts, interval_seconds=interval_seconds)
    unanswered |= is_unsure_after_gap(facts, window)
    shares = np.array([n < m for n, m in zip(_members(window.layout, groups), counts.tolist(), strict=True)], np.bool_)
    busy = _any_by_owner(works_on_backlog(facts, window), window.layout)
    takes_turns = np.repeat((falls | busy) & shares, counts)
    still = stands_still(facts, interval_seconds=interval_seconds, takes_turns=takes_turns)
    alone = alone or {}
    by_rounds: list[tuple[slice, Trends]] = []
    climbs &= may_climb
    is_catching_up = catches_up(curves, falls)
    for name, reader in alone.items():
        if (index := window.layout.owner_index(name)) is None:
            continue
        where = window.layout.slice_of(name)
        if reader.rounds is None:
            still[where] &= misses_its_turn(window, facts, where, reader.patience)
        else:
            missed = reader.rounds.missed(window.samples[-1].committed.take(where))
            waits = facts.known[where] & (facts.lag[where] > 0)
            still[where] = (still[where] & missed) | (reader.rounds.passed_by(missed) & waits)
        if reader.rounds is None and reader.patience <= window.times[-1] - window.times[0]:
            continue
        # of its sawtooth the window holds less than a whole tooth
        may_climb[index] = may_fall[index] = climbs[index] = is_catching_up[index] = False
        if reader.rounds is not None and (trends := reader.rounds.trends) is not None:
            climbs[index], is_catching_up[index] = trends.climbs, trends.falls
            by_rounds.append((where, trends))
    if held is not None:
        still |= held
    unowned = is_unowned(facts, interval_seconds=interval_seconds) & ~shared
    never = never_commits(facts, interval_seconds=interval_seconds)
    if silent is not None:
        never |= silent & facts.uncommitted & ~has_no_owner(facts, interval_seconds=interval_seconds)
    found = Answers(
        facts=facts,
        unowned=unowned,
        still=still & ~unowned,
        loses=loses_data(facts),
        rewound=was_rewound(facts, window),
        never_commits=never & ~shared & ~unowned,
        has_no_commit=uncommitted,
        is_unmeasured=np.repeat(_are_unmeasured(window.layout, groups, alone), counts),
        is_unknown=unanswered,
        may_climb=np.repeat(may_climb, counts),
        may_fall=np.repeat(may_fall, counts),
        by_rounds=tuple(by_rounds),
    )

    def any_of(flags: Bools) -> Bools:
        return _any_by_owner(flags, window.layout)

    # the answers of all groups at once, in the order of the rules
    answers: list[tuple[Verdict, Bools]] = [
        (Verdict.UNOWNED, any_of(found.unowned)),
        (Verdict.NO_PROGRESS, any_of(found.still)),
        (Verdict.LOSING_DATA, any_of(found.loses)),
        (Verdict.FALLING_BEHIND, climbs),
        (Verdict.REWOUND, any_of(found.rewound)),
        (Verdict.NOT_COMMITTING, any_of(found.never_commits)),
    ]
    # what is not of the offsets: in the order of `groups`
    places = np.array([-1 if (at := window.layout.owner_index(n)) is None else at for n in layout.owners], np.int64)
    rows = [groups[name] for name in layout.owners]
    has_positions = places >= 0
    safe = np.where(has_positions, places, 0)

    def of_groups(flags: Bools) -> Bools:
        return flags[safe] & has_positions if len(flags) else np.zeros(len(layout), dtype=np.bool_)

    def of_rows(flags: list[bool]) -> Bools:
        return np.array(flags, dtype=np.bool_)

    no_one = of_rows([row.members == 0 and row.name not in alone for row in rows])
    unmeasured = _are_unmeasured(layout, groups, alone)
    unknown = of_groups(any_of(found.is_unknown)) | ~has_positions
    unknown |= of_groups(are_shared & (counts == 0))  # its broker has told nothing yet
    unknown |= of_rows([row.members is None for row in rows])
    ordered: list[tuple[Verdict, Bools]] = [
        (Verdict.UNKNOWN, unmeasured),  # what its positions would mean is not known
        (Verdict.NO_MEMBERS, no_one),
        *((verdict, of_groups(flags)) for verdict, flags in answers),
        (Verdict.REBALANCING, of_rows([row.is_storm for row in rows])),
        (Verdict.UNKNOWN, unknown),
        (Verdict.CATCHING_UP, of_groups(is_catching_up)),
    ]
    verdicts = np.full(len(layout), int(Verdict.OK), dtype=np.int64)
    for verdict, flags in reversed(ordered):
        verdicts[flags] = int(verdict)
    return Judged(Column(layout, Numbers(verdicts, np.ones(len(layout), dtype=np.bool_))), found)


def _members_since(window: Window, groups: Mapping[str, GroupRow]) -> NDArray[np.float64] | None:
    """(owners,) of the layout when members came, where that is in the window, else -inf; None where it is for none."""
    first, last = window.times[0], window.times[-1]  # later than the last: the clock was set back since
    found = np.full(len(window.layout.owners), -np.inf)
    for row in groups.values():
        came_at = row.members_since if row.members else None
        index = window.layout.owner_index(row.name)
        if came_at is not None and index is not None and first < came_at <= last:
            found[index] = came_at
    return found if np.isfinite(found).any() else None


def _are_shared(layout: Layout, groups: Mapping[str, GroupRow]) -> Bools:
    """(owners,) of the layout that are share groups."""
    rows = (groups.get(name) for name in layout.owners)
    return np.array([row is not None and row.type is GroupType.SHARE for row in rows], dtype=np.bool_)


def _are_unmeasured(layout: Layout, groups: Mapping[str, GroupRow], alone: Mapping[str, Alone]) -> Bools:
    """(owners,) of a layout of whose positions nobody knows what they would mean."""
    unsure = {name for name, reader in alone.items() if reader.is_unsure}
    rows = ((name, groups.get(name)) for name in layout.owners)
    return np.array([row is None or row.type is GroupType.UNKNOWN or name in unsure for name, row in rows], np.bool_)


def _members(layout: Layout, groups: Mapping[str, GroupRow]) -> list[int]:
    """Members of each owner of the layout; 0 where that is not known."""
    return [row.members or 0 if (row := groups.get(name)) is not None else 0 for name in layout.owners]


_HELD = [int(verdict) for verdict in (Verdict.CATCHING_UP, Verdict.FALLING_BEHIND, Verdict.REWOUND)]


def steadied(told: Column | None, judged_before: Column | None, judged: Column) -> Column:
    """What is told of `judged`: that a trend is over is told when two judgements in a row say so.

    `told` is what was told of the cycle before and `judged_before` how it had been judged, of groups or of positions.
    The commits of a group draw a sawtooth, and its lag may look settled for one sample; everything else is told at
    once.
    """
    if told is None or judged_before is None or not len(judged.layout):
        return judged
    last, before = (gather(one.numbers, judged.layout.places_in(one.layout)) for one in (told, judged_before))
    fresh = judged.numbers.values
    holds = (fresh == int(Verdict.OK)) & last.known & np.isin(last.values, _HELD)
    holds &= ~(before.known & (before.values == int(Verdict.OK)))
    told_now = Numbers(np.where(holds, last.values, fresh), judged.numbers.known)
    return Column(judged.layout, told_now) if holds.any() else judged


def by_owner(column: Column, layout: Layout) -> NDArray[np.int64]:
    """Verdicts in the order of another layout's owners; -1 where there was none."""
    if column.layout.owners == layout.owners:
        values: NDArray[np.int64] = column.numbers.values
        return values
    at = [-1 if (i := column.layout.owner_index(name)) is None else i for name in layout.owners]
    index = np.array(at, dtype=np.int64)
    found = column.numbers.values[np.maximum(index, 0)] if len(column.numbers) else np.full(len(index), -1)
    return np.where(index >= 0, found, -1)


def _any_by_owner(flags: Bools, layout: Layout) -> Bools:
    out = np.zeros(len(layout.owners), dtype=np.bool_)
    filled = np.diff(layout.starts) > 0
    if filled.any():
        out[filled] = np.logical_or.reduceat(flags, layout.starts[:-1][filled])
    return out
