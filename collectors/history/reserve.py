"""A full disk: a file that only keeps room, given up so that retention can run; and SQLite's file made smaller."""

from __future__ import annotations

import logging
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from django.db import connection

log = logging.getLogger(__name__)

NAME = "reserve"
RESERVE_BYTES = 32 * 1024 * 1024
LOW_BYTES = 16 * 1024 * 1024
"""With less than this free the reserve is given up; it is made again when four times its size is free."""
PAGES_AT_ONCE = 300
KEPT_FREE_SHARE = 0.1
KEPT_FREE_PAGES = 2000
"""So much of the file stays free, to be used again: giving back what is needed in an hour costs twice."""
VACUUM_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Disk:
    """The volume that the database is on, in bytes."""

    total: int
    free: int
    has_reserve: bool


def database_folder() -> Path | None:
    """Where SQLite's file is; None with another database, whose disk is not this machine's to look after."""
    file = Path(str(connection.settings_dict["NAME"]))
    return file.parent if connection.vendor == "sqlite" and file.is_file() else None


def disk() -> Disk | None:
    folder = database_folder()
    if folder is None:
        return None
    usage = shutil.disk_usage(folder)
    return Disk(usage.total, usage.free, (folder / NAME).is_file())


def look_after() -> bool:
    """Give the reserve up when the disk is full, and make it again when there is room; returns whether it is there."""
    folder, now = database_folder(), disk()
    if folder is None or now is None:
        return False
    path = folder / NAME
    if now.has_reserve and now.free < LOW_BYTES:
        path.unlink(missing_ok=True)
        log.error("disk nearly full, reserve given up: folder=%s free=%s", folder, now.free)
        return False
    if not now.has_reserve and now.free >= 4 * RESERVE_BYTES:
        _fill(path)
        return True
    return now.has_reserve


def _fill(path: Path) -> None:
    """Blocks that are really taken: a file with a hole in it would keep no room."""
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
            else:
                for _ in range(RESERVE_BYTES // 65_536):
                    file.write(os.urandom(65_536))
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        log.warning("reserve not made: path=%s reason=%s", path, error)


def shrink() -> int:
    """Give free pages of SQLite's file back to the disk, a few at a time; returns how many.

    Nothing on PostgreSQL, and nothing in a file made before this was possible (`auto_vacuum` is fixed by its first
    page; `VACUUM` once would change it).
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


def _pragma(cursor: object, name: str) -> int:
    cursor.execute(f"PRAGMA {name}")  # type: ignore[attr-defined]  # a cursor of Django
    return int(cursor.fetchone()[0])  # type: ignore[attr-defined]  # likewise
