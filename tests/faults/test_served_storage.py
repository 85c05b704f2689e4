"""A running instance whose database is locked, full or deleted, or whose machine sleeps."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from collectors.demo.nodes import KafkaCluster
from tests.e2e.served import ROOT, Served, wait_for

from .conftest import sign_in_by_link
from .visitor import Visitor

pytestmark = pytest.mark.sqlite
PAGES = ("/", "/clusters/none/", "/clusters/none/groups/", "/alerts/", "/instance/", "/metrics")
Start = Callable[..., Served]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """An instance of its own, not started yet, whose cluster cannot be reached."""
    made = Served(tmp_path)
    try:
        yield made
    finally:
        made.stop()


def begin(served: Served, bootstrap: str = "127.0.0.1:1", interval: str = "1") -> Visitor:
    """Start it, with somebody signed in; returns when cycles come."""
    served.manage("migrate", "-v0")
    served.manage("addcluster", "None", "--slug", "none", "--interval", interval, "--bootstrap", bootstrap)
    served.start()
    served.wait_alive()
    visitor = sign_in_by_link(served, "ada")
    wait_for("the first cycles", lambda: served.last_cycle() > 2, seconds=60)
    return visitor


def readyz(served: Served) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"{served.base}/readyz", timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def troubles(served: Served) -> str:
    return " ".join(str(loop["trouble"]) for loop in readyz(served)[1]["late_loops"])


def taken(served: Served) -> list[float]:
    rows = served.rows("select taken_at from collectors_cycle order by number")
    return [datetime.fromisoformat(row[0]).timestamp() for row in rows]


def look_at_pages(served: Served, visitor: Visitor) -> float:
    """Every page answers; returns the slowest one's seconds."""
    slowest = 0.0
    for path in PAGES:
        began = time.monotonic()
        assert visitor.get(served.base + path).status == 200, path
        slowest = max(slowest, time.monotonic() - began)
    return slowest


def is_sound(served: Served) -> bool:
    return served.rows("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.long
def test_d1_a_database_locked_for_30_seconds_loses_no_sample_and_no_page(served: Served) -> None:
    visitor = begin(served)
    locker = sqlite3.connect(served.folder / "data" / "streamgauge.sqlite3", isolation_level=None, timeout=20)
    locker.execute("BEGIN IMMEDIATE")
    locked_at = time.time()
    before = served.last_cycle()
    seen = ""
    while time.time() - locked_at < 30:
        assert look_at_pages(served, visitor) < 2
        seen += troubles(served)
        time.sleep(1)
    assert "another process holds the database's lock" in seen
    assert "another process holds the database" in visitor.get(f"{served.base}/instance/").text
    assert served.last_cycle() <= before + 1
    locker.execute("ROLLBACK")
    locker.close()
    unlocked_at = time.time()
    wait_for("ready again", lambda: readyz(served)[0] == 200, seconds=20)
    times = taken(served)
    during = [at for at in times if locked_at < at < unlocked_at]
    assert len(during) > 10, "what was seen meanwhile is stored with its own times"
    assert max(b - a for a, b in itertools.pairwise(times)) < 5
    numbers = [row[0] for row in served.rows("select number from collectors_cycle order by number")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert "Traceback" not in served.log.read_text(errors="replace").split("Streamgauge listens", 1)[-1]
    assert is_sound(served)


FILL = """
import django; django.setup()
from datetime import timedelta
from django.db import OperationalError
from django.utils import timezone
from collectors.models import Cluster, Event
cluster, at, count = Cluster.objects.get(), timezone.now() - timedelta(days=200), 0
try:
    for size in (500, 50, 5, 1):
        try:
            while True:
                rows = [Event(cluster=cluster, at=at, kind="act", text="x" * 3000) for _ in range(size)]
                Event.objects.bulk_create(rows)
                count += size
        except OperationalError as error:
            assert "full" in str(error), error
finally:
    print(count)
"""
FORGET = "import django; django.setup(); from dashboard.tasks import forget_old_samples; forget_old_samples()"


@pytest.mark.long
def test_d3_a_full_disk_stops_no_page_and_retention_frees_space(served: Served) -> None:
    data = served.folder / "data"
    data.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "none", str(data)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a disk of a few megabytes cannot be mounted here: " + mounted.stderr.decode().strip())
    try:
        visitor = begin(served)
        assert (data / "reserve").stat().st_size > 4_000_000
        filled = int(script(served, FILL))
        assert filled > 1000
        wait_for("the fullness is said", lambda: "the disk of the database is full" in troubles(served), seconds=60)
        stuck = served.last_cycle()
        look_at_pages(served, visitor)
        assert "the disk of the database is full" in visitor.get(f"{served.base}/instance/").text
        assert served.last_cycle() == stuck
        script(served, FORGET)
        left = served.rows("select count(*) from collectors_event where kind = 'act'")
        assert left == [(0,)], "retention deleted what is old, on a full disk"
        wait_for("cycles are stored again", lambda: served.last_cycle() > stuck + 5, seconds=30)
        wait_for("ready again", lambda: readyz(served)[0] == 200, seconds=30)
        assert is_sound(served)
        times = taken(served)
        assert max(b - a for a, b in itertools.pairwise(times)) < 5, "nothing was lost"
    finally:
        served.stop()
        subprocess.run(["umount", "-l", str(data)], check=False)


def script(served: Served, text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=ROOT,
        env=served.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_d7_a_database_that_is_deleted_ends_the_process(served: Served) -> None:
    begin(served)
    for file in (served.folder / "data").glob("streamgauge.sqlite3*"):
        file.unlink()
    assert served.process is not None
    assert served.process.wait(20) == 70
    assert "the database file was deleted or replaced" in served.log.read_text()


@pytest.mark.long
@pytest.mark.kafka
def test_a_machine_that_sleeps_for_a_minute_wakes_up_with_one_gap_and_no_alert(
    served: Served, kafka: KafkaCluster
) -> None:
    visitor = begin(served, kafka.bootstrap, "2")
    wait_for("it is reached", lambda: served.rows("select 1 from collectors_cycle where is_reachable"), seconds=30)
    assert served.process is not None
    before = served.last_cycle()
    os.killpg(served.process.pid, signal.SIGSTOP)
    try:
        time.sleep(60)
    finally:
        os.killpg(served.process.pid, signal.SIGCONT)
    woke = time.time()
    wait_for("cycles come again", lambda: served.last_cycle() > before + 4, seconds=20)
    wait_for("ready again", lambda: readyz(served)[0] == 200, seconds=20)
    look_at_pages(served, visitor)
    gaps = [b - a for a, b in itertools.pairwise(taken(served))]
    assert len([gap for gap in gaps if gap > 10]) == 1, gaps
    assert 55 < max(gaps) < 75
    reached = served.rows("select is_reachable from collectors_cycle order by number desc limit 3")
    assert reached == [(1,)] * 3
    numbers = [row[0] for row in served.rows("select number from collectors_cycle order by number")]
    assert numbers == list(range(1, len(numbers) + 1))
    while time.time() < woke + 15:  # what the wake-up wrongly raises comes at once
        fired = served.rows("select count(*) from dashboard_transition where new_state = 'firing'")
        assert fired == [(0,)]
        time.sleep(1)
    assert "Traceback" not in served.log.read_text(errors="replace")
