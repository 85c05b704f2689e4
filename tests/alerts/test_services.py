"""Services through apprise: only those whose host is fixed, told by apprise's own code, here at a stand-in."""

from __future__ import annotations

import logging
import re
import socket
from typing import Any

import pytest
from apprise.plugins.discord import NotifyDiscord
from apprise.plugins.telegram import NotifyTelegram

from collectors.domain.topology import Reach
from dashboard.alerts.channels import FieldError, Message, Outcome, Outside
from dashboard.alerts.channels.kinds import KINDS
from dashboard.alerts.channels.services import SERVICES
from dashboard.alerts.sender import Sender
from dashboard.models import Delivery

from .receiver import Receiver, drive, said_json, status
from .stage import Stage, settle
from .standins import channel

TELEGRAM = "tgram://123456789:AAEhBP0av28oXX_mm2I8TTlcOdIyNUiuHPE/12315544/"
DISCORD = "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"
EXAMPLES = {
    "tgram": TELEGRAM,
    "discord": DISCORD,
    "gchat": "gchat://workspace/key/token",
    "webex": "webex://" + "a" * 80,
    "pover": "pover://" + "u" * 30 + "@" + "a" * 30,
    "pbul": "pbul://" + "a" * 32,
    "line": "line://" + "a" * 40 + "/" + "b" * 32,
    "signl4": "signl4://secret",
    "opsgenie": "opsgenie://" + "a" * 36,
    "twilio": "twilio://AC" + "a" * 32 + ":" + "b" * 32 + "@12223334444/13334445555",
    "threema": "threema://*THEGWID@secret/AAAABBBB",
    "ifttt": "ifttt://webhookid@event",
}


def outside(seconds: float = 8.0) -> Outside:
    return Outside((), 0.0, seconds)


def message(event: str = "firing") -> Message:
    payload = {"sentence": "Broker 2 is down", "severity": "critical", "link": "https://sg.example/x"}
    return Message("k", event, 1, payload, "k")


def test_telegram_and_discord_are_told_by_apprise(
    db: None, receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NotifyTelegram, "notify_url", receiver.url.replace("/hook", "/bot"))
    receiver.otherwise = lambda handler, _request: said_json(handler, {"ok": True, "result": {"message_id": 1}})
    channel("apprise", url=TELEGRAM)
    stage, sender = Stage(), Sender()
    judge = stage.judge()
    for state in (Reach.DOWN, Reach.UP):
        stage.brokers["2"] = state
        stage.cycle()
        settle(judge)
    drive(sender, lambda: Delivery.objects.filter(state="delivered").count() == 2)
    texts = [one.json["text"] for one in receiver.received if one.path.endswith("/sendMessage")]
    assert [re.sub(r"<[^>]*>", "", text).strip().partition(":")[0] for text in texts] == ["Firing", "Over"]
    assert all("broker 2 of prod" in text for text in texts)
    monkeypatch.setattr(NotifyDiscord, "notify_url", receiver.url)
    assert (
        KINDS["apprise"].send({"url": DISCORD, "scheme": "discord"}, message(), outside()).outcome is Outcome.DELIVERED
    )


@pytest.mark.parametrize(("code", "outcome"), [(401, Outcome.REFUSED), (500, Outcome.RETRY), (429, Outcome.RETRY)])
def test_what_the_service_said_decides(
    code: int, outcome: Outcome, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NotifyTelegram, "notify_url", receiver.url.replace("/hook", "/bot"))
    receiver.otherwise = lambda handler, _request: status(code, b'{"ok":false,"description":"no"}')(handler)
    answer = KINDS["apprise"].send({"url": TELEGRAM, "scheme": "tgram"}, message(), outside(4.0))
    assert (answer.outcome, answer.status) == (outcome, code) or (answer.outcome, answer.error) == (
        Outcome.RETRY,
        "Telegram gave no complete answer in time",
    )
    assert "AAEhBP0av28oXX_mm2I8TTlcOdIyNUiuHPE" not in answer.error


def test_a_redirect_is_not_followed(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NotifyDiscord, "notify_url", receiver.url)
    receiver.otherwise = lambda handler, _request: status(302, b"", Location="http://127.0.0.1:1/")(handler)
    answer = KINDS["apprise"].send({"url": DISCORD, "scheme": "discord"}, message(), outside(4.0))
    assert answer.outcome is not Outcome.DELIVERED
    assert {one.path for one in receiver.received} == {"/hook/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"}


def test_no_log_holds_the_token(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(NotifyTelegram, "notify_url", receiver.url.replace("/hook", "/bot"))
    for code in (200, 500):
        receiver.otherwise = lambda handler, _request, code=code: status(code, b"{}")(handler)
        KINDS["apprise"].send({"url": TELEGRAM, "scheme": "tgram"}, message(), outside(4.0))
    assert receiver.received
    assert "AAEhBP0av28oXX_mm2I8TTlcOdIyNUiuHPE" not in caplog.text


@pytest.mark.parametrize("scheme", SERVICES)
def test_a_service_looks_up_no_host_but_its_own(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every address of the list is really sent, with the network cut at the look-up of names."""
    asked: set[str] = set()

    def nowhere(host: Any, *rest: Any, **how: Any) -> Any:
        asked.add(host.decode() if isinstance(host, bytes) else str(host))
        raise socket.gaierror("no network in this test")

    stored = KINDS["apprise"].check({"url": EXAMPLES[scheme]}, outside())
    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    answer = KINDS["apprise"].send(stored, message(), outside())
    assert answer.outcome is Outcome.RETRY
    assert asked, "it tried"
    assert asked <= SERVICES[scheme].hosts


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("json://127.0.0.1/", "choose Webhook"),
        ("https://discord.com/api/webhooks/1/2", "choose Webhook"),
        ("ntfy://127.0.0.1/topic", "“ntfy://” is not one of them"),
        ("matrix://user:pw@10.0.0.1/#room", "not one of them"),
        ("mailto://user:pw@example.org", "not one of them"),
        ("file:///etc/passwd", "not one of them"),
        ("TGRAM://x/y", "it begins with a name"),
        ("hello", "it begins with a name"),
        ("tgram://", "no address of Telegram"),
        (TELEGRAM + "?template=/etc/passwd", "The parameter template is not taken"),
        (TELEGRAM + "?image=yes", "The parameter image"),
        (DISCORD + "?avatar_url=http://127.0.0.1/x", "The parameter avatar_url"),
        (DISCORD + "?verify=no", "The parameter verify"),
        (DISCORD + "?redirect=yes", "The parameter redirect"),
        (DISCORD + "?%72edirect=yes", "The parameter redirect"),
        (DISCORD + "?+X-Header=a", "not taken"),
        (DISCORD + ", json://127.0.0.1/", "a comma"),
        (DISCORD + "%2C%20json://127.0.0.1/", "a comma"),
        (DISCORD + "#x", "#"),
        ("tgram://" + "x" * 2000, "too long"),
    ],
)
def test_an_address_that_could_lead_elsewhere_is_refused(url: str, words: str) -> None:
    with pytest.raises(FieldError, match=re.escape(words)):
        KINDS["apprise"].check({"url": url}, outside())
