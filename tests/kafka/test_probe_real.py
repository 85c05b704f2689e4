"""The connection test against a node that can be got wrong in every way: each mistake has its own word and fix."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from collectors.demo.nodes import KafkaCluster
from collectors.demo.pki import Authority
from collectors.demo.secured import MECHANISMS, RIGHTS, SecuredKafka
from collectors.kafka.conversation import Conversation, resolve
from collectors.kafka.probe import Outcome, Step, probe, refused_settings
from collectors.kafka.rights import ask_rights
from collectors.kafka.settings import ConnectionSettings

pytestmark = pytest.mark.kafka
ORDER = ["settings", "name", "connection", "tls", "sign_in", "addresses", "rights", "first_cycle"]


def probed(properties: Mapping[str, Any]) -> dict[str, Step]:
    steps = list(probe(ConnectionSettings.from_properties(properties)))
    assert [step.key for step in steps] == ORDER
    return {step.key: step for step in steps}


def failing(properties: Mapping[str, Any]) -> Step:
    """The step that is bad, after which all wait, and before which none is bad."""
    steps = list(probed(properties).values())
    bad = [step for step in steps if step.outcome is Outcome.BAD]
    assert len(bad) == 1
    position = steps.index(bad[0])
    assert all(step.outcome is Outcome.WAITS for step in steps[position + 1 :])
    assert bad[0].fix
    return bad[0]


@pytest.mark.parametrize("mechanism", [*MECHANISMS, "certificate"])
def test_a_right_one_passes_every_step(secured: SecuredKafka, mechanism: str) -> None:
    if mechanism == "certificate":
        properties = secured.certificate_properties("standard")
    else:
        properties = secured.properties("standard", mechanism)
    steps = probed(properties)
    assert {key: step.outcome for key, step in steps.items()} == dict.fromkeys(ORDER, Outcome.OK)
    assert "certificate valid for 36" in steps["tls"].say
    assert "standard" in steps["sign_in"].say
    assert re.search(
        r"log ends of (\d+) of \1 partitions, [1-9]\d* commits? of [1-9]\d* groups?", steps["first_cycle"].say
    )
    assert all(step.seconds is not None for step in steps.values())


def wrong(secured: SecuredKafka, how: str) -> dict[str, str]:
    tls = {"security.protocol": "SSL", "ssl.truststore.certificates": secured.authority.pem}
    right = secured.properties()
    password = secured.passwords["observer"]
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"
    cases: dict[str, dict[str, str]] = {
        "no such host": right | {"bootstrap.servers": "no-such-host.invalid:9093"},
        "refused": right | {"bootstrap.servers": nobody},
        "tls against plain": right | {"bootstrap.servers": secured.address("SASL_PLAINTEXT")},
        "plain against tls": {"bootstrap.servers": secured.address("SASL_SSL")},
        "unknown authority": right | {"ssl.truststore.certificates": Authority("another").pem},
        "system authorities": {k: v for k, v in right.items() if not k.startswith("ssl.")},
        "expired": tls | {"bootstrap.servers": secured.address("EXPIRED")},
        "wrong host name": tls | {"bootstrap.servers": secured.address("MISNAMED")},
        "no client certificate": tls | {"bootstrap.servers": secured.address("MUTUAL")},
        "foreign client certificate": secured.certificate_properties(issued=Authority("another").client("observer")),
        "wrong mechanism": {
            **right,
            "bootstrap.servers": secured.address("SASL_PLAINTEXT"),
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-256",
        },
        "wrong password": right | {"sasl.jaas.config": right["sasl.jaas.config"].replace(password, "wrong")},
        "sign-in missing": tls | {"bootstrap.servers": secured.address("SASL_SSL")},
        "sign-in not taken": right | {"bootstrap.servers": secured.address("EXPIRED"), "security.protocol": "SASL_SSL"},
        "advertised address": {"bootstrap.servers": secured.address("LOST")},
    }
    return cases[how]


@pytest.mark.parametrize(
    ("how", "step", "cause", "words"),
    [
        ("no such host", "name", "no such host", "no-such-host.invalid cannot be resolved"),
        ("refused", "connection", "refused", "refuses connections"),
        ("tls against plain", "tls", "no tls there", "speaks plain text, and security.protocol is SASL_SSL"),
        ("plain against tls", "tls", "tls expected", "speaks TLS, and security.protocol is PLAINTEXT"),
        ("unknown authority", "tls", "unknown authority", "issued by CN=Streamgauge demo authority"),
        ("system authorities", "tls", "unknown authority", "the authorities of this system"),
        ("expired", "tls", "expired", "expired on 20"),
        ("wrong host name", "tls", "wrong host name", "not for localhost, it is for kafka.example.org"),
        ("no client certificate", "tls", "client certificate", "none was given"),
        ("foreign client certificate", "tls", "client certificate", "refuses the one that was shown"),
        ("wrong mechanism", "sign_in", "wrong mechanism", "it offers PLAIN, SCRAM-SHA-512"),
        ("wrong password", "sign_in", "wrong password", "'observer' or its password"),
        ("sign-in missing", "sign_in", "sign-in expected", "it offers OAUTHBEARER, PLAIN, SCRAM-SHA-256"),
        ("advertised address", "addresses", "advertised address", "calls itself no-such-broker.invalid:"),
    ],
)
def test_each_mistake_is_told_apart(secured: SecuredKafka, how: str, step: str, cause: str, words: str) -> None:
    found = failing(wrong(secured, how))
    assert (found.key, found.cause) == (step, cause)
    assert words in found.say
    for password in secured.passwords.values():
        assert password not in found.say + found.fix


def test_a_sign_in_that_is_not_taken_is_told(secured: SecuredKafka) -> None:
    properties = secured.properties(bootstrap__servers=secured.bootstrap, security__protocol="SASL_PLAINTEXT")
    found = failing({key: value for key, value in properties.items() if not key.startswith("ssl.")})
    assert (found.key, found.cause) == ("sign_in", "no sign-in there")
    assert "security.protocol=PLAINTEXT" in found.fix


@pytest.mark.parametrize(("what", "cause"), [("secret", "wrong password"), ("endpoint", "token endpoint")])
def test_a_token_that_is_not_had_is_told(secured: SecuredKafka, what: str, cause: str) -> None:
    right = secured.properties("observer", "OAUTHBEARER")
    jaas = right["sasl.jaas.config"].replace(secured.passwords["observer"], "wrong")
    changed = {"secret": {"sasl.jaas.config": jaas}, "endpoint": {URL: "http://127.0.0.1:9/token"}}
    found = failing(right | changed[what])
    assert (found.key, found.cause) == ("sign_in", cause)


URL = "sasl.oauthbearer.token.endpoint.url"


def test_a_port_that_says_nothing_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        timeout = {"socket.connection.setup.timeout.ms": "700"}
        found = failing({"bootstrap.servers": address} | timeout)
        assert (found.key, found.cause) == ("tls", "timeout")


def test_a_port_that_speaks_something_else_is_told() -> None:
    def serve(server: socket.socket) -> None:
        server.accept()[0].close()  # the step before only knocks
        connection, _ = server.accept()
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as web:
        thread = threading.Thread(target=serve, args=(web,), daemon=True)
        thread.start()
        found = failing({"bootstrap.servers": f"127.0.0.1:{web.getsockname()[1]}"})
        thread.join(5)
    assert (found.key, found.cause) == ("tls", "not kafka")


def test_an_address_behind_which_nobody_is_times_out() -> None:
    backlog = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = []
    try:
        for _ in range(3):  # a full backlog drops packets, as a firewall does
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(backlog.getsockname())
            fillers.append(filler)
        properties = {
            "bootstrap.servers": f"127.0.0.1:{backlog.getsockname()[1]}",
            "socket.connection.setup.timeout.ms": "600",
        }
        found = failing(properties)
        assert (found.key, found.cause) == ("connection", "timeout")
    finally:
        for filler in (*fillers, backlog):
            filler.close()


def test_one_broker_of_three_that_is_away_is_a_warning(kafka: KafkaCluster) -> None:
    kafka.kill(3)
    try:
        address = kafka.bootstrap.split(",")[0]
        steps = probed({"bootstrap.servers": address})
        # Kafka goes on listing it for eight seconds, and so does what is shown here
        assert (steps["addresses"].outcome, steps["addresses"].cause) == (Outcome.WARN, "advertised address")
        assert "2 of 3 brokers reachable; broker 3 calls itself" in steps["addresses"].say
        assert steps["rights"].outcome is not Outcome.WAITS
    finally:
        kafka.restart(3)
        kafka.wait_ready()


# --- rights -----------------------------------------------------------------------------------------------------


def off_for(secured: SecuredKafka, user: str) -> dict[str, str]:
    settings = ConnectionSettings.from_properties(secured.properties(user))
    host, _, port = secured.address().rpartition(":")
    with Conversation(settings, resolve(host, int(port))[-1], 5.0) as conversation:
        conversation.start_tls()
        conversation.ask_versions()
        conversation.sign_in()
        return {right.key: right.why for right in ask_rights(conversation).rights if not right.is_on}


def test_what_a_login_may_not_see_is_off_with_the_line_that_turns_it_on(secured: SecuredKafka) -> None:
    steps = probed(secured.properties("observer"))
    rights = steps["rights"]
    assert rights.outcome is Outcome.WARN
    assert rights.say.endswith("; 2 of 6 things can be shown")
    assert (False, "Sizes on disk", "not authorised") in rights.marks
    assert any(line.endswith("--allow-principal User:observer --operation Describe --cluster") for line in rights.lines)
    assert any(line.endswith("--operation DescribeConfigs --topic '*'") for line in rights.lines)
    assert steps["first_cycle"].outcome is Outcome.OK
    assert off_for(secured, "admin") == {}
    assert set(off_for(secured, "nobody")) == {"topics", "groups", "log_dirs", "quorum", "broker_configs"}


@pytest.mark.parametrize(
    ("kind", "operation", "off"),
    [
        ("TOPIC", "DESCRIBE", {"topics": "none visible to this login"}),
        ("BROKER", "DESCRIBE", {"log_dirs": "not authorised", "quorum": "not authorised"}),
        ("BROKER", "DESCRIBE_CONFIGS", {"broker_configs": "not authorised"}),
    ],
)
def test_each_right_withdrawn_turns_off_what_needs_it(
    secured: SecuredKafka, kind: str, operation: str, off: dict[str, str]
) -> None:
    assert off_for(secured, "standard") == {}
    # DescribeConfigs implies Describe, so that it has to go with it
    gone = [(k, o) for k, o in RIGHTS["standard"] if k == kind and (o == operation or operation == "DESCRIBE")]
    secured.withdraw("standard", gone)
    try:
        assert off.items() <= off_for(secured, "standard").items()
    finally:
        secured.grant("standard", gone)
    assert off_for(secured, "standard") == {}


def test_settings_that_are_refused_leave_every_step_waiting() -> None:
    steps = refused_settings("sasl.mechanism is missing")
    assert [step.key for step in steps] == ORDER
    assert [step.outcome for step in steps] == [Outcome.BAD, *[Outcome.WAITS] * 7]
