"""Writing frames, reading columns back, and deleting what is old."""

from __future__ import annotations

import numpy as np
import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from collectors.domain.numbers import Column, Layout, Numbers
from collectors.history import queries
from collectors.history.frames import KEY_EVERY, KEY_MAX_AGE_SECONDS, delete_older_than
from collectors.history.kinds import Kind
from collectors.models import Frame
from collectors.models import Layout as LayoutRow

from .recording import BEGIN, Recorder, column, recent_columns, topics

pytestmark = pytest.mark.django_db

OFFSET = st.one_of(
    st.none(), st.integers(0, 5000), st.integers(-(2**63), 2**63 - 1), st.sampled_from([-1, 2**63 - 1, -(2**63)])
)
TOPICS = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.lists(OFFSET, max_size=5), max_size=4)
STEP = st.tuples(TOPICS, st.sampled_from(["write", "write", "write", "absent", "gap", "roll back", "take over"]))


def same(a: Column, b: Column) -> bool:
    known = a.numbers.known
    return (
        a.layout.digest == b.layout.digest
        and known.tolist() == b.numbers.known.tolist()
        and a.numbers.values[known].tolist() == b.numbers.values[known].tolist()
    )


class RolledBackError(Exception):
    pass


def roll_back(recorder: Recorder, columns: dict[Kind, Column], *, tell: bool = True) -> None:
    """A cycle whose transaction fails after its frames were written."""
    try:
        with transaction.atomic():
            recorder.writer.write(recorder.cycle + 1, recorder.now + 5, columns)
            raise RolledBackError
    except RolledBackError:
        if tell:
            recorder.writer.forget()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, min_size=1, max_size=12))
def test_what_goes_in_comes_out_through_any_change(
    db: None, steps: list[tuple[dict[str, list[int | None]], str]]
) -> None:
    with transaction.atomic():
        recorder = Recorder()
        written: list[tuple[int, float, Column]] = []
        for values, what in steps:
            now = topics(values)
            if what == "gap":
                recorder.cycle += 3
            if what == "roll back":
                roll_back(recorder, {Kind.END: now})
                continue
            if what == "take over":
                recorder.writer.forget()
            cycle = recorder.write({Kind.END: now} if what != "absent" else {})
            if what != "absent":
                written.append((cycle, recorder.now, now))
        found = recent_columns(recorder.id, Kind.END, 0.0)
        assert [(cycle, at) for cycle, at, _ in found] == [(cycle, at) for cycle, at, _ in written]
        for (_, _, stored), (cycle, at, original) in zip(found, written, strict=True):
            assert same(original, stored)
            one = queries.column_at(recorder.id, Kind.END, cycle)
            assert one is not None
            assert same(original, one[0])
            assert one[1:] == (at, cycle)
        transaction.set_rollback(True)


def test_key_frames_come_first_every_fortieth_and_with_another_layout(recorder: Recorder) -> None:
    for i in range(KEY_EVERY + 2):
        recorder.write({Kind.END: topics({"a": [i]})})
    recorder.write({Kind.END: topics({"a": [1, 2]})})
    recorder.write({Kind.END: topics({"a": [2, 3]})})
    recorder.writer.forget()
    recorder.write({Kind.END: topics({"a": [2, 3]})})
    keys = Frame.objects.order_by("cycle").values_list("cycle", "key_cycle")
    assert [cycle for cycle, key in keys if cycle == key] == [1, KEY_EVERY + 1, KEY_EVERY + 3, KEY_EVERY + 5]
    assert LayoutRow.objects.count() == 2


def test_a_delta_never_leans_on_a_very_old_key_frame(recorder: Recorder) -> None:
    recorder.write({Kind.END: topics({"a": [1]})})
    recorder.write({Kind.END: topics({"a": [2]})}, after=KEY_MAX_AGE_SECONDS + 1)
    recorder.write({Kind.END: topics({"a": [2]})}, after=-3600.0)
    assert all(frame.cycle == frame.key_cycle for frame in Frame.objects.all())


def test_a_broker_that_comes_back_gets_a_key_frame_again(recorder: Recorder) -> None:
    recorder.write({Kind.END: topics({"a": [None, None, 5]})})
    recorder.write({Kind.END: topics({"a": [10**15, 10**15, 6]})})
    assert [frame.key_cycle for frame in Frame.objects.order_by("cycle")] == [1, 2]


def test_kinds_with_one_layout_share_nothing_but_its_members(recorder: Recorder) -> None:
    recorder.write({Kind.END: topics({"a": [9]}), Kind.START: topics({"a": [3]}), Kind.SIZE: topics({"a": [100]})})
    for kind, value in ((Kind.END, 9), (Kind.START, 3), (Kind.SIZE, 100)):
        found = queries.column_at(recorder.id, kind)
        assert found is not None
        assert found[0].numbers.at(0) == value


def test_an_empty_column_is_known_to_be_empty(recorder: Recorder) -> None:
    recorder.write({Kind.COMMITTED: column({"g": {("a", 0): 1}})})
    recorder.write({Kind.COMMITTED: Column.empty()})
    found = queries.column_at(recorder.id, Kind.COMMITTED)
    assert found is not None
    assert (len(found[0].layout), found[2]) == (0, 2)


def test_newest_at_or_before_is_what_counts(recorder: Recorder) -> None:
    assert queries.column_at(recorder.id, Kind.START) is None
    recorder.write({Kind.END: topics({"a": [1]}), Kind.START: topics({"a": [0]})})
    recorder.write({Kind.END: topics({"a": [2]})})
    recorder.write({Kind.END: topics({"a": [3]}), Kind.START: topics({"a": [2]})})
    found = [queries.column_at(recorder.id, Kind.START, cycle) for cycle in (0, 1, 2, 3, None)]
    assert [None if f is None else (f[0].numbers.at(0), f[2]) for f in found] == [None, (0, 1), (0, 1), (2, 3), (2, 3)]
    assert queries.newest_cycle(recorder.id) == 3
    assert queries.first_taken_at(recorder.id) == BEGIN + 5


def test_a_transaction_that_fails_leaves_the_writer_usable(recorder: Recorder) -> None:
    recorder.write({Kind.END: topics({"a": [1]})})
    roll_back(recorder, {Kind.END: topics({"a": [2], "b": [5]})})  # its layout row is gone again, too
    recorder.write({Kind.END: topics({"a": [3], "b": [6]})})
    recorder.write({Kind.END: topics({"a": [4], "b": [7]})})
    found = recent_columns(recorder.id, Kind.END, 0.0)
    assert [c.numbers.values.tolist() for _, _, c in found] == [[1], [3, 6], [4, 7]]


def test_a_writer_that_nobody_told_of_the_rollback_notices_the_number(recorder: Recorder) -> None:
    recorder.write({Kind.END: topics({"a": [1]})})
    roll_back(recorder, {Kind.END: topics({"a": [2]})}, tell=False)
    recorder.write({Kind.END: topics({"a": [3]})})
    assert Frame.objects.get(cycle=2).key_cycle == 2
    found = queries.column_at(recorder.id, Kind.END, 2)
    assert found is not None
    assert found[0].numbers.at(0) == 3


def test_an_insert_that_fails_makes_the_writer_forget(recorder: Recorder) -> None:
    recorder.write({Kind.END: topics({"a": [1]})})
    with pytest.raises(DatabaseError), transaction.atomic():
        recorder.writer.write(1, recorder.now, {Kind.END: topics({"a": [2]})})
    recorder.write({Kind.END: topics({"a": [3]})})
    assert Frame.objects.get(cycle=2).key_cycle == 2


@pytest.mark.parametrize("damage", ["bytes", "cut short", "gone", "key bytes", "key gone"])
def test_a_damaged_frame_is_unknown_and_never_zero(recorder: Recorder, damage: str) -> None:
    many = {"big": [7] * 1500, "small": [8, 9]}  # two segments
    recorder.write({Kind.END: topics(many)})
    recorder.write({Kind.END: topics(many)})
    recorder.write({Kind.END: topics(many)})
    frame = Frame.objects.get(cycle=1 if damage.startswith("key") else 2, segment=0)
    if damage.endswith("gone"):
        frame.delete()
    else:
        body = bytes(frame.body)
        frame.body = body[:20] if damage == "cut short" else body[:-1] + bytes([body[-1] ^ 255])
        frame.save()
    if damage == "gone":
        found = queries.column_at(recorder.id, Kind.END, 2)
        assert found is not None
        assert found[2] == 1, "without its first segment the cycle is not there at all"
        return
    found = queries.column_at(recorder.id, Kind.END, 2)
    assert found is not None
    assert not found[0].of("big").known.any()
    assert found[0].of("small").known.all()
    assert found[0].of("small").values.tolist() == [8, 9]
    series = queries.series(recorder.id, Kind.END, "big", 0.0, BEGIN * 2)
    expected = [False, False, False] if damage == "key bytes" else [True, False, True]
    if damage == "key gone":
        expected = [False, False]
    assert series.known.all(axis=1).tolist() == expected


def test_one_insert_stores_all_kinds(recorder: Recorder, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    big = {f"t{i}": [1] * 600 for i in range(10)}
    columns = {Kind.END: topics(big), Kind.START: topics(big), Kind.SIZE: topics(big)}
    recorder.write(columns)
    with django_assert_num_queries(3):  # savepoint, insert, release
        recorder.write(columns)


# Deleting


def fill(recorder: Recorder, cycles: int) -> None:
    for i in range(cycles):
        layout = {"a": [i, i], "b": [i]} if i % 25 < 20 else {"a": [i]}
        columns = {Kind.END: topics(layout), Kind.COMMITTED: column({"g": {("a", 0): i}})}
        if i % 12 == 0:
            columns[Kind.START] = topics(layout)
        recorder.write(columns)


@pytest.mark.parametrize("limit", [1, 7, 1000])
@pytest.mark.parametrize("keep", [0, 1, 30, 70, 149, 150])
def test_deleting_never_removes_a_key_frame_that_is_still_needed(recorder: Recorder, limit: int, keep: int) -> None:
    fill(recorder, 150)
    before = BEGIN + 5 * (150 - keep) + 2.5
    while True:
        deleted = delete_older_than(recorder.id, before, limit)
        for cluster, kind, key, segment in set(Frame.objects.values_list("cluster_id", "kind", "key_cycle", "segment")):
            assert Frame.objects.filter(cluster=cluster, kind=kind, cycle=key, segment=segment).exists()
        assert deleted <= limit
        if deleted == 0:
            break
        if limit == 1 and Frame.objects.count() < 250:
            limit = 50  # the slow way was walked long enough
    for kind in (Kind.END, Kind.COMMITTED, Kind.START):
        kept = recent_columns(recorder.id, kind, before)
        assert all(column.numbers.known.all() for _, _, column in kept)
        assert queries.column_at(recorder.id, kind) is not None, "the newest always stays"
    assert len(recent_columns(recorder.id, Kind.END, before)) == keep
    oldest = Frame.objects.filter(kind="end").order_by("cycle")[0].cycle
    assert oldest >= 150 - keep - KEY_EVERY
    assert not LayoutRow.objects.filter(frame=None).exists()


def test_deleting_leaves_other_clusters_alone(db: None) -> None:
    old, other = Recorder("old"), Recorder("other")
    for each in (old, other):
        fill(each, 90)
    delete_older_than(old.id, BEGIN + 1e6, 10_000)
    assert len(recent_columns(other.id, Kind.END, 0.0)) == 90


def test_a_clock_that_stepped_back_keeps_what_is_needed(recorder: Recorder) -> None:
    fill(recorder, 60)
    recorder.now -= 200
    fill(recorder, 60)
    delete_older_than(recorder.id, BEGIN + 250, 10_000)
    for _, _, found in recent_columns(recorder.id, Kind.END, BEGIN + 250):
        assert found.numbers.known.all()


def test_deleting_finds_its_border_by_an_index(recorder: Recorder) -> None:
    fill(recorder, 3)
    with CaptureQueriesContext(connection) as captured:
        delete_older_than(recorder.id, BEGIN + 1e6, 100)
    assert len(captured) <= 5 * len(Kind) + 6


def test_many_positions_survive_many_segments(recorder: Recorder) -> None:
    random = np.random.default_rng(1)
    layout = Layout.of_topics({f"t{i:03}": range(int(random.integers(1, 3000))) for i in range(40)})
    values = random.integers(0, 2**62, len(layout))
    for _ in range(3):
        values = values + random.integers(0, 100_000, len(layout))
        known = random.random(len(layout)) > 0.01
        now = Column(layout, Numbers(np.where(known, values, 0), known))
        recorder.write({Kind.END: now})
        found = queries.column_at(recorder.id, Kind.END)
        assert found is not None
        assert same(now, found[0])
        for owner in layout.owners[::7]:
            series = queries.series(recorder.id, Kind.END, owner, recorder.now, recorder.now)
            where = layout.slice_of(owner)
            assert series.known[0].tolist() == known[where].tolist()
            assert series.values[0][known[where]].tolist() == values[where][known[where]].tolist()
