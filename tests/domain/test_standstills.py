"""A standstill that was told is held until it ends, however long ago the last record came."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from collectors.domain.explanations import explain
from collectors.domain.heads import NO_RECORDS
from collectors.domain.numbers import NO_COMMIT, Column, Layout, Numbers
from collectors.domain.partitions import PartitionVerdict
from collectors.domain.standstills import Told, judge_and_hold, stored_standstills
from collectors.domain.topology import GroupType
from collectors.domain.verdicts import GroupRow, Verdict
from collectors.domain.window import LENGTH, Window

INTERVAL, START = 5.0, 1_790_000_000.0
V = Verdict
Part = PartitionVerdict
LONG = LENGTH + 6
"""Cycles after which the window holds nothing of what was before."""


@dataclass
class Scene:
    """A group of two partitions; partition 0 is read up to 100 and then no more, while 150 are written there."""

    partitions: int = 1
    members: int | None = 2
    is_storm: bool = False
    kind: GroupType = GroupType.CLASSIC
    window: Window = field(default_factory=Window)
    stood: Column | None = None
    heads: Column | None = None
    told: list[Verdict] = field(default_factory=list)
    partition_verdicts: list[PartitionVerdict] = field(default_factory=list)  # of the newest cycle
    committed: list[int | None] = field(default_factory=lambda: [100, 500])
    end: list[int | None] = field(default_factory=lambda: [100, 500])
    now: float = START

    @property
    def layout(self) -> Layout:
        return Layout.build({"g": [("t", p) for p in range(self.partitions)]})

    @property
    def row(self) -> GroupRow:
        return GroupRow("g", self.kind, self.members, is_storm=self.is_storm)

    def go(self, cycles: int, *, come: tuple[int, int] = (0, 0), read: tuple[int, int] = (0, 0)) -> Verdict:
        """So many cycles, in which records come to each partition and are read."""
        for _ in range(cycles):
            self.now += INTERVAL
            for p in range(self.partitions):
                end, committed = self.end[p], self.committed[p]
                self.end[p] = None if end is None else end + come[p]
                self.committed[p] = None if committed is None else committed + read[p]
            topic = Layout.of_topics({"t": range(self.partitions)})
            committed_column = Column(self.layout, Numbers.of(self.committed[: self.partitions]))
            end_column = Column(topic, Numbers.of(self.end[: self.partitions]))
            self.window.push(self.now, committed_column, end_column)
            told = judge_and_hold(
                self.window, {"g": self.row}, interval_seconds=INTERVAL, stood=self.stood, heads=self.heads
            )
            self.stood = told.stood
            self.told.append(Verdict(int(told.verdicts.numbers.values[0])))
            self.partition_verdicts = [PartitionVerdict(value) for value in told.partitions.numbers.values.tolist()]
        return self.told[-1]

    def stand(self, *, lag: int = 50) -> Scene:
        self.go(3)
        assert self.go(6, come=(lag // 5, 0)) is V.NO_PROGRESS
        return self


def test_a_group_that_stands_still_does_so_when_no_more_records_come() -> None:
    scene = Scene().stand()
    assert scene.go(2 * LONG) is V.NO_PROGRESS
    assert set(scene.told[-2 * LONG :]) == {V.NO_PROGRESS}
    finding = explain(scene.row, scene.window, verdict=V.NO_PROGRESS, now=scene.now, since=START + 15)
    assert finding.sentence.startswith("No progress since ")
    assert "none of 60 waiting records read, 1 of 1 partition stand still" in finding.sentence
    assert finding.since == START + 15
    assert "t-0: 23 samples at offset 100 while 0 records arrived" in finding.evidence
    assert scene.partition_verdicts == [PartitionVerdict.NO_PROGRESS]


def test_it_is_over_with_the_first_commit_that_moves() -> None:
    scene = Scene().stand()
    scene.go(LONG)
    assert scene.go(1, read=(1, 0)) is V.OK
    assert scene.go(LONG) is V.OK, "what is left waits for nothing that was told"


def test_it_is_over_when_nothing_waits() -> None:
    scene = Scene().stand()
    scene.go(LONG)
    scene.end[0] = 100  # the log was cut off
    assert scene.go(1) is V.OK


def test_who_goes_is_no_standstill() -> None:
    scene = Scene().stand()
    scene.go(LONG)
    scene.members = 0
    assert scene.go(1) is V.NO_MEMBERS
    scene.members = 2
    assert scene.go(1) is V.OK, "another reader, of which nothing was told"


def test_a_partition_that_stands_still_does_so_while_another_is_read() -> None:
    scene = Scene(partitions=2).stand()
    assert scene.go(LONG, come=(0, 50), read=(0, 50)) is V.NO_PROGRESS
    scene.end[1] = 40_000
    assert scene.go(LONG, come=(0, 30), read=(0, 400)) is V.NO_PROGRESS, "another's backlog gets less"
    assert scene.partition_verdicts == [PartitionVerdict.NO_PROGRESS, PartitionVerdict.CATCHING_UP]


@pytest.mark.parametrize(
    ("head", "expected"), [(NO_RECORDS, PartitionVerdict.OK), (None, PartitionVerdict.NO_PROGRESS)]
)
def test_what_waited_all_the_time_stands_still_with_the_group_unless_it_is_markers(
    head: int | None, expected: PartitionVerdict
) -> None:
    scene = Scene(partitions=2)
    scene.end[1] = 505
    scene.stand()
    scene.heads = Column(scene.layout, Numbers.of([None, head]))
    assert scene.go(LONG) is V.NO_PROGRESS
    assert scene.partition_verdicts == [PartitionVerdict.NO_PROGRESS, expected]
    assert scene.go(1, read=(60, 0)) is V.OK
    assert scene.partition_verdicts == [PartitionVerdict.OK, PartitionVerdict.OK]


def test_a_partition_that_waited_all_the_time_is_no_reason_to_hold_what_was_told_of_another() -> None:
    scene = Scene(partitions=2)
    scene.end[1] = 505  # nobody needs these, or they are markers
    scene.stand()
    scene.go(LONG)
    assert scene.go(1, read=(60, 0)) is V.OK


def test_who_was_never_told_to_stand_still_is_quiet() -> None:
    scene = Scene()
    scene.end[0] = 180
    assert scene.go(LONG) is V.OK
    finding = explain(scene.row, scene.window, verdict=V.OK, now=scene.now)
    assert finding.sentence == "Quiet: nothing arrives and none of 80 waiting records is read"


def test_cycles_without_an_answer_end_no_standstill() -> None:
    scene = Scene().stand()
    scene.go(LONG)
    scene.committed[0] = None
    assert scene.go(3) is V.UNKNOWN
    scene.committed[0] = 100
    assert scene.go(1) is V.NO_PROGRESS


@pytest.mark.parametrize("moved", [0, 7])
@pytest.mark.parametrize("is_rebuilt", [True, False])
def test_it_goes_on_after_a_restart_unless_something_was_read_meanwhile(moved: int, is_rebuilt: bool) -> None:
    before = Scene().stand()
    before.go(LONG)
    verdicts = Column(Layout.single(["g"]), Numbers.of([int(V.NO_PROGRESS)]))
    committed = Column(before.layout, Numbers.of([100]))
    after = Scene(end=before.end, committed=[100 + moved, 500], now=before.now)
    if is_rebuilt:
        after.window = before.window
    after.stood = stored_standstills(verdicts, committed)
    first = after.go(1)
    assert (first is V.NO_PROGRESS) is (moved == 0)
    assert (after.go(LONG) is V.NO_PROGRESS) is (moved == 0)
    if not is_rebuilt and not moved:
        young = Scene(end=before.end)
        young.go(1)
        finding = explain(after.row, young.window, verdict=V.NO_PROGRESS, now=after.now, since=START)
        assert "none of 60 waiting records read" in finding.sentence, "also with one sample"


def test_only_groups_that_stood_still_are_remembered_and_no_position_without_a_commit() -> None:
    layout = Layout.build({"a": [("t", 0), ("t", 1)], "b": [("t", 0)]})
    verdicts = Column(Layout.single(["a", "b", "c"]), Numbers.of([int(V.NO_PROGRESS), int(V.OK), int(V.NO_PROGRESS)]))
    stored = stored_standstills(verdicts, Column(layout, Numbers.of([7, NO_COMMIT, 7])))
    assert stored.numbers.known.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("what", "lag", "head", "is_held"),
    [
        ("only markers wait", 5, NO_RECORDS, False),
        ("a record waits", 5, 1_700_000_000_000, True),
        ("one record, as was seen", 1, 1_700_000_000_000, True),
        ("one offset that nobody has looked at", 1, None, False),
        ("five that nobody has looked at", 5, None, True),
        ("more than markers can be", 50, NO_RECORDS, True),
    ],
)
def test_markers_are_nothing_that_stands_still(what: str, lag: int, head: int | None, is_held: bool) -> None:
    scene = Scene()
    scene.go(3)
    scene.end[0] = 100 + lag
    scene.go(5)
    assert V.NO_PROGRESS in scene.told, what
    scene.heads = Column(scene.layout, Numbers.of([head]))
    assert (scene.go(LONG) is V.NO_PROGRESS) is is_held, what


def test_what_retention_has_deleted_is_nothing_that_waits() -> None:
    scene = Scene().stand()
    scene.go(LONG)
    scene.window.push(
        scene.now + 5,
        Column(scene.layout, Numbers.of([100])),
        Column(Layout.of_topics({"t": [0]}), Numbers.of([160])),
        start=Column(Layout.of_topics({"t": [0]}), Numbers.of([160])),
    )
    told = judge_and_hold(scene.window, {"g": scene.row}, interval_seconds=INTERVAL, stood=scene.stood)
    assert told.stood is None


def test_a_cycle_without_an_answer_ends_no_standstill_whatever_is_told_meanwhile() -> None:
    scene = Scene().stand()
    scene.go(LONG)
    end, scene.end[0] = scene.end[0], None
    scene.is_storm = True
    assert scene.go(1) is V.REBALANCING
    scene.end[0], scene.is_storm = end, False
    assert scene.go(1) is V.NO_PROGRESS


def test_after_a_restart_only_those_partitions_stand_that_were_told_to() -> None:
    layout = Layout.build({"a": [("t", 0), ("t", 1)], "b": [("t", 0), ("t", 1)], "c": [("t", 0)]})
    told = [int(one) for one in (V.NO_PROGRESS, V.NOT_COMMITTING, V.OK)]
    verdicts = Column(Layout.single(["a", "b", "c"]), Numbers.of(told))
    committed = Column(layout, Numbers.of([7, 7, NO_COMMIT, NO_COMMIT, 7]))
    partitions = [Part.NO_PROGRESS, Part.OK, Part.NOT_COMMITTING, Part.NO_COMMIT, Part.NO_PROGRESS]
    stored = stored_standstills(verdicts, committed, Column(layout, Numbers.of([int(one) for one in partitions])))
    assert stored.numbers.known.tolist() == [True, False, True, False, False], "the third group was told to be well"
    # of an older layout: what it does not hold was not told
    older = Layout.build({"a": [("t", 1)], "b": [("t", 0)]})
    stored = stored_standstills(verdicts, committed, Column(older, Numbers.of([int(Part.NO_PROGRESS)] * 2)))
    assert stored.numbers.known.tolist() == [False, True, False, False, False]


def test_trends_of_partitions_are_told_as_steadily_as_those_of_groups() -> None:
    layout, group = Layout.build({"g": [("t", 0), ("t", 1)]}), Layout.single(["g"])

    def told(*partitions: PartitionVerdict) -> Told:
        parts = Column(layout, Numbers.of([int(one) for one in partitions]))
        return Told(Column(group, Numbers.of([int(V.OK)])), parts, None)

    trend, calm = told(Part.FALLING_BEHIND, Part.NO_COMMIT), told(Part.OK, Part.OK)
    assert calm.steadied(trend, trend).partitions.numbers.values.tolist() == [Part.FALLING_BEHIND, Part.OK]
    assert calm.steadied(calm, trend).partitions.numbers.values.tolist() == [Part.OK, Part.OK]


def test_a_standstill_follows_its_position_into_another_layout() -> None:
    scene = Scene().stand()
    scene.go(LONG)
    scene.partitions = 2
    scene.end[1] = 500
    assert scene.go(LONG) is V.NO_PROGRESS


def test_a_share_group_whose_place_is_corrected_downwards_stands_still_on() -> None:
    scene = Scene(kind=GroupType.SHARE).stand()
    scene.go(LONG)
    assert scene.go(1, read=(-3, 0)) is V.NO_PROGRESS
    assert scene.go(LONG) is V.NO_PROGRESS


def test_members_that_came_later_than_now_by_a_clock_that_was_set_back_are_judged_as_ever() -> None:
    scene = Scene().stand()
    for later in (0.0, 3600.0):
        row = GroupRow("g", GroupType.CLASSIC, 2, members_since=START + later)
        told = judge_and_hold(scene.window, {"g": row}, interval_seconds=INTERVAL)
        assert Verdict(int(told.verdicts.numbers.values[0])) is V.NO_PROGRESS, later
