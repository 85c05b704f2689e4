"""The client library's log, let through once a minute per kind: with dead brokers it writes several lines a second."""

from __future__ import annotations

import logging
import threading
import time

log = logging.getLogger("collectors.kafka.library")

EVERY_SECONDS = 60.0


class OncePerKind(logging.Handler):
    """Passes the first record of a kind (logger and message template), then counts until a minute is over."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        kind, now = (record.name, str(record.msg)[:200]), time.monotonic()
        passed_at, held_back = self._seen.get(kind, (-EVERY_SECONDS, 0))
        if now - passed_at < EVERY_SECONDS:
            self._seen[kind] = (passed_at, held_back + 1)
            return
        if len(self._seen) > 500:
            self._seen.clear()
        self._seen[kind] = (now, 0)
        # Never above WARNING: that a broker is away is a normal event, shown where people look.
        log.log(min(record.levelno, logging.WARNING), "%s like_it_before=%d", record.getMessage()[:500], held_back)


_lock = threading.Lock()


def quieten() -> None:
    """Put the library's loggers behind the limiter, once a process."""
    with _lock:
        library = logging.getLogger("kafka")
        if not any(isinstance(handler, OncePerKind) for handler in library.handlers):
            library.addHandler(OncePerKind())
            library.propagate = False
            library.setLevel(logging.WARNING)


def of_records() -> logging.Logger:
    """A logger for confluent-kafka's clients, behind the same limiter: without one they write to standard error."""
    with _lock:
        library = logging.getLogger("collectors.kafka.records")
        if not library.handlers:
            library.addHandler(OncePerKind())
            library.propagate = False
        return library
