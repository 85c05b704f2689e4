"""What Kafka says is strange: another cluster, unknown states, colliding names, thousands of topics, dead disks."""

from __future__ import annotations

import re
import time

import pytest
from django.test import Client

from collectors import roster
from collectors.changes import EVENTS_OF_A_KIND_AT_ONCE
from collectors.domain.topology import LogDir, Reach
from collectors.history import queries
from collectors.history.kinds import Kind
from collectors.models import Broker, Cycle, Event, Group, Topic
from dashboard.names import group_path, topic_path

from .pretend import Clock, cycles, group, make_cluster, sampler_of, shop, topic, values_of

pytestmark = pytest.mark.django_db


def test_k26_another_cluster_behind_the_address_is_named_and_not_mixed_in(viewer: Client) -> None:
    cluster, clock, kafka = make_cluster(), Clock(), shop()
    own = kafka.cluster_id
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 3, kafka)
    other = shop(cluster_id="b3RoZXIgY2x1c3Rlcg", topics=(topic("theirs"),), groups=(group("them"),))
    sampler.session = sampler.survey = other  # type: ignore[assignment]  # it answers what the sampler asks
    cycles(sampler, clock, 3, other)
    newest = Cycle.objects.get(number=6)
    assert not newest.is_reachable
    (error,) = newest.errors
    assert error["part"] == "cluster"
    assert "b3RoZXIgY2x1c3Rlcg" in error["reason"]
    assert own in error["reason"]
    cluster.refresh_from_db()
    assert cluster.kafka_cluster_id == own
    assert set(Topic.objects.filter(gone_at=None).values_list("name", flat=True)) == {"orders", "clicks"}
    assert set(Group.objects.filter(gone_at=None).values_list("name", flat=True)) == {"billing", "stats"}
    assert queries.column_at(cluster.pk, Kind.END, 6)[2] == 3  # type: ignore[index]  # there is nothing newer
    assert all(row.reach == Reach.UP for row in Broker.objects.all()), "theirs say nothing of ours"
    page = viewer.get("/clusters/shop/").content.decode()
    assert "another cluster answers there" in page
    assert "theirs" not in page

    sampler.session = sampler.survey = kafka  # type: ignore[assignment]  # the first one is back
    cycles(sampler, clock, 1, kafka)
    assert Cycle.objects.get(number=7).is_reachable


def test_k26_settings_that_are_saved_anew_accept_the_other_cluster() -> None:
    cluster, clock, kafka = make_cluster(), Clock(), shop()
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 1, kafka)
    kafka.cluster_id = "rebuilt"
    cycles(sampler, clock, 1, kafka)
    assert not Cycle.objects.get(number=2).is_reachable
    cluster.refresh_from_db()
    roster.change(cluster, name="shop", interval=5.0, connection=roster.connection_of(cluster), is_meant=True)
    cycles(sampler, clock, 1, kafka)
    assert Cycle.objects.get(number=3).is_reachable
    cluster.refresh_from_db()
    assert cluster.kafka_cluster_id == "rebuilt"


def test_k27_a_state_that_nobody_knows_is_shown_as_it_is_called(viewer: Client) -> None:
    cluster, clock, kafka = make_cluster(), Clock(), shop()
    kafka.groups = (group("billing", "Levitating"), group("stats", ""))
    cycles(sampler_of(cluster, kafka, clock), clock, 3, kafka)
    page = viewer.get(group_path("shop", "billing")).content.decode()
    assert "levitating" in page
    assert viewer.get(group_path("shop", "stats")).status_code == 200


def test_k29_five_thousand_new_topics_are_stored_within_a_cycle(viewer: Client) -> None:
    cluster, clock, kafka = make_cluster(), Clock(), shop()
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 2, kafka)
    names = [f"burst-{number:04}" for number in range(5000)]
    kafka.topics = (*kafka.topics, *(topic(name) for name in names))
    kafka.ends |= {(name, 0): 1 for name in names}
    began = time.monotonic()
    cycles(sampler, clock, 1, kafka)
    assert time.monotonic() - began < sampler.interval
    assert Topic.objects.count() == 5002
    assert Event.objects.filter(kind=Event.Kind.TOPIC_CREATED).count() == EVENTS_OF_A_KIND_AT_ONCE + 1
    assert viewer.get("/clusters/shop/topics/?q=burst-4999").content.decode().count("burst-4999") > 0


def test_k22_a_log_directory_that_is_offline_has_no_size(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, clock, kafka = make_cluster(), Clock(), shop()
    kafka.log_dirs = (
        LogDir(1, "/data/a", 500, 10_000, 9_000),
        LogDir(1, "/data/b", 0, None, None, "kafka_storage_error"),
        LogDir(2, "/data/a", 700, 10_000, 9_000),
    )
    cycles(sampler_of(cluster, kafka, clock), clock, 2, kafka)
    disk = values_of(queries.column_at(cluster.pk, Kind.DISK)[0])  # type: ignore[index]  # it is there
    assert {owner: value for (owner, _, _), value in disk.items()} == {"1": None, "2": 700}
    page = viewer.get("/clusters/shop/brokers/1/").content.decode()
    assert "/data/b" in page
    assert "kafka_storage_error" in page


NAMES = ("a.b", "a_b", "__proto__", "constructor", "toString", "hasOwnProperty", "..hidden", "-")


def test_t1_t2_names_that_collide_elsewhere_are_two_here(viewer: Client) -> None:
    cluster, clock, kafka = make_cluster(), Clock(), shop()
    kafka.topics = (*kafka.topics, *(topic(name, 1, id_=f"id{n}") for n, name in enumerate(NAMES)))
    kafka.ends |= {(name, 0): 1000 + number for number, name in enumerate(NAMES)}
    kafka.groups = (*kafka.groups, *(group(name) for name in NAMES))
    kafka.commits |= {name: {(name, 0): 1000} for name in NAMES}
    cycles(sampler_of(cluster, kafka, clock), clock, 2)
    ends = values_of(queries.column_at(cluster.pk, Kind.END)[0])  # type: ignore[index]  # it is there
    metrics = viewer.get("/metrics").content.decode()
    for number, name in enumerate(NAMES):
        assert ends[name, name, 0] == 1000 + number
        line = rf'streamgauge_partition_end_offset{{cluster="shop",topic="{re.escape(name)}",partition="0"}} '
        assert re.search(line + f"{1000 + number}", metrics), name
        assert viewer.get(topic_path("shop", name)).status_code == 200, name
        assert viewer.get(group_path("shop", name)).status_code == 200, name
    assert metrics.count("streamgauge_topic_partitions{") == len(NAMES) + 2
