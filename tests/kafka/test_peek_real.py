"""The record at an offset is looked at where it lies, and no group comes to be by that."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from collectors.demo.nodes import KafkaCluster
from collectors.domain.heads import Head, Markers
from collectors.domain.topology import Reach
from collectors.kafka.peek import GONE, NOTHING_WAITS, NOTHING_YET, TOPIC_GONE, HeadsAnswer, Place
from collectors.kafka.session import Session
from collectors.kafka.settings import ConnectionSettings
from tests.conftest import produce

pytestmark = pytest.mark.kafka
QUIET = logging.getLogger("tests.kafka")


def look(bootstrap: str, *places: Place, seconds: float = 10.0) -> HeadsAnswer:
    session = Session(ConnectionSettings.from_properties({"bootstrap.servers": bootstrap}))
    try:
        return session.ask_heads(places, budget_seconds=seconds)
    finally:
        session.close()


def test_the_first_record_at_an_offset_with_its_own_timestamp(
    kafka: KafkaCluster, new_topic: Callable[..., str]
) -> None:
    topic = new_topic("heads", partitions=2)
    long_ago = round(time.time() * 1000) - 3_600_000
    for codec in ("none", "gzip", "zstd", "lz4", "snappy"):
        options = {"bootstrap.servers": kafka.bootstrap, "compression.type": codec, "linger.ms": 500}
        producer = Producer(options, logger=QUIET)
        for number in range(10):
            body = f"record {number} of {codec}, ".encode() * 400
            producer.produce(topic, body, partition=0, timestamp=long_ago + number * 1000)
        assert producer.flush(30) == 0
    each = [(topic, 0, offset) for offset in (4, 13, 29, 36, 48)]
    wanted = [*each, (topic, 1, 0), (topic, 0, 99), (topic, 7, 0)]
    answer = look(kafka.bootstrap, *wanted, ("nobody-made-this", 0, 0))
    assert answer.errors == ()
    assert answer.found == {
        **{place: Head(place[2], (long_ago + place[2] % 10 * 1000) / 1000, False) for place in each},
        (topic, 1, 0): NOTHING_WAITS,
        (topic, 0, 99): GONE,
        (topic, 7, 0): TOPIC_GONE,
        ("nobody-made-this", 0, 0): TOPIC_GONE,
    }
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap}, logger=QUIET)
    assert not [one for one in admin.list_consumer_groups().result(10).valid if "streamgauge" in one.group_id]


def test_after_the_last_record_only_markers_are_left(kafka: KafkaCluster, new_topic: Callable[..., str]) -> None:
    topic = new_topic("transactions")
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap, "transactional.id": f"heads-{uuid.uuid4().hex[:8]}"}, logger=QUIET
    )
    producer.init_transactions(30)
    moment = round(time.time() * 1000) - 60_000
    for _ in range(5):
        producer.begin_transaction()
        producer.produce(topic, b"x", partition=0, timestamp=moment)
        producer.commit_transaction(30)
    assert look(kafka.bootstrap, (topic, 0, 9), (topic, 0, 1), (topic, 0, 10)).found == {
        (topic, 0, 9): Markers(10),
        (topic, 0, 1): Head(2, moment / 1000, False),
        (topic, 0, 10): NOTHING_WAITS,
    }
    producer.begin_transaction()
    producer.produce(topic, b"x", partition=0, timestamp=moment)
    producer.flush(30)
    producer.abort_transaction(30)
    assert look(kafka.bootstrap, (topic, 0, 9)).found == {(topic, 0, 9): Head(10, moment / 1000, False)}
    assert look(kafka.bootstrap, (topic, 0, 11)).found == {(topic, 0, 11): Markers(12)}


def test_a_leader_that_hangs_costs_the_time_and_makes_nobody_suspect(
    kafka: KafkaCluster, new_topic: Callable[..., str]
) -> None:
    topic = new_topic("hangs", partitions=len(kafka.node_ids), replication=1)
    places = [(topic, partition, 0) for partition in range(len(kafka.node_ids))]
    for _, partition, _ in places:
        produce(kafka.bootstrap, topic, [b"x"], partition=partition)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap}, logger=QUIET)
    leaders = {p: one.leader for p, one in admin.list_topics(topic, timeout=10).topics[topic].partitions.items()}
    session = Session(ConnectionSettings.from_properties({"bootstrap.servers": kafka.bootstrap}))
    try:
        assert all(isinstance(one, Head) for one in session.ask_heads(places, budget_seconds=10).found.values())
        hung = leaders[0]
        kafka.pause(hung)
        time.sleep(0.5)  # a signal takes its time to reach all threads of a busy machine: till then it may answer
        try:
            began = time.monotonic()
            answer = session.ask_heads(places, budget_seconds=3)
            assert time.monotonic() - began < 4
        finally:
            kafka.resume(hung)
            kafka.wait_ready()
        for place in places:
            is_hung = leaders[place[1]] == hung
            assert (answer.found[place] == NOTHING_YET) == is_hung
        assert {(error.part, error.reason, error.broker) for error in answer.errors} == {("heads", "timeout", hung)}
        assert {node for node, one in session.reach().items() if one.state is not Reach.UP} == set()
    finally:
        session.close()


def test_nobody_answers_within_the_time() -> None:
    answer = look("127.0.0.1:9", ("orders", 0, 3), seconds=0.3)
    assert answer.found["orders", 0, 3] in (NOTHING_YET, "refused", "timeout")
    assert [error.part for error in answer.errors] == ["connect"]
