"""A transaction that is left open on a real Kafka: what it holds back is told apart from what can be read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from collectors.demo.nodes import KafkaCluster
from dashboard.live.details import group_detail, topic_detail
from tests.conftest import commit as commit_now
from tests.kafka.test_session_real import SILENT
from tests.kafka.watching import watching

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]


def test_records_of_an_open_transaction_are_held_until_it_ends(
    kafka: KafkaCluster, new_topic: Callable[..., str]
) -> None:
    topic = new_topic("tx", partitions=2)
    group = f"{topic}-readers"
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap, "transactional.id": topic, "transaction.timeout.ms": 600_000},
        logger=SILENT,
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for _ in range(5):
        producer.produce(topic, b"x", partition=0)
    producer.commit_transaction(30)
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group}, logger=SILENT)
    commit_now(consumer, TopicPartition(topic, 0, 6))
    consumer.close()
    with watching({"bootstrap.servers": kafka.bootstrap}) as watch:
        watch.step()
        assert watch.now.stable.layout.owner_index(topic) is None
        producer.begin_transaction()
        for _ in range(7):
            producer.produce(topic, b"x", partition=0)
        producer.flush(10)
        watch.until("it is held", lambda: watch.now.stable.layout.owner_index(topic) is not None)
        now = watch.now
        at = now.committed.layout.position[group, topic, 0]
        assert (now.lag.at(at), now.held.at(at)) == (7, 7)
        detail = group_detail(watch.cluster, now, group)
        assert detail is not None
        assert detail["lag_said"] == "7 of it held by an open transaction"
        assert detail["partitions"][0]["lag_said"] == "7 of it held by an open transaction"
        shown = topic_detail(watch.cluster, now, topic)
        assert shown is not None
        said = {part["partition"]: part["open_said"] for part in shown["partition_rows"]}
        assert said == {0: "7 records of an open transaction from 6 on", 1: ""}
        producer.commit_transaction(30)
        watch.until("it ended", lambda: watch.now.stable.layout.owner_index(topic) is None)
        now = watch.now
        assert (now.lag.at(at), now.held.at(at)) == (8, 0)  # its marker, too
