"""Markers that nobody reads, and the record that a stuck group stands before, as a sampled cluster shows them."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from django.utils import timezone

from collectors.demo.nodes import KafkaCluster
from collectors.domain.verdicts import Verdict
from collectors.history import queries
from collectors.models import Group
from dashboard.live.times import BEING_READ, NOT_READ
from tests.conftest import commit as commit_now
from tests.kafka.watching import Watch, watching

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]
QUIET = logging.getLogger("tests.kafka")
LONG_AGO = 3_600.0


@pytest.fixture
def in_transactions(kafka: KafkaCluster, new_topic: Callable[..., str]) -> str:
    """Five transactions of one record each: offsets 0, 2, 4, 6, 8 and as many markers."""
    topic = new_topic("transactions")
    options = {"bootstrap.servers": kafka.bootstrap, "transactional.id": f"heads-{uuid.uuid4().hex[:8]}"}
    producer = Producer(options, logger=QUIET)
    producer.init_transactions(30)
    for _ in range(5):
        producer.begin_transaction()
        producer.produce(topic, b"x", partition=0, timestamp=round((time.time() - LONG_AGO) * 1000))
        producer.commit_transaction(30)
    return topic


def member(kafka: KafkaCluster, group: str, topic: str, commit: int) -> Consumer:
    """A member that stays in the group and commits once, by hand."""
    options = {"bootstrap.servers": kafka.bootstrap, "group.id": group, "enable.auto.commit": False}
    consumer = Consumer(options, logger=QUIET)
    consumer.subscribe([topic])
    deadline = time.monotonic() + 30
    while not consumer.assignment():
        assert time.monotonic() < deadline, "no partition was assigned"
        consumer.poll(0.2)
    commit_now(consumer, TopicPartition(topic, 0, commit))
    return consumer


def test_where_only_transaction_markers_wait_the_group_is_caught_up(kafka: KafkaCluster, in_transactions: str) -> None:
    group = f"careful-{uuid.uuid4().hex[:8]}"
    consumer = member(kafka, group, in_transactions, 7)
    try:
        with watching({"bootstrap.servers": kafka.bootstrap}) as watch:
            watch.step()
            # the last record is 8: record + 1, as Kafka's own guide does
            commit_now(consumer, TopicPartition(in_transactions, 0, 9))
            watch.until("markers", lambda: watch.group(group)["head_how"] == "only transaction markers wait")
            row = watch.group(group)
            assert (row["lag"], row["age"], row["age_method"], row["head"]) == (1, 0.0, "exact", None)
            assert row["countdown_said"] == "never"
            watch.until("ok", lambda: watch.group(group)["verdict"] == "ok")
            said = watch.group(group)["sentence"]
            assert said == "Caught up: every record is read; what is left are transaction markers"
    finally:
        consumer.close()


def test_the_head_of_a_stuck_group_is_as_old_as_the_record_says(
    kafka: KafkaCluster, new_topic: Callable[..., str]
) -> None:
    topic, group = new_topic("stuck"), f"stuck-{uuid.uuid4().hex[:8]}"
    producer = Producer({"bootstrap.servers": kafka.bootstrap}, logger=QUIET)
    born = round((time.time() - LONG_AGO) * 1000)
    for number in range(30):
        producer.produce(topic, b"x", partition=0, timestamp=born + number * 1000)
    assert producer.flush(30) == 0
    gone = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group}, logger=QUIET)
    commit_now(gone, TopicPartition(topic, 0, 12))
    gone.close()
    with watching({"bootstrap.servers": kafka.bootstrap}) as watch:
        watch.step()
        watch.until("the head", lambda: watch.group(group)["head"] is not None)
        now, row = watch.now, watch.group(group)
        assert now.groups.verdict.at(now.groups.index[group]) == Verdict.NO_MEMBERS
        assert row["head"] == pytest.approx(now.taken_at - (born + 12_000) / 1000, abs=0.1)
        assert row["head_how"] == "the timestamp of the record where it stands"
        assert _seconds(watch, group) == pytest.approx(row["head"], abs=0.1)
        watch.step("heads")
        assert watch.group(group)["head"] > row["head"]
        assert (topic, 0, 12) not in watch.sampler.survey._places, "what was read once is not read again"
        assert watch.sampler.survey.newest().errors == ()
        assert watch.cluster.rights.get(key="heads").why == ""


def test_the_head_of_a_group_in_no_trouble_is_read_while_somebody_wants_it(
    kafka: KafkaCluster, new_topic: Callable[..., str]
) -> None:
    """It keeps up, ten records behind, with records that were old when they came."""
    topic, group = new_topic("steady"), f"steady-{uuid.uuid4().hex[:8]}"
    producer = Producer({"bootstrap.servers": kafka.bootstrap}, logger=QUIET)

    def produce(count: int) -> None:
        for _ in range(count):
            producer.produce(topic, b"x", partition=0, timestamp=round((time.time() - LONG_AGO) * 1000))
        assert producer.flush(30) == 0

    produce(30)
    consumer = member(kafka, group, topic, 20)
    committed = 20

    def read_on() -> None:
        nonlocal committed
        produce(10)
        committed += 10
        commit_now(consumer, TopicPartition(topic, 0, committed))

    try:
        with watching({"bootstrap.servers": kafka.bootstrap}) as watch:
            for _ in range(5):
                watch.step()
                read_on()
            assert watch.now.groups.verdict.at(watch.now.groups.index[group]) == Verdict.OK
            assert (watch.group(group)["head"], watch.group(group)["head_how"]) == (None, NOT_READ)
            Group.objects.filter(name=group).want_heads(timezone.now())
            assert watch.group(group)["head_how"] == BEING_READ
            watch.until("the head", lambda: watch.group(group)["head"] is not None, each=read_on)
            row = watch.group(group)
            assert row["head"] == pytest.approx(LONG_AGO, abs=30.0)
            assert row["head_how"] == "at most: it has read on since"
            assert row["verdict"] == "ok"
            Group.objects.filter(name=group).update(head_wanted_until=timezone.now())
            watch.step()
            read_on()
            watch.step()
            assert [place for place in watch.sampler.survey._places if place[0] == topic] == []
    finally:
        consumer.close()


def _seconds(watch: Watch, group: str) -> float | None:
    found = queries.backlogs_at(watch.now)
    value = found.groups.at(watch.now.groups.index[group])
    return None if value is None else float(value)
