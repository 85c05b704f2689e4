"""When each of several questions is due, for the thread that asks them and for those who want one asked earlier."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable


class Timetable:
    """Moments are of the monotonic clock; every part is due at once in the beginning, in the order given."""

    def __init__(self, parts: Iterable[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[str, float] = dict.fromkeys(parts, 0.0)
        self._tried: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, every: Callable[[str], float], *, only: Collection[str] | None = None) -> str | None:
        """The first part whose time has come (of `only`, where given), from now on tried and due after `every`."""
        now = self._clock()
        with self._lock:
            due = (part for part, at in self._due.items() if at <= now and (only is None or part in only))
            part = next(due, None)
            if part is not None:
                self._tried[part] = now
                self._due[part] = now + every(part)
            return part

    def poke(self, part: str, *, apart: float) -> None:
        """At once, though not within `apart` seconds of the last try. KeyError for a part that is not one."""
        with self._lock:
            self._due[part] = min(self._due[part], self._tried.get(part, 0.0) + apart)

    def within(self, part: str, seconds: float) -> None:
        """In so many seconds, or earlier where that is planned."""
        with self._lock:
            self._due[part] = min(self._due[part], self._clock() + seconds)

    def after(self, part: str, seconds: float) -> None:
        """In so many seconds, whatever was planned."""
        with self._lock:
            self._due[part] = self._clock() + seconds

    def seconds_left(self) -> float:
        """Until the first part is due; negative when it is already."""
        with self._lock:
            return min(self._due.values()) - self._clock()
