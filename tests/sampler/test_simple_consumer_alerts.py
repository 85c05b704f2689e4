"""A simple consumer that commits fires no alert about missing members, and one that has stopped does."""

from __future__ import annotations

import time

import pytest

from collectors.domain.simple_consumers import BORN_SECONDS, SIMPLE_PAUSES
from collectors.domain.topology import Group, GroupType
from collectors.domain.verdicts import Verdict
from collectors.domain.words import THIN
from collectors.history.queries import cluster_at
from collectors.models import Cluster, Lease
from collectors.models import Group as GroupLine
from collectors.sampler import Sampler
from dashboard.alerts.judge import Judge
from dashboard.alerts.readings import unread_rates
from dashboard.live import findings
from dashboard.live.details import group_detail
from dashboard.models import Alert
from tests.alerts.stage import settle
from tests.faults.pretend import Clock, Pretend, cycles, group, make_cluster, sampler_of, shop

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
    sampler = started_again(sampler, kafka, clock, cluster)
    told.clear()
    go(3 * pause)
    assert set(told) <= {Verdict.OK, Verdict.UNKNOWN}
    assert Verdict.UNKNOWN not in told[3:], "with the first samples only"
    cluster.refresh_from_db()
    findings.forget()
    row = group_detail(cluster, cluster_at(cluster.pk), "stats")
    assert row is not None
    assert [part["verdict"] for part in row["partitions"]] == ["ok"]
    go(SIMPLE_PAUSES * pause + 60, reads=False)
    assert told[-1] is Verdict.NO_MEMBERS


def started_again(sampler: Sampler, kafka: Pretend, clock: Clock, cluster: Cluster) -> Sampler:
    Lease.objects.release(sampler.lease_name, holder=sampler.waiting.holder, epoch=sampler.epoch)
    cluster.refresh_from_db()
    again = sampler_of(cluster, kafka, clock)
    again.remember()
    again._rebuild_window()
    return again


@pytest.mark.slow
@pytest.mark.parametrize("what", ["one stands", "all fall behind"])
def test_what_rounds_have_told_is_told_after_a_restart(what: str) -> None:
    """Commits come each 90 s; after three pauses only half of what comes is read, or of one partition nothing."""
    cluster, clock, pause = make_cluster(), Clock(time.time() - 9000), 90.0
    kafka = shop(groups=(Group("billing", GroupType.CLASSIC, "Empty"), group("stats")))
    sampler = sampler_of(cluster, kafka, clock)
    expected = Verdict.NO_PROGRESS if what == "one stands" else Verdict.FALLING_BEHIND
    told: list[Verdict] = []

    def go(pauses: float, *, is_well: bool = False) -> None:
        for _ in range(round(pauses * pause / sampler.interval)):
            clock.go(sampler.interval)
            kafka.produce(10)
            if clock.monotonic() % pause < sampler.interval:
                commits = kafka.commits["billing"]
                for place in commits:
                    waits = kafka.ends[place] - commits[place]
                    if is_well:
                        commits[place] += waits
                    elif what != "one stands":
                        commits[place] += min(waits, round(5 * pause / sampler.interval))
                    elif place != ("orders", 1):
                        commits[place] += waits
            sampler.cycle(due_at=clock.wall())
            told.append(Verdict(GroupLine.objects.get(name="billing").verdict))

    def partitions() -> dict[int, str]:
        cluster.refresh_from_db()
        findings.forget()
        row = group_detail(cluster, cluster_at(cluster.pk), "billing")
        assert row is not None
        if told[-1] is Verdict.NO_PROGRESS:
            assert "1 of 2 partitions stand still" in row["sentence"]
        return {part["partition"]: part["verdict"] for part in row["partitions"]}

    go(3, is_well=True)
    assert told[-1] is Verdict.OK
    go(5)
    assert told[-1] is expected
    if what == "one stands":
        since = GroupLine.objects.get(name="billing").verdict_since
        assert since is not None
        assert 4 * pause < clock.wall() - since.timestamp() < 5.2 * pause, "since before what the window remembers"
    before = partitions()
    assert before == {0: "ok" if what == "one stands" else "falling_behind", 1: expected.word}
    clock.go(300)
    sampler = started_again(sampler, kafka, clock, cluster)
    told.clear()
    go(2)
    assert set(told) <= {expected, Verdict.UNKNOWN}
    assert Verdict.UNKNOWN not in told[3:], "with the first samples only"
    assert partitions() == before
    kafka.commits["billing"] = {place: end for place, end in kafka.ends.items() if place[0] == "orders"}
    go(5, is_well=True)
    assert told[-1] is Verdict.OK
    assert partitions() == {0: "ok", 1: "ok"}


def test_a_reader_that_has_read_all_is_there_after_a_restart_too() -> None:
    cluster, clock = make_cluster(), Clock(time.time() - 3000)
    kafka = shop(groups=(group("billing"), Group("stats", GroupType.CLASSIC, "Empty")))
    sampler = sampler_of(cluster, kafka, clock)
    for _ in range(6):
        kafka.produce(10)
        kafka.commits["stats"] = {("clicks", 0): kafka.ends["clicks", 0]}
        cycles(sampler, clock, 1)
    cycles(sampler, clock, 30)  # nothing comes
    assert GroupLine.objects.get(name="stats").verdict == Verdict.OK
    sampler = started_again(sampler, kafka, clock, cluster)
    for _ in range(4):
        cycles(sampler, clock, 1, kafka)
        assert GroupLine.objects.get(name="stats").verdict in (Verdict.OK, Verdict.UNKNOWN)
    cycles(sampler, clock, 8, kafka)
    assert GroupLine.objects.get(name="stats").verdict == Verdict.NO_MEMBERS


@pytest.mark.slow
@pytest.mark.parametrize("commits_again", [True, False])
def test_of_a_group_that_comes_with_its_first_commit_nobody_knows_who_reads_before_the_second(
    commits_again: bool,
) -> None:
    cluster, clock, pause = make_cluster(), Clock(time.time() - 5 * 16), 90.0
    kafka = shop(groups=(group("billing"),))
    kafka.commits.pop("stats")
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 6, kafka)
    kafka.groups += (Group("stats", GroupType.CLASSIC, "Empty"),)
    born, told = clock.wall(), list[Verdict]()
    for _ in range(round(400 / sampler.interval)):
        clock.go(sampler.interval)
        kafka.produce(10)
        if clock.wall() - born <= sampler.interval or (commits_again and (clock.wall() - born) % pause < 5):
            kafka.commits["stats"] = {("clicks", 0): kafka.ends["clicks", 0]}
        sampler.cycle(due_at=clock.wall())
        told.append(Verdict(GroupLine.objects.get(name="stats").verdict))
        if len(told) == 10:
            cluster.refresh_from_db()
            findings.forget()
            row = group_detail(cluster, cluster_at(cluster.pk), "stats")
            assert row is not None
            assert row["sentence"].startswith("Unknown yet: it has no members; whether somebody reads for it"), row
            assert f" commit, and 5{THIN}min 30{THIN}s after its first at the latest; " in row["sentence"]
            assert [part["verdict"] for part in row["partitions"]] == ["unknown"]
    until = round((pause if commits_again else BORN_SECONDS) / sampler.interval)
    assert set(told[: until - 1]) == {Verdict.UNKNOWN}
    assert set(told[until + 1 :]) == {Verdict.OK if commits_again else Verdict.NO_MEMBERS}
