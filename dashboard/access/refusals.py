"""What a setting turned away, said with the setting that changes it: to who was refused, and to `manage.py doctor`."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import REASON_BAD_ORIGIN, REASON_CSRF_TOKEN_MISSING, REASON_NO_CSRF_COOKIE
from django.shortcuts import render
from django.utils import timezone

from dashboard.models import Refused

log = logging.getLogger(__name__)

KEEP_EVERY_SECONDS = 1.0
_kept_at: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was seen, and what to do about it."""

    seen: str
    advice: str


def keep(kind: Refused.Kind, refusal: Refusal) -> None:
    """Store the newest refusal of a kind; at most one a second, since any stranger can have himself refused."""
    now = time.monotonic()
    if now - _kept_at.get(kind, float("-inf")) < KEEP_EVERY_SECONDS:
        return
    _kept_at[kind] = now
    newest = {"seen": refusal.seen[:500], "advice": refusal.advice[:500], "last_at": timezone.now()}
    try:
        if not Refused.objects.filter(kind=kind).update(count=F("count") + 1, **newest):
            Refused.objects.get_or_create(kind=kind, defaults={"count": 1, **newest})
    except DatabaseError:
        log.warning("a refusal was not stored kind=%s", kind, exc_info=True)


def origin_advice(origin: str) -> str:
    """The setting that would make this Origin the site's own."""
    shown = origin[:100]
    if settings.PUBLIC_URL:
        return (
            f"STREAMGAUGE_PUBLIC_URL is {settings.PUBLIC_URL}: open the pages there; or, if {shown!r} is right, set it "
            "in STREAMGAUGE_PUBLIC_URL or add it to STREAMGAUGE_TRUSTED_ORIGINS."
        )
    return (
        f"If people open the pages at {shown!r}, set STREAMGAUGE_PUBLIC_URL to it (behind a proxy also "
        "STREAMGAUGE_TRUSTED_PROXIES); for one more address add it to STREAMGAUGE_TRUSTED_ORIGINS."
    )


def why_csrf(request: HttpRequest, reason: str) -> Refusal:
    """Django's reason in words for who operates this."""
    here = f"{request.scheme}://{request.get_host()}"
    origin = request.headers.get("Origin", "")
    if reason.startswith(REASON_BAD_ORIGIN.partition("%s")[0]):
        return Refusal(f"The Origin of the form is {origin[:100]!r}; this site is {here}.", origin_advice(origin))
    if reason in (REASON_NO_CSRF_COOKIE, REASON_CSRF_TOKEN_MISSING):
        if settings.CSRF_COOKIE_SECURE and not request.is_secure():
            return Refusal(
                f"The cookie of this site did not come back; the page was opened at {here}, without TLS.",
                f"STREAMGAUGE_PUBLIC_URL is {settings.PUBLIC_URL}, so cookies are sent over https only: open the pages "
                "there. Behind a proxy that ends TLS, name it in STREAMGAUGE_TRUSTED_PROXIES and let it send "
                "X-Forwarded-Proto.",
            )
        return Refusal(
            f"The cookie or the token of this site did not come back to {here}.",
            "Allow cookies for this site, load the page again and repeat what you did. Behind a proxy: it must hand on "
            "the Cookie and Set-Cookie headers unchanged.",
        )
    return Refusal(
        f"{reason} Seen: {here}, Origin {origin[:100]!r}, Referer {request.headers.get('Referer', '')[:100]!r}.",
        "Load the page again and repeat what you did; it may have stood open over a sign-out.",
    )


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django calls this instead of its own page."""
    refusal = why_csrf(request, reason)
    if request.headers.get("Origin") and reason.startswith(REASON_BAD_ORIGIN.partition("%s")[0]):
        keep(Refused.Kind.FORM, refusal)
    log.warning("form refused path=%r seen=%r", request.path[:200], refusal.seen)
    return render(request, "access/csrf.html", {"refusal": refusal}, status=403)
