"""One hub per web process: reads what is new once, encodes each subject once, hands every socket its bytes."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .reading import DatabaseReader, Head, Reader
from .wire import Position, Subject, encode_item, encode_row, parse_subject

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""The hub looks by itself this often; hints only make it earlier."""
SHORTEST_TURN_SECONDS = 0.05
SESSIONS_SECONDS = 10.0
RING = 500
ITEMS_A_TURN = 200
ALERTS = "alerts"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one turn has for one socket."""

    rows: Mapping[str, bytes] = field(default_factory=dict)
    clusters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    hints: frozenset[str] = frozenset()
    items: tuple[bytes, ...] = ()
    position: Position | None = None
    reload: bool = False


class Socket(Protocol):
    """A page's socket as the hub sees it. Both are called on the socket's own event loop."""

    session_key: str

    def deliver(self, delivery: Delivery) -> None: ...
    def sign_out(self) -> None: ...


@dataclass
class _Seat:
    ids: dict[str, Subject | None]
    fresh: set[str]  # subscribed, and not sent yet
    since: Position | None = None
    is_new: bool = True  # events since its last position are still owed


class Hub:
    """Runs on its own thread with its own database connection."""

    name = "hub"
    interval = LOOK_SECONDS

    def __init__(self, reader: Reader | None = None) -> None:
        self._reader: Reader = reader or DatabaseReader()
        self._lock = threading.Lock()
        self._seats: dict[Socket, _Seat] = {}
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cycles: dict[int, int] = {}
        self._sent: dict[str, bytes] = {}
        self._prints: dict[str, int] = {}
        self._clusters: dict[str, dict[str, Any]] = {}
        self._position: Position | None = None
        self._floor: Position | None = None
        self._ring: deque[tuple[str, int, bytes]] = deque(maxlen=RING)
        self._sessions_at = 0.0
        self._failures: Counter[str] = Counter()
        self.last_turn = 0.0

    # --- from any thread ----------------------------------------------------------------------------------

    def hint(self, cluster_id: int | None = None) -> None:
        """Something is new in the database: look now instead of at the next turn."""
        self._wake.set()

    def join(self, socket: Socket, ids: Iterable[str], since: Position | None) -> None:
        wanted = {text: parse_subject(text) for text in ids}
        with self._lock:
            self._seats[socket] = _Seat(wanted, set(wanted), since)
        self._wake.set()

    def subscribe(self, socket: Socket, ids: Iterable[str]) -> None:
        wanted = {text: parse_subject(text) for text in ids}
        with self._lock:
            seat = self._seats.get(socket)
            if seat is not None:
                seat.fresh = (seat.fresh | (wanted.keys() - seat.ids.keys())) & wanted.keys()
                seat.ids = wanted
        self._wake.set()

    def leave(self, socket: Socket) -> None:
        with self._lock:
            self._seats.pop(socket, None)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread; deliveries are made on `loop`, the one that runs the sockets."""
        self._loop = loop
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(3.0)

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    # --- the thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                began = time.monotonic()
                self._wake.clear()
                self._guarded_turn()
                self.last_turn = time.monotonic()
                self._wake.wait(LOOK_SECONDS)
                self._stop.wait(max(0.0, SHORTEST_TURN_SECONDS - (time.monotonic() - began)))
        finally:
            self._reader.close()

    def _guarded_turn(self) -> None:
        """A turn that fails leaves the pages as they are; the next one reads everything again."""
        try:
            self.turn()
            self._failures.clear()
        except Exception as error:
            kind = type(error).__name__
            self._failures[kind] += 1
            if self._failures[kind] == 1:
                log.exception("hub turn failed kind=%s", kind)
            elif self._failures[kind] % 100 == 0:
                log.warning("hub turn failed kind=%s times=%s", kind, self._failures[kind])
            self._reader.close()

    def turn(self) -> None:
        """Read what is new and hand it out. Public for tests; not for a second thread."""
        with self._lock:
            seats = {socket: _Seat(dict(s.ids), set(s.fresh), s.since, s.is_new) for socket, s in self._seats.items()}
        rows, hints = self._read_rows(seats.values())
        items = self._read_items()
        deliveries: list[tuple[Socket, Delivery]] = []
        for socket, seat in seats.items():
            delivery = self._for(seat, rows, hints, items)
            if delivery is not None:
                deliveries.append((socket, delivery))
        with self._lock:
            for socket, seat in seats.items():
                present = self._seats.get(socket)
                if present is not None:
                    present.fresh -= seat.fresh
                    present.is_new = False
        self._hand_out(deliveries)
        if time.monotonic() - self._sessions_at >= SESSIONS_SECONDS:
            self._sessions_at = time.monotonic()
            self._check_sessions(list(seats))

    def _read_rows(self, seats: Iterable[_Seat]) -> tuple[dict[str, tuple[bytes, bool]], set[str]]:
        """{id: (bytes, whether they differ from the last ones)} and the hints of this turn."""
        wanted: dict[str, Subject | None] = {}
        fresh: set[str] = set()
        for seat in seats:
            wanted |= seat.ids
            fresh |= seat.fresh
        out: dict[str, tuple[bytes, bool]] = {}
        hints: set[str] = set()
        heads = self._reader.heads()
        for head in heads:
            is_new_cycle = self._cycles.get(head.id) != head.cycle
            subjects = [
                subject
                for id_, subject in wanted.items()
                if subject is not None and subject.slug == head.slug and (is_new_cycle or id_ in fresh)
            ]
            if subjects:
                self._read_cluster(head, subjects, out, hints)
            self._cycles[head.id] = head.cycle
        if ALERTS in wanted:
            self._note(ALERTS, encode_row(ALERTS, self._reader.alerts()), out)
        gone = {slug for slug in self._clusters if slug not in {head.slug for head in heads}}
        for slug in gone:
            del self._clusters[slug]
        # what nobody looks at any more need not be remembered
        self._sent = {id_: data for id_, data in self._sent.items() if id_ in wanted}
        return out, hints

    def _read_cluster(
        self, head: Head, subjects: Sequence[Subject], out: dict[str, tuple[bytes, bool]], hints: set[str]
    ) -> None:
        update = self._reader.update(head, subjects)
        for id_, row in update.rows.items():
            self._note(id_, encode_row(id_, row), out)
        for id_, mark in update.fingerprints.items():
            if self._prints.get(id_, mark) != mark:
                hints.add(id_)
            self._prints[id_] = mark
        self._clusters[head.slug] = {"cycle": head.cycle, "taken_at": update.taken_at, "interval": head.interval}

    def _note(self, id_: str, data: bytes, out: dict[str, tuple[bytes, bool]]) -> None:
        out[id_] = (data, self._sent.get(id_) != data)
        self._sent[id_] = data

    def _read_items(self) -> list[tuple[str, int, bytes]]:
        if self._position is None:
            self._position = self._floor = self._reader.position()
            return []
        found = self._reader.items(self._position, ITEMS_A_TURN)
        items = []
        transition, mark = self._position.transition, self._position.mark
        for item in found:
            data = encode_item({**item.fields, "seq": item.id})
            items.append((item.kind, item.id, data))
            if item.kind == "transition":
                transition = max(transition, item.id)
            else:
                mark = max(mark, item.id)
        for entry in items:
            if len(self._ring) == RING:
                self._raise_floor(self._ring[0])
            self._ring.append(entry)
        self._position = Position(transition, mark)
        return items

    def _raise_floor(self, lost: tuple[str, int, bytes]) -> None:
        floor = self._floor or Position(0, 0)
        kind, id_, _ = lost
        self._floor = Position(id_, floor.mark) if kind == "transition" else Position(floor.transition, id_)

    def _for(
        self,
        seat: _Seat,
        rows: Mapping[str, tuple[bytes, bool]],
        hints: set[str],
        items: Sequence[tuple[str, int, bytes]],
    ) -> Delivery | None:
        mine = {id_: rows[id_][0] for id_ in seat.ids if id_ in rows and (rows[id_][1] or id_ in seat.fresh)}
        slugs = {subject.slug for subject in seat.ids.values() if subject is not None}
        clusters = {slug: self._clusters[slug] for slug in slugs if slug in self._clusters}
        told = frozenset(hints & seat.ids.keys())
        events: tuple[bytes, ...] = tuple(data for _, _, data in items)
        reload = False
        if seat.is_new and seat.since is not None:
            events, reload = self._missed(seat.since)
        if not (mine or told or events or reload or seat.is_new or (clusters and rows)):
            return None
        return Delivery(mine, clusters, told, events, self._position, reload)

    def _missed(self, since: Position) -> tuple[tuple[bytes, ...], bool]:
        """Events after a position; True when some of them are not kept any more."""
        floor, newest = self._floor or Position(0, 0), self._position or Position(0, 0)
        too_old = since.transition < floor.transition or since.mark < floor.mark
        from_the_future = since.transition > newest.transition or since.mark > newest.mark
        if too_old or from_the_future:
            return (), True
        after = {"transition": since.transition, "mark": since.mark}
        return tuple(data for kind, id_, data in self._ring if id_ > after[kind]), False

    def _hand_out(self, deliveries: Sequence[tuple[Socket, Delivery]]) -> None:
        def deliver() -> None:
            for socket, delivery in deliveries:
                socket.deliver(delivery)

        self._on_loop(deliver) if deliveries else None

    def _check_sessions(self, sockets: Sequence[Socket]) -> None:
        """Close the sockets of people who signed out, were switched off or lost their role."""
        if not sockets:
            return
        allowed = self._reader.allowed({socket.session_key for socket in sockets})
        ended = [socket for socket in sockets if socket.session_key not in allowed]

        def sign_out() -> None:
            for socket in ended:
                socket.sign_out()

        if ended:
            self._on_loop(sign_out)

    def _on_loop(self, work: Callable[[], None]) -> None:
        if self._loop is None:
            work()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(work)


_hub: Hub | None = None
_hub_lock = threading.Lock()


def get_hub() -> Hub:
    """The hub of this process, made when first asked for; `serve` and `web` start it."""
    global _hub
    with _hub_lock:
        if _hub is None:
            _hub = Hub()
        return _hub
