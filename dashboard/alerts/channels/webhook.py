"""The generic webhook: a signed JSON POST to an address that a person typed.

The body is described by `dashboard.alerts.outbox.payload_of`. It is signed as Standard Webhooks 1.0.0 says: headers
`webhook-id`, `webhook-timestamp` (unix seconds) and `webhook-signature: v1,<base64 HMAC-SHA256 over
"id.timestamp.body">`; the secret is `whsec_` + base64 of the key, or any other text, whose bytes are then the key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from dashboard.alerts import addresses
from dashboard.alerts.addresses import AddressRefusedError, AddressUnresolvedError, Network, Resolver, Target

from . import SEND_SECONDS, Answer, Message, Outcome

CONNECT_SECONDS = 5.0
BODY_BYTES = 64 * 1024
SHOWN_CHARACTERS = 200
LONGEST_RETRY_AFTER_SECONDS = 3600.0

_RETRIED_STATUSES = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    url: str = field(repr=False)  # may hold a token
    secret: str = field(default="", repr=False)  # "": not signed

    @classmethod
    def from_stored(cls, stored: dict[str, object]) -> WebhookSettings:
        return cls(str(stored.get("url", "")), str(stored.get("secret", "")))

    def to_stored(self) -> dict[str, object]:
        return {"url": self.url, "secret": self.secret}


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The signing key; ValueError for a `whsec_` secret whose rest is not base64."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("what follows whsec_ must be base64") from None


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()


def validate_webhook(
    url: str, secret: str, *, allowed: Sequence[Network], resolver: Resolver = addresses.look_up
) -> WebhookSettings:
    """What the form typed, checked as far as it can be without sending; ValueError says what would be right.

    A name that cannot be looked up right now is taken: the sender checks the address again each time.
    """
    target = addresses.parse_url(url.strip())
    try:
        addresses.checked_addresses(target, allowed, resolver=resolver)
    except AddressUnresolvedError:
        if "." not in target.host:
            raise ValueError(f"The host {target.host!r} could not be found; is the name complete?") from None
    secret = secret.strip()
    if secret:
        if not re.fullmatch(r"[\x21-\x7e]{8,200}", secret):
            raise ValueError(
                f"The secret must have 8 to 200 printable characters without spaces; this one has {len(secret)}"
            )
        key_of(secret)
    return WebhookSettings(url.strip(), secret)


def body_of(message: Message) -> bytes:
    """ASCII JSON, so that any name survives; a repeat has the same bytes."""
    return json.dumps(message.payload, sort_keys=True, separators=(",", ":")).encode()


def headers_of(message: Message, body: bytes, *, secret: str, timestamp: int) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Streamgauge",
        "Idempotency-Key": message.key,
        "X-Streamgauge-Delivery": message.key,
        "X-Streamgauge-Event": message.event,
        "X-Streamgauge-Attempt": str(message.attempt),
        "webhook-id": message.key,
        "webhook-timestamp": str(timestamp),
    }
    if secret:
        headers["webhook-signature"] = signature(secret, message.key, timestamp, body)
    return headers


def send(
    settings: WebhookSettings,
    message: Message,
    *,
    allowed: Sequence[Network],
    now: float,
    seconds: float = SEND_SECONDS,
    resolver: Resolver = addresses.look_up,
) -> Answer:
    """One attempt, ended by its deadline whatever the receiver does; never raises for what lies outside.

    No redirect is followed, and of the answer at most 64 KiB are read.
    """
    ends = time.monotonic() + seconds
    try:
        target = addresses.parse_url(settings.url)
        found = addresses.checked_addresses(target, allowed, resolver=resolver)
    except (AddressRefusedError, AddressUnresolvedError) as error:
        # a setting or a name server can be mended within the day that a message is kept
        return Answer(Outcome.RETRY, error=str(error))
    body = body_of(message)
    headers = headers_of(message, body, secret=settings.secret, timestamp=int(now))
    answer = Answer(Outcome.RETRY, error=f"{target.host}: no time left to connect")
    for address in found:
        if time.monotonic() >= ends:
            break
        answer, has_connected = _attempt(target, address, body, headers, ends=ends)
        if has_connected:
            break
    return answer


def _attempt(target: Target, address: str, body: bytes, headers: dict[str, str], *, ends: float) -> tuple[Answer, bool]:
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
        # the status is the answer; what follows is only read to show why it was a no
        text = b"" if 200 <= response.status < 300 else _beginning(response)
        return _judge(response.status, response.headers.get("Retry-After"), text), True
    except (OSError, HTTPError, HTTPException, ValueError) as error:
        if has_ended.is_set():
            return Answer(Outcome.RETRY, error=f"{target.host} gave no complete answer in time"), has_connected
        return Answer(Outcome.RETRY, error=f"{target.host}: {_words(error)}"), has_connected
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
    sock = connection.sock
    if sock is not None:
        try:
            # not SSLSocket.shutdown, which takes the TLS state away under the reading thread
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        except OSError:
            return  # it is closed already


def _judge(status: int, retry_after: str | None, body: bytes) -> Answer:
    if 200 <= status < 300:
        return Answer(Outcome.DELIVERED, status)
    said = _shown(body)
    error = f"HTTP {status}" + (f": {said}" if said else "")
    if 300 <= status < 400:
        return Answer(Outcome.REFUSED, status, f"HTTP {status}: redirects are not followed; enter the final address")
    if status >= 500 or status in _RETRIED_STATUSES:
        return Answer(Outcome.RETRY, status, error, seconds_of(retry_after, now=datetime.now(UTC)))
    return Answer(Outcome.REFUSED, status, error)


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


def _shown(body: bytes) -> str:
    """The beginning of an answer as plain text; it comes from a stranger."""
    text = body[: SHOWN_CHARACTERS * 4].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in text).strip()[:SHOWN_CHARACTERS]


def _words(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    if isinstance(cause, ConnectionResetError):
        return "connection reset"
    text = "".join(c if c.isprintable() else " " for c in str(cause)).strip()
    return f"{type(cause).__name__}: {text}"[:300] if text else type(cause).__name__
