"""The zone in which a viewer reads times: the browser's, or UTC when asked for. Stored and told, times are UTC."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

ZONE_COOKIE = "sg_zone"
"""The browser's zone, written by its script ("Europe/Berlin")."""
UTC_COOKIE = "sg_utc"
"""Set to "1" by who wants UTC all the same."""
LONGEST_NAME = 64
_TOLD = re.compile(r"(?:(\d{4})-(\d\d)-(\d\d) )?([01]\d|2[0-3]):([0-5]\d):([0-5]\d) UTC")
"""As `collectors.domain.words.moment` writes it into sentences."""


class ViewerZoneMiddleware:
    """Makes the viewer's zone the current one while a page is made."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with timezone.override(zone_of(request)):
            return self.get_response(request)


def zone_of(request: HttpRequest) -> tzinfo:
    """UTC for who asks for it, and where the cookie names no zone that is known here."""
    if request.COOKIES.get(UTC_COOKIE) == "1":
        return UTC
    return named(request.COOKIES.get(ZONE_COOKIE, ""))


@lru_cache(maxsize=512)
def named(name: str) -> tzinfo:
    """The zone of a name that may come from a stranger; UTC when there is none such."""
    if not name or len(name) > LONGEST_NAME:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder, a path that leads elsewhere
        return UTC


def zoned(text: str, *, now: datetime) -> str:
    """A sentence with its times of day in the viewer's zone: "since 14:02:10 UTC" is "since 15:02:10" in Berlin."""
    if timezone.get_current_timezone_name() == "UTC" or " UTC" not in text:
        return text

    now = now.astimezone(UTC)

    def put(match: re.Match[str]) -> str:
        year, month, day, hour, minute, second = match.groups()
        try:
            at = datetime.fromisoformat(f"{year}-{month}-{day}") if year else now
            at = datetime(at.year, at.month, at.day, int(hour), int(minute), int(second), tzinfo=UTC)
        except ValueError:  # the 31st of February: a stranger's name, not a time of ours
            return match[0]
        if not year and at > now + timedelta(minutes=5):  # said before midnight, read after it
            at -= timedelta(days=1)
        return when(at, now=now)

    return _TOLD.sub(put, text)


def when(at: datetime, *, now: datetime, seconds: bool = True) -> str:
    """A time of day in the viewer's zone, with the date when that is not today there."""
    here = at.astimezone(timezone.get_current_timezone())
    if here.date() == now.astimezone(here.tzinfo).date():
        return f"{here:%H:%M:%S}" if seconds else f"{here:%H:%M}"
    return f"{here:%b %d} {here:%H:%M}"
