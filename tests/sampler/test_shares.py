"""Several workers share the clusters out, without being told of each other."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.db.models.functions import Now

from collectors.kafka.settings import ConnectionSettings
from collectors.models import Cluster, Cycle, Lease
from collectors.secrets import encrypt
from collectors.shares import Standing, free_leases, missed, share
from dashboard import loops
from dashboard.loops import ResidentLoops

pytestmark = pytest.mark.django_db


class Idle:
    """A loop's thread that never ends and is never waited for."""

    def is_alive(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: ResidentLoops, name: str, made: object) -> None:
        self._running[name] = type("Running", (), {"thread": Idle(), "loop": made})()

    monkeypatch.setattr(ResidentLoops, "_start", start)
    monkeypatch.setattr(ResidentLoops, "_end", lambda self, name: self._running.pop(name))


@pytest.fixture
def clusters() -> list[Cluster]:
    stored = ConnectionSettings.from_properties({"bootstrap.servers": "127.0.0.1:1"}).to_stored()
    return [
        Cluster.objects.create(slug=f"c{n}", name=f"C{n}", settings_encrypted=encrypt(stored, settings.INSTANCE_KEY))
        for n in range(5)
    ]


def worker() -> ResidentLoops:
    return ResidentLoops(on_fatal=lambda name: pytest.fail(f"{name} ended the process"))


def look(*workers: ResidentLoops) -> list[int]:
    """Each looks once, in turn; how many clusters each holds."""
    for one in workers:
        one._said_at = float("-inf")
        one._say_present()
        one._keep_samplers()
    return [len(one._clusters) for one in workers]


def lapse(worker: ResidentLoops) -> None:
    """What time does to one that was killed."""
    Lease.objects.filter(holder=worker.holder).update(expires_at=Now() - timedelta(seconds=1))


def assert_each_held_once(clusters: list[Cluster], *workers: ResidentLoops) -> None:
    held = Counter(pk for one in workers for pk in one._clusters)
    assert held == Counter(cluster.pk for cluster in clusters)


@pytest.mark.parametrize(
    ("clusters", "workers", "most"), [(5, 1, 5), (5, 2, 3), (6, 2, 3), (1, 3, 1), (0, 2, 0), (4, 0, 4)]
)
def test_a_share_is_rounded_up(clusters: int, workers: int, most: int) -> None:
    assert share(clusters, workers) == most


def test_one_worker_holds_all_and_gives_back_when_another_comes(clusters: list[Cluster]) -> None:
    first, second = worker(), worker()
    assert look(first) == [5]
    assert look(second) == [0], "nothing was given back yet"
    assert look(first, second) == [3, 2]
    assert look(first, second) == [3, 2], "and there it stays"
    assert_each_held_once(clusters, first, second)


def test_the_clusters_of_a_killed_worker_go_on_at_once_when_their_leases_lapse(clusters: list[Cluster]) -> None:
    first, second = worker(), worker()
    look(first, second, first, second)
    lapse(second)
    assert look(first) == [5]
    assert_each_held_once(clusters, first)


def test_a_lapsed_lease_is_taken_even_while_the_dead_worker_still_counts(clusters: list[Cluster]) -> None:
    first, second = worker(), worker()
    look(first, second, first, second)
    Lease.objects.filter(holder=second.holder, name__startswith="cluster:").update(
        expires_at=Now() - timedelta(seconds=1)
    )
    first._keep_samplers()
    assert len(first._clusters) == 5


def test_a_worker_that_ends_leaves_all_to_the_others(clusters: list[Cluster]) -> None:
    first, second = worker(), worker()
    look(first, second, first, second)
    Lease.objects.be_gone(second.holder)
    for pk in list(second._clusters):
        second._give_back(pk)
    assert look(first) == [5]


def test_what_nobody_takes_comes_back_and_stays(clusters: list[Cluster], monkeypatch: pytest.MonkeyPatch) -> None:
    """The other worker lacks the key, say: no to and fro."""
    first, useless = worker(), worker()
    monkeypatch.setattr(useless, "_take", lambda cluster, **how: None)
    assert look(first, useless, first, useless)[0] == 3
    Lease.objects.filter(holder="").update(expires_at=Now() - timedelta(seconds=6))
    assert look(first, useless)[0] == 5
    assert look(first, useless, first)[0] == 5
    assert_each_held_once(clusters, first)
    assert loops.KEEP_SECONDS >= 60


def test_what_was_given_back_is_for_whoever_holds_too_few(clusters: list[Cluster]) -> None:
    pk = clusters[0].pk
    assert free_leases([pk]) == {pk: Standing.GIVEN_BACK}
    epoch = Lease.objects.acquire(f"cluster:{pk}", holder="a", seconds=10)
    assert free_leases([pk]) == {}
    Lease.objects.release(f"cluster:{pk}", holder="a", epoch=epoch or 0)
    assert free_leases([pk]) == {pk: Standing.GIVEN_BACK}
    Lease.objects.filter(name=f"cluster:{pk}").update(expires_at=Now() - timedelta(seconds=6))
    assert free_leases([pk]) == {pk: Standing.UNTAKEN}
    Lease.objects.acquire(f"cluster:{pk}", holder="a", seconds=10)
    Lease.objects.filter(name=f"cluster:{pk}").update(expires_at=Now())
    assert free_leases([pk]) == {pk: Standing.LAPSED}


def test_the_row_of_a_killed_worker_is_forgotten() -> None:
    gone, here = worker(), worker()
    look(gone)
    lapse(gone)
    assert Lease.objects.workers() == []
    Lease.objects.filter(holder=gone.holder).update(expires_at=Now() - timedelta(hours=1))
    look(here)
    assert Lease.objects.workers() == [here.holder]
    assert not Lease.objects.filter(holder=gone.holder).exists()


def test_due_times_that_a_lost_holder_passed_over_are_counted(clusters: list[Cluster]) -> None:
    cluster = clusters[0]
    assert missed(cluster, 1_000_000.0) == 0, "before the first cycle nothing was due"
    at = datetime.fromtimestamp(1_000_000, UTC)
    Cycle.objects.create(
        cluster=cluster, number=7, epoch=1, due_at=at, started_at=at, taken_at=at, ended_at=at, is_reachable=True
    )
    cluster.last_cycle = 7
    assert cluster.interval_seconds == 5.0
    assert missed(cluster, 1_000_005.4) == 0
    assert missed(cluster, 1_000_013.0) == 2
    assert missed(cluster, 999_000.0) == 0, "a clock that stepped back"


def test_after_an_outage_of_the_database_each_holder_goes_on_with_its_own(clusters: list[Cluster]) -> None:
    first, second = worker(), worker()
    look(first, second, first, second)
    lapse(first)
    lapse(second)
    second._back_at = time.monotonic()
    assert look(second) == [2], "the first one's are left to it for an interval"
    second._back_at -= 60.0
    assert look(second) == [5]
