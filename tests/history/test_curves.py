"""Curves of groups and topics: nothing is smoothed away, nothing is made up."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from collectors.domain.numbers import NO_COMMIT
from collectors.history import curves, queries, reading
from collectors.history.curves import Band
from collectors.history.kinds import Kind

from .recording import BEGIN, Recorder, Value, column, recent_columns, topics

LATER = BEGIN + 10_000_000.0


def last(band: Band) -> list[float | None]:
    values = zip(band.last.tolist(), band.known.tolist(), strict=True)
    return [round(value, 6) if known else None for value, known in values]


# What needs no database: reduction to points, and holes


@given(
    st.lists(st.tuples(st.floats(0.5, 20), st.integers(-(2**62), 2**62), st.booleans()), min_size=1, max_size=300),
    st.integers(2, 60),
)
def test_minimum_maximum_and_last_survive_any_reduction(samples: list[tuple[float, int, bool]], points: int) -> None:
    times = np.cumsum([step for step, _, _ in samples])
    values = np.array([value for _, value, _ in samples], dtype=np.int64)
    known = np.array([is_known for _, _, is_known in samples])
    made = curves.buckets(times, float(times[0]), float(times[-1]), points, 5.0)
    band = made.band(values, known)
    assert len(band.low) == len(made.times) <= points
    assert made.edges[0] == 0
    assert made.edges[-1] == len(times)
    for i in range(len(made.times)):
        own = slice(made.edges[i], made.edges[i + 1])
        inside = values[own][known[own]].tolist()
        assert bool(band.known[i]) == bool(inside)
        if inside:
            assert (band.low[i], band.high[i], band.last[i]) == (min(inside), max(inside), inside[-1])
    if known.any():
        assert band.low[band.known].min() == values[known].min()
        assert band.high[band.known].max() == values[known].max()


GAP_CASES: list[tuple[str, list[float], list[int]]] = [
    ("no sample", [], []),
    ("one sample", [0], []),
    ("two samples an interval apart", [0, 5], []),
    ("two samples far apart, by the setting", [0, 60], [1]),
    ("three samples, then a hole", [0, 5, 10, 40], [3]),
    ("a late cycle is no gap", [0, 5, 10, 19, 20, 25, 30, 35], []),
    ("two missing cycles are one", [0, 5, 10, 25, 30, 35, 40], [3]),
    ("two holes side by side", [0, 5, 10, 15, 20, 60, 100, 105, 110, 115, 120], [5, 6]),
    ("another interval is not one long gap", [*range(0, 50, 5), *range(60, 1200, 60)], []),
]


@pytest.mark.parametrize(("sentence", "times", "expected"), GAP_CASES, ids=[case[0] for case in GAP_CASES])
def test_gaps(sentence: str, times: list[float], expected: list[int]) -> None:
    found = np.flatnonzero(curves.gaps(np.array(times, dtype=np.float64), 5.0)).tolist()
    if sentence.startswith("another interval"):
        assert len(found) <= 4, "the line may break where the interval changed, not after"
        assert all(at >= 9 for at in found)
    else:
        assert found == expected, sentence


# Histories


@pytest.mark.django_db
def test_a_group_over_time(recorder: Recorder) -> None:
    for i in range(12):
        recorder.write(
            {
                Kind.END: topics({"a": [100 * i, 50 * i]}),
                Kind.COMMITTED: column({"g": {("a", 0): 80 * i, ("a", 1): 50 * i if i != 5 else None}}),
            }
        )
    found = queries.group_history(recorder.id, "g", BEGIN, LATER)
    assert found.times.tolist() == [BEGIN + 5 * (i + 1) for i in range(12)]
    assert last(found.lag) == [20 * i if i != 5 else None for i in range(12)]
    assert last(found.arriving) == [None] + [30.0] * 11
    assert last(found.consumed) == [None] + [26.0 if i != 5 else None for i in range(1, 12)]
    assert not found.gap_before.any()
    assert found.interval == 5.0
    part = queries.group_history(recorder.id, "g", BEGIN + 31, BEGIN + 46, parts="partition", topic="a")
    assert part.times.tolist() == [BEGIN + 35, BEGIN + 40, BEGIN + 45]
    assert last(part.consumed) == [26.0] * 3, "the first point of a range has its rate from the samples before"
    assert {key: last(band) for key, band in part.parts.items()} == {("a", 0): [120, 140, 160], ("a", 1): [0, 0, 0]}
    assert list(part.parts) == [("a", 0), ("a", 1)], "most lag first"


@pytest.mark.django_db
def test_states_of_positions_over_time(recorder: Recorder) -> None:
    commits: list[dict[str, dict[tuple[str, int], Value]]] = [
        {},
        {"g": {("a", 0): NO_COMMIT}},
        {"g": {("a", 0): 10}},
        {"g": {("a", 0): 20, ("b", 0): NO_COMMIT}},
        {"g": {("a", 0): 30, ("b", 0): 5}},
        {"g": {("a", 0): 5, ("b", 0): 6}},  # rewound
        {"g": {("a", 0): 10, ("b", 0): 7}},
        {},
    ]
    for i, now in enumerate(commits):
        recorder.write({Kind.END: topics({"a": [100], "b": [10] if i != 6 else [None]}), Kind.COMMITTED: column(now)})
    found = queries.group_history(recorder.id, "g", BEGIN, LATER, parts="topic")
    assert last(found.lag) == [None, None, 90, 80, 75, 99, None, None]
    assert last(found.consumed)[:6] == [None, None, None, 2.0, 2.0, 2.0]
    assert last(found.parts["b", -1]) == [None, None, None, None, 5, 4, None, None]
    assert (found.consumed.low >= 0).all()


@pytest.mark.django_db
def test_start_offsets_count_from_their_survey_on(recorder: Recorder) -> None:
    for i in range(6):
        columns = {Kind.END: topics({"a": [100]}), Kind.COMMITTED: column({"g": {("a", 0): 10}})}
        if i in (1, 4):
            columns[Kind.START] = topics({"a": [20 * i]})
        recorder.write(columns)
    whole = queries.group_history(recorder.id, "g", BEGIN, LATER)
    assert last(whole.lag) == [90, 80, 80, 80, 20, 20]
    assert last(queries.group_history(recorder.id, "g", BEGIN + 17, LATER).lag) == [80, 20, 20]
    assert queries.sparklines(recorder.id, "group_lag", ["g"], BEGIN + 2.5, BEGIN + 32.5)["g"] == last(whole.lag)


@pytest.mark.django_db
def test_a_topic_over_time(recorder: Recorder) -> None:
    for i in range(8):
        columns = {Kind.END: topics({"a": [100 * i, 10 * i], "z": [1]})}
        if i in (2, 5):
            columns[Kind.SIZE] = topics({"a": [1000 * i, 1]})
        recorder.write(columns)
    found = queries.topic_history(recorder.id, "a", BEGIN, LATER)
    assert last(found.rate) == [None] + [22.0] * 7
    assert last(found.size) == [None, None, 2001, 2001, 2001, 5001, 5001, 5001]
    empty = queries.topic_history(recorder.id, "nobody", BEGIN, LATER)
    assert last(empty.rate) == [None] * 8
    before = queries.topic_history(recorder.id, "a", 0, BEGIN)
    assert (len(before.times), len(before.rate.last), len(before.size.last)) == (0, 0, 0)
    assert len(queries.group_history(recorder.id, "nobody", 0, BEGIN, parts="topic").times) == 0


@pytest.mark.django_db
def test_the_newest_point_is_what_the_live_row_shows(recorder: Recorder) -> None:
    chance = random.Random(3)
    end = committed = 0
    for _ in range(30):
        end += chance.randrange(200)
        committed = chance.choice([committed, end])
        recorder.write({Kind.END: topics({"a": [end]}), Kind.COMMITTED: column({"g": {("a", 0): committed}})})
        now = queries.cluster_at(recorder.id)
        assert now is not None
        group = queries.group_history(recorder.id, "g", recorder.now - 60, recorder.now)
        topic = queries.topic_history(recorder.id, "a", recorder.now - 60, recorder.now)
        assert group.lag.last[-1] == now.groups.lag.at(0)
        for mine, live in (
            (group.consumed, now.groups.consumed_per_second),
            (group.arriving, now.groups.arriving_per_second),
            (topic.rate, now.topics.messages_per_second),
        ):
            assert bool(mine.known[-1]) == bool(live.known[0])
            assert mine.last[-1] == pytest.approx(live.values[0])


@pytest.mark.django_db
def test_missing_cycles_are_marked(recorder: Recorder) -> None:
    for i in range(20):
        recorder.write(
            {Kind.END: topics({"a": [10 * i]}), Kind.COMMITTED: column({"g": {("a", 0): 10 * i}})},
            after=60.0 if i == 12 else 5.0,
        )
    group = queries.group_history(recorder.id, "g", BEGIN, LATER)
    topic = queries.topic_history(recorder.id, "a", BEGIN, LATER)
    assert np.flatnonzero(group.gap_before).tolist() == np.flatnonzero(topic.gap_before).tolist() == [12]
    assert last(topic.rate)[11:14] == [2.0, None, 2.0], "no rate reaches over the gap"
    few = queries.topic_history(recorder.id, "a", BEGIN, recorder.now, points=8)
    assert len(few.times) <= 8
    assert few.gap_before.sum() == 1


@pytest.mark.django_db
def test_a_spike_of_one_sample_survives_downsampling(recorder: Recorder) -> None:
    for i in range(400):
        committed = 0 if i == 222 else 1000 * i
        recorder.write({Kind.END: topics({"a": [1000 * i]}), Kind.COMMITTED: column({"g": {("a", 0): committed}})})
    found = queries.group_history(recorder.id, "g", BEGIN, recorder.now, points=30)
    assert len(found.times) <= 30
    assert found.lag.high.max() == 222_000
    assert found.lag.low.min() == 0


@pytest.mark.django_db
def test_reading_in_pieces_changes_nothing(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(5)
    values = [0] * 6
    for i in range(260):
        values = [value + chance.randrange(50) for value in values]
        shown = values[: 4 + (i > 130) * 2]
        columns = {
            Kind.END: topics({"a": shown}),
            Kind.COMMITTED: column({"g": {("a", p): max(0, v - 30) for p, v in enumerate(shown)}}),
        }
        if i % 11 == 0:
            columns[Kind.START] = topics({"a": [i] * len(shown)})
        recorder.write(columns)
    whole = queries.group_history(recorder.id, "g", BEGIN, LATER, parts="partition")
    whole_topic = queries.topic_history(recorder.id, "a", BEGIN, LATER)
    monkeypatch.setattr(reading, "VALUES_AT_ONCE", 1)
    pieces = queries.group_history(recorder.id, "g", BEGIN, LATER, parts="partition")
    assert list(pieces.parts) == list(whole.parts)
    for a, b in zip(
        (whole.lag, whole.arriving, whole.consumed, *whole.parts.values()),
        (pieces.lag, pieces.arriving, pieces.consumed, *pieces.parts.values()),
        strict=True,
    ):
        assert last(a) == last(b)
    assert last(queries.topic_history(recorder.id, "a", BEGIN, LATER).rate) == last(whole_topic.rate)


# Many owners at once


@pytest.mark.django_db
def test_sparklines(recorder: Recorder) -> None:
    for i in range(61):
        recorder.write(
            {
                Kind.END: topics({"a": [10 * i], "b": [100 * i, None if i > 50 else 5 * i]}),
                Kind.COMMITTED: column({"g": {("a", 0): 10 * i - 5 if i else 0}, "h": {("b", 0): NO_COMMIT}}),
            }
        )
    since, until = BEGIN + 5, recorder.now
    rates = queries.sparklines(recorder.id, "topic_rate", ["a", "b", "nobody"], since, until, points=20)
    assert len(rates["a"]) == 20
    assert {round(value, 6) for value in rates["a"][1:] if value is not None} == {2.0}
    assert rates["b"][-1] is None
    assert rates["nobody"] == [None] * 20
    lags = queries.sparklines(recorder.id, "group_lag", ["g", "h"], since, until, points=20)
    assert set(lags["g"][1:]) == {5}
    assert lags["h"] == [None] * 20
    young = queries.sparklines(recorder.id, "group_lag", ["g"], since - 900, until, points=60)["g"]
    assert young[:40] == [None] * 40, "before the first sample nothing is known"
    assert young[-1] == 5
    assert None not in young[-12:]
    assert queries.sparklines(recorder.id, "group_lag", ["g"], 0, 10)["g"] == [None] * 2
    with pytest.raises(ValueError, match="no sparkline 'size'"):
        queries.sparklines(recorder.id, "size", ["a"], since, until)  # type: ignore[arg-type]  # the point of the test


@pytest.mark.django_db
def test_a_gap_shows_in_a_sparkline(recorder: Recorder) -> None:
    for i in range(60):
        recorder.write({Kind.END: topics({"a": [10 * i]})}, after=100.0 if i == 30 else 5.0)
    line = queries.sparklines(recorder.id, "topic_rate", ["a"], BEGIN, recorder.now, points=60)["a"]
    assert line.count(None) >= 10
    assert line[-1] == 2.0


@pytest.mark.django_db
def test_the_rate_of_all_topics_together(recorder: Recorder) -> None:
    for i in range(30):
        ends: dict[str, list[Value]] = {"a": [10 * i], "b": [5 * i, None]}
        if i >= 20:
            ends["c"] = [i]
        recorder.write({Kind.END: topics(ends)})
    line = queries.cluster_sparkline(recorder.id, BEGIN + 5, recorder.now, points=30)
    known = [round(value, 3) for value in line if value is not None]
    assert known[:5] == [3.0] * 5
    assert known[-1] == 3.2
    assert queries.cluster_sparkline(recorder.id, 0, 10) == [None] * 2


@pytest.mark.django_db
def test_series_and_thinned_series(recorder: Recorder) -> None:
    for i in range(100):
        own: dict[str, list[Value]] = {"a": [i], "b": [i]}
        if i >= 10:
            own["a"].append(None if i == 50 else 2 * i)
        recorder.write({Kind.END: topics(own)})
    found = queries.series(recorder.id, Kind.END, "a", BEGIN, LATER)
    assert found.members == (("a", 0), ("a", 1))
    assert found.cycles.tolist() == list(range(1, 101))
    assert found.values[found.known[:, 0], 0].tolist() == list(range(100))
    assert found.known[:, 1].tolist() == [i >= 10 and i != 50 for i in range(100)]
    few = queries.series(recorder.id, Kind.END, "a", BEGIN, LATER, max_points=10)
    assert len(few.times) == 10
    assert few.values[:, 0].tolist() == [cycle - 1 for cycle in few.cycles.tolist()]
    assert few.cycles[-1] == 100
    nobody = queries.thinned(recorder.id, Kind.END, ["b", "nobody"], BEGIN, LATER)["nobody"]
    assert (nobody.members, nobody.values.shape) == ((), (60, 0))
    assert recent_columns(recorder.id, Kind.END, LATER) == []


@pytest.mark.django_db
def test_a_clock_that_steps_back_makes_no_nonsense(recorder: Recorder) -> None:
    for i in range(30):
        recorder.write({Kind.END: topics({"a": [10 * i]})}, after=-60.0 if i == 15 else 5.0)
    found = queries.topic_history(recorder.id, "a", BEGIN, LATER)
    assert (np.diff(found.times) > 0).all()
    rates = [rate for rate in last(found.rate) if rate is not None]
    assert all(math.isfinite(rate) and 0 <= rate < 50 for rate in rates)
    now = queries.cluster_at(recorder.id)
    assert now is not None
    assert now.topics.messages_per_second.at(0) == 2.0


@pytest.mark.django_db
def test_the_number_of_queries_is_pinned_and_does_not_grow_with_owners(
    recorder: Recorder, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    names = [f"{i:03}" for i in range(120)]
    for i in range(130):
        columns = {
            Kind.END: topics({name: [i] * 30 for name in names}),
            Kind.COMMITTED: column({name: {(name, p): i for p in range(30)} for name in names}),
        }
        if i % 12 == 0:
            columns |= {kind: topics({name: [0] * 30 for name in names}) for kind in (Kind.START, Kind.SIZE)}
        recorder.write(columns)
    counts: dict[str, set[int]] = {}
    for owners in (names[:1], names[:50], names):
        for what in ("topic_rate", "group_lag"):
            with django_assert_max_num_queries(16) as captured:
                lines = queries.sparklines(recorder.id, what, owners, BEGIN, recorder.now)
            assert all(line[-1] is not None for line in lines.values())
            counts.setdefault(what, set()).add(len(captured))
        with django_assert_max_num_queries(7) as captured:
            queries.thinned(recorder.id, Kind.END, owners, BEGIN, recorder.now)
        counts.setdefault("thinned", set()).add(len(captured))
    assert all(len(own) == 1 for own in counts.values()), counts
    with django_assert_max_num_queries(16):
        queries.group_history(recorder.id, "007", BEGIN, recorder.now)
    with django_assert_max_num_queries(12):
        queries.topic_history(recorder.id, "007", BEGIN, recorder.now)
    with django_assert_max_num_queries(4):
        recent_columns(recorder.id, Kind.END, recorder.now - 60)
