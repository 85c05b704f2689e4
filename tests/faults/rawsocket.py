"""A websocket client that can misbehave: every byte of it is decided by the test."""

from __future__ import annotations

import base64
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


@dataclass
class Ended:
    """How the server ended it: a close code (None: the line was cut) and after how many seconds."""

    code: int | None
    reason: str
    seconds: float


@dataclass
class Target:
    """Where to knock, and as whom."""

    port: int
    cookie: str = ""
    origin: str | None = None
    path: str = "/ws/"
    host: str = ""
    tls: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def but(self, **changes: Any) -> Target:
        return Target(**{**self.__dict__, **changes})


class RawSocket:
    def __init__(self, target: Target, *, receive_buffer: int | None = None) -> None:
        self.target = target
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(40)
        self.socket.connect(("127.0.0.1", target.port))
        if target.tls is not None:
            self.socket = target.tls.wrap_socket(self.socket, server_hostname=target.host.partition(":")[0])
        self.buffer = b""
        self.began = time.monotonic()

    def handshake(self, **more: str) -> tuple[int, str]:
        """Status and head of the server's answer."""
        host = self.target.host or f"127.0.0.1:{self.target.port}"
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {self.target.path} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            *([f"Origin: {self.target.origin}"] if self.target.origin is not None else []),
            *([f"Cookie: {self.target.cookie}"] if self.target.cookie else []),
            *(f"{name.replace('_', '-')}: {value}" for name, value in {**self.target.headers, **more}.items()),
        ]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.buffer:
            part = self.socket.recv(4096)
            if not part:
                break
            self.buffer += part
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), head.decode("latin-1")

    def open(self) -> RawSocket:
        status, head = self.handshake()
        assert status == 101, head
        return self

    def send(
        self, payload: bytes, opcode: int = TEXT, *, fin: bool = True, masked: bool = True, reserved: int = 0
    ) -> None:
        self.socket.sendall(frame(payload, opcode, fin=fin, masked=masked, reserved=reserved))

    def say(self, **message: object) -> None:
        self.send(orjson.dumps(message))

    def receive(self) -> tuple[int, bytes] | None:
        """(opcode, payload) of the next frame; None when the line is gone."""
        try:
            first, second = self._take(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack(">H", self._take(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self._take(8))
            return first & 0x0F, self._take(length)
        except (ConnectionError, EOFError):
            return None

    def hear(self) -> dict[str, object]:
        """The next JSON frame, acknowledged; pings are answered."""
        while True:
            got = self.receive()
            assert got is not None, "the line was cut"
            opcode, payload = got
            if opcode == PING:
                self.send(payload, PONG)
            elif opcode == CLOSE:
                raise AssertionError(f"closed: {payload!r}")
            else:
                said: dict[str, object] = orjson.loads(payload)
                self.say(t="ack", n=said["n"])
                return said

    def ended(self, *, answer_pings: bool = True) -> Ended:
        """Read until the server ends it."""
        while True:
            got = self.receive()
            if got is None:
                return Ended(None, "", time.monotonic() - self.began)
            opcode, payload = got
            if opcode == PING and answer_pings:
                try:
                    self.send(payload, PONG)
                except ConnectionError:
                    return Ended(None, "", time.monotonic() - self.began)
            if opcode == CLOSE:
                code = struct.unpack(">H", payload[:2])[0] if len(payload) > 1 else 1005
                return Ended(code, payload[2:].decode(), time.monotonic() - self.began)

    def ended_unread(self, seconds: float) -> Ended | None:
        """Wait for the line to be cut without reading one byte; None when it was not within `seconds`."""
        watch = select.poll()
        watch.register(self.socket, select.POLLHUP | select.POLLERR)
        while time.monotonic() - self.began < seconds:
            if watch.poll(200):
                return Ended(None, "", time.monotonic() - self.began)
        return None

    def close(self) -> None:
        self.socket.close()

    def _take(self, count: int) -> bytes:
        while len(self.buffer) < count:
            part = self.socket.recv(65536)
            if not part:
                raise EOFError
            self.buffer += part
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """RFC 6455, 5.2; the mask is zero, so that making a flood costs this side nothing."""
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    mark = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([mark | len(payload)])
    elif len(payload) < 65536:
        head += bytes([mark | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([mark | 127]) + struct.pack(">Q", len(payload))
    return head + (b"\0\0\0\0" if masked else b"") + payload
