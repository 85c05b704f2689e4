"""The socket of one page: joins, acknowledges, forwards; what it says and hears is in wire.py."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from typing import Any, ClassVar, NoReturn

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from dashboard.live import wire
from dashboard.live.hub import get_hub
from dashboard.live.outlet import OPEN, Outlet
from dashboard.live.wire import Ack, BadMessage, Close, Hello, Subs

log = logging.getLogger(__name__)

ACK_SECONDS = 20.0
"""And a second or so until the line is cut: who does not read is gone within 30 s."""
HEARTBEAT_SECONDS = 10.0
FRAME_GAP_SECONDS = 0.1
"""At most ten frames a second, and so ten acknowledgements: half of what a page may say."""
MESSAGES_A_SECOND = 20


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    # No channel of its own: a layer would cost a subscription per socket; the hub is asked and answers directly.
    channel_layer_alias = "none"
    ack_seconds: ClassVar[float] = ACK_SECONDS
    heartbeat_seconds: ClassVar[float] = HEARTBEAT_SECONDS

    async def dispatch(self, message: dict[str, Any]) -> None:
        # Channels' own runs a thread for each message to close old database connections; a receiving socket must
        # await nothing slow, since a flood waits in a queue without bound meanwhile.
        handlers = {
            "websocket.connect": self.websocket_connect,
            "websocket.receive": self.websocket_receive,
            "websocket.disconnect": self.websocket_disconnect,
        }
        await handlers[message["type"]](message)

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        self.outlet: Outlet | None = None
        self.writer: asyncio.Task[None] | None = None
        self.frame = 0
        self.greeted = asyncio.Event()
        self.heard: deque[float] = deque(maxlen=MESSAGES_A_SECOND + 1)
        await self.accept()
        user, session = self.scope["user"], self.scope["session"]
        is_known = user.is_authenticated and user.is_active and session.session_key
        if not (is_known or settings.OPEN_READ_ONLY):
            # accepted first: a page cannot read why a handshake was refused
            await self.refuse(Close.SIGNED_OUT, "not signed in")
        self.outlet = Outlet(asyncio.get_running_loop(), session_key=session.session_key if is_known else OPEN)
        self.writer = asyncio.create_task(self.write(self.outlet))

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        now = time.monotonic()
        self.heard.append(now)
        if len(self.heard) > MESSAGES_A_SECOND and now - self.heard[0] < 1.0:
            await self.refuse(Close.TOO_FAST_OR_DEAF, f"more than {MESSAGES_A_SECOND} messages a second")
        text = message.get("text")
        if text is None:
            await self.refuse(Close.BAD_MESSAGE, "binary frames mean nothing here")
        try:
            needed, said = wire.parse_message(text)
        except BadMessage as error:
            await self.refuse(Close.BAD_MESSAGE, str(error))
        if self.outlet is None or self.outlet.role < needed:
            await self.refuse(Close.BAD_MESSAGE, f"this needs the role {needed.label}")
        await self.hear(said)

    async def hear(self, said: wire.Message) -> None:
        assert self.outlet is not None
        match said:
            case Hello(subs, since):
                if self.greeted.is_set():
                    await self.refuse(Close.BAD_MESSAGE, "hello was said before")
                self.greeted.set()
                hub = get_hub()
                hub.start(self.outlet.loop)
                hub.join(self.outlet, subs, since)
            case Subs(subs):
                if not self.greeted.is_set():
                    await self.refuse(Close.BAD_MESSAGE, "hello comes first")
                self.outlet.forget_rows(subs)
                get_hub().subscribe(self.outlet, subs)
            case Ack(frame):
                if frame > self.frame:
                    await self.refuse(Close.BAD_MESSAGE, f"frame {frame} was not sent yet")
                if frame == self.frame:
                    self.outlet.acknowledged.set()

    async def write(self, outlet: Outlet) -> None:
        """One frame in flight: the next waits for the page's acknowledgement, and newer state replaces older."""
        # asyncio.timeout throughout: up to Python 3.11 wait_for loses a cancellation that comes with its result
        try:
            async with asyncio.timeout(self.ack_seconds):
                await self.greeted.wait()
        except TimeoutError:
            await self.end(Close.TOO_FAST_OR_DEAF, f"no hello for {self.ack_seconds:g} s")
            return
        while True:
            try:
                async with asyncio.timeout(self.ack_seconds):
                    await outlet.acknowledged.wait()
            except TimeoutError:
                await self.end(Close.TOO_FAST_OR_DEAF, f"no acknowledgement for {self.ack_seconds:g} s")
                return
            with contextlib.suppress(TimeoutError):  # then an empty frame says that the line is alive, and the time
                async with asyncio.timeout(self.heartbeat_seconds):
                    await outlet.something.wait()
            if outlet.is_signed_out:
                await self.end(Close.SIGNED_OUT, "signed out")
                return
            self.frame += 1
            outlet.acknowledged.clear()
            await self.send(text_data=outlet.next_frame(self.frame, time.time()).decode())
            await asyncio.sleep(FRAME_GAP_SECONDS)

    async def end(self, code: Close, reason: str) -> None:
        log.info("live socket closed code=%s reason=%r", int(code), reason)
        self.leave()
        await self.close(code=int(code), reason=reason[:120])

    async def refuse(self, code: Close, reason: str) -> NoReturn:
        """Close, and hear nothing more: what a flooder still sends is not read."""
        await self.end(code, reason)
        if self.writer is not None:
            self.writer.cancel()
        raise StopConsumer

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        self.leave()
        if self.writer is not None:
            self.writer.cancel()
        raise StopConsumer

    def leave(self) -> None:
        if self.outlet is not None:
            get_hub().leave(self.outlet)
