"""How far back the sparklines of lists look: as the charts do, no further than there is history."""

from __future__ import annotations

from datetime import datetime

from collectors.domain import words

from .ranges import DEFAULTS


def spark_seconds(history_since: datetime | None, taken_at: float | None) -> float:
    """Seconds of a sparkline that ends at the newest sample: what covers the history there is, 15 minutes at most."""
    age = 0.0 if history_since is None or taken_at is None else taken_at - history_since.timestamp()
    return next((seconds for seconds, _ in DEFAULTS if age <= seconds), DEFAULTS[-1][0])


def spark_range(taken_at: float, seconds: float) -> tuple[float, float]:
    return taken_at - seconds, taken_at


def spark_label(seconds: float) -> str:
    return words.duration(seconds)
