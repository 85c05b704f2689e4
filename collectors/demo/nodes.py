"""A real Apache Kafka on this machine: KRaft nodes on loopback as child processes, for the demo and for tests."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from . import jars
from .processes import PidFile, is_running, only_user_of, send, wait_until_gone
from .programs import (
    CLUSTER_PROPERTIES,
    HOST,
    KafkaFailedError,
    bootstrap_checkpoint,
    class_path,
    free_port,
    java,
    log_flag,
    random_id,
    replication,
    write_properties,
)

FIRST_PORT = 19092
PORT_STEP = 100  # node 1 prefers 19092 and 19093, node 2 19192 and 19193, ...
JVM_FLAGS = (
    "-Xms64m",
    "-Xmx320m",
    "-XX:+UseSerialGC",
    "-XX:MaxDirectMemorySize=96m",
    "-XX:ReservedCodeCacheSize=64m",
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
    "-XX:-UsePerfData",  # its file lies in the system's temporary folder, and stays there after a kill
)


@dataclass(slots=True)
class NodePlan:
    """What a second start must find again: who the node is and where it listens."""

    node_id: int
    port: int
    controller_port: int
    directory_id: str


class KafkaCluster:
    """`node_count` combined KRaft nodes (ids 1, 2, ...) with all their files under `data_dir`.

    Ports and ids are kept in the folder, so that a second start finds the same data; a taken port is stepped over.
    One living instance per folder. Node ids are what `kill`, `pause`, `resume` and `restart` take.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        cache_dir: Path | None = None,
        node_count: int = 3,
        base_ports: Sequence[int] | None = None,
        version: str = jars.KAFKA_VERSION,
        say: jars.Say = print,
    ) -> None:
        self.version = version
        self.data_dir = data_dir.absolute()
        self.cache_dir = cache_dir or jars.default_cache_dir()
        self.node_count = node_count
        self.base_ports = base_ports
        self.say = say
        self.pid_file = PidFile(self.data_dir / "pids", marker=self.marker)
        self.cluster_id = ""
        self._plans: dict[int, NodePlan] = {}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._held = contextlib.ExitStack()
        self._is_known = False  # whether somebody may use `bootstrap` already

    @property
    def marker(self) -> str:
        """What a process started for this folder carries in its command line."""
        return f"-Dstreamgauge.folder={self.data_dir}"

    @property
    def bootstrap(self) -> str:
        return ",".join(f"{HOST}:{plan.port}" for plan in self._plans.values())

    @property
    def node_ids(self) -> list[int]:
        return list(self._plans)

    @property
    def pids(self) -> dict[int, int]:
        """Process ids of the nodes that run (paused ones too)."""
        return {node: process.pid for node, process in self._processes.items() if process.poll() is None}

    def log_file(self, node: int) -> Path:
        return self.data_dir / "logs" / f"node-{node}" / "server.log"

    # -- start -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start all nodes without waiting for them; what an earlier, killed run left in this folder is ended first."""
        jars.fetch_missing(self.cache_dir, jars.broker_jars(self.version), version=self.version, say=self.say)
        self._held.enter_context(only_user_of(self.data_dir))
        try:
            left = self.pid_file.end_left_over()
            if left:
                self.say(f"Ended what an earlier run had left: {', '.join(f'{n} (pid {p})' for n, p in left.items())}")
            self._is_known = False
            self._plan()
            self._format()
            for node in self._plans:
                self._spawn(node)
        except BaseException:
            self.stop()
            raise

    def _plan(self) -> None:
        """Who the nodes are: as the folder says, or new; ports are chosen anew where they are taken."""
        path = self.data_dir / "cluster.json"
        known: dict[int, NodePlan] = {}
        if path.exists():
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["version"] != self.version or len(stored["nodes"]) != self.node_count:
                raise KafkaFailedError(
                    f"{self.data_dir} holds {len(stored['nodes'])} nodes of Kafka {stored['version']}; "
                    f"{self.node_count} of {self.version} were asked for. Remove the folder to begin anew."
                )
            self.cluster_id = stored["cluster_id"]
            known = {plan["node_id"]: NodePlan(**plan) for plan in stored["nodes"]}
        else:
            self.cluster_id = random_id()
        # Remembered ports belong to their nodes: one that has to move must not take its neighbour's.
        remembered = {port for plan in known.values() for port in (plan.port, plan.controller_port)}
        taken: set[int] = set()
        self._plans = {}
        for index in range(self.node_count):
            node = index + 1
            plan = known.get(node)
            preferred = self.base_ports[index] if self.base_ports else FIRST_PORT + PORT_STEP * index
            port = free_port(plan.port if plan else preferred, taken, remembered)
            controller_port = free_port(plan.controller_port if plan else port + 1, taken, remembered)
            directory_id = plan.directory_id if plan else random_id()
            self._plans[node] = NodePlan(node, port, controller_port, directory_id)
        stored = {
            "version": self.version,
            "cluster_id": self.cluster_id,
            "nodes": [asdict(plan) for plan in self._plans.values()],
        }
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(stored, indent=1), encoding="utf-8")
        os.replace(fresh, path)

    def _format(self) -> None:
        """Write the nodes' properties, and give new ones their storage."""
        for plan in self._plans.values():
            path = self._properties_file(plan.node_id)
            write_properties(path, self._properties(plan))
            folder = self.data_dir / f"node-{plan.node_id}"
            if not (folder / "meta.properties").exists():
                self._make_storage(plan, folder, path)

    def _properties_file(self, node: int) -> Path:
        return self.data_dir / f"node-{node}.properties"

    def _properties(self, plan: NodePlan) -> dict[str, str]:
        return {
            **CLUSTER_PROPERTIES,
            **replication(self.node_count),
            "node.id": str(plan.node_id),
            "broker.rack": f"rack-{plan.node_id}",
            "controller.quorum.voters": ",".join(
                f"{one.node_id}@{HOST}:{one.controller_port}" for one in self._plans.values()
            ),
            "listeners": f"PLAINTEXT://{HOST}:{plan.port},CONTROLLER://{HOST}:{plan.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{plan.port}",
            "log.dirs": str(self.data_dir / f"node-{plan.node_id}"),
        }

    def _make_storage(self, plan: NodePlan, folder: Path, properties: Path) -> None:
        """The files that StorageTool would write, without starting three JVMs (2 s)."""
        checkpoint = bootstrap_checkpoint(self.cache_dir, self.version, say=self.say)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(checkpoint, folder / "bootstrap.checkpoint")
        (folder / "meta.properties").write_text(
            f"version=1\ncluster.id={self.cluster_id}\nnode.id={plan.node_id}\ndirectory.id={plan.directory_id}\n",
            encoding="ascii",
        )

    def _java_flags(self) -> Sequence[str]:
        """Flags of the JVM beside those that every node has."""
        return ()

    def _spawn(self, node: int) -> None:
        logs = self.log_file(node).parent
        logs.mkdir(parents=True, exist_ok=True)
        # Both begin anew with each start: what is quoted when a node fails must be of this start.
        self.log_file(node).unlink(missing_ok=True)
        # The compression libraries unpack themselves there and tidy up only when the end is a polite one.
        scratch = self.data_dir / "scratch" / f"node-{node}"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        with (logs / "console.log").open("wb") as console:
            process = subprocess.Popen(
                [
                    java(),
                    *JVM_FLAGS,
                    *self._java_flags(),
                    log_flag(self.version),
                    f"-Dkafka.logs.dir={logs}",
                    f"-Djava.io.tmpdir={scratch}",
                    self.marker,
                    "-cp",
                    class_path(self.cache_dir, jars.broker_jars(self.version), self.version),
                    "kafka.Kafka",
                    str(self._properties_file(node)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                cwd=self.data_dir,
                start_new_session=True,  # Ctrl-C in the terminal is for the parent; it ends the nodes in order
            )
        self._processes[node] = process
        self.pid_file.add(f"node-{node}", process.pid)

    def wait_ready(self, *, seconds: float = 90.0, nodes: int | None = None) -> float:
        """Wait until Metadata names `nodes` brokers (default: all, each by its own answer); returns seconds.

        A node that ends meanwhile is told at once with the lines of its log that say why. When the reason is a port
        that another process took between our look and the node's bind, ports are chosen anew, once and only as long
        as nobody was told where the nodes listen.
        """
        wanted = nodes or self.node_count
        began = time.monotonic()
        while True:
            try:
                self._wait_for_brokers(wanted, began + seconds)
            except _PortTakenError as taken:
                if self._is_known:
                    raise KafkaFailedError(str(taken)) from None
                self._is_known = True
                self.say("A port was taken meanwhile; starting Kafka again on others")
                self._end_processes()
                self._plan()
                self._format()
                for node in self._plans:
                    self._spawn(node)
            else:
                self._is_known = True
                return time.monotonic() - began

    def _wait_for_brokers(self, wanted: int, deadline: float) -> None:
        self._wait_for_metadata(self.bootstrap, wanted, deadline)
        if wanted == self.node_count:
            # For some seconds others still name a node that was killed: one that was started again has to answer
            # for itself. A fresh client knows nobody but the one it is given.
            for plan in self._plans.values():
                self._wait_for_metadata(f"{HOST}:{plan.port}", wanted, deadline)

    def _wait_for_metadata(self, bootstrap: str, wanted: int, deadline: float) -> None:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        settings: dict[str, str | int | float | bool] = {
            "bootstrap.servers": bootstrap,
            "reconnect.backoff.ms": 100,
            "reconnect.backoff.max.ms": 300,
            "log_level": 0,
        }
        admin = AdminClient(settings, logger=_silent())
        seen: list[int] = []
        while True:
            self._raise_if_one_ended()
            # A node that is told to listen answers connections long before it is a broker.
            with contextlib.suppress(KafkaException):
                seen = sorted(admin.list_topics(timeout=1.0).brokers)
                if len(seen) >= wanted:
                    return
            if time.monotonic() > deadline:
                missing = [node for node in self._plans if node not in seen] or list(self._plans)
                raise KafkaFailedError(
                    f"Kafka is not ready: {len(seen)} of {wanted} nodes are up.\n"
                    + "\n".join(self._why(node) for node in missing)
                )
            time.sleep(0.1)

    def _raise_if_one_ended(self) -> None:
        for node, process in self._processes.items():
            if process.poll() is not None:
                reason = self._why(node)
                if "Address already in use" in reason or "Address in use" in reason:
                    raise _PortTakenError(reason)
                raise KafkaFailedError(reason)

    def _why(self, node: int) -> str:
        """The lines of a node's logs that tell why it failed."""
        process = self._processes.get(node)
        code = process.poll() if process else None
        state = "still runs" if process and code is None else f"ended with code {code}"
        folder = self.log_file(node).parent
        lines: list[str] = []
        for name in ("server.log", "console.log"):
            with contextlib.suppress(FileNotFoundError):
                lines += (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
        told = [line for line in lines if _tells_why(line)] or lines
        quoted = "\n".join(f"    {line[:300]}" for line in told[:12]) or "    (the log is empty)"
        return f"Kafka node {node} {state}; its log ({folder}) says:\n{quoted}"

    # -- trouble on purpose ------------------------------------------------------------------------------------

    def kill(self, node: int) -> None:
        """SIGKILL: the node is gone without a word, and `wait_ready` does not take that for a failure."""
        process = self._processes.pop(node)
        send(process.pid, signal.SIGKILL)
        process.wait(10)
        self.pid_file.remove(f"node-{node}")

    def pause(self, node: int) -> None:
        """SIGSTOP: the node hangs with its connections open."""
        send(self._processes[node].pid, signal.SIGSTOP)

    def resume(self, node: int) -> None:
        send(self._processes[node].pid, signal.SIGCONT)

    def restart(self, node: int) -> None:
        """Start a node again with the same ports and data, ending it first if it runs; `wait_ready` waits for it."""
        process = self._processes.get(node)
        if process is not None and process.poll() is None:
            send(process.pid, signal.SIGCONT)
            send(process.pid, signal.SIGTERM)
            if not wait_until_gone([process.pid], seconds=6.0):
                send(process.pid, signal.SIGKILL)
            process.wait(10)
        self._spawn(node)

    # -- stop --------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End all nodes within about four seconds, also those that hang, and let go of the folder."""
        self._end_processes()
        self._held.close()

    def _end_processes(self) -> None:
        running = [process for process in self._processes.values() if process.poll() is None]
        for process in running:
            send(process.pid, signal.SIGCONT)  # a stopped process takes no SIGTERM
        # All at once: each takes leave while there is a quorum, and the next start need not wait until the session of
        # one that did not has run out (ready in 7 to 11 s instead of 18 s). The last one to go is left without a
        # quorum, waits for it in vain and is killed.
        for process in running:
            send(process.pid, signal.SIGTERM)
        wait_until_gone([process.pid for process in running], seconds=3.0)
        for process in running:
            if process.poll() is None:
                send(process.pid, signal.SIGKILL)
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(3)
        for node, process in self._processes.items():
            if process.poll() is not None:
                self.pid_file.remove(f"node-{node}")
        self._processes.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _PortTakenError(KafkaFailedError):
    pass


def _tells_why(line: str) -> bool:
    return any(
        word in line for word in ("ERROR", "FATAL", "Exception", "Error occurred", "Caused by:")
    ) and not line.lstrip().startswith("at ")


def _silent() -> logging.Logger:
    logger = logging.getLogger("collectors.demo.librdkafka")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m collectors.demo.nodes", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder for data, logs and pids")
    parser.add_argument("--cache", type=Path, default=None, help="folder of the jars (STREAMGAUGE_CACHE_DIR, .cache)")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--base-port", type=int, default=FIRST_PORT)
    options = parser.parse_args()
    ports = [options.base_port + PORT_STEP * index for index in range(options.nodes)]
    for wanted in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wanted, lambda *_: sys.exit(0))
    with KafkaCluster(options.data, cache_dir=options.cache, node_count=options.nodes, base_ports=ports) as cluster:
        cluster.start()
        took = cluster.wait_ready()
        print(f"ready in {took:.1f} s")
        print(f"bootstrap {cluster.bootstrap}", flush=True)
        while all(is_running(pid) for pid in cluster.pids.values()):
            time.sleep(1.0)


if __name__ == "__main__":
    main()
