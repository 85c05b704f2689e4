"""Acknowledging by the link of a message: whoever has the message may, without signing in."""

from __future__ import annotations

from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from dashboard.access import audit
from dashboard.access.roles import public, role_of
from dashboard.alerts import ledger, messages
from dashboard.live.announce import announce
from dashboard.models import Alert

from .shell import theme_of


@public
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def by_link(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows a button (mail scanners and previews only GET); POST acknowledges. The link is for one alert alone."""
    try:
        alert_id, began, channel = messages.read_acknowledge_token(token)
    except signing.SignatureExpired:
        return _page(request, {"refusal": "expired"}, status=410)
    except signing.BadSignature:
        return _page(request, {"refusal": "unknown"}, status=404)
    alert = Alert.objects.select_related("rule", "cluster").filter(pk=alert_id).first()
    if alert is None or int(alert.started_at.timestamp()) != began:
        return _page(request, {"refusal": "gone"}, status=410)
    if request.method == "POST":
        who = f"the link sent to {channel}"
        if role_of(request) is not None:
            who = f"{request.user.get_username()}, by {who}"
        ledger.acknowledge(alert.pk, who, now=timezone.now(), remote=audit.remote_of(request), announce=announce)
        alert.refresh_from_db()
    context = {
        "alert": alert,
        "is_over": alert.state == Alert.State.RESOLVED,
        "is_done": alert.acknowledged_at is not None,
        "link": messages.link_to(alert),
    }
    return _page(request, context)


def _page(request: HttpRequest, context: dict[str, object], *, status: int = 200) -> HttpResponse:
    return render(request, "pages/acknowledge.html", {"theme": theme_of(request), **context}, status=status)
