"""A simple consumer that commits more seldom than the window is long is there while its own pauses say so."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from collectors.alone import ReadAlone
from collectors.domain.numbers import Column, Layout, Numbers
from collectors.domain.partitions import PartitionVerdict
from collectors.domain.rounds import Alone
from collectors.domain.simple_consumers import LONGEST_SECONDS, SIMPLE_PAUSES, habit_of
from collectors.domain.standstills import judge_and_hold
from collectors.domain.topology import GroupType
from collectors.domain.verdicts import GroupRow, Verdict
from collectors.domain.window import Window

INTERVAL, START = 5.0, 1_790_000_000.0
V = Verdict
LAYOUT = Layout.build({"g": [("t", 0), ("t", 1)]})
TOPIC = Layout.of_topics({"t": [0, 1]})
ALONE = GroupRow("g", GroupType.CLASSIC, 0, is_simple=True)


@dataclass
class Scene:
    """40 records a cycle come to each of two partitions, and all of them are committed each `pause` seconds."""

    row: GroupRow = ALONE
    window: Window = field(default_factory=Window)
    reader: ReadAlone = field(default_factory=lambda: ReadAlone(INTERVAL))
    alone: dict[str, Alone] = field(default_factory=dict)  # as last looked
    stood: Column | None = None
    now: float = START
    end: int = 0
    committed: int | None = 0
    second: int | None = 0  # of partition 1, where it is committed later
    is_spread: bool = False
    told: list[Verdict] = field(default_factory=list)
    partitions: set[PartitionVerdict] = field(default_factory=set)  # all that was told of them

    def go(self, seconds: float, *, pause: float | None, come: int = 40, spread: int = 0) -> list[Verdict]:
        """What is told in so many seconds; `spread`: partition 1 is committed so many cycles later."""
        before = len(self.told)
        self.is_spread |= spread > 0
        for _ in range(round(seconds / INTERVAL)):
            self.now += INTERVAL
            self.end += come
            if pause is not None and (self.now - START) % pause < INTERVAL:
                self.committed = self.end
            if pause is not None and (self.now - START - spread * INTERVAL) % pause < INTERVAL:
                self.second = self.committed
            self.sample([self.committed, self.second if self.is_spread else self.committed])
        return self.told[before:]

    def sample(self, committed: list[int | None]) -> None:
        self.window.push(
            self.now, Column(LAYOUT, Numbers.of(committed)), Column(TOPIC, Numbers.of([self.end, self.end]))
        )
        self.alone = self.reader.look(self.window, {"g": self.row})
        told = judge_and_hold(
            self.window, {"g": self.row}, interval_seconds=INTERVAL, stood=self.stood, alone=self.alone
        )
        self.stood = told.stood
        self.partitions |= {PartitionVerdict(value) for value in told.partitions.numbers.values.tolist()}
        self.told.append(Verdict(int(told.verdicts.numbers.values[0])))


@pytest.mark.slow
@pytest.mark.parametrize("pause", [15.0, 45.0, 60.0, 75.0, 90.0, 115.0, 120.0, 150.0, 300.0, 500.0])
@pytest.mark.parametrize("spread", [0, 2])
def test_who_commits_seldom_is_told_the_same_all_the_time(pause: float, spread: int) -> None:
    scene = Scene()
    scene.go(2 * pause + 3 * INTERVAL, pause=pause, spread=spread)
    scene.partitions.clear()
    assert set(scene.go(4 * pause + 120, pause=pause, spread=spread)) == {V.OK}
    assert scene.partitions == {PartitionVerdict.OK}


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0, 2])
@pytest.mark.parametrize("pause", [10.0, 60.0, 90.0, 300.0])
def test_who_has_stopped_is_found_after_its_patience(pause: float, spread: int) -> None:
    scene = Scene()
    scene.go(4 * pause, pause=pause, spread=spread)
    at = scene.now
    assert scene.told[-1] is V.OK
    patience = max(30.0, SIMPLE_PAUSES * pause)
    told = scene.go(patience + 60, pause=None)
    until = next(i for i, verdict in enumerate(told) if verdict is V.NO_MEMBERS) * INTERVAL
    assert patience - pause <= until <= patience + 2 * INTERVAL, (at, until)
    assert V.NO_PROGRESS not in told
    assert set(told[round(until / INTERVAL) :]) == {V.NO_MEMBERS}


@pytest.mark.slow
@pytest.mark.parametrize("pause", [40.0, 60.0, 90.0, 300.0])
def test_a_checkpoint_that_fails_is_no_end(pause: float) -> None:
    scene = Scene()
    scene.go(4 * pause, pause=pause)
    told = scene.go(pause, pause=None) + scene.go(3 * pause, pause=pause)
    assert set(told) == {V.OK}


@pytest.mark.slow
def test_a_silent_night_is_no_end() -> None:
    scene = Scene()
    scene.go(900, pause=90)
    scene.committed = scene.end
    assert set(scene.go(2 * LONGEST_SECONDS, pause=None, come=0)) == {V.OK}
    assert set(scene.go(900, pause=90)) == {V.OK}


@pytest.mark.slow
def test_one_movement_is_a_tool_s_and_so_is_one_after_it_had_stopped() -> None:
    scene = Scene()
    scene.go(60, pause=None)
    scene.committed = scene.end
    assert set(scene.go(2000, pause=None)) == {V.NO_MEMBERS}
    scene.go(200, pause=50)
    assert scene.told[-1] is V.OK
    scene.go(300, pause=None)
    scene.committed = scene.end
    assert set(scene.go(300, pause=None)) == {V.NO_MEMBERS}, "people stop a reader to set its offsets"


def test_who_has_read_all_is_there_until_something_waits_for_longer_than_it_pauses() -> None:
    scene = Scene()
    scene.go(200, pause=10)
    scene.committed = scene.end
    assert set(scene.go(600, pause=None, come=0)) == {V.OK}
    told = scene.go(60, pause=None)
    assert told[3] is V.OK
    assert told[-1] is V.NO_MEMBERS


@pytest.mark.slow
def test_nobody_is_there_after_half_an_hour_whatever_its_pauses_were() -> None:
    scene = Scene()
    scene.go(4 * 1500, pause=1500)
    assert scene.told[-1] is V.OK
    told = scene.go(LONGEST_SECONDS + 60, pause=None)
    assert told[round(1500 / INTERVAL)] is V.OK
    assert told[-1] is V.NO_MEMBERS
    assert scene.alone == {}


def test_a_pause_that_it_made_once_is_forgotten() -> None:
    habit = habit_of([0.0, 10.0, 300.0, 310.0])
    assert habit is not None
    assert habit.patience(interval_seconds=INTERVAL) == SIMPLE_PAUSES * 290
    assert habit.moved(300 + 3 * 290 + 1, is_after_gap=True).patience(interval_seconds=INTERVAL) == 30.0
    assert habit.moved(2000.0, is_after_gap=True).pauses == (), "and nobody knows how long a gap was paused"


def test_a_record_after_a_silence_waits_for_the_next_commit_as_those_before_it() -> None:
    scene = Scene()
    scene.go(360, pause=90)
    assert scene.told[-1] is V.OK
    assert set(scene.go(360, pause=90, come=0) + scene.go(360, pause=90)) == {V.OK}


def test_cycles_without_an_answer_hide_no_movement() -> None:
    scene = Scene()
    scene.go(60, pause=None)
    scene.sample([0, 0])
    for commits in ([None, None], [None, None], [300, 300], [None, 300], [320, 320]):
        assert scene.alone == {}
        scene.now += INTERVAL
        scene.sample(list(commits))
    assert "g" in scene.alone


def test_what_is_not_described_for_a_moment_is_remembered_and_who_was_joined_is_not() -> None:
    scene = Scene()
    scene.go(900, pause=300)
    scene.row = GroupRow("g", GroupType.CLASSIC, None)
    assert set(scene.go(30, pause=300)) == {V.UNKNOWN}
    scene.row = ALONE
    assert set(scene.go(30, pause=300)) == {V.OK}
    scene.row = GroupRow("g", GroupType.CLASSIC, 1)
    scene.go(5, pause=300)
    assert scene.alone == {}


def test_habits_follow_a_clock_that_was_set() -> None:
    habit = habit_of([0.0, 90.0, 180.0])
    assert habit is not None
    moved = habit.later(3600.0)
    assert (moved.moved_at, moved.answered_at, moved.pauses[-1]) == (3780.0, 3780.0, (3780.0, 90.0))


def test_a_group_whose_offsets_are_all_gone_is_judged_without_any() -> None:
    scene = Scene()
    scene.go(200, pause=15.0)
    alone = scene.reader.look(scene.window, {"g": scene.row})
    assert "g" in alone
    empty = Window()
    for number in range(5):
        ends = Column(TOPIC, Numbers.of([scene.end, scene.end]))
        empty.push(scene.now + number * INTERVAL, Column(Layout.build({"g": []}), Numbers.unknown(0)), ends)
    told = judge_and_hold(empty, {"g": scene.row}, interval_seconds=INTERVAL, alone=alone)
    assert len(told.verdicts.numbers) == 1
    assert len(told.partitions.numbers) == 0


def test_who_is_not_described_for_a_moment_is_not_told_to_stand_still() -> None:
    reader = ReadAlone(INTERVAL)
    window, end, committed = Window(), 0, 0
    stood: Column | None = None
    told: list[Verdict] = []
    for number in range(150):
        now, end = START + number * INTERVAL, end + 40
        committed = end if number % 36 == 0 else committed  # each three minutes
        window.push(now, Column(LAYOUT, Numbers.of([committed] * 2)), Column(TOPIC, Numbers.of([end] * 2)))
        row = replace(ALONE, members=None, is_simple=False) if number == 130 else ALONE
        found = judge_and_hold(
            window, {"g": row}, interval_seconds=INTERVAL, stood=stood, alone=reader.look(window, {"g": row})
        )
        stood = found.stood
        told.append(Verdict(int(found.verdicts.numbers.values[0])))
    assert set(told[75:130] + told[131:]) == {V.OK}
    assert told[130] in (V.OK, V.UNKNOWN)
