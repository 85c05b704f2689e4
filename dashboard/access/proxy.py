"""What stands before the pages: a sub-path, and a reverse proxy whose forwarded headers count only when it is trusted.

The rest of the program sees one plain request: the path with the sub-path, the Host that people typed, their address,
and http or https. RFC 7239's `Forwarded` is not read: nginx, Traefik, HAProxy and Caddy speak X-Forwarded-* by default.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from dashboard.reach import Network, client_of, is_trusted, parse_proxies

Scope = dict[str, Any]
Application = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_FORWARDED = (b"forwarded", b"x-real-ip")
_SECURE = {"http": "https", "ws": "wss"}
_PLAIN = {"https": "http", "wss": "ws"}


class BehindProxy:
    """Outermost ASGI layer: rewrites the scope once, so that nothing further in has to know of proxies."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(
        self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] in ("http", "websocket"):
            scope = plain_scope(scope, parse_proxies(tuple(settings.TRUSTED_PROXIES)), settings.SUB_PATH)
        await self.application(scope, receive, send)


def plain_scope(scope: Scope, proxies: Sequence[Network], sub_path: str) -> Scope:
    """The scope as if there were no proxy: what a stranger forwards is dropped, what a trusted one says is applied."""
    made = dict(scope)
    peer = str((scope.get("client") or ("", 0))[0])
    headers: Headers = scope.get("headers", [])
    made["headers"] = [
        (name, value) for name, value in headers if name not in _FORWARDED and not name.startswith(b"x-forwarded-")
    ]
    if is_trusted(peer, proxies):
        _apply(made, headers, peer, proxies)
    made["root_path"] = ""  # Daphne takes it from a header of its own that anyone can send
    made["path"] = _with_sub_path(scope["path"], sub_path) if scope["type"] == "http" else scope["path"]
    if scope["type"] == "websocket" and sub_path and scope["path"].startswith(sub_path + "/"):
        made["path"] = scope["path"][len(sub_path) :]
    return made


def _apply(made: Scope, headers: Headers, peer: str, proxies: Sequence[Network]) -> None:
    client = client_of(peer, ",".join(_values(headers, b"x-forwarded-for")), proxies)
    made["client"] = [client, (made.get("client") or ("", 0))[1] if client == peer else 0]
    # Several proxies append: the nearest one's word is the last, but TLS ends at the first.
    protocols = [one.strip().lower() for one in ",".join(_values(headers, b"x-forwarded-proto")).split(",")]
    scheme = str(made.get("scheme") or ("ws" if made["type"] == "websocket" else "http"))
    if protocols[0] in ("https", "wss"):
        made["scheme"] = _SECURE.get(scheme, scheme)
    elif protocols[0] in ("http", "ws"):
        made["scheme"] = _PLAIN.get(scheme, scheme)
    hosts = [one.strip() for one in ",".join(_values(headers, b"x-forwarded-host")).split(",") if one.strip()]
    if hosts:
        others = [(name, value) for name, value in made["headers"] if name != b"host"]
        made["headers"] = [*others, (b"host", hosts[0].encode("latin-1"))]


def _values(headers: Headers, wanted: bytes) -> Iterable[str]:
    return (value.decode("latin-1") for name, value in headers if name == wanted)


def _with_sub_path(path: str, sub_path: str) -> str:
    """Proxies hand the sub-path on or strip it: both become the path that people see."""
    if not sub_path or path == sub_path or path.startswith(sub_path + "/"):
        return path
    return sub_path + path


def base_url(request: HttpRequest) -> str:
    """What stands before "/signin/" in a link for people: STREAMGAUGE_PUBLIC_URL, else the address of this request."""
    return settings.PUBLIC_URL or f"{request.scheme}://{request.get_host()}{settings.SUB_PATH}"
