"""Rollups: minutes, tens and hours say what the samples said, and ranges over them have no seam."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from collectors.domain.verdicts import Verdict
from collectors.history import compaction, curves, folding, histories, matrix, queries, ranges, rolling, strips
from collectors.history.cache import clear_caches
from collectors.history.families import FIELDS, FIRST_VERDICTS, MILLI, SHARES, TOTAL, VERDICTS, Family, Rolled
from collectors.history.kinds import Kind
from collectors.models import Rollup, RollupFrame, RollupState
from dashboard.pages.days import VerdictDay, _read

from .recording import Recorder, column, singles, topics
from .test_blocks import flat, living

HOUR = 3600.0


@pytest.fixture
def recorder(db: None) -> Recorder:
    return Recorder(interval=20.0)


def hours(recorder: Recorder, count: float) -> None:
    """A topic whose rate climbs, a group that falls behind now and then, brokers."""
    for i in range(int(count * 180)):
        end = [i * i // 3, i * 100]
        committed = [end[0] - (i % 40), end[1] - 5]
        columns = {
            Kind.END: topics({"a": end, "b": [7]}),
            Kind.COMMITTED: column({"g": {("a", 0): committed[0], ("a", 1): committed[1]}, "h": {("b", 0): 7}}),
            Kind.VERDICT: singles({"g": 5 if i % 90 > 60 else 0, "h": 0}),
            Kind.BROKER: singles({"1": 2, "2": 2 if i % 50 else 0}),
        }
        if i % 3 == 0:
            columns |= {
                Kind.START: topics({"a": [0, 0], "b": [0]}),
                Kind.SIZE: topics({"a": [i * 10, i * 20], "b": [1000]}),
                Kind.DISK: singles({"1": i * 1000, "2": 5}),
            }
        recorder.write(columns)


def settle(recorder: Recorder) -> None:
    compaction.run(before_cycles={})
    clear_caches()


def test_minutes_hold_the_same_as_the_curves_of_single_owners(recorder: Recorder) -> None:
    hours(recorder, 1)
    rolling.roll(recorder.id)
    exact = histories.group_history(recorder.id, "g", 0, recorder.now, 10_000)
    topic = histories.topic_history(recorder.id, "a", 0, recorder.now, 10_000)
    strip = strips.read(recorder.id, Family.GROUP, ["g"], 0, recorder.now, 60)["g"]
    own = strips.read(recorder.id, Family.TOPIC, ["a"], 0, recorder.now, 60)["a"]
    assert len(strip) >= 59
    for name, band, five in (
        ("lag", exact.lag, strip.rolled.fives["lag"]),
        ("arriving", exact.arriving, strip.rolled.fives["arriving"]),
        ("consumed", exact.consumed, strip.rolled.fives["consumed"]),
        ("rate", topic.rate, own.rolled.fives["rate"]),
        ("size", topic.size, own.rolled.fives["size"]),
    ):
        scale = 1 if name in ("lag", "size") else MILLI
        for i, start in enumerate(strip.starts.tolist()):
            inside = (exact.times >= start) & (exact.times < start + 60) & band.known
            values = np.round(band.last[inside] * scale).astype(np.int64)
            assert five.count[i] == len(values), (name, i)
            if len(values):
                found = (five.low[i], five.high[i], five.last[i], five.sum[i])
                assert found == (values.min(), values.max(), values[-1], values.sum()), (name, i)


def test_the_sum_of_a_cluster_is_that_of_its_owners(recorder: Recorder) -> None:
    hours(recorder, 0.5)
    rolling.roll(recorder.id)
    found = strips.read(recorder.id, Family.GROUP, ["g", "h", TOTAL], 0, recorder.now, 60)
    for name in ("lag", "consumed"):
        parts = sum(found[group].rolled.fives[name].last for group in ("g", "h"))
        assert np.array_equal(found[TOTAL].rolled.fives[name].last, parts), name
    history = queries.cluster_history(recorder.id, 0, recorder.now)
    assert len(history.times) == len(found[TOTAL])
    assert history.lag.last.tolist() == found[TOTAL].rolled.fives["lag"].last.tolist()


def test_folded_and_coarsened_rows_say_what_the_minutes_said(recorder: Recorder) -> None:
    hours(recorder, 7)
    rolling.roll(recorder.id)
    before = strips.read(recorder.id, Family.GROUP, ["g"], 0, recorder.now, 60)["g"]
    settle(recorder)
    assert 0 < RollupFrame.objects.filter(family="group").count() <= 11
    after = strips.read(recorder.id, Family.GROUP, ["g"], 0, recorder.now, 60)["g"]
    assert [*flat(after)] == [*flat(before)]
    for resolution in (600, 3600):
        coarse = strips.read(recorder.id, Family.GROUP, ["g"], 0, recorder.now, resolution)["g"]
        whole = np.flatnonzero(coarse.lengths == resolution)
        assert len(whole) > 2
        for i in whole.tolist():
            inside = (before.starts >= coarse.starts[i]) & (before.starts < coarse.ends[i])
            for name, five in before.rolled.fives.items():
                mine = coarse.rolled.fives[name]
                there = inside & five.known
                assert mine.count[i] == five.count[inside].sum()
                if there.any():
                    assert mine.low[i] == five.low[there].min()
                    assert mine.high[i] == five.high[there].max()
                    assert mine.last[i] == five.last[there][-1]
                    assert mine.sum[i] == five.sum[there].sum()
            assert coarse.rolled.shares[:, i].sum() == coarse.rolled.fives["verdict"].count[i]
        assert (coarse.starts[1:] >= coarse.ends[:-1]).all(), "no stretch lies over another"
        assert (coarse.starts[1:] == coarse.ends[:-1]).all(), "and none is missing"


def test_a_second_run_changes_nothing(recorder: Recorder) -> None:
    hours(recorder, 5)
    settle(recorder)
    before = sorted(Rollup.objects.values_list("owner", "resolution", "start", "body"))
    settle(recorder)
    assert sorted(Rollup.objects.values_list("owner", "resolution", "start", "body")) == before


def test_long_ranges_are_the_samples_reduced(recorder: Recorder) -> None:
    hours(recorder, 6)
    settle(recorder)
    since, until = recorder.now - 5.5 * HOUR, recorder.now
    naive = histories.group_history(recorder.id, "g", since, until, 100_000)
    found = queries.group_history(recorder.id, "g", since, until, points=250)
    assert 160 < len(found.times) <= 250
    assert not found.gap_before.any()
    assert found.times[-1] == pytest.approx(recorder.now)
    previous = since
    for i, at in enumerate(found.times.tolist()):
        inside = (naive.times >= previous - 1e-6) & (naive.times < at + (1e-6 if at == found.times[-1] else 0))
        previous = at
        if i == 0 or not inside.any():
            continue
        assert found.lag.low[i] == naive.lag.low[inside].min()
        assert found.lag.high[i] == naive.lag.high[inside].max()
    assert found.lag.high.max() == naive.lag.high.max()
    month = queries.group_history(recorder.id, "g", until - 30 * 86400, until)
    assert month.lag.high.max() >= naive.lag.high.max()
    assert month.times[-1] == pytest.approx(recorder.now)
    assert not month.gap_before.any()
    day = queries.topic_history(recorder.id, "a", until - 86400, until)
    assert day.size.last[-1] == naive_size(recorder)
    gauge = queries.gauge_history(recorder.id, Kind.DISK, "1", until - 86400, until)
    assert not gauge.gap_before.any(), "a survey a minute misses a minute now and then"
    assert gauge.values.last[-1] > 0


def naive_size(recorder: Recorder) -> int:
    return int(histories.topic_history(recorder.id, "a", 0, recorder.now, 100_000).size.last[-1])


def test_a_range_older_than_the_samples_comes_from_rollups(recorder: Recorder) -> None:
    from collectors.models import Span

    hours(recorder, 5)
    settle(recorder)
    whole = queries.group_history(recorder.id, "g", recorder.now - 5 * HOUR, recorder.now - 4 * HOUR)
    for span in Span.objects.all():
        compaction.delete_span(span.pk)
    clear_caches()
    found = queries.group_history(recorder.id, "g", recorder.now - 5 * HOUR, recorder.now - 4 * HOUR)
    assert 55 <= len(found.times) <= 60
    assert found.lag.high.max() == whole.lag.high.max()


def test_a_hole_is_a_gap_in_rollups_too(recorder: Recorder) -> None:
    hours(recorder, 2)
    recorder.now += 3 * HOUR
    hours(recorder, 1)
    settle(recorder)
    found = queries.topic_history(recorder.id, "b", recorder.now - 12 * HOUR, recorder.now)
    assert found.gap_before.sum() == 1
    at = int(np.flatnonzero(found.gap_before)[0])
    assert found.times[at] - found.times[at - 1] >= 3 * HOUR


def test_a_minute_that_gets_a_sample_later_is_written_anew(recorder: Recorder) -> None:
    hours(recorder, 0.5)
    rolling.roll(recorder.id)
    minute = int(recorder.now // 60) - 10
    recorder.now = minute * 60 + 59.0  # the clock is set back
    recorder.write({Kind.END: topics({"a": [10**9, 0], "b": [7]})}, after=0.5)
    recorder.now += 900
    recorder.write({Kind.END: topics({"a": [10**9, 0], "b": [7]})})
    rolling.roll(recorder.id)
    found = strips.read(recorder.id, Family.TOPIC, ["a"], minute * 60, minute * 60 + 60, 60)["a"]
    exact = histories.topic_history(recorder.id, "a", minute * 60, minute * 60 + 59.99)
    assert found.rolled.fives["rate"].count.tolist() == [int(exact.rate.known.sum())]
    assert RollupState.objects.get().cycle == recorder.cycle - 1


def test_damage_in_rollups_is_reported_and_costs_only_what_is_damaged(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    living(recorder, 320)
    settle(recorder)
    whole = strips.read(recorder.id, Family.GROUP, ["g"], 0, recorder.now, 60)["g"]
    row = Rollup.objects.filter(owner='"g"', resolution=60).order_by("start").first()
    assert row is not None
    row.body = bytes(row.body)[:-1]
    row.save()
    found = strips.read(recorder.id, Family.GROUP, ["g"], 0, recorder.now, 60)["g"]
    assert "block unreadable" in caplog.text
    later = row.start + folding.WINDOW
    mine, before = (strip.rolled.take(strip.starts >= later) for strip in (found, whole))
    assert [*flat(mine)] == [*flat(before)]
    assert len(mine.fives["lag"].count) > 60


def test_reads_take_as_many_queries_however_many_owners_there_are(
    recorder: Recorder, django_assert_max_num_queries: object
) -> None:
    hours(recorder, 3)
    settle(recorder)
    with django_assert_max_num_queries(6):  # type: ignore[operator]  # a fixture
        strips.read(recorder.id, Family.GROUP, ["g", "h", "nobody"], 0, recorder.now, 600)


def test_the_worst_verdict_of_each_hour_is_told(recorder: Recorder) -> None:
    hours(recorder, 4)
    settle(recorder)
    found = queries.worst_verdicts(recorder.id, ["g", "h", "nobody"], recorder.now, slots=6)
    assert found["nobody"] == [None] * 6
    assert found["h"] == [None, None, *[Verdict.OK] * 4]
    assert found["g"] == [None, None, *[Verdict.NO_PROGRESS] * 4]
    assert VerdictDay(found["g"]).said.endswith("4 h no progress, 2 h not measured")
    assert [letter for *_, letter in VerdictDay(found["h"]).bars] == [*"uuoooo"]
    assert queries.worst_of_cluster(recorder.id, recorder.now, slots=6) == found["g"], "of all its groups"
    day = _read([recorder.id], datetime.fromtimestamp(recorder.now, UTC))[recorder.id]
    assert day.letters[-4:] == "bbbb", "the strip of the cluster says it too, without any alert"


def test_curves_of_many_owners_are_those_of_each() -> None:
    random = np.random.default_rng(3)
    times = np.cumsum(random.uniform(1, 9, 50))
    steps, valid, known = random.integers(0, 90, (50, 4)), random.random((50, 4)) < 0.9, random.random((50, 4)) < 0.9
    broken = curves.gaps(times, 5.0)
    rates, there = curves.sliding_rates(times, steps, valid, known, reach=17.0, broken=broken)
    for i in range(4):
        one, one_there = curves.sliding_rate(times, steps[:, i], valid[:, i], known[:, i], reach=17.0, broken=broken)
        assert np.array_equal(one, rates[:, i])
        assert np.array_equal(one_there, there[:, i])


def test_points_are_a_stretch_apart_at_least() -> None:
    assert strips.resolution_for(3600, 600) is None
    assert strips.resolution_for(86_400, 600) == 60
    assert strips.resolution_for(7 * 86_400, 600) == 600
    assert strips.resolution_for(90 * 86_400, 600) == 3600
    assert ranges.NEW_SECONDS > 60


@pytest.mark.parametrize("verdicts", [FIRST_VERDICTS, SHARES])
def test_a_rollup_from_before_more_verdicts_and_ages_is_read_and_joined_with_a_newer_one(verdicts: int) -> None:
    newer = Rolled.empty(Family.GROUP, (3,))
    newer.shares[Verdict.NO_PROGRESS] = [1, 2, 3]
    newer.shares[Verdict.UNOWNED] = 4
    for part, value in zip(newer.fives["age"].parts, (5, 9, 7, 21, 3), strict=True):
        part[:] = value
    values, known = newer.rows()
    assert len(newer.shares) == VERDICTS == SHARES, "a verdict more has its rows behind the ages"
    rows = len(values) - SHARES - len(FIELDS) + verdicts
    body = matrix.encode(matrix.Matrix(values[:rows], known[:rows], np.ones((rows, 3), dtype=np.bool_)))
    older, _ = folding.decode(Family.GROUP, body, 3)
    assert older.shares[Verdict.NO_PROGRESS].tolist() == [1, 2, 3]
    assert older.shares[verdicts:].sum() == 0, "nothing was called by a word that was not there"
    assert not older.fives["age"].known.any()
    both = Rolled.joined(Family.GROUP, [older, newer])
    assert both.shares[Verdict.UNOWNED].tolist() == [0 if verdicts < SHARES else 4] * 3 + [4] * 3
    assert [part[3:].tolist() for part in both.fives["age"].parts] == [[5] * 3, [9] * 3, [7] * 3, [21] * 3, [3] * 3]
    again, _ = folding.decode(Family.GROUP, folding.encode(both, np.ones(6, dtype=np.bool_)), 6)
    assert np.array_equal(again.fives["age"].sum, both.fives["age"].sum)
    assert np.array_equal(again.shares, both.shares)


def test_a_group_without_a_name_is_in_the_sum_and_spoils_no_minute(recorder: Recorder) -> None:
    for _ in range(30):
        recorder.write(
            {
                Kind.END: topics({"a": [100]}),
                Kind.COMMITTED: column({"": {("a", 0): 90}, "g": {("a", 0): 70}}),
                Kind.VERDICT: singles({"": 0, "g": 0}),
            }
        )
    rolling.roll(recorder.id)
    found = strips.read(recorder.id, Family.GROUP, ["g", TOTAL], 0, recorder.now, 60)
    assert found["g"].rolled.fives["lag"].last.tolist()[0] == 30
    assert found[TOTAL].rolled.fives["lag"].last.tolist()[0] == 40
