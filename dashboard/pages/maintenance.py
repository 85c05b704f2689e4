"""Maintenance: spans, once or every week, in which what fires on some clusters is not told."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from collectors.domain import words as plain_words
from dashboard.access import audit
from dashboard.access.roles import role
from dashboard.alerts import holds, hours
from dashboard.models import Maintenance, Role

from .fields import DAY_CHOICES, ClockField, DaysField, ZoneField
from .ranges import RangeError, parse_bound
from .shell import page, shell_of

LONGEST = timedelta(days=7)
FURTHEST = timedelta(days=366)
_UNITS = {"m": 1, "min": 1, "h": 60, "d": 1440}


class MaintenanceForm(forms.Form):
    """A window as typed: from a moment on, or every week from a time of the day on, for a length."""

    reason = forms.CharField(max_length=200, strip=True)
    cluster = forms.CharField(max_length=200, strip=True)
    repeat = forms.ChoiceField(choices=Maintenance.Repeat.choices)
    starts = forms.CharField(max_length=60, strip=True, required=False)
    length = forms.CharField(max_length=20, strip=True)
    weekdays = DaysField()
    begins = ClockField(required=False)
    zone = ZoneField()

    def clean_length(self) -> timedelta:
        typed: str = self.cleaned_data["length"]
        match = re.fullmatch(r"(\d{1,5})\s*(m|min|h|d)", typed)
        if match is None:
            raise forms.ValidationError(f"“{typed}” is no length: write like 90m, 3h or 1d.")
        length = timedelta(minutes=int(match[1]) * _UNITS[match[2]])
        if not timedelta(minutes=1) <= length <= LONGEST:
            raise forms.ValidationError(f"“{typed}” is out of range: 1 minute to 7 days.")
        return length

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("repeat") == Maintenance.Repeat.WEEKLY:
            if cleaned.get("begins") is None and "begins" not in self.errors:
                self.add_error("begins", "Type the time of the day at which it begins, like 02:00.")
        elif "starts" not in self.errors:
            self._clean_start(cleaned)
        return cleaned

    def _clean_start(self, cleaned: dict[str, Any]) -> None:
        typed, now = cleaned.get("starts") or "now", timezone.now()
        try:
            start = parse_bound(typed, now=now)
        except RangeError as error:
            self.add_error("starts", f"{error}. For two hours from now write now+2h.")
            return
        length = cleaned.get("length") or timedelta(0)
        if start + length <= now and length:
            self.add_error("starts", f"“{typed}” is so long ago that it would be over.")
        elif start > now + FURTHEST:
            self.add_error("starts", f"“{typed}” is more than a year away.")
        cleaned["starts"] = start


@role(Role.VIEWER)
@require_safe
def maintenance(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    lines = [_line(one, now) for one in Maintenance.objects.all()]
    lines.sort(key=lambda line: (line["rank"], line["next"][0] if line["next"] else now))
    context = {
        "section": "alerts",
        "tab": "maintenance",
        "lines": lines,
        "open": sum(line["span"] is not None for line in lines),
        "coming": next((line for line in lines if line["next"] and line["span"] is None), None),
    }
    return page(request, "pages/maintenance.html", context, shell=shell_of(request))


def _line(one: Maintenance, now: datetime) -> dict[str, Any]:
    span = holds.span_of(one, now) if one.is_enabled else None
    coming = holds.next_span(one, now) if one.is_enabled else None
    rank = 0 if span else 1 if coming else 2
    return {"window": one, "said": sentence(one), "span": span, "next": coming, "rank": rank}


def sentence(one: Maintenance) -> str:
    """A window as a person would say it: "Sat, Sun from 02:00 for 3 h (Europe/Berlin)"."""
    if one.repeat == Maintenance.Repeat.ONCE:
        if one.starts_at is None or one.ends_at is None:
            return "never"
        return f"once, for {plain_words.duration((one.ends_at - one.starts_at).total_seconds())}"
    length = plain_words.duration((one.minutes or 0) * 60)
    return f"{hours.said_days(one.weekdays)} from {one.begins:%H:%M} for {length} ({one.zone})"


@role(Role.OPERATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def make(request: HttpRequest) -> HttpResponse:
    form = MaintenanceForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        return _save(request, form.cleaned_data)
    if form.is_bound:
        typed: dict[str, Any] = {name: form.data.get(name, "") for name in form.fields}
        chosen = request.POST.getlist("weekdays")
    else:
        repeat = request.GET.get("repeat", "once")
        typed = {
            "cluster": request.GET.get("cluster", "*"), "repeat": repeat, "starts": "now", "length": "2h",
            "begins": "02:00", "zone": "UTC",
        }  # fmt: skip
        chosen = []
    context = {
        "section": "alerts",
        "tab": "maintenance",
        "form": form,
        "typed": typed,
        "days": [(value, day, value in chosen) for value, day in DAY_CHOICES],
    }
    status = 422 if form.is_bound else 200
    return page(request, "pages/maintenance_form.html", context, shell=shell_of(request), status=status)


def _save(request: HttpRequest, typed: dict[str, Any]) -> HttpResponse:
    made = Maintenance(
        reason=typed["reason"],
        cluster=typed["cluster"],
        repeat=typed["repeat"],
        zone=typed["zone"],
        created_by=request.user.get_username()[:150],
    )
    if made.repeat == Maintenance.Repeat.ONCE:
        made.starts_at, made.ends_at = typed["starts"], typed["starts"] + typed["length"]
    else:
        made.weekdays, made.begins = typed["weekdays"], typed["begins"]
        made.minutes = int(typed["length"].total_seconds() // 60)
    with transaction.atomic():
        made.save()
        audit.record_of(
            request, "maintenance made", f"maintenance {made.pk}", cluster=made.cluster, reason=made.reason,
            when=sentence(made),
        )  # fmt: skip
    messages.success(request, f"Set: {sentence(made)}. What fires then is recorded and not told.")
    return redirect("maintenance")


@role(Role.OPERATOR)
@require_POST
def end(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a window away: one that is open ends, one that repeats comes no more."""
    found = Maintenance.objects.filter(pk=pk).first()
    if found is None:
        raise Http404("There is no such maintenance.")
    with transaction.atomic():
        found.delete()
        audit.record_of(request, "maintenance ended", f"maintenance {pk}", cluster=found.cluster, reason=found.reason)
    messages.success(request, "The maintenance is over: what still fires and was held back by it is told now.")
    return redirect("maintenance")
