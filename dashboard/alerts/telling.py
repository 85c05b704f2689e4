"""Who is told of what: transitions become messages, by route, gathered for people by cluster and cause.

What people read comes in threads: one for each channel, cluster and rule, from the first alert until none goes on. The
first message of a thread goes out at once; what follows within a minute is gathered into one. Machines (webhook,
Alertmanager) get every alert on its own, at once.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q

from dashboard.models import Alert, Channel, Delivery, Route

from . import messages, routes
from .channels.kinds import KINDS

GATHER_SECONDS = 60.0
SLICE = 500

_LIVE = (Delivery.State.WAITING, Delivery.State.CLAIMED, Delivery.State.DELIVERED)


@dataclass(frozen=True, slots=True)
class Telling:
    """A transition that people hear of."""

    alert: Alert
    event: str  # "firing" or "resolved"
    sentence: str
    numbers: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Part:
    """What one channel is told of one rule and cluster at once; a single alert where a machine reads it."""

    channel: Channel
    tellings: tuple[Telling, ...]
    not_before: datetime | None = None  # the hours of its route

    @property
    def alerts(self) -> tuple[Alert, ...]:
        return tuple(telling.alert for telling in self.tellings)


def tell(tellings: Sequence[Telling], *, now: datetime) -> int:
    """Queue messages, in the caller's transaction; returns how many.

    A firing goes where the routes say; a resolved only to those that were, or will be, told of the firing. The key is
    made of what the message is about, and unique: whatever is repeated, nothing is queued twice.
    """
    if not tellings:
        return 0
    channels = {channel.pk: channel for channel in Channel.objects.filter(is_enabled=True)}
    if not channels:
        return 0
    beginnings = [telling for telling in tellings if telling.event == "firing"]
    ends = [telling for telling in tellings if telling.event == "resolved"]
    queued = 0
    for part in _parts_of_beginnings(beginnings, channels, now):
        queued += _tell_beginning(part, now)
    return queued + _tell_ends(ends, channels, now)


# -- beginnings


def _parts_of_beginnings(tellings: Sequence[Telling], channels: dict[int, Channel], now: datetime) -> Iterable[_Part]:
    if not tellings:
        return []
    enabled = list(Route.objects.filter(is_enabled=True).prefetch_related("channels"))
    parts: dict[tuple[Any, ...], _Part] = {}
    for telling in tellings:
        for channel_id, not_before in sorted(routes.told(enabled, telling.alert, list(channels), now=now).items()):
            channel = channels[channel_id]
            alert = telling.alert
            one = alert.pk if not KINDS[channel.kind].is_grouped else None
            key = (channel_id, alert.cluster_id, alert.rule_id, not_before, one)
            part = parts.get(key) or _Part(channel, (), not_before)
            parts[key] = replace(part, tellings=(*part.tellings, telling))
    return parts.values()


def _tell_beginning(part: _Part, now: datetime) -> int:
    if not KINDS[part.channel.kind].is_grouped:
        _queue(part, "firing", thread="", others=(), now=now, not_before=part.not_before)
        return 1
    thread = _open_thread(part, now)
    if not thread:
        _queue(part, "firing", thread="", others=(), now=now, not_before=part.not_before)
        return 1
    waits_until = _gathered_until(part, thread, "firing", now)
    not_before = max((at for at in (part.not_before, waits_until) if at is not None), default=None)
    return _queue_or_join(part, "firing", thread, now=now, not_before=not_before)


def _open_thread(part: _Part, now: datetime) -> str:
    """The thread of the channel that tells of this rule and cluster and has an alert that goes on; "" for none.

    What is told at once does not join what waits for its hours.
    """
    first = part.alerts[0]
    waits = Q(state=Delivery.State.WAITING, attempts=0, not_before__gt=now)
    found = (
        Delivery.objects.filter(
            channel=part.channel,
            event="firing",
            state__in=_LIVE,
            alerts__rule=first.rule_id,
            alerts__cluster=first.cluster_id,
            alerts__resolved_at=None,
        )
        .exclude(waits if part.not_before is None else Q(pk=None))
        .order_by("-id")
        .values_list("thread", flat=True)
        .first()
    )
    return found or ""


def _gathered_until(part: _Part, thread: str, event: str, now: datetime) -> datetime | None:
    """Until when a further message waits, so that a thread does not speak more than once a minute; None: at once."""
    newest = (
        Delivery.objects.filter(channel=part.channel, thread=thread, event=event)
        .order_by("-id")
        .values_list("created_at", "not_before")
        .first()
    )
    if newest is None:
        return None
    until = max(moment for moment in newest if moment is not None) + timedelta(seconds=GATHER_SECONDS)
    return until if until > now else None


# -- ends


def _tell_ends(tellings: Sequence[Telling], channels: dict[int, Channel], now: datetime) -> int:
    """Ends go to the threads that tell, or told, of the beginnings."""
    if not tellings:
        return 0
    of = {telling.alert.pk: telling for telling in tellings}
    ids = list(of)
    threads: dict[tuple[int, str], dict[int, Telling]] = {}
    for start in range(0, len(ids), SLICE):
        some = ids[start : start + SLICE]
        told = Delivery.objects.filter(alerts__in=some, event="firing", channel__in=channels, state__in=_LIVE)
        Delivery.objects.filter(alerts__in=some, renew_at__isnull=False).update(renew_at=None)
        for delivery in told.distinct().prefetch_related("alerts"):
            mine = [one for one in delivery.alerts.all() if one.pk in of]
            if _is_held(delivery, now) and _take_out(delivery, mine, "it was over before it was told"):
                continue
            threads.setdefault((delivery.channel_id, delivery.thread), {}).update({one.pk: of[one.pk] for one in mine})
    queued = 0
    for (channel_id, thread), found in sorted(threads.items()):
        part = _Part(channels[channel_id], tuple(found.values()))
        still = _thread_alerts(part, thread).filter(resolved_at=None).exists()
        waits = _gathered_until(part, thread, "resolved", now) if still else None
        queued += _queue_or_join(part, "resolved", thread, now=now, not_before=waits)
    return queued


def _is_held(delivery: Delivery, now: datetime) -> bool:
    """Whether it waits on purpose and nobody has tried to send it."""
    waits = delivery.state == Delivery.State.WAITING and delivery.attempts == 0
    return waits and delivery.not_before is not None and delivery.not_before > now


def _take_out(delivery: Delivery, alerts: Sequence[Alert], why: str) -> bool:
    """What need not be told any more; a message that is left with nothing is skipped. False: a sender was faster."""
    left = [one for one in delivery.alerts.select_related("rule", "cluster") if one not in alerts]
    untried = Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.WAITING, attempts=0)
    if not left:
        return bool(untried.update(state=Delivery.State.SKIPPED, last_error=why))
    part = _Part(delivery.channel, tuple(Telling(one, delivery.event, one.sentence, began(one)) for one in left))
    others = [one for one in _thread_alerts(part, delivery.thread) if one not in alerts]
    if not untried.update(alert=left[0], payload=_payload(part, delivery.event, others)):
        return False
    delivery.alerts.remove(*alerts)
    return True


# -- acknowledgements


def tell_acknowledged(alert: Alert, event: str, who: str, *, now: datetime) -> int:
    """Tell channels that show who looks after an alert, in the caller's transaction; `event` is "acknowledged" or
    "taken_back". What waits for its hours need not be told any more: somebody knows."""
    queued = 0
    told = Delivery.objects.filter(alerts=alert, event="firing", state__in=_LIVE, channel__is_enabled=True)
    for delivery in told.select_related("channel"):
        if _is_held(delivery, now):
            why = f"acknowledged by {who} before it was told"
            if event == "taken_back" or _take_out(delivery, [alert], why):
                continue
        if event not in KINDS[delivery.channel.kind].also_hears:
            continue
        part = _Part(delivery.channel, (Telling(alert, event, alert.sentence, began(alert)),))
        others = tuple(_thread_alerts(part, delivery.thread))
        waiting = [one for one in others if one.resolved_at is None and one.acknowledged_at is None and one != alert]
        extra = {"by": who, "unacknowledged": len(waiting)}
        _queue(part, event, thread=delivery.thread, others=others, now=now, extra=extra, salt=now.isoformat())
        queued += 1
    return queued


def send_test(channel: Channel, *, now: datetime) -> Delivery:
    """Queue a test message. It is tried once and not repeated after a failure: someone waits for its outcome."""
    key = _key([], "test", channel.pk, salt=now.isoformat())
    return Delivery.objects.create(
        channel=channel,
        alert=None,
        event="test",
        idempotency_key=key,
        thread=key,
        payload=messages.test_payload(channel.name, now=now),
        next_attempt_at=now,
        created_at=now,
    )


# -- rows


def _queue_or_join(part: _Part, event: str, thread: str, *, now: datetime, not_before: datetime | None) -> int:
    """A new message of a thread, or more of the one that waits; an end that leaves nothing open waits no longer."""
    waiting = (
        Delivery.objects.filter(
            channel=part.channel, thread=thread, event=event, state=Delivery.State.WAITING, attempts=0,
            not_before__gt=now,
        )
        .order_by("id")
        .first()
    )  # fmt: skip
    if waiting is not None and _join(waiting, part, at_once=not_before is None, now=now):
        return 0
    others = tuple(_thread_alerts(part, thread))
    _queue(part, event, thread=thread, others=others, now=now, not_before=not_before)
    return 1


def _join(waiting: Delivery, part: _Part, *, at_once: bool, now: datetime) -> bool:
    """More alerts for a message that waits; False when a sender has taken it meanwhile."""
    known = {one.pk: one for one in waiting.alerts.select_related("rule", "cluster")}
    before = tuple(Telling(one, waiting.event, one.sentence, began(one)) for one in known.values())
    whole = replace(part, tellings=(*before, *(one for one in part.tellings if one.alert.pk not in known)))
    fields: dict[str, Any] = {"payload": _payload(whole, waiting.event, tuple(_thread_alerts(part, waiting.thread)))}
    if at_once:
        fields |= {"next_attempt_at": now, "not_before": None}
    if not Delivery.objects.filter(pk=waiting.pk, state=Delivery.State.WAITING, attempts=0).update(**fields):
        return False
    waiting.alerts.add(*part.alerts)
    return True


def _queue(
    part: _Part,
    event: str,
    *,
    thread: str,
    others: Sequence[Alert],
    now: datetime,
    not_before: datetime | None = None,
    extra: dict[str, Any] | None = None,
    salt: str = "",
) -> None:
    key = _key(part.alerts, event, part.channel.pk, salt=salt)
    Delivery.objects.bulk_create(
        [
            Delivery(
                channel=part.channel,
                alert=part.alerts[0],
                event=event,
                idempotency_key=key,
                thread=thread or key,
                payload={**_payload(part, event, others), **(extra or {})},
                next_attempt_at=not_before or now,
                not_before=not_before,
                created_at=now,
            )
        ],
        ignore_conflicts=True,
    )
    row = Delivery.objects.get(idempotency_key=key)
    row.alerts.add(*part.alerts)


def _payload(part: _Part, event: str, others: Sequence[Alert]) -> dict[str, Any]:
    first = part.tellings[0]
    link = None
    if event in ("firing", "taken_back"):
        link = messages.acknowledge_link(first.alert, part.channel.name)
    payload = messages.payload_of(first.alert, event, sentence=first.sentence, numbers=first.numbers, acknowledge=link)
    if not KINDS[part.channel.kind].is_grouped:
        return payload
    mine = {one.pk for one in part.alerts}
    thread = [*part.alerts, *(one for one in others if one.pk not in mine)]
    return {**payload, **messages.thread_fields(part.alerts, thread, event, first.sentence)}


def _thread_alerts(part: _Part, thread: str) -> Any:
    """Every alert that the thread told the channel of."""
    return (
        Alert.objects.filter(messages__channel=part.channel, messages__thread=thread, messages__event="firing")
        .select_related("rule", "cluster")
        .distinct()
    )


def began(alert: Alert) -> dict[str, Any]:
    """The numbers of when it went wrong."""
    return {key: value for key, value in alert.memory.get("began", {}).items() if key != "at"}


def _key(alerts: Sequence[Alert], event: str, channel_id: int, *, salt: str = "") -> str:
    # The key of the instance keeps two instances apart that tell one receiver; the start, a database begun anew.
    of = "\0".join(f"{alert.pk}\0{alert.started_at.isoformat()}" for alert in alerts)
    about = f"{of}\0{event}\0{channel_id}" + (f"\0{salt}" if salt else "")
    return hmac.new(settings.SECRET_KEY.encode(), about.encode(), hashlib.sha256).hexdigest()[:40]
