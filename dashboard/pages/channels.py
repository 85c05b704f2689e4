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
from dashboard.alerts import outbox
from dashboard.alerts.channels.webhook import WebhookSettings, new_secret
from dashboard.models import Channel, Delivery, Role

from .shell import page, shell_of

LOG_ROWS = 50


class WebhookForm(forms.Form):
    """A webhook as typed. An empty secret keeps the stored one; "no signature" drops it."""

    name = forms.CharField(max_length=120, strip=True)
    url = forms.CharField(max_length=2000, strip=True, required=False)
    secret = forms.CharField(max_length=500, strip=True, required=False)
    is_unsigned = forms.BooleanField(required=False)
    is_enabled = forms.BooleanField(required=False)

    def __init__(self, data: Any = None, *, channel: Channel | None = None) -> None:
        super().__init__(data)
        self.channel = channel
        self.stored = _stored(channel)
        self.webhook: WebhookSettings | None = None

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
        url = cleaned.get("url") or (self.stored.url if self.stored else "")
        if not url:
            self.add_error("url", "Type the address that receives the messages, like https://example.org/hooks/kafka.")
            return cleaned
        secret = cleaned.get("secret") or (self.stored.secret if self.stored else "")
        if cleaned.get("is_unsigned"):
            secret = ""
        try:
            self.webhook = outbox.validate_webhook(url, secret)
        except ValueError as error:
            self.add_error("secret" if "secret" in str(error).lower() or "whsec" in str(error) else "url", str(error))
        return cleaned


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
    channel = _channel(pk) if pk is not None else None
    if request.method == "POST":
        form = WebhookForm(request.POST, channel=channel)
        if form.is_valid() and form.webhook is not None:
            return _save(request, form, form.webhook)
    else:
        form = WebhookForm(channel=channel)
        form.initial = {"name": channel.name if channel else "", "is_enabled": channel.is_enabled if channel else True}
    context = {
        "section": "channels",
        "form": form,
        "channel": channel,
        "is_new": channel is None,
        "suggested": new_secret() if channel is None else "",
    }
    status = 422 if form.is_bound else 200
    return page(request, "pages/channel_form.html", context, shell=shell_of(request), status=status)


def _save(request: HttpRequest, form: WebhookForm, webhook: WebhookSettings) -> HttpResponse:
    channel = form.channel or Channel()
    channel.name = form.cleaned_data["name"]
    channel.is_enabled = form.cleaned_data["is_enabled"]
    outbox.store_webhook(channel, webhook).save()
    action = "channel changed" if form.channel else "channel made"
    audit.record_of(request, action, channel.name, address=channel.target, enabled=channel.is_enabled)
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
    return page(request, "pages/channel_delete.html", context, shell=shell_of(request))


@role(Role.ADMIN)
@require_POST
def test(request: HttpRequest, pk: int) -> HttpResponse:
    channel = _channel(pk)
    if not channel.is_enabled:
        messages.error(request, f"{channel.name} is off: switch it on to send a test.")
        return redirect("channels")
    outbox.send_test(channel, now=timezone.now())
    audit.record_of(request, "channel tested", channel.name)
    messages.info(request, f"A test for {channel.name} is on its way; its answer stands in the log below.")
    return redirect(reverse("channels") + "#log")


def _channel(pk: int) -> Channel:
    channel = Channel.objects.filter(pk=pk).first()
    if channel is None:
        raise Http404("There is no such channel.")
    return channel


def _stored(channel: Channel | None) -> WebhookSettings | None:
    """What the form keeps when a field is left empty; None when it cannot be read any more."""
    if channel is None:
        return None
    try:
        return outbox.webhook_settings(channel)
    except SecretUnreadableError:
        return None
