"""What a resident loop shows of itself, and the loops that run in this process."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Protocol


class Loop(Protocol):
    """A sampler, the judge or the sender: `run` until told to stop, `last_turn` set at the end of each turn."""

    @property
    def name(self) -> str: ...

    @property
    def interval(self) -> float:
        """Seconds between two turns when all is well."""

    @property
    def last_turn(self) -> float:
        """time.monotonic() at the end of the newest turn that came to something; 0.0 before the first."""

    @property
    def trouble(self) -> str:
        """What keeps it from its work just now, in words; "" when nothing does."""

    def run(self, stop: threading.Event) -> None: ...


LATE_AFTER_INTERVALS = 3


@dataclass(frozen=True, slots=True)
class Pulse:
    """How long ago a loop last turned."""

    name: str
    interval_seconds: float
    age_seconds: float
    trouble: str = ""

    @property
    def is_late(self) -> bool:
        return self.age_seconds > LATE_AFTER_INTERVALS * self.interval_seconds


_running: dict[str, tuple[Loop, float]] = {}
_lock = threading.Lock()


def register(loop: Loop) -> None:
    """Call when the loop's thread starts; a loop of the same name is replaced (it was restarted)."""
    with _lock:
        _running[loop.name] = (loop, time.monotonic())


def unregister(loop: Loop) -> None:
    """Call when a loop ends on purpose; one that died stays listed, so that it is seen to be late."""
    with _lock:
        if loop.name in _running and _running[loop.name][0] is loop:
            del _running[loop.name]


def pulses(now: float | None = None) -> list[Pulse]:
    """The pulse of every loop of this process, by name; `now` is time.monotonic()."""
    now = time.monotonic() if now is None else now
    with _lock:
        running = sorted(_running.items())
    # A loop that has not turned yet is as old as its registration, not as the machine.
    return [
        Pulse(name, loop.interval, max(0.0, now - max(loop.last_turn, registered_at)), loop.trouble)
        for name, (loop, registered_at) in running
    ]
