"""What keeps a firing alert from being told for now: a silence, maintenance, or a cause that is told already.

A broker that is down holds back what its replicas lack; records that a group loses, that retention overtakes it soon; a
collector that is blind, everything of its cluster. What is held back is recorded and shown with the reason. It is told
when nothing holds it back any more and it still fires.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from django.db.models import Q

from collectors.domain import words
from dashboard.models import Alert, Maintenance, Silence, Transition

from . import hours, silences, telling
from .readings import Quantity
from .telling import Telling

UNSILENCED = "unsilenced"
OUTLIVES_BY = timedelta(seconds=120)
"""How long a broker that is up again still holds back: replicas catch up, and metadata is asked every half minute."""
_BROKER, _COLLECTOR = Quantity.BROKER_REACH.value, Quantity.COLLECTOR_SILENCE.value
_LOSS = Quantity.GROUP_RECORDS_LOST.value
_EXPLAINS = {_BROKER: Quantity.REPLICAS_BEHIND.value, _LOSS: Quantity.GROUP_COUNTDOWN.value}
"""What a cause says already of the same subject."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why an alert is not told now. `until` is None where nobody knows."""

    reason: str  # for people: "silenced by ann: rolling restart"
    by: str = ""
    until: datetime | None = None
    cause: Alert | None = None


@dataclass(frozen=True, slots=True)
class Holds:
    """All that holds alerts back at one moment."""

    silences: Sequence[Silence]
    maintenance: Sequence[tuple[Maintenance, datetime]]  # with its end
    causes: Sequence[Alert]  # raised, or over a little while ago; with their rules

    def over(self, alert: Alert, *, also: Iterable[Alert] = ()) -> Hold | None:
        """The reason that lasts longest; None when the alert may be told. `also`: causes raised at the same time."""
        silence = silences.covering(self.silences, alert)
        if silence is not None:
            by = words.visible(silence.created_by)
            return Hold(f"silenced by {by}: {silence.reason}", silence.created_by, silence.ends_at)
        work = [one for one in self.maintenance if fnmatchcase(alert.cluster.slug, one[0].cluster)]
        if work:
            found, ends = max(work, key=lambda one: one[1])
            return Hold(f"maintenance: {found.reason}", found.created_by, ends)
        cause = next((one for one in [*self.causes, *also] if holds_back(one, alert)), None)
        return None if cause is None else Hold(f"held back by its cause: {cause.sentence}", cause=cause)


def may_hold_back(alert: Alert) -> bool:
    """Whether an alert is of a kind that can be the cause of others."""
    return alert.rule.quantity in (*_EXPLAINS, _COLLECTOR)


def holds_back(cause: Alert, alert: Alert) -> bool:
    """Whether an alert that is raised explains another one of its cluster."""
    if cause.cluster_id != alert.cluster_id or cause.rule_id == alert.rule_id:
        return False
    if cause.rule.quantity == Quantity.COLLECTOR_SILENCE:
        return alert.rule.quantity != Quantity.COLLECTOR_SILENCE
    return alert.subject == cause.subject and alert.rule.quantity == _EXPLAINS.get(cause.rule.quantity)


def at(now: datetime, *, sampled_at: datetime, clusters: Collection[int] | None = None) -> Holds:
    """What holds back at a moment, of some clusters or of all. Three queries.

    `now` counts for what people set, `sampled_at` for causes: their ends are of the samples' clock.
    """
    raised = Q(state__in=[Alert.State.FIRING, Alert.State.RECOVERING, Alert.State.NO_DATA])
    lately = Q(state=Alert.State.RESOLVED, fired_at__isnull=False, resolved_at__gt=sampled_at - OUTLIVES_BY)
    # what a collector that sees again finds is true at once
    causes = Alert.objects.filter(
        Q(rule__quantity=_BROKER) & (raised | lately) | Q(rule__quantity__in=[_COLLECTOR, _LOSS]) & raised
    ).select_related("rule")
    if clusters is not None:
        causes = causes.filter(cluster__in=clusters)
    return Holds(list(Silence.objects.active(now)), current_maintenance(now), list(causes.order_by("id")))


def current_maintenance(now: datetime) -> list[tuple[Maintenance, datetime]]:
    """The windows that are open, with when they close."""
    out = []
    for one in Maintenance.objects.filter(is_enabled=True):
        span = span_of(one, now)
        if span is not None:
            out.append((one, span[1]))
    return out


def span_of(one: Maintenance, now: datetime) -> hours.Span | None:
    """The span of a window that `now` lies in."""
    if one.repeat == Maintenance.Repeat.ONCE:
        if one.starts_at is None or one.ends_at is None or not one.starts_at <= now < one.ends_at:
            return None
        return one.starts_at, one.ends_at
    if one.begins is None or not one.minutes:
        return None
    length = timedelta(minutes=one.minutes)
    return hours.current(weekdays=one.weekdays, begins=one.begins, length=length, zone=one.zone, now=now)


def next_span(one: Maintenance, now: datetime) -> hours.Span | None:
    """The coming span; None when there is none any more."""
    if one.repeat == Maintenance.Repeat.ONCE:
        if one.starts_at is None or one.ends_at is None or one.starts_at <= now:
            return None
        return one.starts_at, one.ends_at
    if one.begins is None or not one.minutes:
        return None
    length = timedelta(minutes=one.minutes)
    return hours.following(weekdays=one.weekdays, begins=one.begins, length=length, zone=one.zone, now=now)


def tell_freed(cluster_id: int, *, now: datetime, sampled_at: datetime) -> tuple[int, int]:
    """Tell what is held back by nothing any more and still fires, in the caller's transaction.

    What somebody has acknowledged meanwhile is not told: they know. Returns (transitions, messages).
    """
    held = list(
        Alert.objects.raised().filter(cluster_id=cluster_id, is_held_back=True).select_related("rule", "cluster")
    )
    if not held:
        return 0, 0
    holds = at(now, sampled_at=sampled_at, clusters=[cluster_id])
    found = {alert.pk: holds.over(alert) for alert in held}
    free = [alert for alert in held if found[alert.pk] is None]
    for alert in held:  # a silence ended, and a cause still holds it back: the page says what is true now
        hold = found[alert.pk]
        if hold is not None and hold.reason != alert.held_reason:
            Alert.objects.filter(pk=alert.pk).update(held_reason=hold.reason, held_by=hold.cause)
    if not free:
        return 0, 0
    Alert.objects.filter(pk__in=[alert.pk for alert in free]).update(is_held_back=False)
    told = [alert for alert in free if alert.acknowledged_at is None]
    Transition.objects.bulk_create(
        Transition(
            alert=alert,
            at=now,
            old_state=alert.state,
            new_state=UNSILENCED,
            reason=f"no longer held back, and it still fires: told now (it was {alert.held_reason or 'silenced'})",
        )
        for alert in told
    )
    tellings = [Telling(alert, "firing", alert.sentence, telling.began(alert)) for alert in told]
    return len(told), telling.tell(tellings, now=now)
