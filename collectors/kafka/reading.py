"""From client.properties, in Java's or librdkafka's words, to validated settings, and what was made of each key."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..domain.words import counted
from . import allowed
from .allowed import ANOTHER_MECHANISM
from .certificates import (
    MAX_FILE_BYTES,
    Identity,
    certificates_pem,
    identity,
    identity_from_pem,
    keytool_line,
    private_key_lines,
    refuse_java_store,
    trusted_pem,
)
from .properties import SettingsError, parse_jaas, parse_properties, shown
from .settings import MECHANISMS, ConnectionSettings

ReadFile = Callable[[str, str], bytes]
"""(key, path) -> content, or SettingsError: who may read which files is the caller's to know."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Settings, and in plain words what was left out, translated or is worth a warning."""

    settings: ConnectionSettings
    taken: int
    notes: tuple[str, ...]


def read_settings(source: str | Mapping[str, Any], *, read_file: ReadFile | None = None) -> Reading:
    """Settings from a properties text or from keys and values. SettingsError names all refused keys at once."""
    raw = parse_properties(source) if isinstance(source, str) else {str(k): str(v) for k, v in source.items()}
    given = {key.strip(): value for key, value in raw.items()}
    left_out = sorted(key for key in given if allowed.is_left_out(key))
    refused = {
        key: allowed.reason_against(key, value)
        for key, value in given.items()
        if key not in allowed.TAKEN and key not in left_out
    }
    _refuse_handlers(given, refused)
    if refused:
        raise SettingsError("not allowed: " + "; ".join(f"{shown(key)}: {why}" for key, why in refused.items()))
    notes = [f"left out, of consumers, producers or tuning: {', '.join(map(shown, left_out))}"] if left_out else []
    taken = {key: value for key, value in given.items() if key in allowed.TAKEN}
    values = _plain(taken) | _sign_in(taken, notes) | _tls(taken, read_file or _no_files, notes)
    settings = ConnectionSettings(**values)
    if settings.security_protocol == "SASL_PLAINTEXT":
        notes.append("security.protocol SASL_PLAINTEXT: everything, and with PLAIN the password, goes unencrypted")
    if settings.uses_tls and not settings.check_hostname:
        notes.append("ssl.endpoint.identification.algorithm is empty: any host with a trusted certificate is believed")
    return Reading(settings, len(taken), tuple(notes))


def read_any_file(key: str, path: str) -> bytes:
    """A `ReadFile` for whoever may read this machine's files anyway: a person at its command line."""
    try:
        with open(path, "rb") as handle:
            content = handle.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{key} {path!r} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > MAX_FILE_BYTES:
        raise SettingsError(f"{key} {path!r} is larger than {MAX_FILE_BYTES} bytes: no store of certificates")
    return content


def _no_files(key: str, path: str) -> bytes:
    inline = {"ssl.truststore.location": "ssl.truststore.certificates", "ssl.ca.location": "ssl.ca.pem"}
    raise SettingsError(
        f"{key} {path!r}: files of this machine are not read here; paste the PEM text as "
        f"{inline.get(key, 'ssl.keystore.certificate.chain and ssl.keystore.key')}, or use manage.py addcluster"
    )


def _refuse_handlers(given: Mapping[str, str], refused: dict[str, str]) -> None:
    """Keys that are taken with some values only."""
    handler = given.get("sasl.login.callback.handler.class", "").strip()
    if handler and handler not in allowed.OAUTH_HANDLERS:
        refused["sasl.login.callback.handler.class"] = allowed.reason_against("handler.class", handler)
    method = given.get("sasl.oauthbearer.method", "oidc").strip().lower()
    if method != "oidc":
        refused["sasl.oauthbearer.method"] = "use oidc (client credentials)"
    verifies = given.get("enable.ssl.certificate.verification", "true").strip().lower()
    if verifies != "true":
        refused["enable.ssl.certificate.verification"] = (
            "certificates are always verified; give the authority of the brokers as ssl.truststore.certificates"
        )


def _plain(given: Mapping[str, str]) -> dict[str, Any]:
    """What is neither TLS nor sign-in."""
    servers = [part.strip() for part in given.get("bootstrap.servers", "").split(",") if part.strip()]
    values: dict[str, Any] = {
        "bootstrap_servers": tuple(re.sub(r"^(?:PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)://", "", s) for s in servers)
    }
    if "client.id" in given:
        values["client_id"] = given["client.id"].strip()
    for key, name in (
        ("request.timeout.ms", "request_timeout_ms"),
        ("socket.connection.setup.timeout.ms", "connection_setup_timeout_ms"),
    ):
        if key in given:
            values[name] = _whole_number(key, given[key].strip())
    values["security_protocol"] = given.get("security.protocol", "PLAINTEXT").strip().upper()
    names = sorted(key for key in given if key.startswith(("sasl.", "ssl.")))
    if names and "security.protocol" not in given:
        wanted = "SASL_SSL" if any(key.startswith("sasl.") for key in names) else "SSL"
        raise SettingsError(f"security.protocol is missing, yet {names[0]} is given: add security.protocol={wanted}")
    return values


def _whole_number(key: str, value: str) -> int:
    if not (value.isascii() and value.isdigit()) or len(value) > 9:
        raise SettingsError(f"{key} '{shown(value)}': not a whole number of milliseconds")
    return int(value)


# --- sign-in --------------------------------------------------------------------------------------------------


def _sign_in(given: Mapping[str, str], notes: list[str]) -> dict[str, Any]:
    names = sorted(key for key in given if key.startswith("sasl."))
    protocol = given.get("security.protocol", "PLAINTEXT").strip().upper()
    if not names:
        return {}
    if not protocol.startswith("SASL_"):
        notes.append(f"left out, since security.protocol {protocol} has no sign-in: {', '.join(names)}")
        return {}
    mechanism = (given.get("sasl.mechanism") or given.get("sasl.mechanisms") or "").strip().upper()
    if mechanism in ("GSSAPI", "AWS_MSK_IAM"):
        raise SettingsError(f"sasl.mechanism {mechanism!r} is not offered; {ANOTHER_MECHANISM}")
    if mechanism and mechanism not in MECHANISMS:
        raise SettingsError(f"sasl.mechanism {mechanism!r}: use one of {', '.join(MECHANISMS)}")
    values: dict[str, Any] = {"sasl_mechanism": mechanism}
    if "sasl.jaas.config" in given:
        values |= _from_jaas(given["sasl.jaas.config"], mechanism)
    for keys, name in (
        (("sasl.username",), "username"),
        (("sasl.password",), "password"),
        (("sasl.oauthbearer.token.endpoint.url",), "token_url"),
        (("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"), "oauth_client_id"),
        (
            ("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret"),
            "oauth_client_secret",
        ),
        (("sasl.oauthbearer.scope",), "oauth_scope"),
    ):
        for key in keys:
            if key in given:
                secret = bool(allowed.SECRET.search(key))
                values[name] = given[key] if secret else given[key].strip()
    if extensions := given.get("sasl.oauthbearer.extensions", "").strip():
        pairs = [part.strip().partition("=") for part in extensions.split(",")]
        values["oauth_extensions"] = tuple((key, value) for key, _, value in pairs)
    return values


def _from_jaas(text: str, mechanism: str) -> dict[str, Any]:
    entry = parse_jaas(text)
    options = entry.options
    if entry.name in ("Krb5LoginModule", "IAMLoginModule"):
        what = "Kerberos" if entry.name == "Krb5LoginModule" else "AWS MSK IAM"
        raise SettingsError(f"sasl.jaas.config: {what} is not offered; {ANOTHER_MECHANISM}")
    fits = {
        "PlainLoginModule": ("PLAIN",),
        "ScramLoginModule": ("SCRAM-SHA-256", "SCRAM-SHA-512"),
        "OAuthBearerLoginModule": ("OAUTHBEARER",),
    }
    if entry.name not in fits:
        raise SettingsError(
            f"sasl.jaas.config: the login module {shown(entry.module)!r} is not one of {', '.join(fits)}"
        )
    if mechanism and mechanism not in fits[entry.name]:
        raise SettingsError(
            f"sasl.mechanism {mechanism!r} does not fit the {entry.name} of sasl.jaas.config: "
            f"use {' or '.join(fits[entry.name])}"
        )
    if entry.name == "OAuthBearerLoginModule":
        return _from_oauth_options(options)
    known = {"username", "password", "serviceName"}
    if options.get("tokenauth", "false").lower() == "true":
        raise SettingsError("sasl.jaas.config: delegation tokens (tokenauth) are not offered; give a SCRAM user")
    _only_known(options, known | {"tokenauth"})
    return {"username": options.get("username", ""), "password": options.get("password", "")}


def _from_oauth_options(options: Mapping[str, str]) -> dict[str, Any]:
    if any(name.startswith("unsecuredLogin") for name in options):
        raise SettingsError(
            "sasl.jaas.config: unsecured tokens are not offered; give clientId and clientSecret, and "
            "sasl.oauthbearer.token.endpoint.url"
        )
    extensions = tuple(
        (name.removeprefix("extension_"), value) for name, value in options.items() if name.startswith("extension_")
    )
    _only_known(options, {"clientId", "clientSecret", "scope"}, prefix="extension_")
    named = {"clientId": "oauth_client_id", "clientSecret": "oauth_client_secret", "scope": "oauth_scope"}
    values: dict[str, Any] = {name: options[option] for option, name in named.items() if option in options}
    return values | ({"oauth_extensions": extensions} if extensions else {})


def _only_known(options: Mapping[str, str], known: set[str], *, prefix: str = "\0") -> None:
    if unknown := sorted(name for name in options if name not in known and not name.startswith(prefix)):
        raise SettingsError(
            f"sasl.jaas.config: the option {shown(unknown[0])!r} is unknown; known are {', '.join(sorted(known))}"
        )


# --- TLS ------------------------------------------------------------------------------------------------------


def _tls(given: Mapping[str, str], read_file: ReadFile, notes: list[str]) -> dict[str, Any]:
    names = sorted(key for key in given if key.startswith(("ssl.", "enable.ssl")))
    protocol = given.get("security.protocol", "PLAINTEXT").strip().upper()
    if not names:
        return {}
    if protocol not in ("SSL", "SASL_SSL"):
        notes.append(f"left out, since security.protocol {protocol} does not use TLS: {', '.join(names)}")
        return {}
    values: dict[str, Any] = {}
    if "ssl.endpoint.identification.algorithm" in given:
        algorithm = given["ssl.endpoint.identification.algorithm"].strip().lower()
        if algorithm not in ("https", "", "none"):
            raise SettingsError(f"ssl.endpoint.identification.algorithm {algorithm!r}: use https, or leave it empty")
        values["check_hostname"] = algorithm == "https"
    if trusted := _trusted(given, read_file, notes):
        values["ca_pem"] = trusted
    if own := _own(given, read_file, notes):
        values["certificate_pem"], values["key_pem"] = own.certificate_pem, own.key_pem
    return values


def _trusted(given: Mapping[str, str], read_file: ReadFile, notes: list[str]) -> str:
    _refuse_java_type(given, "ssl.truststore")
    for key in ("ssl.truststore.certificates", "ssl.ca.pem"):
        if given.get(key, "").strip():
            return certificates_pem(key, given[key])
    for key in ("ssl.truststore.location", "ssl.ca.location"):
        if path := given.get(key, "").strip():
            content = read_file(key, path)
            _refuse_java_store_at(key, path, content)
            pem = trusted_pem(key, content, given.get("ssl.truststore.password") or None)
            count = pem.count("-----BEGIN")
            notes.append(f"{key}: {counted(count, 'certificate')} read; a changed file is read with the next save")
            return pem
    return ""


def _own(given: Mapping[str, str], read_file: ReadFile, notes: list[str]) -> Identity | None:
    _refuse_java_type(given, "ssl.keystore")
    key_password = given.get("ssl.key.password") or None
    pairs = (("ssl.keystore.certificate.chain", "ssl.keystore.key"), ("ssl.certificate.pem", "ssl.key.pem"))
    for chain, private in pairs:
        if chain in given or private in given:
            if missing := [key for key in (chain, private) if not given.get(key, "").strip()]:
                raise SettingsError(f"{missing[0]} is missing: a client certificate needs its chain and its key")
            return identity_from_pem(chain, given[chain], private_key_lines(given[private]), key_password)
    if path := given.get("ssl.keystore.location", "").strip():
        content = read_file("ssl.keystore.location", path)
        _refuse_java_store_at("ssl.keystore.location", path, content)
        notes.append("ssl.keystore.location: read; a changed file is read with the next save")
        return identity("ssl.keystore.location", content, given.get("ssl.keystore.password") or None, key_password)
    chain_path, key_path = (given.get(f"ssl.{what}.location", "").strip() for what in ("certificate", "key"))
    if not chain_path and not key_path:
        return None
    if not (chain_path and key_path):
        missing_key = "ssl.certificate.location" if key_path else "ssl.key.location"
        raise SettingsError(f"{missing_key} is missing: a client certificate needs its chain and its key")
    chain_text = read_file("ssl.certificate.location", chain_path).decode("utf-8", "replace")
    key_text = read_file("ssl.key.location", key_path).decode("utf-8", "replace")
    notes.append("ssl.certificate.location: read; a changed file is read with the next save")
    return identity_from_pem("ssl.certificate.location", chain_text, key_text, key_password)


def _refuse_java_type(given: Mapping[str, str], stem: str) -> None:
    kind = given.get(f"{stem}.type", "").strip().upper()
    if kind and kind not in ("PEM", "PKCS12", "JKS", "JCEKS"):
        raise SettingsError(f"{stem}.type {shown(kind)!r}: use PEM or PKCS12")
    path = given.get(f"{stem}.location", "").strip()
    if kind in ("JKS", "JCEKS") or (not kind and path.lower().endswith((".jks", ".jceks"))):
        raise SettingsError(
            f"{stem}.type JKS: only Java reads such a store. Convert it, set {stem}.type=PKCS12 and name the new "
            f"file: {keytool_line(path or 'store.jks')}"
        )


def _refuse_java_store_at(key: str, path: str, content: bytes) -> None:
    try:
        refuse_java_store(key, content)
    except SettingsError as error:
        raise SettingsError(str(error).replace(keytool_line("store.jks"), keytool_line(path))) from None
