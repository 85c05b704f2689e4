"""Curves with moments of their own: numbers of brokers that the survey reads now and then, and how cycles went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from django.db.models import F, Max, Min
from numpy.typing import NDArray

from collectors.models import Cycle

from . import curves, layouts, reading
from .curves import Band
from .kinds import Kind
from .reading import Heads
from .selection import Member, Sampled, Selection

SURVEY_SECONDS = 60.0
"""How far apart the survey's answers are, where there are too few of them to tell."""
CYCLES_READ = 20_000
"""Of a longer range every second, third … cycle is read."""


@dataclass(frozen=True, slots=True, eq=False)
class GaugeHistory:
    """Points of one number of one broker, oldest first, all of shape (n,)."""

    times: NDArray[np.float64]  # unix seconds
    gap_before: NDArray[np.bool_]
    interval: float  # seconds between the samples below
    values: Band


@dataclass(frozen=True, slots=True)
class Growth:
    """A number at the two ends of a stretch of time."""

    since: float
    until: float
    first: int
    last: int

    @property
    def seconds(self) -> float:
        return self.until - self.since

    @property
    def per_second(self) -> float | None:
        return (self.last - self.first) / self.seconds if self.seconds > 0 else None


def gauge_history(
    cluster_id: int, kind: Kind, owner: str, since: float, until: float, points: int = 600
) -> GaugeHistory:
    """The stored numbers of one owner of a kind with one number each (DISK, LEADERS, BROKER)."""
    heads = reading.heads_in(cluster_id, kind, since, until)
    found = _sampled(cluster_id, kind, heads, [owner])
    interval = curves.spacing(heads.taken_at, SURVEY_SECONDS)
    buckets = curves.buckets(heads.taken_at, since, until, points, interval)
    band = buckets.band(found.values[:, 0], found.known[:, 0])
    return GaugeHistory(buckets.times, buckets.gap_before, interval, band)


def growths(cluster_id: int, kind: Kind, owners: Sequence[str], since: float, until: float) -> dict[str, Growth]:
    """First and last known number of each owner within a stretch; owners with fewer than two are left out.

    The number of queries does not depend on the number of owners.
    """
    heads = reading.heads_in(cluster_id, kind, since, until)
    found = _sampled(cluster_id, kind, heads, owners)
    out = {}
    for i, owner in enumerate(owners):
        where = np.flatnonzero(found.known[:, i])
        if len(where) < 2:
            continue
        a, b = int(where[0]), int(where[-1])
        out[owner] = Growth(
            float(heads.taken_at[a]), float(heads.taken_at[b]), int(found.values[a, i]), int(found.values[b, i])
        )
    return out


def _sampled(cluster_id: int, kind: Kind, heads: Heads, owners: Sequence[str]) -> Sampled:
    members: list[Member] = [(owner, "", -1) for owner in owners]
    loaded = layouts.load(heads.layout_rows)
    return Selection(cluster_id, kind, heads, loaded, members).at(slice(None))


def cycle_times(cluster_id: int, since: float, until: float, points: int = 600) -> GaugeHistory:
    """How long each cycle took, in milliseconds, asking and storing; from the records of cycles."""
    rows = Cycle.objects.filter(
        cluster_id=cluster_id,
        taken_at__gte=datetime.fromtimestamp(since, UTC),
        taken_at__lte=datetime.fromtimestamp(until, UTC),
    ).order_by("number")
    ends = rows.aggregate(first=Min("number"), last=Max("number"))
    count = 0 if ends["first"] is None else ends["last"] - ends["first"] + 1
    every = max(1, -(-count // CYCLES_READ))
    if every > 1:
        rows = rows.annotate(turn=F("number") % every).filter(turn=0)
    found = list(rows.values_list("taken_at", "started_at", "ended_at"))
    times = np.array([at.timestamp() for at, _, _ in found], dtype=np.float64)
    took = np.array([(end - start).total_seconds() * 1000 for _, start, end in found], dtype=np.float64)
    order = np.concatenate(([True], times[1:] > np.maximum.accumulate(times)[:-1])) if len(times) else np.zeros(0, bool)
    times, took = times[order], took[order]
    interval = curves.spacing(times, SURVEY_SECONDS)
    buckets = curves.buckets(times, since, until, points, interval)
    band = buckets.band(took, np.ones(len(took), dtype=np.bool_))
    return GaugeHistory(buckets.times, buckets.gap_before, interval, band)
