"""Work in small transactions that another process may take over."""

from __future__ import annotations

from collections.abc import Callable

GoOn = Callable[[], bool]


class Stopped(Exception):  # noqa: N818  # no error: another process goes on with the work
    """Somebody else does it now."""


def ask(go_on: GoOn) -> None:
    """Called inside a transaction before it writes: Stopped rolls it back."""
    if not go_on():
        raise Stopped


def always() -> bool:
    return True
