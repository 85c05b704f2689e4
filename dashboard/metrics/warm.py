"""Keeps the page ready: who scrapes every 15 s meets a new cycle each time, and would wait for its rendering."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.db import close_old_connections, connection

from collectors.models import Cluster

from .page import MetricsPage

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
LATELY_SECONDS = 120.0
"""Nobody who scrapes waits longer between two scrapes; without one, nothing is rendered ahead."""


class Warmer:
    """Renders each newest cycle as soon as it is stored, in the forms that were scraped lately.

    `scraped` is for any thread. One per web process; `start` it once.
    """

    def __init__(self, page: Callable[[], MetricsPage], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._page = page
        self._monotonic = monotonic
        self._forms: dict[tuple[bool, bool], float] = {}
        self._newest: tuple[tuple[int, int], ...] = ()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failures = 0

    def scraped(self, *, openmetrics: bool, is_zipped: bool) -> None:
        self._forms[openmetrics, is_zipped] = self._monotonic()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def turn(self) -> bool:
        """Render what is new and was asked for lately; whether anything was."""
        now = self._monotonic()
        wanted = [form for form, at in list(self._forms.items()) if now - at < LATELY_SECONDS]
        if not wanted:
            return False
        newest = tuple(Cluster.objects.order_by("pk").values_list("pk", "last_cycle"))
        if newest == self._newest:
            return False
        for openmetrics, is_zipped in wanted:
            built = self._page().build(time.time(), openmetrics=openmetrics)
            if is_zipped:
                built.gzipped()
        self._newest = newest
        return True

    def _run(self) -> None:
        try:
            while not self._stop.wait(LOOK_SECONDS):
                try:
                    close_old_connections()
                    self.turn()
                except Exception:  # a scrape renders for itself then, and says what is wrong
                    self._failures += 1
                    if self._failures & (self._failures - 1) == 0:
                        log.exception("metrics not rendered ahead count=%s", self._failures)
        finally:
            connection.close()
