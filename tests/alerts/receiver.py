"""A real HTTP server on loopback that answers as a test says, and the sender driven until something is true."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.utils import timezone

from dashboard.alerts.outbox import notification_counts
from dashboard.alerts.sender import Sender
from dashboard.models import Delivery


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]


@dataclass
class Receiver:
    """Answers as `script` says for each request in turn, then as `otherwise` does."""

    url: str = ""
    script: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    otherwise: Callable[[BaseHTTPRequestHandler, Received], None] | None = None  # None: 200
    released: threading.Event = field(default_factory=threading.Event)


def status(code: int, body: bytes = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def said_json(handler: BaseHTTPRequestHandler, body: Any, code: int = 200) -> None:
    status(code, json.dumps(body).encode(), Content_Type="application/json")(handler)


@contextmanager
def listening() -> Iterator[Receiver]:
    seen = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            seen.received.append(request)
            if seen.script:
                seen.script.pop(0)(self)
            elif seen.otherwise is not None:
                seen.otherwise(self, request)
            else:
                status(200)(self)

        def do_GET(self) -> None:
            raise AssertionError("a redirect was followed")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    seen.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield seen
    seen.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


def drive(sender: Sender, until: Callable[[], bool], *, seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < ends, list(
            Delivery.objects.values("channel__name", "state", "attempts", "last_error")
        )
        sender.turn()
        sender._woken.wait(0.02)
        sender._woken.clear()


def due_now() -> None:
    Delivery.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def state_of(delivery: Delivery) -> str:
    delivery.refresh_from_db()
    return str(delivery.state)


def counts(channel: str = "ops") -> dict[str, int]:
    return {outcome: count for name, outcome, count in notification_counts() if name == channel and count}
