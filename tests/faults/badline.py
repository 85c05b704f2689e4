"""A bad line between us and a real Kafka: TCP proxies that delay, slice, swallow, reset and refuse.

A client follows the addresses that brokers advertise, so the last step of the session's own way out is bent: whoever
connects to a broker's port gets to its proxy. Everything below and above is the real thing.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from kafka.net.inet import create_connection

from collectors.demo.nodes import KafkaCluster

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset
CHUNK = 4096


@dataclass
class Weather:
    """What the line does to each chunk on its way."""

    delay_seconds: float = 0.0
    bytes_a_second: float = 0.0  # 0: no limit
    stall_share: float = 0.0
    stall_seconds: float = 0.3
    swallows_requests: bool = False
    swallows_answers: bool = False
    refuses: bool = False


class BadLine:
    """A proxy of one broker."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.weather = Weather()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._random = random.Random(7)
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self) -> None:
        """End every connection with a reset."""
        with self._lock:
            doomed, self._open = self._open, set()
        for one in doomed:
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                one.shutdown(socket.SHUT_RD)
            one.close()

    def close(self) -> None:
        self._listener.close()
        self.reset()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.weather.refuses:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._open |= {near, far}
            for source, sink, is_answer in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._pump, args=(source, sink, is_answer), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        try:
            while data := source.recv(CHUNK):
                weather = self.weather
                if weather.swallows_answers if is_answer else weather.swallows_requests:
                    continue
                if weather.delay_seconds:
                    time.sleep(weather.delay_seconds)
                if weather.stall_share and self._random.random() < weather.stall_share:
                    time.sleep(weather.stall_seconds)
                self._send(sink, data, weather)
        except OSError:
            pass
        finally:
            for one in (source, sink):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                with self._lock:
                    self._open.discard(one)
                one.close()

    def _send(self, sink: socket.socket, data: bytes, weather: Weather) -> None:
        if not weather.bytes_a_second:
            sink.sendall(data)
            return
        slice_bytes = max(1, int(weather.bytes_a_second / 20))
        for at in range(0, len(data), slice_bytes):
            part = data[at : at + slice_bytes]
            sink.sendall(part)
            time.sleep(len(part) / weather.bytes_a_second)


@contextlib.contextmanager
def bad_lines(kafka: KafkaCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, BadLine]]:
    """A line to each broker, by node id, fine until told otherwise."""
    ports = [int(address.rpartition(":")[2]) for address in kafka.bootstrap.split(",")]
    lines = {node: BadLine(port) for node, port in zip(kafka.node_ids, ports, strict=True)}
    bent = {line.target: line.port for line in lines.values()}

    async def bend(net: Any, host: str, port: int, *args: Any, **more: Any) -> Any:
        return await create_connection(net, host, bent.get(port, port), *args, **more)

    monkeypatch.setattr("collectors.kafka.manager.create_connection", bend)
    try:
        yield lines
    finally:
        for line in lines.values():
            line.close()
