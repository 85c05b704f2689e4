"""A running Streamgauge, traffic on the real Kafka that can be frozen, and a browser that notes what goes wrong."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition
from playwright.sync_api import ConsoleMessage, Page, Request, WebSocket

ROOT = Path(__file__).resolve().parents[2]


def wait_for(what: str, condition: Callable[[], Any], *, seconds: float = 30.0) -> Any:
    """The first true answer of `condition`; AssertionError naming `what` when none comes in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s: {what}")


class Program:
    """`manage.py serve` in a process of its own, on a port of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = data_dir / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("STREAMGAUGE_", "DJANGO_"))},
            "STREAMGAUGE_DATA_DIR": str(data_dir),
            "DJANGO_SETTINGS_MODULE": "dashboard.settings",
        }
        for name in ("DATABASE_URL", "REDIS_URL"):
            self._environment.pop(name, None)

    def manage(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=self._environment, capture_output=True, check=False
        )
        if done.returncode:
            raise AssertionError(f"manage.py {words[0]} failed: {done.stderr.decode()[-2000:]}")
        return done.stdout.decode().strip()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve", "--port", str(self.port)],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        # the first start in a new folder compresses the static files, which takes a while on a busy machine
        wait_for(f"serve answers; its log is {self.log}", self._is_up, seconds=180)

    def _is_up(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"serve ended: {self.log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"{self.address}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """As a crash does it: no goodbye to anybody."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()

    def sql(self, statement: str, *values: object) -> list[Any]:
        """A look, or a change, in the program's own database."""
        with sqlite3.connect(self.data_dir / "streamgauge.sqlite3", timeout=20) as database:
            return database.execute(statement, values).fetchall()


class Traffic:
    """Records written all the time, and a group that reads them until it is frozen: it stays a member, and stands."""

    def __init__(self, bootstrap: str, topic: str, group: str) -> None:
        self.bootstrap, self.topic, self.group = bootstrap, topic, group
        self.frozen, self.stopping = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._write, self._read)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join(10)

    def _write(self) -> None:
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5})
        while not self.stopping.wait(0.05):
            producer.produce(self.topic, b"x" * 100)
            producer.poll(0)
        producer.flush(5)

    def _read(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": self.group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "session.timeout.ms": 10_000,
            }
        )
        consumer.subscribe([self.topic])
        while not self.stopping.is_set():
            if self.frozen.is_set():
                self.stopping.wait(0.1)
                continue
            records = consumer.consume(100, 0.3)
            newest: dict[int, int] = {}
            for record in records:
                if record.error() is None:
                    newest[record.partition()] = record.offset() + 1
            if newest:
                offsets = [TopicPartition(self.topic, partition, offset) for partition, offset in newest.items()]
                consumer.commit(offsets=offsets, asynchronous=False)
        consumer.close()


@dataclass
class Notes:
    """What a page's browser saw: complaints, and the frames of its live sockets."""

    complaints: list[str] = field(default_factory=list)
    frames: list[dict[str, Any]] = field(default_factory=list)
    sockets: int = 0
    documents: int = 0
    is_away: bool = False  # the server is down on purpose: failed requests are no complaint

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        page.on("websocket", self._socket)
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not self.is_away:
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _socket(self, socket: WebSocket) -> None:
        self.sockets += 1
        socket.on("framereceived", lambda data: self.frames.append(orjson.loads(data)))

    def _request(self, request: Request) -> None:
        self.documents += request.is_navigation_request()

    def alerts(self) -> list[tuple[int, str]]:
        """(alert, state) of each alert event, in the order in which they came."""
        return [
            (item["id"], item["state"])
            for frame in self.frames
            if frame["t"] == "events"
            for item in frame["items"]
            if item["type"] == "alert"
        ]
