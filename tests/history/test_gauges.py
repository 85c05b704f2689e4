"""Numbers of brokers and arrivals of topics over time: what is known, and what is not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from collectors.history import queries
from collectors.history.kinds import Kind
from collectors.models import Cycle

from .recording import BEGIN, Recorder, singles, topics

pytestmark = pytest.mark.django_db


def test_growth_is_from_the_first_to_the_last_known_number(recorder: Recorder) -> None:
    for one, two in ((100, None), (None, 5), (160, None)):
        recorder.write({Kind.DISK: singles({"1": one, "2": two})}, after=60)
    found = queries.growths(recorder.id, Kind.DISK, ["1", "2", "9"], BEGIN, BEGIN + 1000)
    assert set(found) == {"1"}, "one number is no growth, and a broker that was never read has none"
    assert (found["1"].first, found["1"].last, found["1"].seconds) == (100, 160, 120.0)
    assert found["1"].per_second == 0.5


def test_an_unknown_number_of_a_broker_is_a_hole_and_not_zero(recorder: Recorder) -> None:
    for value in (13, None, 0):
        recorder.write({Kind.LEADERS: singles({"1": value})}, after=30)
    found = queries.gauge_history(recorder.id, Kind.LEADERS, "1", BEGIN, BEGIN + 1000)
    assert found.values.known.tolist() == [True, False, True]
    assert found.values.last[found.values.known].tolist() == [13, 0]
    assert found.interval == 30.0


def test_a_broker_that_history_does_not_know_has_no_point(recorder: Recorder) -> None:
    assert len(queries.gauge_history(recorder.id, Kind.DISK, "7", BEGIN, BEGIN + 1000).times) == 0
    recorder.write({Kind.DISK: singles({"1": 3})})
    assert not queries.gauge_history(recorder.id, Kind.DISK, "7", BEGIN, BEGIN + 1000).values.known.any()


def test_when_the_newest_record_came_is_between_two_samples(recorder: Recorder) -> None:
    for end in (10, 12, 12, 12):
        recorder.write({Kind.END: topics({"dlt": [end], "quiet": [4]})})
    ends = queries.ends_of(recorder.id, ["dlt", "quiet", "gone"], BEGIN, BEGIN + 100, 50)
    found = queries.newest_arrivals(ends)
    assert (found["dlt"].after, found["dlt"].by) == (BEGIN + 5, BEGIN + 10)
    assert (found["quiet"].by, found["quiet"].watched_since) == (None, BEGIN + 5)
    assert "gone" not in found


def test_what_arrived_is_unknown_when_a_partition_is_or_the_end_went_back(recorder: Recorder) -> None:
    recorder.write({Kind.END: topics({"a": [10, 10], "b": [10, None], "c": [50]})})
    recorder.write({Kind.END: topics({"a": [14, 11], "b": [11, 12], "c": [3]})})
    found = queries.arrived(queries.ends_of(recorder.id, ["a", "b", "c"], BEGIN, BEGIN + 100, 2))
    assert {topic: one.records for topic, one in found.items()} == {"a": 5}


def test_rates_of_several_topics_share_their_moments(recorder: Recorder) -> None:
    for a, b in ((0, 0), (10, None), (30, 5)):
        recorder.write({Kind.END: topics({"a": [a], "b": [b]})})
    ends = queries.ends_of(recorder.id, ["a", "b"], BEGIN, BEGIN + 100, 50)
    found = queries.arrival_history(ends, 5.0)
    assert found.rates["a"].known.tolist() == [False, True, True]
    assert found.rates["a"].last.tolist() == [0.0, 2.0, 4.0]
    assert not found.rates["b"].known.any(), "each step has an unknown side"


def test_cycle_times_keep_the_slowest_of_a_bucket(recorder: Recorder) -> None:
    for number in range(1, 101):
        at = datetime.fromtimestamp(BEGIN + 5 * number, UTC)
        slow = 0.9 if number == 50 else 0.1
        Cycle.objects.create(
            cluster_id=recorder.id, number=number, epoch=1, due_at=at, started_at=at, taken_at=at,
            ended_at=datetime.fromtimestamp(BEGIN + 5 * number + slow, UTC), is_reachable=True,
        )  # fmt: skip
    found = queries.cycle_times(recorder.id, BEGIN, BEGIN + 505, 20)
    assert len(found.times) <= 21
    assert found.values.high.max() == pytest.approx(900, abs=1)
    assert found.values.low.min() == pytest.approx(100, abs=1)
