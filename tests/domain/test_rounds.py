"""What a reader does that commits more seldom than a window is long is told by what its rounds leave unread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pytest

from collectors.alone import ReadAlone
from collectors.domain.explanations import Finding, explain
from collectors.domain.numbers import NO_COMMIT, Column, Layout, Numbers
from collectors.domain.partitions import PartitionVerdict
from collectors.domain.rounds import KEPT_ROUNDS, Round, Rounds
from collectors.domain.standstills import judge_and_hold
from collectors.domain.topology import GroupType
from collectors.domain.verdicts import GroupRow, Verdict
from collectors.domain.window import Window

INTERVAL, START = 5.0, 1_790_000_000.0
V, P = Verdict, PartitionVerdict
ALONE = GroupRow("g", GroupType.CLASSIC, 0, is_simple=True)
COMES = 200
"""Records a sample and partition: 40 a second."""


@dataclass
class Flink:
    """Three partitions, committed at each checkpoint as far as they were read when it began."""

    pause: float
    takes: float = 10.0  # seconds from the beginning of a checkpoint to its commit
    parts: int = 3
    window: Window = field(default_factory=Window)
    reader: ReadAlone = field(default_factory=lambda: ReadAlone(INTERVAL))
    stood: Column | None = None
    now: float = START
    ends: list[int] = field(default_factory=list)
    read: list[float] = field(default_factory=list)
    commits: list[int] = field(default_factory=list)
    due: list[int] | None = None
    told: list[Verdict] = field(default_factory=list)
    partitions: list[list[PartitionVerdict]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ends, self.commits, self.read = [1000] * self.parts, [1000] * self.parts, [1000.0] * self.parts

    def go(
        self,
        pauses: float,
        *,
        reads: Callable[[int], float] = lambda _: COMES,
        comes: Callable[[int], int] = lambda _: COMES,
        answers: Callable[[int], bool] = lambda _: True,
    ) -> list[Verdict]:
        """So many pauses; what each partition reads, and gets, a sample; which is answered for."""
        before = len(self.told)
        for _ in range(round(pauses * self.pause / INTERVAL)):
            self.now += INTERVAL
            for p in range(self.parts):
                self.ends[p] += comes(p)
                self.read[p] = min(self.ends[p], self.read[p] + reads(p) + 1e-6)
            since = (self.now - START) % self.pause
            if since < INTERVAL:
                self.due = [int(own) for own in self.read]
            if self.due is not None and since >= self.takes:
                self.commits, self.due = self.due, None
            self._sample([commit if answers(p) else None for p, commit in enumerate(self.commits)])
        return self.told[before:]

    def _sample(self, commits: list[int | None]) -> None:
        group = Layout.build({"g": [("t", p) for p in range(self.parts)]})
        topic = Layout.of_topics({"t": range(self.parts)})
        self.window.push(self.now, Column(group, Numbers.of(commits)), Column(topic, Numbers.of(list(self.ends))))
        alone = self.reader.look(self.window, {"g": ALONE})
        told = judge_and_hold(self.window, {"g": ALONE}, interval_seconds=INTERVAL, stood=self.stood, alone=alone)
        self.stood = told.stood
        self.told.append(Verdict(int(told.verdicts.numbers.values[0])))
        self.partitions.append([P(value) for value in told.partitions.numbers.values.tolist()])


PAUSES = pytest.mark.parametrize("pause", [90.0, 300.0])
slow = pytest.mark.slow


@slow
@PAUSES
def test_one_partition_that_is_not_read_is_told_after_two_rounds_that_it_missed_and_until_it_moves(
    pause: float,
) -> None:
    scene = Flink(pause)
    scene.go(6)
    assert scene.told[-1] is V.OK
    told = scene.go(4, reads=lambda p: 0 if p == 1 else COMES)
    first = told.index(V.NO_PROGRESS) * INTERVAL
    assert 1.5 * pause < first < 3.7 * pause
    assert set(told[: told.index(V.NO_PROGRESS)]) == {V.OK}
    assert set(told[told.index(V.NO_PROGRESS) :]) == {V.NO_PROGRESS}
    assert scene.partitions[-1] == [P.OK, P.NO_PROGRESS, P.OK]
    told = scene.go(1.9, reads=lambda _: 1000 * COMES)
    assert told[-1] in (V.OK, V.CATCHING_UP)
    assert scene.partitions[-1][1] in (P.OK, P.CATCHING_UP)


def test_one_partition_that_is_not_read_is_told_also_when_no_more_comes_there_and_once_read_is_not_told_behind() -> (
    None
):
    scene = Flink(90.0)
    scene.go(6)
    assert scene.told[-1] is V.OK
    scene.go(1, reads=lambda p: 0 if p == 1 else COMES)
    told = scene.go(4, reads=lambda p: 0 if p == 1 else COMES, comes=lambda p: 0 if p == 1 else COMES)
    assert set(told[: told.index(V.NO_PROGRESS)]) == {V.OK}
    assert set(told[told.index(V.NO_PROGRESS) :]) == {V.NO_PROGRESS}
    assert scene.partitions[-1] == [P.OK, P.NO_PROGRESS, P.OK]


def test_who_has_read_what_climbed_is_not_told_to_fall_behind_until_the_round_is_over() -> None:
    scene = Flink(90.0)
    scene.go(6)
    scene.go(9, reads=lambda p: 0 if p == 1 else COMES)
    assert scene.told[-1] is V.NO_PROGRESS
    told = scene.go(2, reads=lambda _: 1000 * COMES)
    assert set(told[told.index(V.OK) :]) == {V.OK}


@slow
@PAUSES
def test_a_reader_that_is_too_slow_falls_behind_and_when_it_is_not_catches_up(pause: float) -> None:
    scene = Flink(pause)
    scene.go(6)
    told = scene.go(6, reads=lambda _: 0.7 * COMES)
    begins = told.index(V.FALLING_BEHIND)
    assert begins * INTERVAL < 4.7 * pause
    assert set(told[:begins]) == {V.OK}
    assert set(told[begins:]) == {V.FALLING_BEHIND}, "also between two of its commits"
    assert scene.partitions[-1] == [P.FALLING_BEHIND] * 3
    told = scene.go(6, reads=lambda _: 1.1 * COMES)
    assert V.CATCHING_UP in told
    assert told[-1] is V.CATCHING_UP
    told = scene.go(10, reads=lambda _: 9 * COMES)
    assert told[-1] is V.OK


@slow
@PAUSES
def test_who_keeps_up_with_a_rush_is_ok(pause: float) -> None:
    scene = Flink(pause)
    scene.go(6)
    assert set(scene.go(3, reads=lambda _: 5 * COMES, comes=lambda _: 5 * COMES)) == {V.OK}
    assert set(scene.go(6)) <= {V.OK, V.CATCHING_UP}
    assert scene.told[-1] is V.OK


@slow
@pytest.mark.parametrize("slow_topic", [1, 3])
def test_a_quiet_partition_is_no_standstill(slow_topic: int) -> None:
    """A record a sample or none, and the others as usual."""
    scene = Flink(180.0)
    rng = np.random.default_rng(7)
    told = scene.go(40, comes=lambda p: int(rng.poisson(0.02 * slow_topic)) if p == 1 else COMES)
    assert set(told[round(3 * 180 / INTERVAL) :]) == {V.OK}


def test_commits_that_are_seen_later_each_time_are_no_lag_that_climbs() -> None:
    """A checkpoint takes 5, 20, 40 and 60 s; then a rush comes while the next ones take 60 s."""
    scene = Flink(90.0)
    scene.go(4)
    began = len(scene.partitions)
    paces = [(5.0, 1.0), (20.0, 1.0), (40.0, 1.0), (60.0, 1.0), (60.0, 1.2), (60.0, 1.5), (60.0, 2.0), (60.0, 3.0)]
    for takes, pace in [*paces, *reversed(paces)]:
        scene.takes, came = takes, round(pace * COMES)
        assert set(scene.go(1, comes=partial(_the_same, came), reads=lambda _: 9 * COMES)) == {V.OK}
    assert {verdict for told in scene.partitions[began:] for verdict in told} == {P.OK}


def _the_same(came: int, _: int) -> int:
    return came


def said(scene: Flink, *, standing: frozenset[tuple[str, int]] = frozenset()) -> Finding:
    verdict = scene.told[-1]
    return explain(ALONE, scene.window, verdict=verdict, now=scene.now, since=START, standing=standing)


def test_sentences_tell_no_pace_that_two_minutes_do_not_show() -> None:
    scene = Flink(180.0)
    scene.go(6.2)
    finding = said(scene)
    assert finding.sentence.startswith("Commits seldom, the last time "), finding.sentence
    assert finding.sentence.endswith(" behind, 120/s arrive")
    scene.go(0.75)
    assert said(scene).sentence.startswith("Commits seldom, not in the last 1")
    assert not any(" samples at offset" in line or "reads" in line for line in said(scene).evidence)
    scene.go(5, reads=lambda _: 0.7 * COMES)
    finding = said(scene)
    assert finding.sentence.startswith("Falling behind: its seldom commits leave more and more unread; 120/s arrive, ")
    assert "its reader" in finding.step
    scene.go(5, reads=lambda _: 1.05 * COMES)
    assert said(scene).sentence.startswith("Catching up: its seldom commits leave less and less unread; ")


def test_the_sentence_of_one_partition_that_stands_names_no_other() -> None:
    scene = Flink(90.0)
    scene.go(6)
    scene.go(4, reads=lambda p: 0 if p == 1 else COMES)
    finding = said(scene, standing=frozenset({("t", 1)}))
    assert "1 of 3 partitions stand still" in finding.sentence
    assert [line.split(":")[0] for line in finding.evidence if "samples at offset" in line] == ["t-1"]
    assert finding.cause.startswith("stuck reader")


def test_what_is_not_answered_with_a_round_is_filled_in_and_no_trend_is_told_of_what_never_was() -> None:
    scene = Flink(90.0)
    # the answers of one partition are missing in the sample that shows the commits, and come with the next
    late = iter(range(10**6))
    scene.go(7, reads=lambda _: 0.7 * COMES, answers=lambda p: p != 2 or next(late) % 18 != 1)
    assert scene.told[-1] is V.FALLING_BEHIND
    other = Flink(90.0)
    other.go(12, reads=lambda _: 0.7 * COMES, answers=lambda p: p != 2)
    assert other.told[-1] is V.UNKNOWN
    assert other.partitions[-1][2] is P.UNKNOWN


def rounds(*commits: list[int], comes: int = 1000, layout: Layout | None = None) -> Rounds:
    layout = layout or Layout.build({"g": [("t", p) for p in range(len(commits[0]))]})
    made = []
    for number, own in enumerate(commits):
        at, ends = START + 300 * number, [comes * (number + 1)] * len(own)
        made.append(Round(at, at, Numbers.of(list(own)), Numbers.of(ends)))
    return Rounds(layout, tuple(made))


def test_a_trend_takes_three_steps_and_counts_positions_without_a_commit_as_nothing() -> None:
    keeps = [1000, 2000, 3000, 4000, 5000, 6000]
    falls = [1000, 1500, 2000, 2500, 3000, 3500]
    both = [list(pair) for pair in zip(keeps, falls, strict=True)]
    told = rounds(*both[:3]).trends
    assert told is not None
    assert (told.climbs, told.falls, told.climbing.tolist()) == (False, False, [False, False])
    told = rounds(*both).trends
    assert told is not None
    assert (told.climbs, told.climbing.tolist(), told.falling.tolist()) == (True, [False, True], [False, False])
    told = rounds(*([own, NO_COMMIT] for own in falls)).trends
    assert told is not None
    assert (told.climbs, told.climbing.tolist()) == (True, [True, False])
    assert Rounds(Layout.build({"g": []})).trends is None


def test_a_commit_that_went_back_or_is_not_known_missed_no_round() -> None:
    one = rounds([500, 500, 500], [500, 400, 500], [500, 500, 500])
    assert one.missed(Numbers.of([500, 500, 500])).tolist() == [True, False, True]
    assert one.missed(Numbers.of([None, 500, 501])).tolist() == [False] * 3
    assert one.stood_since(Numbers.of([500, 500, 500])) == START
    assert one.stood_since(Numbers.of([501, 500, 501])) is None
    older = rounds([400, 300], [500, 300], [500, 300], [500, 300])
    assert older.stood_since(Numbers.of([500, 301])) == START + 300
    assert older.stood_since(Numbers.of([500, 300])) == START, "of the one that has stood longest"
    assert rounds([1000], [1000], [1000]).missed(Numbers.of([1000])).tolist() == [False], "nothing waited at first"
    ended = rounds([999], [999], [999], comes=0)
    ended = replace(ended, over=tuple(replace(one, end=Numbers.of([1000])) for one in ended.over))
    assert ended.missed(Numbers.of([999])).tolist() == [False], "the marker of a transaction is no record that waits"
    assert rounds([500], [500]).missed(Numbers.of([500])).tolist() == [False], "two rounds missed need three"


def test_rounds_follow_a_change_of_layout() -> None:
    scene = Flink(90.0, parts=2)
    scene.go(8, reads=lambda _: 0.7 * COMES)
    assert scene.told[-1] is V.FALLING_BEHIND
    # a partition more, which has no past: what is known of the others goes on, and nothing is told of the whole
    scene.parts = 3
    scene.ends.append(0)
    scene.read.append(0.0)
    scene.commits.append(0)
    scene.due = None
    scene.go(0.2, reads=lambda _: 0.7 * COMES)
    assert scene.partitions[-1][:2] == [P.FALLING_BEHIND] * 2
    assert scene.partitions[-1][2] is not P.FALLING_BEHIND
    scene.go(8, reads=lambda _: 0.7 * COMES)
    assert scene.told[-1] is V.FALLING_BEHIND
    (alone,) = scene.reader.look(scene.window, {"g": ALONE}).values()
    assert alone.rounds is not None
    assert len(alone.rounds.over) == KEPT_ROUNDS


def test_rounds_follow_a_clock_that_was_set() -> None:
    moved = rounds([1000], [1500]).later(3600.0)
    assert [one.taken_at for one in moved.over] == [START + 3600, START + 3900]
