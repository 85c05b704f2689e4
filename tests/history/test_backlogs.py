"""What was read of the heads of backlogs comes back with the cycle it was stored with, and markers age nobody."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from collectors.domain.ages import Method
from collectors.domain.countdown import Outcome
from collectors.domain.heads import NO_RECORDS
from collectors.history import age_histories, ages, compaction
from collectors.history.cache import clear_caches
from collectors.history.kinds import Kind
from collectors.history.queries import ClusterNow, backlogs_at, cluster_at, countdowns_at
from collectors.models import Span

from . import recording
from .recording import Recorder, Value, column, singles, topics

pytestmark = pytest.mark.django_db
Heads = dict[tuple[str, int], Value]


def write(recorder: Recorder, heads: Heads | None, *, ends: tuple[int, int] = (10, 50), commit: int = 9) -> None:
    """A group at `commit` of orders/0 and at 40 of orders/1."""
    columns = {
        Kind.END: topics({"orders": list(ends)}),
        Kind.START: topics({"orders": [0, 0]}),
        Kind.COMMITTED: column({"readers": {("orders", 0): commit, ("orders", 1): 40}}),
        Kind.VERDICT: singles({"readers": 0}),
    }
    if heads is not None:
        columns[Kind.HEAD] = column({"readers": heads})
    recorder.write(columns)


def now_of(recorder: Recorder, cycle: int | None = None) -> ClusterNow:
    found = cluster_at(recorder.id, cycle or recorder.cycle)
    assert found is not None
    return found


def told(now: ClusterNow) -> tuple[float | None, bool, int]:
    """Age of the head of the group, whether that at most, and how much of its lag are markers."""
    found = backlogs_at(now)
    worst = int(found.worst[0])
    return found.groups.at(0), worst >= 0 and bool(found.is_at_most[worst]), int(found.marked[0])


def test_the_age_of_the_head_is_that_of_the_cycle_it_was_stored_with(recorder: Recorder) -> None:
    born = round((recording.BEGIN - 100) * 1000)
    write(recorder, {("orders", 1): born})
    write(recorder, {("orders", 1): -born})
    write(recorder, None)
    write(recorder, {("orders", 0): born - 7_000, ("orders", 1): born})
    assert told(now_of(recorder, 1)) == (105.0, False, 0)
    assert told(now_of(recorder, 2)) == (110.0, True, 0)
    assert told(now_of(recorder, 3)) == (None, False, 0)
    assert told(now_of(recorder, 4)) == (127.0, False, 0)
    clear_caches()
    assert told(now_of(recorder, 2)) == (110.0, True, 0)


def test_where_only_markers_wait_nothing_waits_and_the_lag_stays_what_kafka_says(recorder: Recorder) -> None:
    for _ in range(5):
        write(recorder, {("orders", 0): NO_RECORDS}, ends=(10, 40))
    now = now_of(recorder)
    found, counted = ages.ages_at(now), countdowns_at(now)
    assert now.groups.lag.at(0) == 1
    assert told(now) == (None, False, 1)
    assert found.waiting.tolist() == []
    assert [Method(int(one)) for one in found.positions.method] == [Method.EXACT, Method.EXACT]
    assert found.groups.numbers.at(0) == 0.0
    assert Outcome(int(counted.groups.outcome[0])) is Outcome.CAUGHT_UP
    assert ages.ages_of(now, "readers").groups.numbers.at(0) == 0.0


def test_markers_on_one_partition_leave_the_age_to_the_others(recorder: Recorder) -> None:
    for cycle in range(5):
        write(recorder, {("orders", 0): NO_RECORDS}, ends=(10, 40 + 10 * min(cycle, 2)))
    now = now_of(recorder)
    found = ages.ages_at(now)
    assert now.committed.layout.partitions[found.waiting].tolist() == [1]
    assert found.positions.method[0] == Method.EXACT
    # the end stood at 40 in the first cycle, and at 50 in the second
    assert (found.groups.low[0], found.groups.high[0]) == (15.0, 20.0)


def test_an_answer_of_a_cycle_says_nothing_of_another(recorder: Recorder) -> None:
    write(recorder, {("orders", 0): NO_RECORDS}, ends=(10, 40))
    recorder.write({Kind.END: topics({"orders": [12, 40]}), Kind.VERDICT: singles({"readers": 0})})
    now = now_of(recorder)
    assert told(now) == (None, False, 0)
    assert ages.ages_at(now).waiting.tolist() == [0]


def test_the_same_is_told_of_the_past_from_frames_and_from_blocks(recorder: Recorder) -> None:
    for _ in range(200):
        write(recorder, {("orders", 0): NO_RECORDS} if recorder.cycle < 150 else None, ends=(10, 40))
    until = recorder.now + 1
    recorder.now += 3 * 3600
    for _ in range(3):
        write(recorder, {("orders", 0): NO_RECORDS}, ends=(10, 40))
    before = age_histories.age_history(recorder.id, "readers", recording.BEGIN, until)
    assert before.age.known[:150].all()
    assert before.age.last[:150].tolist() == [0.0] * 150
    assert not before.age.known[151:].any() or (before.age.last[151:] > 0).all()
    compaction.run(before_cycles={})
    assert Span.objects.filter(kind=Kind.HEAD.value, is_ready=True).exists()
    clear_caches()
    after = age_histories.age_history(recorder.id, "readers", recording.BEGIN, until)
    assert after.age.known.tolist() == before.age.known.tolist()
    assert after.age.last.tolist() == before.age.last.tolist()


def test_no_more_queries_than_without(recorder: Recorder) -> None:
    counts = []
    each: tuple[Heads | None, ...] = (None, {("orders", 0): NO_RECORDS})
    for heads in each:
        for _ in range(3):
            write(recorder, heads)
        clear_caches()
        with CaptureQueriesContext(connection) as asked:
            now_of(recorder)
        counts.append(len(asked))
    assert counts[1] <= counts[0] + 2  # a layout and a body more
