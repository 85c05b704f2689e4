"""The sender against a real HTTP receiver on this machine."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import socket
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from django.utils import timezone

from collectors import secrets
from collectors.domain.topology import Reach
from dashboard.alerts import outbox
from dashboard.alerts.channels import Answer, Outcome
from dashboard.alerts.channels.http import seconds_of
from dashboard.alerts.channels.kinds import KINDS
from dashboard.alerts.channels.webhook import key_of, new_secret
from dashboard.alerts.sender import Sender
from dashboard.alerts.telling import send_test
from dashboard.models import Channel, Delivery

from .receiver import Receiver, counts, drive, due_now, state_of, status
from .stage import Stage, settle, webhook_channel

SECRET = new_secret()


@pytest.fixture(autouse=True)
def loopback_allowed(settings: Any) -> None:
    settings.ALLOWED_NETWORKS = ["loopback"]


def queue(channel: Channel) -> Delivery:
    """A message that is retried (a test message is not)."""
    delivery = send_test(channel, now=timezone.now())
    Delivery.objects.filter(pk=delivery.pk).update(event="firing")
    delivery.refresh_from_db()
    return delivery


def test_a_whole_outage_is_told_once_each_in_order_and_signed(db: None, receiver: Receiver) -> None:
    webhook_channel(url=receiver.url, secret=SECRET)
    stage = Stage()
    judge = stage.judge()
    stage.brokers["2"] = Reach.DOWN
    stage.cycle()
    stage.brokers["2"] = Reach.UP
    stage.cycle()
    settle(judge)
    sender = Sender()
    drive(sender, lambda: Delivery.objects.filter(state="delivered").count() == 2)
    for _ in range(5):
        sender.turn()
    assert [json.loads(request.body)["event"] for request in receiver.received] == ["firing", "resolved"]
    first = receiver.received[0]
    assert first.headers["x-streamgauge-event"] == "firing"
    assert first.headers["x-streamgauge-delivery"] == first.headers["webhook-id"] == first.key
    signed = f"{first.headers['webhook-id']}.{first.headers['webhook-timestamp']}.".encode() + first.body
    mac = hmac.new(base64.b64decode(SECRET.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert first.headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
    assert abs(int(first.headers["webhook-timestamp"]) - time.time()) < 60
    body = json.loads(first.body)
    assert set(body) == {
        "version", "event", "alert", "rule", "severity", "cluster", "subject", "sentence", "started_at", "fired_at",
        "resolved_at", "numbers", "link", "how_bad", "trend", "next_step", "acknowledge",
    }  # fmt: skip
    assert body["sentence"] == "Broker 2 is down: the cluster no longer lists it; 2 of 3 brokers up"
    assert body["subject"] == {"kind": "broker", "name": "2"}
    assert receiver.received[1].key != first.key
    assert counts() == {"delivered": 2}


def test_the_end_waits_until_its_firing_is_delivered(db: None, receiver: Receiver) -> None:
    channel = webhook_channel(url=receiver.url)
    receiver.script = [status(503)]
    stage = Stage()
    judge = stage.judge()
    stage.brokers["2"] = Reach.DOWN
    stage.cycle()
    stage.brokers["2"] = Reach.UP
    stage.cycle()
    settle(judge)
    sender = Sender()
    drive(sender, lambda: counts() == {"retried": 1})
    assert outbox.due(busy_channels=[], limit=9) == [], "neither the firing, which backs off, nor the end"
    due_now()
    drive(sender, lambda: Delivery.objects.filter(channel=channel, state="delivered").count() == 2)
    assert [json.loads(r.body)["event"] for r in receiver.received] == ["firing", "firing", "resolved"]


def test_an_end_whose_firing_was_never_delivered_is_not_sent(db: None, receiver: Receiver) -> None:
    webhook_channel(url=receiver.url)
    receiver.script = [status(404)]
    stage = Stage()
    judge = stage.judge()
    stage.brokers["2"] = Reach.DOWN
    stage.cycle()
    stage.brokers["2"] = Reach.UP
    stage.cycle()
    settle(judge)
    drive(Sender(), lambda: not Delivery.objects.exclude(state="dead").exists())
    assert len(receiver.received) == 1
    assert Delivery.objects.get(event="resolved").last_error == "its firing could not be delivered"


@pytest.mark.parametrize("code", [500, 502, 503, 429, 408])
def test_a_passing_failure_is_retried_with_the_same_key(db: None, receiver: Receiver, code: int) -> None:
    receiver.script = [status(code, b"<script>busy</script>\n"), status(code)]
    delivery = queue(webhook_channel(url=receiver.url))
    sender = Sender()
    for attempt in (1, 2):
        drive(sender, lambda n=attempt: counts() == {"retried": n})  # type: ignore[misc]  # bound at once
        delivery.refresh_from_db()
        assert (delivery.state, delivery.last_status, delivery.attempts) == ("waiting", code, attempt)
        assert delivery.next_attempt_at > timezone.now() - timedelta(seconds=1)
        due_now()
    drive(sender, lambda: state_of(delivery) == "delivered")
    assert len({request.key for request in receiver.received}) == 1
    assert [request.headers["x-streamgauge-attempt"] for request in receiver.received] == ["1", "2", "3"]
    assert len({request.body for request in receiver.received}) == 1
    assert counts() == {"retried": 2, "delivered": 1}


@pytest.mark.parametrize(
    ("code", "words"), [(400, "HTTP 400: no such room"), (404, "HTTP 404"), (302, "redirects are not followed")]
)
def test_a_lasting_failure_is_dead_and_can_be_sent_again(db: None, receiver: Receiver, code: int, words: str) -> None:
    receiver.script = [status(code, b"no such room", Location="/elsewhere")]
    delivery = queue(webhook_channel(url=receiver.url))
    sender = Sender()
    drive(sender, lambda: state_of(delivery) == "dead")
    assert words in delivery.last_error
    assert outbox.resend(delivery.pk, now=timezone.now())
    assert not outbox.resend(delivery.pk, now=timezone.now())
    drive(sender, lambda: state_of(delivery) == "delivered")
    assert len({request.key for request in receiver.received}) == 1
    assert counts() == {"dead": 1, "delivered": 1}


def test_a_message_is_given_up_after_a_day(db: None, receiver: Receiver) -> None:
    receiver.script = [status(500)]
    delivery = queue(webhook_channel(url=receiver.url))
    Delivery.objects.update(created_at=timezone.now() - timedelta(hours=24))
    drive(Sender(), lambda: state_of(delivery) == "dead")
    assert delivery.last_error == "HTTP 500"


def test_retry_after_is_honoured(db: None, receiver: Receiver) -> None:
    receiver.script = [status(429, Retry_After="120")]
    delivery = queue(webhook_channel(url=receiver.url))
    drive(Sender(), lambda: counts() == {"retried": 1})
    delivery.refresh_from_db()
    assert delivery.next_attempt_at > timezone.now() + timedelta(seconds=110)


def test_a_test_message_is_tried_once(db: None, receiver: Receiver) -> None:
    receiver.script = [status(500)]
    channel = webhook_channel(url=receiver.url)
    failed = send_test(channel, now=timezone.now())
    sender = Sender()
    drive(sender, lambda: state_of(failed) == "dead")
    passed = send_test(channel, now=timezone.now())
    drive(sender, lambda: state_of(passed) == "delivered")
    assert json.loads(receiver.received[-1].body)["event"] == "test"


def test_a_message_without_a_recorded_answer_is_repeated_with_its_key_and_counted(db: None, receiver: Receiver) -> None:
    delivery = queue(webhook_channel(url=receiver.url))
    dies = Sender()
    dies.turn()  # claims and sends; the process is killed before it records the answer
    ends = time.monotonic() + 5
    while not receiver.received:
        assert time.monotonic() < ends
        time.sleep(0.01)
    heir = Sender()
    assert heir.turn() == 0, "the claim still stands"
    Delivery.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    drive(heir, lambda: state_of(delivery) == "delivered")
    assert (delivery.attempts, delivery.repeats_unanswered) == (2, 1)
    assert len(receiver.received) == 2
    assert receiver.received[0].key == receiver.received[1].key
    assert counts() == {"unanswered": 1, "delivered": 1}
    drive(dies, lambda: dies._answers.empty() and not dies._busy)
    assert counts() == {"unanswered": 1, "delivered": 1}, "an answer to a claim that lapsed is not counted"


def test_of_two_senders_one_claims(db: None) -> None:
    queue(webhook_channel(url="http://127.0.0.1:1/"))
    [row] = outbox.due(busy_channels=[], limit=5)
    assert outbox.claim(row, holder="a") is not None
    assert outbox.claim(row, holder="b") is None


@pytest.mark.slow
def test_a_slow_receiver_does_not_hold_up_another(db: None, receiver: Receiver) -> None:
    silent = socket.create_server(("127.0.0.1", 0))  # accepts and never answers
    slow = [queue(webhook_channel(f"slow {i}", f"http://127.0.0.1:{silent.getsockname()[1]}/{i}")) for i in range(3)]
    for _ in range(20):
        queue(slow[0].channel)
    fast = queue(webhook_channel("fast", receiver.url))
    sender = Sender(send_seconds=3.0)
    began = time.monotonic()
    drive(sender, lambda: state_of(fast) == "delivered")
    assert time.monotonic() - began < 3.0, "not after the slow ones were given up"
    drive(sender, lambda: counts("slow 0") != {})
    slow[0].refresh_from_db()
    assert slow[0].state == "waiting"
    assert "in time" in slow[0].last_error
    silent.close()


def test_a_receiver_that_trickles_is_cut_at_the_deadline(db: None, receiver: Receiver) -> None:
    def trickle(handler: BaseHTTPRequestHandler) -> None:
        try:
            while not receiver.released.wait(0.05):
                handler.wfile.write(b"H")
        except OSError:
            return

    receiver.script = [trickle]
    delivery = queue(webhook_channel(url=receiver.url))
    began = time.monotonic()
    drive(Sender(send_seconds=0.5), lambda: counts() == {"retried": 1})
    assert time.monotonic() - began < 3
    assert "in time" in Delivery.objects.get(pk=delivery.pk).last_error


def test_of_an_endless_answer_only_the_beginning_is_read(db: None, receiver: Receiver) -> None:
    written = 0

    def endless(handler: BaseHTTPRequestHandler) -> None:
        nonlocal written
        handler.send_response(500)
        handler.end_headers()
        try:
            while not receiver.released.is_set():
                written += handler.wfile.write(b"x" * 65536)
        except OSError:
            return

    receiver.script = [endless]
    delivery = queue(webhook_channel(url=receiver.url))
    drive(Sender(), lambda: counts() == {"retried": 1})
    assert len(Delivery.objects.get(pk=delivery.pk).last_error) < 250
    assert written < 20_000_000


@pytest.mark.parametrize("how", ["nobody listens", "the connection is reset"])
def test_a_broken_connection_is_retried_and_said(db: None, receiver: Receiver, how: str) -> None:
    def reset(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.shutdown(socket.SHUT_RDWR)

    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/"
    receiver.script = [reset]
    queue(webhook_channel(url=nobody if how == "nobody listens" else receiver.url))
    drive(Sender(), lambda: counts() == {"retried": 1})
    assert Delivery.objects.get().last_error.startswith("127.0.0.1: ")


def test_an_address_that_is_not_allowed_is_not_connected_to(db: None, receiver: Receiver, settings: Any) -> None:
    settings.ALLOWED_NETWORKS = []
    delivery = queue(webhook_channel(url=receiver.url))
    sender = Sender()
    drive(sender, lambda: counts() == {"retried": 1})
    assert "add loopback to STREAMGAUGE_ALLOWED_NETWORKS" in Delivery.objects.get().last_error
    assert receiver.received == []
    settings.ALLOWED_NETWORKS = ["loopback"]
    due_now()
    drive(sender, lambda: state_of(delivery) == "delivered")


def test_a_channel_that_is_off_gets_nothing_until_it_is_on(db: None, receiver: Receiver) -> None:
    channel = webhook_channel(url=receiver.url)
    delivery = queue(channel)
    Channel.objects.update(is_enabled=False)
    sender = Sender()
    assert sender.turn() == 0
    Channel.objects.update(is_enabled=True)
    drive(sender, lambda: state_of(delivery) == "delivered")


def test_settings_that_cannot_be_decrypted_are_said(db: None, receiver: Receiver) -> None:
    channel = webhook_channel(url=receiver.url)
    Channel.objects.update(settings_encrypted=secrets.encrypt({"url": "x"}, "another key"))
    queue(channel)
    drive(Sender(), lambda: counts() == {"retried": 1})
    assert "STREAMGAUGE_SECRET_KEY" in Delivery.objects.get().last_error


def test_counters_outlive_their_messages(db: None, receiver: Receiver) -> None:
    delivery = queue(webhook_channel(url=receiver.url))
    drive(Sender(), lambda: state_of(delivery) == "delivered")
    Delivery.objects.all().delete()
    assert counts() == {"delivered": 1}


def test_the_form_stores_what_it_validated_and_shows_no_secret(db: None) -> None:
    typed = {"url": "http://127.0.0.1:8999/T0/path-is-secret", "secret": SECRET}
    checked = KINDS["webhook"].check(typed, outbox.outside())
    channel = outbox.store_settings(Channel(name="x", kind="webhook"), checked)
    channel.save()
    assert "path-is-secret" not in channel.target
    assert outbox.settings_of(Channel.objects.get()) == typed
    assert SECRET.encode() not in bytes(Channel.objects.get().settings_encrypted)


def test_waits_double_up_to_ten_minutes_with_jitter() -> None:
    jitter = random.Random(1)
    for attempt, middle in ((1, 1), (2, 2), (3, 4), (10, 512), (11, 600), (200, 600)):
        waits = [outbox.wait_seconds(attempt, None, jitter=jitter) for _ in range(200)]
        assert 0.5 * middle <= min(waits) < max(waits) <= 1.5 * middle
    assert outbox.wait_seconds(1, 90.0, jitter=jitter) == 90.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("999999", 3600.0),
        ("soon", None),
        ("-5", None),
        ("Wed, 01 Jan 2025 00:01:00 GMT", 60.0),
        ("Wed, 01 Jan 2020 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header, now=datetime(2025, 1, 1, tzinfo=UTC)) == seconds


def test_a_plain_secret_is_its_own_key() -> None:
    assert key_of("correct horse") == b"correct horse"
    assert len(key_of(SECRET)) == 32


def test_a_stopped_sender_records_what_is_under_way(db: None, receiver: Receiver) -> None:
    delivery = queue(webhook_channel(url=receiver.url))
    sender = Sender()
    sender.turn()
    sender._finish()
    assert state_of(delivery) == "delivered"


def test_an_answer_whose_claim_has_lapsed_is_nobodys(db: None) -> None:
    queue(webhook_channel(url="http://127.0.0.1:1/"))
    [row] = outbox.due(busy_channels=[], limit=5)
    first = outbox.claim(row, holder="a")
    assert first is not None
    Delivery.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    [lapsed] = outbox.due(busy_channels=[], limit=5)
    assert outbox.claim(lapsed, holder="b") is not None
    answer = Answer(Outcome.DELIVERED, 200)
    assert outbox.record(first, answer, now=timezone.now(), jitter=random.Random()) is None
