"""One hub per web process: looks for new cycles and events itself, encodes each row once, feeds every socket."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.conf import settings
from django.db import close_old_connections

from dashboard.live import announce, wire
from dashboard.live.outlet import OPEN, Delivery, Outlet
from dashboard.live.reading import DatabaseReader, Head, Item, Reader, Update
from dashboard.live.sentences import is_stale
from dashboard.live.wire import Position, Subject

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""A hint that is lost costs at most this."""
GATHER_SECONDS = 0.05
"""Hints and newcomers that come together are served in one turn."""
EVENTS_KEPT = 500
OVERLAP = 50
"""Ids below the newest that are read again: with several writers a lower id can be committed after a higher."""
SESSIONS_SECONDS = 15.0
ALERTS_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a socket wants: `subs` None means that it left; `since` is read for a socket that joins."""

    outlet: Outlet
    subs: tuple[str, ...] | None
    joins: bool = False
    since: Position | None = None


@dataclass(frozen=True, slots=True)
class _Seat:
    """What the hub knows of a socket; touched by the hub's thread only."""

    subs: frozenset[str] = frozenset()
    rows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # ids that have rows, by cluster
    slugs: frozenset[str] = frozenset()

    @classmethod
    def of(cls, subs: Iterable[str]) -> _Seat:
        rows: dict[str, list[str]] = defaultdict(list)
        slugs = set()
        for id in subs:
            subject = wire.parse_subject(id)
            if subject is not None:
                slugs.add(subject.slug)
                if not subject.is_list:
                    rows[subject.slug].append(id)
        return cls(frozenset(subs), {slug: tuple(ids) for slug, ids in rows.items()}, frozenset(slugs))


@dataclass(slots=True)
class _Board:
    """The newest encoded rows of one cluster, by the ids that somebody subscribes to."""

    head: Head
    cycle: int = -1
    rows: dict[str, bytes] = field(default_factory=dict)
    prints: dict[str, int] = field(default_factory=dict)
    taken_at: float | None = None
    is_stale: bool = False  # the rows are of when the newest sample had become too old

    def has_become_stale(self, moment: float) -> bool:
        return self.taken_at is not None and is_stale(self.taken_at, self.head.interval, moment)


@dataclass(frozen=True, slots=True)
class _Event:
    item: Item
    encoded: bytes


class Hub:
    """Start it once per process; only `hint*`, `join`, `subscribe`, `leave`, `start` and `stop` are for other threads.

    `name`, `interval` and `last_turn` (monotonic; of the newest turn that worked) are as in all resident loops.
    """

    name = "hub"
    interval = LOOK_SECONDS

    def __init__(self, reader: Reader | None = None) -> None:
        self.last_turn = time.monotonic()
        self._reader = reader or DatabaseReader()
        self._asked: queue.SimpleQueue[_Asked] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._start_lock = threading.Lock()
        self._seats: dict[Outlet, _Seat] = {}
        self._wanted: Counter[str] = Counter()
        self._boards: dict[str, _Board] = {}
        self._clusters_print: list[tuple[str, int | None]] | None = None
        self._alerts: bytes | None = None
        self._alerts_at = float("-inf")
        self._sessions_at = time.monotonic()
        self._events: dict[str, deque[_Event]] = {"transition": deque(), "mark": deque()}
        self._floor = Position(0, 0)  # every event above it is in the ring
        self._newest: Position | None = None  # None: the ring was not filled yet
        self._failures: Counter[str] = Counter()
        # Kept until they are handed over, so that a turn that fails half-way owes nobody anything.
        self._joining: dict[Outlet, _Asked] = {}
        self._untold: dict[Outlet, frozenset[str]] = {}
        self._outgoing: dict[Outlet, Delivery] = defaultdict(Delivery)

    # From any thread

    def hint(self, cluster_id: int | None = None) -> None:
        """Something was stored: look now. Safe to miss and safe to hear twice; a look is at all clusters."""
        self._wake.set()

    def hint_events(self) -> None:
        """An alert changed, maybe without a transition (acknowledged): look, and count the open ones again."""
        self._alerts_at = float("-inf")
        self._wake.set()

    def join(self, outlet: Outlet, subs: Sequence[str], since: Position | None) -> None:
        """Present state, what was missed since, then the stream, without a hole between them: one thread does all."""
        self._ask(_Asked(outlet, tuple(subs), joins=True, since=since))

    def subscribe(self, outlet: Outlet, subs: Sequence[str]) -> None:
        self._ask(_Asked(outlet, tuple(subs)))

    def leave(self, outlet: Outlet) -> None:
        self._ask(_Asked(outlet, None))

    def _ask(self, asked: _Asked) -> None:
        self._asked.put(asked)
        self._wake.set()

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Start the thread if it does not run. With Redis, hints of other processes are listened to on `loop`."""
        with self._start_lock:
            if self.is_running:
                return
            self._stop.clear()
            self._thread = threading.Thread(target=self.run, args=(self._stop,), name="hub", daemon=True)
            self._thread.start()
            announce.attach(self)
            if loop is not None:
                announce.listen(loop, self)

    def stop(self, timeout: float = 3.0) -> None:
        announce.detach(self)
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def sockets(self) -> int:
        return len(self._seats)

    # The hub's own thread

    def run(self, stop: threading.Event) -> None:
        """Turn until told to stop; a turn that fails is logged now and then by kind with a count, and tried again."""
        try:
            while not stop.is_set():
                self._wake.clear()
                try:
                    close_old_connections()
                    self.turn()
                    self.last_turn = time.monotonic()
                except Exception as error:  # noqa: BLE001 - whatever fails, open pages must come back by themselves
                    self._note(error)
                if self._wake.wait(LOOK_SECONDS):
                    stop.wait(GATHER_SECONDS)
        finally:
            self._reader.close()

    def _note(self, error: Exception) -> None:
        kind = f"{type(error).__name__}: {str(error)[:80]}"
        self._failures[kind] += 1
        count = self._failures[kind]
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th, 8th … of its kind
            log.error("hub turn failed kind=%r count=%s", kind, count, exc_info=error)
        self._reader.close()

    def turn(self) -> None:
        """One look: who came, what is new, and who gets it."""
        self._seat()
        self._look_at_clusters(self._reader.heads())
        self._look_at_events()
        self._look_at_alerts()
        self._hand_over()
        self._check_sessions()

    def _seat(self) -> None:
        """Take what sockets asked for since the last turn."""
        while True:
            try:
                asked = self._asked.get_nowait()
            except queue.Empty:
                return
            outlet = asked.outlet
            before = self._seats.get(outlet, _Seat())
            if asked.subs is None:
                self._seats.pop(outlet, None)
                self._joining.pop(outlet, None)
                self._untold.pop(outlet, None)
                self._outgoing.pop(outlet, None)
                self._count(before.subs, ())
                continue
            if not asked.joins and outlet not in self._seats:
                continue  # it has left
            subs = frozenset(asked.subs)
            known = frozenset() if asked.joins else before.subs
            self._untold[outlet] = (self._untold.get(outlet, frozenset()) | (subs - known)) & subs
            self._seats[outlet] = _Seat.of(subs)
            self._count(before.subs, subs)
            if asked.joins:
                self._joining[outlet] = asked

    def _count(self, before: Iterable[str], after: Iterable[str]) -> None:
        self._wanted.subtract(before)
        self._wanted.update(after)
        for id in before:
            if self._wanted[id] <= 0:
                del self._wanted[id]

    # Clusters

    def _look_at_clusters(self, heads: Sequence[Head]) -> None:
        wanted: dict[str, list[Subject]] = defaultdict(list)
        for id in self._wanted:
            subject = wire.parse_subject(id)
            if subject is not None:
                wanted[subject.slug].append(subject)
        hinted: set[str] = set()
        changed: set[str] = set()
        for head in heads:
            board = self._boards.get(head.slug)
            if board is None or board.head.id != head.id:  # new, or another cluster under an old slug
                board = self._boards[head.slug] = _Board(head)
            board.head = head
            subjects = wanted.get(head.slug, [])
            # rows say otherwise of themselves once no cycle came for a while; those that become too old while they are
            # read are read once more
            moment = time.time()
            if head.cycle != board.cycle or (not board.is_stale and board.has_become_stale(moment)):
                update = self._reader.update(head, subjects)
                hinted |= self._refresh(board, update, subjects, is_whole=True)
                board.cycle, board.is_stale = head.cycle, board.has_become_stale(moment)
                changed.add(head.slug)
                continue
            missing = [
                subject for subject in subjects if subject.id not in (board.prints if subject.is_list else board.rows)
            ]
            if missing:
                update = self._reader.update(head, missing)
                hinted |= self._refresh(board, update, subjects, is_whole=False)
        present = {head.slug for head in heads}
        for slug in [slug for slug in self._boards if slug not in present]:
            del self._boards[slug]
        clusters_print = [(slug, self._boards[slug].prints.get(f"c/{slug}")) for slug in sorted(present)]
        if clusters_print != self._clusters_print:
            if self._clusters_print is not None:
                hinted.add("c")
            self._clusters_print = clusters_print
        self._address(changed, hinted)

    def _refresh(self, board: _Board, update: Update, subjects: Sequence[Subject], *, is_whole: bool) -> set[str]:
        """Encode rows once; returns the ids whose list, or whose shape, has changed."""
        encoded = {id: wire.encode_row(id, row) for id, row in update.rows.items()}
        board.rows = encoded if is_whole else {**board.rows, **encoded}
        changed = {id for id, value in update.fingerprints.items() if board.prints.get(id, value) != value}
        wanted = {subject.id for subject in subjects}
        board.prints = {**{id: value for id, value in board.prints.items() if id in wanted}, **update.fingerprints}
        board.taken_at = update.taken_at
        return changed

    def _address(self, changed: set[str], hinted: set[str]) -> None:
        for outlet, seat in self._seats.items():
            untold = self._untold.get(outlet, frozenset())
            touched = seat.slugs & changed
            hints = seat.subs & hinted
            if not (untold or touched or hints):
                continue
            delivery = self._outgoing[outlet]
            delivery.hints |= hints
            for slug in seat.slugs if untold else touched:
                board = self._boards.get(slug)
                for id in seat.rows.get(slug, ()):
                    if slug in touched or id in untold:
                        delivery.rows[id] = (board.rows.get(id) if board else None) or wire.encode_row(id, None)
                if board is not None:
                    delivery.clusters[slug] = {
                        "cycle": board.cycle,
                        "taken_at": board.taken_at,
                        "interval": board.head.interval,
                    }

    # Events

    def _look_at_events(self) -> None:
        new = self._read_events()
        newest = self._newest or Position(0, 0)
        if new:
            for outlet, seat in self._seats.items():
                if outlet not in self._joining:
                    self._outgoing[outlet].events += [e.encoded for e in new if _concerns(e.item, seat)]
                    self._outgoing[outlet].position = newest
        for outlet, asked in self._joining.items():
            delivery = self._outgoing[outlet]
            delivery.position = newest
            if asked.since is not None:
                missed = self._missed(asked.since, self._seats[outlet])
                delivery.reload = missed is None
                delivery.events = missed or []

    def _missed(self, since: Position, seat: _Seat) -> list[bytes] | None:
        """Events after a position; None when the ring does not reach back so far, or it is another database's."""
        newest = self._newest or Position(0, 0)
        if since.transition > newest.transition or since.mark > newest.mark:
            return None
        if since.transition < self._floor.transition or since.mark < self._floor.mark:
            return None
        missed = [event for event in self._events["transition"] if event.item.id > since.transition]
        missed += [event for event in self._events["mark"] if event.item.id > since.mark]
        return [event.encoded for event in missed if _concerns(event.item, seat)]

    def _read_events(self) -> list[_Event]:
        """Fill the ring up; returns what is new in it."""
        if self._newest is None:
            # some of the past too, so that pages that come back after a restart of this process get what they missed
            newest = self._reader.position()
            after = Position(max(0, newest.transition - EVENTS_KEPT), max(0, newest.mark - EVENTS_KEPT))
            items = self._reader.items(after, EVENTS_KEPT)
            self._floor = self._newest = after
            self._take_in(items)
            return []
        after = Position(
            max(self._floor.transition, self._newest.transition - OVERLAP),
            max(self._floor.mark, self._newest.mark - OVERLAP),
        )
        return self._take_in(self._reader.items(after, EVENTS_KEPT + OVERLAP))

    def _take_in(self, items: Sequence[Item]) -> list[_Event]:
        newest = self._newest or Position(0, 0)
        known = {kind: {event.item.id for event in ring} for kind, ring in self._events.items()}
        tops = {"transition": newest.transition, "mark": newest.mark}
        floors = {"transition": self._floor.transition, "mark": self._floor.mark}
        new: list[_Event] = []
        for item in items:
            if item.id in known[item.kind]:
                continue
            tops[item.kind] = max(tops[item.kind], item.id)
            event = _Event(item, wire.encode_item(item.fields))
            new.append(event)
            ring = self._events[item.kind]
            ring.append(event)
            if len(ring) > EVENTS_KEPT:
                floors[item.kind] = max(floors[item.kind], ring.popleft().item.id)
        self._newest = Position(tops["transition"], tops["mark"])
        self._floor = Position(floors["transition"], floors["mark"])
        if any(event.item.kind == "transition" for event in new):
            self._alerts_at = float("-inf")
        return new

    def _look_at_alerts(self) -> None:
        """The bell's counts: read again after each transition and hint, and now and then in any case."""
        if "alerts" not in self._wanted:
            return
        now = time.monotonic()
        row, changed = self._alerts, False
        if row is None or now - self._alerts_at >= ALERTS_SECONDS:
            self._alerts_at = now
            row = wire.encode_row("alerts", self._reader.alerts())
            changed, self._alerts = row != self._alerts, row
        for outlet, seat in self._seats.items():
            if "alerts" in seat.subs and (changed or "alerts" in self._untold.get(outlet, ())):
                self._outgoing[outlet].rows["alerts"] = row
                if changed:
                    self._outgoing[outlet].hints.add("alerts")

    # Out

    def _hand_over(self) -> None:
        """One hop into each event loop, whatever the number of sockets on it."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Outlet, Delivery]]] = defaultdict(list)
        for outlet, delivery in self._outgoing.items():
            if delivery:
                by_loop[outlet.loop].append((outlet, delivery))
        self._outgoing = defaultdict(Delivery)
        self._joining.clear()
        self._untold.clear()
        for loop, batch in by_loop.items():
            try:
                loop.call_soon_threadsafe(_take_all, batch)
            except RuntimeError:  # the loop was closed: its sockets are gone
                for outlet, _ in batch:
                    self.leave(outlet)

    def _check_sessions(self) -> None:
        """A sign-out elsewhere, an expiry, a changed password or a disabled user closes the sockets."""
        now = time.monotonic()
        if not self._seats or now - self._sessions_at < SESSIONS_SECONDS:
            return
        self._sessions_at = now
        allowed = self._reader.allowed({outlet.session_key for outlet in self._seats})
        for outlet in self._seats:
            if outlet.session_key == OPEN and settings.OPEN_READ_ONLY:
                continue
            if outlet.session_key not in allowed:
                try:
                    outlet.loop.call_soon_threadsafe(outlet.sign_out)
                except RuntimeError:
                    self.leave(outlet)
            else:
                outlet.role = allowed[outlet.session_key]


def _concerns(item: Item, seat: _Seat) -> bool:
    """Alerts stand in every open page; marks only where their cluster is shown."""
    return item.kind == "transition" or item.cluster in seat.slugs


def _take_all(batch: Sequence[tuple[Outlet, Delivery]]) -> None:
    for outlet, delivery in batch:
        outlet.take(delivery)


_hub: Hub | None = None
_hub_lock = threading.Lock()


def get_hub() -> Hub:
    """The hub of this process, made at the first call and not yet started."""
    global _hub
    with _hub_lock:
        if _hub is None:
            _hub = Hub()
        return _hub
