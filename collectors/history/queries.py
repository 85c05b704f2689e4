"""The named reads of stored samples, for everything outside this room."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from django.db.models import Max
from numpy.typing import NDArray

from collectors.domain.lag import partition_lag, sums
from collectors.domain.numbers import NO_COMMIT, Column, Numbers
from collectors.models import Cluster

from . import curves, decoded, layouts, reading, spans
from .age_histories import AgeHistory
from .ages import AgesNow, ages_at, ages_of
from .arrivals import ArrivalHistory, Arrived, Ends, NewestArrival, arrival_history, arrived, newest_arrivals
from .backlogs import BacklogsNow, backlogs_at
from .befores import arriving_before, arriving_befores
from .blocks import Fetched
from .countdowns import CountdownsNow, countdowns_at
from .curves import Band
from .drains import drains_at
from .gauges import GaugeHistory, Growth, cycle_times, growths
from .histories import GroupHistory, TopicHistory
from .kinds import EVERY_CYCLE, Kind
from .layouts import StoredLayout
from .losses import lost_between, lost_since
from .now import BrokersNow, ClusterNow, GroupsNow, TopicsNow, cluster_at
from .past import reconstructed_before
from .ranges import (
    CLUSTER_STEP,
    ClusterHistory,
    age_history,
    arrival_rates,
    arrived_about,
    cluster_history,
    gauge_history,
    group_history,
    topic_history,
    worst_of_cluster,
    worst_verdicts,
)
from .reading import Heads, first_segments
from .selection import Member, Sampled, Selection, by_topic, fetch, members_of
from .standstills import standing_partitions
from .tops import Quantity, Ranked, curve, top, top_curves

__all__ = [
    "CLUSTER_STEP",
    "AgeHistory",
    "AgesNow",
    "ArrivalHistory",
    "Arrived",
    "BacklogsNow",
    "Band",
    "BrokersNow",
    "ClusterHistory",
    "ClusterNow",
    "CountdownsNow",
    "Ends",
    "GaugeHistory",
    "GroupHistory",
    "GroupsNow",
    "Growth",
    "Kind",
    "NewestArrival",
    "Quantity",
    "Ranked",
    "Series",
    "TopicHistory",
    "TopicsNow",
    "age_history",
    "ages_at",
    "ages_of",
    "arrival_history",
    "arrival_rates",
    "arrived",
    "arrived_about",
    "arriving_before",
    "arriving_befores",
    "backlogs_at",
    "cluster_at",
    "cluster_history",
    "cluster_sparkline",
    "column_at",
    "countdowns_at",
    "curve",
    "cycle_times",
    "drains_at",
    "ends_of",
    "first_taken_at",
    "gauge_history",
    "group_history",
    "growths",
    "lost_between",
    "lost_since",
    "newest_arrivals",
    "newest_cycle",
    "reconstructed_before",
    "series",
    "sparklines",
    "standing_partitions",
    "thinned",
    "top",
    "top_curves",
    "topic_history",
    "worst_of_cluster",
    "worst_verdicts",
]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Samples of one owner: times (n,) unix seconds, cycles (n,), members (m) as (topic, partition),
    values (n, m) int64, known (n, m). Members are those at the end; before they were there, they are not known."""

    times: NDArray[np.float64]
    cycles: NDArray[np.int64]
    members: tuple[tuple[str, int], ...]
    values: NDArray[np.int64]
    known: NDArray[np.bool_]


def newest_cycle(cluster_id: int) -> int | None:
    """The newest cycle with frames; None before the first."""
    newest = [first_segments(cluster_id, kind).aggregate(newest=Max("cycle"))["newest"] for kind in EVERY_CYCLE]
    return max((cycle for cycle in newest if cycle is not None), default=None)


def first_taken_at(cluster_id: int) -> float | None:
    """The moment (unix seconds) of the oldest stored end offsets: where a range of time can begin."""
    compacted = spans.first_moment(cluster_id, Kind.END)
    if compacted is not None:
        return compacted
    return first_segments(cluster_id, Kind.END).order_by("cycle").values_list("taken_at", flat=True).first()


def column_at(cluster_id: int, kind: Kind, cycle: int | None = None) -> tuple[Column, float, int] | None:
    """The newest column of a kind at or before `cycle`, with its moment and its own cycle."""
    rows = first_segments(cluster_id, kind)
    if cycle is not None:
        rows = rows.filter(cycle__lte=cycle)
    newest = rows.order_by("-cycle").values("cycle")[:1]
    marks = decoded.marks(first_segments(cluster_id, kind).filter(cycle__in=newest)).get(kind)
    if not marks:
        return None
    column = decoded.columns(cluster_id, kind, marks, layouts.load_named({marks[0].layout: marks[0].digest}))[0]
    return None if column is None else (column, marks[0].taken_at, marks[0].cycle)


def series(
    cluster_id: int, kind: Kind, owner: str, since: float, until: float, *, max_points: int | None = None
) -> Series:
    """All samples of one owner, or with `max_points` about so many of them, evenly spaced in cycles.

    For long ranges of many partitions use `group_history` and `topic_history`, which need less memory.
    """
    if max_points is not None:
        return thinned(cluster_id, kind, [owner], since, until, max_points)[owner]
    heads = reading.heads_in(cluster_id, kind, since, until)
    return _series(cluster_id, kind, [owner], heads)[owner]


def thinned(
    cluster_id: int, kind: Kind, owners: Sequence[str], since: float, until: float, points: int = 60
) -> dict[str, Series]:
    """Samples of many owners at about `points` evenly spaced cycles, reading only those and their key frames.

    The number of queries does not depend on the number of owners or points.
    """
    return _series(cluster_id, kind, owners, _sparse(cluster_id, kind, since, until, points))


def ends_of(cluster_id: int, topics: Sequence[str], since: float, until: float, points: int) -> dict[str, Ends]:
    """Log ends of many topics at the same `points` or fewer moments: what counts and rates of arrivals come from."""
    found = thinned(cluster_id, Kind.END, topics, since, until, points)
    return {topic: Ends(own.times, own.values, own.known) for topic, own in found.items()}


def _sparse(cluster_id: int, kind: Kind, since: float, until: float, points: int) -> Heads:
    cycles = reading.cycle_range(cluster_id, kind, since, until)
    if cycles is None:
        return Heads.of([])
    wanted = np.unique(np.linspace(*cycles, max(2, points)).round().astype(np.int64)).tolist()
    return reading.forward(reading.heads_at(cluster_id, kind, wanted, since=since), since, until)


def _series(cluster_id: int, kind: Kind, owners: Sequence[str], heads: Heads) -> dict[str, Series]:
    loaded = layouts.load(heads.layout_rows)
    fetched = fetch(kind, heads, owners)
    at_end = _members_at_end(heads, loaded, fetched, owners)
    members = [member for owner in at_end for member in at_end[owner]]
    found = Selection(cluster_id, kind, heads, loaded, members, fetched).at(slice(None))
    out, first = {}, 0
    for owner in owners:
        own = at_end.get(owner, [])
        where = slice(first, first := first + len(own)) if owner in at_end else slice(0, 0)
        pairs = tuple((topic, partition) for _, topic, partition in own)
        out[owner] = Series(heads.taken_at, heads.cycles, pairs, found.values[:, where], found.known[:, where])
    return out


def _members_at_end(
    heads: Heads, loaded: Mapping[int, StoredLayout], fetched: Fetched, owners: Sequence[str]
) -> dict[str, list[Member]]:
    """The members that each owner had at the newest sample that knows it."""
    out: dict[str, list[Member]] = {}
    places = dict.fromkeys(zip(heads.layouts[::-1].tolist(), heads.spans[::-1].tolist(), strict=True))
    for row, span in places:
        for owner in owners:
            if owner in out:
                continue
            if span >= 0:
                own = members_of([], [owner], {(span, owner): fetched.get((span, owner), ())})
            else:
                own = members_of([loaded[row].layout], [owner]) if row in loaded else []
            if own:
                out[owner] = own
    return out


def sparklines(
    cluster_id: int,
    what: Literal["topic_rate", "group_lag"],
    owners: Sequence[str],
    since: float,
    until: float,
    points: int = 60,
) -> dict[str, list[float | None]]:
    """At most `points` evenly spaced values per owner, None where nothing is known; all lists are of one length.

    A topic's value is its messages per second since the value before, a group's its lag at that moment.
    The number of queries does not depend on the number of owners.
    """
    owners = list(dict.fromkeys(owners))
    if what == "topic_rate":
        heads = _sparse(cluster_id, Kind.END, since, until, points + 1)
        loaded = layouts.load(heads.layout_rows)
        fetched = fetch(Kind.END, heads, owners)
        members = members_of([stored.layout for stored in loaded.values()], owners, fetched)
        ends = Selection(cluster_id, Kind.END, heads, loaded, members, fetched).at(slice(None))
        rates, known = _rates(heads, ends, _owner_numbers(members, owners), len(owners))
        values: NDArray[np.int64] | NDArray[np.float64] = rates
    elif what == "group_lag":
        heads, values, known = _group_lags(cluster_id, owners, since, until, points)
    else:
        raise ValueError(f"no sparkline {what!r}; there are topic_rate and group_lag")
    grid = _Grid(cluster_id, heads, since, until, points)
    return {owner: grid.line(values[:, i], known[:, i]) for i, owner in enumerate(owners)}


def cluster_sparkline(cluster_id: int, since: float, until: float, points: int = 60) -> list[float | None]:
    """Messages per second of all topics together, as `sparklines`; partitions that are not known are left out.

    Only from what is in frames still: the newest half hour at least.
    """
    heads = _sparse(cluster_id, Kind.END, since, until, points + 1)
    heads = heads.take(heads.spans < 0)
    marks = decoded.marks(first_segments(cluster_id, Kind.END).filter(cycle__in=heads.cycles.tolist()))
    own = marks.get(Kind.END, [])
    loaded = layouts.load_named({mark.layout: mark.digest for mark in own})
    found = decoded.columns(cluster_id, Kind.END, own, loaded)
    rates, known = np.zeros(len(own)), np.zeros(len(own), dtype=np.bool_)
    for i in range(1, len(own)):
        before, now = found[i - 1], found[i]
        if before is None or now is None:
            continue
        if before.layout is now.layout:
            values, there = before.numbers.values, before.numbers.known
        else:
            at = layouts.stored(before.layout).positions_of(layouts.stored(now.layout))
            values = before.numbers.values[at] if len(before.layout) else np.zeros(len(at), dtype=np.int64)
            there = (before.numbers.known[at] if len(before.layout) else np.zeros(len(at), dtype=np.bool_)) & (at >= 0)
        step = now.numbers.values - values
        usable = there & now.numbers.known & (step >= 0)
        rates[i] = step[usable].sum() / (own[i].taken_at - own[i - 1].taken_at)
        known[i] = bool(usable.any())
    return _Grid(cluster_id, heads, since, until, points).line(rates, known)


def _owner_numbers(members: Sequence[tuple[str, str, int]], owners: Sequence[str]) -> NDArray[np.int64]:
    number = {owner: i for i, owner in enumerate(owners)}
    return np.array([number[owner] for owner, _, _ in members], dtype=np.int64)


def _sum_rows(
    values: NDArray[np.int64],
    known: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    index: NDArray[np.int64],
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Sums per row and owner over the counted members: (k, m) to (k, count)."""
    rows = np.arange(len(values))[:, None] * count + index[None, :]
    flat = sums(Numbers(values[counted], known[counted]), rows[counted], len(values) * count)
    return flat.values.reshape(len(values), count), flat.known.reshape(len(values), count)


def _rates(
    heads: Heads, ends: Sampled, index: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rates, known = np.zeros((len(heads), count)), np.zeros((len(heads), count), dtype=np.bool_)
    if len(heads) < 2:
        return rates, known
    step = ends.values[1:] - ends.values[:-1]
    usable = ends.known[1:] & ends.known[:-1] & (step >= 0)
    totals, known[1:] = _sum_rows(step, usable, ends.present[1:], index, count)
    rates[1:] = totals / np.diff(heads.taken_at)[:, None]
    return rates, known


def _group_lags(
    cluster_id: int, owners: Sequence[str], since: float, until: float, points: int
) -> tuple[Heads, NDArray[np.int64], NDArray[np.bool_]]:
    heads = _sparse(cluster_id, Kind.COMMITTED, since, until, points)
    ends = reading.heads_at(cluster_id, Kind.END, heads.cycles.tolist(), since=since)
    starts = _starts_as_of(cluster_id, heads)
    loaded = layouts.load([row for h in (heads, ends, starts) for row in h.layout_rows])
    own = [loaded[row].layout for row in heads.layout_rows if row in loaded]
    fetched = fetch(Kind.COMMITTED, heads, owners)
    members = members_of(own, owners, fetched)
    committed = Selection(cluster_id, Kind.COMMITTED, heads, loaded, members, fetched).at(slice(None))
    end = Selection(cluster_id, Kind.END, ends, loaded, by_topic(members)).at_cycles(heads.cycles)
    start = Selection(cluster_id, Kind.START, starts, loaded, by_topic(members)).at_cycles(heads.cycles, as_of=True)
    lags = partition_lag(*(Numbers(s.values, s.known) for s in (committed, end, start)))
    counted = committed.present & ~(committed.known & (committed.values == NO_COMMIT))
    values, known = _sum_rows(lags.values, lags.known, counted, _owner_numbers(members, owners), len(owners))
    return heads, values, known


def _starts_as_of(cluster_id: int, heads: Heads) -> Heads:
    """Log starts before each head: of the whole range the frames are few, and only those used are read."""
    if not len(heads):
        return heads
    first, last = int(heads.cycles[0]), int(heads.cycles[-1])
    return reading.heads_as_of(cluster_id, Kind.START, first, last, since=float(heads.taken_at[0]))


class _Grid:
    """Evenly spaced places for samples that are only nearly so; as many as the interval gives, `points` at most."""

    def __init__(self, cluster_id: int, heads: Heads, since: float, until: float, points: int) -> None:
        configured = Cluster.objects.filter(pk=cluster_id).values_list("interval_seconds", flat=True).first()
        times = heads.taken_at
        usual = curves.spacing(times, float(configured or 5.0))
        self._width = max((until - since) / max(1, points), usual)
        self._count = max(1, min(points, math.ceil((until - since) / self._width)))
        self._places = np.clip(((times - since) / self._width).astype(np.int64), 0, self._count - 1)
        self._broken = curves.gaps(times, usual)

    def line(self, values: NDArray[np.int64] | NDArray[np.float64], known: NDArray[np.bool_]) -> list[float | None]:
        out: list[float | None] = [None] * self._count
        before = -1
        rows = zip(self._places.tolist(), values.tolist(), known.tolist(), self._broken.tolist(), strict=True)
        for place, value, is_known, is_broken in rows:
            out[place] = value if is_known else None
            if place == before + 2 and before >= 0 and not is_broken:
                out[place - 1] = out[before]  # jitter moved a sample over a border; nothing is missing
            before = place
        return out
