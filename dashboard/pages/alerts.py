"""Alerts: firing, history, the rules; and acknowledging one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.db.models import Count, Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from collectors.domain import words as plain_words
from collectors.domain.topology import Reach
from collectors.domain.verdicts import Verdict
from dashboard.access import audit
from dashboard.access.roles import role, safe_next
from dashboard.alerts.readings import Quantity
from dashboard.models import Alert, Channel, Delivery, Role, Rule, Transition

from . import words
from .shell import page, shell_of

HISTORY_HOURS = 24
HISTORY_ROWS = 50
OPEN_SHOWN = 200
_SEVERITY = {"critical": 0, "warning": 1, "info": 2}
_WORDS = {">": "above", ">=": "at least", "<": "below", "<=": "at most"}


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
            Prefetch("deliveries", Delivery.objects.select_related("channel").order_by("id")),
        )[:OPEN_SHOWN]
    )
    firing = [one for one in still_open if one.state in (Alert.State.FIRING, Alert.State.RECOVERING)]
    firing.sort(key=lambda one: (one.acknowledged_at is not None, _SEVERITY.get(one.severity, 3), one.started_at))
    context = {
        "section": "alerts",
        "firing": [_open(one, now) for one in firing],
        "unacknowledged": sum(one.acknowledged_at is None for one in firing),
        "pending": [one for one in still_open if one.state == Alert.State.PENDING],
        "no_data": [one for one in still_open if one.state == Alert.State.NO_DATA],
        "history_hours": HISTORY_HOURS,
        "fragment": request.GET.get("fragment", ""),
    }
    fired = dict(
        Transition.objects.filter(new_state=Alert.State.FIRING, at__gte=now - timedelta(days=7))
        .order_by()
        .values_list("alert__rule")
        .annotate(Count("id"))
    )
    context |= {
        "history": _history(now),
        "rules": [
            {"rule": rule, "said": rule_sentence(rule), "fired": fired.get(rule.pk, 0)} for rule in Rule.objects.all()
        ],
        "channels": list(Channel.objects.all()),
    }
    template = "pages/_alerts_body.html" if context["fragment"] == "rows" else "pages/alerts.html"
    return page(request, template, context, shell=shell)


@role(Role.OPERATOR)
@require_POST
def acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    """Of two people at once the first is written down; the alert stays as it is."""
    who = request.user.get_username()
    taken = (
        Alert.objects.filter(pk=pk, acknowledged_at=None)
        .exclude(state=Alert.State.RESOLVED)
        .update(acknowledged_at=timezone.now(), acknowledged_by=who[:150])
    )
    alert = Alert.objects.filter(pk=pk).first()
    if alert is None:
        raise Http404("There is no such alert.")
    if taken:
        audit.record(who, "acknowledge", f"alert {pk}", sentence=alert.sentence[:500])
    elif alert.state == Alert.State.RESOLVED:
        messages.info(request, "This alert is already over.")
    if request.headers.get("Accept", "").startswith("application/json"):
        return HttpResponse(status=204)
    return redirect(safe_next(request, request.POST.get("next") or reverse("alerts")))


def _open(alert: Alert, now: datetime) -> dict[str, Any]:
    transitions = list(alert.transitions.all())
    return {
        "alert": alert,
        "for_seconds": (now - (alert.fired_at or alert.started_at)).total_seconds(),
        "transitions": transitions[:8],
        "told": [one for one in alert.deliveries.all() if one.event == "firing"],
    }


def _history(now: datetime) -> list[dict[str, Any]]:
    """Alerts that fired within the last hours, with their life as spans of a 1000 units wide strip."""
    since = now - timedelta(hours=HISTORY_HOURS)
    found = (
        Alert.objects.filter(fired_at__isnull=False, changed_at__gte=since)
        .select_related("rule", "cluster")
        .prefetch_related(Prefetch("transitions", Transition.objects.order_by("id")))
        .order_by("-changed_at")[:HISTORY_ROWS]
    )
    out = []
    for alert in found:
        end = alert.resolved_at or now
        fired = alert.fired_at or alert.started_at
        out.append(
            {
                "alert": alert,
                "lasted": (end - fired).total_seconds(),
                "spans": _spans(list(alert.transitions.all()), since, end),
            }
        )
    return out


def _spans(transitions: list[Transition], since: datetime, end: datetime) -> list[dict[str, Any]]:
    width = timedelta(hours=HISTORY_HOURS).total_seconds()
    letters = {"pending": "p", "firing": "f", "recovering": "r", "no_data": "u"}
    out = []
    for one, following in zip(transitions, [*transitions[1:], None], strict=True):
        letter = letters.get(one.new_state)
        if letter is None:
            continue
        start = max(0.0, (one.at - since).total_seconds() / width * 1000)
        stop = ((following.at if following else end) - since).total_seconds() / width * 1000
        if stop > 0:
            # two units are about one pixel: a short alert is still seen, also at the very end
            start = min(start, 996.0)
            out.append({"x": f"{start:.2f}", "width": f"{max(4.0, stop - start):.2f}", "class": letter})
    return out


def _condition(rule: Rule) -> str:
    level = f"{_WORDS.get(rule.comparison, rule.comparison)} {rule.threshold:g}"
    match rule.quantity:
        case Quantity.BROKER_REACH if rule.threshold in list(Reach):
            return f"a broker is {Reach(int(rule.threshold)).name.lower()}"
        case Quantity.GROUP_VERDICT if rule.threshold in list(Verdict):
            worse = " or worse" if rule.comparison == ">=" and rule.threshold < max(Verdict) else ""
            return f"a group is judged “{words.look(Verdict(int(rule.threshold)).word).word}”{worse}"
        case Quantity.DEAD_LETTERS_ARRIVED:
            return "records arrive in a dead-letter topic" if rule.threshold == 0 else f"dead letters arrived {level}"
        case Quantity.COLLECTOR_SILENCE:
            return f"no cycle has reached the cluster for {rule.threshold:g} intervals, 15 s or more"
    return f"{rule.quantity.replace('_', ' ')} {level}"


def rule_sentence(rule: Rule) -> str:
    """A rule as a person would say it: "a group is judged “no progress”, held for 1 min"."""
    kinds = {kind: glob for kind, glob in rule.selector.items() if glob not in ("", "*")}
    whom = ", ".join(f"{kind} {glob}" for kind, glob in sorted(kinds.items()))
    held = f"held for {plain_words.duration(rule.hold_seconds)}" if rule.hold_seconds else "at once"
    said = f"{_condition(rule)}, {held}"
    if rule.recover_seconds:
        said += f"; over after {plain_words.duration(rule.recover_seconds)} of quiet"
    return said + (f"; only {whom}" if whom else "")
