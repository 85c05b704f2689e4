"""Slack, PagerDuty, Alertmanager and Teams against stand-ins that behave as documented, failures included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from collectors.domain.topology import Reach
from dashboard.alerts import ledger, outbox
from dashboard.alerts.channels import FieldError, Message, Outcome, Outside
from dashboard.alerts.channels.kinds import KINDS
from dashboard.alerts.channels.slack import body_of, escaped
from dashboard.alerts.channels.teams import MOST_BYTES
from dashboard.alerts.channels.wording import worded
from dashboard.alerts.judge import Judge
from dashboard.alerts.sender import Sender
from dashboard.alerts.telling import send_test
from dashboard.models import Channel, Delivery
from dashboard.reach import parse_public_url

from .receiver import Receiver, drive, due_now, listening, said_json, state_of, status
from .stage import Stage, only_alert, settle
from .standins import Alertmanager, PagerDuty, Slack, channel

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.ALLOWED_NETWORKS = ["loopback"]


@pytest.fixture
def slack(receiver: Receiver) -> Slack:
    made = Slack()
    receiver.otherwise = made
    channel("slack", token=made.token, channel="#on-call", api=receiver.url)
    return made


@pytest.fixture
def pagerduty(receiver: Receiver) -> PagerDuty:
    made = PagerDuty()
    receiver.otherwise = made
    channel("pagerduty", routing_key=made.key, api=receiver.url)
    return made


@pytest.fixture
def alertmanager() -> Iterator[tuple[Alertmanager, Receiver]]:
    made = Alertmanager()
    with listening() as receiver:
        receiver.otherwise = made
        channel("alertmanager", url=receiver.url.removesuffix("/hook"))
        yield made, receiver


def down(stage: Stage, judge: Judge, node: str = "2") -> None:
    stage.brokers[node] = Reach.DOWN
    stage.cycle()
    settle(judge)


def up(stage: Stage, judge: Judge, node: str = "2") -> None:
    stage.brokers[node] = Reach.UP
    stage.cycle()
    settle(judge)


def all_sent() -> bool:
    return not Delivery.objects.exclude(state="delivered").exists()


# -- Slack


def test_slack_has_one_message_that_is_edited_through_its_life(slack: Slack) -> None:
    stage, sender = Stage(), Sender()
    judge = stage.judge()
    down(stage, judge)
    drive(sender, all_sent)
    [shown] = slack.shown.values()
    assert shown["text"].startswith("Firing: Broker down: broker 2 of prod")
    said = json.dumps(shown["attachments"])
    assert all(word in said for word in ("Since", "How bad", "critical, 2 of 3 brokers up", "Next step", "Acknowledge"))
    ledger.acknowledge(only_alert("broker_down").pk, "ann", now=timezone.now())
    drive(sender, all_sent)
    [shown] = slack.shown.values()
    assert "Acknowledged: Broker down" in shown["text"]
    assert "ann" in json.dumps(shown["attachments"])
    ledger.take_back(only_alert("broker_down").pk, "bob", now=timezone.now())
    drive(sender, all_sent)
    assert "not acknowledged any more" in next(iter(slack.shown.values()))["text"]
    up(stage, judge)
    drive(sender, all_sent)
    [shown] = slack.shown.values()
    assert shown["text"].startswith("Over: Broker down")
    assert shown["attachments"][0]["color"] == "#2e8540"
    assert "Acknowledge&gt;" not in json.dumps(shown)
    assert slack.edits == 3


def test_a_further_alert_of_the_cause_edits_the_message_and_is_said_in_its_thread(slack: Slack) -> None:
    stage, sender = Stage(), Sender()
    judge = stage.judge()
    down(stage, judge, "1")
    drive(sender, all_sent)
    down(stage, judge, "2")
    due_now()
    drive(sender, all_sent)
    [shown] = slack.shown.values()
    assert "2 alerts of one cause, 2 still firing" in json.dumps(shown).replace("\\u202f", " ")
    assert [reply.partition("\n")[2].partition(";")[0] for reply in slack.replies] == [
        "Broker 2 is down: the cluster no longer lists it"
    ]
    up(stage, judge, "1")
    up(stage, judge, "2")
    due_now()
    drive(sender, all_sent)
    assert next(iter(slack.shown.values()))["text"].startswith("Over: ")
    assert len(slack.replies) == 1


def test_slack_posts_anew_when_the_message_is_gone(slack: Slack) -> None:
    stage, sender = Stage(), Sender()
    judge = stage.judge()
    down(stage, judge)
    drive(sender, all_sent)
    slack.shown.clear()
    up(stage, judge)
    drive(sender, all_sent)
    assert [shown["text"][:5] for shown in slack.shown.values()] == ["Over:"]


@pytest.mark.parametrize(
    ("word", "outcome", "words"),
    [
        ("invalid_auth", "dead", "the token is not one of Slack's"),
        ("not_in_channel", "dead", "invite the bot"),
        ("missing_scope", "dead", "chat:write"),
        ("fatal_error", "waiting", "fatal_error"),
        ("ratelimited", "waiting", "ratelimited"),
    ],
)
def test_slacks_own_words_decide_whether_it_is_tried_again(
    word: str, outcome: str, words: str, slack: Slack, receiver: Receiver
) -> None:
    receiver.script = [lambda handler: said_json(handler, {"ok": False, "error": word})]
    stage = Stage()
    down(stage, stage.judge())
    drive(Sender(), lambda: Delivery.objects.filter(state=outcome, attempts=1, last_status=200).exists())
    assert words in Delivery.objects.get().last_error


def test_slack_is_left_alone_as_long_as_it_asks(slack: Slack, receiver: Receiver) -> None:
    receiver.script = [status(429, b"", Retry_After="77")]
    stage, sender = Stage(), Sender()
    down(stage, stage.judge())
    drive(sender, lambda: Delivery.objects.filter(last_status=429).exists())
    assert Delivery.objects.get().next_attempt_at > timezone.now() + timedelta(seconds=70)
    due_now()
    drive(sender, all_sent)
    assert len(slack.shown) == 1


@pytest.mark.parametrize(
    "answer",
    [b"<html>a proxy</html>", b'["ok"]', b'{"ok": "yes"}', b"{" * 5000],
    ids=["html", "list", "odd", "nested"],
)
def test_an_answer_that_is_not_slacks_is_not_taken_for_delivered(
    answer: bytes, slack: Slack, receiver: Receiver
) -> None:
    receiver.script = [status(200, answer)]
    stage = Stage()
    down(stage, stage.judge())
    drive(Sender(), lambda: Delivery.objects.filter(state="waiting", attempts=1, last_status=200).exists())


def test_no_name_pings_anybody_or_becomes_a_link() -> None:
    evil = "<!channel> <@U1> <https://evil.example|prod> & co"
    payload = {
        "sentence": f"{evil} makes no progress",
        "rule": {"name": "r"},
        "cluster": {"name": evil},
        "subject": {"kind": "group", "name": evil},
        "trend": evil,
        "started_at": "2026-11-24T02:10:05.120Z",
        "link": "https://sg.example/x",
    }
    body = body_of(worded(Message("k", "firing", 1, payload)))
    assert "<" not in body["text"]
    for block in body["attachments"][0]["blocks"]:
        for text in [block.get("text"), *block.get("fields", [])]:
            if text and text["type"] == "mrkdwn":
                assert text["text"].replace("<https://sg.example/x|Look at it>", "").count("<") == 0
    assert escaped("<!here>") == "&lt;!here&gt;"


def test_the_simple_form_of_slack_posts_each_event(receiver: Receiver) -> None:
    channel("slack_webhook", url=receiver.url)
    stage, sender = Stage(), Sender()
    judge = stage.judge()
    down(stage, judge)
    up(stage, judge)
    drive(sender, all_sent)
    assert [one.json["text"].partition(":")[0] for one in receiver.received] == ["Firing", "Over"]


# -- PagerDuty


def test_pagerduty_has_one_incident_from_trigger_to_resolve(pagerduty: PagerDuty) -> None:
    stage, sender = Stage(), Sender()
    judge = stage.judge()
    down(stage, judge)
    drive(sender, all_sent)
    ledger.acknowledge(only_alert("broker_down").pk, "ann", now=timezone.now())
    up(stage, judge)
    drive(sender, all_sent)
    assert list(pagerduty.incidents.values()) == [["trigger", "acknowledge", "resolve"]]
    assert pagerduty.summaries == ["Broker 2 is down: the cluster no longer lists it; 2 of 3 brokers up"]
    down(stage, judge)
    drive(sender, all_sent)
    assert [actions[0] for actions in pagerduty.incidents.values()] == ["trigger", "trigger"], "a new incident"


def test_an_incident_of_two_brokers_ends_with_the_last(pagerduty: PagerDuty) -> None:
    stage, sender = Stage(), Sender()
    judge = stage.judge()
    stage.brokers["1"] = Reach.DOWN
    down(stage, judge)
    drive(sender, all_sent)
    up(stage, judge, "1")
    drive(sender, all_sent)
    assert list(pagerduty.incidents.values()) == [["trigger", "trigger"]]
    up(stage, judge, "2")
    drive(sender, lambda: all_sent() and Delivery.objects.filter(event="resolved").count() == 2)
    assert list(pagerduty.incidents.values()) == [["trigger", "trigger", "resolve"]]


def test_a_test_leaves_no_incident_behind(pagerduty: PagerDuty) -> None:
    send_test(Channel.objects.get(), now=timezone.now())
    drive(Sender(), all_sent)
    assert list(pagerduty.incidents.values()) == [["trigger", "resolve"]]


@pytest.mark.parametrize(("code", "state"), [(400, "dead"), (403, "dead"), (429, "waiting"), (500, "waiting")])
def test_pagerdutys_status_decides(code: int, state: str, pagerduty: PagerDuty, receiver: Receiver) -> None:
    receiver.script = [status(code, b'{"status":"invalid event"}')]
    stage = Stage()
    down(stage, stage.judge())
    drive(Sender(), lambda: Delivery.objects.filter(state=state, last_status=code).exists())


# -- Alertmanager


def test_alertmanager_is_told_again_while_it_fires_and_of_the_end(
    alertmanager: tuple[Alertmanager, Receiver],
) -> None:
    made, _ = alertmanager
    stage, sender = Stage(), Sender()
    judge = stage.judge()
    down(stage, judge)
    drive(sender, all_sent)
    [alert] = made.alerts.values()
    assert alert["labels"] == {
        "alertname": "KafkaBrokerDown", "rule": "broker_down", "cluster": "prod", "broker": "2",
        "severity": "critical", "source": "streamgauge",
    }  # fmt: skip
    assert alert["annotations"]["summary"].startswith("Broker 2 is down")
    assert alert["ends"] > timezone.now() + timedelta(seconds=200), "it stands for some renewals"
    row = Delivery.objects.get()
    assert row.renew_at is not None
    assert sender.turn() == 0, "not before its time"
    for count in (2, 3):
        Delivery.objects.update(renew_at=timezone.now() - timedelta(seconds=1))
        drive(sender, lambda n=count: made.pushes == n and all_sent())  # type: ignore[misc]  # bound at once
    assert len(made.alerts) == 1, "the same labels each time"
    row.refresh_from_db()
    assert (row.attempts, row.repeats_unanswered) == (1, 0)
    up(stage, judge)
    drive(sender, lambda: made.pushes == 4)
    [alert] = made.alerts.values()
    assert alert["ends"] <= timezone.now() or alert["ends"] == only_alert("broker_down").resolved_at
    Delivery.objects.filter(event="firing").update(renew_at=timezone.now() - timedelta(seconds=1))
    drive(sender, all_sent)
    assert sender.turn() == 0, "an alert that is over is not told again"


def test_alertmanager_gets_every_alert_on_its_own(alertmanager: tuple[Alertmanager, Receiver]) -> None:
    made, _ = alertmanager
    stage = Stage()
    judge = stage.judge()
    stage.brokers["1"] = Reach.DOWN
    down(stage, judge)
    drive(Sender(), all_sent)
    assert sorted(alert["labels"]["broker"] for alert in made.alerts.values()) == ["1", "2"]


def test_a_failed_renewal_is_retried_and_delays_no_end(alertmanager: tuple[Alertmanager, Receiver]) -> None:
    made, receiver = alertmanager
    stage, sender = Stage(), Sender()
    judge = stage.judge()
    down(stage, judge)
    drive(sender, all_sent)
    receiver.script = [status(503)]
    old = timezone.now() - timedelta(days=3)
    Delivery.objects.update(renew_at=timezone.now() - timedelta(seconds=1), created_at=old)
    drive(sender, lambda: Delivery.objects.filter(state="waiting", last_status=503).exists())
    due_now()
    drive(sender, all_sent)
    up(stage, judge)
    drive(sender, lambda: made.pushes == 3 and all_sent())


# -- Teams


def test_teams_gets_a_card_that_stays_below_its_limit(receiver: Receiver) -> None:
    channel("teams", url=receiver.url)
    receiver.script = [status(202)]
    stage = Stage()
    down(stage, stage.judge())
    drive(Sender(), all_sent)
    card = receiver.received[0].json["attachments"][0]["content"]
    assert card["type"] == "AdaptiveCard"
    assert [action["title"] for action in card["actions"]] == ["Look at it", "Acknowledge"]
    many = {"sentence": "x" * 40_000, "count": 20, "open": 20, "alerts": [{"sentence": "y" * 3000}] * 20}
    answer = KINDS["teams"].send({"url": receiver.url}, Message("k", "firing", 1, many), outbox.outside())
    assert answer.outcome is Outcome.DELIVERED
    assert len(receiver.received[1].body) < MOST_BYTES


# -- forms


@pytest.mark.parametrize(
    ("kind", "typed", "field", "words"),
    [
        ("slack", {"token": "hunter2", "channel": "#x"}, "token", "begins with xoxb-"),
        ("slack", {"token": "xoxb-1111-2222", "channel": "two words"}, "channel", "“two words” is no channel"),
        ("slack", {"token": "xoxb-1111-2222", "channel": "#x", "api": "http://10.0.0.1/"}, "api", "ALLOWED_NETWORKS"),
        ("slack_webhook", {"url": "ftp://hooks.slack.com/x"}, "url", "https://"),
        ("pagerduty", {"routing_key": "short"}, "routing_key", "32 letters and digits; this one has 5"),
        ("pagerduty", {"routing_key": "a" * 32, "api": "https://x.example:22/"}, "api", "Port 22"),
        ("alertmanager", {"url": "http://169.254.169.254:9093"}, "url", "link-local"),
        ("alertmanager", {"url": "http://127.0.0.1:9093/?x=1"}, "url", "question mark"),
        ("alertmanager", {"url": "http://127.0.0.1:9093", "token": "a b"}, "token", "without spaces"),
        ("teams", {"url": "https://x.webhook.office.com/webhookb2/1"}, "url", "make a workflow"),
        ("teams", {"url": "https://ann:pw@example.org/"}, "url", "leave them out"),
    ],
)
def test_what_is_wrong_is_said_of_its_field(kind: str, typed: dict[str, str], field: str, words: str) -> None:
    defaults = {one.name: one.default for one in KINDS[kind].fields}
    public = Outside(outbox.outside().allowed, resolver=lambda host, port: [host if host[0].isdigit() else "9.9.9.9"])
    with pytest.raises(FieldError) as caught:
        KINDS[kind].check({**defaults, **typed}, public)
    assert caught.value.field == field
    assert words in str(caught.value)


def test_a_message_to_this_instance_itself_is_refused(settings: Any) -> None:
    settings.PUBLIC = parse_public_url("https://Streamgauge.example.org/kafka")
    out = replace(outbox.outside(), resolver=lambda host, port: ["127.0.0.1"])
    for url in (f"http://{settings.HOST}:{settings.PORT}/x", "https://streamgauge.EXAMPLE.org:443/kafka/x"):
        with pytest.raises(FieldError, match="this instance itself"):
            KINDS["webhook"].check({"url": url, "secret": ""}, out)
    assert KINDS["webhook"].check({"url": "https://streamgauge.example.org:8443/", "secret": ""}, out)


def test_a_message_waits_for_the_first_of_its_thread(slack: Slack, receiver: Receiver) -> None:
    receiver.script = [status(503)]
    stage, sender = Stage(), Sender()
    judge = stage.judge()
    down(stage, judge)
    ledger.acknowledge(only_alert("broker_down").pk, "ann", now=timezone.now())
    drive(sender, lambda: Delivery.objects.filter(last_status=503).exists())
    sender.turn()
    assert len(receiver.received) == 1, "neither is sent while the first backs off"
    due_now()
    drive(sender, all_sent)
    assert len(slack.shown) == 1, "edited, not posted twice"
    assert state_of(Delivery.objects.get(event="acknowledged")) == "delivered"
