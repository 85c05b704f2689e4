"""What arrived in topics over a stretch of time: counts, when the newest came, and rates of several topics together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import curves
from .curves import Band

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Ends:
    """Log ends of one topic at some moments: times (k,), values and known (k, partitions)."""

    times: NDArray[np.float64]
    values: Ints
    known: Bools

    def steps(self) -> tuple[Ints, Bools]:
        """(k - 1,) records that came between two samples; unknown unless every partition is known to have grown or
        stood: an end that went back is another topic under the old name."""
        step = self.values[1:] - self.values[:-1]
        forward = self.known[1:] & self.known[:-1] & (step >= 0)
        return np.where(forward, step, 0).sum(axis=1), forward.all(axis=1) & (forward.shape[1] > 0)


@dataclass(frozen=True, slots=True)
class Arrived:
    """Records that came into a topic between two samples."""

    records: int
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class NewestArrival:
    """Between which two samples the newest record came; `after` and `by` None: none came since `watched_since`."""

    after: float | None
    by: float | None
    watched_since: float


@dataclass(frozen=True, slots=True, eq=False)
class ArrivalHistory:
    """Rates of several topics at the same moments, (n,) each."""

    times: NDArray[np.float64]
    gap_before: Bools
    interval: float
    rates: Mapping[str, Band]


def arrived(ends: Mapping[str, Ends]) -> dict[str, Arrived]:
    """What came into each topic between its first and last known sample; topics without two are left out."""
    out = {}
    for topic, own in ends.items():
        whole = np.flatnonzero(own.known.all(axis=1)) if own.known.shape[1] else np.zeros(0, dtype=np.int64)
        if len(whole) < 2:
            continue
        a, b = int(whole[0]), int(whole[-1])
        step = own.values[b] - own.values[a]
        if (step >= 0).all():
            out[topic] = Arrived(int(step.sum()), float(own.times[a]), float(own.times[b]))
    return out


def newest_arrivals(ends: Mapping[str, Ends]) -> dict[str, NewestArrival]:
    """When the newest record of each topic came, as exactly as the samples tell; unknown topics are left out."""
    out = {}
    for topic, own in ends.items():
        count, known = own.steps()
        if not known.any():
            continue
        grew = np.flatnonzero(known & (count > 0))
        first = float(own.times[int(np.flatnonzero(known)[0])])
        if len(grew):
            at = int(grew[-1])
            out[topic] = NewestArrival(float(own.times[at]), float(own.times[at + 1]), first)
        else:
            out[topic] = NewestArrival(None, None, first)
    return out


def arrival_history(ends: Mapping[str, Ends], interval: float) -> ArrivalHistory:
    """Records per second between one sample and the next, by topic; all topics share their moments."""
    times = next(iter(ends.values())).times if ends else np.zeros(0)
    usual = curves.spacing(times, interval)
    gap = curves.gaps(times, usual)
    rates: dict[str, Band] = {}
    for topic, own in ends.items():
        values, there = np.zeros(len(times)), np.zeros(len(times), dtype=np.bool_)
        if len(times) > 1:
            count, known = own.steps()
            values[1:] = count / np.diff(times)
            there[1:] = known & ~gap[1:]
        rates[topic] = Band(values, values, values, there)
    return ArrivalHistory(times, gap, usual, rates)
