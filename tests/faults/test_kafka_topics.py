"""Topics of a real Kafka that come, go, grow and are flooded while they are watched."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator

import kafka as kafka_python
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined]  # its stubs
from django.test import Client
from kafka import KafkaAdminClient

from collectors.demo.nodes import KafkaCluster
from dashboard.names import topic_path
from tests.conftest import create_topic, produce

from .watch import Watch, wait_until, watching

pytestmark = [pytest.mark.kafka, pytest.mark.django_db]
SILENT = logging.getLogger("tests.kafka")


@pytest.fixture
def admin_client(kafka: KafkaCluster) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.bootstrap}, logger=SILENT)


@pytest.fixture
def watch(kafka: KafkaCluster) -> Iterator[Watch]:
    with watching(kafka.bootstrap) as made:
        yield made


def commit(kafka: KafkaCluster, group: str, offsets: dict[tuple[str, int], int]) -> None:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group}, logger=SILENT)
    consumer.commit(offsets=[TopicPartition(t, p, o) for (t, p), o in offsets.items()], asynchronous=False)
    consumer.close()


def delete(admin_client: AdminClient, name: str) -> None:
    admin_client.delete_topics([name], operation_timeout=10)[name].result(20)


def test_leaders_that_move_cost_no_number_of_the_cycle(
    watch: Watch, kafka: KafkaCluster, new_topic: Callable[..., str]
) -> None:
    """As after each restart of a broker, when Kafka gives it back the partitions that it prefers to lead."""
    topic = new_topic("moving", partitions=3)
    for partition in range(3):
        produce(kafka.bootstrap, topic, [b"x"] * 10, partition=partition)
    commit(kafka, f"{topic}-readers", {(topic, partition): 4 for partition in range(3)})
    watch.look()
    before = {partition: line[0] for partition, line in enumerate(watch.topic(topic).partitions)}
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap.split(","))
    try:
        others = {p: [node for node in kafka.node_ids if node != leader] for p, leader in before.items()}
        admin.alter_partition_reassignments(
            {kafka_python.TopicPartition(topic, p): [*others[p], leader] for p, leader in before.items()}
        )
        admin.elect_leaders(0, {topic: [0, 1, 2]}, raise_errors=False)
    finally:
        admin.close()
    time.sleep(1.1)  # metadata is asked for once a second at most: the cycle waits for it no longer than that
    watch.cycle()
    assert watch.ends(topic) == {0: 10, 1: 10, 2: 10}, "asked again where the leaders are now"
    assert watch.lag(f"{topic}-readers") == 18
    moved = watch.until(
        "the rows say so",
        lambda: [line[0] for line in watch.topic(topic).partitions] != list(before.values()),
        seconds=10,
    )
    assert moved


def test_k10_a_deleted_topic_is_gone_with_its_time_and_later_cycles_are_clean(
    watch: Watch, kafka: KafkaCluster, new_topic: Callable[..., str], admin_client: AdminClient, viewer: Client
) -> None:
    topic = new_topic("leaving", partitions=2)
    produce(kafka.bootstrap, topic, [b"x"] * 20)
    commit(kafka, f"{topic}-readers", {(topic, 0): 1})
    watch.look()
    assert sum(value or 0 for value in watch.ends(topic).values()) == 20
    delete(admin_client, topic)
    watch.cycle()  # the survey still knows it: not known, never 0
    assert 0 not in watch.ends(topic).values()
    watch.until("the topic is gone", lambda: watch.topic(topic).gone_at, seconds=15)
    assert watch.events("topic_deleted")[-1] == f"Topic {topic} was deleted"
    clean = watch.look()
    assert [error for error in clean.errors if error["part"] == "end_offsets"] == []
    assert watch.ends(topic) == {}
    assert watch.lag(f"{topic}-readers") is None, "the commits of a topic that is gone are no lag"
    watch.assert_nothing_negative()
    page = viewer.get(topic_path("real", topic))
    assert page.status_code == 200, "its history is kept"


def test_k11_k12_a_topic_recreated_with_fewer_partitions_starts_afresh(
    watch: Watch, kafka: KafkaCluster, new_topic: Callable[..., str], admin_client: AdminClient, viewer: Client
) -> None:
    topic, group = new_topic("renewed", partitions=6), f"renewed-{uuid.uuid4().hex[:6]}"
    produce(kafka.bootstrap, topic, [b"x"] * 600)
    commit(kafka, group, {(topic, partition): 50 for partition in range(6)})
    watch.look()
    watch.cycle()
    old_id = watch.topic(topic).topic_id
    delete(admin_client, topic)
    wait_until("it can be made anew", lambda: made_anew(admin_client, topic), seconds=20)
    produce(kafka.bootstrap, topic, [b"x"] * 4)
    watch.look()
    for _ in range(3):
        watch.cycle()
        watch.assert_nothing_negative()
        assert watch.rate(topic) is None or 0 <= watch.rate(topic) < 100, "no spike"  # type: ignore[operator]
    assert watch.topic(topic).topic_id != old_id
    assert watch.topic(topic).partition_count == 2
    assert set(watch.ends(topic)) == {0, 1}
    assert sum(value or 0 for value in watch.ends(topic).values()) == 4
    text = f"Topic {topic} was deleted and made anew: its offsets start again at 0"
    assert watch.events("topic_recreated")[-1:] == [text]
    assert viewer.get(topic_path("real", topic)).status_code == 200


def made_anew(admin_client: AdminClient, topic: str) -> bool:
    try:
        admin_client.create_topics([NewTopic(topic, 2, 3)], operation_timeout=10)[topic].result(20)
    except Exception:  # noqa: BLE001 - it is still being deleted
        return False
    return True


def test_k13_a_topic_that_grows_while_watched_has_the_new_rows(
    watch: Watch, kafka: KafkaCluster, new_topic: Callable[..., str], admin_client: AdminClient
) -> None:
    topic = new_topic("growing", partitions=2)
    watch.look()
    assert watch.ends(topic) == {0: 0, 1: 0}
    admin_client.create_partitions([NewPartitions(topic, 6)], operation_timeout=10)[topic].result(20)
    produce(kafka.bootstrap, topic, [b"x"] * 12, partition=5)
    watch.look()
    watch.until("all six are known", lambda: None not in watch.ends(topic).values(), seconds=10)
    assert watch.ends(topic) == {0: 0, 1: 0, 2: 0, 3: 0, 4: 0, 5: 12}
    assert watch.events("topic_grown")[-1:] == [f"Topic {topic} grew from 2 to 6 partitions"]
    watch.assert_nothing_negative()


def test_a_topic_of_249_characters_has_a_page(watch: Watch, kafka: KafkaCluster, viewer: Client) -> None:
    topic = f"long.{uuid.uuid4().hex}_".ljust(249, "x")
    create_topic(kafka.bootstrap, topic, partitions=1)
    produce(kafka.bootstrap, topic, [b"x"] * 3)
    watch.look()
    assert watch.ends(topic) == {0: 3}
    page = viewer.get(topic_path("real", topic))
    assert page.status_code == 200
    assert topic in page.content.decode()


def test_k30_a_flood_of_dead_letters_has_a_rate_and_a_count_and_nobody_reads_it(
    watch: Watch, kafka: KafkaCluster, new_topic: Callable[..., str], viewer: Client
) -> None:
    topic = new_topic("orders-dlq", partitions=3)
    watch.look()
    watch.cycle()
    asked_before = watch.sampler.session.bytes_in
    began = time.monotonic()
    for _ in range(3):
        produce(kafka.bootstrap, topic, (b"x" * 200 for _ in range(10_000)))
        cycle = watch.cycle()
        assert cycle.is_reachable
    seconds = time.monotonic() - began
    assert sum(value or 0 for value in watch.ends(topic).values()) == 30_000
    rate = watch.rate(topic)
    assert rate is not None
    assert 30_000 / (seconds + 20) < rate < 1.5 * 30_000 / seconds
    assert watch.sampler.session.bytes_in - asked_before < 500_000, "six megabytes of records were not fetched"
    page = viewer.get("/clusters/real/dead-letters/").content.decode()
    assert topic in page
