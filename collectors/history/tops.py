"""The first n of many owners over any range: ranked here, out of what the rollups of all of them say."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from collectors.domain.numbers import Numbers
from collectors.models import Rollup, RollupFrame, RollupState

from . import blocks, codec, folding, matrix, ranges, strips
from .cache import LeastRecent
from .codec import BadBodyError
from .families import FIELDS, MILLI, QUANTITIES, RATES, TOTAL, Family, first_row, row_count
from .folding import LONGEST, RESOLUTIONS
from .gauges import GaugeHistory
from .kinds import Kind
from .now import cluster_at

Ints = NDArray[np.int64]

RANKED_BY = 24
"""Stretches that a range is ranked by, at least: hours from a day on, minutes below four hours."""
NEWEST_SECONDS = 300.0
"""A range that ends no earlier than this before the newest cycle counts that cycle too, for so long at most."""


class Quantity(StrEnum):
    """What owners can be ranked by. Of rates those come first that had most in all, of the others the highest."""

    RATE = "rate"  # of topics: messages per second
    SIZE = "size"  # of topics: bytes
    LAG = "lag"  # of groups: records
    ARRIVING = "arriving"  # of groups: per second
    CONSUMED = "consumed"  # of groups: per second
    DISK = "disk"  # of brokers: bytes

    @property
    def family(self) -> Family:
        return next(family for family, names in QUANTITIES.items() if self.value in names)


@dataclass(frozen=True, slots=True)
class Ranked:
    """An owner and what it was ranked by: the highest value, or of a rate the mean over what was sampled."""

    owner: str
    value: float


def curve(
    cluster_id: int, quantity: Quantity, owner: str, since: float, until: float, points: int = 600
) -> GaugeHistory:
    """One quantity of one owner over any range: lowest, highest and last of each point."""
    if quantity.family is Family.BROKER:
        return ranges.gauge_history(cluster_id, Kind.DISK, owner, since, until, points)
    if quantity.family is Family.TOPIC:
        topic = ranges.topic_history(cluster_id, owner, since, until, points)
        return GaugeHistory(topic.times, topic.gap_before, topic.interval, getattr(topic, quantity.value))
    group = ranges.group_history(cluster_id, owner, since, until, points)
    return GaugeHistory(group.times, group.gap_before, group.interval, getattr(group, quantity.value))


def top(
    cluster_id: int,
    quantity: Quantity,
    since: float,
    until: float,
    n: int,
    *,
    among: Collection[str] | None = None,
    skip: Callable[[str], bool] | None = None,
) -> list[Ranked]:
    """The `n` owners with most of a quantity in a range, the first with most; `skip` leaves owners out.

    Every owner's rollups are read, once in a minute for a range; the number of queries does not depend on theirs.
    """
    every = _ranking(cluster_id, quantity, since, until)
    wanted = (
        (value, owner)
        for owner, value in every.items()
        if owner != TOTAL and (among is None or owner in among) and not (skip is not None and skip(owner))
    )
    found = heapq.nsmallest(n, ((-value, owner) for value, owner in wanted))
    return [Ranked(owner, -value) for value, owner in found]


def top_curves(
    cluster_id: int, quantity: Quantity, owners: Collection[str], since: float, until: float, points: int = 600
) -> dict[str, GaugeHistory]:
    """The curves of a few owners, in their order."""
    return {owner: curve(cluster_id, quantity, owner, since, until, points) for owner in owners}


@dataclass(slots=True)
class _Tally:
    """What the rollups of a range say: by owner what came in all (of rates) and the highest; the seconds sampled."""

    came: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.high)


_kept: LeastRecent[tuple[int, str, int, int], _Tally] = LeastRecent(2_000_000, len)


def _ranking(cluster_id: int, quantity: Quantity, since: float, until: float) -> dict[str, float]:
    """Each owner's value. What was rolled up is read once a minute; the newest cycle counts always."""
    key = cluster_id, quantity.value, int(since // 60), int(until // 60)
    rolled = _kept.get(key)
    if rolled is None:
        rolled = _kept.put(key, _rolled(cluster_id, quantity, since, until))
    is_rate = quantity.value in RATES
    out, seconds = dict(rolled.came if is_rate else rolled.high), rolled.seconds
    newest = _newest(cluster_id, quantity, since, until)
    if newest is not None:
        owners, numbers, more = newest
        seconds += more
        for owner, value, known in zip(owners, numbers.values.tolist(), numbers.known.tolist(), strict=True):
            if known:
                out[owner] = out.get(owner, 0.0) + value * more if is_rate else max(out.get(owner, value), value)
    if not is_rate:
        return out
    return {owner: came / seconds for owner, came in out.items()} if seconds > 0 else {}


def _newest(
    cluster_id: int, quantity: Quantity, since: float, until: float
) -> tuple[tuple[str, ...], Numbers, float] | None:
    """What the newest cycle says, if the range ends there, and how many seconds are not rolled up yet."""
    now = cluster_at(cluster_id)
    if now is None or not since <= now.taken_at or not now.taken_at - NEWEST_SECONDS <= until:
        return None
    minute = RollupState.objects.filter(cluster_id=cluster_id).values_list("minute", flat=True).first() or 0
    seconds = min(NEWEST_SECONDS, max(0.0, min(until, now.taken_at) - max(since, minute * 60.0)))
    if quantity.family is Family.TOPIC:
        own = now.topics.messages_per_second if quantity is Quantity.RATE else now.topics.size_bytes
        return now.topics.names, own, seconds
    if quantity is Quantity.LAG:
        return now.groups.names, now.groups.lag, seconds
    if quantity is Quantity.CONSUMED:
        return now.groups.names, now.groups.consumed_per_second, seconds
    return None


def _rolled(cluster_id: int, quantity: Quantity, since: float, until: float) -> _Tally:
    """Out of rollups of the resolution that fits the range, of coarser ones where that is no longer kept."""
    fitting = strips.resolution_for(until - since, RANKED_BY) or RESOLUTIONS[0]
    coarsened = RollupState.objects.filter(cluster_id=cluster_id).values_list("coarsened", flat=True).first() or 0
    tally = _Tally()
    for resolution in RESOLUTIONS[RESOLUTIONS.index(fitting) :]:
        # coarse ones end where minutes are not yet made into them
        border = until if resolution == RESOLUTIONS[0] else min(until, max(since, float(coarsened)))
        parts = [_rows(cluster_id, quantity, resolution, since, border)]
        if border < until:
            parts.append(_rows(cluster_id, quantity, RESOLUTIONS[0], border, until))
        parts.append(_minutes(cluster_id, quantity, since, until))
        for part in parts:
            sampled: dict[str, float] = {}
            for owner, came, seconds, high in part:
                tally.came[owner] = tally.came.get(owner, 0.0) + came
                tally.high[owner] = max(tally.high.get(owner, -np.inf), high)
                sampled[owner] = sampled.get(owner, 0.0) + seconds
            tally.seconds += max(sampled.values(), default=0.0)
        if tally.high:
            break
    return tally


_Part = Iterator[tuple[str, float, float, float]]  # owner, what came in all (of rates), in how many seconds; highest


def _rows(cluster_id: int, quantity: Quantity, resolution: int, since: float, until: float) -> _Part:
    """Out of owners' rows: the stretches that begin in the range."""
    family = quantity.family
    rows = Rollup.objects.filter(
        cluster_id=cluster_id,
        family=family.value,
        resolution=resolution,
        start__gt=since - LONGEST[resolution],
        start__lt=until,
    )
    fields = rows.values_list("pk", "owner", "start", "body")
    for pk, text, start, body in fields.iterator(chunk_size=500):
        try:
            buckets = folding.bucket_count(resolution, start)
            low, over, _, rest, count = _five(quantity, bytes(body), buckets)
        except BadBodyError as error:
            blocks.report(-pk, start, text, error)
            continue
        at = start + np.arange(buckets) * resolution
        inside = (count > 0) & (at >= since - resolution / 2) & (at < until)
        if inside.any():
            low, over, rest, count = low[inside], over[inside], rest[inside], count[inside]
            came = float(((low + rest / count) / MILLI).sum()) * resolution
            yield (
                codec.unescaped(text),
                came,
                float(len(count) * resolution),
                _scaled(quantity, float((low + over).max())),
            )


def _five(quantity: Quantity, body: bytes, buckets: int) -> Ints:
    """(5, buckets) the stored rows of one quantity (see `Rolled.rows`); nothing else is made of the body."""
    family = quantity.family
    opened = matrix.open_body(body)
    if opened.rows < row_count(family) or opened.columns != buckets:
        raise BadBodyError(f"rollup of {opened.rows} rows and {opened.columns} buckets")
    first = first_row(family, quantity.value)
    found = matrix.decode(opened, np.arange(first, first + len(FIELDS)))
    return np.where(found.present, found.values, 0)


def _minutes(cluster_id: int, quantity: Quantity, since: float, until: float) -> _Part:
    """Out of the newest minutes, which are no rows yet."""
    family = quantity.family
    frames = RollupFrame.objects.filter(
        cluster_id=cluster_id, family=family.value, minute__gte=since // 60, minute__lt=until / 60
    )
    found = folding.frames_of(cluster_id, family, list(frames.values_list("minute", flat=True)))
    for owners, rolled in found.values():
        five = rolled.fives[quantity.value]
        mean = np.divide(five.sum, five.count * MILLI, out=np.zeros(len(five.sum)), where=five.known) * 60
        numbers = zip(owners, mean.tolist(), five.high.tolist(), five.known.tolist(), strict=True)
        for owner, came, high, known in numbers:
            if known:
                yield owner, came, 60.0, _scaled(quantity, float(high))


def _scaled(quantity: Quantity, value: float) -> float:
    return value / MILLI if quantity.value in RATES else value
