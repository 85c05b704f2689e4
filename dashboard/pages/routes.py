"""Routes: which alerts are told to which channels, and in which hours."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.access import audit
from dashboard.access.roles import role
from dashboard.alerts import hours
from dashboard.alerts.routes import LABELS, opens_at
from dashboard.models import Channel, Role, Route, Rule

from . import words
from .fields import DAY_CHOICES, ClockField, DaysField, ZoneField
from .shell import page, shell_of

_LABEL_SAID = {"rule": "rule", "group": "group", "topic": "topic", "broker": "broker"}


class RouteForm(forms.Form):
    """A route as typed. Nothing chosen or typed restricts nothing; no channel means that nobody is told."""

    name = forms.CharField(max_length=120, strip=True)
    is_enabled = forms.BooleanField(required=False)
    severities = forms.MultipleChoiceField(choices=[(one, one) for one in words.SEVERITIES], required=False)
    cluster = forms.CharField(max_length=200, strip=True, required=False)
    rule = forms.CharField(max_length=200, strip=True, required=False)
    group = forms.CharField(max_length=500, strip=True, required=False)
    topic = forms.CharField(max_length=500, strip=True, required=False)
    broker = forms.CharField(max_length=100, strip=True, required=False)
    weekdays = DaysField()
    begins = ClockField(required=False)
    ends = ClockField(required=False)
    zone = ZoneField()
    channels = forms.ModelMultipleChoiceField(queryset=Channel.objects.all(), required=False)

    def __init__(self, data: Any = None, *, route: Route | None = None) -> None:
        super().__init__(data)
        self.route = route

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        same = Route.objects.filter(name=name)
        if self.route is not None:
            same = same.exclude(pk=self.route.pk)
        if same.exists():
            raise forms.ValidationError(f"There is already a route “{name}”.")
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        subjects = [name for name in ("group", "topic", "broker") if cleaned.get(name)]
        if len(subjects) > 1:
            self.add_error(subjects[1], f"An alert is about one thing: it cannot have a {' and a '.join(subjects)}.")
        begins, ends = cleaned.get("begins"), cleaned.get("ends")
        if not self.errors.get("begins") and not self.errors.get("ends") and (begins is None) != (ends is None):
            self.add_error("begins" if begins is None else "ends", "Hours need both a beginning and an end.")
        if cleaned.get("weekdays") and begins is None and ends is None and not self.errors:
            self.add_error("begins", "Days need hours: for whole days write 00:00 to 00:00.")
        return cleaned


@role(Role.VIEWER)
@require_safe
def routes(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    found = list(Route.objects.prefetch_related("channels"))
    lines = [
        {
            "route": one,
            "said": sentence(one),
            "hours": hours_sentence(one),
            "opens_at": opens_at(one, now),
            "channels": list(one.channels.all()),
        }
        for one in found
    ]
    context = {
        "section": "alerts",
        "tab": "routes",
        "lines": lines,
        "on": sum(one.is_enabled for one in found),
        "channels": list(Channel.objects.filter(is_enabled=True)),
    }
    return page(request, "pages/routes.html", context, shell=shell_of(request))


def sentence(route: Route) -> str:
    """What it takes, as a person would say it: "critical alerts of cluster prod-*, group payments-*"."""
    severity = " and ".join(route.severities) + " alerts" if route.severities else "every alert"
    labels = [f"{_LABEL_SAID[name]} {route.labels[name]}" for name in LABELS if route.labels.get(name)]
    of = ([f"cluster {route.cluster}"] if route.cluster not in ("", "*") else []) + labels
    return severity + (f" of {', '.join(of)}" if of else "")


def hours_sentence(route: Route) -> str:
    if route.begins is None or route.ends is None:
        return "at any time"
    return f"{hours.said_days(route.weekdays)}, {route.begins:%H:%M} to {route.ends:%H:%M} ({route.zone})"


@role(Role.ADMIN)
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    route = _route(pk) if pk is not None else None
    form = RouteForm(request.POST if request.method == "POST" else None, route=route)
    if form.is_bound and form.is_valid():
        return _save(request, form)
    typed, severities, weekdays, channels = _typed(request, form, route)
    context = {
        "section": "alerts",
        "tab": "routes",
        "route": route,
        "form": form,
        "typed": typed,
        "is_on": bool(form.data.get("is_enabled")) if form.is_bound else route.is_enabled if route else True,
        "severities": [(one, one in severities) for one in words.SEVERITIES],
        "days": [(value, day, value in weekdays) for value, day in DAY_CHOICES],
        "channels": [(one, str(one.pk) in channels) for one in Channel.objects.all()],
        "rules": list(Rule.objects.order_by("key").values_list("key", flat=True)),
    }
    status = 422 if form.is_bound else 200
    return page(request, "pages/route_form.html", context, shell=shell_of(request), status=status)


def _typed(
    request: HttpRequest, form: RouteForm, route: Route | None
) -> tuple[dict[str, str], list[str], list[str], list[str]]:
    """What the form shows: (text fields, severities, days, channels), as typed or as stored."""
    if form.is_bound:
        texts = {name: form.data.get(name, "") for name in form.fields}
        severities, weekdays, channels = (request.POST.getlist(name) for name in ("severities", "weekdays", "channels"))
        return texts, severities, weekdays, channels
    if route is None:
        return {"cluster": "*", "zone": "UTC"}, [], [], []
    texts = {
        "name": route.name, "cluster": route.cluster, "zone": route.zone,
        "begins": f"{route.begins:%H:%M}" if route.begins else "", "ends": f"{route.ends:%H:%M}" if route.ends else "",
        **{name: str(route.labels.get(name, "")) for name in LABELS},
    }  # fmt: skip
    chosen = [str(pk) for pk in route.channels.values_list("pk", flat=True)]
    return texts, list(route.severities), [str(day) for day in route.weekdays], chosen


def _save(request: HttpRequest, form: RouteForm) -> HttpResponse:
    typed = form.cleaned_data
    route = form.route or Route()
    for name in ("name", "is_enabled", "severities", "weekdays", "begins", "ends", "zone"):
        setattr(route, name, typed[name])
    route.cluster = typed["cluster"] or "*"
    route.labels = {name: typed[name] for name in LABELS if typed[name] not in ("", "*")}
    with transaction.atomic():
        route.save()
        route.channels.set(typed["channels"])
        audit.record_of(
            request, "route changed" if form.route else "route made", route.name, takes=sentence(route),
            hours=hours_sentence(route), channels=[one.name for one in typed["channels"]], enabled=route.is_enabled,
        )  # fmt: skip
    messages.success(request, f"Saved {route.name}. It counts from the next alert on.")
    return redirect("routes")


@role(Role.ADMIN)
@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    route = _route(pk)
    with transaction.atomic():
        name = route.name
        route.delete()
        audit.record_of(request, "route deleted", name)
    messages.success(request, f"Deleted {name}. What only it took goes to every channel now.")
    return redirect("routes")


def _route(pk: int) -> Route:
    route = Route.objects.filter(pk=pk).first()
    if route is None:
        raise Http404("There is no such route.")
    return route
