"""Collects static files with hashed names and precompressed forms, once per version of them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

DONE = "collected"
VERSIONS_KEPT = 10


def collect() -> bool:
    """Point STATIC_ROOT at the folder of these very files, and fill it if nobody did; returns whether it was filled.

    A folder per version, since instances share the cache: one that runs must not lose its files to one that starts.
    Brotli takes seconds for Plotly's bundle, so a second start must not do it again.
    """
    base = settings.CACHE_DIR / "static"
    folder = base / _digest()
    settings.STATIC_ROOT = folder
    if (folder / DONE).exists():
        with contextlib.suppress(OSError):  # built into an image whose files nobody may change
            (folder / DONE).touch()
        return False
    folder.mkdir(parents=True, exist_ok=True)
    with (base / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / DONE).exists():
            return False
        call_command("collectstatic", interactive=False, verbosity=0)
        (folder / DONE).touch()
        _forget_old(base)
    return True


def _digest() -> str:
    seen = hashlib.sha256(repr(settings.STORAGES["staticfiles"]).encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            with storage.open(path) as file:
                seen.update(f"{path}\0".encode() + hashlib.sha256(file.read()).digest())
    return seen.hexdigest()[:16]


def _forget_old(base: Path) -> None:
    done = sorted((mark for mark in base.glob(f"*/{DONE}")), key=lambda mark: mark.stat().st_mtime, reverse=True)
    for mark in done[VERSIONS_KEPT:]:
        shutil.rmtree(mark.parent, ignore_errors=True)
        (base / f"{mark.parent.name}.lock").unlink(missing_ok=True)
