"""The record at an offset is read where it lies, and no group comes to be by that."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from collectors.demo.nodes import KafkaCluster
from collectors.kafka.records import GONE, Head, read_heads
from collectors.kafka.settings import ConnectionSettings

pytestmark = pytest.mark.kafka
QUIET = logging.getLogger("tests.kafka")


def test_the_first_record_at_an_offset_with_its_own_timestamp(
    kafka: KafkaCluster, new_topic: Callable[..., str]
) -> None:
    topic = new_topic("heads", partitions=2)
    producer = Producer({"bootstrap.servers": kafka.bootstrap}, logger=QUIET)
    long_ago = round(time.time() * 1000) - 3_600_000
    for number in range(10):
        producer.produce(topic, b"x", partition=0, timestamp=long_ago + number * 1000)
    assert producer.flush(30) == 0
    settings = ConnectionSettings.from_properties({"bootstrap.servers": kafka.bootstrap})
    found = read_heads(settings, {(topic, 0): 4, (topic, 1): 0}, budget_seconds=10.0)
    assert found[topic, 0] == Head(4, (long_ago + 4000) / 1000, False)
    assert isinstance(found[topic, 1], str)
    assert read_heads(settings, {(topic, 0): 99}, budget_seconds=10.0) == {(topic, 0): GONE}
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap}, logger=QUIET)
    assert not [one for one in admin.list_consumer_groups().result(10).valid if "streamgauge" in one.group_id]
