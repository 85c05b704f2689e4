"""Times are in the viewer's zone, which the browser's cookie names, and in UTC on demand."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone

from collectors.models import Event
from dashboard.pages import zones
from dashboard.pages.ranges import parse_bound, read_range

from .seed import Company, make_company

NOW = datetime(2026, 11, 24, 10, 5, 30, tzinfo=UTC)
KATHMANDU = ZoneInfo("Asia/Kathmandu")  # 5 h 45 min ahead


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("No progress since 09:00:10 UTC: 2 of 3", "No progress since 14:45:10: 2 of 3"),
        ("since 2026-11-23 09:00:10 UTC", "since Nov 23 14:45"),
        ("since 2026-11-23 19:00:10 UTC", "since 00:45:10"),  # today there
        ("at 10:09:00 UTC", "at 15:54:00"),  # a clock that is a little ahead
        ("at 23:59:00 UTC", "at 05:44:00"),  # said before midnight: today there, yesterday by UTC
        ("no time in it", "no time in it"),
        ("99:00:00 UTC, 2026-02-31 10:00:00 UTC", "99:00:00 UTC, 2026-02-31 10:00:00 UTC"),
    ],
)
def test_times_in_a_sentence_are_put_into_the_zone(text: str, said: str) -> None:
    with timezone.override(KATHMANDU):
        assert zones.zoned(text, now=NOW) == said
    assert zones.zoned(text, now=NOW) == text  # UTC stays as it was written


@pytest.mark.parametrize("name", ["", "Nowhere/Land", "../../etc/passwd", "/etc/localtime", "Europe", "x" * 1000, "\0"])
def test_a_zone_that_is_none_is_utc(name: str) -> None:
    assert zones.named(name) is UTC


@pytest.mark.django_db
def test_a_page_tells_times_in_the_zone_of_the_cookie_and_utc_on_demand(viewer: Client) -> None:
    cluster = make_company(Company(frozen=frozenset({"payment-service"})))
    event = Event.objects.filter(cluster=cluster).latest("at")
    at = {zone: f"{event.at.astimezone(zone):%H:%M:%S}" for zone in (UTC, KATHMANDU)}

    def seen() -> str:
        return viewer.get("/clusters/demo/").content.decode()

    def times(page: str) -> list[str]:
        return re.findall(r"<time [^>]*>([^<]*)</time>", page)

    assert at[UTC] in times(seen())
    viewer.cookies[zones.ZONE_COOKIE] = "Asia/Kathmandu"
    page = seen()
    assert 'data-zone="Asia/Kathmandu"' in page
    since = re.search(r"No progress since ([^:<]+:\d\d:\d\d)(?! UTC)", page)
    assert since, "the sentence is in the zone too"
    if f"{timezone.now().astimezone(KATHMANDU):%d}" == f"{event.at.astimezone(KATHMANDU):%d}":
        assert at[KATHMANDU] in times(page)
    viewer.cookies[zones.UTC_COOKIE] = "1"
    page = seen()
    assert 'data-zone="UTC"' in page
    assert re.search(r"No progress since \d\d:\d\d:\d\d UTC", page)
    assert timezone.get_current_timezone_name() == "UTC"  # of the next one it is not


def test_days_begin_and_times_without_a_zone_are_read_in_the_viewers_zone() -> None:
    with timezone.override(KATHMANDU):
        assert parse_bound("now/d", now=NOW) == datetime(2026, 11, 23, 18, 15, tzinfo=UTC)
        assert parse_bound("2026-11-24 12:00", now=NOW) == datetime(2026, 11, 24, 6, 15, tzinfo=UTC)
        assert parse_bound("2026-11-24T12:00:00Z", now=NOW) == datetime(2026, 11, 24, 12, tzinfo=UTC)
        span = read_range({"from": "1795512600000", "to": "1795516200000"}, now=NOW, history_since=None)
        assert span.label == "Nov 24 15:15 to 16:15"


def test_an_hour_is_an_hour_across_a_change_of_the_clock() -> None:
    after = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)  # summer time began half an hour ago in Berlin
    with timezone.override(ZoneInfo("Europe/Berlin")):
        assert parse_bound("now-1h", now=after) == after - timedelta(hours=1)
        assert parse_bound("now-90m", now=after) == after - timedelta(minutes=90)
        assert parse_bound("now-1d", now=after) == after - timedelta(hours=23)  # the same time of day
