"""The real cluster of the benches: 3 000 partitions, 300 groups with 100 committed partitions each, a little life.

`python -m tests.bench.large --bootstrap HOST:PORT` is that life: records and commits until its input is closed.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its stubs re-export nothing

TOPICS, PER_TOPIC = 300, 10
GROUPS, TOPICS_A_GROUP = 300, 10
FIRST_RECORDS = 20
"""Written to each partition at the start; the groups commit half of them."""
RECORDS_A_SECOND = 100
COMMITTING_A_SECOND = 10
"""Groups that commit all their partitions again."""
ONE_AT_A_TIME = 25
COMMIT_SECONDS = 180.0

QUIET = logging.getLogger("bench.librdkafka")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


def topic_name(index: int) -> str:
    return f"topic-{index % TOPICS:03}"


def group_name(index: int) -> str:
    return f"group-{index:03}"


def partitions_of(group: int) -> list[tuple[str, int]]:
    return [(topic_name(group + k), p) for k in range(TOPICS_A_GROUP) for p in range(PER_TOPIC)]


def make(bootstrap: str) -> None:
    """Topics (one replica each), their first records, and the commits of all groups."""
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=QUIET)
    small = {"segment.index.bytes": "65536", "segment.bytes": str(2**20)}
    for start in range(0, TOPICS, ONE_AT_A_TIME):
        wanted = [
            NewTopic(topic_name(i), PER_TOPIC, 1, config=small)
            for i in range(start, min(start + ONE_AT_A_TIME, TOPICS))
        ]
        for future in admin.create_topics(wanted, operation_timeout=30).values():
            future.result(60)
    producer = Producer(
        {"bootstrap.servers": bootstrap, "linger.ms": 500, "queue.buffering.max.messages": 1_000_000}, logger=QUIET
    )
    for index in range(TOPICS):
        for partition in range(PER_TOPIC):
            for _ in range(FIRST_RECORDS):
                producer.produce(topic_name(index), b"x" * 20, partition=partition)
        producer.poll(0)
    if left := producer.flush(120):
        raise RuntimeError(f"{left} first records were not written")
    for start in range(0, GROUPS, ONE_AT_A_TIME):
        commit(admin, range(start, min(start + ONE_AT_A_TIME, GROUPS)), FIRST_RECORDS // 2)


def commit(admin: AdminClient, groups: Sequence[int], offset: int) -> None:
    """Commits of whole groups, without joining one; those that a coordinator was not ready for are tried again."""
    deadline, left = time.monotonic() + COMMIT_SECONDS, list(groups)
    while left:
        asked = {}
        for group in left:
            places = [TopicPartition(topic, p, offset) for topic, p in partitions_of(group)]
            wanted = [ConsumerGroupTopicPartitions(group_name(group), places)]
            asked[group] = admin.alter_consumer_group_offsets(wanted, request_timeout=20)
        left, why = [], ""
        for group, futures in asked.items():
            for future in futures.values():
                try:
                    failed = [place.error for place in future.result(60).topic_partitions if place.error is not None]
                except KafkaException as error:
                    failed = [error]
                if failed:
                    left.append(group)
                    why = str(failed[0])
        if left and time.monotonic() > deadline:
            raise RuntimeError(f"{len(left)} groups could not commit: {why}")
        if left:
            time.sleep(0.5)


@contextlib.contextmanager
def living(bootstrap: str) -> Iterator[None]:
    """Records and commits by a process of its own while the block runs."""
    command = [sys.executable, "-m", "tests.bench.large", f"--bootstrap={bootstrap}"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.large", description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    bootstrap = parser.parse_args().bootstrap
    ended = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=QUIET)
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 200}, logger=QUIET)
    chance, turn = random.Random(7), 0
    while not ended.is_set():
        began = time.monotonic()
        for _ in range(RECORDS_A_SECOND):
            producer.produce(topic_name(chance.randrange(TOPICS)), b"x" * 20, partition=chance.randrange(PER_TOPIC))
        producer.poll(0)
        first = turn * COMMITTING_A_SECOND % GROUPS
        commit(admin, range(first, first + COMMITTING_A_SECOND), FIRST_RECORDS // 2 + turn % (FIRST_RECORDS // 2))
        turn += 1
        ended.wait(max(0.0, 1.0 - (time.monotonic() - began)))
    producer.flush(5)


if __name__ == "__main__":
    main()
