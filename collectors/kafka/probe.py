"""The connection test: layer by layer, so that each mistake has its own words, and the words their fix."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from cryptography import x509
from kafka.errors import KafkaError
from kafka.protocol.metadata import MetadataRequest

from ..domain.words import counted
from . import mishaps
from .certificates import days_left, expiries
from .conversation import Address, Conversation, MechanismError, NoSignInError, SignInError, resolve
from .mishaps import MishapError
from .oauth import TokenRefusedError, TokenUnavailableError, fetch_token
from .rights import Rights, ask_rights
from .settings import ConnectionSettings

CONNECT_SECONDS = 5.0
NAME_SECONDS = 5.0
MAX_BROKERS = 100
WARN_DAYS = 21.0

T = TypeVar("T")


class Outcome(StrEnum):
    OK = "ok"
    WARN = "warn"  # it works, and something is worth a decision
    BAD = "bad"
    WAITS = "waits"  # a step before it failed


TITLES = {
    "settings": "Settings",
    "name": "Name",
    "connection": "Connection",
    "tls": "TLS",
    "sign_in": "Sign-in",
    "addresses": "Advertised addresses",
    "rights": "Rights",
    "first_cycle": "First cycle",
}


@dataclass(frozen=True, slots=True)
class Step:
    """What one layer said. `fix` is a sentence, `lines` are to be copied; `cause` is a stable word for tests."""

    key: str
    outcome: Outcome
    say: str
    seconds: float | None = None
    cause: str = ""
    fix: str = ""
    lines: tuple[str, ...] = ()
    marks: tuple[tuple[bool, str, str], ...] = ()  # (whether it is on, what, why not or what to bear in mind)
    others: tuple[tuple[str, tuple[str, ...]], ...] = ()  # the same lines in the words of other kinds of Kafka

    @property
    def title(self) -> str:
        return TITLES[self.key]


@dataclass(slots=True)
class _Found:
    """What the steps learn for those after them."""

    addresses: list[Address] = field(default_factory=list)
    reached: list[Address] = field(default_factory=list)
    token: str = ""
    principal: str = ""
    rights: Rights | None = None


def probe(settings: ConnectionSettings, *, notes: Iterable[str] = (), taken: int = 0) -> Iterator[Step]:
    """The eight steps, each as soon as it is done; after one that is BAD the others wait. Never raises."""
    found = _Found(principal=settings.identity)
    said = [f"{counted(taken, 'key')} read"] if taken else ["read"]
    yield Step("settings", Outcome.OK, "; ".join([*said, *notes]), 0.0)
    makers: dict[str, Callable[[ConnectionSettings, _Found], Step]] = {
        "name": _name,
        "connection": _connection,
        "tls": _tls,
        "sign_in": _sign_in,
        "addresses": _addresses,
        "rights": _rights,
        "first_cycle": _first_cycle,
    }
    failed = ""
    for key, make in makers.items():
        if failed:
            yield Step(key, Outcome.WAITS, f"Waits for: {TITLES[failed]}")
            continue
        began = time.monotonic()
        try:
            step = make(settings, found)
        except MishapError as mishap:
            step = Step(key, Outcome.BAD, mishap.say, cause=mishap.cause, fix=mishap.fix, lines=mishap.lines)
        yield replace(step, seconds=time.monotonic() - began)
        if step.outcome is Outcome.BAD:
            failed = key


def refused_settings(error: str) -> list[Step]:
    """The steps when there is nothing to connect with."""
    first = Step("settings", Outcome.BAD, error, 0.0, cause="settings")
    return [first, *(Step(key, Outcome.WAITS, "Waits for: Settings") for key in TITLES if key != "settings")]


# --- name and connection ----------------------------------------------------------------------------------------


def _name(settings: ConnectionSettings, found: _Found) -> Step:
    servers = [_split(server) for server in settings.bootstrap_servers]
    answers = _all_at_once(lambda server: resolve(*server), servers, NAME_SECONDS)
    said, missing = [], []
    for (host, port), answer in zip(servers, answers, strict=True):
        if isinstance(answer, BaseException):
            missing.append(host)
            continue
        found.addresses += answer
        ips = ", ".join(dict.fromkeys(one.ip for one in answer))
        said.append(f"{host}:{port}" if ips == host.strip("[]") else f"{host} is {ips}")
    if not found.addresses:
        raise mishaps.no_such_host(missing)
    if missing:
        mishap = mishaps.no_such_host(missing)
        return Step("name", Outcome.WARN, "; ".join([*said, mishap.say]), cause=mishap.cause, fix=mishap.fix)
    return Step("name", Outcome.OK, "; ".join(said))


def _connection(settings: ConnectionSettings, found: _Found) -> Step:
    timeout = _timeout(settings)
    answers = _all_at_once(lambda address: _knock(settings, address, timeout), found.addresses, timeout + 1)
    failures = []
    for address, answer in zip(found.addresses, answers, strict=True):
        if isinstance(answer, BaseException):
            failures.append((address, answer))
        else:
            found.reached.append(address)
    if not found.reached:
        raise mishaps.of_connecting(*failures[0])
    said = f"{len(found.reached)} of {counted(len(found.addresses), 'address', 'addresses')} answer"
    # "localhost" is two addresses, and a broker listens on one of them: only a server that none leads to is told
    reached = {(address.host, address.port) for address in found.reached}
    lost = [(address, failure) for address, failure in failures if (address.host, address.port) not in reached]
    if lost:
        mishap = mishaps.of_connecting(*lost[0])
        return Step("connection", Outcome.WARN, f"{said}; {mishap.say}", cause=mishap.cause, fix=mishap.fix)
    return Step("connection", Outcome.OK, said)


def _knock(settings: ConnectionSettings, address: Address, timeout: float) -> None:
    with Conversation(settings, address, timeout):
        pass


# --- TLS and sign-in --------------------------------------------------------------------------------------------


def _tls(settings: ConnectionSettings, found: _Found) -> Step:
    address = found.reached[0]
    try:
        with Conversation(settings, address, _timeout(settings)) as conversation:
            if settings.uses_tls:
                conversation.start_tls()
            version, certificate = conversation.tls_version, conversation.peer_certificate
            conversation.ask_versions()
    except mishaps.EXPECTED as failure:
        raise mishaps.of_first_words(settings, address, failure) from None
    if not settings.uses_tls or certificate is None:
        return Step("tls", Outcome.OK, f"not used: security.protocol is {settings.security_protocol}")
    left = days_left(x509.load_der_x509_certificate(certificate).not_valid_after_utc, time.time())
    said = f"{version.replace('v', ' ')}, certificate valid for {left:.0f} d"
    own = expiries(settings.certificate_pem)[:1] if settings.certificate_pem else []
    ends = [days_left(at, time.time()) for _, at in own]
    if ends:
        said += f", your own for {ends[0]:.0f} d"
    if min([left, *ends]) < WARN_DAYS:
        return Step("tls", Outcome.WARN, said, cause="expires soon", fix="Renew the certificate before it ends.")
    return Step("tls", Outcome.OK, said)


def _sign_in(settings: ConnectionSettings, found: _Found) -> Step:
    address = found.reached[0]
    if settings.sasl_mechanism == "OAUTHBEARER":
        try:
            token = fetch_token(settings)
        except TokenRefusedError as failure:
            raise mishaps.token_refused(str(failure)) from None
        except TokenUnavailableError as failure:
            raise mishaps.token_unavailable(str(failure)) from None
        found.token, found.principal = token.text, token.subject or found.principal
    elif settings.certificate_pem and not settings.signs_in:
        leaf = x509.load_pem_x509_certificate(settings.certificate_pem.encode())
        found.principal = leaf.subject.rfc4514_string()
    try:
        with _signed_in(settings, found, address) as conversation:
            conversation.ask(MetadataRequest(topics=[], allow_auto_topic_creation=False))
    except (MechanismError, NoSignInError, SignInError, *mishaps.EXPECTED) as failure:
        raise mishaps.of_sign_in(settings, address, failure) from None
    if settings.signs_in:
        return Step("sign_in", Outcome.OK, f"{settings.sasl_mechanism} as {found.principal}")
    who = f"by the client certificate {found.principal}" if found.principal else "none asked for"
    return Step("sign_in", Outcome.OK, who)


def _signed_in(settings: ConnectionSettings, found: _Found, address: Address) -> Conversation:
    conversation = Conversation(settings, address, _timeout(settings))
    try:
        if settings.uses_tls:
            conversation.start_tls()
        conversation.ask_versions()
        if settings.signs_in:
            conversation.sign_in(found.token)
    except BaseException:
        conversation.__exit__()
        raise
    return conversation


# --- the brokers behind -----------------------------------------------------------------------------------------


def _addresses(settings: ConnectionSettings, found: _Found) -> Step:
    try:
        with _signed_in(settings, found, found.reached[0]) as conversation:
            answer = conversation.ask(MetadataRequest(topics=[], allow_auto_topic_creation=False))
    except (SignInError, *mishaps.EXPECTED) as failure:
        raise mishaps.of_sign_in(settings, found.reached[0], failure) from None
    brokers = sorted(answer.brokers, key=lambda one: int(one.node_id))[:MAX_BROKERS]
    if not brokers:
        raise MishapError(
            "no brokers", "the cluster lists no broker", "Give the address of a broker, not of a controller."
        )
    timeout = _timeout(settings)
    answers = _all_at_once(lambda broker: _reach(settings, broker, timeout), brokers, NAME_SECONDS + 2 * timeout + 1)
    failed = [(broker, why) for broker, why in zip(brokers, answers, strict=True) if isinstance(why, BaseException)]
    if not failed:
        named = ", ".join(f"{broker.host}:{broker.port}" for broker in brokers[:6])
        said = f"{counted(len(brokers), 'broker')} of {len(brokers)} reachable: {named}"
        return Step("addresses", Outcome.OK, said + (" …" if len(brokers) > 6 else ""))
    mishap = mishaps.of_advertised(settings, [(int(b.node_id), str(b.host), int(b.port), why) for b, why in failed])
    outcome = Outcome.BAD if len(failed) == len(brokers) else Outcome.WARN
    said = f"{len(brokers) - len(failed)} of {counted(len(brokers), 'broker')} reachable; {mishap.say}"
    return Step("addresses", outcome, said, cause=mishap.cause, fix=mishap.fix, lines=mishap.lines)


def _reach(settings: ConnectionSettings, broker: Any, timeout: float) -> None:
    failure: BaseException = OSError("no address")
    for address in resolve(str(broker.host), int(broker.port)):
        try:
            with Conversation(settings, address, timeout) as conversation:
                if settings.uses_tls:
                    conversation.start_tls()
                conversation.ask_versions()
                return
        except mishaps.EXPECTED as error:
            failure = error
    raise failure


def _rights(settings: ConnectionSettings, found: _Found) -> Step:
    try:
        with _signed_in(settings, found, found.reached[0]) as conversation:
            found.rights = rights = ask_rights(conversation)
    except (KafkaError, SignInError, *mishaps.EXPECTED) as failure:
        raise mishaps.of_sign_in(settings, found.reached[0], failure) from None
    marks = tuple((right.is_on, right.shows, right.why or right.caution) for right in rights.rights)
    seen = f"{counted(rights.topics, 'topic')} and {counted(rights.groups, 'group')} visible to this login"
    off = sum(not right.is_on for right in rights.rights)
    said = f"{seen}; {len(marks) - off} of {len(marks)} things can be shown"
    if not off:
        return Step("rights", Outcome.OK, said, marks=marks)
    principal = found.principal or "NAME"
    lines = tuple(dict.fromkeys(r.kafka_acls(principal, settings.bootstrap_servers[0]) for r in rights.missing))
    others = (
        ("Confluent Cloud, by service account", tuple(dict.fromkeys(r.confluent("sa-000000") for r in rights.missing))),
        ("Amazon MSK with IAM, by policy", tuple(dict.fromkeys(r.msk() for r in rights.missing))),
    )
    if not rights.missing:
        return Step("rights", Outcome.OK, said, marks=marks)
    fix = "What is off stays unknown and is shown so. An administrator of Kafka turns it on by:"
    return Step("rights", Outcome.WARN, said, cause="not authorised", fix=fix, lines=lines, others=others, marks=marks)


def _first_cycle(settings: ConnectionSettings, found: _Found) -> Step:
    from ..domain.numbers import Layout
    from .session import Session

    session = Session(settings)
    try:
        metadata = session.ask_metadata(budget_seconds=10.0)
        if metadata.value is None:
            reasons = sorted({error.reason for error in metadata.errors})
            raise MishapError("first cycle", f"no answer about the cluster: {', '.join(reasons)}", "Test again.")
        groups = session.ask_groups(metadata.value, budget_seconds=5.0)
        names = [group.name for group in groups.value.groups] if groups.value else []
        commits = session.ask_commits(names, budget_seconds=5.0)
        layout = Layout.of_topics({t.name: [p.index for p in t.partitions] for t in metadata.value.topics})
        ends = session.ask_end_offsets(layout, metadata.value, budget_seconds=5.0)
        known = int(ends.column.numbers.known.sum())
        said = (
            f"{counted(len(metadata.value.topics), 'topic')}, log ends of {known} of "
            f"{counted(len(layout), 'partition')}, {counted(int(commits.column.numbers.known.sum()), 'commit')} "
            f"of {counted(len(names), 'group')}"
        )
        if known < len(layout):
            reasons = sorted({error.reason for error in (*ends.errors, *commits.errors)})
            return Step(
                "first_cycle", Outcome.WARN, f"{said}; missing because of: {', '.join(reasons)}", cause="partial"
            )
        return Step("first_cycle", Outcome.OK, said)
    finally:
        session.close()


# --- all at once ------------------------------------------------------------------------------------------------


def _all_at_once(ask: Callable[[T], Any], subjects: list[T], seconds: float) -> list[Any]:
    """The answer or the exception for each; TimeoutError for those that are not back in time (DNS cannot be ended)."""
    answers: list[Any] = [TimeoutError("no answer in time") for _ in subjects]
    done: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
    work = queue.SimpleQueue[tuple[int, T]]()
    for one in enumerate(subjects):
        work.put(one)

    def run() -> None:
        while True:
            try:
                position, subject = work.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((position, ask(subject)))
            except Exception as failure:  # noqa: BLE001 - it is this subject's answer
                done.put((position, failure))

    for _ in range(min(32, len(subjects))):
        threading.Thread(target=run, name="kafka-probe", daemon=True).start()
    deadline = time.monotonic() + seconds
    for _ in subjects:
        try:
            position, answer = done.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        answers[position] = answer
    return answers


def _split(server: str) -> tuple[str, int]:
    host, _, port = server.rpartition(":")
    return host, int(port)


def _timeout(settings: ConnectionSettings) -> float:
    return min(CONNECT_SECONDS, settings.connection_setup_timeout_ms / 1000)
