"""Kafka's nodes as child processes: they start, are found again, hang, fail with words, and always end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from django.conf import settings

from collectors.demo.nodes import KafkaCluster
from collectors.demo.processes import FolderInUseError, is_running, wait_until_gone
from collectors.demo.programs import HOST, KafkaFailedError
from tests.conftest import create_topic, produce

PREFERRED = 31_000 + os.getpid() % 500 * 2  # each run its own


@pytest.fixture
def one_node(tmp_path: Path) -> Iterator[KafkaCluster]:
    """A cluster of one node, not started yet; ended after the test."""
    with cluster_in(tmp_path) as cluster:
        yield cluster


def cluster_in(folder: Path, said: list[str] | None = None) -> KafkaCluster:
    return KafkaCluster(
        folder / "kafka",
        cache_dir=settings.CACHE_DIR,
        node_count=1,
        base_ports=[PREFERRED],
        say=(said if said is not None else []).append,
    )


def taken(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen()
    return listener


def ports_of(cluster: KafkaCluster) -> list[int]:
    stored = json.loads((cluster.data_dir / "cluster.json").read_text())
    return [port for node in stored["nodes"] for port in (node["port"], node["controller_port"])]


def end_offset(bootstrap: str, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "never-joined"})
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)[1])
    finally:
        consumer.close()


# -- without a process: plans and ports ------------------------------------------------------------------------


def test_taken_ports_are_stepped_over_and_the_free_ones_kept(tmp_path: Path) -> None:
    cluster = cluster_in(tmp_path)
    cluster.data_dir.mkdir(parents=True)
    cluster._plan()
    first, controller = ports_of(cluster)
    with taken(first):
        cluster._plan()
    moved, kept = ports_of(cluster)
    assert moved not in (first, controller)
    assert kept == controller
    again = cluster_in(tmp_path)
    again._plan()
    assert ports_of(again) == [moved, kept], "a second start listens where the first one did"
    assert again.cluster_id == cluster.cluster_id


def test_a_folder_of_another_version_is_refused_in_words(tmp_path: Path) -> None:
    cluster = cluster_in(tmp_path)
    cluster.data_dir.mkdir(parents=True)
    (cluster.data_dir / "cluster.json").write_text(json.dumps({"version": "3.9.0", "cluster_id": "x", "nodes": [{}]}))
    with pytest.raises(KafkaFailedError, match=r"holds 1 nodes of Kafka 3\.9\.0; .* Remove the folder to begin anew"):
        cluster._plan()


# -- one real node ---------------------------------------------------------------------------------------------


@pytest.mark.kafka
def test_a_second_start_keeps_the_records_though_its_port_was_taken(one_node: KafkaCluster) -> None:
    one_node.start()
    one_node.wait_ready()
    create_topic(one_node.bootstrap, "kept", replication=1)
    produce(one_node.bootstrap, "kept", [b"x"] * 10)
    before = one_node.bootstrap
    one_node.stop()
    assert one_node.pids == {}
    assert not one_node.pid_file.path.exists()
    with taken(int(before.rpartition(":")[2])):
        one_node.start()
        one_node.wait_ready()
        assert one_node.bootstrap != before
        assert end_offset(one_node.bootstrap, "kept") == 10
        with pytest.raises(FolderInUseError):
            cluster_in(one_node.data_dir.parent).start()
        one_node.stop()


@pytest.mark.kafka
def test_what_a_killed_command_left_is_ended_by_the_next_start(tmp_path: Path) -> None:
    command = command_for(tmp_path)
    left = [int(line.rpartition(" ")[2]) for line in (tmp_path / "kafka" / "pids").read_text().splitlines()]
    command.kill()
    command.wait(5)
    assert all(is_running(pid) for pid in left), "this test is about nodes that outlive their command"
    said: list[str] = []
    with cluster_in(tmp_path, said) as cluster:
        cluster.start()
        assert said == [f"Ended what an earlier run had left: node-1 (pid {left[0]})"]
        assert not is_running(left[0])
        cluster.wait_ready()


@pytest.mark.kafka
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_command_ends_its_node_also_when_that_hangs(tmp_path: Path, sign: signal.Signals) -> None:
    command = command_for(tmp_path)
    (pid,) = [int(line.rpartition(" ")[2]) for line in (tmp_path / "kafka" / "pids").read_text().splitlines()]
    subprocess.run(["kill", "-STOP", str(pid)], check=True)
    began = time.monotonic()
    command.send_signal(sign)
    command.wait(10)
    assert time.monotonic() - began < 10
    assert wait_until_gone([pid], seconds=0.5)


def command_for(folder: Path) -> subprocess.Popen[str]:
    """The room's own command with one node, started and ready."""
    command = subprocess.Popen(
        [
            *(sys.executable, "-m", "collectors.demo.nodes", "--nodes", "1", "--base-port", str(PREFERRED)),
            *("--data", str(folder / "kafka"), "--cache", str(settings.CACHE_DIR)),
        ],
        stdout=subprocess.PIPE,
        text=True,
        # a shell that starts this in the background leaves SIGINT ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert command.stdout is not None
    for line in command.stdout:
        if line.startswith("bootstrap "):
            return command
    raise AssertionError(f"the command ended with code {command.wait()}")


@pytest.mark.kafka
def test_a_node_that_does_not_start_says_why(one_node: KafkaCluster) -> None:
    one_node.start()
    one_node.stop()
    identity = one_node.data_dir / "node-1" / "meta.properties"
    identity.write_text(identity.read_text().replace("node.id=1", "node.id=7"))
    one_node.start()
    with pytest.raises(KafkaFailedError) as failed:
        one_node.wait_ready()
    assert "Kafka node 1 ended with code 1" in str(failed.value)
    assert "node id 7" in str(failed.value)
    assert str(one_node.log_file(1).parent) in str(failed.value)


@pytest.mark.kafka
def test_a_port_taken_between_look_and_bind_moves_the_node(
    one_node: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with taken(PREFERRED), monkeypatch.context() as blind:
        blind.setattr("collectors.demo.programs._can_bind", lambda port: True)
        one_node.start()
        assert ports_of(one_node)[0] == PREFERRED
        blind.undo()
        one_node.wait_ready()
        assert ports_of(one_node)[0] != PREFERRED


# -- three real nodes ------------------------------------------------------------------------------------------


@pytest.mark.kafka
def test_a_killed_node_comes_back_with_its_place(kafka: KafkaCluster) -> None:
    before = kafka.pids
    kafka.kill(2)
    try:
        assert sorted(kafka.pids) == [1, 3]
        assert kafka.pid_file.read().keys() == {"node-1", "node-3"}
        kafka.wait_ready(nodes=2)
        with pytest.raises(KafkaFailedError):
            kafka.wait_ready(seconds=0.5)
    finally:
        kafka.restart(2)
        kafka.wait_ready()
    assert kafka.pids[2] != before[2]
    assert (kafka.pids[1], kafka.pids[3]) == (before[1], before[3])


@pytest.mark.kafka
def test_a_node_hangs_and_goes_on(kafka: KafkaCluster) -> None:
    port = int(kafka.bootstrap.split(",")[2].rpartition(":")[2])
    kafka.pause(3)
    try:
        assert 3 in kafka.pids, "a node that hangs still runs"
        with socket.create_connection((HOST, port), timeout=5):
            pass  # the system accepts for it: this is what makes a hang worse than an end
    finally:
        kafka.resume(3)
    kafka.wait_ready()
