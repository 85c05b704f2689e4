"""SQLite's file made smaller step by step, after old samples were deleted."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection

from collectors import storage

PAGES_AT_ONCE = 300
KEPT_FREE_SHARE = 0.1
KEPT_FREE_PAGES = 2000
"""So much of the file stays free, to be used again: giving back what is needed in an hour costs twice."""
VACUUM_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Disk:
    """The volume that SQLite's file is on, in bytes."""

    total: int
    free: int
    has_reserve: bool


def disk() -> Disk | None:
    """None with another database, whose disk is not this machine's to look at."""
    folder = storage.database_folder()
    if folder is None:
        return None
    usage = shutil.disk_usage(folder)
    return Disk(usage.total, usage.free, (folder / storage.RESERVE_FILE).is_file())


def begin(file: Path) -> None:
    """Make a SQLite file that is not there yet, able to shrink: that is fixed by its first page."""
    if not file.exists():
        with closing(sqlite3.connect(file)) as made:
            made.execute("PRAGMA auto_vacuum=INCREMENTAL")
            made.execute("PRAGMA journal_mode=WAL")  # writes the first page


def shrink() -> int:
    """Give free pages of SQLite's file back to the disk, a few at a time; returns how many.

    Nothing on PostgreSQL, and nothing in a file that `begin` has not made (`VACUUM` once would change it).
    """
    if connection.vendor != "sqlite":
        return 0
    given, began = 0, time.monotonic()
    with connection.cursor() as cursor:
        if _pragma(cursor, "auto_vacuum") != 2:
            return 0
        while time.monotonic() - began < VACUUM_SECONDS:
            free = _pragma(cursor, "freelist_count")
            spare = free - max(KEPT_FREE_PAGES, int(_pragma(cursor, "page_count") * KEPT_FREE_SHARE))
            if spare <= 0:
                break
            cursor.execute(f"PRAGMA incremental_vacuum({min(spare, PAGES_AT_ONCE)})")
            cursor.fetchall()
            now = _pragma(cursor, "freelist_count")
            if now >= free:
                break
            given += free - now
    return given


def _pragma(cursor: Any, name: str) -> int:
    cursor.execute(f"PRAGMA {name}")
    return int(cursor.fetchone()[0])
