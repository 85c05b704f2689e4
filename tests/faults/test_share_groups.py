"""Share groups from the broker's answer to the page: their lag, what is said of them, and what is not known."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import wait
from dataclasses import replace

import pytest
from django.test import Client

from collectors.asking import budget_seconds
from collectors.domain.numbers import NO_COMMIT
from collectors.domain.rights import NOT_OFFERED
from collectors.domain.topology import GroupType, Member
from collectors.domain.verdicts import Verdict
from collectors.history import queries
from collectors.history.now import ClusterNow
from collectors.kafka.session import PartError, ShareLagAnswer
from collectors.models import Cluster, Cycle, Lease
from collectors.sampler import Sampler
from dashboard.names import group_path

from .pretend import Clock, Pretend, cycles, group, make_cluster, sampler_of, topic, values_of

pytestmark = pytest.mark.django_db
PLACES = [("jobs", 0), ("jobs", 1)]
MEMBER = Member("m", "worker", "10.0.0.1", None, (("jobs", (0, 1)),))


def shop(**lag: int | None) -> Pretend:
    """A share group and a classic one on a topic with two partitions."""
    return Pretend(
        ends=dict.fromkeys(PLACES, 1000),
        commits={"billing": dict.fromkeys(PLACES, 1000)},
        shares={"workers": dict(zip(PLACES, lag.values(), strict=True))} if lag else {},
        topics=(topic("jobs", 2),),
        groups=(
            replace(group("billing"), members=(MEMBER,)),
            replace(group("workers", kind=GroupType.SHARE), members=(MEMBER, replace(MEMBER, member_id="n"))),
        ),
    )


def newest(cluster: Cluster) -> ClusterNow:
    found = queries.cluster_at(cluster.pk)
    assert found is not None
    return found


def verdict_of(now: ClusterNow, name: str) -> Verdict:
    return Verdict(int(now.groups.verdict.at(now.groups.index[name]) or 0))


def lag_of(now: ClusterNow, name: str) -> int | float | None:
    return now.groups.lag.at(now.groups.index[name])


def test_the_lag_that_is_stored_is_the_broker_s_whatever_arrives_while_we_ask() -> None:
    kafka, clock, cluster = shop(first=40, second=0), Clock(), make_cluster()
    kafka.meanwhile = 7
    sampler = sampler_of(cluster, kafka, clock)
    for read in (0, 50, 90):
        kafka.shares["workers"] = {PLACES[0]: 40 + read, PLACES[1]: 0}
        kafka.produce(200)
        cycles(sampler, clock, 1)
        assert lag_of(newest(cluster), "workers") == 40 + read
    assert newest(cluster).committed.layout.owners == ("billing", "workers")


def test_a_share_group_of_which_nothing_is_acknowledged_makes_no_progress_though_records_come_while_we_ask() -> None:
    kafka, clock, cluster = shop(first=10, second=10), Clock(), make_cluster()
    sampler = sampler_of(cluster, kafka, clock)
    for meanwhile in (9, 3, 0, 5, 8, 2, 6, 1, 7):
        kafka.meanwhile = meanwhile
        kafka.produce(20)
        kafka.shares["workers"] = {place: kafka.ends[place] - 990 for place in PLACES}
        cycles(sampler, clock, 1)
    assert verdict_of(newest(cluster), "workers") is Verdict.NO_PROGRESS


def test_a_coordinator_that_answers_late_costs_no_other_group_a_cycle_and_its_lag_is_told_from_the_look_before() -> (
    None
):
    kafka, clock, cluster = shop(first=40, second=0), Clock(), make_cluster()
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 2)
    kafka.share_answers.clear()
    began = time.monotonic()
    kafka.produce(10)
    cycles(sampler, clock, 1)
    assert time.monotonic() - began < budget_seconds(sampler.interval)
    # 960 and 1000 is where it stood; what came since may have been read, and nobody has told so yet
    assert (lag_of(newest(cluster), "workers"), lag_of(newest(cluster), "billing")) == (60, 20)
    kafka.share_answers.set()
    kafka.commits["billing"] = dict.fromkeys(PLACES, 1010)
    kafka.shares["workers"] = {PLACES[0]: 3, PLACES[1]: 0}
    under_way = sampler.asking.share_groups._under_way
    assert under_way is not None
    wait([under_way])
    cycles(sampler, clock, 1)
    assert (lag_of(newest(cluster), "workers"), lag_of(newest(cluster), "billing")) == (3, 0)


def test_a_coordinator_that_has_not_answered_for_two_intervals_leaves_the_lag_unknown_with_the_reason() -> None:
    kafka, clock, cluster = shop(first=40, second=0), Clock(), make_cluster()
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 2)
    kafka.share_answers.clear()
    cycles(sampler, clock, 2)
    assert lag_of(newest(cluster), "workers") == 40
    kafka.produce(10)
    cycles(sampler, clock, 1)
    assert lag_of(newest(cluster), "workers") is None
    assert verdict_of(newest(cluster), "billing") is Verdict.OK
    cycle = Cycle.objects.filter(cluster=cluster).order_by("-number")[0]
    assert [(e["part"], e["reason"]) for e in cycle.errors] == [("share_lag", "timeout")]
    kafka.share_answers.set()


Stuck = tuple[Pretend, Clock, Cluster, Sampler]


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    """Two share groups; one has not moved from 960 and 1000 for so long that it is told to make no progress."""
    kafka, clock, cluster = shop(first=40, second=0), Clock(), make_cluster()
    kafka.shares["passing"] = dict.fromkeys(PLACES, 0)
    kafka.groups = (*kafka.groups, replace(group("passing", kind=GroupType.SHARE), members=(MEMBER,)))
    sampler = sampler_of(cluster, kafka, clock)
    for _ in range(9):
        kafka.produce(20)
        kafka.shares["workers"] = {PLACES[0]: kafka.ends[PLACES[0]] - 960, PLACES[1]: kafka.ends[PLACES[1]] - 1000}
        cycles(sampler, clock, 1)
    assert verdict_of(newest(cluster), "workers") is Verdict.NO_PROGRESS
    yield kafka, clock, cluster, sampler
    kafka.share_answers.set()


def errors_of(cluster: Cluster) -> list[tuple[str, str]]:
    cycle = Cycle.objects.filter(cluster=cluster).order_by("-number")[0]
    return [(error["part"], error["reason"]) for error in cycle.errors]


def test_a_share_group_that_is_deleted_while_a_look_is_late_costs_the_others_nothing(stuck: Stuck) -> None:
    kafka, clock, cluster, sampler = stuck
    kafka.share_errors = (PartError("share_lag", "not_coordinator", 2),)
    cycles(sampler, clock, 1)
    kafka.share_answers.clear()
    kafka.groups = kafka.groups[:2]
    kafka.produce(20)
    cycles(sampler, clock, 1)
    now = newest(cluster)
    assert now.committed.layout.owners == ("billing", "workers")
    # where it stood: what came since the look is not read, as nobody has told so
    assert [values_of(now.committed)["workers", *place] for place in PLACES] == [960, 1000]
    assert verdict_of(now, "workers") is Verdict.NO_PROGRESS
    assert errors_of(cluster) == [("share_lag", "not_coordinator")], "what that look lacked is told still"


def test_a_share_group_whose_name_is_that_of_another_kind_by_now_has_its_commits_alone(stuck: Stuck) -> None:
    kafka, clock, cluster, sampler = stuck
    kafka.share_answers.clear()
    kafka.groups = (*kafka.groups[:2], replace(group("passing"), members=(MEMBER,)))
    kafka.commits["passing"] = {PLACES[0]: 7}
    cycles(sampler, clock, 1)
    found = {place: value for place, value in values_of(newest(cluster).committed).items() if place[0] != "billing"}
    commits = {("passing", "jobs", 0): 7, ("passing", "jobs", 1): NO_COMMIT}
    assert found == {**commits, ("workers", "jobs", 0): 960, ("workers", "jobs", 1): 1000}
    assert verdict_of(newest(cluster), "workers") is Verdict.NO_PROGRESS


def test_positions_stay_not_known_while_looks_are_too_old_and_their_past_with_them(stuck: Stuck) -> None:
    kafka, clock, cluster, sampler = stuck
    kafka.share_answers.clear()
    cycles(sampler, clock, 2)
    kafka.groups = kafka.groups[:2]
    cycles(sampler, clock, 1)
    found = values_of(newest(cluster).committed)
    assert {place: found[place] for place in found if place[0] != "billing"} == {
        ("workers", "jobs", 0): None,
        ("workers", "jobs", 1): None,
    }
    assert errors_of(cluster) == [("share_lag", "timeout")]
    kafka.share_answers.set()
    under_way = sampler.asking.share_groups._under_way
    assert under_way is not None
    wait([under_way])
    cycles(sampler, clock, 1)
    assert verdict_of(newest(cluster), "workers") is Verdict.NO_PROGRESS


def test_a_restart_during_a_late_look_keeps_the_past_of_share_groups(stuck: Stuck) -> None:
    kafka, clock, cluster, sampler = stuck
    Lease.objects.release(sampler.lease_name, holder=sampler.waiting.holder, epoch=sampler.epoch)
    cluster.refresh_from_db()
    again = sampler_of(cluster, kafka, clock)
    again.remember()
    again._rebuild_window()
    kafka.share_answers.clear()
    cycles(again, clock, 1)
    assert newest(cluster).committed.layout.owners == ("billing", "passing", "workers")
    assert lag_of(newest(cluster), "workers") is None
    kafka.share_answers.set()
    cycles(again, clock, 1)
    assert verdict_of(newest(cluster), "workers") is Verdict.NO_PROGRESS


def test_a_look_that_fails_is_told_and_costs_nothing_but_that_look(
    stuck: Stuck, viewer: Client, caplog: pytest.LogCaptureFixture
) -> None:
    kafka, clock, cluster, sampler = stuck
    good = kafka.ask_share_lag

    def mistaken(*_: object, **__: object) -> ShareLagAnswer:
        raise KeyError("a mistake")

    kafka.ask_share_lag = mistaken  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR, "collectors.share_groups"):
        cycles(sampler, clock, 2)
    # the look before is young enough still
    assert (verdict_of(newest(cluster), "workers"), lag_of(newest(cluster), "billing")) == (Verdict.NO_PROGRESS, 360)
    assert errors_of(cluster) == [("share_lag", "failed")]
    assert "lag of share groups from the cluster: failed" in viewer.get("/clusters/shop/").content.decode()
    assert ["a mistake" in record.exc_text for record in caplog.records if record.exc_text] == [True, True]
    cycles(sampler, clock, 1)
    assert lag_of(newest(cluster), "workers") is None
    assert errors_of(cluster) == [("share_lag", "failed")]
    kafka.ask_share_lag = good  # type: ignore[method-assign]
    cycles(sampler, clock, 1)
    assert verdict_of(newest(cluster), "workers") is Verdict.NO_PROGRESS
    assert errors_of(cluster) == []


def test_the_layout_stays_the_same_object_while_memberships_do() -> None:
    kafka, clock, cluster = shop(first=40, second=0), Clock(), make_cluster()
    fixed = kafka.ask_commits(["billing"], budget_seconds=1)
    told = kafka.ask_share_lag({"workers": 1}, budget_seconds=1)
    kafka.ask_commits = lambda *_, **__: fixed  # type: ignore[method-assign]  # as the session does: one layout
    kafka.ask_share_lag = lambda *_, **__: told  # type: ignore[method-assign]
    sampler = sampler_of(cluster, kafka, clock)
    layouts = []
    for _ in range(3):
        cycles(sampler, clock, 1, kafka)
        layouts.append(sampler._window.layout)
    assert layouts[0] is layouts[1] is layouts[2]


def test_a_lag_that_the_broker_does_not_know_is_unknown_and_never_zero(viewer: Client) -> None:
    kafka, clock, cluster = shop(first=40, second=None), Clock(), make_cluster()
    cycles(sampler_of(cluster, kafka, clock), clock, 3, kafka)
    assert lag_of(newest(cluster), "workers") is None
    assert verdict_of(newest(cluster), "workers") is Verdict.UNKNOWN
    page = viewer.get(group_path("shop", "workers")).content.decode()
    assert "Unknown: the lag of 1 of 2 partitions is not known" in page


def test_where_no_broker_offers_it_the_group_is_unsupported_and_the_others_are_what_they_were(viewer: Client) -> None:
    kafka, clock, cluster = shop(), Clock(), make_cluster()
    kafka.share_errors = (PartError("share_lag", NOT_OFFERED, 1),)
    cycles(sampler_of(cluster, kafka, clock), clock, 3)
    assert verdict_of(newest(cluster), "workers") is Verdict.UNKNOWN
    assert verdict_of(newest(cluster), "billing") is Verdict.OK
    cycle = Cycle.objects.filter(cluster=cluster).order_by("-number")[0]
    assert (cycle.completeness, cycle.is_reachable) == (1.0, True)
    page = viewer.get(group_path("shop", "workers")).content.decode()
    assert "Unknown: unsupported by this broker, Kafka 4.2 and later tell the lag of a share group" in page
    assert "committed no offset" not in page
    assert "unsupported" not in viewer.get(group_path("shop", "billing")).content.decode()
    how = viewer.get("/clusters/shop/how/?group=workers").content.decode()
    assert "No broker has told the lag of this share group" in how


def test_the_pages_of_a_share_group_call_its_place_no_commit(viewer: Client) -> None:
    kafka, clock, cluster = shop(first=40, second=0), Clock(), make_cluster()
    cycles(sampler_of(cluster, kafka, clock), clock, 3)
    page = viewer.get(group_path("shop", "workers")).content.decode()
    assert "Acknowledged up to" in page
    assert "log end less the broker&#x27;s own lag" in page or "log end less the broker's own lag" in page
    for word in ("committed offset", "Committed<", "by its commits"):
        assert word not in page, word
    how = viewer.get("/clusters/shop/how/?group=workers&topic=jobs&partition=0").content.decode()
    for said in ("DescribeShareGroupOffsets (API 90", "1\u202f000 − 960 = 40", "as its broker counts"):
        assert said in how, said
    for word in ("committed offset:", "Read it now"):
        assert word not in how, word
    own = viewer.get(group_path("shop", "billing")).content.decode()
    assert "Committed<" in own
    assert "Acknowledged" not in own
