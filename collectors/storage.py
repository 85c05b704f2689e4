"""The place where everything is stored, when it is busy, full, damaged or gone: words, patience and a reserve."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import DatabaseError, OperationalError, connection

log = logging.getLogger(__name__)

RESERVE_FILE = "reserve"
RESERVE_BYTES = 32_000_000
RESERVE_SHARE = 0.25
"""The reserve is made only where it takes no more than this share of what is free."""
SHRINK_SECONDS = 0.1
ROWS_ON_A_FULL_DISK = 50
PAGES_ON_A_FULL_DISK = 100

DAMAGED = "the database file is damaged"
_WORDS = (
    ("locked", "another process holds the database's lock"),
    ("full", "the disk of the database is full"),
    ("readonly", "the database cannot be written"),
    ("malformed", DAMAGED),
    ("not a database", DAMAGED),
    ("disk i/o error", "the disk of the database fails"),
    ("unable to open", "the database file cannot be opened"),
)


def why(error: BaseException) -> str:
    """What a failure of the database means; without its text, which may hold an address or a user's name."""
    text = str(error).lower()
    return next((words for sign, words in _WORDS if sign in text), f"the database fails ({type(error).__name__})")


def wait_at_most(seconds: float) -> None:
    """How long this thread's connection waits for SQLite's one writer; other databases have their own settings."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")


@contextmanager
def hurried(seconds: float) -> Iterator[None]:
    """Wait no longer than this for SQLite's one writer, and as long as set afterwards."""
    wait_at_most(seconds)
    try:
        yield
    finally:
        wait_at_most(float(connection.settings_dict["OPTIONS"].get("timeout", 5)))


def shrink_wal() -> None:
    """Give back what the write-ahead log of SQLite has grown to, if no reader still needs it. Not in a transaction."""
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        return
    # while it waits for a reader, it keeps everyone from writing
    with hurried(SHRINK_SECONDS), connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def damage() -> str:
    """The first thing that SQLite's own quick check finds wrong; "" for a sound file and for other databases."""
    if connection.vendor != "sqlite":
        return ""
    try:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA quick_check(1)")
            found = str(cursor.fetchone()[0])
    except DatabaseError as error:
        return why(error)
    return "" if found == "ok" else found.splitlines()[0][:200]


# --- a file that is there whenever the program was started ------------------------------------------------------------


def database_file() -> Path | None:
    """The file of the SQLite database; None for one in memory and for other databases."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite" or ":memory:" in name or "mode=memory" in name:
        return None
    return Path(name)


def database_folder() -> Path | None:
    """Where the reserve belongs: on the disk of the database."""
    file = database_file()
    return file.parent if file is not None else None


def unusable(database: Path) -> str:
    """Why a database at this path could not be written, with the fix; "" when it can. Leaves nothing behind."""
    folder = database.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"the folder {folder} cannot be written by user {os.getuid()}: chown it, or set STREAMGAUGE_DATA_DIR"
    if not database.exists():
        return ""
    try:
        probe = sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=20, isolation_level=None)
        try:
            version = probe.execute("PRAGMA user_version").fetchone()[0]
            probe.execute("BEGIN IMMEDIATE")  # which a file that can only be read takes for a BEGIN
            probe.execute(f"PRAGMA user_version = {version}")
            probe.execute("ROLLBACK")
        finally:
            probe.close()
    except sqlite3.OperationalError as error:
        return f"{database}: {why(error)}: make the file writable for user {os.getuid()} (chown, chmod u+w)"
    except sqlite3.DatabaseError as error:
        return f"{database}: {why(error)}: put a backup in its place, or move it away to begin afresh"
    return ""


class FileWatch:
    """Whether the database file is still the one that was opened: one that was deleted or replaced takes writes that
    nobody will ever read."""

    def __init__(self, database: Path | None) -> None:
        self._path = database
        self._known = self._identity()

    def is_lost(self) -> bool:
        now = self._identity()
        if self._known is None:
            self._known = now
        return self._known is not None and now != self._known

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat() if self._path is not None else None
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if found is not None else None


# --- a reserve, for deleting on a full disk needs room too ------------------------------------------------------------


def with_reserve(
    folder: Path | None, delete: Callable[[int], object], *, at_once: int, size: int | None = None
) -> None:
    """Have `delete` delete, so many rows at once. On a full disk the reserve is given up for it, and made again when
    there is room.

    What the log holds goes into the database first, which may have to grow for it; then a few rows at a time, so that
    the log of each small transaction finds its place in what is free.
    """
    try:
        delete(at_once)
    except OperationalError as error:
        if folder is None or "full" not in str(error).lower() or not give_up_reserve(folder):
            raise
        shrink_wal()
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA wal_autocheckpoint = {PAGES_ON_A_FULL_DISK}")
        try:
            delete(min(at_once, ROWS_ON_A_FULL_DISK))
        finally:
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA wal_autocheckpoint = 1000")
    shrink_wal()
    if folder is not None:
        keep_reserve(folder, size=size)


def keep_reserve(folder: Path, *, size: int | None = None) -> bool:
    """Make the reserve if it is not there and there is room enough; whether it is there."""
    file = folder / RESERVE_FILE
    if file.exists():
        return True
    disk = shutil.disk_usage(folder)
    size = min(RESERVE_BYTES, disk.total // 10) if size is None else size
    if disk.free * RESERVE_SHARE < size:
        return False
    try:
        with file.open("xb") as out:
            os.posix_fallocate(out.fileno(), 0, size)
    except OSError:
        file.unlink(missing_ok=True)
        return False
    return True


def give_up_reserve(folder: Path) -> bool:
    """Delete the reserve; whether there was one."""
    file = folder / RESERVE_FILE
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    log.warning("the disk is full: the reserve in %s is given up, so that old samples can be deleted", folder)
    return True
