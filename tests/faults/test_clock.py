"""Clocks that step by an hour, and machines in other time zones."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import F
from django.test import Client

from collectors.domain.words import duration
from collectors.history import queries
from collectors.history.cache import clear_caches
from collectors.models import Cluster, Cycle, Event, Lease
from collectors.sampler import Sampler
from dashboard.alerts.judge import Judge
from dashboard.alerts.rules import NOTHING, Comparison, Reading, State, Terms, step
from dashboard.pages.ranges import read_range
from tests.pages.seed import Company, make_company

from .pretend import Clock, Pretend, make_cluster, sampler_of, shop

HOUR = 3600.0


class Stop(threading.Event):
    """A stop whose waiting is the clock going on: what the loop waits for comes at once. `then` runs before a wait."""

    def __init__(self, clock: Clock, then: Callable[[], None]) -> None:
        super().__init__()
        self._clock, self._then = clock, then

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.go(timeout or 0.0)
        self._then()
        return self.is_set()


def run_across_a_step(cluster: Cluster, kafka: Pretend, seconds: float) -> tuple[Sampler, list[Cycle]]:
    """The sampler's own loop: five cycles, the clock of machine and database steps, five more."""
    clock = Clock()
    sampler = sampler_of(cluster, kafka, clock)
    has_stepped = False

    def live() -> None:
        nonlocal has_stepped
        count = Cycle.objects.count()
        if count == 5 and not has_stepped:
            has_stepped = True
            clock.step(seconds)
            # the database's clock is the machine's: seen from it, everything written moves the other way
            Lease.objects.update(expires_at=F("expires_at") - timedelta(seconds=seconds))
        if count >= 10:
            stop.set()
        kafka.produce(1)

    stop = Stop(clock, live)
    sampler.run(stop)
    return sampler, list(Cycle.objects.order_by("number"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seconds", [HOUR, -HOUR, 60.0, -60.0])
def test_c1_c2_a_clock_that_steps_is_an_event_and_cycles_go_on(seconds: float) -> None:
    cluster, kafka = make_cluster(), shop()
    _, found = run_across_a_step(cluster, kafka, seconds)
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    assert len(found) >= 10
    (event,) = Event.objects.filter(kind=Event.Kind.CLOCK_STEPPED)
    words = ("forward" if seconds > 0 else "back", duration(abs(seconds)))
    assert all(word in event.text for word in words), event.text
    gaps = [(b.taken_at - a.taken_at).total_seconds() for a, b in itertools.pairwise(found)]
    odd = [gap for gap in gaps if abs(gap - 5.0) > 1.0]
    assert len(odd) == 1, "one gap, and the next cycle came at once"
    assert odd[0] == pytest.approx(seconds + 5, abs=6)
    assert sum(one.skipped for one in found) == 0, "an hour that did not pass holds no due times"
    for one in found:
        now = queries.cluster_at(cluster.pk, one.number)
        assert now is not None
        for numbers in (now.topics.messages_per_second, now.topics.arrived, now.groups.lag):
            known = numbers.values[numbers.known]
            assert (known >= 0).all()
            assert (known < 1000).all(), "no rate counts an hour"
    assert all(one.is_reachable for one in found)


@pytest.mark.django_db
def test_c2_a_lease_from_the_future_is_no_lease() -> None:
    """A process that was killed just before the clock stepped back must not keep its successors waiting for an hour."""
    cluster = make_cluster()
    name = f"cluster:{cluster.pk}"
    Lease.objects.acquire(name, holder="killed", seconds=10)
    assert Lease.objects.acquire(name, holder="next", seconds=10) is None
    Lease.objects.update(expires_at=F("expires_at") + timedelta(hours=1))
    assert not Lease.objects.in_force().exists()
    assert Lease.objects.acquire(name, holder="next", seconds=10) == 2


@pytest.mark.django_db
def test_c1_a_killed_judge_holds_nobody_up_after_a_step_back() -> None:
    first = Judge()
    first.turn()
    Lease.objects.update(expires_at=F("expires_at") + timedelta(hours=1))
    second = Judge()
    second.turn()
    assert Lease.objects.get(name="judge").holder == second._holder


def test_c1_an_hour_that_was_leapt_over_fires_nothing() -> None:
    terms = Terms(Comparison.AT_LEAST, 1.0, hold_seconds=60.0)
    standing, now = NOTHING, 1_790_000_000.0
    for _ in range(5):
        standing, _ = step(terms, standing, Reading.of(1.0), now)
        now += 5
    standing, _ = step(terms, standing, Reading.of(1.0), now + HOUR)
    assert standing.state is State.PENDING
    assert standing.counted_seconds < 60


ZONES = ("UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia")
NOW = datetime(2028, 3, 26, 1, 30, tzinfo=UTC)
BOUNDS = [
    ("now-1d", "now"),
    ("now/d", "now"),
    ("2028-02-28T12:00:00Z", "2028-03-01T12:00:00Z"),  # over a leap day
    ("2028-03-12T01:00:00-05:00", "2028-03-12T04:00:00-04:00"),  # over the hour that is lost in New York
    ("2028-11-05", "2028-11-06"),
]


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Move this machine to another time zone."""
    before = os.environ.get("TZ")

    def move(name: str | None) -> None:
        if name is None:
            os.environ.pop("TZ", None)
        else:
            os.environ["TZ"] = name
        time.tzset()

    yield move
    move(before)


@pytest.mark.django_db
def test_c4_the_zone_of_the_machine_changes_no_instant(viewer: Client, zone: Callable[[str], None]) -> None:
    make_company(Company(cycles=30), now=NOW.timestamp())
    seen = set()
    for name in ZONES:
        zone(name)
        clear_caches()
        ranges = [read_range({"from": a, "to": b}, now=NOW, history_since=None) for a, b in BOUNDS]
        since, until = (round((NOW.timestamp() - back) * 1000) for back in (600, 0))
        chart = viewer.get(f"/clusters/demo/series/?subject=g&name=shipping&what=lag&from={since}&to={until}")
        assert chart.status_code == 200, chart.content
        seen.add((*((one.since, one.until) for one in ranges), chart.content))
    assert len(seen) == 1
    lost_hour = read_range({"from": BOUNDS[3][0], "to": BOUNDS[3][1]}, now=NOW, history_since=None)
    assert lost_hour.until - lost_hour.since == timedelta(hours=2)
