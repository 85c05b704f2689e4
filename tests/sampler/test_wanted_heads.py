"""Somebody asks for the head of a group's backlog: it is a hint in the group's row, which the sampler follows."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from collectors.domain.topology import Member
from collectors.models import Cluster, Group
from collectors.models.groups import WANTED, WANTED_AGAIN
from tests.faults.pretend import Clock, Pretend, cycles, make_cluster, sampler_of, shop

pytestmark = pytest.mark.django_db
T0 = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Asked(Pretend):
    """Groups that keep up; notes where the survey is to look, cycle by cycle, and what is to be asked at once."""

    places: list[list[tuple[str, int]]] = field(default_factory=list)
    pokes: list[str] = field(default_factory=list)

    def produce(self, count: int = 10) -> None:
        super().produce(count)
        self.commits = {name: {place: at + count for place, at in own.items()} for name, own in self.commits.items()}

    def want_heads(self, *places: Any) -> None:
        self.places.append([(topic, partition) for topic, partition, _ in places[0]])

    def poke(self, part: str) -> None:
        self.pokes.append(part)


def asked() -> Asked:
    made = shop()
    reader = Member("m", "m", "h", None, (("orders", (0, 1)), ("clicks", (0,))))
    groups = tuple(replace(one, members=(reader,)) for one in made.groups)
    return Asked(ends=made.ends, commits=made.commits, topics=made.topics, groups=groups)


def group(name: str = "g", **fields: object) -> Group:
    cluster, _ = Cluster.objects.get_or_create(slug="shop", name="shop", settings_encrypted=b"")
    return Group.objects.create(cluster=cluster, name=name, type="classic", state="", first_seen_at=T0, **fields)


def test_who_asks_again_soon_writes_nothing() -> None:
    one = group()
    assert Group.objects.want_heads(T0) == 1
    soon, later = T0 + WANTED_AGAIN - timedelta(seconds=1), T0 + WANTED_AGAIN
    assert Group.objects.want_heads(soon) == 0
    one.refresh_from_db()
    assert one.head_wanted_until == T0 + WANTED
    assert not one.may_want_head(soon)
    assert one.may_want_head(later)
    assert Group.objects.want_heads(later) == 1
    one.refresh_from_db()
    assert one.head_wanted_until == later + WANTED


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no locks of rows")
@pytest.mark.django_db(transaction=True)
def test_who_asks_waits_for_no_row_that_another_writes() -> None:
    group("written")
    group("free")
    holds, done = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            Group.objects.filter(name="written").update(state="Stable")
            holds.set()
            done.wait(10)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert holds.wait(10)
        assert Group.objects.want_heads(T0) == 1
        assert list(Group.objects.exclude(head_wanted_until=None).values_list("name", flat=True)) == ["free"]
    finally:
        done.set()
        writer.join()
    assert Group.objects.want_heads(T0) == 1


def test_a_wish_lapses_and_a_group_that_is_gone_has_none() -> None:
    one = group()
    group("gone", gone_at=T0)
    group("nobody's")
    Group.objects.exclude(name="nobody's").want_heads(T0)
    with CaptureQueriesContext(connection) as queries:
        assert Group.objects.heads_wanted(one.cluster_id, T0 + WANTED / 2) == {"g"}
    assert len(queries) == 1
    assert Group.objects.heads_wanted(one.cluster_id, T0 + WANTED) == frozenset()
    assert Group.objects.heads_wanted(one.cluster_id + 1, T0) == frozenset()


def test_the_sampler_has_it_looked_at_with_the_next_cycle_and_at_once() -> None:
    clock, kafka = Clock(), asked()
    cluster = make_cluster()
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 2, kafka)
    assert kafka.places == [[], []], "nobody is in trouble"
    Group.objects.filter(cluster=cluster, name="billing").want_heads(datetime.fromtimestamp(clock.now, UTC))
    cycles(sampler, clock, 3, kafka)
    assert kafka.places[2] == [], "the wish is read after a cycle is stored"
    assert kafka.places[3:] == [[("orders", 0), ("orders", 1)]] * 2
    assert kafka.pokes.count("heads") == 1
    clock.go(WANTED.total_seconds())
    cycles(sampler, clock, 2, kafka)
    assert kafka.places[-1] == []


def test_what_the_survey_says_of_a_group_leaves_a_wish_alone() -> None:
    """Its row is written by the sampler and by pages: neither undoes what the other wrote."""
    clock, kafka = Clock(), asked()
    cluster = make_cluster()
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 1, kafka)
    until = datetime.fromtimestamp(clock.now, UTC) + WANTED
    Group.objects.filter(cluster=cluster).want_heads(datetime.fromtimestamp(clock.now, UTC))
    kafka.groups = tuple(replace(one, state="PreparingRebalance") for one in kafka.groups)
    cycles(sampler, clock, 1, kafka)
    found = Group.objects.filter(cluster=cluster).values_list("state", "head_wanted_until")
    assert set(found) == {("PreparingRebalance", until)}
