"""Other lag exporters beside us on the same cluster, where their binaries are given by the environment.

KMINION and KAFKA_EXPORTER are paths of the binaries (github.com/redpanda-data/kminion, danielqsj/kafka_exporter);
BURROW is one of linkedin/Burrow, which also needs a ZooKeeper, at BURROW_ZOOKEEPER (host:port).
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.servers import free_port

from .lines import Line, line
from .proc import Meter, resident_bytes
from .stages import Stage

WARM_SECONDS = 15.0
MEASURED_SECONDS = 60.0
READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Peer:
    """How to start one on a port, and which address answers with lag. `goal`: our share of its CPU at most."""

    title: str
    variable: str
    command: Callable[[str, list[str], int, Path], list[str]]
    environment: Callable[[list[str], int], dict[str, str]]
    path: str
    needle: bytes  # stands in an answer that has lag
    goal: float | None = None


def _kminion(binary: str, brokers: list[str], port: int, folder: Path) -> list[str]:
    return [binary]


def _kminion_environment(brokers: list[str], port: int) -> dict[str, str]:
    return {
        "KAFKA_BROKERS": ",".join(brokers),
        "EXPORTER_HOST": "127.0.0.1",
        "EXPORTER_PORT": str(port),
        "MINION_CONSUMERGROUPS_SCRAPEMODE": "adminApi",
        "MINION_CONSUMERGROUPS_GRANULARITY": "partition",
        "LOGGER_LEVEL": "error",
    }


def _kafka_exporter(binary: str, brokers: list[str], port: int, folder: Path) -> list[str]:
    return [binary, *(f"--kafka.server={one}" for one in brokers), f"--web.listen-address=127.0.0.1:{port}"]


def _burrow(binary: str, brokers: list[str], port: int, folder: Path) -> list[str]:
    servers = ", ".join(f'"{one}"' for one in brokers)
    zookeeper = os.environ.get("BURROW_ZOOKEEPER", "127.0.0.1:2181")
    (folder / "burrow.toml").write_text(
        f'[general]\npidfile="{folder}/burrow.pid"\n'
        f'[logging]\nfilename="{folder}/burrow.log"\nlevel="warn"\n'
        f'[zookeeper]\nservers=["{zookeeper}"]\n'
        f'[client-profile.bench]\nclient-id="burrow"\nkafka-version="2.1.0"\n'
        f'[httpserver.default]\naddress="127.0.0.1:{port}"\n'
        f'[cluster.bench]\nclass-name="kafka"\nservers=[{servers}]\nclient-profile="bench"\n'
        f"topic-refresh=60\noffset-refresh=5\n"
        f'[consumer.bench]\nclass-name="kafka"\ncluster="bench"\nservers=[{servers}]\nclient-profile="bench"\n'
    )
    return [binary, f"--config-dir={folder}"]


PEERS = (
    Peer("KMinion", "KMINION", _kminion, _kminion_environment, "/metrics", b"kminion_kafka_consumer_group", goal=0.5),
    Peer("kafka_exporter", "KAFKA_EXPORTER", _kafka_exporter, lambda b, p: {}, "/metrics", b"kafka_consumergroup_lag{"),
    Peer("Burrow", "BURROW", _burrow, lambda b, p: {}, "/v3/kafka/bench/consumer", b'"consumers":["'),
)


def peer_lines(stage: Stage, interval: float, ours: float) -> list[Line]:
    """Each peer scraped at our interval; `ours` are our CPU seconds a minute on the same cluster."""
    lines = []
    for peer in PEERS:
        binary = os.environ.get(peer.variable, "")
        goal = f"ours <= {peer.goal:g} of {peer.title}'s" if peer.goal else None
        if not binary:
            absent = f"not measured: {peer.variable} names no binary"
            lines.append(line(f"{stage.title}: CPU of serve against {peer.title}", None, absent, goal=goal))
            continue
        lines += _measured(stage, peer, binary, interval, ours, goal)
    return lines


def _measured(stage: Stage, peer: Peer, binary: str, interval: float, ours: float, goal: str | None) -> list[Line]:
    with _running(stage, peer, binary) as (process, address):
        own, brokers = Meter.of([process.pid]), Meter.of(stage.broker_pids)
        taken, size, until = [], 0, time.monotonic() + MEASURED_SECONDS
        while time.monotonic() < until:
            began = time.monotonic()
            size = len(_get(address))
            taken.append((time.monotonic() - began) * 1e3)
            time.sleep(max(0.0, interval - (time.monotonic() - began)))
        theirs, paid, memory = own.cpu_a_minute(), brokers.cpu_a_minute(), resident_bytes(process.pid) / 1e6
    met = None if peer.goal is None else ours <= peer.goal * theirs
    at = stage.title
    return [
        line(f"{at}: CPU of serve against {peer.title}, each every {interval:g} s", ours, "s a minute",
             baseline=theirs, goal=goal, met=met),
        line(f"{at}: a scrape of {peer.title}, median ({size / 1e6:.2f} MB)", statistics.median(taken), "ms"),
        line(f"{at}: memory of {peer.title}", memory, "MB"),
        line(f"{at}: CPU of the three brokers under {peer.title}", paid, "s a minute"),
    ]  # fmt: skip


@contextlib.contextmanager
def _running(stage: Stage, peer: Peer, binary: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port, brokers = free_port(), stage.nodes.bootstrap.split(",")
    address = f"http://127.0.0.1:{port}{peer.path}"
    with tempfile.TemporaryDirectory() as name, (Path(name) / "output").open("wb") as output:
        process = subprocess.Popen(
            peer.command(binary, brokers, port, Path(name)),
            env={**os.environ, **peer.environment(brokers, port)},
            stdout=output,
            stderr=output,
        )
        try:
            deadline = time.monotonic() + READY_SECONDS
            while peer.needle not in _get(address):
                if process.poll() is not None or time.monotonic() > deadline:
                    said = (Path(name) / "output").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"{peer.title} shows no lag: {said}")
                time.sleep(1)
            time.sleep(WARM_SECONDS)
            yield process, address
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def _get(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            body: bytes = answer.read()
            return body
    except OSError:
        return b""
