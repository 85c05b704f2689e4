"""The same collector against Kafka 3.7, 4.0 and 4.3: what is told is stored, what is not offered is said so."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer
from django.conf import settings

from collectors.demo import jars
from collectors.demo.nodes import KafkaCluster
from collectors.domain.offers import not_offered, oldest
from collectors.models import Broker, LogDir
from tests.conftest import create_topic, produce
from tests.kafka.watching import Watch, watching

pytestmark = [pytest.mark.kafka, pytest.mark.django_db]
VERSIONS = [*(pytest.param(one, marks=pytest.mark.brokers) for one in jars.OLDER), jars.KAFKA_VERSION]


@pytest.fixture(params=VERSIONS)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """(version, bootstrap servers): one node of an older Kafka, or the run's own cluster."""
    version: str = request.param
    if version == jars.KAFKA_VERSION:
        yield version, request.getfixturevalue("kafka").bootstrap
        return
    node = KafkaCluster(
        tmp_path_factory.mktemp(f"kafka-{version}"),
        cache_dir=settings.CACHE_DIR,
        node_count=1,
        base_ports=[26_000 + os.getpid() % 1000 * 4],
        version=version,
    )
    with node:
        node.start()
        node.wait_ready()
        yield version, node.bootstrap


def member(bootstrap: str, group: str, topic: str, **options: str) -> Consumer:
    """A member that has read and committed all there is."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **options,
        },
        logger=logging.getLogger("tests.kafka"),
    )
    consumer.subscribe([topic])
    deadline, read = time.monotonic() + 30, 0
    while read < 40:
        assert time.monotonic() < deadline, f"{group} read {read} of 40"
        read += len(consumer.consume(100, 0.5))
    consumer.commit(asynchronous=False)
    return consumer


def test_every_kafka_is_collected_from_as_far_as_it_tells(broker: tuple[str, str]) -> None:
    version, bootstrap = broker
    short = ".".join(version.split(".")[:2])
    mark = uuid.uuid4().hex[:6]
    topic, classic, modern = f"contract-{mark}", f"classic-{mark}", f"modern-{mark}"
    create_topic(bootstrap, topic, partitions=4, replication=1, config={"retention.ms": "3600000"})
    produce(bootstrap, topic, (b"%d" % i for i in range(40)))
    members = [member(bootstrap, classic, topic)]
    has_new_protocol = version >= "4"
    if has_new_protocol:
        members.append(member(bootstrap, modern, topic, **{"group.protocol": "consumer"}))
    try:
        with watching({"bootstrap.servers": bootstrap}, slug=f"contract-{mark}") as watch:
            for _ in range(3):
                watch.step()
            produce(bootstrap, topic, (b"%d" % i for i in range(5)), partition=2)
            watch.until("the group is judged", lambda: watch.group(classic)["lag"] == 5)
            _check_groups(watch, classic, modern if has_new_protocol else "")
            _check_slow_facts(watch, topic, short)
    finally:
        for one in members:
            one.close()


def _check_groups(watch: Watch, classic: str, modern: str) -> None:
    row = watch.group(classic)
    assert (row["type"], row["state"], row["members"], row["lag"]) == ("classic", "Stable", 1, 5)
    if modern:
        row = watch.group(modern)
        assert (row["type"], row["members"], row["lag"]) == ("consumer", 1, 5)


def _check_slow_facts(watch: Watch, topic: str, short: str) -> None:
    watch.until("sizes and settings", lambda: watch.cluster.configurations.filter(name=topic) and watch.off() == {})
    watch.until("the size", lambda: watch.topic(topic)["size"])
    brokers = list(Broker.objects.filter(cluster=watch.cluster))
    assert {one.version for one in brokers} == {short}
    assert sum(one.quorum_role == "leader" for one in brokers) == 1
    dirs = LogDir.objects.filter(broker__cluster=watch.cluster)
    assert len(dirs) == len(brokers)
    assert all(one.total_bytes and one.usable_bytes for one in dirs)
    assert watch.topic(topic)["partitions"] == 4
    entries = watch.cluster.configurations.get(kind="topic", name=topic).entries
    assert entries["retention.ms"] == ["3600000", "topic"]
    assert entries["cleanup.policy"][1] == "default"
    assert watch.cluster.configurations.filter(kind="broker").count() == len(brokers)
    assert watch.off() == {}
    assert not watch.cluster.rights.exclude(caution="")  # without an authorizer nothing can be hidden
    # other tests leave names on the run's Kafka that no database takes
    errors = watch.cluster.cycles.latest("number").errors
    assert [error for error in errors if error["part"] != "group_names"] == []
    missing = not_offered(oldest(one.version for one in brokers))
    assert ("share groups" in missing) == (short in ("3.7", "4.0"))
    assert ("types of groups: all are shown as classic" in missing) == (short == "3.7")
