"""The session against a node that asks who one is: every sign-in over the raw wire path, and what a refusal does."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer

from collectors.demo.pki import Authority
from collectors.demo.secured import MECHANISMS, SecuredKafka
from collectors.domain.numbers import Layout
from collectors.domain.topology import Metadata, Reach
from collectors.kafka import manager
from collectors.kafka.session import Session
from collectors.kafka.settings import ConnectionSettings

pytestmark = pytest.mark.kafka
WAYS = (*MECHANISMS, "certificate", "PLAIN without TLS")


def properties_for(secured: SecuredKafka, way: str, user: str = "observer") -> dict[str, str]:
    if way == "certificate":
        return secured.certificate_properties(user)
    if way == "PLAIN without TLS":
        found = secured.properties(user, "PLAIN", bootstrap__servers=secured.address("SASL_PLAINTEXT"))
        return {k: v for k, v in found.items() if not k.startswith("ssl.")} | {"security.protocol": "SASL_PLAINTEXT"}
    return secured.properties(user, way)


@contextmanager
def session_with(properties: Mapping[str, Any]) -> Iterator[Session]:
    session = Session(ConnectionSettings.from_properties(properties))
    try:
        yield session
    finally:
        session.close()


def eventually(what: Callable[[], Any], seconds: float) -> Any:
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)
    return found


def metadata_of(session: Session) -> Metadata:
    found = eventually(lambda: session.ask_metadata(budget_seconds=3).value, 10)
    assert isinstance(found, Metadata)
    return found


def ends_of(session: Session, metadata: Metadata) -> int:
    layout = Layout.of_topics({"watched": [0, 1, 2]})
    answer = session.ask_end_offsets(layout, metadata, budget_seconds=3)
    assert not answer.errors
    assert answer.column.numbers.known.all()
    return int(answer.column.numbers.values.sum())


@pytest.mark.parametrize("way", WAYS)
def test_every_sign_in_carries_both_clients(secured: SecuredKafka, way: str) -> None:
    properties = properties_for(secured, way)
    with session_with(properties) as session:
        metadata = metadata_of(session)
        assert [topic.name for topic in metadata.topics if topic.name == "watched"] == ["watched"]
        assert ends_of(session, metadata) == 30
        commits = session.ask_commits(["readers"], budget_seconds=3)
        assert not commits.errors
        assert commits.column.numbers.values[commits.column.numbers.known].tolist() == [3]
        assert {reach.state for reach in session.reach().values()} == {Reach.UP}
    records = ConnectionSettings.from_properties(properties).for_records()
    consumer = Consumer({**records, "group.id": "unused"}, logger=logging.getLogger("tests.kafka"))
    try:
        consumer.poll(0)  # hands librdkafka its first token
        assert "watched" in consumer.list_topics(timeout=10).topics
    finally:
        consumer.close()


def test_every_sign_in_is_renewed_without_losing_a_connection(
    secured: SecuredKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[tuple[object, BaseException]] = []
    told = manager.Manager._lost

    def note(self: manager.Manager, node_id: int | str, failure: BaseException) -> None:
        lost.append((node_id, failure))
        told(self, node_id, failure)

    monkeypatch.setattr(manager.Manager, "_lost", note)
    ways = [way for way in WAYS if way != "certificate"]  # a certificate is not asked for twice
    sessions = [Session(ConnectionSettings.from_properties(properties_for(secured, way))) for way in ways]
    try:
        known = [metadata_of(session) for session in sessions]
        end = time.monotonic() + secured.session_seconds * 2 + 1
        while time.monotonic() < end:
            for session, metadata in zip(sessions, known, strict=True):
                assert ends_of(session, metadata) == 30
            time.sleep(0.2)
        assert lost == []
        renewed = [_authenticated_at(session) for session in sessions]
        assert min(renewed) > end - secured.session_seconds * 1.2
    finally:
        for session in sessions:
            session.close()


def _authenticated_at(session: Session) -> float:
    """When the connection to broker 1 signed in last (monotonic)."""
    link = session._exchange._link
    assert link is not None
    at = link._manager._conns[1]._reauth.authenticated_at
    assert isinstance(at, float)
    return at


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The moments at which connections were tried."""
    tried: list[float] = []
    built = manager.Manager._build_transport

    async def build(self: manager.Manager, node: Any, timeout_at: float | None = None) -> Any:
        tried.append(time.monotonic())
        return await built(self, node, timeout_at)

    monkeypatch.setattr(manager.Manager, "_build_transport", build)
    return tried


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_refused_sign_in_is_not_tried_again_at_once(
    secured: SecuredKafka, connects: list[float], mechanism: str
) -> None:
    properties = secured.properties("observer", mechanism)
    properties["sasl.jaas.config"] = properties["sasl.jaas.config"].replace(secured.passwords["observer"], "wrong")
    with session_with(properties) as session:
        end = time.monotonic() + 2.5
        reasons = []
        while time.monotonic() < end:
            answer = session.ask_metadata(budget_seconds=1)
            assert answer.value is None
            reasons += [error.reason for error in answer.errors]
        assert set(reasons) == {"sign-in refused"}
        assert len(connects) <= (0 if mechanism == "OAUTHBEARER" else 1)  # a refused token never reaches the broker
        assert session._exchange._link is not None
        assert session._exchange._link._manager.connection_delay("bootstrap-0") > manager.REFUSED_SECONDS - 5


def test_a_password_rotated_while_connected_is_told_and_ends_when_it_is_mended(
    secured: SecuredKafka, connects: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "REFUSED_SECONDS", 1.5)
    with session_with(secured.properties("standard", "SCRAM-SHA-256")) as session:
        metadata = metadata_of(session)
        assert ends_of(session, metadata) == 30
        try:
            secured.set_scram_password("standard", "another")
            suspect = eventually(lambda: _suspect(session, metadata), secured.session_seconds + 6)
            assert suspect == "sign-in refused"
            tried = len(connects)
            end = time.monotonic() + 3
            while time.monotonic() < end:
                session.probe_suspects()
                time.sleep(0.1)
                assert _suspect(session, metadata) == "sign-in refused"
            assert len(connects) - tried <= 6  # two links, every 1.5 s or later
        finally:
            secured.set_scram_password("standard", secured.passwords["standard"])

        def is_back() -> bool:
            session.probe_suspects()
            return _suspect(session, metadata) is None

        eventually(is_back, 10)
        assert ends_of(session, metadata) == 30


def _suspect(session: Session, metadata: Metadata) -> str | None:
    session.ask_end_offsets(Layout.of_topics({"watched": [0]}), metadata, budget_seconds=0.5)
    reach = session.reach()[1]
    return reach.reason if reach.state is Reach.SUSPECT else None


def test_each_refusal_of_tls_has_its_own_word(secured: SecuredKafka) -> None:
    tls = {"security.protocol": "SSL", "ssl.truststore.certificates": secured.authority.pem}
    foreign = secured.certificate_properties(issued=Authority("another").client("observer"))
    cases = {
        "certificate expired": tls | {"bootstrap.servers": secured.address("EXPIRED")},
        "certificate of another host": tls | {"bootstrap.servers": secured.address("MISNAMED")},
        "certificate not trusted": secured.properties(ssl__truststore__certificates=Authority("another").pem),
        "client certificate refused": foreign,
        "sign-in mechanism not offered": {
            "bootstrap.servers": secured.address("SASL_PLAINTEXT"),
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-256",
            "sasl.username": "observer",
            "sasl.password": "x",
        },
    }
    seen = {}
    for expected, properties in cases.items():
        with session_with(properties) as session:
            seen[expected] = {error.reason for error in session.ask_metadata(budget_seconds=1.5).errors}
    assert seen == {expected: {expected} for expected in cases}


def test_a_tls_handshake_that_nobody_answers_ends(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        properties = {
            "bootstrap.servers": f"127.0.0.1:{silent.getsockname()[1]}",
            "security.protocol": "SSL",
            "ssl.ca.pem": authority.pem,
            "socket.connection.setup.timeout.ms": "600",
        }
        with session_with(properties) as session:
            eventually(lambda: "timeout" in session._exchange._bootstrap_reason, 3)
            assert {e.reason for e in session.ask_metadata(budget_seconds=0.5).errors} == {"timeout"}
            lost = session._exchange._link
            assert lost is not None
            eventually(lambda: lost._manager._backoff.get("bootstrap-0", (0,))[0] >= 2, 5)  # tried again, so it ended


@pytest.fixture
def authority() -> Authority:
    return Authority()


def test_a_token_endpoint_that_is_away_is_told(secured: SecuredKafka) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}/token"
    properties = secured.properties("observer", "OAUTHBEARER", sasl__oauthbearer__token__endpoint__url=url)
    with session_with(properties) as session:
        errors = session.ask_metadata(budget_seconds=1).errors
    assert {error.reason for error in errors} == {"token endpoint failed"}
