"""Collects static files with hashed names and precompressed forms, once per version of them."""

from __future__ import annotations

import hashlib
import json

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

MARK = "collected.json"


def collect() -> bool:
    """Run collectstatic unless the same files were collected before; returns whether it ran.

    Brotli takes seconds for Plotly's bundle, so a second start must not do it again.
    """
    digest = _digest()
    mark = settings.STATIC_ROOT / MARK
    if mark.exists() and json.loads(mark.read_text()).get("digest") == digest:
        return False
    call_command("collectstatic", interactive=False, verbosity=0, clear=mark.exists())
    mark.write_text(json.dumps({"digest": digest}))
    return True


def _digest() -> str:
    seen = hashlib.sha256(repr(settings.STORAGES["staticfiles"]).encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            modified = storage.get_modified_time(path).timestamp()
            seen.update(f"{path}\0{storage.size(path)}\0{modified}\n".encode())
    return seen.hexdigest()
