"""The outbox: messages are rows, written with the transition, claimed by compare-and-set, their answer recorded."""

from __future__ import annotations

import hashlib
import hmac
import random
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, F, Min, OuterRef, Q
from django.db.models.functions import Now

from collectors import secrets
from dashboard import names
from dashboard.models import Alert, Channel, Delivery, NotificationCount

from . import addresses
from .channels import Answer, Message, Outcome
from .channels.webhook import WebhookSettings
from .channels.webhook import validate_webhook as _validate_webhook

VERSION = "1"
CLAIM_SECONDS = 30.0
"""How long a claim stands: well over the deadline of an attempt, so that only a dead sender's claim lapses."""
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 600.0
GIVE_UP_AFTER = timedelta(hours=24)

_Counted = NotificationCount.Outcome


def network_policy() -> tuple[addresses.Network, ...]:
    return addresses.parse_networks(settings.ALLOWED_NETWORKS)


def validate_webhook(url: str, secret: str) -> WebhookSettings:
    """What the form of a webhook typed; ValueError quotes the bad value and says what would be right."""
    return _validate_webhook(url, secret, allowed=network_policy())


def store_webhook(channel: Channel, webhook: WebhookSettings) -> Channel:
    """Put validated settings into a channel (not saved): the address and secret encrypted, the rest for people."""
    channel.kind = Channel.Kind.WEBHOOK
    channel.settings_encrypted = secrets.encrypt(webhook.to_stored(), settings.INSTANCE_KEY)
    channel.target = addresses.parse_url(webhook.url).public_text[:300]
    return channel


def webhook_settings(channel: Channel) -> WebhookSettings:
    """The stored settings; SecretUnreadableError when the instance's key is another one now."""
    return WebhookSettings.from_stored(secrets.decrypt(bytes(channel.settings_encrypted), settings.INSTANCE_KEY))


# -- writing messages


def payload_of(alert: Alert, event: str, *, sentence: str, numbers: dict[str, Any]) -> dict[str, Any]:
    """The JSON that a webhook gets (version 1); documented in the README, so fields are added and never changed.

    Times are RFC 3339 in UTC or null; `numbers` depends on the rule; `link` leads to the page of the subject.
    """
    return {
        "version": VERSION,
        "event": event,  # "firing", "resolved", "test"
        "alert": alert.pk,
        "rule": {"key": alert.rule.key, "name": alert.rule.name},
        "severity": alert.severity,
        "cluster": {"slug": alert.cluster.slug, "name": alert.cluster.name},
        "subject": {"kind": alert.subject_kind, "name": alert.subject},
        "sentence": sentence,
        "started_at": _moment(alert.started_at),
        "fired_at": _moment(alert.fired_at),
        "resolved_at": _moment(alert.resolved_at),
        "numbers": numbers,
        "link": _origin() + subject_path(alert.cluster.slug, alert.subject_kind, alert.subject),
    }


def public_url() -> str:
    """Where people reach this instance: STREAMGAUGE_PUBLIC_URL, else the address it listens on."""
    return _origin() + settings.SUB_PATH


def _origin() -> str:
    host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
    return settings.PUBLIC.origin or f"http://{host}:{settings.PORT}"


def subject_path(slug: str, kind: str, subject: str) -> str:
    return names.subject_path(slug, kind, subject)


@dataclass(frozen=True, slots=True)
class Telling:
    """A transition that people hear of."""

    alert: Alert
    event: str  # "firing" or "resolved"
    sentence: str
    numbers: dict[str, Any]


def tell(tellings: Sequence[Telling], *, now: datetime) -> int:
    """Queue messages, in the caller's transaction; returns how many.

    A firing goes to every channel that is on; a resolved only to those that were, or will be, told of the firing.
    The key is made of what the message is about, and unique: whatever is repeated, nothing is queued twice.
    """
    if not tellings:
        return 0
    enabled = {channel.pk: channel for channel in Channel.objects.filter(is_enabled=True)}
    if not enabled:
        return 0
    ended = [telling.alert.pk for telling in tellings if telling.event == "resolved"]
    told: dict[int, set[int]] = {}
    for start in range(0, len(ended), 500):
        rows = Delivery.objects.filter(alert__in=ended[start : start + 500], event="firing", channel__in=enabled)
        for alert_id, channel_id in rows.exclude(state=Delivery.State.DEAD).values_list("alert_id", "channel_id"):
            told.setdefault(int(alert_id or 0), set()).add(channel_id)
    rows_to_write = []
    for telling in tellings:
        payload = payload_of(telling.alert, telling.event, sentence=telling.sentence, numbers=telling.numbers)
        channels = enabled if telling.event == "firing" else told.get(telling.alert.pk, set())
        for channel_id in sorted(channels):
            rows_to_write.append(
                Delivery(
                    channel_id=channel_id,
                    alert=telling.alert,
                    event=telling.event,
                    idempotency_key=_key(telling.alert, telling.event, channel_id),
                    payload=payload,
                    next_attempt_at=now,
                    created_at=now,
                )
            )
    Delivery.objects.bulk_create(rows_to_write, batch_size=200, ignore_conflicts=True)
    return len(rows_to_write)


def send_test(channel: Channel, *, now: datetime) -> Delivery:
    """Queue a test message. It is tried once and not repeated after a failure: someone waits for its outcome."""
    link = public_url() + "/alerts/"
    payload: dict[str, Any] = {
        "version": VERSION,
        "event": "test",
        "alert": None,
        "rule": None,
        "severity": "info",
        "cluster": None,
        "subject": None,
        "sentence": f"This is a test of the channel {channel.name}; nothing is wrong",
        "started_at": _moment(now),
        "fired_at": None,
        "resolved_at": None,
        "numbers": {},
        "link": link,
    }
    return Delivery.objects.create(
        channel=channel,
        alert=None,
        event="test",
        idempotency_key=uuid.uuid4().hex,
        payload=payload,
        next_attempt_at=now,
        created_at=now,
    )


def resend(delivery_id: int, *, now: datetime) -> bool:
    """Queue a dead message again, with the same key; False when it is not dead."""
    return bool(
        Delivery.objects.filter(pk=delivery_id, state=Delivery.State.DEAD).update(
            state=Delivery.State.WAITING, next_attempt_at=now, created_at=now, attempts=0
        )
    )


def _key(alert: Alert, event: str, channel_id: int) -> str:
    # The key of the instance keeps two instances apart that tell one receiver; the start, a database begun anew.
    about = f"{alert.pk}\0{alert.started_at.isoformat()}\0{event}\0{channel_id}"
    return hmac.new(settings.SECRET_KEY.encode(), about.encode(), hashlib.sha256).hexdigest()[:40]


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# -- claiming and recording


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that this sender, and no other, sends now."""

    delivery_id: int
    token: str
    channel: Channel
    message: Message
    created_at: datetime


def due(*, busy_channels: Iterable[int], limit: int) -> list[Delivery]:
    """Messages that could be claimed, the oldest of each channel: a resolved never overtakes its own firing."""
    earlier = Delivery.objects.filter(
        channel=OuterRef("channel"),
        alert=OuterRef("alert"),
        event="firing",
        state__in=[Delivery.State.WAITING, Delivery.State.CLAIMED],
    )
    rows = (
        Delivery.objects.filter(_claimable(), channel__is_enabled=True)
        .exclude(channel__in=list(busy_channels))
        .filter(~Q(event="resolved") | ~Exists(earlier))
    )
    # one at a time for each channel: so a slow receiver, or one with ten thousand messages, holds up only itself
    firsts = rows.order_by().values("channel").annotate(first=Min("pk")).values("first")
    return list(
        Delivery.objects.filter(pk__in=firsts).order_by("next_attempt_at", "pk").select_related("channel")[:limit]
    )


def claim(delivery: Delivery, *, holder: str) -> Claim | None:
    """Take a message by compare-and-set; None when another sender was faster.

    Times are the database's. A claim that lapsed without an answer is taken over, with the same key, and counted.
    """
    token = f"{holder[:80]}:{uuid.uuid4().hex}"
    was_claimed = delivery.state == Delivery.State.CLAIMED
    with transaction.atomic():
        taken = (
            Delivery.objects.filter(_claimable(), pk=delivery.pk, state=delivery.state)
            .filter(claimed_by=delivery.claimed_by)
            .update(
                state=Delivery.State.CLAIMED,
                claimed_by=token,
                claimed_until=Now() + timedelta(seconds=CLAIM_SECONDS),
                attempts=F("attempts") + 1,
                repeats_unanswered=F("repeats_unanswered") + int(was_claimed),
            )
        )
        if not taken:
            return None
        if was_claimed:
            _count(delivery.channel_id, _Counted.UNANSWERED)
    message = Message(delivery.idempotency_key, delivery.event, delivery.attempts + 1, delivery.payload)
    return Claim(delivery.pk, token, delivery.channel, message, delivery.created_at)


def record(claimed: Claim, answer: Answer, *, now: datetime, jitter: random.Random) -> Delivery.State | None:
    """Write down what the receiver said; None when the claim had lapsed and is another's now."""
    state, outcome, wait_seconds = _fate(claimed, answer, now=now, jitter=jitter)
    fields: dict[str, Any] = {
        "state": state,
        "claimed_by": "",
        "claimed_until": None,
        "last_status": answer.status,
        "last_error": answer.error[:2000],
    }
    if state is Delivery.State.DELIVERED:
        fields["delivered_at"] = now
    if state is Delivery.State.WAITING:
        fields["next_attempt_at"] = Now() + timedelta(seconds=wait_seconds)
    with transaction.atomic():
        mine = Delivery.objects.filter(pk=claimed.delivery_id, state=Delivery.State.CLAIMED, claimed_by=claimed.token)
        if not mine.update(**fields):
            return None
        _count(claimed.channel.pk, outcome)
        if state is Delivery.State.DEAD and claimed.message.event == "firing":
            _bury_the_end(claimed)
    return state


def _fate(
    claimed: Claim, answer: Answer, *, now: datetime, jitter: random.Random
) -> tuple[Delivery.State, NotificationCount.Outcome, float]:
    if answer.outcome is Outcome.DELIVERED:
        return Delivery.State.DELIVERED, _Counted.DELIVERED, 0.0
    wait = wait_seconds(claimed.message.attempt, answer.retry_after_seconds, jitter=jitter)
    is_exhausted = now + timedelta(seconds=wait) > claimed.created_at + GIVE_UP_AFTER
    if answer.outcome is Outcome.REFUSED or claimed.message.event == "test" or is_exhausted:
        return Delivery.State.DEAD, _Counted.DEAD, 0.0
    return Delivery.State.WAITING, _Counted.RETRIED, wait


def wait_seconds(attempt: int, retry_after_seconds: float | None, *, jitter: random.Random) -> float:
    """Seconds until the next attempt: 1, 2, 4 ... 600 s, each by 0.5 to 1.5; never less than the receiver asked."""
    wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(attempt - 1, 20)) * jitter.uniform(0.5, 1.5)
    return max(wait, retry_after_seconds or 0.0)


def _bury_the_end(claimed: Claim) -> None:
    """A channel that never heard that something is wrong need not hear that it is over."""
    firing = Delivery.objects.filter(pk=claimed.delivery_id).values("alert")
    ended = Delivery.objects.filter(
        channel=claimed.channel, alert__in=firing, event="resolved", state=Delivery.State.WAITING
    )
    if ended.update(state=Delivery.State.DEAD, last_error="its firing could not be delivered"):
        _count(claimed.channel.pk, _Counted.DEAD)


def _claimable() -> Q:
    waits = Q(state=Delivery.State.WAITING, next_attempt_at__lte=Now())
    lapsed = Q(state=Delivery.State.CLAIMED, claimed_until__lte=Now())
    return waits | lapsed


def _count(channel_id: int, outcome: NotificationCount.Outcome) -> None:
    NotificationCount.objects.get_or_create(channel_id=channel_id, outcome=outcome)
    NotificationCount.objects.filter(channel_id=channel_id, outcome=outcome).update(count=F("count") + 1)


# -- reading


def notification_counts() -> list[tuple[str, str, int]]:
    """(channel name, outcome, count) for `streamgauge_notifications_total`; every outcome of every channel."""
    counted = {
        (channel_id, outcome): count
        for channel_id, outcome, count in NotificationCount.objects.values_list("channel_id", "outcome", "count")
    }
    return [
        (name, outcome, counted.get((pk, outcome), 0))
        for pk, name in Channel.objects.order_by("name").values_list("pk", "name")
        for outcome in _Counted.values
    ]


def waiting_counts() -> dict[str, int]:
    """How many messages are in each state, by the state's word."""
    rows = Delivery.objects.order_by().values_list("state").annotate(n=Count("pk"))
    return dict(rows)
