"""Daphne's HTTP with limits before its disk: how large a request may be, and how long it may take to arrive.

Twisted writes a whole body to a temporary file before anything of ours sees the first byte of it, and its idle timeout
begins anew with each byte.
"""

from __future__ import annotations

import logging
from typing import Any

from daphne.http_protocol import WebRequest

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 8_000_000
"""Two key stores, each of the most that the form takes, and the fields beside them."""
REQUEST_SECONDS = 15.0
"""From the first line of a request to the last byte of its body."""
GONE_SECONDS = 0.5
"""Time for the answer to get out before the line is cut: who sends too much does not stop to listen."""


class BoundedRequest(WebRequest):  # type: ignore[misc]  # daphne has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.is_refused = False
        self.taken = 0
        self.deadline = _reactor().callLater(REQUEST_SECONDS, self.refuse, 408, "Request Timeout")
        super().__init__(*args, **kwargs)

    def gotLength(self, length: int | None) -> None:  # noqa: N802 - Twisted's names, here and below
        super().gotLength(0 if length is not None and length > MAX_BODY_BYTES else length)
        if length is not None and length > MAX_BODY_BYTES:
            self.refuse(413, "Content Too Large")

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        if self.is_refused:
            return
        self.taken += len(data)
        if self.taken > MAX_BODY_BYTES:
            self.refuse(413, "Content Too Large")
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        if not self.is_refused:
            self._forget_deadline()
            super().requestReceived(command, path, version)

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        self._forget_deadline()
        super().connectionLost(reason)

    def refuse(self, status: int, words: str) -> None:
        """Answer without waiting for the rest, read nothing more, and drop the line."""
        if self.is_refused or self.channel is None:
            return
        self.is_refused = True
        self._forget_deadline()
        log.warning("request refused status=%s client=%s", status, getattr(self.client, "host", ""))
        transport = self.channel.transport
        body = f"{status} {words}\n"
        head = f"HTTP/1.1 {status} {words}\r\nConnection: close\r\nContent-Type: text/plain\r\n"
        transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        transport.pauseProducing()
        _reactor().callLater(GONE_SECONDS, transport.abortConnection)

    def _forget_deadline(self) -> None:
        if self.deadline.active():
            self.deadline.cancel()


def bound(factory: Any) -> None:
    """Have a factory of Daphne's make bounded requests; it makes the factory itself, when it starts."""
    build = factory.buildProtocol

    def build_bounded(address: Any) -> Any:
        protocol = build(address)
        protocol.requestFactory = BoundedRequest
        return protocol

    factory.buildProtocol = build_bounded


def _reactor() -> Any:
    """Twisted's reactor is a module that becomes an object when one is installed."""
    from twisted.internet import reactor

    return reactor
