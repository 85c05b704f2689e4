"""Bench: reading commits as the tail of `__consumer_offsets` does, beside confluent-kafka that only consumes them."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its stubs re-export nothing
from django.conf import settings

from collectors.demo.nodes import KafkaCluster
from collectors.domain.numbers import Layout
from collectors.domain.scope import ALL
from collectors.kafka.commit_book import CommitTimesBook
from collectors.kafka.commit_tail import BATCH, options
from collectors.kafka.settings import ConnectionSettings

from .large import QUIET
from .lines import Line, line

TOPIC, PARTITIONS = "commits", 10
GROUPS, PER_GROUP, COMMITS = 5_000, 20, 3
PLACES = GROUPS * PER_GROUP
RECORDS = PLACES * COMMITS
CYCLES = 20


def run() -> list[Line]:
    with (
        tempfile.TemporaryDirectory() as name,
        KafkaCluster(Path(name), cache_dir=settings.CACHE_DIR, node_count=1, say=lambda _: None) as nodes,
    ):
        nodes.start()
        nodes.wait_ready()
        _write(nodes.bootstrap)
        _consume(nodes.bootstrap, lambda message: None)  # what is in no cache is not measured
        alone = _consume(nodes.bootstrap, lambda message: None)
        book = CommitTimesBook(ALL)
        read = _consume(nodes.bootstrap, lambda message: book.take(message.key(), message.value()))
    assert len(book) == PLACES
    title = f"{RECORDS:,} commits of {PLACES:,} places".replace(",", " ")
    return [
        line(f"{title}: read and decoded, a second of CPU; confluent-kafka consuming alone", RECORDS / read,
             "records/s", baseline=RECORDS / alone),
        line("the same, decoding alone", RECORDS / _decoding(), "records/s", baseline=RECORDS / alone),
        line("what is known of these places, asked for a cycle, median", _asked(book), "ms CPU"),
    ]  # fmt: skip


def _places() -> list[bytes]:
    def text(name: str) -> bytes:
        return len(name).to_bytes(2, "big") + name.encode()

    return [
        b"\0\1" + text(f"group-{group:05d}") + text(f"orders-{group % 50:02d}") + partition.to_bytes(4, "big")
        for group in range(GROUPS)
        for partition in range(PER_GROUP)
    ]


def _value(number: int) -> bytes:
    """Version 4 with a topic id, as brokers from 4.1 on write it."""
    at_ms = (1_764_000_000_000 + number).to_bytes(8, "big")
    return b"\0\4" + number.to_bytes(8, "big") + b"\0\0\0\7" + b"\1" + at_ms + b"\1\0\x10" + bytes(16)


def _write(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=QUIET)
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)], operation_timeout=10)[TOPIC].result(20)
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20}, logger=QUIET)
    keys = _places()
    for number in range(RECORDS):
        producer.produce(TOPIC, _value(number), key=keys[number % PLACES], partition=number // PER_GROUP % PARTITIONS)
        if number % 10_000 == 0:
            producer.flush(60)
    assert producer.flush(60) == 0


def _consume(bootstrap: str, take: Callable[[Message], None]) -> float:
    """Seconds of CPU of this process, the library's threads included, from the beginning to the last record."""
    found = options(ConnectionSettings.from_properties({"bootstrap.servers": bootstrap}))
    consumer = Consumer(found, logger=QUIET)
    began, records = time.process_time(), 0
    try:
        consumer.assign([TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
        while records < RECORDS:
            for message in consumer.consume(BATCH, 0.5):
                if message.error() is None:
                    take(message)
                    records += 1
        return time.process_time() - began
    finally:
        consumer.close()


def _decoding() -> float:
    """Seconds of CPU that the records take once they are here."""
    keys, book = _places(), CommitTimesBook(ALL)
    records = [(keys[number % PLACES], _value(number)) for number in range(RECORDS)]
    began = time.thread_time()
    for key, value in records:
        book.take(key, value)
    return time.thread_time() - began


def _asked(book: CommitTimesBook) -> float:
    layout = Layout.build(
        {f"group-{g:05d}": [(f"orders-{g % 50:02d}", p) for p in range(PER_GROUP)] for g in range(GROUPS)}
    )
    since = np.full(50, 1, dtype=np.int64)
    took = []
    for _ in range(CYCLES):
        began = time.thread_time()
        column = book.column(layout, since)
        took.append((time.thread_time() - began) * 1e3)
    assert (column.numbers.values > 1).all()
    return statistics.median(took)
