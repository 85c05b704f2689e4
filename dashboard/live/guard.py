"""Daphne's websocket with a limit before its queue: what a flooder sends is counted where it arrives, and cut there.

Daphne puts every incoming message into a queue without bound, so that a consumer's own close comes too late (40 to
105 MB later, measured).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import Any

from daphne.ws_protocol import WebSocketProtocol

from .wire import MAX_MESSAGE_CHARACTERS, Close

log = logging.getLogger(__name__)

FRAMES_A_SECOND = 40
"""Of any kind: messages, their fragments, pings and pongs. Twice what the consumer lets a page say."""
ABORT_SECONDS = 0.5
"""Time for the close frame to get out before the line is cut: who floods does not answer a close."""
MAX_MESSAGE_BYTES = MAX_MESSAGE_CHARACTERS


class GuardedProtocol(WebSocketProtocol):  # type: ignore[misc]  # daphne has no types
    def onConnect(self, request: Any) -> Any:  # noqa: N802 - autobahn's names, here and below
        self.arrivals: deque[float] = deque(maxlen=FRAMES_A_SECOND + 1)
        return super().onConnect(request)

    def processData(self) -> bool:  # noqa: N802
        """What was read already is dropped too: a chunk of empty frames would keep everyone waiting for seconds."""
        if self.muted:
            self.data = b""
            return False
        return bool(super().processData())

    def onMessageFrameBegin(self, length: int) -> None:  # noqa: N802
        self.count()
        super().onMessageFrameBegin(length)

    def onPing(self, payload: bytes) -> None:  # noqa: N802
        self.count()
        if not self.muted:
            super().onPing(payload)

    def onPong(self, payload: bytes) -> None:  # noqa: N802
        self.count()
        super().onPong(payload)

    def count(self) -> None:
        """One more frame; too many within a second end the socket."""
        now = time.monotonic()
        self.arrivals.append(now)
        if not self.muted and len(self.arrivals) > FRAMES_A_SECOND and now - self.arrivals[0] < 1.0:
            self.cut(f"more than {FRAMES_A_SECOND} frames a second")

    def cut(self, reason: str) -> None:
        """Say why, read nothing more, and drop the line without waiting for an answer."""
        from twisted.internet import reactor

        log.warning("live socket cut reason=%r client=%s", reason, self.client_addr)
        self.muted = True  # Daphne then queues no message any more, and no disconnect either: so it is said here
        if hasattr(self, "application_queue"):
            self.application_queue.put_nowait({"type": "websocket.disconnect", "code": int(Close.TOO_FAST_OR_DEAF)})
        self.sendClose(int(Close.TOO_FAST_OR_DEAF), reason)
        self.transport.pauseProducing()
        later: Any = reactor  # the module becomes the reactor when one is installed, which its types do not know
        later.callLater(ABORT_SECONDS, self.transport.abortConnection)
