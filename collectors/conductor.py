"""The demo's buttons: what a page asks for reaches the director that plays acts in this process, if there is one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import StrEnum


class Wish(StrEnum):
    """What people ask of the demo."""

    NEXT = "next"  # the next act, after the minute of calm that lies between two acts
    REPEAT = "repeat"  # the present or newest act once more
    CALM = "calm"  # no act until asked


_listener: Callable[[Wish], None] | None = None
_lock = threading.Lock()


def listen(listener: Callable[[Wish], None] | None) -> None:
    """Have wishes told to `listener`; None when nobody plays any more."""
    global _listener
    with _lock:
        _listener = listener


def is_heard() -> bool:
    """Whether a director plays in this process."""
    with _lock:
        return _listener is not None


def ask(wish: Wish) -> bool:
    """Pass a wish on; False when no director plays in this process."""
    with _lock:
        listener = _listener
    if listener is None:
        return False
    listener(wish)
    return True
