"""Each partition of a group has a verdict of its own, by the rules of the whole group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from collectors.domain.numbers import NO_COMMIT, Column, Layout, Numbers
from collectors.domain.ownership import Owner
from collectors.domain.partitions import PartitionVerdict
from collectors.domain.rounds import Alone
from collectors.domain.simple_consumers import Habit, habits_after, read_alone
from collectors.domain.standstills import judge_and_hold
from collectors.domain.topology import GroupType
from collectors.domain.verdicts import GroupRow, Verdict
from collectors.domain.window import Window

V = PartitionVerdict
Samples = list[tuple[int | None, int | None]]  # (commit, log end); None: not answered
ROWS, INTERVAL = 24, 5.0


def steady(reads: int, arrive: int, *, behind: int = 0, rows: int = ROWS) -> Samples:
    return [(reads * row, behind + arrive * row) for row in range(rows)]


@dataclass(frozen=True)
class Case:
    sentence: str
    expected: PartitionVerdict
    samples: Samples
    members: int | None = 2
    kind: GroupType = GroupType.CLASSIC
    is_simple: bool = False
    owner: Owner = Owner.UNKNOWN
    lost_at: int = 0  # the log start at the newest look at it


CASES = [
    Case("all is read", V.OK, steady(50, 50)),
    Case("records wait and come, the commit stands", V.NO_PROGRESS, steady(0, 50, behind=10)),
    Case("records wait, none comes: nothing to do", V.OK, [(100, 100)] * ROWS),
    Case("less is read than comes", V.FALLING_BEHIND, steady(40, 400)),
    Case("more is read than comes", V.CATCHING_UP, steady(400, 40, behind=20_000)),
    Case("nobody is in the group", V.NO_MEMBERS, steady(0, 50, behind=10), members=0),
    Case("records come and no offset was ever committed", V.NOT_COMMITTING,
         [(NO_COMMIT, 50 * row) for row in range(ROWS)]),
    Case("no offset was ever committed and nothing comes", V.NO_COMMIT, [(NO_COMMIT, 7)] * ROWS),
    Case("it was set back", V.REWOUND,
         [(9_000 + 50 * row if row < 20 else 2_000 + 60 * row, 10_500 + 50 * row) for row in range(ROWS)]),
    Case("retention passes it", V.LOSING_DATA, [(50 * row, 9_000 + 50 * row) for row in range(ROWS)], lost_at=4_000),
    Case("no member was given it", V.UNOWNED, steady(0, 50, behind=10), owner=Owner.NOBODY),
    Case("no member was given it, and nothing waits", V.OK, [(100, 100)] * ROWS, owner=Owner.NOBODY),
    Case("the newest commit was not answered", V.UNKNOWN, [*steady(50, 50, rows=23), (None, 1200)]),
    Case("the newest log end was not answered", V.UNKNOWN, [*steady(50, 50, rows=23), (1150, None)]),
    Case("nothing was ever answered", V.UNKNOWN, [(None, None)] * ROWS),
    Case("the members are not known", V.UNKNOWN, steady(50, 50), members=None),
    Case("the members are not known, and it stands", V.NO_PROGRESS, steady(0, 50, behind=10), members=None),
    Case("what kind of group it is is not known", V.UNKNOWN, steady(0, 50, behind=10), kind=GroupType.UNKNOWN),
    Case("one sample, and records wait: too soon to say", V.UNKNOWN, [*[(None, None)] * 23, (0, 10)]),
    Case("the log was cut off below the commit", V.UNKNOWN,
         [*((9_000 + 50 * row, 9_000 + 50 * row) for row in range(18)), *[(9_850, 100)] * 6]),
    Case("a share group reads all", V.OK, steady(50, 50), kind=GroupType.SHARE),
    Case("a share group stands still", V.NO_PROGRESS, steady(0, 50, behind=10), kind=GroupType.SHARE),
    Case("a step back of a share group is our knowing better", V.NO_PROGRESS,
         [(100 if row < 20 else 97, 110 + 50 * row) for row in range(ROWS)], kind=GroupType.SHARE),
    Case("a share group has no commit that is missing", V.UNKNOWN, [(NO_COMMIT, 50 * row) for row in range(ROWS)],
         kind=GroupType.SHARE),
    Case("who commits alone reads", V.OK, steady(50, 50), members=0, is_simple=True),
    Case("who commits alone falls behind", V.FALLING_BEHIND, steady(40, 400), members=0, is_simple=True),
    Case("members that have left read no more", V.NO_MEMBERS, steady(50, 50), members=0),
]  # fmt: skip


def judged(cases: Mapping[str, Case]) -> list[PartitionVerdict]:
    """What is told of each group, which has one partition, when all are in one window."""
    group = Layout.build({name: [(name, 0)] for name in cases})
    topic = Layout.of_topics({name: [0] for name in cases})
    rows = {name: GroupRow(name, case.kind, case.members, is_simple=case.is_simple) for name, case in cases.items()}
    owned = np.array([int(case.owner) for case in cases.values()], dtype=np.int8)
    window, habits = Window(), dict[str, Habit]()
    simple = {name for name, case in cases.items() if case.is_simple}
    for row in range(ROWS):
        start = {0: [0] * len(cases), 22: [case.lost_at for case in cases.values()]}.get(row)
        window.push(
            1_000.0 + INTERVAL * row,
            Column(group, Numbers.of([case.samples[row][0] for case in cases.values()])),
            Column(topic, Numbers.of([case.samples[row][1] for case in cases.values()])),
            start=None if start is None else Column(topic, Numbers.of(start)),
            owned=owned,
        )
        habits = habits_after(habits, window, simple=simple, interval_seconds=INTERVAL)
    there = read_alone(habits, interval_seconds=INTERVAL)
    alone = {name: Alone(patience) for name, patience in there.items()}
    told = judge_and_hold(window, rows, interval_seconds=INTERVAL, alone=alone).partitions
    assert told.layout is group
    assert told.numbers.known.all()
    return [PartitionVerdict(value) for value in told.numbers.values.tolist()]


@pytest.mark.parametrize("case", CASES, ids=[case.sentence for case in CASES])
def test_a_partition_s_verdict(case: Case) -> None:
    assert judged({"g": case}) == [case.expected], case.sentence


def test_the_verdicts_of_all_positions_come_in_one_go() -> None:
    cases = {f"g{number:02}": case for number, case in enumerate(CASES)}
    expected = {case.sentence: case.expected for case in CASES}
    assert dict(zip(expected, judged(cases), strict=True)) == expected
    assert set(expected.values()) == set(PartitionVerdict), "each of them is among the cases"


def test_partitions_of_one_group_each_have_their_own() -> None:
    layout, topic = Layout.build({"g": [("t", p) for p in range(4)]}), Layout.of_topics({"t": range(4)})
    window = Window()
    for row in range(ROWS):
        commits = Column(layout, Numbers.of([7, 50 * row, NO_COMMIT, 40 * row]))
        window.push(1_000.0 + 5 * row, commits, Column(topic, Numbers.of([10 + 50 * row, 50 * row, 7, 40 + 400 * row])))
    told = judge_and_hold(window, {"g": GroupRow("g", GroupType.CLASSIC, 4)}, interval_seconds=INTERVAL)
    found = [PartitionVerdict(value) for value in told.partitions.numbers.values.tolist()]
    assert found == [V.NO_PROGRESS, V.OK, V.NO_COMMIT, V.FALLING_BEHIND]


def test_who_reads_alone_and_is_not_answered_in_part_is_not_nobody() -> None:
    """The group is unknown then; where it is answered, it is known what it does."""
    layout, topic = Layout.build({"g": [("t", 0), ("t", 1)]}), Layout.of_topics({"t": [0, 1]})
    window, habits = Window(), dict[str, Habit]()
    for row in range(ROWS):
        commits = Column(layout, Numbers.of([50 * row, 50 * row if row < ROWS - 1 else None]))
        window.push(1_000.0 + 5 * row, commits, Column(topic, Numbers.of([50 * row, 50 * row])))
        habits = habits_after(habits, window, simple={"g"}, interval_seconds=INTERVAL)
    row_of = GroupRow("g", GroupType.CLASSIC, 0, is_simple=True)
    there = read_alone(habits, interval_seconds=INTERVAL)
    alone = {name: Alone(patience) for name, patience in there.items()}
    told = judge_and_hold(window, {"g": row_of}, interval_seconds=INTERVAL, alone=alone)
    assert told.verdicts.numbers.values.tolist() == [int(Verdict.UNKNOWN)]
    assert told.partitions.numbers.values.tolist() == [int(V.OK), int(V.UNKNOWN)]


def test_without_a_sample_nothing_is_known() -> None:
    window = Window()
    window.layout = Layout.build({"g": [("t", 0)]})
    told = judge_and_hold(window, {"g": GroupRow("g", GroupType.CLASSIC, 1)}, interval_seconds=INTERVAL)
    assert told.partitions.numbers.values.tolist() == [int(V.UNKNOWN)]


def test_stored_numbers_are_those_of_groups_where_the_word_is_the_same() -> None:
    shared = {verdict.name for verdict in Verdict} & {verdict.name for verdict in PartitionVerdict}
    assert {PartitionVerdict[name].value for name in shared} == {Verdict[name].value for name in shared}
    assert set(PartitionVerdict.__members__) - shared == {"NO_COMMIT"}
    assert {verdict.word: int(verdict) for verdict in PartitionVerdict} == {
        "ok": 0, "unknown": 1, "not_committing": 2, "no_members": 3, "falling_behind": 4, "no_progress": 5,
        "catching_up": 6, "rewound": 7, "losing_data": 9, "unowned": 10, "no_commit": 100,
    }  # fmt: skip


@pytest.mark.parametrize("stored", [None, 8, 57, 1000, -1])
def test_a_number_that_is_not_known_says_nothing(stored: int | None) -> None:
    assert PartitionVerdict.of(stored) is V.UNKNOWN


def test_what_a_rewound_partition_still_has_to_read_is_no_pace_of_it() -> None:
    """Two are rewound one after the other; while one is read again, the lag of the other climbs."""
    layout, topic = Layout.build({"g": [("t", 0), ("t", 1)]}), Layout.of_topics({"t": [0, 1]})
    window = Window()
    for row in range(ROWS):
        first = 9_000 + 50 * row if row < 10 else 2_000 + 20 * row
        second = 9_000 + 50 * row if row < 10 else 2_000 + 400 * (row - 10)
        ends = Column(topic, Numbers.of([9_020 + 50 * row, 9_020 + 50 * row]))
        window.push(1_000.0 + 5 * row, Column(layout, Numbers.of([first, second])), ends)
    told = judge_and_hold(window, {"g": GroupRow("g", GroupType.CLASSIC, 1)}, interval_seconds=INTERVAL)
    assert Verdict(int(told.verdicts.numbers.values[0])) is Verdict.REWOUND
    assert [V(value) for value in told.partitions.numbers.values.tolist()] == [V.REWOUND, V.REWOUND]
