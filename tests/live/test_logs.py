"""A server that is away does not fill the log of those that wait for it."""

from __future__ import annotations

import logging
import sys

from dashboard.logs import Seldom


def record(error: Exception | None) -> logging.LogRecord:
    made = logging.LogRecord("lib", logging.ERROR, "", 0, "it broke", (), None)
    if error is not None:
        try:
            raise error
        except type(error):
            made.exc_info = sys.exc_info()
    return made


def test_the_same_error_again_and_again_is_said_ever_more_seldom() -> None:
    now = 1000.0
    seldom = Seldom(lambda: now)
    said = []
    for _ in range(60):
        one = record(ConnectionError("refused"))
        if seldom.filter(one):
            said.append(one.getMessage())
        now += 1.0
    assert said == [f"it broke error=refused count={n}" for n in (1, 2, 4, 8, 16, 32)]
    assert seldom.filter(record(ValueError("another"))), "of another kind it is the first"
    now += 61.0
    assert seldom.filter(record(ConnectionError("refused"))), "another outage begins anew"


def test_what_is_no_error_passes_as_it_is() -> None:
    seldom = Seldom()
    assert all(seldom.filter(record(None)) for _ in range(10))
