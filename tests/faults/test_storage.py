"""The database is locked or full while cycles come: what was seen waits in memory and is stored with its own time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import F

from collectors import storage
from collectors import waiting as waiting_module
from collectors.backlog import Backlog
from collectors.history import queries
from collectors.history.kinds import Kind
from collectors.models import Cluster, Cycle, Event, Lease
from collectors.sampler import Sampler
from collectors.waiting import LeaseLostError

from .pretend import Clock, cycles, failing_writes, make_cluster, sampler_of, shop, values_of

pytestmark = pytest.mark.django_db


def fail_cycles(sampler: Sampler, clock: Clock, count: int, text: str) -> list[float]:
    """Cycles that cannot be stored; returns when they were taken."""
    taken = []
    with failing_writes(text):
        for _ in range(count):
            clock.go(sampler.interval)
            taken.append(clock.wall())
            with pytest.raises(OperationalError) as caught:
                sampler.cycle(due_at=clock.wall())
            sampler.waiting.note_trouble(caught.value)
    return taken


@pytest.mark.django_db(transaction=True)
def test_d1_what_could_not_be_stored_is_stored_later_with_its_own_time() -> None:
    cluster, clock, kafka = make_cluster(), Clock(), shop()
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 3, kafka)
    kafka.produce(7)
    missed = fail_cycles(sampler, clock, 6, "database is locked")
    assert sampler.trouble == "another process holds the database's lock: 6 cycles not stored yet"
    assert Cycle.objects.count() == 3
    cycles(sampler, clock, 1)
    stored = list(Cycle.objects.order_by("number").values_list("number", flat=True))
    assert stored == list(range(1, 11))
    times = [at.timestamp() for at in Cycle.objects.order_by("number").values_list("taken_at", flat=True)]
    assert times[3:9] == pytest.approx(missed, abs=0.001)
    found = values_of(queries.column_at(cluster.pk, Kind.END, 4)[0])  # type: ignore[index]  # it is there
    assert found["orders", "orders", 0] == 137
    assert not Event.objects.filter(kind=Event.Kind.CYCLES_SKIPPED).exists(), "nothing was lost"


def test_d1_a_lease_that_lapsed_while_waiting_is_taken_again_unless_somebody_else_had_it() -> None:
    cluster, clock, kafka = make_cluster(), Clock(), shop()
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 1, kafka)
    before = sampler.epoch
    Lease.objects.update(expires_at=F("expires_at") - timedelta(hours=1))  # a machine that slept, a lock of an hour
    cycles(sampler, clock, 2, kafka)
    assert sampler.epoch == before + 1
    assert Cycle.objects.get(number=3).epoch == before + 1
    assert Lease.objects.in_force().get().holder == sampler.waiting.holder

    Lease.objects.update(expires_at=F("expires_at") - timedelta(hours=1))
    other = Lease.objects.acquire(sampler.lease_name, holder="other", seconds=10)
    assert other is not None
    with pytest.raises(LeaseLostError):
        cycles(sampler, clock, 1, kafka)
    Lease.objects.release(sampler.lease_name, holder="other", epoch=other)
    with pytest.raises(LeaseLostError):
        cycles(sampler, clock, 1, kafka)
    assert Lease.objects.get().holder == "", "who may not store does not keep the lease either"
    assert Cycle.objects.count() == 3


def test_d1_a_sampler_that_is_told_to_end_takes_no_lease() -> None:
    cluster, clock, kafka = make_cluster(), Clock(), shop()
    sampler = sampler_of(cluster, kafka, clock)
    sampler._stop.set()
    Lease.objects.release(sampler.lease_name, holder=sampler.waiting.holder, epoch=sampler.epoch)
    with pytest.raises(LeaseLostError):
        cycles(sampler, clock, 1, kafka)
    assert Lease.objects.get().holder == ""


@pytest.mark.django_db(transaction=True)
def test_d1_what_waits_is_bounded_and_what_is_dropped_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_module, "WAITING_CYCLES", 4)
    cluster, clock, kafka = make_cluster(), Clock(), shop()
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 1, kafka)
    fail_cycles(sampler, clock, 9, "database is locked")
    assert sampler.trouble.endswith("4 cycles not stored yet")
    cycles(sampler, clock, 1)
    assert Cycle.objects.count() == 5
    (event,) = Event.objects.filter(kind=Event.Kind.CYCLES_SKIPPED)
    assert event.text == "6 cycles could not be stored: the database failed for too long"
    assert list(Cycle.objects.order_by("number").values_list("skipped", flat=True)) == [0, 6, 0, 0, 0]


@pytest.mark.parametrize(
    ("weights", "kept"),
    [([1, 1, 1], 3), ([1, 1, 1, 1], 3), ([9, 9], 1), ([50], 1), ([9, 9, 1], 2)],
)
def test_a_backlog_keeps_the_newest_within_its_bounds(weights: list[int], kept: int) -> None:
    backlog: Backlog[int] = Backlog(most=3, heaviest=10)
    for number, weight in enumerate(weights):
        backlog.push(number, weight)
    assert len(backlog) == kept
    assert backlog.dropped == len(weights) - kept
    assert backlog.oldest == len(weights) - kept


@pytest.mark.sqlite
@pytest.mark.django_db(transaction=True)
def test_d3_a_full_database_is_said_and_what_waits_is_stored_when_there_is_room() -> None:
    cluster, clock, kafka = make_cluster(), Clock(), shop()
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 2, kafka)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA page_count")
        cursor.execute(f"PRAGMA max_page_count = {cursor.fetchone()[0]}")
    failed = 0
    for _ in range(200):
        clock.go(sampler.interval)
        kafka.produce(1_000_003)
        try:
            sampler.cycle(due_at=clock.wall())
        except OperationalError as error:
            failed += 1
            sampler.waiting.note_trouble(error)
        if failed == 3:
            break
    assert sampler.trouble == "the disk of the database is full: 3 cycles not stored yet"
    stored = Cycle.objects.count()
    assert Cluster.objects.get().last_cycle == stored, "no half cycle"
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA max_page_count = 1000000000")
    cycles(sampler, clock, 1)
    assert Cycle.objects.count() == stored + 4
    sound = [row[0] for row in connection.cursor().execute("PRAGMA integrity_check").fetchall()]
    assert sound == ["ok"]


def test_a_failure_that_is_no_failure_of_the_database_is_raised_and_forgets_what_was_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster, clock, kafka = make_cluster(), Clock(), shop()
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 1, kafka)
    with monkeypatch.context() as broken:
        broken.setattr(sampler.waiting._writer, "write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            cycles(sampler, clock, 1, kafka)
    cycles(sampler, clock, 1, kafka)
    assert Cycle.objects.count() == 3


@pytest.mark.sqlite
def test_the_reserve_is_made_where_there_is_room_and_given_up_on_a_full_disk(tmp_path: Path) -> None:
    assert storage.keep_reserve(tmp_path, size=5000)
    assert (tmp_path / storage.RESERVE_FILE).stat().st_size == 5000
    tries: list[tuple[bool, int]] = []

    def delete(at_once: int) -> None:
        tries.append(((tmp_path / storage.RESERVE_FILE).exists(), at_once))
        if len(tries) == 1:
            raise OperationalError("database or disk is full")

    storage.with_reserve(tmp_path, delete, at_once=2000, size=5000)
    assert tries == [(True, 2000), (False, storage.ROWS_ON_A_FULL_DISK)]
    assert (tmp_path / storage.RESERVE_FILE).exists(), "made again when there is room"
    (tmp_path / storage.RESERVE_FILE).unlink()
    assert not storage.keep_reserve(tmp_path, size=10**18)
    assert not (tmp_path / storage.RESERVE_FILE).exists()


def test_other_failures_do_not_cost_the_reserve(tmp_path: Path) -> None:
    storage.keep_reserve(tmp_path, size=5000)

    def locked(at_once: int) -> None:
        raise OperationalError("database is locked")

    with pytest.raises(OperationalError):
        storage.with_reserve(tmp_path, locked, at_once=2000, size=5000)
    assert (tmp_path / storage.RESERVE_FILE).exists()
