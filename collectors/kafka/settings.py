"""Kafka client settings: from client.properties text to one validated object, through an allow-list."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

_HOST = re.compile(r"^(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?\])$")
_CLIENT_ID = re.compile(r"^[A-Za-z0-9._-]{1,128}$")
MAX_SERVERS = 100


class SettingsError(ValueError):
    """The settings cannot be used; the text quotes the bad value and says what would be right."""


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """How to reach one cluster. Only what this class names ever reaches a client library."""

    bootstrap_servers: tuple[str, ...]
    client_id: str = "streamgauge"
    security_protocol: str = "PLAINTEXT"
    request_timeout_ms: int = 15_000
    connection_setup_timeout_ms: int = 10_000

    def __post_init__(self) -> None:
        if not self.bootstrap_servers:
            raise SettingsError("bootstrap.servers is missing: give at least one host:port")
        if len(self.bootstrap_servers) > MAX_SERVERS:
            raise SettingsError(f"bootstrap.servers names {len(self.bootstrap_servers)} servers, at most {MAX_SERVERS}")
        for server in self.bootstrap_servers:
            check_server(server)
        if not _CLIENT_ID.match(self.client_id):
            raise SettingsError(f"client.id {self.client_id!r}: use 1 to 128 letters, digits, '.', '_' or '-'")
        if self.security_protocol != "PLAINTEXT":
            raise SettingsError(f"security.protocol {self.security_protocol!r}: only PLAINTEXT is supported yet")
        _check_range("request.timeout.ms", self.request_timeout_ms, 1_000, 300_000)
        _check_range("socket.connection.setup.timeout.ms", self.connection_setup_timeout_ms, 500, 60_000)

    @classmethod
    def from_properties(cls, source: str | Mapping[str, Any]) -> ConnectionSettings:
        """Settings from the text of a client.properties file or from its keys and values.

        SettingsError names every key that is not allowed, each with the reason.
        """
        given = parse_properties(source) if isinstance(source, str) else {k: str(v) for k, v in source.items()}
        refused = [f"{key}: {reason_against(key)}" for key in given if key not in _ALLOWED]
        if refused:
            raise SettingsError("not allowed: " + "; ".join(refused))
        return cls(**{_ALLOWED[key][0]: _ALLOWED[key][1](key, value) for key, value in given.items()} | _servers(given))

    def for_admin(self) -> dict[str, Any]:
        """Keyword arguments for kafka-python's connection manager."""
        return {
            "bootstrap_servers": list(self.bootstrap_servers),
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
            "request_timeout_ms": self.request_timeout_ms,
            "socket_connection_setup_timeout_ms": self.connection_setup_timeout_ms,
            "socket_connection_setup_timeout_max_ms": self.connection_setup_timeout_ms,
        }

    def for_records(self) -> dict[str, Any]:
        """Configuration for confluent-kafka's consumers and producers."""
        return {
            "bootstrap.servers": ",".join(self.bootstrap_servers),
            "client.id": self.client_id,
            "security.protocol": self.security_protocol,
            "socket.timeout.ms": self.request_timeout_ms,
            "socket.connection.setup.timeout.ms": max(1_000, self.connection_setup_timeout_ms),
        }

    def to_stored(self) -> dict[str, Any]:
        """Plain JSON values, for `collectors.secrets.encrypt`."""
        stored: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        return stored | {"bootstrap_servers": list(self.bootstrap_servers)}

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> ConnectionSettings:
        """The settings that `to_stored` gave; SettingsError for fields that this version does not know."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(stored) - known):
            raise SettingsError(f"stored settings hold unknown fields {unknown}: written by a newer version?")
        return cls(**{**stored, "bootstrap_servers": tuple(stored.get("bootstrap_servers", ()))})


def check_server(server: str) -> None:
    """SettingsError unless it is `host:port`, IPv6 addresses in brackets."""
    host, colon, port = server.rpartition(":")
    if not colon or not _HOST.match(host) or len(host) > 255:
        raise SettingsError(f"bootstrap.servers {server!r}: use host:port, an IPv6 address in brackets")
    if not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= 65_535:
        raise SettingsError(f"bootstrap.servers {server!r}: {port!r} is not a port (1 to 65535)")


def parse_properties(text: str) -> dict[str, str]:
    """Keys and values of a Java properties text (java.util.Properties.load); a key given twice is an error."""
    found: dict[str, str] = {}
    for line in _logical_lines(text):
        key, value = _split(line)
        if key in found:
            raise SettingsError(f"{key} is given twice")
        found[key] = value
    return found


def reason_against(key: str) -> str:
    """Why a key is not taken; for keys that are not in the allow-list."""
    if key.startswith(("ssl.", "sasl.")):
        return "TLS and sign-in are not supported yet"
    if key.endswith((".class", ".classes", ".reporters")) or ".callback." in key:
        return "it names code to load, which a form must never do"
    if key.startswith("plugin.") or key.endswith((".location", ".path")):
        return "it makes a client read files of this machine"
    if key in {"group.id", "group.instance.id", "auto.offset.reset", "enable.auto.commit", "isolation.level"}:
        return "Streamgauge joins no group and commits nothing"
    if key.startswith(("key.", "value.")) or key in {"acks", "linger.ms", "batch.size", "compression.type"}:
        return "it belongs to producers and consumers; Streamgauge only reads about the cluster"
    return "unknown here (allowed: " + ", ".join(sorted(_ALLOWED)) + ")"


def _check_range(key: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise SettingsError(f"{key} {value!r}: use a whole number from {low} to {high}")


def _whole_number(key: str, value: str) -> int:
    if not (value.isascii() and value.isdigit()) or len(value) > 9:
        raise SettingsError(f"{key} {value!r}: not a whole number of milliseconds")
    return int(value)


def _text(key: str, value: str) -> str:
    return value.strip()


def _server_list(key: str, value: str) -> tuple[str, ...]:
    return tuple(part.strip().removeprefix("PLAINTEXT://") for part in value.split(",") if part.strip())


_ALLOWED: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "bootstrap.servers": ("bootstrap_servers", _server_list),
    "client.id": ("client_id", _text),
    "security.protocol": ("security_protocol", lambda key, value: value.strip().upper()),
    "request.timeout.ms": ("request_timeout_ms", _whole_number),
    "socket.connection.setup.timeout.ms": ("connection_setup_timeout_ms", _whole_number),
}


def _servers(given: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {} if "bootstrap.servers" in given else {"bootstrap_servers": ()}


def _logical_lines(text: str) -> list[str]:
    """Lines without comments and blank ones, continued lines joined."""
    lines: list[str] = []
    pending: str | None = None
    for natural in re.split(r"\r\n|\n|\r", text):
        line = natural.lstrip(" \t\f")
        if pending is None and (not line or line[0] in "#!"):
            continue
        whole = (pending or "") + line
        backslashes = len(whole) - len(whole.rstrip("\\"))
        if backslashes % 2:
            pending = whole[:-1]
            continue
        lines.append(whole)
        pending = None
    return lines if pending is None else [*lines, pending]


def _split(line: str) -> tuple[str, str]:
    end = 0
    while end < len(line) and line[end] not in "=: \t\f":
        end += 2 if line[end] == "\\" else 1
    rest = line[end:].lstrip(" \t\f")
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(" \t\f")
    return _unescape(line[:end]), _unescape(rest).strip()


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        found = match.group(1)
        if found[0] == "u" and len(found) == 5:
            return chr(int(found[1:], 16))
        return {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}.get(found, found)

    return re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", one, text, flags=re.DOTALL)
