"""Notification channels: list, form, test message, delivery log. Secrets are written and never shown."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from collectors.secrets import SecretUnreadableError
from dashboard.access import audit
from dashboard.access.roles import role
from dashboard.alerts import outbox, telling
from dashboard.alerts.channels import Field, FieldError, Stored
from dashboard.alerts.channels.kinds import KINDS
from dashboard.alerts.channels.webhook import new_secret
from dashboard.models import Channel, Delivery, Role

from .shell import page, shell_of

LOG_ROWS = 50


class ChannelForm(forms.Form):
    """A channel as typed. A secret field that is left empty keeps what is stored; `drop_NAME` drops it."""

    name = forms.CharField(max_length=120, strip=True)
    is_enabled = forms.BooleanField(required=False)

    def __init__(self, kind: str, data: Any = None, *, channel: Channel | None = None) -> None:
        super().__init__(data)
        self.kind = kind
        self.channel = channel
        self.stored = _stored(channel)
        self.checked: Stored | None = None
        for one in KINDS[kind].fields:
            self.fields[one.name] = forms.CharField(max_length=4000, required=False, strip=True)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        same = Channel.objects.filter(name=name)
        if self.channel is not None:
            same = same.exclude(pk=self.channel.pk)
        if same.exists():
            raise forms.ValidationError(f"There is already a channel “{name}”.")
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        kind = KINDS[self.kind]
        typed = {one.name: self._value(one, str(cleaned.get(one.name) or "")) for one in kind.fields}
        for one in kind.fields:
            if one.is_required and not typed[one.name] and one.name not in self.errors:
                like = f", like {one.placeholder}" if one.placeholder else ""
                self.add_error(one.name, f"Type the {one.label[0].lower()}{one.label[1:]}{like}.")
        if self.errors:
            return cleaned
        try:
            self.checked = kind.check(typed, outbox.outside())
        except FieldError as error:
            self.add_error(error.field, str(error))
        return cleaned

    def _value(self, one: Field, typed: str) -> str:
        if typed or not one.is_secret:
            return typed or one.default
        if self.data.get(f"drop_{one.name}"):
            return ""
        return self.stored.get(one.name, "") if self.stored else ""

    def inputs(self) -> list[dict[str, Any]]:
        """What the template draws for each field; of a secret never its value."""
        stored = self.stored or Stored()
        out = []
        for one in KINDS[self.kind].fields:
            kept = "" if one.is_secret else stored.get(one.name, one.default)
            typed = str(self.data.get(one.name, kept)) if self.is_bound else kept
            has = bool(stored.get(one.name))
            out.append(
                {
                    "field": one,
                    "value": "" if one.is_secret else typed,
                    "has_stored": one.is_secret and has,
                    "may_drop": one.is_secret and has and not one.is_required,
                    "errors": self.errors.get(one.name, []),
                    "is_password": one.is_secret,
                }
            )
        return out


@role(Role.ADMIN)
@require_GET
def channels(request: HttpRequest) -> HttpResponse:
    found = Channel.objects.annotate(
        told=Count("deliveries", filter=Q(deliveries__state=Delivery.State.DELIVERED)),
        dead=Count("deliveries", filter=Q(deliveries__state=Delivery.State.DEAD)),
    )
    log = Delivery.objects.select_related("channel", "alert").order_by("-created_at", "-id")[:LOG_ROWS]
    context = {"section": "channels", "channels": list(found), "log": list(log), "now": timezone.now()}
    if request.GET.get("fragment") == "log":
        return page(request, "pages/_deliveries.html", context | {"oob": True}, shell=shell_of(request))
    return page(request, "pages/channels.html", context, shell=shell_of(request))


@role(Role.ADMIN)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """`?kind=` chooses the kind of a new channel; that of a stored one stays."""
    channel = _channel(pk) if pk is not None else None
    wanted = channel.kind if channel else request.POST.get("kind") or request.GET.get("kind", "")
    kind = wanted if wanted in KINDS else Channel.Kind.WEBHOOK.value
    if request.method == "POST":
        form = ChannelForm(kind, request.POST, channel=channel)
        if form.is_valid() and form.checked is not None:
            return _save(request, form, form.checked)
    else:
        form = ChannelForm(kind, channel=channel)
    context = {
        "section": "channels",
        "form": form,
        "inputs": form.inputs(),
        "name": form.data.get("name", "") if form.is_bound else channel.name if channel else "",
        "is_on": bool(form.data.get("is_enabled")) if form.is_bound else channel.is_enabled if channel else True,
        "channel": channel,
        "is_new": channel is None,
        "kind": kind,
        "kind_of": KINDS[kind],
        "kinds": [(word, one.label) for word, one in KINDS.items()],
        "suggested": new_secret() if channel is None and kind == Channel.Kind.WEBHOOK else "",
    }
    status = 422 if form.is_bound else 200
    return page(request, "pages/channel_form.html", context, shell=shell_of(request), status=status)


def _save(request: HttpRequest, form: ChannelForm, checked: Stored) -> HttpResponse:
    channel = form.channel or Channel(kind=form.kind)
    channel.name = form.cleaned_data["name"]
    channel.is_enabled = form.cleaned_data["is_enabled"]
    outbox.store_settings(channel, checked).save()
    action = "channel changed" if form.channel else "channel made"
    audit.record_of(
        request, action, channel.name, kind=channel.kind, address=channel.target, enabled=channel.is_enabled
    )
    messages.success(request, f"Saved {channel.name}. Send a test to see whether it arrives.")
    return redirect("channels")


@role(Role.ADMIN)
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """GET asks, POST deletes, with the channel's delivery log."""
    channel = _channel(pk)
    if request.method == "POST":
        name, target = channel.name, channel.target
        channel.delete()
        audit.record_of(request, "channel deleted", name, address=target)
        messages.success(request, f"Deleted {name}.")
        return redirect("channels")
    context = {"section": "channels", "channel": channel, "count": channel.deliveries.count()}
    context["routes"] = list(channel.routes.filter(is_enabled=True))
    return page(request, "pages/channel_delete.html", context, shell=shell_of(request))


@role(Role.ADMIN)
@require_POST
def test(request: HttpRequest, pk: int) -> HttpResponse:
    channel = _channel(pk)
    if not channel.is_enabled:
        messages.error(request, f"{channel.name} is off: switch it on to send a test.")
        return redirect("channels")
    telling.send_test(channel, now=timezone.now())
    audit.record_of(request, "channel tested", channel.name)
    messages.info(request, f"A test for {channel.name} is on its way; its answer stands in the log below.")
    return redirect(reverse("channels") + "#log")


def _channel(pk: int) -> Channel:
    channel = Channel.objects.filter(pk=pk).first()
    if channel is None:
        raise Http404("There is no such channel.")
    return channel


def _stored(channel: Channel | None) -> Stored | None:
    """What the form keeps when a field is left empty; None when it cannot be read any more."""
    if channel is None:
        return None
    try:
        return outbox.settings_of(channel)
    except SecretUnreadableError:
        return None
