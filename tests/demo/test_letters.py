"""Orders that cannot be paid, and their headers as Spring's retry topics write them."""

from __future__ import annotations

import json
import random
import struct
from collections import Counter

import pytest

from collectors.demo.letters import CONSTRAINT_SHARE, UNDECODABLE_SHARE, Failure, Headers, again, fate_of, spoiled

ORDER = json.dumps({"order": 7, "at": 1, "customer": 3, "cents": 990}).encode()
WRITTEN_MS, NOW = 1_795_000_000_123, 1_795_000_001.5


class Record:
    """The part of a confluent_kafka.Message that headers are made from."""

    def __init__(self, topic: str, headers: Headers) -> None:
        self._topic, self._headers = topic, headers

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return 2

    def offset(self) -> int:
        return 4711

    def timestamp(self) -> tuple[int, int]:
        return 1, WRITTEN_MS

    def headers(self) -> Headers:
        return self._headers


def hop(topic: str, headers: Headers, failure: Failure) -> Headers:
    return again(Record(topic, headers), failure, "payments", NOW)  # type: ignore[arg-type]  # the part that is read


def test_of_poisoned_orders_three_in_a_hundred_are_undecodable_and_two_hit_the_constraint() -> None:
    random.seed(1)
    fates = Counter(fate_of(spoiled(ORDER, random.random())) for _ in range(20_000))
    assert fates[Failure.UNDECODABLE] / 20_000 == pytest.approx(UNDECODABLE_SHARE, abs=0.005)
    assert fates[Failure.CONSTRAINT] / 20_000 == pytest.approx(CONSTRAINT_SHARE, abs=0.005)
    assert fates[None] == 20_000 - fates[Failure.UNDECODABLE] - fates[Failure.CONSTRAINT]


def test_a_whole_order_can_be_paid_and_an_empty_record_cannot_be_decoded() -> None:
    assert fate_of(ORDER) is None
    assert fate_of(None) is Failure.UNDECODABLE


def test_the_first_hop_says_where_the_record_came_from_and_what_failed() -> None:
    headers = hop("orders", [], Failure.CONSTRAINT)
    assert [name for name, _ in headers] == [
        "kafka_exception-fqcn",
        "kafka_exception-cause-fqcn",
        "kafka_exception-message",
        "kafka_exception-stacktrace",
        "kafka_original-topic",
        "kafka_original-partition",
        "kafka_original-offset",
        "kafka_original-timestamp",
        "kafka_original-timestamp-type",
        "kafka_dlt-original-consumer-group",
        "retry_topic-original-timestamp",
        "retry_topic-attempts",
        "retry_topic-backoff-timestamp",
    ]
    found = dict(headers)
    assert found["kafka_original-topic"] == b"orders"
    assert found["kafka_original-partition"] == struct.pack(">i", 2)
    assert found["kafka_original-offset"] == struct.pack(">q", 4711)
    assert found["kafka_original-timestamp"] == struct.pack(">q", WRITTEN_MS)
    assert found["retry_topic-original-timestamp"] == WRITTEN_MS.to_bytes(6, "big"), "Java's BigInteger: six bytes"
    assert found["retry_topic-attempts"] == struct.pack(">i", 2)
    assert b"DataIntegrityViolationException" in (found["kafka_exception-cause-fqcn"] or b"")


def test_the_second_hop_keeps_the_origin_and_adds_its_own_attempt() -> None:
    second = hop("orders-retry-0", hop("orders", [], Failure.BANK), Failure.UNDECODABLE)
    names = [name for name, _ in second]
    assert names[0] == "kafka_original-topic", "the origin comes first and once"
    assert names.count("kafka_original-topic") == 1
    assert names.count("kafka_exception-message") == 1, "of the last failure only"
    assert dict(second)["kafka_original-topic"] == b"orders"
    attempts = [value for name, value in second if name == "retry_topic-attempts"]
    assert attempts == [struct.pack(">i", 2), struct.pack(">i", 3)]
    assert "Invalid UTF-8" in str(dict(second)["kafka_exception-message"])
