"""A compacted topic on a real Kafka: lag counts from the first record that exists, and what is gone was not lost."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, TopicPartition

from collectors.demo.nodes import KafkaCluster
from dashboard.live.details import group_detail
from tests.conftest import commit as commit_now
from tests.conftest import produce
from tests.kafka.test_session_real import SILENT
from tests.kafka.watching import watching

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]


def test_lag_is_bounded_by_the_first_record_that_exists(kafka: KafkaCluster, new_topic: Callable[..., str]) -> None:
    topic = new_topic(
        "compacted",
        **{
            "cleanup.policy": "compact",
            "segment.ms": "1000",
            "min.cleanable.dirty.ratio": "0.01",
            "max.compaction.lag.ms": "1000",
        },
    )
    group = f"{topic}-readers"
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group}, logger=SILENT)
    produce(kafka.bootstrap, topic, [b"x"] * 300, key=b"k")
    commit_now(consumer, TopicPartition(topic, 0, 10))
    with watching({"bootstrap.servers": kafka.bootstrap}) as watch:
        watch.step()
        at = watch.now.committed.layout.position[group, topic, 0]
        assert watch.now.lag.at(at) == 290
        time.sleep(1.5)
        produce(kafka.bootstrap, topic, [b"y"], key=b"k")  # a new segment: the old one is compacted

        def lag() -> int | float | None:
            return watch.now.lag.at(at)

        watch.until("the old records are gone", lambda: (lag() or 999) <= 2, seconds=60)
        now = watch.now
        first = now.start.numbers.at(now.start.layout.position[topic, topic, 0])
        assert first is not None
        assert first >= 299
        assert lag() == 301 - first
        assert now.lost.at(at) == 0
        detail = group_detail(watch.cluster, now, group)
        assert detail is not None
        assert detail["partitions"][0]["lag_said"] == "an estimate: compaction leaves fewer records than offsets"
    consumer.close()
