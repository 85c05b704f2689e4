"""Databases that former versions left are upgraded with all they hold; a newer one is refused."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import subprocess
import sys
import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.servers import create_database

pytestmark = pytest.mark.slow
HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.slow  # commands in processes of their own
ROOT = HERE.parents[1]
KEY = "upgrade-tests-1f6d8a"
FUTURE = "INSERT INTO django_migrations (app, name, applied) VALUES ('collectors', '9999_future', '2099-01-01')"
DUMPS = sorted(path.name.removesuffix(".json") for path in HERE.glob("*.json"))
SHARED = os.environ.get("DATABASE_URL", "")
"""Set when all tests run on PostgreSQL: then it is its dumps that are upgraded."""


@dataclass(frozen=True)
class Instance:
    """A data folder and its database; commands run in processes of their own, as people run them."""

    folder: Path
    database_url: str

    @property
    def file(self) -> Path:
        return self.folder / "streamgauge.sqlite3"

    @property
    def environment(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("STREAMGAUGE_")}
        plain.pop("DATABASE_URL", None)
        own = {"STREAMGAUGE_DATA_DIR": str(self.folder), "STREAMGAUGE_SECRET_KEY": KEY}
        if self.database_url:
            own["DATABASE_URL"] = self.database_url
        return {**plain, **own, "DJANGO_SETTINGS_MODULE": "dashboard.settings"}

    def run(self, *arguments: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, "STREAMGAUGE_SECRET_KEY": key}
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def manage(self, *arguments: str) -> str:
        done = self.run("manage.py", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *arguments: str) -> str:
        """What a command says that does not do what it was asked, without a traceback."""
        done = self.run("manage.py", *arguments)
        assert done.returncode in (1, 2), done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done.stderr

    def facts(self) -> object:
        done = self.run("-m", "tests.upgrade.facts")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def sql(self, text: str) -> None:
        if self.database_url:
            with psycopg.connect(self.database_url, autocommit=True) as connection:
                connection.execute(text)
        else:
            with closing(sqlite3.connect(self.file)) as opened:
                opened.executescript(text)

    def query(self, text: str) -> list[tuple[Any, ...]]:
        if self.database_url:
            with psycopg.connect(self.database_url) as connection:
                return connection.execute(text).fetchall()
        with closing(sqlite3.connect(self.file)) as opened:
            return opened.execute(text).fetchall()


def made_from(dump: str, folder: Path) -> Instance:
    url = create_database(SHARED, f"upgrade_{uuid.uuid4().hex}") if SHARED else ""
    instance = Instance(folder, url)
    folder.mkdir(exist_ok=True)
    kind = "postgres" if url else "sqlite"
    instance.sql(gzip.decompress((HERE / f"{dump}.{kind}.sql.gz").read_bytes()).decode())
    return instance


def remembered(dump: str) -> object:
    """What the dump was made with; that of issue 3 had no minutes rolled up."""
    return {"rolled": {}, **json.loads((HERE / f"{dump}.json").read_text())}


@pytest.fixture
def old(tmp_path: Path) -> Instance:
    """The newest dump, not upgraded yet."""
    return made_from(DUMPS[-1], tmp_path / "data")


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    """The newest dump, upgraded; not to be written."""
    instance = made_from(DUMPS[-1], tmp_path_factory.mktemp("upgraded") / "data")
    instance.manage("upgrade")
    return instance


def test_each_dump_is_there_for_both_databases() -> None:
    assert DUMPS
    for dump in DUMPS:
        assert (HERE / f"{dump}.sqlite.sql.gz").exists()
        assert (HERE / f"{dump}.postgres.sql.gz").exists()


@pytest.mark.parametrize("dump", DUMPS)
def test_a_database_of_a_former_version_keeps_all_it_held(dump: str, tmp_path: Path) -> None:
    instance = made_from(dump, tmp_path / "data")
    instance.manage("upgrade")
    assert instance.facts() == remembered(dump)
    assert instance.manage("upgrade") == "", "a second time there is nothing to do"


@pytest.mark.skipif(bool(SHARED), reason="PostgreSQL has no file to copy; the README says pg_dump")
def test_a_sqlite_file_is_copied_before_it_is_upgraded(old: Instance) -> None:
    with closing(sqlite3.connect(old.file)) as opened:
        opened.execute("DELETE FROM django_migrations WHERE app = 'dashboard'")
        opened.commit()
        before = opened.execute("SELECT count(*) FROM django_migrations").fetchone()
    # as if dashboard's tables had still to be made: the upgrade fails half-way, and the copy is there
    done = old.run("manage.py", "upgrade")
    assert done.returncode == 1
    (copy,) = (old.folder / "backups").glob("before-upgrade-*.sqlite3")
    assert str(copy) in done.stdout
    assert copy.stat().st_mode & 0o077 == 0
    with closing(sqlite3.connect(copy)) as opened:
        assert opened.execute("SELECT count(*) FROM django_migrations").fetchone() == before
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize(
    "command",
    [
        "upgrade",
        pytest.param("serve", marks=pytest.mark.long),
        pytest.param("web", marks=pytest.mark.long),
    ],
)
def test_a_newer_schema_is_refused_in_words(upgraded: Instance, command: str, tmp_path: Path) -> None:
    instance = made_from(DUMPS[-1], tmp_path / "data")
    instance.sql(
        "INSERT INTO django_migrations (app, name, applied) VALUES ('collectors', '9999_future', '2099-01-01')"
    )
    said = instance.refused(command)
    assert "newer Streamgauge" in said
    assert "collectors.9999_future" in said


@pytest.mark.long
def test_of_two_that_start_at_once_one_upgrades_and_the_other_waits(old: Instance) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "manage.py", "upgrade"],
            cwd=ROOT,
            env=old.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(3)
    ]
    said = [one.communicate(timeout=120)[0] for one in running]
    assert [one.returncode for one in running] == [0, 0, 0], said
    assert old.facts() == remembered(DUMPS[-1])


# -- backup and restore


def test_a_backup_goes_back_with_all_it_held(upgraded: Instance, tmp_path: Path) -> None:
    file = tmp_path / "copy"
    said = upgraded.manage("backup", str(file))
    assert "STREAMGAUGE_SECRET_KEY" in said, "a copy without the key is half a copy"
    assert KEY not in said
    assert KEY.encode() not in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    fresh = empty(tmp_path / "other")
    assert "Clusters: demo, prod" in fresh.manage("restore", str(file))
    assert fresh.facts() == remembered(DUMPS[-1])
    fresh.manage("migrate", "--check")


@pytest.mark.long
def test_a_backup_of_a_former_version_is_upgraded_when_it_is_restored(old: Instance, tmp_path: Path) -> None:
    file = tmp_path / "copy"
    old.manage("backup", str(file))
    fresh = empty(tmp_path / "other")
    fresh.manage("restore", str(file))
    assert fresh.facts() == remembered(DUMPS[-1])


@pytest.mark.long
def test_nothing_is_overwritten_without_being_told(upgraded: Instance, tmp_path: Path) -> None:
    file = tmp_path / "copy"
    file.write_text("mine")
    assert "--overwrite" in upgraded.refused("backup", str(file))
    assert file.read_text() == "mine"
    upgraded.manage("backup", str(file), "--overwrite")
    full = made_from(DUMPS[-1], tmp_path / "data")
    full.sql("UPDATE collectors_cluster SET name = 'changed'")
    assert "--overwrite" in full.refused("restore", str(file))
    full.manage("restore", str(file), "--overwrite")
    assert full.facts() == remembered(DUMPS[-1])


@pytest.mark.long
def test_without_the_key_the_restore_says_what_cannot_be_read(upgraded: Instance, tmp_path: Path) -> None:
    file = tmp_path / "copy"
    upgraded.manage("backup", str(file))
    fresh = empty(tmp_path / "other")
    done = fresh.run("manage.py", "restore", str(file), key="another-key-2b7e19")
    assert done.returncode == 0, done.stderr
    assert "NOT READABLE" in done.stdout
    assert "STREAMGAUGE_SECRET_KEY" in done.stdout


@pytest.mark.long
def test_a_file_that_is_no_backup_and_a_newer_one_are_refused(upgraded: Instance, tmp_path: Path) -> None:
    fresh = empty(tmp_path / "other")
    (tmp_path / "letter").write_text("Dear all")
    assert "is no copy" in fresh.refused("restore", str(tmp_path / "letter"))
    assert "cannot be read" in fresh.refused("restore", str(tmp_path / "nowhere"))
    newer = made_from(DUMPS[-1], tmp_path / "data")
    newer.sql(FUTURE)
    newer.manage("backup", str(tmp_path / "copy"))
    assert "newer Streamgauge" in fresh.refused("restore", str(tmp_path / "copy"))
    assert "Clusters: demo, prod" not in fresh.manage("upgrade"), "nothing of it came in"


@pytest.mark.long
def test_a_damaged_backup_is_refused(upgraded: Instance, tmp_path: Path) -> None:
    file = tmp_path / "copy"
    upgraded.manage("backup", str(file))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    full = made_from(DUMPS[-1], tmp_path / "data")
    full.manage("upgrade")
    full.refused("restore", str(file), "--overwrite")
    assert full.facts() == remembered(DUMPS[-1]), "what was there is still there"


@pytest.mark.long
def test_nothing_is_restored_below_a_program_that_runs(upgraded: Instance, tmp_path: Path) -> None:
    file = tmp_path / "copy"
    upgraded.manage("backup", str(file))
    full = made_from(DUMPS[-1], tmp_path / "data")
    full.sql(
        "INSERT INTO collectors_lease (name, holder, epoch, expires_at) "
        "VALUES ('worker:1a2b', 'host-7:4711:1a2b', 0, '2099-01-01 00:00:00+00:00')"
    )
    assert "host-7:4711" in full.refused("restore", str(file), "--overwrite")


@pytest.mark.long
def test_a_copy_made_while_others_write_is_of_one_moment(old: Instance, tmp_path: Path) -> None:
    """Two rows are always changed together: a copy that tore would hold different numbers."""
    old.manage("upgrade")
    old.sql("CREATE TABLE pair (name text PRIMARY KEY, value bigint); INSERT INTO pair VALUES ('a', 0), ('b', 0)")
    writing = subprocess.Popen([sys.executable, "-c", WRITER], env=old.environment, cwd=ROOT)
    try:
        time.sleep(1.0)
        copies = [tmp_path / f"copy-{n}" for n in range(2)]
        for copy in copies:
            old.manage("backup", str(copy))
        assert writing.poll() is None
    finally:
        writing.kill()
        writing.wait(10)
    seen = []
    for number, copy in enumerate(copies):
        fresh = empty(tmp_path / f"other-{number}")
        fresh.manage("restore", str(copy))
        seen.append([value for (value,) in fresh.query("SELECT value FROM pair ORDER BY name")])
    for first, second in seen:
        assert first == second
    assert seen[0][0] < seen[-1][0], "the writer wrote meanwhile"


def empty(folder: Path) -> Instance:
    """An instance whose database has nothing in it."""
    folder.mkdir()
    return Instance(folder, create_database(SHARED, f"upgrade_{uuid.uuid4().hex}") if SHARED else "")


WRITER = """
import django
django.setup()
from django.db import connection, transaction
while True:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE pair SET value = value + 1 WHERE name = 'a'")
        cursor.execute("UPDATE pair SET value = value + 1 WHERE name = 'b'")
"""
