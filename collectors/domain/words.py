"""Numbers, rates, durations and moments as people read them in a sentence."""

from __future__ import annotations

from datetime import UTC, datetime

THIN = "\u202f"
"""Narrow no-break space: 12 340 does not wrap and does not look like two numbers."""


def count(value: float) -> str:
    """12340 -> "12 340"."""
    return f"{round(value):,}".replace(",", THIN)


def rate(value: float) -> str:
    """Records per second with no more digits than mean something: "0.4/s", "38/s", "1 240/s"."""
    if 0 < value < 0.05:
        return f"{count(value * 3600)}/h" if value * 3600 >= 0.5 else "under 1/h"
    return f"{value:.1f}/s" if value < 9.95 and value != round(value) else f"{count(value)}/s"


def size(value: float) -> str:
    """Decimal units, three digits at most: "0 B", "14 kB", "1.2 GB"."""
    amount, units = float(value), ("B", "kB", "MB", "GB", "TB", "PB")
    for unit in units:
        if amount < 999.5 or unit == units[-1]:
            digits = f"{amount:.0f}" if unit == "B" or amount >= 99.5 else f"{amount:.{1 if amount >= 9.95 else 2}f}"
            return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}{THIN}{unit}"
        amount /= 1000
    raise AssertionError(value)


def duration(seconds: float) -> str:
    """Two units at most: "8 s", "1 min 10 s", "3 h 10 min", "2 d 4 h"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}{THIN}s"
    for size, name, small_size, small_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            big, small = divmod(whole, size)
            rest = small // small_size
            return f"{big}{THIN}{name}" + (f" {rest}{THIN}{small_name}" if rest else "")
    raise AssertionError(whole)


def moment(at: float, *, now: float) -> str:
    """A time of day in UTC, with the date when it is not today's: "14:02:10 UTC"."""
    then, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    return then.strftime("%H:%M:%S UTC" if then.date() == today.date() else "%Y-%m-%d %H:%M:%S UTC")


def not_since(at: float, *, now: float) -> str:
    """Since when nothing is known: a moment and no age, which would stand still on a page that is told it once."""
    return f"not sampled since {moment(at, now=now)}"


def unknown_since(at: float, *, now: float, because: str) -> str:
    """The sentence of what was sampled too long ago; `because`: why, "" where that is not known."""
    return f"Unknown: {not_since(at, now=now)}" + (f": {because}" if because else "")


def counted(number: float, one: str, many: str | None = None) -> str:
    """ "1 record", "2 records"."""
    return f"{count(number)} {one if round(number) == 1 else many or one + 's'}"


def storable(text: str, most: int) -> str:
    """A text from a stranger for a column of `most` characters: every database takes it.

    NUL becomes its symbol (PostgreSQL refuses it), half a surrogate pair a question mark. Of a long text the
    beginning and the end stay, since what tells two member ids apart is their end.
    """
    clean = text.replace("\0", "\u2400").encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= most else f"{clean[: most - 41]}…{clean[-40:]}"


def is_storable(name: str, most: int) -> bool:
    """Whether a name can be kept as it is. One that cannot is no key: cut short, two would be one."""
    return storable(name, most) == name


def visible(name: str) -> str:
    """A name from a stranger, for a sentence: what cannot be printed is shown as an escape. For names only.

    Whole sentences never go through it: the thin space between digits is no printable character either.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)
