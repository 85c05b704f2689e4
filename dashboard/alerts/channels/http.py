"""One POST to an address that a person typed: to the checked address, by a deadline, no redirect, little read."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from dashboard.alerts import addresses
from dashboard.alerts.addresses import AddressRefusedError, AddressUnresolvedError, Target

from . import Answer, FieldError, Outcome, Outside

CONNECT_SECONDS = 5.0
BODY_BYTES = 64 * 1024
SHOWN_CHARACTERS = 200
LONGEST_RETRY_AFTER_SECONDS = 3600.0

_RETRIED_STATUSES = frozenset({408, 425, 429})


class UnansweredError(Exception):
    """Nothing came back; the text says why, for people."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a receiver said. `body` holds its beginning; empty for a 2xx unless it was asked for."""

    status: int
    body: bytes = b""
    retry_after: str | None = None

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> dict[str, Any]:
        """The body as an object; empty when it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def checked_url(typed: str, outside: Outside, *, field: str = "url") -> str:
    """A typed address, checked as far as it can be without sending; FieldError says what would be right.

    A name that cannot be looked up right now is taken: the sender checks the address again each time.
    """
    url = typed.strip()
    try:
        target = addresses.parse_url(url)
        addresses.checked_addresses(target, outside.allowed, resolver=outside.resolver)
    except AddressRefusedError as error:
        raise FieldError(field, str(error)) from None
    except AddressUnresolvedError:
        if "." not in target.host.rstrip("."):
            raise FieldError(field, f"The host {target.host!r} could not be found; is the name complete?") from None
    if f"{target.scheme}://{target.host.lower()}:{target.port}" in outside.own:
        raise FieldError(field, "This is the address of this instance itself: a message to it would tell nobody.")
    return url


def json_body(value: Any) -> bytes:
    """ASCII JSON, so that any name survives; a repeat has the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def post(url: str, body: bytes, headers: dict[str, str], outside: Outside, *, reads_success: bool = False) -> Reply:
    """One attempt, ended by its deadline whatever the receiver does; UnansweredError when nothing came.

    No redirect is followed, and of the answer at most 64 KiB are read.
    """
    ends = time.monotonic() + outside.seconds
    try:
        target = addresses.parse_url(url)
        found = addresses.checked_addresses(target, outside.allowed, resolver=outside.resolver)
    except (AddressRefusedError, AddressUnresolvedError) as error:
        raise UnansweredError(str(error)) from None
    why = f"{target.host}: no time left to connect"
    for address in found:
        if time.monotonic() >= ends:
            break
        reply, why, has_connected = _attempt(target, address, body, headers, ends=ends, reads_success=reads_success)
        if reply is not None:
            return reply
        if has_connected:
            break
    raise UnansweredError(why)


def answer_of(reply: Reply) -> Answer:
    """What a status means where the receiver has no words of its own: 2xx delivered, 408, 425, 429 and 5xx pass."""
    if reply.is_success:
        return Answer(Outcome.DELIVERED, reply.status)
    said = shown(reply.body)
    error = f"HTTP {reply.status}" + (f": {said}" if said else "")
    if 300 <= reply.status < 400:
        redirected = f"HTTP {reply.status}: redirects are not followed; enter the final address"
        return Answer(Outcome.REFUSED, reply.status, redirected)
    if reply.status >= 500 or reply.status in _RETRIED_STATUSES:
        return Answer(Outcome.RETRY, reply.status, error, seconds_of(reply.retry_after, now=datetime.now(UTC)))
    return Answer(Outcome.REFUSED, reply.status, error)


def answer_to(url: str, body: bytes, headers: dict[str, str], outside: Outside) -> Answer:
    """Post, and what came of it; never raises for what lies outside."""
    try:
        return answer_of(post(url, body, headers, outside))
    except UnansweredError as error:
        # a setting or a name server can be mended within the day that a message is kept
        return Answer(Outcome.RETRY, error=str(error))


def _attempt(
    target: Target, address: str, body: bytes, headers: dict[str, str], *, ends: float, reads_success: bool
) -> tuple[Reply | None, str, bool]:
    """(reply, why there is none, whether a connection was made)."""
    left = max(0.1, ends - time.monotonic())
    connection = _connection(target, address, min(CONNECT_SECONDS, left))
    # Time-outs of sockets start anew with each byte; only closing the socket stops a receiver that trickles.
    has_ended = threading.Event()
    watch = threading.Timer(left, _cut, (connection, has_ended))
    watch.daemon = True
    watch.start()
    has_connected = False
    try:
        connection.connect()
        has_connected = True
        connection.timeout = max(0.1, ends - time.monotonic())
        connection.request(
            "POST", target.path, body=body, headers={**headers, "Host": target.host_header}, preload_content=False
        )
        response = connection.getresponse()
        # the status is the answer; what follows is mostly read to show why it was a no
        is_read = reads_success or not 200 <= response.status < 300
        text = _beginning(response) if is_read else b""
        return Reply(response.status, text, response.headers.get("Retry-After")), "", True
    except (OSError, HTTPError, HTTPException, ValueError) as error:
        if has_ended.is_set():
            return None, f"{target.host} gave no complete answer in time", has_connected
        return None, f"{target.host}: {words_of(error)}", has_connected
    finally:
        watch.cancel()
        connection.close()


def _beginning(response: HTTPResponse) -> bytes:
    try:
        return response.read(BODY_BYTES, decode_content=False)
    except (OSError, HTTPError, HTTPException, ValueError):
        return b""


def _connection(target: Target, address: str, timeout_seconds: float) -> HTTPConnection:
    """A connection to the checked address that speaks to the name: Host, SNI and certificate are of the name."""
    if target.scheme == "http":
        return HTTPConnection(address, port=target.port, timeout=timeout_seconds)
    return HTTPSConnection(
        address,
        port=target.port,
        timeout=timeout_seconds,
        server_hostname=target.host,
        assert_hostname=target.host,
        cert_reqs="CERT_REQUIRED",
    )


def _cut(connection: HTTPConnection, has_ended: threading.Event) -> None:
    has_ended.set()
    cut_socket(connection.sock)


def cut_socket(sock: socket.socket | None) -> None:
    """End whatever reads from or writes to a socket in another thread."""
    if sock is None:
        return
    try:
        # not SSLSocket.shutdown, which takes the TLS state away under the reading thread
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already


def seconds_of(retry_after: str | None, *, now: datetime) -> float | None:
    """Retry-After (RFC 9110, 10.2.3) as seconds, an hour at most; None when it is absent or unreadable."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(float(text), LONGEST_RETRY_AFTER_SECONDS)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max(0.0, (at - now).total_seconds()), LONGEST_RETRY_AFTER_SECONDS)


def shown(body: bytes) -> str:
    """The beginning of an answer as plain text; it comes from a stranger."""
    text = body[: SHOWN_CHARACTERS * 4].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in text).strip()[:SHOWN_CHARACTERS]


def words_of(error: Exception) -> str:
    """Why a connection failed, for people."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    if isinstance(cause, ConnectionResetError):
        return "connection reset"
    text = "".join(c if c.isprintable() else " " for c in str(cause)).strip()
    return f"{type(cause).__name__}: {text}"[:300] if text else type(cause).__name__
