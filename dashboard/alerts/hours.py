"""Spans of the week in a place's own time: when a route tells, when maintenance is due. Pure, given `now`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LONGEST = timedelta(days=7)
Span = tuple[datetime, datetime]


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """The time zone; ValueError says what would be right."""
    if name not in _zones():
        raise ValueError(f"“{name[:60]}” is no time zone: write like Europe/Berlin, America/New_York or UTC.")
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() | {"UTC"})


def spans(
    *, weekdays: Sequence[int], begins: time, length: timedelta, zone: str, since: date, days: int
) -> Iterator[Span]:
    """The spans that begin on the days from `since` on, in UTC. Empty `weekdays` means every day.

    A span begins by the clock on the wall and lasts its length in real time, also over a change of the clocks.
    """
    place = zone_of(zone)
    for number in range(days):
        day = since + timedelta(days=number)
        if weekdays and day.weekday() not in weekdays:
            continue
        start = datetime.combine(day, begins, place).astimezone(UTC)
        yield start, start + length


def current(*, weekdays: Sequence[int], begins: time, length: timedelta, zone: str, now: datetime) -> Span | None:
    """The span around `now` that ends last; None outside of all."""
    today = now.astimezone(zone_of(zone)).date()
    found = spans(weekdays=weekdays, begins=begins, length=length, zone=zone, since=today - timedelta(days=8), days=9)
    return max((span for span in found if span[0] <= now < span[1]), key=lambda span: span[1], default=None)


def following(*, weekdays: Sequence[int], begins: time, length: timedelta, zone: str, now: datetime) -> Span | None:
    """The next span that begins after `now`."""
    today = now.astimezone(zone_of(zone)).date()
    found = spans(weekdays=weekdays, begins=begins, length=length, zone=zone, since=today, days=9)
    return next((span for span in found if span[0] > now), None)


def length_between(begins: time, ends: time) -> timedelta:
    """From one time of the day to the next other one: 22:00 to 06:00 is eight hours, equal times are a day."""
    day = date(2000, 1, 1)
    length = datetime.combine(day, ends) - datetime.combine(day, begins)
    return length if length > timedelta(0) else length + timedelta(days=1)


def said_days(weekdays: Sequence[int]) -> str:
    """ "every day", "Mon to Fri", "Sat, Sun"."""
    chosen = sorted(set(weekdays))
    if len(chosen) in (0, 7):
        return "every day"
    if len(chosen) > 2 and chosen[-1] - chosen[0] == len(chosen) - 1:
        return f"{DAYS[chosen[0]]} to {DAYS[chosen[-1]]}"
    return ", ".join(DAYS[day] for day in chosen)
