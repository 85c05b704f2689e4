"""A group that stands still does so on its page and after a restart, though its producer has stopped long ago."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from collectors.history.queries import cluster_at
from collectors.models import Cluster, Lease
from collectors.models import Group as GroupLine
from collectors.sampler import Sampler
from dashboard.live import findings
from dashboard.live.details import group_detail
from dashboard.live.rows import Row
from tests.faults.pretend import Clock, Pretend, cycles, group, make_cluster, read_by_one, sampler_of, shop

pytestmark = pytest.mark.django_db
LONG = 40


def detail(cluster: Cluster, name: str) -> Row:
    cluster.refresh_from_db()
    findings.forget()
    found = group_detail(cluster, cluster_at(cluster.pk), name)
    assert found is not None
    return found


@pytest.fixture
def stuck(db: None) -> tuple[Cluster, Clock, Pretend, Sampler]:
    """ "stats" reads none of ten records a cycle, six of them, and then no more come."""
    cluster, clock = make_cluster(), Clock(time.time() - 5 * 120)
    kafka = shop(groups=(read_by_one("billing", "orders", 2), read_by_one("stats", "clicks", 1)))
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 3)
    cycles(sampler, clock, 6, kafka)
    cycles(sampler, clock, LONG)
    return cluster, clock, kafka, sampler


def test_a_group_that_commits_nothing_makes_no_progress_however_long_ago_the_last_record_came(
    stuck: tuple[Cluster, Clock, Pretend, Sampler],
) -> None:
    cluster, clock, kafka, sampler = stuck
    row = detail(cluster, "stats")
    assert (row["verdict"], [part["verdict"] for part in row["partitions"]]) == ("no_progress", ["no_progress"])
    assert row["sentence"].startswith("No progress since ")
    assert "none of 60 waiting records read" in row["sentence"]
    since = GroupLine.objects.get(name="stats").verdict_since
    assert since is not None
    assert clock.wall() - since.timestamp() > 5 * LONG, "since it came to stand, and not since it was told again"
    kafka.commits["stats"] = {("clicks", 0): 1010}
    cycles(sampler, clock, 1)
    row = detail(cluster, "stats")
    assert (row["verdict"], [part["verdict"] for part in row["partitions"]]) == ("ok", ["ok"])


@pytest.mark.parametrize("away", [1, 60])
def test_a_restart_ends_no_standstill_and_forgets_not_since_when(
    stuck: tuple[Cluster, Clock, Pretend, Sampler], away: int
) -> None:
    cluster, clock, kafka, sampler = stuck
    since = GroupLine.objects.get(name="stats").verdict_since
    clock.go(5.0 * away)
    Lease.objects.release(sampler.lease_name, holder=sampler.waiting.holder, epoch=sampler.epoch)
    cluster.refresh_from_db()
    again = sampler_of(cluster, kafka, clock)
    again.remember()
    again._rebuild_window()
    cycles(again, clock, 1)
    assert detail(cluster, "stats")["verdict"] == "no_progress"
    cycles(again, clock, 5)
    assert detail(cluster, "stats")["verdict"] == "no_progress"
    assert GroupLine.objects.get(name="stats").verdict_since == since


def test_a_group_that_never_commits_does_not_on_its_page_and_after_a_restart() -> None:
    cluster, clock = make_cluster(), Clock(time.time() - 5 * 120)
    kafka = shop(groups=(read_by_one("billing", "orders", 2), read_by_one("stats", "clicks", 1)))
    kafka.commits["stats"] = {}
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 6, kafka)
    cycles(sampler, clock, LONG)

    def told() -> tuple[str, list[str]]:
        row = detail(cluster, "stats")
        assert row["sentence"].startswith("Not committing since "), row["sentence"]
        assert "; no record came" in row["sentence"] or "in the last" not in row["sentence"]
        return row["verdict"], [part["verdict"] for part in row["partitions"]]

    assert told() == ("not_committing", ["not_committing"])
    since = GroupLine.objects.get(name="stats").verdict_since
    clock.go(5.0 * 60)
    Lease.objects.release(sampler.lease_name, holder=sampler.waiting.holder, epoch=sampler.epoch)
    cluster.refresh_from_db()
    again = sampler_of(cluster, kafka, clock)
    again.remember()
    again._rebuild_window()
    for _ in range(3):
        cycles(again, clock, 1)
        assert told() == ("not_committing", ["not_committing"])
    assert GroupLine.objects.get(name="stats").verdict_since == since
    kafka.commits["stats"] = {("clicks", 0): kafka.ends["clicks", 0]}
    cycles(again, clock, 1)
    assert detail(cluster, "stats")["verdict"] == "ok"


def test_a_partition_without_commits_and_without_records_is_not_told_more_after_a_restart() -> None:
    cluster, clock = make_cluster(), Clock(time.time() - 5 * 60)
    kafka = shop(groups=(read_by_one("billing", "orders", 2), group("stats")))
    kafka.commits["billing"] = {}
    sampler = sampler_of(cluster, kafka, clock)
    for _ in range(8):
        kafka.ends["orders", 0] += 10  # nothing comes to the other
        cycles(sampler, clock, 1)

    def told() -> list[str]:
        return [part["verdict"] for part in detail(cluster, "billing")["partitions"]]

    assert told() == ["not_committing", "no_commit"]
    Lease.objects.release(sampler.lease_name, holder=sampler.waiting.holder, epoch=sampler.epoch)
    cluster.refresh_from_db()
    again = sampler_of(cluster, kafka, clock)
    again.remember()
    again._rebuild_window()
    cycles(again, clock, LONG)
    assert told() == ["not_committing", "no_commit"]


def test_a_clock_that_was_set_ends_no_standstill(stuck: tuple[Cluster, Clock, Pretend, Sampler]) -> None:
    cluster, clock, _, sampler = stuck
    clock.step(-60.0)
    cycles(sampler, clock, 1)
    assert detail(cluster, "stats")["verdict"] == "no_progress"


def test_members_that_have_just_come_are_not_told_to_stand_still_on_any_page() -> None:
    cluster, clock = make_cluster(), Clock(time.time() - 5 * 18)
    there = read_by_one("stats", "clicks", 1)
    kafka = shop(groups=(group("billing"), there))
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 3)
    kafka.groups = (group("billing"), replace(there, state="Empty", members=()))
    cycles(sampler, clock, 12, kafka)
    assert detail(cluster, "stats")["verdict"] == "no_members"
    kafka.groups = (group("billing"), there)
    for _ in range(3):
        cycles(sampler, clock, 1, kafka)
        row = detail(cluster, "stats")
        assert (row["verdict"], [part["verdict"] for part in row["partitions"]]) == ("unknown", ["unknown"])
        assert row["sentence"].startswith("Unknown yet: its members came a moment ago, 1"), row["sentence"]
    cycles(sampler, clock, 2, kafka)
    row = detail(cluster, "stats")
    assert (row["verdict"], [part["verdict"] for part in row["partitions"]]) == ("no_progress", ["no_progress"])
