"""Time ranges in Grafana's grammar: `?from=now-1h&to=now`, rounding as in `now-1d/d`, ISO 8601, unix milliseconds.

Days begin, and times without a zone are read, in the viewer's zone (`dashboard.pages.zones`).
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.utils import timezone

_STEP = re.compile(r"([+-])(\d{1,6})([smhdwMQy])|/([smhdwMQy])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_MONTHS = {"M": 1, "Q": 3, "y": 12}
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

QUICK: tuple[tuple[str, str, str], ...] = (
    ("now-5m", "now", "Last 5 minutes"),
    ("now-15m", "now", "Last 15 minutes"),
    ("now-30m", "now", "Last 30 minutes"),
    ("now-1h", "now", "Last 1 hour"),
    ("now-3h", "now", "Last 3 hours"),
    ("now-6h", "now", "Last 6 hours"),
    ("now-12h", "now", "Last 12 hours"),
    ("now-24h", "now", "Last 24 hours"),
    ("now-2d", "now", "Last 2 days"),
    ("now-7d", "now", "Last 7 days"),
    ("now-30d", "now", "Last 30 days"),
    ("now-90d", "now", "Last 90 days"),
    ("now/d", "now", "Today so far"),
    ("now-1d/d", "now-1d/d", "Yesterday"),
)
DEFAULTS = ((300.0, "now-5m"), (900.0, "now-15m"))
"""What a page shows unless its address says otherwise: it grows with the history, also while the page stays open."""
COMPARISONS: Mapping[str, tuple[float, str]] = {
    "1d": (86_400.0, "the day before"),
    "7d": (7 * 86_400.0, "the week before"),
}
"""Word in the address -> seconds that the other curve lies back, and its name. Any other is a moment: what was
before it."""
_LABELS = {(since, until): label for since, until, label in QUICK}


class RangeError(ValueError):
    """A bound that cannot be read; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Another stretch of time, as long as the one shown, to be laid over it."""

    text: str  # as in the address
    back_seconds: float
    label: str  # "the day before", "before 14:02:10"


@dataclass(frozen=True)
class TimeRange:
    """What the page shows, and what was typed. `errors` holds a message by field ("from", "to", "compare")."""

    since: datetime
    until: datetime
    from_text: str
    to_text: str
    is_default: bool = False
    history_since: datetime | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    compare: str = ""  # a key of COMPARISONS, or a moment

    @property
    def is_live(self) -> bool:
        """Whether the range ends now, so that new points belong to it."""
        return self.to_text == "now"

    @property
    def seconds(self) -> float:
        return (self.until - self.since).total_seconds()

    @property
    def label(self) -> str:
        known = _LABELS.get((self.from_text, self.to_text))
        if known:
            return known
        match = re.fullmatch(r"now-(\d+)([smhdw])", self.from_text)
        if match and self.is_live:
            word = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}[match[2]]
            return f"Last {match[1]} {word}{'' if match[1] == '1' else 's'}"
        since, until = timezone.localtime(self.since), timezone.localtime(self.until)
        end = f"{until:%H:%M}" if since.date() == until.date() else f"{until:%b %d %H:%M}"
        return f"{since:%b %d %H:%M} to {end}"

    @property
    def steps(self) -> list[tuple[float, str, str]]:
        """(seconds, "from", label) of the defaults, for the page's script."""
        return [(seconds, text, _LABELS[text, "now"]) for seconds, text in DEFAULTS]

    @property
    def query(self) -> str:
        """As parameters for charts: what was typed, or the range shown in its place when that cannot be read."""
        compared = {"compare": self.compare} if self.compare and "compare" not in self.errors else {}
        if self.errors.keys() & {"from", "to"}:
            since, until = (round(at.timestamp() * 1000) for at in (self.since, self.until))
            return urlencode({"from": since, "to": until, **compared})
        return urlencode({"from": self.from_text, "to": self.to_text, **compared})

    @property
    def comparisons(self) -> list[tuple[str, str, bool]]:
        """(key, label, is chosen) of what charts can be compared with, beside any moment."""
        offered = [("", "nothing"), *((key, label) for key, (_, label) in COMPARISONS.items())]
        return [(key, label, key == self.compare) for key, label in offered]

    @property
    def compared_moment(self) -> str:
        """The moment that charts are compared with what was before, as it was typed."""
        return "" if self.compare in COMPARISONS else self.compare


def parse_bound(text: str, *, now: datetime, is_end: bool = False) -> datetime:
    """The moment that a bound names. Rounding (`/d`) goes down for a start and to the last instant for an end.

    RangeError for what cannot be read.
    """
    text = text.strip()
    if text.startswith("now"):
        moment = _relative(text, now, is_end=is_end)
    elif re.fullmatch(r"\d{9,14}", text):
        number = int(text)
        moment = datetime.fromtimestamp(number / 1000 if number >= 10**11 else number, UTC)
    else:
        moment = _absolute(text)
    if not _EARLIEST <= moment <= _LATEST:
        raise RangeError(f"“{_short(text)}” is {moment:%Y}; only the years 2000 to 2200 can be shown")
    return moment.astimezone(UTC)


def read_range(params: Mapping[str, str], *, now: datetime, history_since: datetime | None) -> TimeRange:
    """The range of a page. A bound that cannot be read keeps the default and leaves a message beside its field."""
    default_from = default_start(now=now, history_since=history_since)
    from_text, to_text = params.get("from", "").strip(), params.get("to", "").strip()
    errors: dict[str, str] = {}
    bounds: dict[str, datetime] = {}
    for name, text, fallback in (("from", from_text, default_from), ("to", to_text, "now")):
        try:
            bounds[name] = parse_bound(text or fallback, now=now, is_end=name == "to")
        except RangeError as error:
            errors[name] = str(error)
            bounds[name] = parse_bound(fallback, now=now, is_end=name == "to")
    if not errors and bounds["from"] >= bounds["to"]:
        errors["from"] = "“From” must be before “to”"
        bounds = {"from": parse_bound(default_from, now=now), "to": now}
    compare = params.get("compare", "").strip()
    try:
        read_comparison(compare, now=now, until=bounds["to"])
    except RangeError as error:
        errors["compare"] = str(error)
    is_default = not (from_text or to_text)
    return TimeRange(
        bounds["from"],
        bounds["to"],
        from_text or default_from,
        to_text or "now",
        is_default=is_default,
        history_since=history_since,
        errors=errors,
        compare=compare,
    )


def read_comparison(text: str, *, now: datetime, until: datetime) -> Comparison | None:
    """What is laid over a range that ends at `until`; None for nothing.

    Of a moment (a mark of a chart), the stretch that ended with it: both ends then lie over each other, so that what
    was right before the mark stands beside what is shown last. RangeError for what cannot be read.
    """
    text = text.strip()
    if not text:
        return None
    if text in COMPARISONS:
        return Comparison(text, *COMPARISONS[text])
    moment = parse_bound(text, now=now)
    back = (until - moment).total_seconds()
    if back <= 0:
        raise RangeError(f"“{_short(text)}” has to be before the end of the range that is shown")
    local = timezone.localtime(moment)
    style = "%H:%M:%S" if local.date() == timezone.localtime(now).date() else "%b %d %H:%M"
    return Comparison(text, back, f"before {local:{style}}")


def default_start(*, now: datetime, history_since: datetime | None) -> str:
    """The start that fits the history there is: the smallest preset that covers it, 15 minutes at most."""
    age = timedelta(0) if history_since is None else now - history_since
    return next((text for seconds, text in DEFAULTS if age.total_seconds() <= seconds), DEFAULTS[-1][1])


def _relative(text: str, now: datetime, *, is_end: bool) -> datetime:
    moment, position = timezone.localtime(now), 3
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            raise RangeError(
                f"“{_short(text)}” cannot be read after “{_short(text[:position])}”: "
                "write like now-15m, now-6h or now-1d/d, with the units s m h d w M Q y"
            )
        position = step.end()
        try:
            if step[4]:
                moment = _rounded(moment, step[4], is_end=is_end)
            else:
                moment = _moved(moment, int(step[2]) * (1 if step[1] == "+" else -1), step[3])
        except (OverflowError, ValueError) as error:
            raise RangeError(f"“{_short(text)}” is further away than the calendar goes") from error
    return moment


def _moved(moment: datetime, amount: int, unit: str) -> datetime:
    if unit in "smh":  # by the clock on the wall, an hour across a change to summer time would be none, or two
        return (moment.astimezone(UTC) + timedelta(seconds=amount * _SECONDS[unit])).astimezone(moment.tzinfo)
    if unit in _SECONDS:
        return moment + timedelta(seconds=amount * _SECONDS[unit])
    months = moment.year * 12 + moment.month - 1 + amount * _MONTHS[unit]
    year, month = divmod(months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def _rounded(moment: datetime, unit: str, *, is_end: bool) -> datetime:
    start = {
        "s": lambda: moment.replace(microsecond=0),
        "m": lambda: moment.replace(second=0, microsecond=0),
        "h": lambda: moment.replace(minute=0, second=0, microsecond=0),
        "d": lambda: _midnight(moment),
        "w": lambda: _midnight(moment) - timedelta(days=moment.weekday()),
        "M": lambda: _midnight(moment).replace(day=1),
        "Q": lambda: _midnight(moment).replace(month=(moment.month - 1) // 3 * 3 + 1, day=1),
        "y": lambda: _midnight(moment).replace(month=1, day=1),
    }[unit]()
    return _moved(start, 1, unit) - timedelta(milliseconds=1) if is_end else start


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _absolute(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RangeError(
            f"“{_short(text)}” is not a time: write like now-1h, 2026-11-22T14:30:00Z or unix milliseconds"
        ) from None
    return timezone.make_aware(moment) if moment.tzinfo is None else moment


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
