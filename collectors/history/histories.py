"""Curves of one group and of one topic over a range of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from collectors.domain.lag import partition_lag
from collectors.domain.numbers import NO_COMMIT, Numbers
from collectors.models import Cluster

from . import curves, layouts, reading
from .curves import Band, Buckets
from .kinds import Kind
from .now import WINDOW_SECONDS, WINDOW_STEPS
from .reading import Heads
from .selection import Member, Sampled, Selection, by_topic, fetch, members_of

PARTS_SHOWN = 50

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Part = tuple[str, int]  # topic, partition; -1 for the whole topic


@dataclass(frozen=True, slots=True, eq=False)
class GroupHistory:
    """Points of a group's curves, oldest first, all of shape (n,)."""

    times: NDArray[np.float64]  # unix seconds
    gap_before: Bools
    interval: float  # seconds between the samples below
    lag: Band  # records
    arriving: Band  # per second
    consumed: Band  # per second
    parts: Mapping[Part, Band] = field(default_factory=dict)  # lag, most lag at the end first


@dataclass(frozen=True, slots=True, eq=False)
class TopicHistory:
    """Points of a topic's curves, oldest first, all of shape (n,)."""

    times: NDArray[np.float64]
    gap_before: Bools
    interval: float
    rate: Band  # messages per second
    size: Band  # bytes of the leaders' replicas, as of the survey before each sample


@dataclass(frozen=True, slots=True, eq=False)
class _Range:
    """Samples of a range and those before it that the first rates need."""

    heads: Heads
    interval: float
    reach: float
    since: float
    until: float
    configured: float

    @property
    def shown(self) -> Bools:
        return self.heads.taken_at >= self.since

    def buckets(self, points: int) -> Buckets:
        return curves.buckets(self.heads.taken_at[self.shown], self.since, self.until, points, self.configured)

    def rate(self, buckets: Buckets, steps: Ints, valid: Bools, known: Bools) -> Band:
        times = self.heads.taken_at
        broken = curves.gaps(times, self.configured)
        rate, rate_known = curves.sliding_rate(times, steps, valid, known, reach=self.reach, broken=broken)
        return buckets.band(rate[self.shown], rate_known[self.shown])


def _range(cluster_id: int, kind: Kind, since: float, until: float) -> _Range:
    configured = float(Cluster.objects.filter(pk=cluster_id).values_list("interval_seconds", flat=True).first() or 5.0)
    before = max(WINDOW_SECONDS, WINDOW_STEPS * configured) + configured
    heads = reading.heads_in(cluster_id, kind, since - before, until)
    interval = curves.spacing(heads.taken_at, configured)
    reach = max(WINDOW_SECONDS, WINDOW_STEPS * interval) + interval / 2
    return _Range(heads, interval, reach, since, until, configured)


def _per_row(members: int) -> int:
    """What decoding one sample costs, in numbers: its own, and the bytes of the segments around them."""
    return members + members // 4 + 256


def _with_carry(carry: Sampled | None, now: Sampled) -> Sampled:
    if carry is None:
        return now
    return Sampled(*(np.concatenate((getattr(carry, f)[-1:], getattr(now, f))) for f in ("values", "known", "present")))


def _all_of(known: Bools, counted: Bools) -> Bools:
    """Per row: is there a counted member, and is each of them known."""
    return np.logical_and(counted.any(axis=1), (known | ~counted).all(axis=1))


def _steps(values: Ints, known: Bools, counted: Bools) -> tuple[Ints, Bools]:
    """Sum of the steps into each row but the first, and whether every counted member made a forward step."""
    if counted.all() and known.all() and values.size and (values[1:] >= values[:-1]).all():
        return np.diff(values.sum(axis=1)), np.ones(max(0, len(values) - 1), dtype=np.bool_)
    step = values[1:] - values[:-1]
    forward = known[1:] & known[:-1] & (step >= 0)
    total = np.where(forward & counted[1:], step, 0).sum(axis=1)
    return total, _all_of(forward, counted[1:])


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
    """Lag, arriving and consumed records of a group; with `topic` only of its positions there.

    Lag is end minus committed offset of the same cycle, known only if it is at every position with a commit.
    `parts` adds the lag per topic or partition, the 50 with the most at the end of the range.
    """
    span = _range(cluster_id, Kind.COMMITTED, since, until)
    heads = span.heads
    if len(heads):
        first, last, begin = int(heads.cycles[0]), int(heads.cycles[-1]), float(heads.taken_at[0])
        ends = reading.heads_between(cluster_id, Kind.END, first, last, since=begin)
        starts = reading.heads_as_of(cluster_id, Kind.START, first, last, since=begin)
    else:
        ends = starts = heads
    loaded = layouts.load([row for h in (heads, ends, starts) for row in h.layout_rows])
    own = [loaded[row].layout for row in heads.layout_rows if row in loaded]
    fetched = fetch(Kind.COMMITTED, heads, [group])
    members = [m for m in members_of(own, [group], fetched) if topic is None or m[1] == topic]
    committed = Selection(cluster_id, Kind.COMMITTED, heads, loaded, members, fetched)
    end = Selection(cluster_id, Kind.END, ends, loaded, by_topic(members))
    start = Selection(cluster_id, Kind.START, starts, loaded, by_topic(members))
    count = len(heads)
    lag, consumed, arriving = (np.zeros(count, dtype=np.int64) for _ in range(3))
    lag_known, consumed_valid, arriving_valid, c_known, e_known = (np.zeros(count, dtype=np.bool_) for _ in range(5))
    chosen = _choose_parts(committed, end, start, members, parts) if parts and count else {}
    part_lag = np.zeros((count, len(chosen)), dtype=np.int64)
    part_known = np.zeros((count, len(chosen)), dtype=np.bool_)
    carry: tuple[Sampled, Sampled] | None = None
    for where in reading.chunks(heads, _per_row(len(members))):
        cycles = heads.cycles[where]
        c, e = committed.at(where), end.at_cycles(cycles)
        counted = _counted(c)
        lags = _lags(c, e, start.at_cycles(cycles, as_of=True))
        lag[where], lag_known[where] = _sum(lags, counted)
        for i, indices in enumerate(chosen.values()):
            part = Numbers(lags.values[:, indices], lags.known[:, indices])
            part_lag[where, i], part_known[where, i] = _sum(part, counted[:, indices])
        c_known[where], e_known[where] = _all_of(c.known, counted), _all_of(e.known, counted)
        c2, e2 = _with_carry(carry[0] if carry else None, c), _with_carry(carry[1] if carry else None, e)
        into = slice(where.start + (carry is None), where.start + len(cycles))
        both = _counted(c2)
        consumed[into], consumed_valid[into] = _steps(c2.values, c2.known & (c2.values != NO_COMMIT), both)
        arriving[into], arriving_valid[into] = _steps(e2.values, e2.known, both)
        carry = c, e
    buckets = span.buckets(points)
    shown = span.shown
    return GroupHistory(
        times=buckets.times,
        gap_before=buckets.gap_before,
        interval=span.interval,
        lag=buckets.band(lag[shown], lag_known[shown]),
        arriving=span.rate(buckets, arriving, arriving_valid, e_known),
        consumed=span.rate(buckets, consumed, consumed_valid, c_known),
        parts={part: buckets.band(part_lag[shown, i], part_known[shown, i]) for i, part in enumerate(chosen)},
    )


def _counted(committed: Sampled) -> Bools:
    """Positions that a group's lag needs: all it has, but those known to have no commit."""
    counted: Bools = committed.present & ~(committed.known & (committed.values == NO_COMMIT))
    return counted


def _lags(committed: Sampled, end: Sampled, start: Sampled) -> Numbers:
    flat = partition_lag(*(Numbers(s.values.ravel(), s.known.ravel()) for s in (committed, end, start)))
    shape = committed.values.shape
    return Numbers(flat.values.reshape(shape), flat.known.reshape(shape))


def _sum(lags: Numbers, counted: Bools) -> tuple[Ints, Bools]:
    total = np.where(lags.known & counted, lags.values, 0).sum(axis=1)
    return total, _all_of(lags.known, counted)


def _choose_parts(
    committed: Selection, end: Selection, start: Selection, members: list[Member], by: Literal["topic", "partition"]
) -> dict[Part, Ints]:
    """The parts with the most lag at the newest sample, and which members each is made of."""
    groups: dict[Part, list[int]] = {}
    for i, (_, topic, partition) in enumerate(members):
        groups.setdefault((topic, partition if by == "partition" else -1), []).append(i)
    cycles = committed.heads.cycles[-1:]
    c = committed.at_cycles(cycles)
    lags = _lags(c, end.at_cycles(cycles), start.at_cycles(cycles, as_of=True))
    counted = _counted(c)
    newest: dict[Part, int] = {}
    for part, indices in groups.items():
        total, known = _sum(Numbers(lags.values[:, indices], lags.known[:, indices]), counted[:, indices])
        newest[part] = int(total[0]) if known[0] else -1
    order = sorted(groups, key=lambda part: (-newest[part], part))[:PARTS_SHOWN]
    return {part: np.array(groups[part], dtype=np.int64) for part in order}


def topic_history(cluster_id: int, topic: str, since: float, until: float, points: int = 600) -> TopicHistory:
    """Messages per second and bytes of a topic; known only where all its partitions are."""
    span = _range(cluster_id, Kind.END, since, until)
    heads = span.heads
    sizes = heads
    if len(heads):
        first, last = int(heads.cycles[0]), int(heads.cycles[-1])
        sizes = reading.heads_as_of(cluster_id, Kind.SIZE, first, last, since=float(heads.taken_at[0]))
    loaded = layouts.load([*heads.layout_rows, *sizes.layout_rows])
    fetched = fetch(Kind.END, heads, [topic])
    members = members_of([loaded[row].layout for row in heads.layout_rows if row in loaded], [topic], fetched)
    end = Selection(cluster_id, Kind.END, heads, loaded, members, fetched)
    size = Selection(cluster_id, Kind.SIZE, sizes, loaded, members)
    count = len(heads)
    steps, total = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    valid, known, total_known = (np.zeros(count, dtype=np.bool_) for _ in range(3))
    carry: Sampled | None = None
    for where in reading.chunks(heads, _per_row(len(members))):
        e = end.at(where)
        if len(sizes):
            s = size.at_cycles(heads.cycles[where], as_of=True)
            total[where], total_known[where] = _sum(Numbers(s.values, s.known), s.present)
        known[where] = _all_of(e.known, e.present)
        e2 = _with_carry(carry, e)
        into = slice(where.start + (carry is None), where.start + len(e.values))
        steps[into], valid[into] = _steps(e2.values, e2.known, e2.present)
        carry = e
    buckets = span.buckets(points)
    return TopicHistory(
        times=buckets.times,
        gap_before=buckets.gap_before,
        interval=span.interval,
        rate=span.rate(buckets, steps, valid, known),
        size=buckets.band(total[span.shown], total_known[span.shown]),
    )
