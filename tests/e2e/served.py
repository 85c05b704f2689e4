"""A real `manage.py serve` in a process of its own, and a little life on the test's Kafka."""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from confluent_kafka import Consumer, Producer

from tests.servers import create_database, free_port

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")
JULIANDAY = """
CREATE FUNCTION julianday(timestamptz) RETURNS double precision LANGUAGE sql IMMUTABLE
AS 'SELECT extract(epoch FROM $1)::double precision / 86400 + 2440587.5'
"""
"""SQLite's function, so that a test's question is the same for both databases."""


def wait_for(what: str, look: Callable[[], T | None], *, seconds: float) -> T:
    """The first truthy answer of `look`; AssertionError naming `what` when none comes in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


class Served:
    """One instance with its own data folder and port; may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.log = folder / "serve.log"
        # a PostgreSQL of the whole test run: a database of one's own on it
        shared = os.environ.get("DATABASE_URL", "")
        self.database_url = create_database(shared, f"served_{uuid.uuid4().hex}") if shared else ""
        if self.database_url:
            self.change(JULIANDAY)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "STREAMGAUGE_DATA_DIR": str(self.folder / "data"),
            "STREAMGAUGE_ALLOWED_NETWORKS": "loopback",
            "DJANGO_SETTINGS_MODULE": "dashboard.settings",
        }
        if self.database_url:
            own["DATABASE_URL"] = self.database_url
        return {**os.environ, **own}

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def start(self, command: str = "serve") -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", command, "--port", str(self.port)],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def is_alive(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def wait_alive(self) -> None:
        wait_for("/healthz answers", self.is_alive, seconds=150)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows straight from the database, whatever the program believes; none where it has no tables yet."""
        try:
            if self.database_url:
                with psycopg.connect(self.database_url) as connection:
                    return connection.execute(sql.replace("?", "%s"), values).fetchall()
            file = self.folder / "data" / "streamgauge.sqlite3"
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as opened:
                return opened.execute(sql, values).fetchall()
        except (sqlite3.OperationalError, psycopg.errors.UndefinedTable):
            return []

    def change(self, sql: str, *values: Any) -> None:
        """Past the program, straight in the database."""
        if self.database_url:
            with psycopg.connect(self.database_url) as connection:
                connection.execute(sql.replace("?", "%s"), values)
            return
        with closing(sqlite3.connect(self.folder / "data" / "streamgauge.sqlite3", timeout=20)) as opened, opened:
            opened.execute(sql, values)

    def last_cycle(self) -> int:
        found = self.rows("select last_cycle from collectors_cluster")
        return int(found[0][0]) if found else 0


class Life:
    """A producer of some records a second and one consumer that can be told to hang."""

    def __init__(self, bootstrap: str, topic: str, group: str) -> None:
        self.bootstrap, self.topic, self.group = bootstrap, topic, group
        self.frozen = threading.Event()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._produce, self._consume)]

    def __enter__(self) -> Life:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)

    def _produce(self) -> None:
        quiet = logging.getLogger("tests.life")
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 100}, logger=quiet)
        number = 0
        while not self._stop.wait(0.1):
            for _ in range(3):
                number += 1
                producer.produce(self.topic, json.dumps({"n": number}).encode())
            producer.poll(0)
        producer.flush(5)

    def _consume(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": self.group,
                "client.id": f"{self.group}-1",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "max.poll.interval.ms": 600_000,
            },
            logger=logging.getLogger("tests.life"),
        )
        consumer.subscribe([self.topic])
        try:
            while not self._stop.is_set():
                if self.frozen.is_set():
                    self._stop.wait(0.2)
                    continue
                if consumer.consume(500, 1.0):
                    consumer.commit(asynchronous=True)
        finally:
            consumer.close()
