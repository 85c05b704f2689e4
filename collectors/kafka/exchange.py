"""Requests out and answers in, under deadlines of our own, and what that says about each broker."""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka.errors import IncompatibleBrokerVersion, KafkaTimeoutError, NodeNotReadyError, UnknownBrokerIdError
from kafka.protocol.metadata import ApiVersionsRequest

from ..domain.topology import BrokerNode, Reach
from .link import Answer, Call, Link, Request
from .oauth import ClientCredentials
from .reasons import Tally, reason_of
from .settings import ConnectionSettings

log = logging.getLogger(__name__)

NO_ANSWER = "timeout"
LOOK_SECONDS = 0.1
FIRST_CHOICE_SECONDS = 1.0
"""How long the first broker asked may think before a second one is asked the same."""
LOST_ALL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class BrokerReach:
    """What our own connections say of a broker; `since` is unix time. DOWN is never said here (Metadata says it)."""

    state: Reach
    reason: str
    since: float


@dataclass(slots=True)
class _Node:
    reach: BrokerReach
    outstanding: set[Call] = field(default_factory=set)
    outstanding_aside: set[Call] = field(default_factory=set)

    def owed(self, aside: bool) -> set[Call]:
        return self.outstanding_aside if aside else self.outstanding

    def is_overdue(self, now: float, *, aside: bool = False) -> bool:
        return any(call.deadline < now for call in self.owed(aside))


class Exchange:
    """The links and the state of every broker met. Safe for a cycle thread and a survey thread at once.

    There are two links. A broker answers one connection strictly in order and forwards some questions to the
    controller (quorum, reassignments): with a hung controller these would hold up every broker's offsets, so they
    go "aside", over connections of their own, made at the first such question; what happens there says nothing of
    the broker asked.

    A broker with an answer outstanding past its deadline gets no new request until the answer comes or the
    library's own time-out closes the connection. `on_attention` is called (from any thread, never blocking)
    when the picture of the cluster looks old: a connection was lost, a leader or coordinator has moved.
    """

    def __init__(self, settings: ConnectionSettings, client_id: str) -> None:
        self._options = settings.for_admin() | {"client_id": client_id}
        self._tokens = ClientCredentials(settings) if settings.sasl_mechanism == "OAUTHBEARER" else None
        if self._tokens is not None:
            self._options["sasl_oauth_token_provider"] = self._tokens
        self._lock = threading.RLock()
        self._link: Link | None = None
        self._link_aside: Link | None = None
        self._closed = False
        self._nodes: dict[int, _Node] = {}
        self._listed: frozenset[int] = frozenset()
        self._bootstrap_reason = NO_ANSWER
        self._last_answer = time.monotonic()
        self.on_attention: Callable[[], None] | None = None
        self.requests = 0
        self.bytes_out = 0
        self.bytes_in = 0

    # --- the link -----------------------------------------------------------------------------------------

    def connected(self, deadline: float, tally: Tally) -> Link | None:
        """The link once a bootstrap server answered, or None, with the reason counted under "connect"."""
        with self._lock:
            if self._closed:
                tally.add("connect", "closed", None)
                return None
            if self._link is None or not self._link.is_alive:
                self._forget_dead(self._link, aside=False)
                self._link = Link(self._options, self._lost)
            link = self._link
        if link.wait_ready(deadline - time.monotonic()):
            return link
        failure = link.bootstrap_failure
        tally.add("connect", reason_of(failure) if failure is not None else self._bootstrap_reason, None)
        return None

    def _connected_aside(self, deadline: float) -> Link | None:
        with self._lock:
            if self._closed:
                return None
            if self._link_aside is None or not self._link_aside.is_alive:
                self._forget_dead(self._link_aside, aside=True)
                self._link_aside = Link(self._options, lambda node, failure: None)
            link = self._link_aside
        return link if link.wait_ready(deadline - time.monotonic()) else None

    def _forget_dead(self, link: Link | None, *, aside: bool) -> None:
        """The library's thread died of a bug of its own: its connections, and what they owe, are worth nothing."""
        if link is None:
            return
        log.error("the client library's thread ended; connecting anew")
        link.close()
        for node in self._nodes.values():
            node.owed(aside).clear()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            links = (self._link, self._link_aside)
            self._link = self._link_aside = None
        if self._tokens is not None:
            self._tokens.close()
        for link in links:
            if link is not None:
                link.close()

    def learn(self, link: Link, brokers: Iterable[BrokerNode], cluster_id: str | None) -> None:
        """Take over which brokers the cluster lists; what others were met is forgotten."""
        brokers = tuple(brokers)
        with self._lock:
            self._listed = frozenset(broker.node_id for broker in brokers)
            self._nodes = {node: state for node, state in self._nodes.items() if node in self._listed}
            aside = self._link_aside
        if brokers:
            link.learn(brokers, cluster_id)
            if aside is not None and aside.is_alive:
                aside.learn(brokers, cluster_id)

    # --- what is known of the brokers ---------------------------------------------------------------------

    def reach(self) -> dict[int, BrokerReach]:
        """Every broker ever asked (and still listed): UP after an answer, else SUSPECT with the reason."""
        now = time.monotonic()
        with self._lock:
            for state in self._nodes.values():
                if state.reach.state is Reach.UP and state.is_overdue(now):
                    state.reach = BrokerReach(Reach.SUSPECT, NO_ANSWER, time.time())
            return {node: state.reach for node, state in sorted(self._nodes.items())}

    def suspects(self) -> dict[int, str]:
        return {node: r.reason for node, r in self.reach().items() if r.state is not Reach.UP}

    def listed(self, link: Link) -> list[int]:
        """The brokers to choose from, the best first: known good ones, at random among equals."""
        nodes = list(self._listed or link.node_ids())
        random.shuffle(nodes)
        suspects = self.suspects()
        return sorted(nodes, key=lambda node: node in suspects)

    def attention(self) -> None:
        if self.on_attention is not None:
            self.on_attention()

    def _lost(self, node: int | str, failure: BaseException) -> None:
        """From the library's thread: a connection was refused or lost."""
        reason = reason_of(failure)
        if isinstance(node, str):
            self._bootstrap_reason = reason
            return
        with self._lock:
            if self._closed or (self._listed and node not in self._listed):
                return
            self._suspect(node, reason)
        self.attention()

    def _suspect(self, node: int, reason: str) -> None:
        state = self._nodes.get(node)
        if state is None:
            self._nodes[node] = _Node(BrokerReach(Reach.SUSPECT, reason, time.time()))
        elif state.reach.state is Reach.UP:
            state.reach = BrokerReach(Reach.SUSPECT, reason, time.time())
        elif reason not in (NO_ANSWER, "closed", "not connected"):
            state.reach = BrokerReach(Reach.SUSPECT, reason, state.reach.since)

    def _note(self, call: Call) -> None:
        """From the library's thread: a call is over."""
        with self._lock:
            state = self._nodes.get(call.node)
            if state is not None:
                state.owed(call.aside).discard(call)
            if call.answer is not None:
                self.bytes_in += len(call.answer.body)
                self.bytes_out += call.request.size
                if call.aside:
                    return
                self._last_answer = time.monotonic()
                if state is None:
                    if not self._listed or call.node in self._listed:
                        self._nodes[call.node] = _Node(BrokerReach(Reach.UP, "", time.time()))
                elif state.reach.state is not Reach.UP and not state.is_overdue(time.monotonic()):
                    state.reach = BrokerReach(Reach.UP, "", time.time())
                return
            failure = call.failure
            if isinstance(failure, NodeNotReadyError | UnknownBrokerIdError):
                self.requests -= 1  # the library did not send it
            if call.aside:
                return
            if not isinstance(failure, IncompatibleBrokerVersion) and (not self._listed or call.node in self._listed):
                self._suspect(call.node, reason_of(failure) if failure is not None else NO_ANSWER)

    def reason_of_call(self, call: Call) -> str:
        """Why a call has no answer, in a word."""
        if call.failure is None:
            return NO_ANSWER
        if isinstance(call.failure, NodeNotReadyError):  # the library backs off: the cause is what was seen before
            state = self._nodes.get(call.node)
            return state.reach.reason if state and state.reach.reason else "not connected"
        return reason_of(call.failure)

    # --- asking -------------------------------------------------------------------------------------------

    def send(self, link: Link, calls: Sequence[Call]) -> None:
        """Send all at once; those for a broker that still owes an overdue answer fail without being sent."""
        now = time.monotonic()
        going: list[Call] = []
        owing: list[Call] = []
        with self._lock:
            for call in calls:
                state = self._nodes.get(call.node)
                if state is None:
                    # Nobody is up before the first answer; the state is there to hold what is outstanding.
                    state = self._nodes[call.node] = _Node(BrokerReach(Reach.UP, "", time.time()))
                if state.is_overdue(now, aside=call.aside):
                    owing.append(call)
                    continue
                state.owed(call.aside).add(call)
                going.append(call)
            self.requests += len(going)
        for call in owing:
            call.failure = KafkaTimeoutError("an earlier answer is overdue")
            call.on_done(call)
        if not going:
            return
        try:
            link.submit(going)
        except Exception as failure:  # noqa: BLE001 - the library's thread has ended, of whatever; see connected()
            for call in going:
                call.failure = failure
                call.on_done(call)

    def gather(
        self, link: Link, requests: Iterable[tuple[int, str, Request, Any]], deadline: float, *, aside: bool = False
    ) -> list[Call]:
        """Ask (node, part, request, tag) all at once and wait until all are over, or until the deadline.

        `aside` for questions that may take a broker long: what it owes there holds nothing else up. Calls without an
        answer then have a failure or are left running; brokers found hanging by somebody else meanwhile are not
        waited for.
        """
        over: queue.SimpleQueue[Call] = queue.SimpleQueue()

        def done(call: Call) -> None:
            self._note(call)
            over.put(call)

        calls = [
            Call(node, request, part, deadline, done, aside=aside, tag=tag) for node, part, request, tag in requests
        ]
        road = self._connected_aside(deadline) if aside else link
        if road is None:
            return calls
        self.send(road, calls)
        waiting = set(calls)
        while waiting:
            left = deadline - time.monotonic()
            try:
                waiting.discard(over.get(timeout=max(0.0, min(LOOK_SECONDS, left))))
                continue
            except queue.Empty:
                pass
            if time.monotonic() >= deadline or self._all_hang(waiting):
                break
        self._look_for_new_addresses(link)
        return calls

    def _all_hang(self, waiting: Iterable[Call]) -> bool:
        now = time.monotonic()
        with self._lock:
            return all(
                (state := self._nodes.get(call.node)) is None or state.is_overdue(now, aside=call.aside)
                for call in waiting
            )

    def _look_for_new_addresses(self, link: Link) -> None:
        """When nobody has answered for a while, the bootstrap servers are asked again (KIP-899)."""
        if time.monotonic() - self._last_answer > LOST_ALL_SECONDS:
            link.bootstrap()

    def ask_any(
        self, link: Link, part: str, make: Callable[[], Request], deadline: float, tally: Tally, *, aside: bool = False
    ) -> Answer | None:
        """Ask one broker, and the next one when it fails or takes long; None with the reasons counted if none did.

        `aside` for questions that brokers forward to the controller.
        """
        over: queue.SimpleQueue[Call] = queue.SimpleQueue()

        def done(call: Call) -> None:
            self._note(call)
            over.put(call)

        nodes = self.listed(link)
        road = self._connected_aside(deadline) if aside else link
        if road is None or not nodes:
            tally.add(part, "not connected", None)
            return None
        asked: list[Call] = []
        running = 0
        for position, node in enumerate(nodes):
            call = Call(node, make(), part, deadline, done, aside=aside)
            asked.append(call)
            self.send(road, [call])
            running += 1
            last = position == len(nodes) - 1
            until = deadline if last else min(deadline, time.monotonic() + FIRST_CHOICE_SECONDS)
            while running and (left := until - time.monotonic()) > 0:
                try:
                    finished = over.get(timeout=left)
                except queue.Empty:
                    break
                running -= 1
                if finished.answer is not None:
                    return finished.answer
                if not last and finished is call:
                    break
            if time.monotonic() >= deadline:
                break
        for call in asked:
            tally.add(part, self.reason_of_call(call), call.node)
        self._look_for_new_addresses(link)
        return None

    def probe_suspects(self) -> None:
        """Knock at brokers that are suspect, without waiting: whoever answers is up again."""
        with self._lock:
            link = self._link
        suspects = self.suspects()
        if link is None or not suspects:
            return
        deadline = time.monotonic() + FIRST_CHOICE_SECONDS
        self.send(link, [Call(node, ping(), "connect", deadline, self._note) for node in suspects])


def ping() -> Request:
    """The cheapest request there is: ApiVersions."""
    return Request(ApiVersionsRequest(client_software_name="streamgauge", client_software_version="0"))
