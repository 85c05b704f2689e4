"""The library's connection manager, made honest: it tells of each loss, ends hanging handshakes, and stops knocking
where it was refused."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from kafka.errors import KafkaTimeoutError
from kafka.future import Future
from kafka.net.inet import create_connection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

from .oauth import ClientCredentials
from .reasons import REFUSALS, reason_of

REFUSED_SECONDS = 30.0
"""After a refused sign-in or certificate: asking again at once changes nothing, and may lock the account."""

OnLost = Callable[[int | str, BaseException], None]


@dataclass(slots=True)
class _Refusal:
    failure: BaseException
    until: float  # monotonic


class Manager(KafkaConnectionManager):  # type: ignore[misc]  # the library has no types
    """Calls `on_lost(node, failure)` for each connection that is refused or lost.

    A refusal is kept per address with its first cause: what follows ("socket disconnected") says less. While no
    connection stands at all, one refusal holds for every address, since all of them know the same user.
    """

    def __init__(self, net: NetworkSelector, on_lost: OnLost, **options: Any) -> None:
        self._on_lost = on_lost
        self._tokens: ClientCredentials | None = options.get("sasl_oauth_token_provider")
        self._refusals: dict[tuple[str, int] | None, _Refusal] = {}
        super().__init__(net, **options)

    def connection_delay(self, node_id: Any) -> float:
        """The library asks this before it connects; a refusal makes it long."""
        waited: float = super().connection_delay(node_id)
        if node_id == "metadata" or node_id in self._conns:
            return waited
        refusal = self._refusals.get(self._address(node_id))
        if refusal is None and not any(conn.connected for conn in self._conns.values()):
            refusal = max(self._refusals.values(), key=lambda one: one.until, default=None)
        return max(waited, refusal.until - time.monotonic()) if refusal is not None else waited

    async def _connect(self, node: Any, conn: Any, *args: Any, **kwargs: Any) -> None:
        conn.close_future.add_errback(partial(self._lost, node.node_id))
        if self._tokens is not None:
            failure = await self._token_ready(self._tokens)
            if failure is not None:
                conn.connection_lost(failure)
                self.update_backoff(node.node_id)
                return
        await super()._connect(node, conn, *args, **kwargs)
        if conn.connected:
            self._refusals.pop(self._address(node.node_id), None)
        self._auth_failures.clear()  # the library keeps these for ever; refusals above end

    def _token_ready(self, tokens: ClientCredentials) -> Future:
        future = Future()

        def done(failure: BaseException | None) -> None:
            try:
                self._net.call_soon_threadsafe(lambda: future.success(failure))
            except RuntimeError:
                return  # the link was closed meanwhile

        tokens.ensure(done)
        return future

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        sock = await create_connection(
            self._net,
            node.host,
            node.port,
            self.config["socket_options"],
            proxy_url=self.config["proxy_url"],
            timeout_at=timeout_at,
        )
        if not self.ssl_enabled:
            return _PlainTransport(self._net, sock, host=node.host)
        transport = _TlsTransport(
            self._net, sock, host=str(node.host).strip("[]"), ssl_context=self.config["ssl_context"]
        )
        try:
            await transport.handshake_until(timeout_at)
        except Exception as failure:
            transport.abort(failure)
            raise
        return transport

    def _lost(self, node_id: int | str, failure: BaseException) -> None:
        if self.closed:
            return
        address, reason = self._address(node_id), reason_of(failure)
        before = self._refusals.get(address)
        if reason in REFUSALS or (before is not None and reason == "closed"):
            first = before.failure if before is not None and reason not in REFUSALS else failure
            until = time.monotonic() + REFUSED_SECONDS * random.uniform(1.0, 1.2)
            self._refusals[address] = _Refusal(first, until)
            failure = first
        self._on_lost(node_id, failure)

    def _address(self, node_id: Any) -> tuple[str, int] | None:
        node = self.cluster.broker_metadata(node_id)
        return (str(node.host), int(node.port)) if node is not None else None


class _WholeAnswers:
    """The library drops what was received when the end comes with it: a broker that refuses a sign-in says why and
    closes at once, and whether the reason was heard was a matter of luck. The end is read again the next time."""

    def _sock_recv(self) -> tuple[bytes, BaseException | None]:
        received, failure = super()._sock_recv()  # type: ignore[misc]  # mixed into the library's transports
        return received, None if received else failure


class _PlainTransport(_WholeAnswers, KafkaTCPTransport):  # type: ignore[misc]  # the library has no types
    pass


class _TlsTransport(_WholeAnswers, KafkaSSLTransport):  # type: ignore[misc]  # the library has no types
    """Ends a handshake that nobody answers: the library would wait for it for ever."""

    async def handshake_until(self, timeout_at: float | None) -> None:
        while True:
            try:
                self._sock.do_handshake()
            except ssl.SSLWantReadError:
                if timeout_at is not None and timeout_at <= time.monotonic():
                    raise KafkaTimeoutError("TLS handshake timed out") from None
                await self._net.wait_read(self._sock, timeout_at)
            except ssl.SSLWantWriteError:
                await self._net.wait_write(self._sock, timeout_at)
            else:
                return
