"""The reader of commits against a library that does what a real Kafka cannot be made to do."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from collectors.domain.numbers import Layout
from collectors.domain.scope import ALL
from collectors.kafka import commit_tail
from collectors.kafka.commit_records import TOPIC, offsets_partition
from collectors.kafka.commit_tail import FAILED, NO_TOPIC, CommitTail, options
from collectors.kafka.settings import ConnectionSettings
from tests.kafka.test_commit_records import key, value

SETTINGS = ConnectionSettings(("127.0.0.1:9",))
LAYOUT = Layout.build({"g": [("t", 0)], "h": [("t", 0)]})
COUNT = 2
OF_G, OF_H = offsets_partition("g", COUNT), offsets_partition("h", COUNT)


class Message:
    def __init__(self, partition: int, offset: int, *, key: bytes = b"", value: bytes = b"", code: int = 0) -> None:
        self._parts = (partition, offset, key, value)
        self._error = KafkaError(code) if code else None

    def error(self) -> KafkaError | None:
        return self._error

    def partition(self) -> int:
        return self._parts[0]

    def offset(self) -> int:
        return self._parts[1]

    def key(self) -> bytes:
        return self._parts[2]

    def value(self) -> bytes:
        return self._parts[3]


class Library:
    """One consumer after the other; what they give is put into `messages` and `ends` from outside."""

    def __init__(self) -> None:
        self.messages: deque[Any] = deque()
        self.ends = [0] * COUNT
        self.highs = [0] * COUNT
        self.topic_error: int = 0
        self.made = self.closed = 0
        self.options: dict[str, Any] = {}
        self.assigned: list[TopicPartition] = []
        self.are_ends_told = True

    def make(self, options: dict[str, Any], *, logger: object) -> Any:
        self.made += 1
        self.options = options
        return self

    def list_topics(self, topic: str, timeout: float) -> Any:
        error = KafkaError(self.topic_error) if self.topic_error else None
        partitions = {} if error else dict.fromkeys(range(COUNT))
        return SimpleNamespace(topics={topic: SimpleNamespace(error=error, partitions=partitions)})

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned = partitions
        self.messages.extend(Message(one.partition, 0, code=KafkaError._PARTITION_EOF) for one in partitions)

    def consume(self, most: int, timeout: float) -> list[Any]:
        time.sleep(0.005)
        given = [self.messages.popleft() for _ in range(min(most, len(self.messages)))]
        for one in given:
            if isinstance(one, BaseException):
                raise one
        return given

    def offsets_for_times(self, asked: list[TopicPartition], timeout: float) -> list[Any]:
        if not self.are_ends_told:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return [SimpleNamespace(partition=p, offset=end, error=None) for p, end in enumerate(self.ends)]

    def get_watermark_offsets(self, partition: TopicPartition, cached: bool) -> tuple[int, int]:
        return 0, self.highs[partition.partition]

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.setattr(commit_tail, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(commit_tail, "AGAIN_SECONDS", 0.02)
    return Library()


@pytest.fixture
def tail(library: Library) -> Iterator[CommitTail]:
    made = CommitTail(SETTINGS, scope=ALL, make=library.make)
    made.start()
    yield made
    made.stop(5)
    assert not made._thread.is_alive()
    assert library.closed == library.made, "each consumer is closed"


def wait_for(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def told(tail: CommitTail) -> list[float | int | None]:
    column = tail.column(LAYOUT)
    return [None, None] if column is None else [column.numbers.at(0), column.numbers.at(1)]


def test_it_reads_from_the_ends_on_and_tells_the_newest(library: Library, tail: CommitTail) -> None:
    wait_for(lambda: None not in told(tail))
    assert {one.offset for one in library.assigned} == {-1}  # OFFSET_END
    since = told(tail)
    assert all(at is not None and at < -1_000 for at in since)
    library.messages.append(Message(OF_G, 7, key=key("g", "t", 0), value=value(5_000)))
    wait_for(lambda: told(tail)[0] == 5_000)
    assert told(tail)[1] == since[1]
    assert (tail.state.why, tail.column(LAYOUT, without={"g", "h"})) == ("", None)
    wait_for(lambda: tail.state.kept == 1)
    assert tail.state.records_per_second is not None
    assert tail.state.cpu_share is not None


def test_nobodys_group_is_joined_and_nothing_committed() -> None:
    found = options(SETTINGS)
    assert (found["enable.auto.commit"], found["enable.auto.offset.store"]) == (False, False)
    assert found["isolation.level"] == "read_committed"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "not authorised"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, NO_TOPIC),
        (KafkaError._UNKNOWN_TOPIC, NO_TOPIC),
        (KafkaError.LEADER_NOT_AVAILABLE, "Leader not available"),
    ],
)
def test_what_keeps_it_from_reading_is_said_and_tried_again(library: Library, code: int, why: str) -> None:
    library.topic_error = code
    tail = CommitTail(SETTINGS, scope=ALL, make=library.make)
    tail.start()
    try:
        wait_for(lambda: tail.state.why == why and library.made > 1)
        assert told(tail) == [None, None]
        assert (tail.state.records_per_second, tail.state.cpu_share) == (None, None)
        library.topic_error = 0
        wait_for(lambda: tail.state.why == "" and None not in told(tail))
    finally:
        tail.stop(5)


@pytest.mark.parametrize(
    "code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET]
)
def test_after_a_gap_nothing_is_known_of_before(library: Library, tail: CommitTail, code: int) -> None:
    wait_for(lambda: None not in told(tail))
    library.messages.append(Message(OF_G, 7, key=key("g", "t", 0), value=value(5_000)))
    wait_for(lambda: told(tail)[0] == 5_000)
    library.messages.append(Message(OF_G, 8, code=code))
    wait_for(lambda: library.made == 2 and None not in told(tail))
    since = told(tail)[0]
    assert since is not None
    assert since < -5_000


@pytest.mark.parametrize(
    "code", [KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError.GROUP_AUTHORIZATION_FAILED]
)
def test_what_the_library_tries_again_is_no_end(library: Library, tail: CommitTail, code: int) -> None:
    wait_for(lambda: None not in told(tail))
    library.messages.append(Message(OF_G, 8, code=code))
    library.messages.append(Message(OF_G, 7, key=key("g", "t", 0), value=value(5_000)))
    wait_for(lambda: told(tail)[0] == 5_000)
    assert library.made == 1


def test_where_reading_is_behind_or_held_back_nothing_is_told(
    library: Library, tail: CommitTail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_tail, "OLD_SECONDS", 0.3)
    wait_for(lambda: None not in told(tail))
    library.highs[OF_G] = 12  # an open transaction: records are there, and none of them is given out
    wait_for(lambda: told(tail)[0] is None)
    assert told(tail)[1] is not None or OF_G == OF_H
    library.messages.append(Message(OF_G, 12, code=KafkaError._PARTITION_EOF))
    wait_for(lambda: None not in told(tail))


def test_where_the_ends_are_not_told_what_was_known_grows_old(
    library: Library, tail: CommitTail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_tail, "OLD_SECONDS", 0.3)
    wait_for(lambda: None not in told(tail))
    library.are_ends_told = False
    wait_for(lambda: told(tail) == [None, None])
    library.are_ends_told = True
    wait_for(lambda: None not in told(tail))
    assert library.made == 1


def test_a_mistake_of_ours_is_said_and_not_hidden(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda given: caught.append(given.exc_type))
    library.messages.append(ZeroDivisionError())
    tail = CommitTail(SETTINGS, scope=ALL, make=library.make)
    tail.start()
    wait_for(lambda: tail.state.why == FAILED)
    wait_for(lambda: caught == [ZeroDivisionError])
    assert told(tail) == [None, None]
    assert library.closed == 1
    tail.stop(1)


def test_the_topic_is_the_one_that_the_right_is_on() -> None:
    from collectors.domain.rights import COMMIT_TIMES

    assert COMMIT_TIMES.name == TOPIC
