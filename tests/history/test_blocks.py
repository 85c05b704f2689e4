"""Compaction: what the frames said, the blocks say too, whatever changed in between."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator

import numpy as np
import pytest

from collectors.domain.numbers import NO_COMMIT
from collectors.history import blocks, compaction, gauges, histories, matrix, queries, spans
from collectors.history.cache import clear_caches
from collectors.history.kinds import Kind
from collectors.history.layouts import SEGMENT_POSITIONS
from collectors.models import Block, Frame, Layout, Span

from .recording import BEGIN, Recorder, Value, column, recent_columns, singles, topics

EVER = (0.0, BEGIN * 2)
MINUTE = 60.0


@pytest.fixture
def recorder(db: None) -> Recorder:
    return Recorder(interval=MINUTE)


def living(recorder: Recorder, minutes: int, *, seed: int = 1) -> None:
    """Topics that grow, get partitions, go and come again; groups that come and go; holes and unknown numbers."""
    random_ = random.Random(seed)
    ends = {"a": [100, 200], "b": [0], "wide": [5] * 30}
    for minute in range(minutes):
        if minute == 50:
            ends["a"].append(7)  # a partition more
        if minute == 70:
            ends["b"] = [0, 0]  # created anew
        if minute == 90:
            del ends["wide"]
        if minute == 150:
            ends["wide"] = [1, 2, 3]
        for own in ends.values():
            for i in range(len(own)):
                own[i] += random_.choice([0, 0, 1, 3, 500, 70_000])
        shown: dict[str, list[Value]] = {
            name: [None if random_.random() < 0.03 else value for value in own] for name, own in ends.items()
        }
        committed: dict[str, dict[tuple[str, int], Value]] = {
            "g": {("a", 0): ends["a"][0] - 3, ("a", 1): NO_COMMIT if minute < 30 else ends["a"][1] - 10, ("b", 0): 0}
        }
        if 20 <= minute < 100:
            committed["passing"] = {("b", 0): None if minute % 7 == 0 else 1}
        columns = {
            Kind.END: topics(shown),
            Kind.COMMITTED: column(committed),
            Kind.VERDICT: singles(dict.fromkeys(committed, minute % 6)),
            Kind.BROKER: singles({"1": 2, "2": None if minute == 33 else 1}),
        }
        if minute % 5 == 0:
            columns[Kind.START] = topics({name: [0] * len(own) for name, own in ends.items()})
            columns[Kind.SIZE] = topics({name: [value * 9 for value in own] for name, own in ends.items()})
        hole = 900.0 if minute == 110 else None
        recorder.write(columns, after=hole if hole else MINUTE + random_.uniform(-2, 2))


def pictures(recorder: Recorder) -> dict[str, object]:
    """Everything that samples say of a range: before and after compaction it has to be the same."""
    out: dict[str, object] = {}
    whole = recorder.now - BEGIN
    for since, until in (EVER, (BEGIN + 0.3 * whole, BEGIN + 0.7 * whole), (BEGIN + 7100, BEGIN + 7300)):
        for name in ("a", "b", "wide", "nobody"):
            out[f"series {name} {since}"] = queries.series(recorder.id, Kind.END, name, since, until)
            out[f"topic {name} {since}"] = histories.topic_history(recorder.id, name, since, until, points=50)
        for name in ("g", "passing"):
            out[f"committed {name} {since}"] = queries.series(recorder.id, Kind.COMMITTED, name, since, until)
            out[f"group {name} {since}"] = histories.group_history(
                recorder.id, name, since, until, points=40, parts="partition"
            )
        out[f"broker {since}"] = gauges.gauge_history(recorder.id, Kind.BROKER, "2", since, until)
        out[f"ends {since}"] = queries.ends_of(recorder.id, ["a", "wide"], since, until, 9)
        for what, names in (("topic_rate", ["a", "b", "wide"]), ("group_lag", ["g", "passing"])):
            out[f"{what} {since}"] = queries.sparklines(recorder.id, what, names, max(since, BEGIN), recorder.now)  # type: ignore[arg-type]  # both are words of it
    return out


def flat(found: object) -> Iterator[object]:
    """The leaves of nested dataclasses, mappings and arrays, comparable with ==."""
    if isinstance(found, np.ndarray):
        yield found.shape
        yield found.tolist()
    elif isinstance(found, dict):
        for key, value in found.items():
            yield key
            yield from flat(value)
    elif hasattr(found, "__dataclass_fields__"):
        for name in found.__dataclass_fields__:
            yield name
            yield from flat(getattr(found, name))
    else:
        yield found


def compact(recorder: Recorder) -> compaction.Compacted:
    done = compaction.compact(recorder.id)
    clear_caches()
    return done


def test_every_range_reads_the_same_before_and_after_compaction(recorder: Recorder) -> None:
    living(recorder, 400)
    before = pictures(recorder)
    frames, kinds = Frame.objects.count(), Frame.objects.values("kind").distinct().count()
    done = compact(recorder)
    assert done.spans >= 2 * kinds - 4
    assert 0 < Frame.objects.count() == frames - done.frames_deleted
    assert queries.first_taken_at(recorder.id) == pytest.approx(BEGIN + MINUTE, abs=2.1)
    after = pictures(recorder)
    for name, found in before.items():
        assert list(flat(after[name])) == list(flat(found)), name


def test_the_newest_hour_and_the_open_two_hours_stay_frames(recorder: Recorder) -> None:
    living(recorder, 300)
    done = compact(recorder)
    assert done.spans
    last = spans.last_compacted(recorder.id, Kind.END)
    assert last is not None
    assert len(recent_columns(recorder.id, Kind.END, recorder.now - 3600)) >= 58
    assert compact(recorder).spans == 0, "nothing to do twice"
    assert queries.cluster_at(recorder.id) is not None


def test_frames_that_the_judge_has_not_read_are_left_alone(recorder: Recorder) -> None:
    living(recorder, 300)
    assert compaction.compact(recorder.id, before_cycle=5).spans == 0
    assert compaction.compact(recorder.id, before_cycle=301).spans > 0


def test_a_clock_that_was_set_back_makes_spans_of_its_own(recorder: Recorder) -> None:
    for minute in range(400):
        after = -3600.0 if minute == 130 else None
        recorder.write({Kind.END: topics({"a": [minute]})}, after=after)
    before = queries.series(recorder.id, Kind.END, "a", *EVER)
    assert compact(recorder).spans >= 3
    after_ = queries.series(recorder.id, Kind.END, "a", *EVER)
    assert list(flat(before)) == list(flat(after_))


def test_a_damaged_block_is_reported_and_the_rest_of_the_picture_stays(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    living(recorder, 300)
    compact(recorder)
    whole = queries.series(recorder.id, Kind.END, "a", *EVER)
    other = queries.series(recorder.id, Kind.END, "b", *EVER)
    block = Block.objects.filter(span__kind="end", owner='"a"').order_by("span__first_cycle").first()
    assert block is not None
    block.body = bytes(block.body)[:-1] + b"\xff"
    block.save()
    clear_caches()
    with caplog.at_level(logging.WARNING):
        found = queries.series(recorder.id, Kind.END, "a", *EVER)
    assert "block unreadable" in caplog.text
    lost = (found.cycles >= block.span.first_cycle) & (found.cycles <= block.span.last_cycle)
    assert not found.known[lost].any()
    assert np.array_equal(found.values[~lost], whole.values[~lost])
    assert list(flat(queries.series(recorder.id, Kind.END, "b", *EVER))) == list(flat(other))


def test_blocks_that_are_not_what_was_written_leave_the_frames(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    living(recorder, 300)
    frames = Frame.objects.count()
    true = matrix.encode

    def wrong(given: matrix.Matrix, **how: object) -> bytes:
        values = given.values.copy()
        values[0, -1] += 1
        return true(matrix.Matrix(values, given.known, given.present), **how)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(matrix, "encode", wrong)
    with pytest.raises(RuntimeError, match="is not what was written"):
        compaction.compact(recorder.id)
    monkeypatch.undo()
    assert Frame.objects.count() == frames
    assert not Span.objects.filter(is_ready=True).exists()
    before = pictures(recorder)
    assert compact(recorder).spans
    assert Span.objects.filter(is_ready=False).count() == 0
    assert [*flat(pictures(recorder))] == [*flat(before)]


def test_an_owner_with_very_many_positions_is_kept_in_parts(recorder: Recorder) -> None:
    count = 2 * SEGMENT_POSITIONS + 5
    for minute in range(260):
        recorder.write({Kind.END: topics({"huge": [minute * p for p in range(count)], "small": [minute]})})
    before = queries.series(recorder.id, Kind.END, "huge", BEGIN, BEGIN + 900)
    compact(recorder)
    assert Block.objects.filter(owner_key=blocks.owner_key("huge")).values("span").distinct().count() == 1
    assert Block.objects.filter(owner_key=blocks.owner_key("huge")).count() == 3
    assert list(flat(queries.series(recorder.id, Kind.END, "huge", BEGIN, BEGIN + 900))) == list(flat(before))


def test_names_that_a_database_refuses_are_kept(recorder: Recorder) -> None:
    name = "nul\0 and half a pair \ud800"
    for minute in range(260):
        recorder.write({Kind.COMMITTED: column({name: {(name, 0): minute}})})
    before = queries.series(recorder.id, Kind.COMMITTED, name, *EVER)
    assert compact(recorder).spans == 1
    found = queries.series(recorder.id, Kind.COMMITTED, name, *EVER)
    assert list(flat(found)) == list(flat(before))
    assert found.known.all()


def test_layouts_go_with_the_last_frame_that_uses_them(recorder: Recorder) -> None:
    living(recorder, 400)
    before = Layout.objects.count()
    compact(recorder)
    assert Layout.objects.count() < before
