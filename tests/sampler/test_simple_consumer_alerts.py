"""A simple consumer that commits fires no alert about missing members, and one that has stopped does."""

from __future__ import annotations

import time

import pytest

from collectors.domain.topology import Group, GroupType
from collectors.domain.verdicts import Verdict
from collectors.history.queries import cluster_at
from collectors.models import Group as GroupLine
from collectors.models import Lease
from dashboard.alerts.judge import Judge
from dashboard.alerts.readings import unread_rates
from dashboard.live import findings
from dashboard.live.details import group_detail
from dashboard.models import Alert
from tests.alerts.stage import settle
from tests.faults.pretend import Clock, group, make_cluster, sampler_of, shop

pytestmark = pytest.mark.django_db


@pytest.mark.slow
def test_no_members_while_records_arrive_is_of_a_simple_consumer_only_when_its_commits_stop() -> None:
    cluster, clock = make_cluster(), Clock(time.time() - 5 * 120)
    kafka = shop(
        groups=(
            Group("billing", GroupType.CLASSIC, "Stable", "consumer", 1),
            Group("stats", GroupType.CLASSIC, "Empty"),
        )
    )
    sampler, judge = sampler_of(cluster, kafka, clock), Judge(clock=clock.wall, monotonic=clock.monotonic)

    def go(count: int, *, read: bool) -> None:
        for _ in range(count):
            clock.go(sampler.interval)
            kafka.produce(10)
            if read:
                kafka.commits["stats"] = {place: end for place, end in kafka.ends.items() if place[0] == "clicks"}
            sampler.cycle(due_at=clock.wall())

    go(30, read=True)
    settle(judge)
    found = cluster_at(cluster.pk)
    assert found is not None
    rates = unread_rates(found)
    assert dict(zip(rates.names, rates.numbers.values.tolist(), strict=True))["stats"] == 0.0
    assert GroupLine.objects.get(name="stats").is_read_alone
    cluster.refresh_from_db()
    findings.forget()
    row = group_detail(cluster, found, "stats")
    assert row is not None
    assert (row["verdict"], [part["verdict"] for part in row["partitions"]]) == ("ok", ["ok"])
    assert "a simple consumer: it commits without joining a group" in row["evidence"]
    about = Alert.objects.filter(subject="stats", rule__key="group_no_members")
    assert not about.filter(state="firing").exists()
    go(30, read=False)
    settle(judge)
    assert GroupLine.objects.get(name="stats").verdict == Verdict.NO_MEMBERS
    firing = about.get(state="firing")
    assert firing.sentence.startswith("stats has no members while 2/s arrive")
    go(5, read=True)
    settle(judge)
    firing.refresh_from_db()
    assert firing.state == "resolved"
    end = firing.transitions.latest("id").reason
    assert end.startswith("Somebody commits for stats again, as no member after "), end


@pytest.mark.slow
@pytest.mark.parametrize(("pause", "away"), [(90.0, 5.0), (300.0, 900.0), (90.0, 4000.0)])
def test_who_commits_seldom_is_told_the_same_after_a_restart_and_found_when_it_stops(pause: float, away: float) -> None:
    cluster, clock = make_cluster(), Clock(time.time() - 9000)
    kafka = shop(groups=(group("billing"), Group("stats", GroupType.CLASSIC, "Empty")))
    sampler = sampler_of(cluster, kafka, clock)
    told: list[Verdict] = []

    def go(seconds: float, *, reads: bool = True) -> None:
        for _ in range(round(seconds / sampler.interval)):
            clock.go(sampler.interval)
            kafka.produce(10)
            if reads and clock.monotonic() % pause < sampler.interval:
                kafka.commits["stats"] = {("clicks", 0): kafka.ends["clicks", 0]}
            sampler.cycle(due_at=clock.wall())
            told.append(Verdict(GroupLine.objects.get(name="stats").verdict))

    go(3 * pause)
    clock.go(away)
    Lease.objects.release(sampler.lease_name, holder=sampler.waiting.holder, epoch=sampler.epoch)
    cluster.refresh_from_db()
    sampler = sampler_of(cluster, kafka, clock)
    sampler.remember()
    sampler._rebuild_window()
    told.clear()
    go(3 * pause)
    assert set(told) <= {Verdict.OK, Verdict.UNKNOWN}
    assert Verdict.UNKNOWN not in told[3:], "with the first samples only"
    cluster.refresh_from_db()
    findings.forget()
    row = group_detail(cluster, cluster_at(cluster.pk), "stats")
    assert row is not None
    assert [part["verdict"] for part in row["partitions"]] == ["ok"]
    go(1.5 * pause + 60, reads=False)
    assert told[-1] is Verdict.NO_MEMBERS
