"""The rules: what they say, how often they fired, and the little of them that people change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from collectors.domain import words as plain_words
from collectors.domain.topology import Reach
from collectors.domain.verdicts import SEVERITY, Verdict
from dashboard.access import audit
from dashboard.access.roles import role
from dashboard.alerts.defaults import DEFAULT_RULES
from dashboard.alerts.readings import Quantity
from dashboard.models import Alert, Role, Rule, Transition

from . import words
from .shell import page, shell_of

LONGEST_HOLD_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Unit:
    """What a threshold is typed in."""

    name: str
    example: str
    most: int
    most_said: str = ""
    is_whole: bool = False

    def read(self, typed: str) -> float:
        """What somebody typed; of whole numbers also as pages show them, with spaces between the thousands."""
        written = "".join(typed.split()) if self.is_whole else typed.replace(",", ".")
        try:
            value = float(int(written)) if self.is_whole else float(written)
        except ValueError:
            raise forms.ValidationError(
                f"“{typed}” is not a number of {self.name}: write like {self.example}."
            ) from None
        if not 1 <= value <= self.most:  # not-a-number fails this too
            raise forms.ValidationError(f"“{typed}” is out of range: 1 to {self.most} {self.name}{self.most_said}.")
        return value


SECONDS = Unit("seconds", "600", 31_622_400, " (a year)")
RECORDS = Unit("records", "100000", 10**12, is_whole=True)
UNITS: Mapping[str, Unit] = {
    Quantity.GROUP_LAG: RECORDS,
    Quantity.GROUP_LOG_END_AGE: SECONDS,
    Quantity.GROUP_HEAD_AGE: SECONDS,
    Quantity.GROUP_DRAIN: SECONDS,
    Quantity.GROUP_COUNTDOWN: SECONDS,
}
"""Of these how much is too much is for people to say, and the rule's sentence says what they chose."""
_WORDS = {">": "above", ">=": "at least", "<": "below", "<=": "at most"}
EDITED = ("is_enabled", "hold_seconds", "severity")


class RuleForm(forms.Form):
    """What people change of a rule. What it looks at stays: its sentence would no longer be true."""

    is_enabled = forms.BooleanField(required=False)
    hold_seconds = forms.CharField(max_length=20, strip=True)
    severity = forms.CharField(max_length=20)
    threshold = forms.CharField(max_length=20, strip=True, required=False)

    def __init__(self, typed: QueryDict | None, *, unit: Unit | None) -> None:
        """`unit`: that of the threshold; None where it is not for people to change."""
        super().__init__(typed)
        self.unit = unit

    def clean_threshold(self) -> float | None:
        typed: str = self.cleaned_data["threshold"]
        return self.unit.read(typed) if typed and self.unit is not None else None

    def clean_hold_seconds(self) -> float:
        typed: str = self.cleaned_data["hold_seconds"]
        try:
            seconds = float(typed.replace(",", "."))
        except ValueError:
            raise forms.ValidationError(f"“{typed}” is not a number of seconds: write like 60.") from None
        if not 0 <= seconds <= LONGEST_HOLD_SECONDS:  # not-a-number fails this too
            raise forms.ValidationError(f"“{typed}” is out of range: 0 (at once) to 86400 (a day) seconds.")
        return seconds

    def clean_severity(self) -> str:
        typed: str = self.cleaned_data["severity"]
        if typed not in words.SEVERITIES:
            raise forms.ValidationError(f"“{typed}” is no severity: choose {', '.join(words.SEVERITIES)}.")
        return typed


@role(Role.VIEWER)
@require_safe
def rules(request: HttpRequest) -> HttpResponse:
    week = timezone.now() - timedelta(days=7)
    fired = dict(
        Transition.objects.filter(new_state=Alert.State.FIRING, at__gte=week)
        .order_by()
        .values_list("alert__rule")
        .annotate(Count("id"))
    )
    found = Rule.objects.annotate(
        open=Count("alerts", filter=Q(alerts__state__in=[Alert.State.FIRING, Alert.State.RECOVERING]))
    )
    listed = [
        {"rule": rule, "said": rule_sentence(rule), "fired": fired.get(rule.pk, 0), "is_changed": is_changed(rule)}
        for rule in found
    ]
    context = {
        "section": "alerts",
        "tab": "rules",
        "rules": listed,
        "off": sum(not r.is_enabled for r in found),
        "silenced": sum(_was_switched_off(r) for r in found),
    }
    return page(request, "pages/alert_rules.html", context, shell=shell_of(request))


@role(Role.ADMIN)
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, key: str) -> HttpResponse:
    rule = _rule(key)
    unit = UNITS.get(rule.quantity)
    form = RuleForm(request.POST if request.method == "POST" else None, unit=unit)
    if form.is_bound and form.is_valid():
        fields = {name: form.cleaned_data[name] for name in EDITED} | _threshold(rule, form.cleaned_data["threshold"])
        _change(request, rule, fields, "rule changed")
        return redirect("alert-rules")
    stored = {"hold_seconds": _plain(rule.hold_seconds), "severity": rule.severity, "threshold": _plain(rule.threshold)}
    typed = form.data if form.is_bound else stored
    context = {
        "section": "alerts",
        "tab": "rules",
        "rule": rule,
        "unit": unit,
        "said": rule_sentence(rule),
        "form": form,
        "typed": typed,
        "is_on": bool(form.data.get("is_enabled")) if form.is_bound else rule.is_enabled,
        "severities": list(words.SEVERITIES),
        "default": DEFAULT_RULES.get(rule.key),
        "is_changed": is_changed(rule),
        "open_alerts": rule.alerts.raised().count(),
    }
    status = 422 if form.is_bound else 200
    return page(request, "pages/alert_rule.html", context, shell=shell_of(request), status=status)


@role(Role.ADMIN)
@require_POST
def reset(request: HttpRequest, key: str) -> HttpResponse:
    """Everything of a default rule as it came with the instance."""
    rule = _rule(key)
    default = as_delivered(rule)
    if default is None:
        messages.error(request, f"“{rule.name}” did not come with the instance, so there is nothing to go back to.")
    else:
        _change(request, rule, default, "rule reset")
    return redirect("alert-rules")


def _plain(value: float) -> str:
    """A stored number as it can be typed: saved as it is shown, it stays the same."""
    return f"{value:.15g}"


def _threshold(rule: Rule, typed: float | None) -> dict[str, float]:
    """The threshold that was typed; the level at which it is over stays in proportion."""
    if typed is None:
        return {}
    if rule.recover_level is None or rule.threshold <= 0:
        return {"threshold": typed}
    return {"threshold": typed, "recover_level": typed * rule.recover_level / rule.threshold}


def as_delivered(rule: Rule) -> dict[str, Any] | None:
    """Every field of a default rule as it came with the instance; None for other rules."""
    own = DEFAULT_RULES.get(rule.key)
    if own is None:
        return None
    fresh = Rule(key=rule.key, **own)
    kept = {"id", "key", "is_default"}
    return {field.attname: getattr(fresh, field.attname) for field in Rule._meta.fields if field.name not in kept}


def _was_switched_off(rule: Rule) -> bool:
    """Off, though it came switched on: nobody is told of what it watched."""
    default = as_delivered(rule)
    return not rule.is_enabled and (default is None or bool(default["is_enabled"]))


def is_changed(rule: Rule) -> bool:
    default = as_delivered(rule)
    return default is not None and any(getattr(rule, name) != value for name, value in default.items())


def _change(request: HttpRequest, rule: Rule, fields: dict[str, Any], action: str) -> None:
    """Write what differs, with who, what it was and what it is."""
    changed = {name: value for name, value in fields.items() if getattr(rule, name) != value}
    if not changed:
        messages.info(request, f"“{rule.name}” is as it was: nothing differed.")
        return
    was = {name: getattr(rule, name) for name in changed}
    with transaction.atomic():
        Rule.objects.filter(pk=rule.pk).update(**changed)
        audit.record_of(request, action, rule.key, was=was, now=changed)
    messages.success(request, f"Saved “{rule.name}”. The judge uses it within a second.")


def _rule(key: str) -> Rule:
    rule = Rule.objects.filter(key=key).first()
    if rule is None:
        raise Http404(f"There is no rule “{key}”.")
    return rule


def _condition(rule: Rule) -> str:
    level = f"{_WORDS.get(rule.comparison, rule.comparison)} {rule.threshold:g}"
    match rule.quantity:
        case Quantity.BROKER_REACH if rule.threshold in list(Reach):
            return f"a broker is {Reach(int(rule.threshold)).name.lower()}"
        case Quantity.GROUP_VERDICT if named := [v for v in Verdict if v.severity == rule.threshold]:
            worse = " or worse" if rule.comparison == ">=" and rule.threshold < SEVERITY.max() else ""
            return f"a group is judged “{words.look(named[0].word).word}”{worse}"
        case Quantity.GROUP_FALLS_BEHIND:
            return "a group is judged “falling behind”"
        case Quantity.GROUP_UNREAD_RATE:
            return "records arrive for a group without members" if rule.threshold == 0 else f"unread a second {level}"
        case Quantity.GROUP_RECORDS_LOST:
            return "retention deletes records that a group has not read" if rule.threshold == 0 else f"lost {level}"
        case Quantity.GROUP_LAG:
            return f"a group is {plain_words.counted(rule.threshold, 'record')} behind or more"
        case Quantity.GROUP_LOG_END_AGE:
            return f"a group's log-end age is {plain_words.duration(rule.threshold)} or more"
        case Quantity.GROUP_HEAD_AGE:
            old = plain_words.duration(rule.threshold)
            return f"a group's oldest unread record is {old} old or more, where this login may read the topic"
        case Quantity.GROUP_DRAIN:
            takes = plain_words.duration(rule.threshold)
            return f"a group needs {takes} or more to read what waits, or does not drain"
        case Quantity.GROUP_COUNTDOWN:
            return f"retention overtakes a group within {plain_words.duration(rule.threshold)}"
        case Quantity.TOPIC_SKEW:
            return f"a partition gets {rule.threshold:g} times its even share or more"
        case Quantity.REPLICAS_BEHIND if rule.threshold == 0:
            return "a broker's replicas are not in sync"
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
