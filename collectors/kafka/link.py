"""The only place that touches kafka-python's private seams: its connection manager, its event loop, its headers.

The library's admin client is not used: each failed constructor of it leaks a thread and descriptors, and its
methods walk all brokers in turn. Its connection manager below does what is wanted (bootstrap with back-off for
as long as it takes, connections, TLS, sign-in, time-outs, throttling) and is built once. Answers are handed back
as bytes and decoded by whoever asked, so that the library's one thread is never busy with decoding.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

from kafka.errors import KafkaConnectionError, KafkaError
from kafka.future import Future
from kafka.net.inet import KafkaNetSocket
from kafka.net.selector import NetworkSelector
from kafka.protocol.api_header import ResponseClassRegistry
from kafka.protocol.broker_version_data import BrokerVersionData

from ..domain.topology import BrokerNode
from .librarylog import quieten
from .manager import Manager

log = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 200_000_000
IN_FLIGHT = 1_000  # above it the library refuses; deadlines, not counts, hold requests back here
_BY_NAME = "by name"


@dataclass(slots=True)
class Answer:
    """The body of an answer. `decode` is the library's, slow for large bodies."""

    body: bytes
    version: int
    response_class: Any
    throttle_time_ms: int = 0

    def decode(self) -> Any:
        return self.response_class.decode(self.body)


_READS = ("ApiVersions", "Describe", "Fetch", "FindCoordinator", "List", "Metadata", "OffsetFetch", "OffsetForLeader")


class WritesRequestError(Exception):
    """A request that would change something in Kafka was about to be made here: a mistake of ours."""


def changes_nothing(name: str) -> bool:
    """Whether the request of this name only reads: all that the road of the collectors ever carries."""
    return name.startswith(_READS) or name.endswith("GroupDescribeRequest")


class Request:
    """One request as the library's connection wants it: a message of the library, or a body made before.

    `message` gives the API, its versions and, where `body` is None, the bytes for the version negotiated.
    """

    def __init__(self, message: Any, *, body: bytes | None = None, version: int | None = None) -> None:
        if not changes_nothing(message.name):
            raise WritesRequestError(message.name)
        self._message = message
        self._body = body
        self.API_KEY = message.API_KEY
        self.API_VERSION = version
        self.name = message.name
        self.min_version, self.max_version = message.min_version, message.max_version
        lowest, highest = getattr(message, "_min_version", None), getattr(message, "_max_version", None)
        self._min_version = lowest if isinstance(lowest, int) else None
        self._max_version = highest if isinstance(highest, int) else None
        self.header: _Header | None = None
        self.size = 0

    def __str__(self) -> str:
        return f"{self.name} v{self.API_VERSION}"

    def expect_response(self) -> bool:
        return True

    def with_header(self, correlation_id: int = 0, client_id: str = "") -> None:
        self.header = _Header(correlation_id, client_id, self.API_KEY, int(self.API_VERSION or 0))

    def encode(self, header: bool = True, framed: bool = True) -> bytes:
        if self.header is None or not (header and framed):
            raise ValueError("a request is only ever encoded framed, with its header")
        version = self.header.request_api_version
        body = self._body if self._body is not None else bytes(self._message.encode(version=version))
        tags = b"\0" if self._message.flexible_version_q(version) else b""
        client = self.header.client_id.encode()
        head = b"".join(
            [
                self.API_KEY.to_bytes(2, "big"),
                version.to_bytes(2, "big"),
                self.header.correlation_id.to_bytes(4, "big"),
                len(client).to_bytes(2, "big"),
                client,
                tags,
            ]
        )
        self.size = len(head) + len(body) + 4
        return (len(head) + len(body)).to_bytes(4, "big") + head + body


@dataclass(slots=True)
class _Header:
    correlation_id: int
    client_id: str
    request_api_key: int
    request_api_version: int

    @property
    def api_key(self) -> int:
        return self.request_api_key

    @property
    def api_version(self) -> int:
        return self.request_api_version

    def get_response_class(self) -> _Undecoded | None:
        found = ResponseClassRegistry.get_response_class(self)
        return None if found is None else _Undecoded(found, self.request_api_version)


@dataclass(slots=True)
class _Undecoded:
    """What the library takes for a response class: it reads the header and keeps the body as it is."""

    response_class: Any
    version: int

    def parse_header(self, buffer: Any) -> Any:
        return self.response_class.parse_header(buffer)

    def decode(self, buffer: Any) -> Answer:
        body = buffer.read()
        throttle = 0
        if self.response_class.json["fields"][0]["name"] == "ThrottleTimeMs" and len(body) >= 4:
            throttle = max(0, int.from_bytes(body[:4], "big", signed=True))
        return Answer(body, self.version, self.response_class, throttle)


@dataclass(eq=False, slots=True)
class Call:
    """A request on its way to one broker. `deadline` (monotonic): when an answer is overdue."""

    node: int
    request: Request
    part: str
    deadline: float
    on_done: Callable[[Call], None] = field(repr=False)
    answer: Answer | None = None
    failure: BaseException | None = None
    aside: bool = False
    tag: Any = None

    @property
    def is_done(self) -> bool:
        return self.answer is not None or self.failure is not None


class Link:
    """Connections to the brokers of one cluster, on one thread of the library. Never blocks the caller.

    `on_lost(node, failure)` is called from that thread whenever a connection is refused or lost; bootstrap
    servers are the nodes "bootstrap-0" and so on.
    """

    def __init__(self, options: dict[str, Any], on_lost: Callable[[int | str, BaseException], None]) -> None:
        quieten()
        self._net = NetworkSelector(client_id=options["client_id"], slow_task_threshold_secs=1.0)
        self._manager = Manager(
            self._net,
            on_lost,
            **options,
            receive_message_max_bytes=MAX_ANSWER_BYTES,
            max_in_flight_requests_per_connection=IN_FLIGHT,
            reconnect_backoff_ms=50,
            reconnect_backoff_max_ms=1_000,
            metadata_max_age_ms=60_000,
            proxy_url=f"{_ResolvingSocket.SCHEMES[0]}://",
        )
        self._net.start()
        self._known = threading.Event()
        self._next_bootstrap = 0.0
        self._bootstrap: Any = None
        self.bootstrap()

    def bootstrap(self) -> None:
        """Ask the bootstrap servers who belongs to the cluster, unless that is under way; retries by itself."""
        now = time.monotonic()
        if now < self._next_bootstrap or (self._bootstrap is not None and not self._bootstrap.is_done):
            return
        self._next_bootstrap = now + 5.0  # only reached when a try ended for good, such as a refused sign-in
        self._bootstrap = self._manager.bootstrap_async(None)
        self._bootstrap.add_callback(lambda _: self._known.set())

    def wait_ready(self, timeout_seconds: float) -> bool:
        """Whether a bootstrap server ever answered; waits for the first time."""
        if not self._known.is_set():
            self.bootstrap()
        return self._known.wait(max(0.0, timeout_seconds))

    @property
    def bootstrap_failure(self) -> BaseException | None:
        return self._bootstrap.exception if self._bootstrap is not None and self._bootstrap.is_done else None

    def node_ids(self) -> list[int]:
        return [node.node_id for node in self._manager.cluster.brokers()]

    def learn(self, brokers: Iterable[BrokerNode], cluster_id: str | None) -> None:
        """Give the library our newer picture of the brokers, so that it finds new ones and forgets old ones."""
        listed = SimpleNamespace(
            API_VERSION=12,
            brokers=[(b.node_id, b.host, b.port, b.rack) for b in brokers],
            controller_id=-1,
            cluster_id=cluster_id,
            topics=[],
        )
        self._net.call_soon_threadsafe(lambda: self._manager.cluster.update_metadata(listed))

    def submit(self, calls: list[Call]) -> None:
        """Send all at once. Each call's `on_done` is called from the library's thread, exactly once."""

        def send_all() -> None:
            for call in calls:
                try:
                    future = self._manager.send(call.request, node_id=call.node)
                except Exception as failure:  # noqa: BLE001 - whatever it is, it is this call's answer
                    _finish(call, failure)
                else:
                    future.add_callback(partial(_finish_with_answer, call))
                    future.add_errback(partial(_finish, call))

        self._net.call_soon_threadsafe(send_all)

    @property
    def is_alive(self) -> bool:
        thread = self._net._io_thread
        return thread is not None and thread.is_alive()

    def close(self) -> None:
        """End the thread and close every connection; idempotent."""
        if self._manager.closed:
            return
        if self.is_alive:
            done = threading.Event()

            def close_connections() -> None:
                try:
                    self._manager.close()
                finally:
                    done.set()

            self._net.call_soon_threadsafe(close_connections)
            done.wait(2.0)
            self._net.stop(2_000)
        self._net.close()


def supported_version(ranges: dict[int, tuple[int, int]]) -> str:
    """The library's guess of a Kafka version from {api key: (lowest, highest version)}, "" where it has none."""
    guess = BrokerVersionData(api_versions=ranges).broker_version
    return ".".join(str(number) for number in guess[:2]) if guess else ""


class _ResolvingSocket(KafkaNetSocket):  # type: ignore[misc]  # the library has no types
    """Resolves names on a thread of their own: the library would stop all answers for as long as DNS hangs."""

    SCHEMES = ("streamgauge-direct",)  # the library chooses its socket class by the scheme of `proxy_url`

    def dns_lookup(self, host: str, port: int, raise_error: bool = False) -> list[Any]:
        try:
            ip_address(host.strip("[]").partition("%")[0])
        except ValueError:
            return [(_BY_NAME, host, port)]
        return list(super().dns_lookup(host.strip("[]"), port, raise_error))

    async def connect(self, net: Any, addrinfo: Any, socket_options: Any = (), timeout_at: float | None = None) -> Any:
        if addrinfo[0] != _BY_NAME:
            return await super().connect(net, addrinfo, socket_options, timeout_at=timeout_at)
        failure: BaseException = KafkaConnectionError("DNS Resolution failure")
        for found in await self._resolve(net, addrinfo[1], addrinfo[2]):
            try:
                return await super().connect(net, found, socket_options, timeout_at=timeout_at)
            except (OSError, KafkaError) as error:
                failure = error
        raise failure

    @staticmethod
    def _resolve(net: Any, host: str, port: int) -> Any:
        future = Future()

        def look_up() -> None:
            try:
                found: list[Any] = list(socket.getaddrinfo(host, port, socket.AF_UNSPEC, socket.SOCK_STREAM))
            except (OSError, UnicodeError):
                found = []
            try:
                net.call_soon_threadsafe(lambda: future.success(found))
            except RuntimeError:
                log.debug("the link was closed while %s was being looked up", host)

        threading.Thread(target=look_up, name="kafka-dns", daemon=True).start()
        return future


def _finish(call: Call, failure: BaseException) -> None:
    if not call.is_done:
        call.failure = failure
        call.on_done(call)


def _finish_with_answer(call: Call, answer: Answer) -> None:
    if not call.is_done:
        call.answer = answer
        call.on_done(call)
