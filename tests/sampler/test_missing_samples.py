"""Ten minutes without a sample: what cannot be known is unknown and says why, before and after the gap."""

from __future__ import annotations

import time

import pytest

from collectors.domain.ages import Method
from collectors.domain.words import moment
from collectors.history.queries import ages_at, cluster_at, group_history
from collectors.models import Cluster
from collectors.sampler import Sampler
from dashboard.live import findings
from dashboard.live.clusterrows import cluster_row
from dashboard.live.presence import not_since, present
from dashboard.live.rows import Row, group_row
from dashboard.pages.lights import lights_of
from tests.faults.pretend import Clock, Pretend, make_cluster, read_by_one, sampler_of, shop

pytestmark = pytest.mark.django_db
CYCLES, AWAY = 30, 120


def flow(sampler: Sampler, clock: Clock, kafka: Pretend, count: int) -> None:
    """Cycles in which 50 records come to each partition and "billing" reads as many; "stats" reads none."""
    for _ in range(count):
        clock.go(sampler.interval)
        kafka.produce(50)
        kafka.commits["billing"] = {place: offset + 50 for place, offset in kafka.commits["billing"].items()}
        sampler.cycle(due_at=clock.wall())


def row(cluster: Cluster, name: str) -> Row:
    cluster.refresh_from_db()
    found = group_row(cluster, cluster_at(cluster.pk), name)
    assert found is not None
    return found


@pytest.fixture
def watched(db: None) -> tuple[Cluster, Clock, Pretend, Sampler]:
    """Sampled for a while, so long ago that ten minutes later it is now."""
    cluster, clock = make_cluster(), Clock(time.time() - 5 * (CYCLES + AWAY))
    kafka = shop(groups=(read_by_one("billing", "orders", 2), read_by_one("stats", "clicks", 1)))
    sampler = sampler_of(cluster, kafka, clock)
    flow(sampler, clock, kafka, CYCLES)
    assert (row(cluster, "billing")["verdict"], row(cluster, "stats")["verdict"]) == ("ok", "no_progress")
    return cluster, clock, kafka, sampler


def test_while_nothing_can_be_sampled_every_number_and_verdict_is_unknown_with_since_when_and_why(
    watched: tuple[Cluster, Clock, Pretend, Sampler],
) -> None:
    cluster, clock, kafka, sampler = watched
    began = moment(clock.wall(), now=time.time())
    kafka.is_away = True
    for _ in range(AWAY):
        clock.go(sampler.interval)
        sampler.cycle(due_at=clock.wall())
    for name in ("billing", "stats"):
        found = row(cluster, name)
        numbers = ("lag", "consumed", "arriving", "age", "head", "countdown")
        assert [found[number] for number in numbers] == [None] * len(numbers), name
        assert (found["verdict"], found["lag_state"], found["drain_said"]) == ("unknown", "unknown", "unknown")
        assert found["sentence"] == f"Unknown: not sampled since {began}: timeout (connect)"
        assert found["evidence"][0] == f"as of {began}, when the newest sample was taken:"
        assert found["cause"] == "broker trouble: timeout (connect)"
    now = present(cluster_at(cluster.pk), cluster.interval_seconds, time.time())
    assert not_since(now, time.time()) == f"not sampled since {began}", "though cycles are stored"
    shown = cluster_row(cluster, now)
    assert [shown[name] for name in ("under_replicated", "offline", "troubled", "rate", "points")] == [None] * 5
    lights = lights_of(now, [("billing", 1, "classic"), ("stats", 1, "classic")])
    assert [light.word for light in lights] == ["unknown", "unknown"]


@pytest.mark.slow
@pytest.mark.parametrize("is_forgotten", [True, False])
@pytest.mark.parametrize("is_asked", [True, False])
def test_after_ten_minutes_nothing_is_made_of_the_gap_but_what_spans_it(
    watched: tuple[Cluster, Clock, Pretend, Sampler], is_asked: bool, is_forgotten: bool
) -> None:
    cluster, clock, kafka, sampler = watched
    before = row(cluster, "stats")["verdict_since"]
    began = clock.wall()
    kafka.is_away = True
    for _ in range(AWAY):
        clock.go(sampler.interval)
        if is_asked:
            sampler.cycle(due_at=clock.wall())
    kafka.is_away = False
    kafka.produce(6000)
    flow(sampler, clock, kafka, 1)
    first = clock.wall()
    if is_forgotten:
        findings.forget()  # another process serves the page, and has none of the samples of before
    found, now = row(cluster, "billing"), cluster_at(cluster.pk)
    assert now is not None
    assert (found["lag"], found["verdict"]) == (12_015, "unknown")
    missing = f"samples were missing from {moment(began, now=first)} to {moment(first, now=first)}"
    assert found["sentence"] == f"Unknown yet: {missing}; 1 of 3 samples since, 12\u202f015 records wait"
    assert (found["consumed"], found["arriving"], found["drain_said"]) == (None, None, "unknown")
    ages, at = ages_at(now).groups, now.groups.index["billing"]
    assert Method(int(ages.method[at])) is Method.BRACKETED
    assert (ages.low[at], round(float(ages.high[at]))) == (0.0, 605)
    stands = row(cluster, "stats")  # at the offset of before: that is known
    assert (stands["verdict"], stands["verdict_since"]) == ("no_progress", before)
    flow(sampler, clock, kafka, 1)
    assert row(cluster, "billing")["sentence"].startswith(f"Unknown yet: {missing}; 2 of 3 samples since, ")
    flow(sampler, clock, kafka, 1)
    assert row(cluster, "billing")["verdict"] == "ok"
    chart = group_history(cluster.pk, "billing", began - 12, clock.wall() + 1, 400)
    after = [at for at, is_gap in zip(chart.times.tolist(), chart.gap_before.tolist(), strict=True) if is_gap]
    assert after == [pytest.approx(began + 5 * (AWAY + 1), abs=1)]
