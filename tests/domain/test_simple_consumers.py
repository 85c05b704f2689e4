"""Who commits without being a member is judged by its commits, and is nobody when these stop."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from collectors.domain.explanations import explain
from collectors.domain.numbers import Column, Layout, Numbers
from collectors.domain.partitions import PartitionVerdict
from collectors.domain.rounds import Alone
from collectors.domain.simple_consumers import Habit, habits_after, read_alone
from collectors.domain.standstills import judge_and_hold
from collectors.domain.topology import Group, GroupType, Member
from collectors.domain.verdicts import GroupRow, Verdict
from collectors.domain.window import Window

INTERVAL, START = 5.0, 1_790_000_000.0
V = Verdict
Line = list[int]


def rising(count: int, step: int, first: int = 0) -> Line:
    return [first + step * i for i in range(count)]


@dataclass(frozen=True)
class Case:
    sentence: str
    expected: Verdict
    parts: list[tuple[Line, Line]]  # (commits, log ends) of each partition
    is_simple: bool = True
    interval: float = INTERVAL

    def window(self) -> tuple[Window, dict[str, Alone]]:
        """With who reads alone, as the collector sees it sample by sample."""
        group = Layout.build({"g": [("t", p) for p in range(len(self.parts))]})
        topic = Layout.of_topics({"t": range(len(self.parts))})
        window, habits = Window(), dict[str, Habit]()
        simple = {"g"} if self.is_simple else set()
        for row in range(len(self.parts[0][0])):
            commits = Numbers.of([own[row] for own, _ in self.parts])
            ends = Numbers.of([end[row] for _, end in self.parts])
            window.push(START + row * self.interval, Column(group, commits), Column(topic, ends))
            habits = habits_after(habits, window, simple=simple, interval_seconds=self.interval)
        there = read_alone(habits, interval_seconds=self.interval)
        return window, {name: Alone(patience) for name, patience in there.items()}

    @property
    def row(self) -> GroupRow:
        return GroupRow("g", GroupType.CLASSIC, 0, is_simple=self.is_simple)


READS = (rising(24, 50), rising(24, 50, 20))


def stopped(rows: int) -> tuple[Line, Line]:
    """Read until `rows` samples before the newest."""
    return [*rising(24 - rows, 50), *[50 * (23 - rows)] * rows], rising(24, 50, 20)


CASES = [
    Case("its commits move: it keeps up", V.OK, [READS]),
    Case("members that have just left are nobody", V.NO_MEMBERS, [READS], is_simple=False),
    Case("it reads less than comes", V.FALLING_BEHIND, [(rising(24, 300), rising(24, 500, 500))]),
    Case("it works off a backlog", V.CATCHING_UP, [(rising(24, 400), rising(24, 30, 11_000))]),
    Case("its commits stopped ten seconds ago: too soon to say", V.OK, [stopped(2)]),
    Case("they stopped half a minute ago: nobody reads", V.NO_MEMBERS, [stopped(7)]),
    Case("they stopped and nothing came since: it has read all", V.OK, [([*rising(12, 50), *[600] * 12],) * 2]),
    Case("the first record after a pause came just now", V.OK,
         [([*rising(12, 50), *[550] * 12], [*rising(12, 50), *[550] * 11, 551])]),
    Case("one of its partitions stands still", V.NO_PROGRESS, [READS, ([7] * 24, rising(24, 50, 20))]),
    Case("a marker lies in one of its partitions", V.OK, [READS, ([7] * 24, [8] * 24)]),
    Case("a tool set its offset once", V.NO_MEMBERS, [([*[0] * 20, *[900] * 4], rising(24, 5, 900))]),
    Case("a tool set it back", V.NO_MEMBERS, [([*[900] * 8, *[500] * 8, *[100] * 8], rising(24, 50, 900))]),
    Case("no commit ever moved", V.NO_MEMBERS, [([0] * 24, rising(24, 50, 20))]),
    Case("it commits each 40 s, and 35 s ago the last time", V.OK,
         [([*[0] * 1, *[400] * 8, *[800] * 8, *[1200] * 7], rising(24, 0, 1200))]),
    Case("it commits each 40 s, and records come all the time", V.OK,
         [([0, *[50] * 8, *[450] * 8, *[850] * 7], rising(24, 50))]),
    Case("asked each minute, it moves each time", V.OK, [READS], interval=60.0),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.sentence for case in CASES])
def test_a_simple_consumer(case: Case) -> None:
    window, alone = case.window()
    told = judge_and_hold(window, {"g": case.row}, interval_seconds=case.interval, alone=alone)
    verdict = Verdict(int(told.verdicts.numbers.values[0]))
    assert verdict is case.expected, case.sentence
    finding = explain(case.row, window, verdict=verdict, now=START + 200)
    said = "a simple consumer: it commits without joining a group"
    assert (said in finding.evidence) is (case.expected is not V.NO_MEMBERS)
    assert "members" not in finding.cause or case.expected is V.NO_MEMBERS
    found = {PartitionVerdict(value) for value in told.partitions.numbers.values.tolist()}
    if case.expected is V.NO_MEMBERS:
        assert found == {PartitionVerdict.NO_MEMBERS}
    else:
        assert PartitionVerdict(int(case.expected)) in found
        assert PartitionVerdict.NO_MEMBERS not in found


def test_only_a_group_that_nobody_ever_joined_is_of_a_simple_consumer() -> None:
    simple = Group("g", GroupType.CLASSIC, "Empty")
    assert simple.is_simple
    assert not replace(simple, protocol_type="consumer").is_simple, "its members have left"
    assert not replace(simple, type=GroupType.CONSUMER).is_simple
    assert not replace(simple, state="Dead").is_simple
    assert not replace(simple, error="not listed").is_simple
    assert not replace(simple, members=(Member("m", "m", "h", None, ()),)).is_simple
