"""How people reach the pages: reading STREAMGAUGE_PUBLIC_URL and STREAMGAUGE_TRUSTED_PROXIES, and judging addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAMED = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
}
_SUB_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """`text` has no slash at its end; `origin` is scheme, host and port; `sub_path` is "" or begins with a slash."""

    text: str
    origin: str
    host: str
    sub_path: str
    is_secure: bool


NOWHERE = PublicUrl("", "", "", "", False)


def parse_public_url(text: str) -> PublicUrl:
    """ValueError quotes the value and says what would be right; "" is NOWHERE."""
    text = text.strip()
    if not text:
        return NOWHERE
    wrong = f"STREAMGAUGE_PUBLIC_URL is {text[:200]!r}"
    example = "give what people type, like https://gauge.example.org or https://example.org/kafka"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{wrong}, which is no address ({error}): {example}") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"STREAMGAUGE_PUBLIC_URL holds a user name or password before the host: {example}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{wrong}, which does not begin with http:// or https:// and a host: {example}")
    if parts.query or parts.fragment:
        raise ValueError(f"{wrong}, which has a query or fragment: {example}")
    path = parts.path.rstrip("/")
    if not _SUB_PATH.fullmatch(path) or any(piece in (".", "..") for piece in path.split("/")):
        raise ValueError(f"{wrong}, whose path is not made of letters, digits and . _ ~ - : {example}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"http": 80, "https": 443}[parts.scheme]
    origin = f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, default) else "")
    return PublicUrl(origin + path, origin, host, path, parts.scheme == "https")


@lru_cache(maxsize=8)
def parse_proxies(items: tuple[str, ...]) -> tuple[Network, ...]:
    """Networks of proxies: "loopback", "private", an address or a CIDR. ValueError quotes what is none of these."""
    found: list[Network] = []
    for item in (item.strip() for item in items):
        if not item:
            continue
        try:
            found += [ipaddress.ip_network(text) for text in _NAMED.get(item, (item,))]
        except ValueError as error:
            raise ValueError(
                f"STREAMGAUGE_TRUSTED_PROXIES: {item!r} is no network ({error}); "
                "give addresses or CIDRs like 10.0.0.5 or 10.0.0.0/24, or the words loopback or private"
            ) from None
    return tuple(found)


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address in "10.0.0.1", "[::1]", "10.0.0.1:4711" or "[::1]:4711"; None for anything else."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found


def is_trusted(address: str, proxies: Sequence[Network]) -> bool:
    found = address_of(address)
    return found is not None and any(found in network for network in proxies)


def client_of(peer: str, forwarded_for: str, proxies: Sequence[Network]) -> str:
    """Who asks: from the right the first address that is no trusted proxy; what stands left of it anyone can write."""
    if not is_trusted(peer, proxies):
        return peer
    client = peer
    for text in reversed([part for part in forwarded_for.split(",") if part.strip()]):
        found = address_of(text)
        if found is None:
            return client
        client = str(found)
        if not any(found in network for network in proxies):
            return client
    return client
