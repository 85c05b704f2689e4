"""The outbox: messages are rows, written with the transition, claimed by compare-and-set, their answer recorded."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Count, Exists, F, Min, OuterRef, Q, Value, When
from django.db.models.functions import Now

from collectors import secrets
from dashboard.models import Alert, Channel, Delivery, NotificationCount

from . import addresses
from .channels import SEND_SECONDS, Answer, Message, Outcome, Outside, Stored
from .channels.kinds import KINDS

CLAIM_SECONDS = 30.0
"""How long a claim stands: well over the deadline of an attempt, so that only a dead sender's claim lapses."""
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 600.0
GIVE_UP_AFTER = timedelta(hours=24)

_Counted = NotificationCount.Outcome


def network_policy() -> tuple[addresses.Network, ...]:
    return addresses.parse_networks(settings.ALLOWED_NETWORKS)


def outside(*, seconds: float = SEND_SECONDS) -> Outside:
    """What a check or an attempt may use of the world now."""
    return Outside(network_policy(), time.time(), seconds, own=_own_addresses())


def _own_addresses() -> tuple[str, ...]:
    """Where this instance is reached, as its settings say."""
    own = [f"http://{settings.HOST.lower()}:{settings.PORT}"]
    if settings.PUBLIC.origin:
        target = addresses.parse_url(settings.PUBLIC.origin + "/")
        own.append(f"{target.scheme}://{target.host.lower()}:{target.port}")
    return tuple(own)


def store_settings(channel: Channel, stored: Stored) -> Channel:
    """Put checked settings into a channel (not saved): all of them encrypted, and where it tells for people."""
    channel.settings_encrypted = secrets.encrypt(dict(stored), settings.INSTANCE_KEY)
    channel.target = KINDS[channel.kind].target(stored)[:300]
    return channel


def settings_of(channel: Channel) -> Stored:
    """The stored settings; SecretUnreadableError when the instance's key is another one now."""
    found = secrets.decrypt(bytes(channel.settings_encrypted), settings.INSTANCE_KEY)
    return Stored({name: str(value) for name, value in found.items()})


def resend(delivery_id: int, *, now: datetime) -> bool:
    """Queue a dead message again, with the same key; False when it is not dead."""
    return bool(
        Delivery.objects.filter(pk=delivery_id, state=Delivery.State.DEAD).update(
            state=Delivery.State.WAITING, next_attempt_at=now, created_at=now, not_before=None, attempts=0
        )
    )


# -- claiming and recording


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that this sender, and no other, sends now."""

    delivery_id: int
    token: str
    channel: Channel
    message: Message
    kept_since: datetime  # from when on it is tried for a day


def due(*, busy_channels: Iterable[int], limit: int) -> list[Delivery]:
    """Messages that could be claimed, the oldest of each channel: none overtakes an earlier one of its thread."""
    earlier = Delivery.objects.filter(
        channel=OuterRef("channel"),
        thread=OuterRef("thread"),
        pk__lt=OuterRef("pk"),
        state__in=[Delivery.State.WAITING, Delivery.State.CLAIMED],
    )
    rows = (
        Delivery.objects.filter(_claimable(), channel__is_enabled=True)
        .exclude(channel__in=list(busy_channels))
        .filter(~Exists(earlier))
    )
    # one at a time for each channel: so a slow receiver, or one with ten thousand messages, holds up only itself;
    # what is only told again comes after what was never told
    firsts = (
        rows.order_by()
        .values("channel")
        .annotate(new=Min("pk", filter=~Q(state=Delivery.State.DELIVERED)), any=Min("pk"))
        .values_list("new", "any")
    )
    wanted = [new or repeated for new, repeated in firsts]
    return list(
        Delivery.objects.filter(pk__in=wanted).order_by("next_attempt_at", "pk").select_related("channel")[:limit]
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
                # telling again what was delivered is no further try
                attempts=Case(When(state=Delivery.State.DELIVERED, then=Value(1)), default=F("attempts") + 1),
                repeats_unanswered=F("repeats_unanswered") + int(was_claimed),
            )
        )
        if not taken:
            return None
        if was_claimed:
            _count(delivery.channel_id, _Counted.UNANSWERED)
    delivery.refresh_from_db(fields=["payload"])  # it may have been gathered with others meanwhile
    message = Message(
        delivery.idempotency_key,
        delivery.event,
        delivery.attempts + 1,
        delivery.payload,
        delivery.thread,
        _receipt_of(delivery),
    )
    moments = (delivery.created_at, delivery.not_before, delivery.renew_at)
    return Claim(delivery.pk, token, delivery.channel, message, max(at for at in moments if at is not None))


def _receipt_of(delivery: Delivery) -> dict[str, str]:
    """What the receiver gave for the newest message of the thread that it took."""
    if not delivery.thread:
        return {}
    taken = Delivery.objects.filter(channel=delivery.channel_id, thread=delivery.thread).exclude(receipt={})
    return taken.order_by("-id").values_list("receipt", flat=True).first() or {}


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
        renew = answer.renew_after_seconds
        fields["renew_at"] = None if renew is None else Now() + timedelta(seconds=renew)
        if answer.receipt:
            fields["receipt"] = dict(answer.receipt)
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
    is_exhausted = now + timedelta(seconds=wait) > claimed.kept_since + GIVE_UP_AFTER
    if answer.outcome is Outcome.REFUSED or claimed.message.event == "test" or is_exhausted:
        return Delivery.State.DEAD, _Counted.DEAD, 0.0
    return Delivery.State.WAITING, _Counted.RETRIED, wait


def wait_seconds(attempt: int, retry_after_seconds: float | None, *, jitter: random.Random) -> float:
    """Seconds until the next attempt: 1, 2, 4 ... 600 s, each by 0.5 to 1.5; never less than the receiver asked."""
    wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(attempt - 1, 20)) * jitter.uniform(0.5, 1.5)
    return max(wait, retry_after_seconds or 0.0)


def _bury_the_end(claimed: Claim) -> None:
    """A channel that never heard that something is wrong need not hear that it is over."""
    of_thread = Delivery.objects.filter(channel=claimed.channel, thread=claimed.message.thread)
    if of_thread.filter(event="firing").exclude(state=Delivery.State.DEAD).exists():
        return  # others of the thread were told
    ended = of_thread.filter(state=Delivery.State.WAITING).exclude(event="firing")
    if ended.update(state=Delivery.State.DEAD, last_error="its firing could not be delivered"):
        _count(claimed.channel.pk, _Counted.DEAD)


def _claimable() -> Q:
    waits = Q(state=Delivery.State.WAITING, next_attempt_at__lte=Now())
    lapsed = Q(state=Delivery.State.CLAIMED, claimed_until__lte=Now())
    raised = [Alert.State.FIRING, Alert.State.RECOVERING, Alert.State.NO_DATA]
    forgotten = Q(state=Delivery.State.DELIVERED, renew_at__lte=Now(), alert__state__in=raised)
    return waits | lapsed | forgotten


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
