"""A Kafka on its first day: no topic, no `__consumer_offsets`, a group that never commits."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client

from collectors.demo.nodes import KafkaCluster
from collectors.domain.topology import Reach
from dashboard.names import group_path
from tests.conftest import create_topic, produce

from .test_kafka_groups import consumer_of
from .watch import Watch, watching

pytestmark = [pytest.mark.kafka, pytest.mark.django_db]


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """One node of its own, with nothing on it."""
    node = KafkaCluster(
        tmp_path_factory.mktemp("fresh"),
        cache_dir=settings.CACHE_DIR,
        node_count=1,
        base_ports=[52_000 + os.getpid() % 1000 * 10],
    )
    with node:
        node.start()
        node.wait_ready()
        yield node


def topics_of(watch: Watch) -> set[str]:
    metadata = watch.survey.newest().metadata
    assert metadata is not None
    return {topic.name for topic in metadata.topics}


def test_a_cluster_on_its_first_day_is_watched_without_changing_it(fresh: KafkaCluster, viewer: Client) -> None:
    with watching(fresh.bootstrap, slug="fresh") as watch:
        for _ in range(3):
            assert watch.look().is_reachable
        assert watch.reach() == {1: Reach.UP}
        assert topics_of(watch) == set(), "looking makes nothing, not even __consumer_offsets"
        for page in ("", "topics/", "groups/", "brokers/", "dead-letters/", "events/"):
            assert viewer.get(f"/clusters/fresh/{page}").status_code == 200, page
        assert "No consumer group yet" in viewer.get("/clusters/fresh/groups/").content.decode()

        create_topic(fresh.bootstrap, "first", partitions=2, replication=1)
        produce(fresh.bootstrap, "first", [b"x"] * 8, partition=0)
        watch.look()
        assert watch.ends("first") == {0: 8, 1: 0}
        assert topics_of(watch) == {"first"}

        consumer = consumer_of(fresh, "silent", "first")
        try:
            watch.look()
            watch.until("it is described", lambda: watch.group("silent").member_count == 1, seconds=15)
            watch.look()
            assert watch.lag("silent") is None
            now = watch.now().groups
            assert now.lag_state[now.index["silent"]] == "no_commit"
            page = viewer.get(group_path("fresh", "silent")).content.decode()
            assert "no commit" in page
            watch.assert_nothing_negative()
        finally:
            consumer.close()
        assert topics_of(watch) == {"first", "__consumer_offsets"}
