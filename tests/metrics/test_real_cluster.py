"""/metrics after the real sampler asked a real Kafka."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, TopicPartition
from django.core.management import call_command

from collectors.demo.nodes import KafkaCluster
from dashboard.metrics.page import MetricsPage
from tests.conftest import commit as commit_now
from tests.conftest import produce

from .test_page import families, values

pytestmark = [pytest.mark.kafka, pytest.mark.django_db]


def test_what_the_sampler_stores_is_on_the_page(
    kafka: KafkaCluster, new_topic: Callable[..., str], page: MetricsPage
) -> None:
    topic = new_topic("orders-dlt", partitions=2)
    produce(kafka.bootstrap, topic, [b"x"] * 30, partition=0)
    group = f"{topic}-readers"
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap, "group.id": group}, logger=logging.getLogger("tests.kafka")
    )
    commit_now(consumer, TopicPartition(topic, 0, 10))
    consumer.close()
    call_command("addcluster", "Real", slug="real", bootstrap=kafka.bootstrap)
    call_command("sample", "real", cycles=3)

    found = {name.removeprefix("streamgauge_"): values(metric) for name, metric in families(page).items()}
    now = time.time()
    assert found["cluster_up"] == {("real",): 1}
    assert list(found["broker_up"].values()) == [1, 1, 1]
    assert found["topic_partitions"]["real", topic] == 2
    assert found["topic_under_replicated_partitions"]["real", topic] == 0
    assert found["topic_offline_partitions"]["real", topic] == 0
    assert found["partition_start_offset"]["real", topic, "0"] == 0
    assert found["partition_end_offset"]["real", topic, "0"] == 30
    assert found["topic_size_bytes"]["real", topic] > 0
    assert len(found["broker_log_dir_size_bytes"]) == len(found["broker_log_dir_free_bytes"]) == 3
    assert found["group_committed_offset"]["real", group, topic, "0"] == 10
    assert found["group_lag_messages"]["real", group, topic, "0"] == 20
    assert ("real", group, topic, "1") not in found["group_lag_messages"], "it never committed there"
    assert found["group_topic_lag_messages"]["real", group, topic] == 20
    assert found["group_lag_known"]["real", group] == 1
    assert found["group_members"]["real", group] == 0
    assert sum(value for key, value in found["group_verdict"].items() if key[1] == group) == 1
    assert found["dead_letter_messages"]["real", topic] == 30
    assert found["collector_requests"]["real",] > 0
    assert now - 60 < found["collector_last_success_timestamp_seconds"]["real",] <= now
