"""Session and Survey against a real three-node Kafka: right numbers, and honest ones while brokers die or hang."""

from __future__ import annotations

import gc
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer, ShareConsumer, TopicPartition
from kafka.net.inet import KafkaNetSocket
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.protocol.api_header import ResponseClassRegistry
from kafka.protocol.consumer import ListOffsetsRequest

from collectors.demo.nodes import KafkaCluster
from collectors.domain.numbers import Layout
from collectors.domain.topology import GroupType, Metadata, Reach
from collectors.kafka.session import Session
from collectors.kafka.settings import ConnectionSettings
from collectors.kafka.survey import Survey
from tests.conftest import produce
from tests.e2e.served import wait_for
from tests.servers import free_port

pytestmark = pytest.mark.kafka

SILENT = logging.getLogger("tests.kafka")


@contextmanager
def session_to(bootstrap: str) -> Iterator[Session]:
    session = Session(ConnectionSettings.from_properties({"bootstrap.servers": bootstrap}))
    try:
        yield session
    finally:
        session.close()


@pytest.fixture
def session(kafka: KafkaCluster) -> Iterator[Session]:
    with session_to(kafka.bootstrap) as made:
        yield made


def eventually(what: Callable[[], Any], seconds: float, pause: float = 0.1) -> Any:
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(pause)
    return found


def metadata_of(session: Session) -> Metadata:
    found = eventually(lambda: session.ask_metadata(budget_seconds=3).value, 20)
    assert isinstance(found, Metadata)
    return found


def layout_of(metadata: Metadata, *names: str) -> Layout:
    return Layout.of_topics(
        {t.name: [p.index for p in t.partitions] for t in metadata.topics if not names or t.name in names}
    )


@contextmanager
def surveying(session: Session) -> Iterator[Survey]:
    survey = Survey(session)
    survey.start()
    try:
        assert survey.wait_first(20)
        yield survey
    finally:
        survey.stop(5)


def listed_by(survey: Survey) -> set[int]:
    metadata = survey.newest().metadata
    return {node.node_id for node in metadata.brokers} if metadata else set()


@contextmanager
def consuming(bootstrap: str, group: str, topic: str, protocol: str = "classic") -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "group.protocol": protocol,
            "client.id": f"client-{protocol}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        },
        logger=SILENT,
    )
    consumer.subscribe([topic])
    try:
        eventually(lambda: consumer.poll(0.2) is not None and consumer.assignment(), 30, 0)
        yield consumer
    finally:
        consumer.close()


def commit(bootstrap: str, group: str, offsets: dict[tuple[str, int], int]) -> None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group}, logger=SILENT)
    consumer.commit(offsets=[TopicPartition(t, p, o) for (t, p), o in offsets.items()], asynchronous=False)
    consumer.close()


def commits_of(session: Session, group: str, budget: float = 2.0) -> dict[tuple[str, int], int | float | None]:
    column = session.ask_commits([group], budget_seconds=budget).column
    if column.layout.owner_index(group) is None:
        return {}
    part = column.layout.slice_of(group)
    return {
        (column.layout.topics[i], int(column.layout.partitions[i])): column.numbers.at(i)
        for i in range(part.start, part.stop)
    }


# --- the seams of the library --------------------------------------------------------------------------------


def test_the_private_seams_that_link_uses_exist_and_answer_raw(session: Session) -> None:
    assert {"_connect", "get_connection", "bootstrap_async", "send"} <= set(dir(KafkaConnectionManager))
    assert {"call_soon_threadsafe", "start", "stop", "close"} <= set(dir(NetworkSelector))
    assert {"dns_lookup", "connect", "SCHEMES"} <= set(dir(KafkaNetSocket)) | {"SCHEMES"}
    assert ListOffsetsRequest.flexible_version_q(7)
    assert hasattr(ResponseClassRegistry, "get_response_class")
    metadata_of(session)
    link = session._exchange._link
    assert link is not None
    assert link.is_alive
    assert sorted(link.node_ids()) == [1, 2, 3]


# --- right numbers -------------------------------------------------------------------------------------------


def test_offsets_equal_what_confluent_kafka_says(
    kafka: KafkaCluster, session: Session, new_topic: Callable[..., str]
) -> None:
    topic, empty = new_topic("orders", partitions=5), new_topic("empty", partitions=2)
    for partition in range(5):
        produce(kafka.bootstrap, topic, [b"x"] * (10 * partition), partition=partition)
    metadata = metadata_of(session)
    layout = layout_of(metadata, topic, empty)
    ends = session.ask_end_offsets(layout, metadata, budget_seconds=5)
    starts = session.ask_start_offsets(layout, metadata, budget_seconds=5)
    assert ends.errors == starts.errors == ()
    assert ends.column.layout is layout
    assert ends.requests == 3
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "none"}, logger=SILENT)
    for i, (name, partition) in enumerate(zip(layout.topics, layout.partitions.tolist(), strict=True)):
        expected = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=10)
        assert (starts.column.numbers.at(i), ends.column.numbers.at(i)) == expected
    consumer.close()


def test_more_partitions_than_fit_one_request_are_asked_in_several(
    kafka: KafkaCluster, session: Session, new_topic: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collectors.kafka.wire.MAX_PARTITIONS", 2)
    topic = new_topic("wide", partitions=12)
    produce(kafka.bootstrap, topic, [b"x"] * 50)
    metadata = metadata_of(session)
    answer = session.ask_end_offsets(layout_of(metadata, topic), metadata, budget_seconds=5)
    assert answer.errors == ()
    assert answer.requests >= 6
    assert int(answer.column.numbers.values.sum()) == 50


def test_a_topic_that_is_gone_is_not_known_with_the_reason(session: Session, new_topic: Callable[..., str]) -> None:
    topic = new_topic("kept", partitions=1)
    metadata = metadata_of(session)
    gone = Layout.of_topics({topic: [0], "never-there": [0, 1]})
    answer = session.ask_end_offsets(gone, metadata, budget_seconds=5)
    assert answer.column.numbers.known.tolist() == [True, False, False]
    assert [(e.part, e.reason, e.count) for e in answer.errors] == [("end_offsets", "no leader", 2)]


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_commits_are_those_of_the_group(
    kafka: KafkaCluster, session: Session, new_topic: Callable[..., str], protocol: str
) -> None:
    topic, group = new_topic("read", partitions=3), f"group-{protocol}-{time.monotonic_ns()}"
    produce(kafka.bootstrap, topic, [b"x"] * 30)
    with consuming(kafka.bootstrap, group, topic, protocol) as consumer:
        consumer.commit(
            offsets=[TopicPartition(topic, 0, 7, "a note"), TopicPartition(topic, 2, 9)], asynchronous=False
        )
        assert commits_of(session, group) == {(topic, 0): 7, (topic, 2): 9}
        first = session.ask_commits([group], budget_seconds=2)
        consumer.commit(offsets=[TopicPartition(topic, 0, 8, "a note")], asynchronous=False)
        second = session.ask_commits([group], budget_seconds=2)
    assert second.column.layout is first.column.layout
    assert second.column.numbers.values.tolist() == [8, 9]
    assert second.answered == {group}
    assert second.requests == 1


def test_a_group_without_commits_is_there_without_partitions(session: Session) -> None:
    metadata_of(session)
    answer = session.ask_commits(["nobody-ever"], budget_seconds=5)
    assert answer.errors == ()
    assert answer.column.layout.owners == ("nobody-ever",)
    assert len(answer.column.layout) == 0


PARTS = {
    "metadata", "groups", "quorum", "start_offsets", "stable_offsets", "log_dirs", "versions", "rights",
    "topic_configs", "broker_configs",
}  # fmt: skip


def test_the_survey_knows_members_of_every_type(kafka: KafkaCluster, new_topic: Callable[..., str]) -> None:
    topic, stamp = new_topic("shared", partitions=3), time.monotonic_ns()
    produce(kafka.bootstrap, topic, [b"x"] * 30)
    share = ShareConsumer(
        {"bootstrap.servers": kafka.bootstrap, "group.id": f"share-{stamp}", "client.id": "client-share"},
        logger=SILENT,
    )
    share.subscribe([topic])
    commit(kafka.bootstrap, f"plain-{stamp}", {(topic, 0): 3})
    whole = ((topic, (0, 1, 2)),)
    with (
        consuming(kafka.bootstrap, f"classic-{stamp}", topic) as classic,
        consuming(kafka.bootstrap, f"consumer-{stamp}", topic, "consumer") as consumer,
        session_to(kafka.bootstrap) as session,
        surveying(session) as survey,
    ):
        try:

            def members() -> Any:
                share.poll(0.1)
                classic.poll(0)
                consumer.poll(0)
                survey.poke("groups")
                groups = {g.name: g for g in survey.newest().groups or ()}
                wanted = [groups.get(f"{kind}-{stamp}") for kind in ("classic", "consumer", "share")]
                if all(g is not None and g.members and g.members[0].assignment == whole for g in wanted):
                    return groups
                return None

            groups = eventually(members, 40)
            state = eventually(lambda: set((s := survey.newest()).ages) >= PARTS and s.sizes is not None and s, 60)
        finally:
            share.close()
    for kind in ("classic", "consumer", "share"):
        group = groups[f"{kind}-{stamp}"]
        assert (group.type, group.state, group.error) == (GroupType(kind), "Stable", None)
        assert [m.client_id for m in group.members] == [f"client-{kind}"]
        assert group.members[0].host == "127.0.0.1"
    assert (groups[f"plain-{stamp}"].state, groups[f"plain-{stamp}"].members) == ("Empty", ())
    assert state.versions == {1: "4.3", 2: "4.3", 3: "4.3"}
    assert state.quorum is not None
    assert state.quorum.voters == (1, 2, 3)
    assert state.quorum.leader_id in {1, 2, 3}
    assert state.log_dirs is not None
    assert [d.broker_id for d in state.log_dirs] == [1, 2, 3]
    assert all(d.total_bytes and d.usable_bytes for d in state.log_dirs)
    own = state.sizes.of(topic)
    assert own.known.all()
    assert int(own.values.sum()) > 0


# --- brokers that die or hang --------------------------------------------------------------------------------


def test_a_killed_broker_is_suspect_at_once_and_the_others_keep_answering(
    kafka: KafkaCluster, session: Session, new_topic: Callable[..., str]
) -> None:
    topic, group = new_topic("survivor", partitions=6), f"on-the-dead-{time.monotonic_ns()}"
    produce(kafka.bootstrap, topic, [b"x"] * 60)
    commit(kafka.bootstrap, group, {(topic, p): p + 1 for p in range(6)})
    expected = {(topic, p): p + 1 for p in range(6)}
    metadata = metadata_of(session)
    layout = layout_of(metadata, topic)
    assert commits_of(session, group) == expected
    assert session.ask_end_offsets(layout, metadata, budget_seconds=2).column.numbers.known.all()
    victim = session._commits._coordinators[group]
    poked = threading.Event()
    session.call_on_attention(poked.set)
    leaders = np.array([p.leader for t in metadata.topics if t.name == topic for p in t.partitions])
    kafka.kill(victim)
    killed = time.monotonic()
    try:
        assert poked.wait(1)
        assert session.reach()[victim].state is Reach.SUSPECT
        began = time.monotonic()
        answer = session.ask_end_offsets(layout, metadata, budget_seconds=2)
        assert time.monotonic() - began < 1.5
        assert answer.column.numbers.known.tolist() == (leaders != victim).tolist()
        assert {(e.part, e.broker) for e in answer.errors} == {("end_offsets", victim)}
        assert session.reach()[victim].reason in ("refused", "closed")
        # commits: the members of the last good answer stay, not known
        assert commits_of(session, group, 0.5) == dict.fromkeys(expected)
        eventually(lambda: commits_of(session, group) == expected, 15 - (time.monotonic() - killed))
        eventually(
            lambda: victim not in {b.node_id for b in metadata_of(session).brokers}, 15 - (time.monotonic() - killed)
        )
        assert victim not in session.reach()
        later = metadata_of(session)
        assert session.ask_end_offsets(layout, later, budget_seconds=2).column.numbers.known.all()
        shrunk = [p for t in later.topics if t.name == topic for p in t.partitions]
        assert all(p.is_under_replicated for p in shrunk)
        with session_to(kafka.bootstrap) as other, surveying(other) as survey:
            assert victim not in listed_by(survey)
            kafka.restart(victim)
            kafka.wait_ready()
            # not on the 30 s of quiet times: replicas are named on a broker that is missing
            eventually(lambda: victim in listed_by(survey), 10)
    except BaseException:
        kafka.restart(victim)
        kafka.wait_ready()
        raise
    fresh = metadata_of(session)
    eventually(
        lambda: session.ask_end_offsets(layout, fresh, budget_seconds=2) and session.reach()[victim].state is Reach.UP,
        10,
    )


def test_a_hung_broker_gets_no_second_request_and_holds_nobody_up(
    kafka: KafkaCluster, session: Session, new_topic: Callable[..., str]
) -> None:
    topic = new_topic("hung", partitions=6)
    produce(kafka.bootstrap, topic, [b"x"] * 60)
    metadata = metadata_of(session)
    layout = layout_of(metadata, topic)
    assert session.ask_end_offsets(layout, metadata, budget_seconds=2).column.numbers.known.all()
    quorum = eventually(lambda: session.ask_quorum(budget_seconds=3).value, 10)
    victim = quorum.leader_id  # the worst one: other brokers forward questions to it and wait
    leaders = np.array([p.leader for t in metadata.topics if t.name == topic for p in t.partitions])
    kafka.pause(victim)
    time.sleep(0.5)  # a signal takes its time to reach all threads of a busy machine: till then it may answer
    try:
        first = session.ask_end_offsets(layout, metadata, budget_seconds=0.8)
        assert first.requests == 3
        assert first.column.numbers.known.tolist() == (leaders != victim).tolist()
        assert [(e.reason, e.broker) for e in first.errors] == [("timeout", victim)]
        assert session.reach()[victim].state is Reach.SUSPECT
        for _ in range(5):
            session.ask_quorum(budget_seconds=0.1)
            began = time.monotonic()
            again = session.ask_end_offsets(layout, metadata, budget_seconds=2)
            assert time.monotonic() - began < 1.5
            assert again.requests == 2
            assert again.column.numbers.known.tolist() == (leaders != victim).tolist()
        dirs = session.ask_log_dirs(layout, metadata, budget_seconds=2)
        assert dirs is not None
        assert victim not in dirs.brokers
        assert len(dirs.brokers) == 2
        groups = session.ask_groups(metadata, budget_seconds=2)
        assert groups.value is not None
        assert not groups.value.is_complete
    finally:
        kafka.resume(victim)
        kafka.wait_ready()
    eventually(lambda: session.reach()[victim].state is Reach.UP, 5)
    fresh = eventually(lambda: len((m := metadata_of(session)).brokers) == 3 and m, 20)
    eventually(lambda: session.ask_end_offsets(layout, fresh, budget_seconds=2).column.numbers.known.all(), 10)


# --- clusters that are not there -----------------------------------------------------------------------------


def open_files() -> int:
    """But for connections that stand: those of the other tests' sessions come and go."""
    return sum(not _is_connected(fd) for fd in os.listdir("/proc/self/fd"))


def _is_connected(fd: str) -> bool:
    try:
        if not os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
            return False
        with socket.socket(fileno=os.dup(int(fd))) as one:
            return one.family in (socket.AF_INET, socket.AF_INET6) and bool(one.getpeername())
    except OSError:  # it leads nowhere, or was closed just now
        return False


def test_a_dead_bootstrap_is_an_answer_and_costs_no_threads_and_no_descriptors() -> None:
    with session_to(f"127.0.0.1:{free_port()}") as session:
        empty = Metadata(None, (), (), 0.0)
        session.ask_metadata(budget_seconds=0.5)
        gc.collect()
        threads, files = threading.active_count(), open_files()
        for _ in range(50):
            answer = session.ask_end_offsets(Layout.of_topics({"t": [0]}), empty, budget_seconds=0.02)
            assert [(e.part, e.reason) for e in answer.errors] == [("connect", "refused")]
            assert not answer.column.numbers.known.any()
        assert session.ask_commits(["g"], budget_seconds=0.02).errors[0].part == "connect"
        assert session.ask_groups(empty, budget_seconds=0.02).value is None
        assert threading.active_count() <= threads

        def is_closed() -> bool:
            gc.collect()  # the library leaves the socket of a refused connection in a cycle
            return open_files() <= files + 1  # the connection being tried just now

        wait_for("what fifty refusals opened is closed", is_closed, seconds=20)
    assert not [t for t in threading.enumerate() if t.name.startswith("kafka-io")]


def test_a_name_that_does_not_resolve_is_said_so() -> None:
    with session_to("no-such-host.invalid:9092") as session:
        eventually(
            lambda: [e.reason for e in session.ask_metadata(budget_seconds=0.5).errors] == ["name not resolved"], 20
        )


def test_a_bootstrap_server_that_comes_up_later_is_found(kafka: KafkaCluster) -> None:
    host, port = kafka.bootstrap.split(",")[0].rsplit(":", 1)
    late = free_port()
    with session_to(f"127.0.0.1:{late}") as session:
        assert session.ask_metadata(budget_seconds=0.3).errors[0].part == "connect"
        with socket.create_server(("127.0.0.1", late)) as server:
            threading.Thread(target=forward, args=(server, (host, int(port))), daemon=True).start()
            metadata = eventually(lambda: session.ask_metadata(budget_seconds=1).value, 10)
    assert len(metadata.brokers) == 3


def forward(server: socket.socket, to: tuple[str, int]) -> None:
    def pump(source: socket.socket, sink: socket.socket) -> None:
        with source, sink:
            while data := source.recv(65536):
                sink.sendall(data)

    while True:
        try:
            came, _ = server.accept()
        except OSError:
            return
        there = socket.create_connection(to)
        for pair in ((came, there), (there, came)):
            threading.Thread(target=pump, args=(pair[0].dup(), pair[1].dup()), daemon=True).start()
        came.close()
        there.close()
