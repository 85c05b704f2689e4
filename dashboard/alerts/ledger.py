"""What the rules decided becomes rows: alerts, their transitions and the messages about them, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from collectors.models import Cluster
from collectors.models.updates import update_each
from dashboard.models import Alert, AuditEntry, Rule, Transition

from . import holds, rules, telling
from .rules import Standing, State
from .scene import Told
from .telling import Telling

ACKNOWLEDGED = "acknowledged"
TAKEN_BACK = "taken_back"
NOT_STATES = (ACKNOWLEDGED, TAKEN_BACK)
"""Transitions that leave the alert's state as it is."""
Announce = Callable[[str, dict[str, Any]], None]
_STEPPED = [
    "state", "severity", "sentence", "memory", "started_at", "fired_at", "resolved_at", "changed_at",
    "is_held_back", "held_reason", "held_by",
]  # fmt: skip
"""Fields that the judge writes. Never those of the acknowledgement, which people write at the same time."""


@dataclass(frozen=True, slots=True)
class Change:
    """The step of one rule and subject: its new standing and, if the state changed, the transition and its words."""

    rule: Rule
    subject_kind: str
    subject: str
    alert: Alert | None  # the open one; None when this step begins it
    standing: Standing
    transition: rules.Transition | None = None
    told: Told = field(default_factory=lambda: Told(""))


@dataclass(frozen=True, slots=True)
class Written:
    transitions: tuple[int, ...] = ()
    messages: int = 0


def standing_of(alert: Alert) -> Standing:
    """Where the judge left off with an open alert."""
    memory = alert.memory
    return Standing(
        State(alert.state),
        float(memory.get("counted_seconds", 0.0)),
        memory.get("counted_at"),
        bool(memory.get("by_no_data", False)),
    )


def write(changes: Sequence[Change], *, cluster: Cluster, cycle: int | None, at: datetime) -> Written:
    """Write what a step decided, in the caller's transaction. `cycle` is None for steps by the clock."""
    if not changes:
        return Written()
    alerts = [_alert_of(change, cluster, at) for change in changes]
    held = _hold_back(changes, alerts, at)
    fresh = [alert for alert in alerts if alert.pk is None]
    # causes first: what they hold back points to them
    Alert.objects.bulk_create([alert for alert in fresh if alert.held_by is None], batch_size=200)
    Alert.objects.bulk_create([alert for alert in fresh if alert.held_by is not None], batch_size=200)
    for alert in alerts:
        if id(alert) in held:
            alert.held_by = alert.held_by  # a cause that was new has its key only now
    pairs = [pair for pair in zip(alerts, changes, strict=True) if pair[1].alert is not None]
    # most steps only count seconds
    update_each([alert for alert, change in pairs if change.transition is None], ["memory"])
    update_each([alert for alert, change in pairs if change.transition is not None], _STEPPED)
    transitions, tellings = [], []
    for alert, change in zip(alerts, changes, strict=True):
        moved = change.transition
        if moved is None:
            continue
        transitions.append(
            Transition(
                alert=alert,
                at=at,
                cycle=cycle,
                old_state="" if change.alert is None else moved.old.value,
                new_state=moved.new.value,
                reason=change.told.sentence,
                numbers={**change.told.numbers, "why": moved.reason.value, **held.get(id(alert), {})},
            )
        )
        if moved.is_told and id(alert) not in held:
            event = "resolved" if moved.new is State.RESOLVED else "firing"
            tellings.append(Telling(alert, event, change.told.sentence, change.told.numbers))
    Transition.objects.bulk_create(transitions, batch_size=200)
    messages = telling.tell(tellings, now=timezone.now())
    return Written(tuple(row.pk for row in transitions), messages)


def _hold_back(changes: Sequence[Change], alerts: Sequence[Alert], sampled_at: datetime) -> dict[int, dict[str, Any]]:
    """Mark the alerts that are raised now and not told; what to note of it by id() of the alert.

    Silences count at the moment of telling, not of the sample. An end is always told to those who heard the beginning.
    """
    out: dict[int, dict[str, Any]] = {}
    raised = [
        alert
        for change, alert in zip(changes, alerts, strict=True)
        if change.transition is not None and change.transition.is_told and not change.standing.state.is_over
    ]
    if not raised:
        return out
    found = holds.at(timezone.now(), sampled_at=sampled_at, clusters=[raised[0].cluster_id])
    causes = [alert for alert in raised if holds.may_hold_back(alert)]
    for alert in raised:
        hold = found.over(alert, also=causes)
        if hold is not None:
            alert.is_held_back, alert.held_reason, alert.held_by = True, hold.reason, hold.cause
            out[id(alert)] = {"held_back": hold.reason} | ({"silenced_by": hold.by} if hold.by else {})
    return out


def _alert_of(change: Change, cluster: Cluster, at: datetime) -> Alert:
    """The row as it is after the step, not yet saved."""
    alert = change.alert or Alert(
        rule=change.rule, cluster=cluster, subject_kind=change.subject_kind, subject=change.subject, started_at=at
    )
    alert.rule, alert.cluster = change.rule, cluster  # messages name both
    standing, moved = change.standing, change.transition
    began = alert.memory.get("began", {})
    if moved is not None:
        alert.state = Alert.State.RESOLVED if standing.state.is_over else Alert.State(standing.state.value)
        alert.changed_at = at
        if moved.new.is_raised and not moved.old.is_raised:
            alert.fired_at = at
        if standing.state.is_over:
            alert.resolved_at = at
            alert.is_held_back = False
        else:
            alert.severity = change.rule.severity
        if not moved.old.is_raised and not standing.state.is_over:
            # what was wrong stays on the alert when it is over; the transition says how it ended
            alert.sentence = change.told.sentence
            began = {**change.told.numbers, "at": began.get("at", at.timestamp())}
    alert.memory = {
        "counted_seconds": standing.counted_seconds,
        "counted_at": standing.counted_at,
        "by_no_data": standing.by_no_data,
        "began": began,
    }
    return alert


def acknowledge(alert_id: int, who: str, *, now: datetime, remote: str = "", announce: Announce | None = None) -> bool:
    """Say that someone looks after an alert. False when it is over already, or acknowledged by someone before."""
    with transaction.atomic():
        waiting = Alert.objects.raised().filter(pk=alert_id, acknowledged_at=None)
        if not waiting.update(acknowledged_at=now, acknowledged_by=who[:150]):
            return False
        alert = _write_down(alert_id, who, ACKNOWLEDGED, f"acknowledged by {who}", now=now, remote=remote)
        told = telling.tell_acknowledged(alert, ACKNOWLEDGED, who, now=now)
    _announce(announce, alert, told)
    return True


def take_back(alert_id: int, who: str, *, now: datetime, remote: str = "", announce: Announce | None = None) -> bool:
    """Nobody looks after an alert any more. False when it is over already, or nobody did."""
    with transaction.atomic():
        taken = Alert.objects.raised().filter(pk=alert_id).exclude(acknowledged_at=None)
        if not taken.update(acknowledged_at=None, acknowledged_by=""):
            return False
        alert = _write_down(alert_id, who, TAKEN_BACK, f"acknowledgement taken back by {who}", now=now, remote=remote)
        told = telling.tell_acknowledged(alert, TAKEN_BACK, who, now=now)
    _announce(announce, alert, told)
    return True


def _announce(announce: Announce | None, alert: Alert, told: int) -> None:
    if announce is None:
        return
    announce("alert", {"cluster": alert.cluster_id, "transitions": 1})
    if told:
        announce("delivery", {"cluster": alert.cluster_id, "messages": told})


def _write_down(alert_id: int, who: str, what: str, reason: str, *, now: datetime, remote: str) -> Alert:
    """The row by which every open page hears of it, and the line in the audit trail."""
    alert = Alert.objects.select_related("rule", "cluster").get(pk=alert_id)
    Transition.objects.create(alert=alert, at=now, old_state=alert.state, new_state=what, reason=reason)
    AuditEntry.objects.create(
        at=now,
        who=who[:150],
        remote=remote[:64],
        action="acknowledge" if what == ACKNOWLEDGED else "acknowledgement taken back",
        target=f"alert {alert.pk}",
        detail={"rule": alert.rule.key, "cluster": alert.cluster.slug, "subject": alert.subject},
    )
    return alert
