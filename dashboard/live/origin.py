"""Only this site's own pages may open a socket: Origin is compared with scheme, host and port."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http.request import validate_host

from dashboard.access import refusals
from dashboard.live.wire import Close
from dashboard.models import Refused

log = logging.getLogger(__name__)

PORTS = {"http": 80, "https": 443}
Scope = dict[str, Any]
Application = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


def parse_origin(text: str) -> tuple[str, str, int] | None:
    """(scheme, host, port) of an Origin; None for "null", no web origin, or what cannot be read."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # "http://[::1", "https://h:99999"
        return None
    if parts.scheme not in PORTS or not parts.hostname or parts.path or parts.query or parts.username is not None:
        return None
    return parts.scheme, parts.hostname, port or PORTS[parts.scheme]


def why_refused(
    origin: str | None, host: str, *, is_secure: bool, allowed_hosts: Sequence[str], trusted: Sequence[str]
) -> str:
    """ "" when a page of `origin` may open a socket at `host` (the Host header), else the reason.

    Channels' own validator ignores scheme and port, so that another service on the same machine could ride the
    user's cookies. `trusted` are whole origins, for a proxy that ends TLS (STREAMGAUGE_TRUSTED_ORIGINS).
    """
    if origin is None:
        return "no Origin"
    found = parse_origin(origin)
    if found is None:
        return f"Origin {origin[:100]!r} is no web origin"
    if any(found == parse_origin(one) for one in trusted):
        return ""
    here = parse_origin(f"{'https' if is_secure else 'http'}://{host}")
    if here is None or not validate_host(f"[{here[1]}]" if ":" in here[1] else here[1], allowed_hosts):
        return f"Host {host[:100]!r} is not in STREAMGAUGE_ALLOWED_HOSTS"
    if found != here:
        return f"Origin {origin[:100]!r} is not this site, which is {here[0]}://{here[1]}:{here[2]}"
    return ""


class SameOrigin:
    """Refuses the handshake before session or user are read; one log line, no traceback."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(
        self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope.get("headers", [])]
        origins = [value for name, value in headers if name == b"origin"]
        hosts = [value for name, value in headers if name == b"host"]
        reason = (
            "more than one Origin or Host"
            if len(origins) > 1 or len(hosts) > 1
            else why_refused(
                origins[0] if origins else None,
                hosts[0] if hosts else "",
                is_secure=scope.get("scheme") == "wss",  # behind a trusted proxy: what it says (BehindProxy)
                allowed_hosts=settings.ALLOWED_HOSTS,
                trusted=settings.CSRF_TRUSTED_ORIGINS,
            )
        )
        if not reason:
            await self.application(scope, receive, send)
            return
        log.warning("live socket refused reason=%r", reason)
        if origins:  # without one it was no browser, and no setting would let it in
            refusal = refusals.Refusal(reason, refusals.origin_advice(origins[0]))
            await sync_to_async(refusals.keep)(Refused.Kind.SOCKET, refusal)
        await refuse(scope, receive, send)


async def refuse(scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """Refuse a handshake; the browser sees 403."""
    await receive()
    await send({"type": "websocket.close", "code": int(Close.BAD_MESSAGE)})
