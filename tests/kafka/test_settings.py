"""What a form or a file may set, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest

from collectors.kafka.settings import ConnectionSettings, SettingsError, parse_properties


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("bootstrap.servers=a:9092", ("a:9092",)),
        ("bootstrap.servers: a:9092 , b:9093,", ("a:9092", "b:9093")),
        ("# a comment\n! another\n\n  bootstrap.servers  a:9092\n", ("a:9092",)),
        ("bootstrap.servers=a:9092,\\\n   b:9092", ("a:9092", "b:9092")),
        ("bootstrap.servers=PLAINTEXT://a:9092", ("a:9092",)),
        ("bootstrap.servers=[::1]:9092", ("[::1]:9092",)),
        ("bootstrap\\.servers=kafka-0.kafka_svc.local:9092", ("kafka-0.kafka_svc.local:9092",)),
        ("bootstrap.servers=\\u0061:9092\r\nclient.id=x", ("a:9092",)),
    ],
)
def test_a_properties_text_is_read_as_java_reads_it(text: str, servers: tuple[str, ...]) -> None:
    assert ConnectionSettings.from_properties(text).bootstrap_servers == servers


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "bootstrap.servers is missing"),
        ({"bootstrap.servers": "a"}, "'a': use host:port"),
        ({"bootstrap.servers": "a:0"}, "'0' is not a port"),
        ({"bootstrap.servers": "a:99999"}, "'99999' is not a port"),
        ({"bootstrap.servers": "a b:9092"}, "use host:port"),
        ({"bootstrap.servers": "::1:9092"}, "in brackets"),
        ({"bootstrap.servers": "http://a/:9092"}, "use host:port"),
        ({"bootstrap.servers": "a:9092", "client.id": "x y"}, "client.id 'x y'"),
        ({"bootstrap.servers": "a:9092", "request.timeout.ms": "soon"}, "request.timeout.ms 'soon'"),
        ({"bootstrap.servers": "a:9092", "request.timeout.ms": "5"}, "from 1000 to 300000"),
        ({"bootstrap.servers": "a:9092", "security.protocol": "TLS"}, "'TLS': use one of PLAINTEXT, SSL"),
        ({"bootstrap.servers": "a:9092", "sasl.username": "x"}, "add security.protocol=SASL_SSL"),
        ({"bootstrap.servers": "a:9092", "ssl.ca.pem": "x"}, "add security.protocol=SSL"),
        ({"bootstrap.servers": "a:9092", "interceptor.classes": "x.Y"}, "names code to load"),
        ({"bootstrap.servers": "a:9092", "plugin.library.paths": "/x.so"}, "names code to load"),
        ({"bootstrap.servers": "a:9092", "ssl.crl.location": "/x"}, "read files of this machine"),
        ({"bootstrap.servers": "a:9092", "bootstrap.server": "1"}, "did you mean bootstrap.servers?"),
        ({"bootstrap.servers": "a:9092", "sasl.kerberos.service.name": "k"}, "Kerberos (GSSAPI) is not offered"),
        ({"bootstrap.servers": "a:9092", "what.ever": "1"}, "what.ever: unknown here"),
        ({"bootstrap.servers": ",".join(f"a{i}:1" for i in range(101))}, "at most 100"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_with_the_reason(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ConnectionSettings.from_properties(given)
    assert words in str(caught.value)


def test_every_refused_key_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"what.*metric\.reporters"):
        ConnectionSettings.from_properties({"what": "1", "metric.reporters": "g", "bootstrap.servers": "a:1"})


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"client\.id is given twice"):
        parse_properties("client.id=a\nclient.id=b")


def test_both_libraries_get_the_same_settings_and_nothing_else() -> None:
    settings = ConnectionSettings.from_properties("bootstrap.servers=a:1,b:2\nclient.id=me\nrequest.timeout.ms=20000")
    assert settings.for_admin() == {
        "bootstrap_servers": ["a:1", "b:2"],
        "client_id": "me",
        "security_protocol": "PLAINTEXT",
        "request_timeout_ms": 20_000,
        "socket_connection_setup_timeout_ms": 10_000,
        "socket_connection_setup_timeout_max_ms": 10_000,
    }
    assert settings.for_records() == {
        "bootstrap.servers": "a:1,b:2",
        "client.id": "me",
        "security.protocol": "PLAINTEXT",
        "socket.timeout.ms": 20_000,
        "socket.connection.setup.timeout.ms": 10_000,
    }


def test_stored_settings_come_back_as_they_were() -> None:
    settings = ConnectionSettings.from_properties("bootstrap.servers=a:1,[::1]:2\nrequest.timeout.ms=9000")
    assert ConnectionSettings.from_stored(settings.to_stored()) == settings


def test_stored_settings_of_a_newer_version_are_refused_in_words() -> None:
    with pytest.raises(SettingsError, match="sasl_kerberos"):
        ConnectionSettings.from_stored({"bootstrap_servers": ["a:1"], "sasl_kerberos": "PLAIN"})
