"""Many live pages at once: raw websockets on one event loop, each acknowledging what it gets as a page does."""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from tests.faults.rawsocket import CLOSE, PING, PONG, frame

OPENING_AT_ONCE = 20
LONGEST_HEAD = 2**16


@dataclass(slots=True)
class Heard:
    """What all sockets got since it was last set to zero."""

    frames: int = 0
    bytes: int = 0
    rows: int = 0
    closed: int = 0


@dataclass(frozen=True, slots=True)
class Door:
    """Where pages of one signed-in person connect, and what each shows."""

    port: int
    cookie: str
    subs: tuple[str, ...]


class Crowd:
    """Opens sockets and keeps them; use it inside one running event loop."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.heard = Heard()
        self._tasks: list[asyncio.Task[None]] = []
        self._opening = asyncio.Semaphore(OPENING_AT_ONCE)

    async def grow_to(self, count: int) -> None:
        """Open more until there are `count`, and wait until each had its first frame."""
        began = [asyncio.Event() for _ in range(count - len(self._tasks))]
        self._tasks += [asyncio.create_task(self._page(event)) for event in began]
        async with asyncio.timeout(60):
            await asyncio.gather(*(event.wait() for event in began))

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _page(self, began: asyncio.Event) -> None:
        async with self._opening:
            reader, writer = await self._open()
        try:
            writer.write(frame(orjson.dumps({"t": "hello", "subs": self.door.subs, "seq": None})))
            while True:
                opcode, payload = await _receive(reader)
                if opcode == CLOSE:
                    raise ConnectionError(f"closed: {payload[2:].decode()}")
                if opcode == PING:
                    writer.write(frame(payload, PONG))
                    continue
                said = orjson.loads(payload)
                writer.write(frame(orjson.dumps({"t": "ack", "n": said["n"]})))
                began.set()
                self.heard.frames += 1
                self.heard.bytes += len(payload)
                self.heard.rows += len(said.get("rows", ()))
        except (ConnectionError, asyncio.IncompleteReadError):
            self.heard.closed += 1
        finally:
            writer.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.door.port, limit=LONGEST_HEAD)
        host = f"127.0.0.1:{self.door.port}"
        lines = [
            "GET /ws/ HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
            f"Origin: http://{host}",
            f"Cookie: {self.door.cookie}",
        ]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(f"the socket was refused: {head[:200]!r}")
        return reader, writer


async def _receive(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """(opcode, payload) of the next frame of a server (not masked; RFC 6455, 5.2)."""
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack(">H", await reader.readexactly(2))
    elif length == 127:
        (length,) = struct.unpack(">Q", await reader.readexactly(8))
    return first & 0x0F, await reader.readexactly(length)


def page_of_groups(slug: str, groups: Sequence[str]) -> tuple[str, ...]:
    """What the list of groups subscribes to."""
    return (f"c/{slug}", "alerts", f"g/{slug}", *(f"g/{slug}/{name}" for name in groups[:50]))
