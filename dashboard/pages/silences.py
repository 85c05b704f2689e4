"""Silences: the list, making one, ending one early."""

from __future__ import annotations

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
from dashboard.alerts import silences as alerts
from dashboard.models import Alert, Role, Rule, Silence

from .ranges import RangeError, parse_bound
from .shell import page, shell_of

LONGEST = timedelta(days=90)
PAST_SHOWN = 50
QUICK = (("now+30m", "30 min"), ("now+1h", "1 h"), ("now+4h", "4 h"), ("now+1d", "1 day"), ("now+1w", "1 week"))


class SilenceForm(forms.Form):
    """A silence as typed; `rule` empty means every rule."""

    rule = forms.CharField(max_length=60, required=False)
    cluster = forms.CharField(max_length=200, strip=True)
    subject = forms.CharField(max_length=500, strip=True)
    until = forms.CharField(max_length=60, strip=True)
    reason = forms.CharField(max_length=500, strip=True)

    def clean_rule(self) -> Rule | None:
        typed: str = self.cleaned_data["rule"]
        if not typed:
            return None
        rule = Rule.objects.filter(key=typed).first()
        if rule is None:
            raise forms.ValidationError(f"There is no rule “{typed}”.")
        return rule

    def clean_until(self) -> datetime:
        typed: str = self.cleaned_data["until"]
        now = timezone.now()
        try:
            moment = parse_bound(typed, now=now)
        except RangeError as error:
            raise forms.ValidationError(f"{error}. For two hours from now write now+2h.") from error
        if moment <= now:
            raise forms.ValidationError(f"“{typed}” is not in the future: write like now+2h.")
        if moment > now + LONGEST:
            raise forms.ValidationError(f"“{typed}” is more than 90 days away; switch the rule off instead.")
        return moment


@role(Role.VIEWER)
@require_safe
def silences(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    active = list(Silence.objects.active(now).select_related("rule"))
    raised = list(Alert.objects.raised().select_related("cluster"))
    context = {
        "section": "alerts",
        "tab": "silences",
        "active": [
            {"silence": one, "covers": sum(_covers(one, alert) for alert in raised)}
            for one in sorted(active, key=lambda one: one.ends_at)
        ],
        "past": list(Silence.objects.filter(ends_at__lte=now).select_related("rule")[:PAST_SHOWN]),
    }
    return page(request, "pages/silences.html", context, shell=shell_of(request))


def _covers(silence: Silence, alert: Alert) -> bool:
    return alerts.covers(silence, rule_id=alert.rule_id, slug=alert.cluster.slug, subject=alert.subject)


@role(Role.OPERATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def make(request: HttpRequest) -> HttpResponse:
    """GET takes `?rule=&cluster=&subject=` as a beginning, with the alert's names taken as they are."""
    form = SilenceForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        return _save(request, form.cleaned_data)
    if form.is_bound:
        typed: dict[str, Any] = {name: form.data.get(name, "") for name in form.fields}
    else:
        typed = {
            "rule": request.GET.get("rule", ""),
            "cluster": _literal(request.GET.get("cluster", "")) or "*",
            "subject": _literal(request.GET.get("subject", "")) or "*",
            "until": "now+1h",
            "reason": "",
        }
    context = {
        "section": "alerts",
        "tab": "silences",
        "form": form,
        "typed": typed,
        "rules": list(Rule.objects.order_by("name")),
        "quick": QUICK,
    }
    status = 422 if form.is_bound else 200
    return page(request, "pages/silence_form.html", context, shell=shell_of(request), status=status)


def _literal(name: str) -> str:
    """A name as a glob that matches only it."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _save(request: HttpRequest, typed: dict[str, Any]) -> HttpResponse:
    now = timezone.now()
    silence = Silence(
        rule=typed["rule"],
        cluster=typed["cluster"],
        subject=typed["subject"],
        starts_at=now,
        ends_at=typed["until"],
        reason=typed["reason"],
        created_by=request.user.get_username()[:150],
    )
    with transaction.atomic():
        silence.save()
        audit.record_of(
            request,
            "silence made",
            f"silence {silence.pk}",
            rule=silence.rule.key if silence.rule is not None else "*",
            cluster=silence.cluster,
            subject=silence.subject,
            until=silence.ends_at.isoformat(),
            reason=silence.reason,
        )
    covered = sum(_covers(silence, alert) for alert in Alert.objects.raised().select_related("cluster"))
    fires = "fires" if covered == 1 else "fire"
    length = plain_words.duration((silence.ends_at - now).total_seconds())
    said = f"Silenced for {length}. It covers {plain_words.counted(covered, 'alert')} that {fires} now."
    messages.success(request, said)
    return redirect("silences")


@role(Role.OPERATOR)
@require_POST
def end(request: HttpRequest, pk: int) -> HttpResponse:
    if not Silence.objects.filter(pk=pk).exists():
        raise Http404("There is no such silence.")
    if alerts.end(pk, request.user.get_username()):
        messages.success(request, "The silence is over: what still fires under it is told now.")
    else:
        messages.info(request, "This silence is already over.")
    return redirect("silences")
