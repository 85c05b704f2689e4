"""One socket's place between the hub and its page: a slot for state, a bounded ring of events, one frame in flight."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dashboard.live import wire
from dashboard.live.wire import Position
from dashboard.models import Role

OPEN = ""
"""Session key of an outlet of nobody: only with STREAMGAUGE_OPEN_READ_ONLY."""
EVENTS_KEPT = 100
"""Events that may wait for one slow page; past that it is told to fetch again."""


@dataclass(slots=True)
class Delivery:
    """What the hub has for one outlet at the end of a turn. Row and event bytes are shared between outlets."""

    rows: dict[str, bytes] = field(default_factory=dict)
    clusters: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    hints: set[str] = field(default_factory=set)
    events: list[bytes] = field(default_factory=list)
    position: Position | None = None
    reload: bool = False

    def __bool__(self) -> bool:
        return bool(self.rows or self.clusters or self.hints or self.events or self.position or self.reload)


class Outlet:
    """Touched only on the event loop of its socket; the hub hands deliveries over by `call_soon_threadsafe`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, session_key: str) -> None:
        self.loop = loop
        self.session_key = session_key
        self.position = Position(0, 0)
        self.role = Role.VIEWER  # the least, until the hub has read the session's own
        self.is_signed_out = False
        self.something = asyncio.Event()  # there is something to send, or a reason to close
        self.acknowledged = asyncio.Event()  # no frame is in flight, or a reason to close
        self.acknowledged.set()
        self._rows: dict[str, bytes] = {}
        self._clusters: dict[str, Mapping[str, Any]] = {}
        self._hints: set[str] = set()
        self._events: deque[bytes] = deque()
        self._events_due = False
        self._reload = False

    def take(self, delivery: Delivery) -> None:
        """Newer rows replace older ones of the same subject; events queue up, and overflow into "fetch again"."""
        self._rows.update(delivery.rows)
        self._clusters.update(delivery.clusters)
        self._hints |= delivery.hints
        self._reload |= delivery.reload
        self._events.extend(delivery.events)
        if len(self._events) > EVENTS_KEPT:
            self._events.clear()
            self._reload = True
        if delivery.position is not None:
            self.position = delivery.position
            self._events_due = True
        if self.has_something:
            self.something.set()

    def sign_out(self) -> None:
        self.is_signed_out = True
        self.something.set()
        self.acknowledged.set()

    def forget_rows(self, kept: Sequence[str]) -> None:
        """Drop waiting rows of subjects that the page no longer shows: the slot stays as small as the page."""
        wanted = set(kept)
        self._rows = {id: row for id, row in self._rows.items() if id in wanted}

    @property
    def has_something(self) -> bool:
        return bool(self._rows or self._clusters or self._hints or self._events or self._events_due or self._reload)

    def next_frame(self, number: int, now: float) -> bytes:
        """Events before state, since they are what must not wait; an empty state frame is the heartbeat."""
        if self._events_due or self._events or self._reload:
            frame = wire.events_frame(number, now, self.position, list(self._events), reload=self._reload)
            self._events.clear()
            self._events_due = self._reload = False
        else:
            frame = wire.state_frame(number, now, self._rows.values(), self._clusters, self._hints)
            self._rows, self._clusters, self._hints = {}, {}, set()
        if not self.has_something and not self.is_signed_out:
            self.something.clear()
        return frame
