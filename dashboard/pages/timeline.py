"""What happened in a cluster over a range of time, in lanes: brokers, leaders, rebalances, topics, settings, alerts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from collectors.models import Cluster, Event
from dashboard import names
from dashboard.models import Alert

from . import words
from .ranges import TimeRange

MOST_EVENTS = 1_000
MOST_ALERTS = 200
NEAR = 3.0
"""Of 100: marks closer than this are one, with their number."""
LABEL_ROOM = 16.0
"""Of 100: a mark with this much free space behind it says what it is."""
TOLD = 12  # events named in the title of a pile
LANES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Brokers", ("broker_suspect", "broker_down", "broker_up")),
    ("Leaders", ("leaders_moved", "controller_moved")),
    ("Rebalances", ("members_changed",)),
    ("Topics", ("topic_created", "topic_deleted", "topic_recreated", "topic_grown")),
    ("Settings", ("config_changed", "rights_changed")),
    ("Verdicts", ("verdict_changed", "records_lost")),
    ("Groups", ("group_new", "group_gone")),
    ("Collector", ("cycles_skipped", "clock_stepped", "collector_took_over")),
    ("Demo", ("act",)),
)
_TONES = ("is-bad", "is-warn", "is-info", "is-ok", "")


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on a lane of 100 units."""

    x: str
    icon: str
    tone: str
    title: str
    label: str  # "" where there is no room
    path: str
    count: int


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch on a lane of 100 units."""

    x: str
    width: str
    tone: str
    title: str
    path: str


@dataclass(frozen=True, slots=True)
class Lane:
    title: str
    marks: Sequence[Mark]
    spans: Sequence[Span] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Timeline:
    lanes: Sequence[Lane]
    ticks: Sequence[tuple[str, str]]  # (place, time of day)
    more: int  # events of the range that are older than those shown


def timeline(cluster: Cluster, span: TimeRange, *, now: datetime) -> Timeline:
    """Lanes with something on them; two queries, whatever happened."""
    kinds = [kind for _, lane in LANES for kind in lane]
    wanted = Event.objects.filter(cluster=cluster, kind__in=kinds, at__gte=span.since, at__lte=span.until)
    events = list(wanted.order_by("-at", "-id")[: MOST_EVENTS + 1])
    more = max(0, len(events) - MOST_EVENTS)
    events = events[:MOST_EVENTS][::-1]
    lanes = []
    for title, lane in LANES:
        own = [event for event in events if event.kind in lane]
        down = _down(own, span, cluster) if title == "Brokers" else []
        if own:
            marks = _marks(own, span, cluster)
            lanes.append(Lane(title, [replace(mark, label="") for mark in marks] if down else marks, down))
        if title == "Brokers" and (alerts := _alerts(cluster, span, now)):
            lanes.append(Lane("Alerts", (), alerts))
    return Timeline(lanes, ticks(span), more)


def place(at: datetime, span: TimeRange) -> float:
    """Where on a lane of 100 units a moment of the range lies."""
    return min(100.0, max(0.0, 100 * (at - span.since).total_seconds() / max(1.0, span.seconds)))


def _marks(events: Sequence[Event], span: TimeRange, cluster: Cluster) -> list[Mark]:
    piles: list[list[Event]] = []
    for event in events:
        if piles and place(event.at, span) - place(piles[-1][0].at, span) < NEAR:
            piles[-1].append(event)
        else:
            piles.append([event])
    ends = [place(pile[0].at, span) for pile in piles[1:]] + [100.0]
    return [_mark(pile, span, cluster, end) for pile, end in zip(piles, ends, strict=True)]


def _mark(pile: Sequence[Event], span: TimeRange, cluster: Cluster, end: float) -> Mark:
    looks = [words.EVENTS.get(event.kind, ("i-info", "")) for event in pile]
    icon, tone = min(looks, key=lambda look: _TONES.index(look[1]) if look[1] in _TONES else len(_TONES))
    x = place(pile[0].at, span)
    told = [f"{timezone.localtime(event.at):%H:%M:%S} {event.text}" for event in pile[:TOLD]]
    if len(pile) > TOLD:
        told.append(f"and {len(pile) - TOLD} more")
    newest = pile[-1]
    subjects = {(event.subject_kind, event.subject) for event in pile}
    path = names.cluster_path(cluster.slug) + "events/"
    if len(subjects) == 1 and newest.subject_kind:
        path = names.subject_path(cluster.slug, newest.subject_kind, newest.subject)
    label = ""
    if end - x > LABEL_ROOM:
        label = _short(newest) if len(subjects) == 1 else f"{len(pile)} events"
    return Mark(f"{x:.2f}%", icon, tone, "\n".join(told), label, path, len(pile))


def _short(event: Event) -> str:
    """What a lane says beside its mark: the subject, or the sentence where there is none."""
    if event.kind in ("act", "leaders_moved") or not event.subject_kind:
        said = event.text.removeprefix("Demo: ")
    else:
        said = f"broker {event.subject}" if event.subject_kind == "broker" else event.subject
    return said if len(said) <= 32 else f"{said[:31]}…"


def _down(events: Iterable[Event], span: TimeRange, cluster: Cluster) -> list[Span]:
    """How long each broker was away: from the first word of it until it answered again, or the end of the range."""
    away: dict[str, tuple[datetime, str]] = {}
    out = []

    def put(node: str, since: datetime, until: datetime, tone: str, said: str) -> None:
        x, end = place(since, span), place(until, span)
        path = names.subject_path(cluster.slug, "broker", node)
        out.append(Span(f"{x:.2f}%", f"{max(0.4, end - x):.2f}%", tone, said, path))

    for event in events:
        if event.kind == "broker_up":
            since, tone = away.pop(event.subject, (span.since, "is-warn"))
            put(event.subject, since, event.at, tone, f"broker {event.subject} was away")
        else:
            since, _ = away.get(event.subject, (event.at, ""))
            away[event.subject] = (since, "is-bad" if event.kind == "broker_down" else "is-warn")
    for node, (since, tone) in away.items():
        put(node, since, span.until, tone, f"broker {node} is away")
    return out


def _alerts(cluster: Cluster, span: TimeRange, now: datetime) -> list[Span]:
    found = (
        Alert.objects.filter(cluster=cluster, fired_at__isnull=False, fired_at__lte=span.until)
        .filter(Q(resolved_at=None) | Q(resolved_at__gte=span.since))
        .select_related("rule")
        .order_by("-fired_at")[:MOST_ALERTS]
    )
    out = []
    for one in found:
        fired, over = one.fired_at or one.started_at, one.resolved_at or min(now, span.until)
        x, end = place(fired, span), place(over, span)
        look = words.SEVERITIES.get(one.severity, words.SEVERITIES["info"])
        until = f"{timezone.localtime(over):%H:%M:%S}" if one.resolved_at else "now"
        said = f"{one.rule.name}, {timezone.localtime(fired):%H:%M:%S} to {until}: {one.sentence}"
        path = names.subject_path(cluster.slug, one.subject_kind, one.subject)
        out.append(Span(f"{x:.2f}%", f"{max(0.4, end - x):.2f}%", look.tone, said, path))
    return out[::-1]


def ticks(span: TimeRange) -> list[tuple[str, str]]:
    """(place, time of day) of the marks of the axis below the lanes."""
    style = "%H:%M:%S" if span.seconds < 600 else "%H:%M" if span.seconds <= 2 * 86_400 else "%b %d %H:%M"
    parts = 5
    return [
        (f"{100 * i / parts:.0f}%", f"{timezone.localtime(span.since + (span.until - span.since) * i / parts):{style}}")
        for i in range(1, parts)
    ]
