"""E-mail against a real SMTP server on loopback, its failures included."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from collectors.domain.topology import Reach
from dashboard.alerts import outbox
from dashboard.alerts.addresses import parse_networks
from dashboard.alerts.channels import FieldError, Message, Outcome, Outside
from dashboard.alerts.channels.kinds import KINDS
from dashboard.alerts.channels.mail import mail_of
from dashboard.alerts.sender import Sender
from dashboard.alerts.telling import send_test
from dashboard.models import Channel, Delivery

from .receiver import drive, due_now, state_of
from .smtp import Sink, mail_sink
from .stage import Stage, settle
from .standins import channel
from .test_webhook_tls import certificate_for

pytestmark = pytest.mark.django_db
TYPED = {
    "recipients": "ops@example.org, night@example.org",
    "sender": "Streamgauge <streamgauge@example.org>",
    "host": "127.0.0.1",
    "security": "none",
}


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.ALLOWED_NETWORKS = ["loopback"]


@pytest.fixture
def sink() -> Iterator[Sink]:
    with mail_sink() as made:
        yield made


def mail_channel(sink: Sink, **changes: str) -> Channel:
    return channel("email", **{**TYPED, "port": str(sink.port), **changes})


def body_of(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None, f"no {kind} body"
    return str(part.get_content())


def test_mails_of_one_alert_are_one_thread_with_one_subject(sink: Sink) -> None:
    mail_channel(sink)
    stage, sender = Stage(), Sender()
    judge = stage.judge()
    for state in (Reach.DOWN, Reach.UP):
        stage.brokers["2"] = state
        stage.cycle()
        settle(judge)
    drive(sender, lambda: len(sink.mails) == 2)
    first, last = (mail.message for mail in sink.mails)
    assert sink.mails[0].recipients == ["ops@example.org", "night@example.org"]
    assert sink.mails[0].sender == "streamgauge@example.org"
    assert first["Subject"] == last["Subject"] == "[Streamgauge] Broker down: broker 2 of prod"
    assert first["In-Reply-To"] is None
    assert last["In-Reply-To"] == last["References"] == first["Message-ID"]
    assert last["Message-ID"] != first["Message-ID"]
    assert first["Auto-Submitted"] == "auto-generated"
    assert "streamgauge.example.org" in first["List-Id"]
    assert (first["X-Priority"], last["X-Priority"]) == ("1", None)
    text = body_of(first, "plain")
    assert text.startswith("Firing. Broker 2 is down: the cluster no longer lists it; 2 of 3 brokers up")
    assert all(
        word in text for word in ("Since: ", "How bad: critical", "Next step: ", "Look: http", "Acknowledge: http")
    )
    html = body_of(first, "html")
    assert "Broker 2 is down" in html
    assert "Acknowledge" not in body_of(last, "plain")


def test_a_server_that_takes_the_mail_and_hangs_up_has_not_delivered_it(sink: Sink) -> None:
    mail_channel(sink)
    sink.script = ["drop"]
    stage, sender = Stage(), Sender()
    judge = stage.judge()
    stage.brokers["2"] = Reach.DOWN
    stage.cycle()
    settle(judge)
    drive(sender, lambda: Delivery.objects.filter(state="waiting", attempts=1).exists())
    assert "hung up before it took the mail" in Delivery.objects.get().last_error
    due_now()
    drive(sender, lambda: Delivery.objects.filter(state="delivered").exists())
    assert (sink.seen, len(sink.mails)) == (2, 1)


@pytest.mark.parametrize(
    ("how", "outcome", "words"),
    [
        ("451 4.3.0 try later", Outcome.RETRY, "SMTP 451: 4.3.0 try later"),
        ("550 5.7.1 spam", Outcome.REFUSED, "SMTP 550: 5.7.1 spam"),
        ("554 <script>alert(1)</script>", Outcome.REFUSED, "<script>"),
        ("250 taken", Outcome.DELIVERED, ""),
    ],
)
def test_the_servers_last_word_decides(how: str, outcome: Outcome, words: str, sink: Sink) -> None:
    sink.script = [how]
    answer = sent(sink)
    assert (answer.outcome, answer.status) == (outcome, int(how[:3]))
    assert words in answer.error


def sent(sink: Sink, seconds: float = 5.0, **changes: str) -> Any:
    settings = {**TYPED, "port": str(sink.port), "user": "", "password": "", **changes}
    return KINDS["email"].send(
        settings, Message("k" * 40, "test", 1, {"sentence": "x"}), outbox.outside(seconds=seconds)
    )


def test_a_refused_recipient_is_named_while_the_others_are_told(sink: Sink) -> None:
    sink.refused = {"night@example.org": "550 5.1.1 no such user"}
    delivery = send_test(mail_channel(sink), now=timezone.now())
    drive(Sender(), lambda: state_of(delivery) == "delivered")
    assert (delivery.state, sink.mails[0].recipients) == ("delivered", ["ops@example.org"])
    assert delivery.last_error == "not to night@example.org: 550 5.1.1 no such user"
    sink.refused["ops@example.org"] = "450 4.2.1 busy"
    answer = sent(sink)
    assert answer.outcome is Outcome.RETRY, "one of them may be taken later"


def test_a_server_that_trickles_is_cut_off_at_the_deadline(sink: Sink) -> None:
    sink.script = ["trickle"]
    began = time.monotonic()
    answer = sent(sink, seconds=0.6)
    assert time.monotonic() - began < 3
    assert (answer.outcome, answer.error) == (Outcome.RETRY, "127.0.0.1 gave no complete answer in time")


def test_nobody_listening_is_said(sink: Sink) -> None:
    answer = sent(sink, port="1")
    assert (answer.outcome, answer.error) == (Outcome.RETRY, "127.0.0.1: connection refused")


def test_the_password_is_only_sent_encrypted_and_the_name_is_checked(tmp_path: Path, monkeypatch: Any) -> None:
    certificate, key = certificate_for("mail.example.test", tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    message = Message("k" * 40, "test", 1, {"sentence": "x"})
    out = Outside(parse_networks(["loopback"]), 0.0, 5.0, lambda host, port: ["127.0.0.1"])
    signed_in = {**TYPED, "host": "mail.example.test", "user": "ann", "password": "hunter22"}
    for security in ("starttls", "tls"):
        with mail_sink(context=context, password="hunter22", is_tls=security == "tls") as sink:
            settings = {**signed_in, "security": security, "port": str(sink.port)}
            assert KINDS["email"].send(settings, message, out).outcome is Outcome.DELIVERED
            assert (sink.mails[0].user, sink.mails[0].is_encrypted) == ("ann", True)
            wrong = KINDS["email"].send({**settings, "password": "wrong"}, message, out)
            assert (wrong.outcome, wrong.status) == (Outcome.REFUSED, 535)
            other = KINDS["email"].send({**settings, "host": "other.example.test"}, message, out)
            assert other.outcome is Outcome.RETRY
            assert "its certificate is not accepted" in other.error
            assert len(sink.mails) == 1
    with mail_sink() as plain:
        refused = KINDS["email"].send({**signed_in, "security": "starttls", "port": str(plain.port)}, message, out)
        assert refused.outcome is Outcome.REFUSED
        assert "STARTTLS" in refused.error


def test_a_name_with_a_line_break_makes_no_header() -> None:
    evil = "x\r\nBcc: victim@example.org\r\n\r\n<b>"
    payload = {
        "sentence": f"{evil} makes no progress", "rule": {"name": "r"}, "cluster": {"name": evil},
        "subject": {"kind": "group", "name": evil}, "severity": "critical",
    }  # fmt: skip
    mail = mail_of({**TYPED, "port": "25"}, Message("k", "firing", 1, payload), now=0.0)
    whole = mail.message().as_bytes()
    assert b"\nBcc:" not in whole.partition(b"\n\n")[0]
    assert mail.subject.isprintable()
    assert "<b>" not in str(mail.alternatives[0][0]).partition("</head>")[2]


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"recipients": "nobody"}, "recipients", "“nobody” is no e-mail address"),
        ({"recipients": "a@b.org\r\nBcc: x@y.org"}, "recipients", "is no e-mail address"),
        ({"recipients": ", ".join(f"a{i}@b.org" for i in range(21))}, "recipients", "21 addresses are too many"),
        ({"sender": "Ops"}, "sender", "no e-mail address"),
        ({"host": "10.0.0.1"}, "host", "STREAMGAUGE_ALLOWED_NETWORKS"),
        ({"host": "a b"}, "host", "is no valid name"),
        ({"port": "9092"}, "port", "Port 9092 is not one for mail"),
        ({"port": "x"}, "port", "“x” is no port"),
        ({"port": "70000"}, "port", "70000"),
        ({"security": "maybe"}, "security", "none of starttls"),
        ({"user": "ann"}, "password", "needs its password"),
        ({"user": "ann", "password": "x", "security": "none"}, "security", "only sent encrypted"),
    ],
)
def test_what_is_wrong_is_said_of_its_field(changes: dict[str, str], field: str, words: str) -> None:
    with pytest.raises(FieldError) as caught:
        KINDS["email"].check({**TYPED, "port": "587", "user": "", "password": "", **changes}, outbox.outside())
    assert caught.value.field == field
    assert words in str(caught.value)
