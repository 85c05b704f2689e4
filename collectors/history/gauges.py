"""Curves of brokers: numbers that the survey reads now and then, each frame with its own moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import curves, layouts, reading
from .curves import Band
from .kinds import Kind
from .reading import Heads
from .selection import Member, Sampled, Selection

SURVEY_SECONDS = 60.0
"""How far apart the survey's answers are, where there are too few of them to tell."""


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
    loaded = layouts.load(np.unique(heads.layouts).tolist())
    return Selection(cluster_id, kind, heads, loaded, members).at(slice(None))
