"""That nothing was ever committed is told until something is, however long ago the last record came."""

from __future__ import annotations

import numpy as np
import pytest

from collectors.domain.explanations import explain
from collectors.domain.numbers import NO_COMMIT, Column, Layout, Numbers
from collectors.domain.ownership import Owner
from collectors.domain.partitions import PartitionVerdict
from collectors.domain.standstills import judge_and_hold, stored_standstills
from collectors.domain.words import THIN
from tests.domain.test_standstills import INTERVAL, LONG, START, Scene, V

TOPIC = Layout.of_topics({"t": [0]})


def silent(*, partitions: int = 1, came: int = 60) -> Scene:
    """Partition 0 was never committed, and records came there until a moment ago."""
    scene = Scene(partitions, committed=[NO_COMMIT, 500], end=[0, 500])
    scene.go(3)
    assert scene.go(6, come=(came // 6, 0)) is V.NOT_COMMITTING
    return scene


def test_a_group_that_never_commits_does_not_when_no_more_records_come() -> None:
    scene = silent()
    assert scene.go(2 * LONG) is V.NOT_COMMITTING
    assert set(scene.told[-2 * LONG :]) == {V.NOT_COMMITTING}
    finding = explain(scene.row, scene.window, verdict=V.NOT_COMMITTING, now=scene.now, since=START + 30)
    assert finding.sentence.startswith("Not committing since ")
    assert finding.sentence.endswith(
        f": 1 partition assigned, no offset ever committed; no record came in the last 1{THIN}min 55{THIN}s"
    )
    assert "arrive" not in f"{finding.sentence} {finding.cause}"
    assert scene.partition_verdicts == [PartitionVerdict.NOT_COMMITTING]
    untold = judge_and_hold(scene.window, {"g": scene.row}, interval_seconds=INTERVAL)
    assert untold.partitions.numbers.values.tolist() == [PartitionVerdict.NO_COMMIT]


def test_where_the_log_start_is_known_the_sentence_says_how_many_records_lie_there() -> None:
    scene = silent()
    scene.go(LONG)
    with_start(scene, 10)
    finding = explain(scene.row, scene.window, verdict=V.NOT_COMMITTING, now=scene.now)
    assert "no offset ever committed, though 50 records lie there; no record came in the last" in finding.sentence
    young = Scene(end=[60, 500], committed=[NO_COMMIT, 500])
    young.go(1)
    finding = explain(young.row, young.window, verdict=V.NOT_COMMITTING, now=young.now)
    assert finding.sentence == "Not committing: 1 partition assigned, no offset ever committed", "with one sample"


def with_start(scene: Scene, start: int) -> V:
    """One cycle in which the log start was asked for."""
    scene.now += INTERVAL
    commits = Column(scene.layout, Numbers.of(scene.committed[:1]))
    ends, starts = Column(TOPIC, Numbers.of(scene.end[:1])), Column(TOPIC, Numbers.of([start]))
    scene.window.push(scene.now, commits, ends, start=starts)
    told = judge_and_hold(scene.window, {"g": scene.row}, interval_seconds=INTERVAL, stood=scene.stood)
    scene.stood = told.stood
    scene.partition_verdicts = [PartitionVerdict(value) for value in told.partitions.numbers.values.tolist()]
    return V(int(told.verdicts.numbers.values[0]))


def test_it_is_over_with_the_first_commit() -> None:
    scene = silent()
    scene.go(LONG)
    scene.committed[0] = 60
    assert scene.go(1) is V.OK
    scene.committed[0] = NO_COMMIT
    assert scene.go(LONG) is V.OK, "its commits were deleted, and nothing came since"


def test_it_is_over_when_its_log_holds_nothing() -> None:
    scene = silent()
    scene.go(LONG)
    assert with_start(scene, 59) is V.NOT_COMMITTING
    assert with_start(scene, 60) is V.OK
    assert scene.partition_verdicts == [PartitionVerdict.NO_COMMIT]


def test_it_is_over_with_the_members_and_of_new_ones_nothing_is_told() -> None:
    scene = silent()
    scene.go(LONG)
    scene.members = 0
    assert scene.go(1) is V.NO_MEMBERS
    scene.members = 2
    assert scene.go(1) is V.OK


def test_it_is_over_with_the_partition() -> None:
    scene = silent(partitions=2)
    scene.go(LONG)
    gone = Layout.build({"g": [("t", 1)]})
    for _ in range(2):
        scene.now += INTERVAL
        scene.window.push(scene.now, Column(gone, Numbers.of([500])), Column(TOPIC, Numbers.of([60])))
        told = judge_and_hold(scene.window, {"g": scene.row}, interval_seconds=INTERVAL, stood=scene.stood)
        scene.stood = told.stood
    assert scene.stood is None
    assert scene.go(1) is V.OK


@pytest.mark.parametrize(("looks", "is_told"), [(1, True), (6, False)])
def test_it_is_over_when_two_looks_find_that_no_member_has_the_partition(looks: int, is_told: bool) -> None:
    scene = silent()
    scene.go(LONG)
    for _ in range(looks):
        scene.now += INTERVAL
        scene.window.push(
            scene.now,
            Column(scene.layout, Numbers.of([NO_COMMIT])),
            Column(TOPIC, Numbers.of([60])),
            owned=np.array([Owner.NOBODY], dtype=np.int8),
        )
        told = judge_and_hold(scene.window, {"g": scene.row}, interval_seconds=INTERVAL, stood=scene.stood)
        scene.stood = told.stood
    assert (V(int(told.verdicts.numbers.values[0])) is V.NOT_COMMITTING) is is_told


def test_while_another_partition_stands_still_that_is_told_and_then_the_silence_again() -> None:
    scene = silent(partitions=2)
    assert scene.go(6, come=(0, 10)) is V.NO_PROGRESS
    assert scene.go(LONG) is V.NO_PROGRESS
    assert scene.go(1, read=(0, 60)) is V.NOT_COMMITTING
    assert scene.go(LONG) is V.NOT_COMMITTING


def test_while_another_partition_is_unowned_that_is_told_and_then_the_silence_again() -> None:
    scene = silent(partitions=2)
    scene.go(LONG)
    told = []
    for nobody in (True,) * 8 + (False,) * 4:
        scene.now += INTERVAL
        scene.end[1] = (scene.end[1] or 0) + 10
        scene.committed[1] = scene.committed[1] if nobody else scene.end[1]
        scene.window.push(
            scene.now,
            Column(scene.layout, Numbers.of([NO_COMMIT, scene.committed[1]])),
            Column(Layout.of_topics({"t": [0, 1]}), Numbers.of([60, scene.end[1]])),
            owned=np.array([Owner.MEMBER, Owner.NOBODY if nobody else Owner.MEMBER], dtype=np.int8),
        )
        found = judge_and_hold(scene.window, {"g": scene.row}, interval_seconds=INTERVAL, stood=scene.stood)
        scene.stood = found.stood
        told.append(V(int(found.verdicts.numbers.values[0])))
        assert PartitionVerdict(int(found.partitions.numbers.values[0])) is PartitionVerdict.NOT_COMMITTING
    assert V.UNOWNED in told
    assert told[-1] is V.NOT_COMMITTING


def test_cycles_without_an_answer_do_not_end_it() -> None:
    scene = silent()
    scene.go(LONG)
    scene.committed[0] = None
    assert scene.go(3) is V.UNKNOWN
    scene.committed[0] = NO_COMMIT
    assert scene.go(1) is V.NOT_COMMITTING


@pytest.mark.parametrize("commit", [NO_COMMIT, 7])
def test_it_goes_on_after_a_restart_unless_something_was_committed_meanwhile(commit: int) -> None:
    verdicts = Column(Layout.single(["g"]), Numbers.of([int(V.NOT_COMMITTING)]))
    after = Scene(end=[60, 500], committed=[commit, 500], partitions=2)
    after.stood = stored_standstills(verdicts, Column(after.layout, Numbers.of([NO_COMMIT, 500])))
    after.go(1)
    assert (after.go(LONG) is V.NOT_COMMITTING) is (commit == NO_COMMIT)


def test_who_was_never_told_has_no_commit_yet() -> None:
    scene = Scene(end=[60, 500], committed=[NO_COMMIT, 500])
    assert scene.go(LONG) is V.OK
    finding = explain(scene.row, scene.window, verdict=V.OK, now=scene.now)
    assert finding.sentence.startswith("No commit yet: no record came")
