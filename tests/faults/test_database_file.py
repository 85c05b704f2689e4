"""The database as a file on a disk: many writers, kills, a growing log, damage, retention. Rows of 2.2, SQLite."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.sqlite, pytest.mark.slow]  # processes of their own
ROOT = Path(__file__).resolve().parents[2]
SETUP = "import django; django.setup()\n"


class Folder:
    """A data folder with a database of its own, used by processes of their own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "streamgauge.sqlite3"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "STREAMGAUGE_DATA_DIR": str(self.path),
            "DJANGO_SETTINGS_MODULE": "dashboard.settings",
            "PYTHONPATH": str(ROOT),
        }

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", SETUP + script, *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, *arguments: str) -> str:
        process = self.start(script, *arguments)
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return out

    def manage(self, *arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(self.database, timeout=20, isolation_level=None)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def is_sound(self) -> bool:
        return self.ask("PRAGMA integrity_check") == [("ok",)]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated database, made once."""
    folder = Folder(tmp_path_factory.mktemp("migrated"))
    assert folder.manage("migrate", "-v0").returncode == 0
    folder.ask("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder.path


@pytest.fixture
def folder(migrated: Path, tmp_path: Path) -> Folder:
    shutil.copytree(migrated, tmp_path / "data")
    return Folder(tmp_path / "data")


COUNTER = """
import sys
from django.db import transaction
from collectors.models import Lease
name, turns = "cluster:1", int(sys.argv[1])
for _ in range(turns):
    with transaction.atomic():  # reads, then writes what it read and one more
        row, _ = Lease.objects.get_or_create(name=name)
        Lease.objects.filter(name=name).update(epoch=row.epoch + 1)
"""


def test_d2_four_writers_lose_nothing(folder: Folder) -> None:
    turns = 150
    writers = [folder.start(COUNTER, str(turns)) for _ in range(4)]
    errors = [writer.communicate(timeout=110)[1] for writer in writers]
    assert errors == [""] * 4
    assert folder.ask("select epoch from collectors_lease") == [(4 * turns,)]


STORER = """
import os, signal, sys, time
from tests.faults.pretend import Clock, cycles, make_cluster, sampler_of, shop
from collectors.models import Cluster, Lease
for kill in range(int(sys.argv[1])):
    told, tell = os.pipe()
    child = os.fork()  # before the first connection: each child makes its own
    if not child:
        Lease.objects.update(holder="")
        kafka, clock = shop(), Clock()
        cluster = Cluster.objects.filter(slug="shop").first() or make_cluster()
        sampler = sampler_of(cluster, kafka, clock)
        os.write(tell, b"x")
        while True:
            cycles(sampler, clock, 1, kafka)
    os.close(tell)
    assert os.read(told, 1) == b"x", "the child died by itself"
    os.close(told)
    time.sleep(0.02 + kill % 20 * 0.007)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""
KILLS = 60


@pytest.mark.long
def test_d4_a_process_killed_while_it_stores_leaves_whole_cycles(folder: Folder) -> None:
    """Kills at times spread over a cycle's work; a process that was killed may leave its last cycle out, never half."""
    folder.run(STORER, str(KILLS))
    assert folder.is_sound()
    numbers = [row[0] for row in folder.ask("select number from collectors_cycle order by number")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > KILLS
    assert folder.ask("select last_cycle from collectors_cluster") == [(len(numbers),)]
    whole = folder.ask("select count(distinct cycle) from collectors_frame where kind in ('end', 'committed')")
    assert whole == [(len(numbers),)]


def test_d5_the_wal_that_a_long_reader_holds_is_shown_and_shrinks_afterwards(folder: Folder) -> None:
    wal = folder.database.with_name(folder.database.name + "-wal")
    holder = sqlite3.connect(folder.database, isolation_level=None)
    holder.execute("BEGIN")
    holder.execute("select count(*) from collectors_cycle").fetchone()
    grow = """
from tests.faults.pretend import Clock, cycles, make_cluster, sampler_of, shop
from dashboard.pages.instance import _database
from collectors import storage
import time
kafka, clock = shop(), Clock()
cycles(sampler_of(make_cluster(), kafka, clock), clock, 150, kafka)
began = time.monotonic()
storage.shrink_wal()
assert time.monotonic() - began < 1.5, "nobody waits for a reader"
print(_database()["size"])
"""
    size = int(folder.run(grow))
    grown = wal.stat().st_size
    assert grown > 4_000_000, "beyond the thousand pages at which it is otherwise written back"
    assert size >= grown, "the size shown holds the log too"
    holder.execute("COMMIT")
    holder.close()
    # the last connection that is left
    keeper = sqlite3.connect(folder.database)
    keeper.execute("select 1 from collectors_cycle").fetchone()
    folder.run("from collectors import storage\nstorage.shrink_wal()")
    assert not wal.exists() or wal.stat().st_size == 0
    keeper.close()


@pytest.mark.parametrize("how", ["the file", "the folder"])
def test_d6_a_database_that_cannot_be_written_is_refused_at_start(folder: Folder, how: str) -> None:
    with unwritable(folder, how):
        done = folder.manage("serve", "--port", "1")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert str(folder.database if how == "the file" else folder.path) in done.stderr
    assert "chown" in done.stderr or "writable" in done.stderr


class unwritable:  # noqa: N801 - reads as what it does
    """Takes the right to write: from everyone but root by the mode, from root by making it immutable."""

    def __init__(self, folder: Folder, how: str) -> None:
        self.target = folder.database if how == "the file" else folder.path
        self.mode = self.target.stat().st_mode

    def __enter__(self) -> None:
        self.target.chmod(self.mode & ~0o222)
        if os.geteuid() == 0 and subprocess.run(["chattr", "+i", str(self.target)], check=False).returncode:
            self.target.chmod(self.mode)
            pytest.skip("as root, on a file system without immutable files, everything can be written")

    def __exit__(self, *_: object) -> None:
        if os.geteuid() == 0:
            subprocess.run(["chattr", "-i", str(self.target)], check=False)
        self.target.chmod(self.mode)


LOOK = """
import json, re
from django.conf import settings
plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
from django.test import Client
from collectors.models import Cluster
from dashboard.access import people
from dashboard.models import Role
from django.db import DatabaseError
client = Client(raise_request_exception=False, SERVER_NAME="localhost")
try:
    client.force_login(people.add("ada", Role.ADMIN))
except DatabaseError as error:
    print(json.dumps({"signin": str(error)}))
    raise SystemExit
out = {}
for path in ("/", "/clusters/demo/", "/clusters/demo/groups/", "/clusters/demo/topics/", "/clusters/demo/brokers/",
             "/clusters/demo/events/", "/clusters/demo/groups/shipping/", "/alerts/", "/instance/", "/metrics",
             "/readyz", "/clusters/demo/series/?subject=g&name=shipping&what=lag&from=now-1h&to=now"):
    answer = client.get(path)
    text = answer.content.decode()
    lags = sorted(set(re.findall(r'data-f="lag"[^>]*data-value="([^"]*)"', text)))
    out[path] = [answer.status_code, "Traceback" in text, lags]
print(json.dumps(out))
"""


@pytest.mark.long
def test_d8_a_corrupt_database_is_named_and_no_page_makes_things_up(folder: Folder) -> None:
    folder.run("from tests.pages.seed import Company, make_company\nmake_company(Company(cycles=60))")
    folder.ask("PRAGMA wal_checkpoint(TRUNCATE)")
    sound = json.loads(folder.run(LOOK))
    assert {status for status, *_ in sound.values()} <= {200}, sound
    folder.ask("delete from dashboard_person")
    folder.ask("delete from auth_user")
    folder.ask("PRAGMA wal_checkpoint(TRUNCATE)")
    pristine = folder.database.read_bytes()
    size = len(pristine)
    damaged_seen = 0
    for place in range(3):
        at = (size * (2 * place + 2) // 8) // 4096 * 4096
        folder.database.write_bytes(pristine[:at] + b"\xa5" * 16384 + pristine[at + 16384 :])
        for extra in ("-wal", "-shm"):
            folder.database.with_name(folder.database.name + extra).unlink(missing_ok=True)
        found = json.loads(folder.run(LOOK))
        for path, what in found.items():
            if path == "signin":
                continue
            status, has_traceback, lags = what
            assert status in (200, 503, 404), (place, path, status)
            assert not has_traceback
            assert status != 200 or set(lags) <= {*sound[path][2], ""}, (place, path, lags, sound[path][2])
        done = folder.manage("doctor")
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        damaged_seen += bool(re.search("damaged", done.stdout)) and done.returncode == 1
    assert damaged_seen == 3, "the doctor names the damage wherever it lies"


def test_d13_a_migration_that_is_killed_is_finished_by_the_next_start(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data")
    kills = 0
    for patience in (0.02, 0.1, 0.25):
        process = subprocess.Popen(
            [sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=folder.environment, stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + 60
        while not folder.database.exists() or not folder.database.stat().st_size:
            assert time.monotonic() < deadline
            if process.poll() is not None:
                break
            time.sleep(0.005)
        time.sleep(patience)
        if process.poll() is None:
            process.kill()
            kills += 1
        process.communicate(timeout=10)
    assert kills, "every migration was done before it could be killed"
    done = folder.manage("migrate", "-v0")
    assert done.returncode == 0, done.stderr
    assert folder.is_sound()
    assert folder.manage("migrate", "--check", "-v0").returncode == 0


FILL = """
from tests.pages.seed import Company, make_company
import time
topics = {f"t{n}": (8, 5.0) for n in range(40)}
make_company(Company(cycles=400, topics=topics, groups={"g": ("t0",)}), now=time.time() - 30 * 86400)
from collectors.models import Frame, Cycle
from django.db.models import F
rows = list(Frame.objects.all())
top = max(row.cycle for row in rows)
for copy in range(1, 12):
    for row in rows:
        row.pk, row.cycle, row.key_cycle = None, row.cycle + top, row.key_cycle + top
    Frame.objects.bulk_create(rows, batch_size=2000)
print(Frame.objects.count())
"""
FORGET = """
import time
from collectors.history import keep
from collectors import storage
began = time.monotonic()
deleted = keep.forget_old(now=time.time())
storage.shrink_wal()
print(deleted, time.monotonic() - began)
"""
LONGEST_WAIT_SECONDS = 0.2


def test_d15_retention_never_holds_the_writer_for_long(folder: Folder) -> None:
    assert int(folder.run(FILL)) > 20_000
    waits: list[float] = []
    stop = threading.Event()

    def write() -> None:
        connection = sqlite3.connect(folder.database, timeout=20, isolation_level=None)
        while not stop.is_set():
            began = time.monotonic()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("update collectors_cluster set name = name")
            connection.execute("COMMIT")
            waits.append(time.monotonic() - began)
            time.sleep(0.01)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        deleted, _seconds = folder.run(FORGET).split()
    finally:
        stop.set()
        writer.join(30)
    assert int(deleted) > 20_000
    waits.sort()
    assert waits[int(len(waits) * 0.99)] < LONGEST_WAIT_SECONDS
    assert waits[-1] < 5 * LONGEST_WAIT_SECONDS, "shared machine: a single one may wait for a processor"
    assert folder.is_sound()
