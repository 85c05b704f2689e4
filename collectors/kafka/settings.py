"""How to reach one cluster: one validated object, and what each of the two client libraries gets from it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from .certificates import certificates_pem as checked_pem
from .certificates import identity_from_pem, tls_context
from .properties import SettingsError, parse_properties, shown

__all__ = ["MECHANISMS", "PROTOCOLS", "ConnectionSettings", "SettingsError", "parse_properties"]

_HOST = re.compile(r"^(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?\])$")
_CLIENT_ID = re.compile(r"^[A-Za-z0-9._-]{1,128}$")
_EXTENSION = re.compile(r"^[A-Za-z]{1,100}$")  # RFC 7628: keys of letters; values without control characters
MAX_SERVERS = 100
MAX_SECRET = 10_000
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """Only what this class names ever reaches a client library. What is secret is not in its `repr`."""

    bootstrap_servers: tuple[str, ...]
    client_id: str = "streamgauge"
    security_protocol: str = "PLAINTEXT"
    request_timeout_ms: int = 15_000
    connection_setup_timeout_ms: int = 10_000
    # TLS, as PEM texts; no authorities of one's own means the system's
    ca_pem: str = field(default="", repr=False)
    certificate_pem: str = field(default="", repr=False)
    key_pem: str = field(default="", repr=False)
    check_hostname: bool = True
    # sign-in
    sasl_mechanism: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    token_url: str = ""
    oauth_client_id: str = ""
    oauth_client_secret: str = field(default="", repr=False)
    oauth_scope: str = ""
    oauth_extensions: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.bootstrap_servers:
            raise SettingsError("bootstrap.servers is missing: give at least one host:port")
        if len(self.bootstrap_servers) > MAX_SERVERS:
            raise SettingsError(f"bootstrap.servers names {len(self.bootstrap_servers)} servers, at most {MAX_SERVERS}")
        for server in self.bootstrap_servers:
            check_server(server)
        if not _CLIENT_ID.fullmatch(self.client_id):
            raise SettingsError(f"client.id '{shown(self.client_id)}': use 1 to 128 letters, digits, '.', '_' or '-'")
        if self.security_protocol not in PROTOCOLS:
            raise SettingsError(f"security.protocol {self.security_protocol!r}: use one of {', '.join(PROTOCOLS)}")
        _check_range("request.timeout.ms", self.request_timeout_ms, 1_000, 300_000)
        _check_range("socket.connection.setup.timeout.ms", self.connection_setup_timeout_ms, 500, 60_000)
        self._check_tls()
        self._check_sign_in()

    def _check_tls(self) -> None:
        if not self.uses_tls:
            if self.ca_pem or self.certificate_pem or self.key_pem:
                raise SettingsError(
                    f"certificates are given, but security.protocol {self.security_protocol} does not use TLS: "
                    "use SSL or SASL_SSL"
                )
            return
        if self.ca_pem:
            checked_pem("ssl.truststore.certificates", self.ca_pem)
        if self.certificate_pem or self.key_pem:
            if not (self.certificate_pem and self.key_pem):
                missing = "ssl.keystore.key" if self.certificate_pem else "ssl.keystore.certificate.chain"
                raise SettingsError(f"{missing} is missing: a client certificate needs its chain and its key")
            identity_from_pem("ssl.keystore.certificate.chain", self.certificate_pem, self.key_pem, None)
        try:
            self.tls_context()
        except ssl.SSLError as error:  # well-formed, and yet not for OpenSSL: keys too short, hashes too old
            raise SettingsError(f"the certificates cannot be used by this system's TLS: {error.reason}") from None

    def _check_sign_in(self) -> None:
        if not self.signs_in:
            if self.sasl_mechanism:
                raise SettingsError(
                    f"a sign-in is given, but security.protocol {self.security_protocol} has none: "
                    f"use {'SASL_SSL' if self.uses_tls else 'SASL_SSL or SASL_PLAINTEXT'}"
                )
            return
        if self.sasl_mechanism not in MECHANISMS:
            given = f"{self.sasl_mechanism!r}: use" if self.sasl_mechanism else "is missing: give"
            raise SettingsError(f"sasl.mechanism {given} one of {', '.join(MECHANISMS)}")
        if self.sasl_mechanism == "OAUTHBEARER":
            self._check_oauth()
            return
        _check_secret("the user name", self.username)
        _check_secret("the password", self.password)

    def _check_oauth(self) -> None:
        parts = urlsplit(self.token_url)
        if not self.token_url:
            raise SettingsError(
                "sasl.oauthbearer.token.endpoint.url is missing: give the address that hands out tokens"
            )
        try:
            is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_usable = False
        if not is_usable or parts.username is not None or parts.fragment or not self.token_url.isascii():
            raise SettingsError(
                f"sasl.oauthbearer.token.endpoint.url {_without_password(self.token_url)!r}: "
                "use https://host/path, without a user name in it"
            )
        if parts.scheme == "http" and not _is_near(parts.hostname or ""):
            raise SettingsError(
                f"sasl.oauthbearer.token.endpoint.url {self.token_url!r}: use https; the client secret would go "
                "unencrypted (http only to loopback and private addresses)"
            )
        _check_secret("the OAuth client id", self.oauth_client_id)
        _check_secret("the OAuth client secret", self.oauth_client_secret)
        for key, value in self.oauth_extensions:
            if not _EXTENSION.fullmatch(key) or key == "auth" or not value or not value.isprintable() or "," in value:
                raise SettingsError(f"extension_{shown(key)}: use a name of letters and a value without commas")

    @property
    def uses_tls(self) -> bool:
        return self.security_protocol in ("SSL", "SASL_SSL")

    @property
    def signs_in(self) -> bool:
        return self.security_protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    @property
    def identity(self) -> str:
        """Whom the cluster sees, as far as can be said without asking it: for sentences, never a secret."""
        return self.oauth_client_id if self.sasl_mechanism == "OAUTHBEARER" else self.username

    @classmethod
    def from_properties(cls, source: str | Mapping[str, Any]) -> ConnectionSettings:
        """Settings from the text of a client.properties file or from its keys and values; no file is read.

        SettingsError names every key that is refused, each with the reason. `reading.read_settings` tells more.
        """
        from .reading import read_settings  # it builds objects of this class

        return read_settings(source).settings

    def tls_context(self, *, verify: bool = True) -> ssl.SSLContext:
        return tls_context(
            ca_pem=self.ca_pem,
            certificate_pem=self.certificate_pem,
            key_pem=self.key_pem,
            check_hostname=self.check_hostname,
            verify=verify,
        )

    def for_admin(self) -> dict[str, Any]:
        """Keyword arguments for kafka-python's connection manager; the token provider is `link`'s to add."""
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.bootstrap_servers),
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
            "request_timeout_ms": self.request_timeout_ms,
            "socket_connection_setup_timeout_ms": self.connection_setup_timeout_ms,
            "socket_connection_setup_timeout_max_ms": self.connection_setup_timeout_ms,
        }
        if self.uses_tls:
            options["ssl_context"] = self.tls_context()
        if self.signs_in:
            options["sasl_mechanism"] = self.sasl_mechanism
            if self.sasl_mechanism != "OAUTHBEARER":
                options["sasl_plain_username"] = self.username
                options["sasl_plain_password"] = self.password
        if self.sasl_mechanism.startswith("SCRAM"):
            # RFC 5802: these two are spelt out in a SCRAM user name; the library sends it as it is
            options["sasl_plain_username"] = self.username.replace("=", "=3D").replace(",", "=2C")
        return options

    def for_records(self) -> dict[str, Any]:
        """Configuration for confluent-kafka's consumers and producers."""
        options: dict[str, Any] = {
            "bootstrap.servers": ",".join(self.bootstrap_servers),
            "client.id": self.client_id,
            "security.protocol": self.security_protocol,
            "socket.timeout.ms": self.request_timeout_ms,
            "socket.connection.setup.timeout.ms": max(1_000, self.connection_setup_timeout_ms),
        }
        if self.uses_tls:
            options["ssl.endpoint.identification.algorithm"] = "https" if self.check_hostname else "none"
            pems = {"ssl.ca.pem": self.ca_pem, "ssl.certificate.pem": self.certificate_pem, "ssl.key.pem": self.key_pem}
            options |= {key: pem for key, pem in pems.items() if pem}
        if self.signs_in:
            options["sasl.mechanism"] = self.sasl_mechanism
        if self.sasl_mechanism == "OAUTHBEARER":
            options |= {
                "sasl.oauthbearer.method": "oidc",
                "sasl.oauthbearer.token.endpoint.url": self.token_url,
                "sasl.oauthbearer.client.id": self.oauth_client_id,
                "sasl.oauthbearer.client.secret": self.oauth_client_secret,
            }
            if self.oauth_scope:
                options["sasl.oauthbearer.scope"] = self.oauth_scope
            if self.oauth_extensions:
                options["sasl.oauthbearer.extensions"] = ",".join(f"{k}={v}" for k, v in self.oauth_extensions)
        elif self.signs_in:
            options |= {"sasl.username": self.username, "sasl.password": self.password}
        return options

    def to_stored(self) -> dict[str, Any]:
        """Plain JSON values, for `collectors.secrets.encrypt`."""
        stored: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        return stored | {
            "bootstrap_servers": list(self.bootstrap_servers),
            "oauth_extensions": [list(pair) for pair in self.oauth_extensions],
        }

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> ConnectionSettings:
        """The settings that `to_stored` gave; SettingsError for fields that this version does not know."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(stored) - known):
            raise SettingsError(f"stored settings hold unknown fields {unknown}: written by a newer version?")
        servers, pairs = stored.get("bootstrap_servers", ()), stored.get("oauth_extensions", ())
        return cls(
            **{
                **stored,
                "bootstrap_servers": tuple(servers),
                "oauth_extensions": tuple((str(key), str(value)) for key, value in pairs),
            }
        )


def check_server(server: str) -> None:
    """SettingsError unless it is `host:port`, IPv6 addresses in brackets."""
    host, colon, port = server.rpartition(":")
    if not colon or not _HOST.fullmatch(host) or len(host) > 255:
        raise SettingsError(f"bootstrap.servers '{shown(server)}': use host:port, an IPv6 address in brackets")
    if not (port.isascii() and port.isdigit()) or len(port) > 5 or not 1 <= int(port) <= 65_535:
        raise SettingsError(f"bootstrap.servers '{shown(server)}': '{shown(port)}' is not a port (1 to 65535)")


def _check_range(key: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise SettingsError(f"{key} {value!r}: use a whole number from {low} to {high}")


def _check_secret(what: str, value: str) -> None:
    """Something to sign in with: there, bounded, and a text that fits on the wire. Never quoted."""
    if not value:
        raise SettingsError(f"{what} is missing")
    if len(value) > MAX_SECRET:
        raise SettingsError(f"{what} has {len(value)} characters, at most {MAX_SECRET}")
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise SettingsError(f"{what} holds a character that cannot be sent (NUL or half of a surrogate pair)")


def _is_near(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return (address.is_loopback or address.is_private) and not address.is_link_local


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", url)
