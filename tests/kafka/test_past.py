"""The hours before the first sample, from a real Kafka whose records have old timestamps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np
import pytest
from confluent_kafka import Producer

from collectors.demo.nodes import KafkaCluster
from collectors.domain.numbers import Layout, Numbers
from collectors.history import queries, strips
from collectors.history.families import MILLI, Family
from collectors.history.past import HOUR
from collectors.kafka.session import Session
from collectors.kafka.settings import ConnectionSettings
from collectors.models import Cluster, RollupState
from collectors.past import Past, rates_of


@pytest.mark.kafka
@pytest.mark.django_db
def test_each_hour_before_the_first_sample_is_told_by_its_offsets(
    kafka: KafkaCluster, new_topic: Callable[..., str]
) -> None:
    topic = new_topic("past", partitions=2)
    now = time.time()
    first_hour = now - now % HOUR
    came = {1: 90, 2: 0, 3: 36, 4: 7}  # hours ago -> records
    producer = Producer({"bootstrap.servers": kafka.bootstrap}, logger=logging.getLogger("tests.kafka"))
    for hours_ago in sorted(came, reverse=True):
        for i in range(came[hours_ago]):
            at = first_hour - hours_ago * HOUR + 60 + i * 20
            producer.produce(topic, b"x", partition=i % 2, timestamp=round(at * 1000))
    producer.produce(topic, b"x", partition=0, timestamp=round(now * 1000))
    assert producer.flush(20) == 0
    cluster = Cluster.objects.create(slug="past", name="past", settings_encrypted=b"")
    session = Session(ConnectionSettings.from_properties({"bootstrap.servers": kafka.bootstrap}))
    try:
        metadata = session.ask_metadata(budget_seconds=10).value
        assert metadata is not None
        layout, past, requests = Layout.of_topics({topic: range(2)}), Past(cluster.pk), []
        deadline = time.monotonic() + 60
        while not past.is_done:
            assert time.monotonic() < deadline
            before = session.requests
            past.step(session, layout, metadata, first_sample=now, budget_seconds=5)
            requests.append(session.requests - before)
    finally:
        session.close()
    assert len(requests) <= 8, "it ends where the log begins"
    strip = strips.read(cluster.pk, Family.TOPIC, [topic], first_hour - 9 * HOUR, first_hour, HOUR)[topic]
    rates = dict(zip(strip.starts.tolist(), strip.rolled.fives["rate"].last.tolist(), strict=True))
    for hours_ago, records in came.items():
        assert rates[int(first_hour) - hours_ago * HOUR] == round(records / HOUR * MILLI), hours_ago
    assert queries.reconstructed_before(cluster.pk) == int(first_hour)
    assert RollupState.objects.get(cluster=cluster).past_done
    again = Past(cluster.pk)
    again.step(session, layout, metadata, first_sample=now, budget_seconds=5)
    assert again.is_done, "and is not asked again after a restart"
    day = queries.topic_history(cluster.pk, topic, now - 6 * HOUR, now)
    assert day.rate.last.max() == pytest.approx(90 / HOUR, abs=1e-3), "a chart shows it"


def test_an_hour_that_retention_has_taken_a_part_of_is_not_told() -> None:
    layout = Layout.of_topics({"whole": range(1), "cut": range(2), "new": range(1), "unknown": range(1)})
    # positions by name: cut 0, cut 1, new 0, unknown 0, whole 0

    def numbers(values: list[int | None]) -> Numbers:
        return Numbers.of(values)

    found = rates_of(
        layout,
        numbers([50, 10, 0, None, 100]),
        numbers([90, 90, 7200, 5, 3700]),
        numbers([50, 0, 0, 0, 40]),
    )
    assert found == {"new": 2.0, "whole": 1.0}
    assert np.isfinite(list(found.values())).all()
