"""GET of the socket's address: tells a page, which cannot read a refused handshake, why its live line does not come."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from dashboard.access import refusals
from dashboard.access.roles import role
from dashboard.live.origin import why_refused
from dashboard.models import Refused, Role

from .shell import json_answer

RECENT = timedelta(minutes=2)
UPGRADE = refusals.Refusal(
    "A websocket handshake came without its Upgrade header.",
    "The proxy has to hand on Upgrade and Connection: in nginx proxy_http_version 1.1, proxy_set_header Upgrade "
    "$http_upgrade and proxy_set_header Connection upgrade for this address.",
)


@role(Role.VIEWER)
@require_GET
def livecheck(request: HttpRequest) -> HttpResponse:
    """`?origin=` is where the page stands; {"refused": "", "advice": ""} when a socket from there is let in."""
    if request.headers.get("Sec-WebSocket-Key"):
        refusals.keep(Refused.Kind.UPGRADE, UPGRADE)
        return HttpResponse(UPGRADE.advice, status=426, content_type="text/plain", headers={"Upgrade": "websocket"})
    origin = request.GET.get("origin", "")
    reason = why_refused(
        origin or None,
        request.get_host(),
        is_secure=request.is_secure(),
        allowed_hosts=settings.ALLOWED_HOSTS,
        trusted=settings.CSRF_TRUSTED_ORIGINS,
    )
    if reason:
        return json_answer({"refused": reason, "advice": refusals.origin_advice(origin)})
    lost = Refused.objects.filter(kind=Refused.Kind.UPGRADE, last_at__gt=timezone.now() - RECENT).exists()
    return json_answer({"refused": UPGRADE.seen if lost else "", "advice": UPGRADE.advice if lost else ""})
