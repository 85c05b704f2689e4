"""A log that is trimmed past a reader on a real Kafka: what it lost is counted, told as an event and in /metrics."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from collectors.demo.nodes import KafkaCluster
from collectors.models import Event, Group
from tests.conftest import commit as commit_now
from tests.conftest import produce
from tests.kafka.test_session_real import SILENT
from tests.kafka.watching import watching

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]


def test_records_that_a_reader_was_set_past_are_counted_once(
    kafka: KafkaCluster, new_topic: Callable[..., str]
) -> None:
    topic = new_topic("trimmed")
    group = f"{topic}-readers"
    produce(kafka.bootstrap, topic, [b"x"] * 2_000)
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group}, logger=SILENT)

    def commit(offset: int) -> None:
        commit_now(consumer, TopicPartition(topic, 0, offset))

    with watching({"bootstrap.servers": kafka.bootstrap}) as watch:
        for offset in (10, 20, 30, 40):
            commit(offset)
            watch.step()
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap}, logger=SILENT)
        admin.delete_records([TopicPartition(topic, 0, 1_500)])[TopicPartition(topic, 0)].result(30)
        commit(1_505)  # as auto.offset.reset=earliest does it, five records later

        def lost() -> int:
            return Group.objects.get(cluster=watch.cluster, name=group).lost_records

        watch.until("the loss is counted", lambda: lost() > 0)
        commit(1_515)
        watch.step()
        assert lost() == 1_500 - 50
        assert Group.objects.get(cluster=watch.cluster, name=group).lost_by_partition == {topic: {"0": 1_450}}
        (event,) = Event.objects.filter(cluster=watch.cluster, kind=Event.Kind.RECORDS_LOST, subject=group)
        assert event.text == f"Group {group}: 1\u202f450 records of {topic}-0 were deleted before being read"
        assert event.data == {"records": 1_450, "partitions": [[topic, 0]]}
    consumer.close()
