"""What happened beside a curve: the marks under a chart, from events and alerts of its subject and what it hangs on."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db.models import Q

from collectors.history import queries
from collectors.models import Cluster, Event
from dashboard.charts.figures import Mark
from dashboard.models import Alert, Transition

from . import words

SHOWN = 200
NAMES = 300
"""Of a group that reads more topics than this, or a topic with more readers, the others' marks are left out."""
KINDS = {"g": "group", "t": "topic", "b": "broker", "c": "cluster"}
# What explains a curve without being about its subject.
_CLUSTER_KINDS = (
    Event.Kind.BROKER_SUSPECT,
    Event.Kind.BROKER_DOWN,
    Event.Kind.BROKER_UP,
    Event.Kind.CONTROLLER_MOVED,
    Event.Kind.LEADERS_MOVED,
    Event.Kind.CYCLES_SKIPPED,
    Event.Kind.CLOCK_STEPPED,
    Event.Kind.COLLECTOR_TOOK_OVER,
    Event.Kind.ACT,
)
_TOPIC_KINDS = (
    Event.Kind.TOPIC_CREATED,
    Event.Kind.TOPIC_DELETED,
    Event.Kind.TOPIC_RECREATED,
    Event.Kind.TOPIC_GROWN,
    Event.Kind.CONFIG_CHANGED,
)


def marks_of(cluster: Cluster, subject: str, name: str, since: float, until: float) -> list[Mark]:
    """The newest marks between two moments, oldest first. `subject` is g, t, b or c, as the address of a chart says."""
    between = {"at__gte": datetime.fromtimestamp(since, UTC), "at__lte": datetime.fromtimestamp(until, UTC)}
    kind = KINDS[subject]
    beside = _beside(cluster, subject, name)
    wanted = Q(subject_kind=kind, subject=name) | Q(kind__in=_CLUSTER_KINDS)
    if subject == "g":
        wanted |= Q(kind__in=_TOPIC_KINDS, subject_kind="topic", subject__in=beside)
    elif subject == "t":
        wanted |= Q(kind=Event.Kind.MEMBERS_CHANGED, subject_kind="group", subject__in=beside)
    elif subject == "c":
        wanted |= Q(kind__in=_TOPIC_KINDS)
    events = Event.objects.filter(wanted, cluster=cluster, **between).order_by("-at", "-id")[:SHOWN]
    marks = []
    for event in events:
        icon, tone = words.EVENTS.get(event.kind, ("i-info", ""))
        marks.append(Mark(event.at.timestamp(), event.text, icon, tone))
    marks += _alerts(cluster, kind, name, beside, between)
    return sorted(marks, key=lambda mark: mark.at)[-SHOWN:]


def _beside(cluster: Cluster, subject: str, name: str) -> list[str]:
    """The topics that a group reads, or the groups that read a topic, in the newest cycle."""
    now = queries.cluster_at(cluster.pk, cluster.last_cycle) if cluster.last_cycle and subject in "gt" else None
    if now is None:
        return []
    if subject == "g":
        return [topic for group, topic in now.groups.pairs() if group == name][:NAMES]
    return [group for group, topic in now.groups.pairs() if topic == name][:NAMES]


def _alerts(cluster: Cluster, kind: str, name: str, beside: list[str], between: dict[str, datetime]) -> list[Mark]:
    """When alerts about the subject, about what it hangs on, or about brokers and the cluster, fired and were over."""
    about = Q(alert__subject_kind__in=("broker", "cluster"))
    if kind in ("group", "topic"):
        about |= Q(alert__subject_kind=kind, alert__subject=name)
        about |= Q(alert__subject_kind="topic" if kind == "group" else "group", alert__subject__in=beside)
    elif kind == "cluster":
        about |= Q(alert__subject_kind="topic")
    states = (Alert.State.FIRING, Alert.State.RESOLVED)
    found = (
        Transition.objects.filter(about, alert__cluster=cluster, new_state__in=states, **between)
        .exclude(alert__fired_at=None)
        .select_related("alert__rule")
        .order_by("-at", "-id")[:SHOWN]
    )
    marks = []
    for one in found:
        alert = one.alert
        who = f" ({alert.subject})" if alert.subject and (alert.subject_kind, alert.subject) != (kind, name) else ""
        if one.new_state == Alert.State.FIRING:
            tone = words.SEVERITIES.get(alert.severity, words.SEVERITIES["info"]).tone
            marks.append(Mark(one.at.timestamp(), f"Alert fires: {alert.rule.name}{who}", "i-bell", tone))
        else:
            marks.append(Mark(one.at.timestamp(), f"Alert is over: {alert.rule.name}{who}", "i-ok", "is-ok"))
    return marks
