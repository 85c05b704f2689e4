"""Groups of a real Kafka with strange offsets, strange names and strange lives."""

from __future__ import annotations

import logging
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from django.test import Client

from collectors.demo.nodes import KafkaCluster
from dashboard.names import group_path
from tests.conftest import produce

from .test_kafka_topics import commit
from .watch import Watch, raw_ask, watching

pytestmark = [pytest.mark.kafka, pytest.mark.django_db]
SILENT = logging.getLogger("tests.kafka")


@pytest.fixture
def watch(kafka: KafkaCluster) -> Iterator[Watch]:
    with watching(kafka.bootstrap) as made:
        yield made


@pytest.fixture
def admin_client(kafka: KafkaCluster) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.bootstrap}, logger=SILENT)


def consumer_of(kafka: KafkaCluster, group: str, *topics: str, **more: object) -> Consumer:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **more,
        },
        logger=SILENT,
    )
    consumer.subscribe(list(topics))
    deadline = time.monotonic() + 30
    while not consumer.assignment():
        consumer.poll(0.2)
        assert time.monotonic() < deadline, "no assignment"
    return consumer


def test_k14_k15_k16_no_offset_however_strange_makes_lag_negative_or_unknown_zero(
    watch: Watch, kafka: KafkaCluster, new_topic: Callable[..., str], admin_client: AdminClient, viewer: Client
) -> None:
    topic, group = new_topic("trimmed", partitions=1), f"strange-{uuid.uuid4().hex[:6]}"
    produce(kafka.bootstrap, topic, [b"x"] * 100)
    commit(kafka, group, {(topic, 0): 10})
    watch.look()
    assert watch.lag(group) == 90

    where = TopicPartition(topic, 0, 60)
    admin_client.delete_records([where])[where].result(20)  # K14: retention went past the commit
    watch.look("start_offsets", "groups")
    assert watch.lag(group) in (40, 90), "what is there, or what was committed: never 0, never negative"

    commit(kafka, group, {(topic, 0): 0})  # K15: back to the beginning
    for _ in range(2):
        watch.cycle()
        watch.assert_nothing_negative()
    assert watch.lag(group) in (40, 100)

    commit(kafka, group, {(topic, 0): 1100})  # K16: far beyond the end
    for _ in range(3):
        cycle = watch.cycle()
        watch.assert_nothing_negative()
    assert cycle.is_reachable
    answer = viewer.get(group_path("real", group))
    assert answer.status_code == 200
    assert "-1,000" not in answer.content.decode()
    produce(kafka.bootstrap, topic, [b"x"] * 10)
    commit(kafka, group, {(topic, 0): 105})
    watch.cycle()
    assert watch.lag(group) == 5


def test_k17_k18_a_group_runs_empty_then_is_deleted(
    watch: Watch, kafka: KafkaCluster, new_topic: Callable[..., str], admin_client: AdminClient
) -> None:
    topic, group = new_topic("left", partitions=1), f"leaving-{uuid.uuid4().hex[:6]}"
    produce(kafka.bootstrap, topic, [b"x"] * 10)
    consumer = consumer_of(kafka, group, topic)
    consumer.commit(offsets=[TopicPartition(topic, 0, 4)], asynchronous=False)
    watch.look()
    assert (watch.group(group).state, watch.group(group).member_count) == ("Stable", 1)
    consumer.close()
    watch.look()
    watch.look()  # one alone may have come between a member that left and the one that follows it
    assert (watch.group(group).state, watch.group(group).member_count) == ("Empty", 0)
    assert watch.lag(group) == 6
    admin_client.delete_consumer_groups([group])[group].result(20)
    watch.look()
    assert watch.group(group).gone_at is not None
    assert watch.events("group_gone")[-1:] == [f"Group {group} is gone"]
    watch.cycle()
    assert watch.lag(group) is None


def test_k19_a_group_that_rebalances_without_end_keeps_its_lag(
    watch: Watch, kafka: KafkaCluster, new_topic: Callable[..., str]
) -> None:
    """A member that no longer polls holds the rebalance up; the other one waits for it."""
    topic, group = new_topic("unquiet", partitions=2), f"unquiet-{uuid.uuid4().hex[:6]}"
    produce(kafka.bootstrap, topic, [b"x"] * 10, partition=0)
    timeouts = {"max.poll.interval.ms": 20_000, "session.timeout.ms": 20_000}
    first = consumer_of(kafka, group, topic, **timeouts)
    first.commit(offsets=[TopicPartition(topic, 0, 3), TopicPartition(topic, 1, 0)], asynchronous=False)
    watch.look()
    assert watch.lag(group) == 7
    stop = threading.Event()
    second = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group, **timeouts}, logger=SILENT)
    second.subscribe([topic])
    joining = threading.Thread(target=lambda: [second.poll(0.2) for _ in iter(lambda: not stop.is_set(), False)])
    joining.start()
    try:
        states = set()
        for _ in range(4):
            watch.look("groups")
            states.add(watch.group(group).state)
            assert watch.lag(group) == 7
            watch.assert_nothing_negative()
        assert states & {"PreparingRebalance", "CompletingRebalance"}, states
    finally:
        stop.set()
        joining.join(10)
        second.close()
        first.close()


def test_k21_a_topic_that_a_group_left_keeps_its_commit_and_its_lag(
    watch: Watch, kafka: KafkaCluster, new_topic: Callable[..., str]
) -> None:
    old, new, group = new_topic("old"), new_topic("new"), f"mover-{uuid.uuid4().hex[:6]}"
    for topic in (old, new):
        produce(kafka.bootstrap, topic, [b"x"] * 10)
    consumer = consumer_of(kafka, group, old)
    consumer.commit(offsets=[TopicPartition(old, 0, 4)], asynchronous=False)
    consumer.close()
    consumer = consumer_of(kafka, group, new)
    consumer.commit(offsets=[TopicPartition(new, 0, 10)], asynchronous=False)
    try:
        watch.look()
        watch.cycle()
        watch.assert_nothing_negative()
        assert watch.lag(group) == 6
    finally:
        consumer.close()


NAMES = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "quote\"and'apostrophe`",
    "two\nlines\r\nand\ttab",
    "right\u202eto\u202dleft\u200b\ufeff",
    "{{ 7*7 }} ${7*7} {% now %}",
    "..",
    "a/../b?c=d&e=f#g",
    "100% %00 %2F",
    "\U0001f525 emoji e\u0301",
    "\x01\x1b[31mred\x7f",
    "'; DROP TABLE group; --",
    " blanks at both ends ",
    "n" * 500,
]


def test_t3_groups_with_names_of_any_kind_have_pages_and_lag(
    watch: Watch,
    kafka: KafkaCluster,
    admin_client: AdminClient,
    new_topic: Callable[..., str],
    viewer: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    topic = new_topic("strangers")
    produce(kafka.bootstrap, topic, [b"x"] * 20)
    stamp = uuid.uuid4().hex[:6]
    groups = {f"{name}{stamp}" if len(name) < 500 else name[:-6] + stamp: place for place, name in enumerate(NAMES)}
    for name, place in groups.items():
        commit_raw(kafka, name, topic, place)
    too_long = "w" * 5000 + stamp
    commit_raw(kafka, too_long, topic, 1)
    cycle = watch.look()
    # others that share this Kafka should not have it named in each of their cycles
    admin_client.delete_consumer_groups([too_long])[too_long].result(20)
    watch.cycle()
    listed = viewer.get("/clusters/real/groups/?q=" + stamp).content.decode()
    for name, place in groups.items():
        assert watch.lag(name) == 20 - place, name
        answer = viewer.get(group_path("real", name))
        assert answer.status_code == 200, name
        text = answer.content.decode()
        assert "<img src=x" not in text, name
        assert "<script>alert" not in text, name
    assert "<img src=x" not in listed
    assert "<script>alert" not in listed
    metrics = viewer.get("/metrics").content.decode()
    lines = [line for line in metrics.splitlines() if stamp in line and line.startswith("streamgauge_group_lag_known")]
    assert len(lines) == len(groups), "each name is one line"
    left_out = [error for error in cycle.errors if error["part"] == "group_names"]
    assert left_out, "what is too long to be stored is said"
    assert left_out[0]["count"] >= 1
    for record in caplog.records:
        if record.name.startswith(("collectors", "dashboard")):
            assert "\n" not in record.getMessage(), record.getMessage()


class Raw(str):
    """A name whose bytes on the wire are not UTF-8."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"lone \xed\xa0\x80 and \xff " + super().encode(encoding, errors)


def test_t4_a_group_committed_under_bytes_that_are_no_text_spoils_nothing(
    watch: Watch, kafka: KafkaCluster, new_topic: Callable[..., str], viewer: Client
) -> None:
    topic, stamp = new_topic("bytes"), uuid.uuid4().hex[:6]
    produce(kafka.bootstrap, topic, [b"x"] * 5)
    commit(kafka, f"fine-{stamp}", {(topic, 0): 2})
    commit_raw(kafka, Raw(stamp), topic, 1)
    watch.look()
    watch.cycle()
    assert watch.lag(f"fine-{stamp}") == 3
    now = watch.now().groups
    (name,) = [one for one in now.names if one.endswith(stamp) and one.startswith("lone ")]
    assert "\ufffd" in name
    assert watch.lag(name) == 4
    assert viewer.get(group_path("real", name)).status_code == 200
    metrics = viewer.get("/metrics")
    assert metrics.status_code == 200
    assert stamp in metrics.content.decode()


def commit_raw(kafka: KafkaCluster, group: str, topic: str, offset: int) -> None:
    """OffsetCommit by hand (version 2, KIP-211 before flexible versions), past every client that checks names."""

    def text(value: str) -> bytes:
        raw = value.encode()
        return struct.pack(">h", len(raw)) + raw

    def find() -> tuple[int, str, int]:
        host, _, port = kafka.bootstrap.split(",")[0].partition(":")
        answer = raw_ask(host, int(port), 10, 0, text(group))  # FindCoordinator v0
        code, _node = struct.unpack(">hi", answer[:6])
        (length,) = struct.unpack(">h", answer[6:8])
        return code, answer[8 : 8 + length].decode(), struct.unpack(">i", answer[8 + length : 12 + length])[0]

    partition = struct.pack(">iq", 0, offset) + text("")
    body = text(group) + struct.pack(">i", -1) + text("") + struct.pack(">q", -1)
    body += struct.pack(">i", 1) + text(topic) + struct.pack(">i", 1) + partition
    deadline = time.monotonic() + 20
    while True:
        code, host, port = find()
        if not code:
            (code,) = struct.unpack(">h", raw_ask(host, port, 8, 2, body)[-2:])
        if not code:
            return
        # 14 to 16: a coordinator that was named may still be loading, or not know yet that it is one
        assert code in (14, 15, 16), code
        assert time.monotonic() < deadline, code
        time.sleep(0.3)
