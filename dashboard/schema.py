"""Brings the database to this version's schema: one process at a time, after a copy, never backwards."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from collectors.history import vacuum
from dashboard import __version__, backups

Say = Callable[[str], object]
LOCK_NUMBER = 0x5347_6175
"""PostgreSQL's advisory lock of all upgrades."""
LOOK_SECONDS = 0.5
WAIT_SECONDS = 900.0


class SchemaError(Exception):
    """This version cannot use the database; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Schema:
    """Migrations, as "app.name": those not run yet, and those that only a newer version knows."""

    waiting: tuple[str, ...]
    newer: tuple[str, ...]
    is_filled: bool  # some were run before


def read_schema() -> Schema:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    applied = set(executor.loader.applied_migrations)
    return Schema(
        tuple(f"{migration.app_label}.{migration.name}" for migration, _ in waiting),
        tuple(".".join(key) for key in sorted(unknown(executor, applied))),
        bool(applied),
    )


def unknown(executor: MigrationExecutor, applied: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of `applied` that belong to an app of ours (or Django's) and are not among its files."""
    loader = executor.loader
    return {key for key in applied if key[0] in loader.migrated_apps and key not in loader.disk_migrations}


def newer_in(applied: set[tuple[str, str]]) -> tuple[str, ...]:
    """What a copy's database has run that this version does not know."""
    return tuple(".".join(key) for key in sorted(unknown(MigrationExecutor(connection), applied)))


def refuse_newer(newer: tuple[str, ...], what: str = "the database") -> None:
    if newer:
        more = f" and {len(newer) - 1} more" if len(newer) > 1 else ""
        raise SchemaError(
            f"{what} was written by a newer Streamgauge ({newer[0]}{more}); this is {__version__}. Start the newer "
            "version again, or restore a backup that this version made (manage.py restore)"
        )


def upgrade(say: Say) -> bool:
    """Run what waits, under a lock that every process of the instance asks for; whether there was anything.

    SQLite is copied to the data folder first. SchemaError for a newer schema, and when another process holds the
    lock for a quarter of an hour.
    """
    with one_at_a_time(say):
        if connection.vendor == "sqlite":
            vacuum.begin(backups.database_file())
        schema = read_schema()
        refuse_newer(schema.newer)
        if not schema.waiting:
            return False
        if schema.is_filled:
            if connection.vendor == "sqlite":
                say(f"Upgrading the database; a copy of it is {backups.save_before_upgrade(timezone.now())}")
            else:
                say("Upgrading the database")
        call_command("migrate", interactive=False, verbosity=0)
        return True


def wait_for_upgrade(say: Say, *, seconds: float = WAIT_SECONDS) -> None:
    """Until a `web` has brought the schema up to date; SchemaError when it is newer, or nobody does."""
    deadline = time.monotonic() + seconds
    has_said = False
    while True:
        schema = read_schema()
        refuse_newer(schema.newer)
        if not schema.waiting:
            return
        if not has_said:
            say(f"Waiting until `web` or `manage.py upgrade` has run {len(schema.waiting)} migrations")
            has_said = True
        if time.monotonic() > deadline:
            raise SchemaError(f"the database was not upgraded within {seconds:.0f} s: run `manage.py upgrade`")
        connection.close()
        time.sleep(LOOK_SECONDS)


@contextmanager
def one_at_a_time(say: Say) -> Iterator[None]:
    """What only one process of the instance may do at once, on whatever machine; the others wait for it."""
    take, give_back = _sqlite_lock() if connection.vendor == "sqlite" else _postgres_lock()
    deadline = time.monotonic() + WAIT_SECONDS
    has_said = False
    while not take():
        if not has_said:
            say("Another process prepares the database; waiting for it")
            has_said = True
        if time.monotonic() > deadline:
            raise SchemaError(f"another process has been preparing the database for {WAIT_SECONDS:.0f} s")
        time.sleep(LOOK_SECONDS)
    try:
        yield
    finally:
        give_back()


def _sqlite_lock() -> tuple[Callable[[], bool], Callable[[], None]]:
    """Of the file beside the database: processes on one machine, which is where SQLite's are."""
    file = backups.database_file()
    handle = file.with_name(f"{file.name}.upgrade-lock").open("w")

    def take() -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    return take, handle.close


def _postgres_lock() -> tuple[Callable[[], bool], Callable[[], None]]:
    """Of the session, which is gone with the process; the limits for a page's statements do not hold in it."""
    connection.ensure_connection()

    def ask(sql: str) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(sql, [LOCK_NUMBER] if "%s" in sql else None)
            return bool(cursor.fetchone()[0]) if cursor.description else True

    def take() -> bool:
        if not ask("SELECT pg_try_advisory_lock(%s)"):
            return False
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
            ask(f"SET {limit} = 0")
        return ask("SET lock_timeout = '60s'")

    def give_back() -> None:
        ask("SELECT pg_advisory_unlock(%s)")
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout"):
            ask(f"RESET {limit}")
        connection.close()

    return take, give_back
