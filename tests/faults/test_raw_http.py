"""HTTP as no client sends it, past every library, to a running instance: rows of facts/reliability.md 3.1."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.intake import MAX_BODY_BYTES
from tests.e2e.served import Served

from .rawsocket import Target

WITHIN_SECONDS = 30.0


class Line:
    """A connection that sends what it is told and reads what comes."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WITHIN_SECONDS + 5)
        self.began = time.monotonic()

    def send(self, data: bytes) -> bool:
        """Whether the other side still takes it."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def answer(self) -> tuple[int | None, bytes]:
        """(status, everything up to the end); None when the line was cut without an answer."""
        received = b""
        with contextlib.suppress(OSError):
            while part := self.socket.recv(65536):
                received += part
                head, end, body = received.partition(b"\r\n\r\n")
                if end and (length := _length(head)) is not None and len(body) >= length:
                    break
        return (int(received.split(b" ", 2)[1]) if received.startswith(b"HTTP/1.1 ") else None), received

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


def _length(head: bytes) -> int | None:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return None


@pytest.fixture
def served(unreachable: Served) -> Iterator[Served]:
    """The instance, that answers as ever afterwards and has no traceback in its log."""
    before = unreachable.log.read_text(errors="replace").count("Traceback")
    yield unreachable
    assert unreachable.is_alive()
    assert unreachable.log.read_text(errors="replace").count("Traceback") == before


def ask(served: Served, request: bytes) -> tuple[int | None, bytes]:
    line = Line(served.port)
    line.send(request)
    return line.answer()


def get(served: Served, path: str = "/healthz", *lines: str, host: str | None = None) -> tuple[int | None, bytes]:
    head = [f"GET {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{served.port}'}", "Connection: close", *lines]
    return ask(served, ("\r\n".join(head) + "\r\n\r\n").encode("latin-1"))


def post_head(served: Served, *lines: str) -> bytes:
    head = ["POST /signin/ HTTP/1.1", f"Host: 127.0.0.1:{served.port}", "Content-Type: text/plain", *lines]
    return ("\r\n".join(head) + "\r\n\r\n").encode()


def test_h10_a_body_that_is_too_large_is_refused_before_it_is_read(served: Served) -> None:
    line = Line(served.port)
    line.send(post_head(served, f"Content-Length: {MAX_BODY_BYTES + 1}"))
    assert line.answer()[0] == 413
    assert line.seconds < 3


def test_h10_a_body_without_end_is_cut_at_the_limit(served: Served) -> None:
    before = spooled()
    line = Line(served.port)
    line.send(post_head(served, "Transfer-Encoding: chunked"))
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    sent = 0
    while sent < 12 * MAX_BODY_BYTES and line.send(chunk):
        sent += len(chunk)
    assert sent < 4 * MAX_BODY_BYTES, "the sender was not stopped"
    assert line.seconds < WITHIN_SECONDS
    assert spooled() <= before, "nothing of it stays on disk"


def test_h10_a_small_body_within_the_limit_is_taken(served: Served) -> None:
    status, answer = ask(served, post_head(served, "Content-Length: 3", "Connection: close") + b"a=b")
    assert status == 403, "without the token of a form"
    assert b"This form was refused" in answer


def test_h10_a_request_that_trickles_is_cut(served: Served) -> None:
    """A byte a second: of the body, and of the headers."""
    body, head = Line(served.port), Line(served.port)
    body.send(post_head(served, "Content-Length: 1000"))
    head.send(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
    both = [body, head]
    while body.seconds < WITHIN_SECONDS + 2 and sum(line.send(b"x") for line in both):
        time.sleep(1.0)
    assert body.seconds < WITHIN_SECONDS + 2, "both were still taken"
    assert body.answer()[0] in (408, None)


def spooled() -> int:
    """Bytes of temporary files, those without a name any more included."""
    total = 0
    folder = tempfile.gettempdir()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if str(link.readlink()).startswith(folder) and "(deleted)" in str(link.readlink()):
                total += link.stat().st_size
    return total


@pytest.mark.parametrize(
    "path",
    [
        "/%2e%2e/%2e%2e/etc/passwd", "/static/../../../etc/passwd", "/static/%2e%2e/%2e%2e/manage.py", "//etc/passwd",
        "/\\..\\..\\etc\\passwd", "/clusters/%00/", "/clusters/..%2f..%2fetc/", "/static/%00", "/%ff%fe/", "/~root/",
    ],
)  # fmt: skip
def test_h14_a_path_that_climbs_finds_nothing(served: Served, path: str) -> None:
    status, answer = get(served, path)
    assert status in (400, 404, 302), answer[:200]
    assert b"root:" not in answer
    assert b"DJANGO_SETTINGS_MODULE" not in answer


@pytest.mark.parametrize(
    ("path", "host", "lines"),
    [
        ("/", "evil.example", ()),
        ("/", "evil.example:8000", ()),
        ("/", "127.0.0.1@evil.example", ()),
        ("/", "", ()),
        ("/", "127.0.0.1", ("Host: evil.example",)),
        ("http://evil.example/", "evil.example", ()),
    ],
)
def test_h16_a_host_that_is_not_ours_is_400(served: Served, path: str, host: str, lines: tuple[str, ...]) -> None:
    status, answer = get(served, path, *lines, host=host or " ")
    assert status == 400, answer[:300]
    assert b"evil.example" not in answer


@pytest.mark.parametrize(
    ("lines", "statuses"),
    [
        ([f"X-{number}: 1" for number in range(10_000)], {400, 431, None}),
        (["Cookie: " + "x" * 65_536], {400, 431, None}),
        (["X-Long: " + "x" * 1_000_000], {400, 431, None}),
        (["X-Twice: 1", "X-Twice: 2"], {200}),
        ([f"Cookie: a={number}" for number in range(400)], {200, 400}),
        (["Content-Length: 1", "Content-Length: 2"], {400, None}),
        (["Content-Length: -1"], {400, None}),
        (["Content-Length: 5", "Transfer-Encoding: chunked"], {400, None}),
        (["no colon here"], {400, None}),
        *[([f"X-Control: a{sign}Origin: https://evil.example"], {200, 400}) for sign in "\x0b\x0c\x1c\x1d\x1e\x85\x00"],
    ],
    ids=lambda value: str(value)[:30].encode("unicode_escape").decode(),
)
def test_h17_h18_headers_that_are_too_many_too_long_or_broken_are_refused(
    served: Served, lines: list[str], statuses: set[int | None]
) -> None:
    status, answer = get(served, "/healthz", *lines)
    assert status in statuses, answer[:300]


@pytest.mark.parametrize(
    "line",
    [
        "Accept: application/xml",
        "Accept: \xff\xfe, */*;q=nan",
        "Accept-Encoding: identity;q=0, *;q=0",
        "Range: bytes=" + ",".join("0-" for _ in range(1000)),
        "If-Modified-Since: Thu, 99 Foo 99999 99:99:99 GMT",
        "If-None-Match: " + '"x",' * 500,
        "Accept-Language: " + "a" * 5000,
        "X-Forwarded-For: " + "1.2.3.4, " * 300,
        "X-Forwarded-Host: evil.example",
        "Sec-Fetch-Site: \x01",
    ],
    ids=lambda line: line[:24].encode("unicode_escape").decode(),
)
def test_h24_headers_that_ask_for_what_is_not_offered_are_ignored(served: Served, target: Target, line: str) -> None:
    for path, wanted in (("/healthz", {200}), ("/metrics", {200}), ("/signin/", {200, 302}), ("/", {200, 302})):
        status, answer = get(served, path, line, f"Cookie: {target.cookie}")
        assert status in wanted | ({400} if "\x01" in line else set()), (path, answer[:300])
