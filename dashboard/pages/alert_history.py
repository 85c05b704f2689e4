"""Alerts of a range of time, each with its life as a bar."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Min, Prefetch, Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.access.roles import role
from dashboard.models import Alert, Role, Rule, Transition

from .lists import LONGEST_SEARCH
from .ranges import QUICK, TimeRange, read_range
from .shell import page, shell_of

PAGE_ALERTS = 50
BAR_UNITS = 1000.0
LEAST_UNITS = 4.0  # about two pixels: a short alert is still seen, also at the very end
LETTERS = {"pending": "p", "firing": "f", "recovering": "r", "no_data": "u"}


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one state on a bar of 1000 units."""

    x: str
    width: str
    letter: str
    said: str


@role(Role.VIEWER)
@require_safe
def history(request: HttpRequest) -> HttpResponse:
    """`?rule=KEY` and `?q=` choose; `?page=` goes on."""
    shell = shell_of(request)
    now = timezone.now()
    params = request.GET.copy()
    params.setdefault("from", _default_start(now))
    span = read_range(params, now=now, history_since=None)
    found = Alert.objects.filter(fired_at__isnull=False, fired_at__lte=span.until).filter(
        Q(resolved_at=None) | Q(resolved_at__gte=span.since)
    )
    rules = list(Rule.objects.order_by("name"))
    rule = next((one for one in rules if one.key == request.GET.get("rule")), None)
    if rule is not None:
        found = found.filter(rule=rule)
    search = request.GET.get("q", "").replace("\0", "")[:LONGEST_SEARCH].strip()
    if search:
        found = found.filter(subject__icontains=search)
    total = found.count()
    pages = max(1, -(-total // PAGE_ALERTS))
    typed = request.GET.get("page", "1")
    number = min(max(1, int(typed)), pages) if typed.isascii() and typed.isdigit() and len(typed) < 8 else 1
    shown = (
        found.select_related("rule", "cluster")
        .prefetch_related(Prefetch("transitions", Transition.objects.order_by("id")))
        .order_by("-fired_at", "-id")[(number - 1) * PAGE_ALERTS : number * PAGE_ALERTS]
    )
    context: dict[str, Any] = {
        "section": "alerts",
        "tab": "history",
        "range": span,
        "quick": QUICK,
        "rules": rules,
        "rule": rule,
        "search": search,
        "total": total,
        "number": number,
        "pages": pages,
        "history": [_line(alert, span, now) for alert in shown],
        "ticks": _ticks(span),
    }
    return page(request, "pages/alert_history.html", context, shell=shell)


def _default_start(now: datetime) -> str:
    """The shortest of a few ranges that holds what fired in the last day: a minute in a day could not be seen."""
    first = Alert.objects.filter(fired_at__gte=now - timedelta(hours=24)).aggregate(first=Min("fired_at"))["first"]
    age = timedelta(hours=24) if first is None else now - first
    return next((text for hours, text in ((1, "now-1h"), (6, "now-6h")) if age < timedelta(hours=hours)), "now-24h")


def _line(alert: Alert, span: TimeRange, now: datetime) -> dict[str, Any]:
    end = alert.resolved_at or now
    fired = alert.fired_at or alert.started_at
    transitions = list(alert.transitions.all())
    return {
        "alert": alert,
        "lasted": (end - fired).total_seconds(),
        "silenced_by": next((t.numbers["silenced_by"] for t in transitions if "silenced_by" in t.numbers), ""),
        "spans": spans(transitions, span.since, span.until, min(end, now)),
    }


def spans(transitions: list[Transition], since: datetime, until: datetime, end: datetime) -> list[Span]:
    """The states between `since` and `until` as stretches; what people did in between changes no state."""
    width = (until - since).total_seconds()
    moves = [one for one in transitions if one.new_state in LETTERS or one.new_state in ("resolved", "inactive")]
    out = []
    for one, following in itertools.zip_longest(moves, moves[1:]):
        letter = LETTERS.get(one.new_state)
        stop_at = following.at if following is not None else end
        if letter is None or stop_at <= since or one.at >= until:
            continue
        start = max(0.0, (one.at - since).total_seconds() / width * BAR_UNITS)
        stop = min(BAR_UNITS, (stop_at - since).total_seconds() / width * BAR_UNITS)
        start = min(start, BAR_UNITS - LEAST_UNITS)
        began, ended = timezone.localtime(one.at), timezone.localtime(stop_at)
        said = f"{one.new_state.replace('_', ' ')} from {began:%b %d %H:%M:%S} to {ended:%b %d %H:%M:%S}"
        out.append(Span(f"{start:.2f}", f"{max(LEAST_UNITS, stop - start):.2f}", letter, said))
    return out


def _ticks(span: TimeRange) -> list[str]:
    """Begin, middle and end of the bars."""
    style = "%H:%M" if span.seconds <= 86_400 else "%b %d %H:%M"
    middle = span.since + (span.until - span.since) / 2
    return [f"{timezone.localtime(at):{style}}" for at in (span.since, middle, span.until)]
