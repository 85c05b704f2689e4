"""Which addresses notifications may go to: public ones, and those that STREAMGAUGE_ALLOWED_NETWORKS names."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Sequence[str]]

SETTING = "STREAMGAUGE_ALLOWED_NETWORKS"
LONGEST_URL = 2048

NAMED_NETWORKS: dict[str, tuple[str, ...]] = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
}

# Nothing may name these: clouds hand out credentials there, and 0.0.0.0 reaches loopback by another name.
_NEVER = tuple(
    ipaddress.ip_network(text) for text in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "0.0.0.0/8", "::/128")
)

# Ports of services that take a line of text for a command; a webhook has no business there.
_NOT_HTTP = frozenset({21, 22, 23, 25, 53, 110, 143, 465, 587, 993, 995, 2181, 3306, 5432, 6379, 9092, 11211, 27017})

MAIL_PORTS = frozenset({25, 465, 587})

# IPv6 networks that carry an IPv4 address: bits to shift right to find it (RFC 6052, 3056).
_CARRIERS = (
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("64:ff9b:1::/48"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
)


class AddressRefusedError(ValueError):
    """An address that notifications may not go to; `code` is stable, the text is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class AddressUnresolvedError(Exception):
    """The name could not be looked up now; it may be later."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart. `host` is the name as it goes into Host and SNI, in ASCII, without brackets."""

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)  # with the query; may hold a token

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"

    @property
    def public_text(self) -> str:
        """The address for people, without the path, which often holds the secret."""
        return f"{self.scheme}://{self.host_header}" + ("/…" if self.path != "/" else "/")


def parse_networks(names: Iterable[str]) -> tuple[Network, ...]:
    """Networks of the setting: "loopback", "private" or CIDR; ValueError quotes what is neither."""
    networks: list[Network] = []
    for name in filter(None, (name.strip() for name in names)):
        for text in NAMED_NETWORKS.get(name.lower(), (name,)):
            try:
                networks.append(ipaddress.ip_network(text, strict=False))
            except ValueError:
                raise ValueError(
                    f"{SETTING}: {name!r} is no network; write loopback, private, or one like 10.20.0.0/16"
                ) from None
    return tuple(networks)


def parse_url(url: str) -> Target:
    """The parts of an address that a person typed; AddressRefusedError when its form alone rules it out."""
    if len(url) > LONGEST_URL:
        raise AddressRefusedError("too_long", f"The address has {len(url)} characters; at most {LONGEST_URL} are taken")
    if re.search(r"[\x00-\x20\x7f\\]", url):
        raise AddressRefusedError(
            "bad_characters", f"The address {url!r} holds a space, control character or backslash"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
    except ValueError as error:
        raise AddressRefusedError("bad_address", f"The address {url!r} cannot be read: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise AddressRefusedError(
            "scheme_not_allowed", f"The address {url!r} must begin with https:// or http://, not {parts.scheme!r}"
        )
    if parts.username is not None or parts.password is not None:
        raise AddressRefusedError(
            "credentials_in_address", f"The address at {host!r} holds a user name or password; leave them out"
        )
    if not host:
        raise AddressRefusedError("no_host", f"The address {url!r} names no host")
    if port is None:
        port = 443 if parts.scheme == "https" else 80
    if port == 0 or port in _NOT_HTTP:
        raise AddressRefusedError("port_not_allowed", f"Port {port} of {url!r} is not one for webhooks")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii():
        raise AddressRefusedError("bad_characters", f"The path {path!r} must be percent-encoded")
    return Target(parts.scheme, _ascii_host(host), port, path)


def mail_target(host: str, port: int) -> Target:
    """A mail server that a person named; AddressRefusedError when its form alone rules it out."""
    if not host or re.search(r"[\x00-\x20\x7f\\/@\[\]]", host) or len(host) > 253:
        raise AddressRefusedError("bad_address", f"The host {host[:80]!r} is no valid name")
    if not 0 < port < 65_536 or (port in _NOT_HTTP and port not in MAIL_PORTS):
        raise AddressRefusedError("port_not_allowed", f"Port {port} is not one for mail: 587, 465 or 25 are usual")
    return Target("smtp", _ascii_host(host), port, "/")


def _ascii_host(host: str) -> str:
    if ":" in host:
        if "%" in host:
            raise AddressRefusedError("bad_address", f"The host {host!r} has a zone; only plain addresses are taken")
        return host
    try:
        name = host.encode("idna").decode("ascii")
    except UnicodeError:
        raise AddressRefusedError("bad_address", f"The host {host!r} is no valid name") from None
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise AddressRefusedError("bad_address", f"The host {host!r} is no valid name")
    return name


def look_up(host: str, port: int) -> Sequence[str]:
    """Addresses of a host by the system's resolver, which also reads forms like 127.1 and 2130706433."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressUnresolvedError(f"{host} could not be looked up: {error}") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def checked_addresses(target: Target, allowed: Sequence[Network], *, resolver: Resolver = look_up) -> tuple[str, ...]:
    """The addresses to connect to: looked up once, every one of them checked.

    The caller connects to these and not to the name, so a name that changes between check and connect (DNS
    rebinding) gains nothing. AddressRefusedError names the setting; AddressUnresolvedError may pass.
    """
    found = resolver(target.host, target.port)
    if not found:
        raise AddressUnresolvedError(f"{target.host} has no address")
    for text in found:
        address = ipaddress.ip_address(text)
        if not is_allowed(address, allowed):
            names = target.host if target.host == text else f"{target.host} ({text})"
            raise AddressRefusedError(
                "address_not_allowed",
                f"{names} is not a public address; to send there, {_how_to_allow(address)}",
            )
    return tuple(found)


def is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether a notification may go to an address: each IPv4 address that it carries must be allowed, too."""
    faces = (address, *_carried(address))
    if any(_is_in(face, _NEVER) for face in faces):
        return False
    if any(_is_in(face, allowed) for face in faces):
        # a carrier of an allowed address is as good as the address itself
        return all(_is_in(face, allowed) or face is address for face in faces)
    return all(face.is_global and not face.is_multicast for face in faces)


def _carried(address: Address) -> tuple[Address, ...]:
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    return tuple(
        ipaddress.IPv4Address((int(address) >> shift) & 0xFFFFFFFF)
        for network, shift in _CARRIERS
        if address in network
    )


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _how_to_allow(address: Address) -> str:
    faces = (address, *_carried(address))
    if any(_is_in(face, _NEVER) for face in faces):
        return f"no setting helps: {SETTING} cannot open link-local and unspecified addresses"
    for name, texts in NAMED_NETWORKS.items():
        if any(_is_in(face, [ipaddress.ip_network(text) for text in texts]) for face in faces):
            return f"add {name} to {SETTING}"
    return f"add its network to {SETTING}"
