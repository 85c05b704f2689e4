"""Curves over any range: samples where points are close together, rollups where they are not, joined without a seam."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from collectors.domain.verdicts import Verdict

from . import age_histories, arrivals, curves, gauges, histories, strips
from .age_histories import AgeHistory
from .arrivals import ArrivalHistory
from .curves import Band
from .families import IN_THOUSANDTHS, MILLI, TOTAL, Family
from .folding import RESOLUTIONS
from .gauges import GaugeHistory
from .histories import GroupHistory, TopicHistory
from .kinds import Kind
from .strips import Strip

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NEW_SECONDS = 120.0
"""That samples begin so much after the range does not send anybody to look for rollups."""
SUM_POINTS = 30
_GAUGES = {Kind.DISK: "disk", Kind.LEADERS: "leaders", Kind.BROKER: "reach"}


class _Curve(Protocol):
    @property
    def times(self) -> Floats: ...
    @property
    def gap_before(self) -> Bools: ...
    @property
    def interval(self) -> float: ...


C = TypeVar("C", bound=_Curve)
Bands = Mapping[str, Band]


@dataclass(frozen=True, slots=True, eq=False)
class _Points:
    """Points of several quantities at the same moments (n,)."""

    times: Floats
    gap_before: Bools
    bands: Bands
    interval: float  # seconds between the samples


def group_history(
    cluster_id: int,
    group: str,
    since: float,
    until: float,
    points: int = 600,
    *,
    topic: str | None = None,
    parts: Literal["topic", "partition"] | None = None,
) -> GroupHistory:
    """Lag, arriving and consumed records of a group (see `histories.group_history`) over any range.

    `topic` and `parts` are answered from samples only: rollups know a group as a whole.
    """

    def samples(begin: float, end: float) -> GroupHistory:
        return histories.group_history(cluster_id, group, begin, end, points, topic=topic, parts=parts)

    if topic is not None:
        return samples(since, until)
    names = ("lag", "arriving", "consumed")
    found, exact = _join(cluster_id, Family.GROUP, group, names, since, until, points, samples)
    if found is None:
        assert exact is not None
        return exact
    bands = found.bands
    return GroupHistory(
        found.times, found.gap_before, found.interval, bands["lag"], bands["arriving"], bands["consumed"]
    )


def topic_history(cluster_id: int, topic: str, since: float, until: float, points: int = 600) -> TopicHistory:
    """Messages per second and bytes of a topic (see `histories.topic_history`) over any range."""

    def samples(begin: float, end: float) -> TopicHistory:
        return histories.topic_history(cluster_id, topic, begin, end, points)

    found, exact = _join(cluster_id, Family.TOPIC, topic, ("rate", "size"), since, until, points, samples)
    if found is None:
        assert exact is not None
        return exact
    return TopicHistory(found.times, found.gap_before, found.interval, found.bands["rate"], found.bands["size"])


def age_history(cluster_id: int, group: str, since: float, until: float, points: int = 300) -> AgeHistory:
    """Log-end age of a group (see `age_histories.age_history`) over any range; where points are a minute apart or more,
    as it was at the end of each minute."""

    def samples(begin: float, end: float) -> AgeHistory:
        return age_histories.age_history(cluster_id, group, begin, end, points)

    found, exact = _join(cluster_id, Family.GROUP, group, ("age",), since, until, points, samples)
    if found is None:
        assert exact is not None
        return exact
    newest = exact.times[0] if exact is not None and len(exact.times) else np.inf
    if not found.bands["age"].known[found.times < newest].any():
        return samples(since, until)  # rollups of before they held ages: the samples that are kept know them
    return AgeHistory(found.times, found.gap_before, found.interval, found.bands["age"])


def gauge_history(
    cluster_id: int, kind: Kind, owner: str, since: float, until: float, points: int = 600
) -> GaugeHistory:
    """One number of a broker (see `gauges.gauge_history`) over any range."""

    def samples(begin: float, end: float) -> GaugeHistory:
        return gauges.gauge_history(cluster_id, kind, owner, begin, end, points)

    name = _GAUGES[kind]
    found, exact = _join(cluster_id, Family.BROKER, owner, (name,), since, until, points, samples, pick="values")
    if found is None:
        assert exact is not None
        return exact
    return GaugeHistory(found.times, found.gap_before, found.interval, found.bands[name])


def arrival_rates(
    cluster_id: int, topics: Sequence[str], since: float, until: float, points: int, interval: float
) -> ArrivalHistory | None:
    """Records per second of several topics, the mean of each stretch, all at the same moments; None when points are
    closer together than a minute: then the samples themselves are to be asked (`arrivals.arrival_history`)."""
    resolution = strips.resolution_for(until - since, points)
    if resolution is None or not topics:
        return None
    found = strips.read(cluster_id, Family.TOPIC, topics, since, until, resolution)
    every = np.unique(np.concatenate([strip.ends for strip in found.values()]))
    if not len(every):
        return None
    rates = {}
    usual = float(np.median(np.diff(every))) if len(every) > 2 else float(resolution)
    for topic, strip in found.items():
        values, known = np.zeros(len(every)), np.zeros(len(every), dtype=np.bool_)
        five = strip.rolled.fives["rate"]
        at = np.searchsorted(every, strip.ends)
        known[at] = five.known
        values[at] = np.divide(five.sum, five.count * MILLI, out=np.zeros(len(strip)), where=five.known)
        rates[topic] = Band(values, values, values, known)
    times = every.astype(np.float64)
    return arrivals.ArrivalHistory(times, curves.gaps(times, usual), interval, rates)


def arrived_about(cluster_id: int, topics: Sequence[str], since: float, until: float) -> dict[str, float] | None:
    """About how many records came into each topic in a long range, by its rates; None for a short one."""
    resolution = strips.resolution_for(until - since, SUM_POINTS)
    if resolution is None or not topics:
        return None
    out = {}
    for topic, strip in strips.read(cluster_id, Family.TOPIC, topics, since, until, resolution).items():
        five = strip.rolled.fives["rate"]
        mean = np.divide(five.sum, five.count * MILLI, out=np.zeros(len(strip)), where=five.known)
        out[topic] = float((mean * strip.lengths).sum())
    return out if any(out.values()) else None


@dataclass(frozen=True, slots=True, eq=False)
class ClusterHistory:
    """All topics and groups of a cluster together, (n,) points; what is not known of some is left out of the sums."""

    times: Floats
    gap_before: Bools
    rate: Band  # messages per second
    size: Band  # bytes
    lag: Band  # records
    consumed: Band  # per second


CLUSTER_STEP = float(RESOLUTIONS[0])
"""Seconds between the points of a cluster's sums, at least."""


def cluster_history(cluster_id: int, since: float, until: float, points: int = 600) -> ClusterHistory:
    """Sums over a cluster, out of its minutes and what was made of them: the newest minute is the last closed one."""
    resolution = strips.resolution_for(until - since, points) or RESOLUTIONS[0]
    topic = strips.read(cluster_id, Family.TOPIC, [TOTAL], since, until, resolution)[TOTAL]
    group = strips.read(cluster_id, Family.GROUP, [TOTAL], since, until, resolution)[TOTAL]
    names = ("rate", "size", "lag", "consumed")
    starts = np.union1d(topic.starts, group.starts)
    lengths = np.zeros(len(starts), dtype=np.int64)
    for strip in (topic, group):
        lengths[np.searchsorted(starts, strip.starts)] = strip.lengths
    bands = {}
    for strip, own in ((topic, names[:2]), (group, names[2:])):
        at = np.searchsorted(starts, strip.starts)
        for name, band in _bands(strip, own).items():
            bands[name] = _spread(band, at, len(starts))
    gap = np.concatenate(([False], starts[1:] > (starts + lengths)[:-1]))[: len(starts)]
    whole = _reduced(_Points((starts + lengths).astype(np.float64), gap, bands, 60.0), since, until, points)
    return ClusterHistory(
        whole.times, whole.gap_before, *(whole.bands[name] for name in ("rate", "size", "lag", "consumed"))
    )


def _spread(band: Band, at: NDArray[np.int64], count: int) -> Band:
    def put(values: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
        out = np.zeros(count)
        out[at] = values
        return out

    known = np.zeros(count, dtype=np.bool_)
    known[at] = band.known
    return Band(put(band.low), put(band.high), put(band.last), known)


# How samples and rollups are joined


def _join(
    cluster_id: int,
    family: Family,
    owner: str,
    names: tuple[str, ...],
    since: float,
    until: float,
    points: int,
    samples: Callable[[float, float], C],
    *,
    pick: str | None = None,
) -> tuple[_Points, None] | tuple[_Points, C] | tuple[None, C]:
    """Points out of rollups and, for what these do not hold yet, samples; beside them the samples' curve.

    One of the two is None: the points when samples are all that is needed, the samples when they are not needed. With
    `pick` the samples' band has that name, whatever the quantity is called.
    """
    resolution = strips.resolution_for(until - since, points)
    if resolution is None:
        exact = samples(since, until)
        first = float(exact.times[0]) if len(exact.times) else until
        if first - since < NEW_SECONDS or _is_young(since):
            return None, exact
        strip = strips.read(cluster_id, family, [owner], since, first, RESOLUTIONS[0])[owner]
        strip = _before(strip, first)
        if not len(strip):
            return None, exact
    else:
        strip = strips.read(cluster_id, family, [owner], since, until, resolution)[owner]
        if not len(strip):
            return None, samples(since, until)
        if strip.ends[-1] >= until:
            return _reduced(_points_of(strip, names), since, until, points), None
        exact = samples(float(strip.ends[-1]), until)
    rolled = _points_of(strip, names)
    newest = _points_of_samples(exact, names, pick)
    return _reduced(_concatenated(rolled, newest, exact.interval), since, until, points), exact


def _is_young(since: float) -> bool:
    return since > time.time() - 3600.0


def _before(strip: Strip, moment: float) -> Strip:
    keep = strip.ends <= moment
    return Strip(strip.starts[keep], strip.lengths[keep], strip.rolled.take(keep))


def _bands(strip: Strip, names: Sequence[str]) -> dict[str, Band]:
    out = {}
    for name in names:
        five = strip.rolled.fives[name]
        scale = MILLI if name in IN_THOUSANDTHS else 1
        low, high, last = (part / scale if scale > 1 else part for part in (five.low, five.high, five.last))
        out[name] = Band(low, high, last, five.known)
    return out


def _points_of(strip: Strip, names: Sequence[str]) -> _Points:
    most = np.maximum.reduce([strip.rolled.fives[name].count for name in names])
    between = float(np.median(strip.lengths / np.maximum(most, 1)))
    return _Points(strip.ends.astype(np.float64), _gaps(strip, most), _bands(strip, names), between)


def _gaps(strip: Strip, counts: NDArray[np.int64]) -> Bools:
    """Where stretches are missing before one: so many that samples are (2.5 intervals), as they were taken around."""
    out = np.zeros(len(strip), dtype=np.bool_)
    if len(strip) < 2:
        return out
    missing = strip.starts[1:] - strip.ends[:-1]
    usual = strip.lengths / np.maximum(counts, 1)
    if float(np.median(counts)) <= 1:  # samples are further apart than stretches are long
        usual = np.maximum(usual, np.median(np.diff(strip.starts)))
    allowed = np.maximum(0, curves.GAP_INTERVALS * np.median(usual) - strip.lengths[:-1])
    out[1:] = missing > allowed
    return out


def _points_of_samples(exact: _Curve, names: Sequence[str], pick: str | None) -> _Points:
    bands = {name: getattr(exact, pick or name) for name in names}
    return _Points(exact.times, exact.gap_before, bands, exact.interval)


def _concatenated(first: _Points, then: _Points, interval: float) -> _Points:
    if not len(then.times):
        return first
    gap = np.concatenate((first.gap_before, then.gap_before))
    at = len(first.times)
    gap[at] = then.times[0] - first.times[-1] > curves.GAP_INTERVALS * max(interval, 1.0)
    bands = {}
    for name, band in first.bands.items():
        other = then.bands[name]
        parts = (np.concatenate((getattr(band, f), getattr(other, f))) for f in ("low", "high", "last", "known"))
        bands[name] = Band(*parts)
    return _Points(np.concatenate((first.times, then.times)), gap, bands, interval)


def _reduced(points: _Points, since: float, until: float, most: int) -> _Points:
    """At most `most` points; borders are multiples of the width in absolute time, as in `curves.buckets`."""
    times = points.times
    if len(times) <= most:
        return points
    width = (until - since) / max(1, most - 1)
    place = np.floor((times - 1e-3) / width)
    starts = np.flatnonzero(np.concatenate(([True], place[1:] != place[:-1])))
    edges = np.append(starts, len(times))
    gap = np.logical_or.reduceat(points.gap_before, starts)
    reduced = curves.Buckets(edges, times[edges[1:] - 1], gap)
    bands = {name: reduced.merged(band) for name, band in points.bands.items()}
    return _Points(reduced.times, gap, bands, points.interval)


def worst_verdicts(
    cluster_id: int, groups: Sequence[str], until: float, *, slots: int = 24, seconds: float = 3600.0
) -> dict[str, list[Verdict | None]]:
    """The worst verdict of each group in each slot before a moment, oldest first; None where none was stored.

    UNKNOWN only where nothing else was said. Queries as in `strips.read`.
    """
    since = until - slots * seconds
    found = strips.read(cluster_id, Family.GROUP, list(groups), since, until, RESOLUTIONS[1])
    worst_last = sorted(Verdict, key=lambda verdict: verdict.severity)
    out: dict[str, list[Verdict | None]] = {}
    for group, strip in found.items():
        worst: list[Verdict | None] = [None] * slots
        places = np.clip(((strip.starts + strip.lengths / 2 - since) // seconds).astype(np.int64), 0, slots - 1)
        for verdict in (Verdict.UNKNOWN, *(each for each in worst_last if each is not Verdict.UNKNOWN)):
            for place in np.unique(places[strip.rolled.shares[verdict] > 0]).tolist():
                worst[place] = verdict
        out[group] = worst
    return out


def worst_of_cluster(
    cluster_id: int, until: float, *, slots: int = 24, seconds: float = 3600.0
) -> list[Verdict | None]:
    """The worst verdict that any group of a cluster had in each slot before a moment, oldest first."""
    return worst_verdicts(cluster_id, [TOTAL], until, slots=slots, seconds=seconds)[TOTAL]
