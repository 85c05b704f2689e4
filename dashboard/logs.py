"""Libraries that write a traceback each second while a server is away say it once, twice, four times, … instead."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

QUIET_SECONDS = 60.0
"""After this without a record, the next one is the first of another outage."""


class Seldom(logging.Filter):
    """Passes the 1st, 2nd, 4th, 8th … record of each kind of exception, with its count and without its traceback."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._seen: dict[str, tuple[int, float]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return True
        now, kind = self._monotonic(), type(error).__name__
        count, last = self._seen.get(kind, (0, now))
        count = 1 if now - last > QUIET_SECONDS else count + 1
        self._seen[kind] = (count, now)
        record.msg, record.args = "%s error=%s count=%s", (record.getMessage(), error, count)
        record.exc_info = record.exc_text = None
        return count & (count - 1) == 0
