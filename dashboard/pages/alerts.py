"""Alerts that are open now, and acknowledging one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from dashboard.access import audit
from dashboard.access.roles import role, safe_next
from dashboard.alerts import holds, ledger
from dashboard.live.announce import announce
from dashboard.models import Alert, Channel, Delivery, Role, Rule, Transition

from .alert_history import Span, spans
from .shell import page, shell_of

OPEN_SHOWN = 200
_SEVERITY = {"critical": 0, "warning": 1, "info": 2}


@role(Role.VIEWER)
@require_safe
def alerts(request: HttpRequest) -> HttpResponse:
    shell = shell_of(request)
    now = timezone.now()
    still_open = list(
        Alert.objects.exclude(state=Alert.State.RESOLVED)
        .select_related("rule", "cluster")
        .prefetch_related(
            Prefetch("transitions", Transition.objects.order_by("-id")),
            Prefetch("messages", Delivery.objects.select_related("channel").defer("payload", "receipt").order_by("id")),
        )[:OPEN_SHOWN]
    )
    firing = [one for one in still_open if one.state in (Alert.State.FIRING, Alert.State.RECOVERING)]
    firing.sort(key=lambda one: (one.acknowledged_at is not None, _SEVERITY.get(one.severity, 3), one.started_at))
    silenced = _held(firing, now)
    firing.sort(key=lambda one: one.pk in silenced)
    context: dict[str, Any] = {
        "section": "alerts",
        "tab": "firing",
        "firing": [{**_open(one, now), "hold": silenced.get(one.pk)} for one in firing],
        "silenced": len(silenced),
        "unacknowledged": sum(one.acknowledged_at is None and one.pk not in silenced for one in firing),
        "pending": [one for one in still_open if one.state == Alert.State.PENDING],
        "no_data": [one for one in still_open if one.state == Alert.State.NO_DATA],
        "fragment": request.GET.get("fragment", ""),
    }
    context |= {"rules_on": Rule.objects.filter(is_enabled=True).count(), "channels": list(Channel.objects.all())}
    template = "pages/_alerts_body.html" if context["fragment"] == "rows" else "pages/alerts.html"
    return page(request, template, context, shell=shell)


@role(Role.OPERATOR)
@require_POST
def acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    """Of two people at once the first is written down; the alert stays as it is."""
    return _answer(request, pk, ledger.acknowledge)


@role(Role.OPERATOR)
@require_POST
def take_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Undo an acknowledgement, one's own or another's: it is written down who did."""
    return _answer(request, pk, ledger.take_back)


def _answer(request: HttpRequest, pk: int, change: Callable[..., bool]) -> HttpResponse:
    who, remote = request.user.get_username(), audit.remote_of(request)
    taken = change(pk, who, now=timezone.now(), remote=remote, announce=announce)
    alert = Alert.objects.filter(pk=pk).first()
    if alert is None:
        raise Http404("There is no such alert.")
    if not taken and alert.state == Alert.State.RESOLVED:
        messages.info(request, "This alert is already over.")
    elif not taken and alert.state == Alert.State.PENDING:
        messages.info(request, "This alert is not firing yet: there is nothing to acknowledge.")
    if request.headers.get("Accept", "").startswith("application/json"):
        return HttpResponse(status=204)
    return redirect(safe_next(request, request.POST.get("next") or reverse("alerts")))


CHARTS = {
    # what an alert's subject is drawn by: (chart, title, unit)
    "group": ("g", "lag", "Lag", "records"),
    "topic": ("t", "rate", "Messages in", "records/s"),
    "broker": ("b", "leaders", "Partitions led", "partitions"),
    "cluster": ("c", "cycles", "Cycle time", "ms"),
}
BEFORE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Around:
    """The range of an open alert's chart: from a while before it began until now, as the chart's address wants it."""

    since: datetime
    seconds: float
    is_live: bool = True
    label: str = "its samples"

    @property
    def query(self) -> str:
        return urlencode({"from": round(self.since.timestamp() * 1000), "to": "now"})


def _life(alert: Alert, transitions: list[Transition], now: datetime) -> tuple[Around, list[Span]]:
    since = alert.started_at - BEFORE
    around = Around(since, (now - since).total_seconds())
    return around, spans(sorted(transitions, key=lambda one: one.pk), since, now, now)


def _held(firing: list[Alert], now: datetime) -> dict[int, holds.Hold]:
    """What is not told now, and why. An alert that was told before its cause began is not held back by it."""
    if not firing:
        return {}
    found = holds.at(now, sampled_at=now)
    over = {one.pk: found.over(one) for one in firing}
    return {
        one.pk: hold
        for one in firing
        if (hold := over[one.pk]) is not None and (hold.cause is None or one.is_held_back)
    }


def _open(alert: Alert, now: datetime) -> dict[str, Any]:
    transitions = list(alert.transitions.all())
    around, life = _life(alert, transitions, now)
    return {
        "alert": alert,
        "around": around,
        "life": life,
        "chart": CHARTS.get(alert.subject_kind),
        "for_seconds": (now - (alert.fired_at or alert.started_at)).total_seconds(),
        "transitions": transitions[:8],
        "told": [one for one in alert.messages.all() if one.event == "firing"],
    }
