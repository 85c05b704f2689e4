"""Minutes of every owner out of frames: lag, rates, sizes and verdicts, as charts of single owners compute them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from collectors.domain.lag import gather, partition_lag
from collectors.domain.numbers import NO_COMMIT, Column, Numbers
from collectors.models import Cluster

from . import curves, decoded, layouts, reading
from .ages import ages_at
from .decoded import Mark
from .families import MILLI, QUANTITIES, TOTAL, VERDICTS, Family, Five, Rolled
from .kinds import Kind
from .layouts import StoredLayout, stored
from .now import WINDOW_SECONDS, WINDOW_STEPS, ClusterNow, cluster_at
from .reading import Heads, first_segments
from .slices import GoOn, always, ask

MINUTE = 60
POSITIONS_AT_ONCE = 1_000_000

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

Made = tuple[Family, int, tuple[str, ...], Rolled]  # family, minute, owners, their numbers


def minutes_of(cluster_id: int, first: int, last: int, *, go_on: GoOn = always) -> list[Made]:
    """Minutes `first` to `last` of all families, out of frames; those without a sample are left out."""
    configured = float(
        Cluster.everything.filter(pk=cluster_id).values_list("interval_seconds", flat=True).first() or 5.0
    )
    before = max(WINDOW_SECONDS, WINDOW_STEPS * configured) + configured
    since, until = first * MINUTE, (last + 1) * MINUTE
    span = _Span(cluster_id, configured, since - before, float(np.nextafter(until, 0)), float(since))
    out: list[Made] = []
    for family, series in (
        (Family.TOPIC, _topics(span)),
        (Family.GROUP, _groups(span, go_on)),
        (Family.BROKER, _brokers(span)),
    ):
        out += series.minutes(family, float(since))
    return out


@dataclass(slots=True)
class _Span:
    cluster_id: int
    configured: float
    begin: float  # with what the first rates need
    until: float
    since: float

    def heads(self, kind: Kind) -> Heads:
        heads = reading.heads_in(self.cluster_id, kind, self.begin, self.until)
        return heads.take(heads.spans < 0)

    def columns(self, kind: Kind, cycles: Ints) -> Iterator[tuple[int, Column | None]]:
        """Columns by cycle, a few at a time: a minute of 100 000 positions is too much to hold at once."""
        at, size = 0, 64
        while at < len(cycles):
            some = cycles[at : at + size].tolist()
            marks = decoded.marks(first_segments(self.cluster_id, kind).filter(cycle__in=some)).get(kind, [])
            loaded = layouts.load_named({mark.layout: mark.digest for mark in marks})
            found = _by_cycle(marks, decoded.columns(self.cluster_id, kind, marks, loaded, keep=False))
            for cycle in some:
                yield cycle, found.get(cycle)
            longest = max((len(column.layout) for column in found.values() if column is not None), default=1)
            at, size = at + len(some), max(1, min(200, POSITIONS_AT_ONCE // max(1, longest)))

    def as_of(self, kind: Kind, cycles: Ints) -> dict[int, Column | None]:
        """The newest column of a kind that is not written each cycle, at each of some cycles."""
        if not len(cycles):
            return {}
        heads = reading.heads_as_of(self.cluster_id, kind, int(cycles[0]), int(cycles[-1]))
        heads = heads.take(heads.spans < 0)
        own = dict(self.columns(kind, heads.cycles))
        at = np.searchsorted(heads.cycles, cycles, side="right") - 1
        return {
            cycle: own.get(int(heads.cycles[i])) if i >= 0 else None
            for cycle, i in zip(cycles.tolist(), at.tolist(), strict=True)
        }


def _by_cycle(marks: Sequence[Mark], columns: Sequence[Column | None]) -> dict[int, Column | None]:
    return {mark.cycle: column for mark, column in zip(marks, columns, strict=True)}


@dataclass(slots=True)
class _Series:
    """Quantities by owner over samples: each is (samples, owners) with a mask; owners are added as they come."""

    times: Floats
    configured: float
    index: dict[str, int] = field(default_factory=dict)
    rows: dict[str, list[tuple[Ints, NDArray[np.int64], Bools]]] = field(default_factory=dict)

    def places(self, owners: Sequence[str]) -> Ints:
        return np.array([self.index.setdefault(owner, len(self.index)) for owner in owners], dtype=np.int64)

    def add(self, quantity: str, places: Ints, values: Ints, known: Bools) -> None:
        """The next sample of a quantity."""
        self.rows.setdefault(quantity, []).append((places, values, known))

    def table(self, quantity: str) -> tuple[Ints, Bools]:
        shape = (len(self.times), len(self.index))
        values, known = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.bool_)
        for row, (places, numbers, is_known) in enumerate(self.rows.get(quantity, [])):
            values[row, places], known[row, places] = numbers, is_known
        return values, known

    def rate(self, quantity: str) -> tuple[Ints, Bools]:
        """Thousandths per second over a sliding window, from what `quantity` came to between samples.

        `quantity` holds the steps and which of them count, `<quantity>?` whether the sample itself is known.
        """
        steps, valid = self.table(quantity)
        _, known = self.table(quantity + "?")
        interval = curves.spacing(self.times, self.configured)
        reach = max(WINDOW_SECONDS, WINDOW_STEPS * interval) + interval / 2
        broken = curves.gaps(self.times, self.configured)
        rates, there = curves.sliding_rates(self.times, steps, valid, known, reach=reach, broken=broken)
        return np.round(rates * MILLI).astype(np.int64), there

    def minutes(self, family: Family, since: float) -> list[Made]:
        shown = self.times >= since
        if not shown.any() or not self.index:
            return []
        places = np.floor(self.times[shown] / MINUTE).astype(np.int64)
        starts = np.flatnonzero(np.concatenate(([True], places[1:] != places[:-1])))
        fives: dict[str, Five] = {}
        for name in QUANTITIES[family]:
            values, known = self.rate(name) if name in ("rate", "arriving", "consumed") else self.table(name)
            values, known = _with_total(values, known, in_total=name not in ("verdict", "reach", "age"))
            fives[name] = _five(values[shown], known[shown], starts)
        shares = np.zeros((0, len(starts), len(self.index) + 1), dtype=np.int64)
        if family is Family.GROUP:
            values, known = _with_total(*self.table("verdict"), in_total=False)
            each = [((values == verdict) & known)[shown].astype(np.int64) for verdict in range(VERDICTS)]
            shares = np.stack([np.add.reduceat(one, starts, axis=0) for one in each])
            shares[:, :, -1] = shares[:, :, :-1].sum(axis=2)  # of the whole cluster: samples of all groups
        owners = [*self.index, TOTAL]
        # a group without a name counts in the sum, and has no rollups: its name is that of the sum
        kept = [place for owner, place in self.index.items() if owner != TOTAL] + [len(self.index)]
        order = np.array(sorted(kept, key=owners.__getitem__), dtype=np.int64)
        names = tuple(owners[i] for i in order.tolist())
        out: list[Made] = []
        for i, start in enumerate(starts.tolist()):
            taken = {name: five.take((i, order)) for name, five in fives.items()}
            out.append((family, int(places[start]), names, Rolled(family, taken, shares[:, i, :][:, order])))
        return out


def _with_total(values: Ints, known: Bools, *, in_total: bool) -> tuple[Ints, Bools]:
    """One column more: the sum over owners whose number is known."""
    if in_total:
        total, there = np.where(known, values, 0).sum(axis=1), known.any(axis=1)
    else:
        total, there = np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=np.bool_)
    return np.column_stack((values, total)), np.column_stack((known, there))


def _five(values: Ints, known: Bools, starts: Ints) -> Five:
    """Samples (k, owners) reduced to stretches (n, owners)."""
    most, least = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    low = np.minimum.reduceat(np.where(known, values, most), starts, axis=0)
    high = np.maximum.reduceat(np.where(known, values, least), starts, axis=0)
    total = np.add.reduceat(np.where(known, values, 0), starts, axis=0)
    count = np.add.reduceat(known.astype(np.int64), starts, axis=0)
    newest = np.maximum.accumulate(np.where(known, np.arange(len(values))[:, None], -1), axis=0)
    ends = np.append(starts[1:], len(values)) - 1
    last = np.take_along_axis(values, np.maximum(newest[ends], 0), axis=0)
    return Five.where_known(low, high, last, total, count)


@dataclass(slots=True)
class _Before:
    """A column of the sample before, and what it needs to be compared with the next."""

    column: Column
    stored: StoredLayout

    def aligned(self, now: StoredLayout) -> Numbers:
        if self.stored is now:
            return self.column.numbers
        return gather(self.column.numbers, self.stored.positions_of(now))


def _owner_sums(values: Ints, keep: Bools, owners: Ints, count: int) -> Ints:
    out = np.zeros(count, dtype=np.int64)
    np.add.at(out, owners[keep], values[keep])
    return out


def _all_of(known: Bools, counted: Bools, owners: Ints, count: int) -> Bools:
    """Per owner: is there a counted position, and is each of them known."""
    members = np.bincount(owners[counted], minlength=count)
    good = np.bincount(owners[counted & known], minlength=count)
    whole: Bools = (members > 0) & (members == good)
    return whole


def _steps(before: Numbers | None, now: Numbers, counted: Bools, owners: Ints, count: int) -> tuple[Ints, Bools]:
    if before is None:
        return np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.bool_)
    step = now.values - before.values
    forward = now.known & before.known & (step >= 0)
    return _owner_sums(step, forward & counted, owners, count), _all_of(forward, counted, owners, count)


def _topics(span: _Span) -> _Series:
    heads = span.heads(Kind.END)
    series = _Series(heads.taken_at, span.configured)
    sizes = span.as_of(Kind.SIZE, heads.cycles)
    before: _Before | None = None
    for cycle, column in span.columns(Kind.END, heads.cycles):
        if column is None:
            _add_nothing(series, "rate", "rate?", "size")
            before = None
            continue
        layout = stored(column.layout)
        owners, count = column.layout.owner_of_position, len(column.layout.owners)
        places = series.places(column.layout.owners)
        everywhere = np.ones(len(column.layout), dtype=np.bool_)
        steps, valid = _steps(before.aligned(layout) if before else None, column.numbers, everywhere, owners, count)
        series.add("rate", places, steps, valid)
        series.add("rate?", places, steps, _all_of(column.numbers.known, everywhere, owners, count))
        size = sizes.get(cycle)
        if size is None:
            _add_nothing(series, "size")
        else:
            own, several = size.layout.owner_of_position, len(size.layout.owners)
            there = np.ones(len(size.layout), dtype=np.bool_)
            total = _owner_sums(size.numbers.values, size.numbers.known, own, several)
            at = series.places(size.layout.owners)
            series.add("size", at, total, _all_of(size.numbers.known, there, own, several))
        before = _Before(column, layout)
    return series


def _add_nothing(series: _Series, *quantities: str) -> None:
    nobody = np.zeros(0, dtype=np.int64)
    for quantity in quantities:
        series.add(quantity, nobody, nobody, nobody.astype(np.bool_))


def _groups(span: _Span, go_on: GoOn) -> _Series:
    heads = span.heads(Kind.COMMITTED)
    series = _Series(heads.taken_at, span.configured)
    lasts = _last_of_minutes(heads, span.since)
    starts = span.as_of(Kind.START, heads.cycles)
    ends, verdicts = span.columns(Kind.END, heads.cycles), span.columns(Kind.VERDICT, heads.cycles)
    committed_before: _Before | None = None
    end_before: Numbers | None = None
    columns = zip(span.columns(Kind.COMMITTED, heads.cycles), ends, verdicts, strict=True)
    for (cycle, column), (_, end), (_, verdict) in columns:
        if verdict is None:
            _add_nothing(series, "verdict")
        else:
            series.add("verdict", series.places(verdict.layout.owners), verdict.numbers.values, verdict.numbers.known)
        if column is None:
            _add_nothing(series, "lag", "arriving", "arriving?", "consumed", "consumed?", "age")
            committed_before = end_before = None
            continue
        layout = stored(column.layout)
        owners, count = column.layout.owner_of_position, len(column.layout.owners)
        places = series.places(column.layout.owners)
        numbers = column.numbers
        counted = ~(numbers.known & (numbers.values == NO_COMMIT))
        ends_here = _at_topics(end, layout)
        lag = partition_lag(numbers, ends_here, _at_topics(starts.get(cycle), layout))
        series.add(
            "lag",
            places,
            _owner_sums(lag.values, lag.known & counted, owners, count),
            _all_of(lag.known, counted, owners, count),
        )
        commits = Numbers(numbers.values, numbers.known & (numbers.values != NO_COMMIT))
        was = committed_before.aligned(layout) if committed_before else None
        if was is not None:
            was = Numbers(was.values, was.known & (was.values != NO_COMMIT))
        series.add("consumed", places, *_steps(was, commits, counted, owners, count))
        series.add("consumed?", places, places, _all_of(numbers.known, counted, owners, count))
        if end_before is not None and committed_before is not None and committed_before.stored is not layout:
            end_before = gather(end_before, committed_before.stored.positions_of(layout))
        series.add("arriving", places, *_steps(end_before, ends_here, counted, owners, count))
        series.add("arriving?", places, places, _all_of(ends_here.known, counted, owners, count))
        now = None
        if cycle in lasts and len(layout.layout):
            ask(go_on)
            now = cluster_at(span.cluster_id, cycle)
        _add_ages(series, now)
        committed_before, end_before = _Before(column, layout), ends_here
    return series


def _last_of_minutes(heads: Heads, since: float) -> set[int]:
    """The last cycle of each minute: ages are kept of these alone, since they cost more than all the rest."""
    minutes = np.floor(heads.taken_at / MINUTE)
    is_last = np.append(minutes[1:] != minutes[:-1], True)[: len(minutes)]
    return set(heads.cycles[is_last & (heads.taken_at >= since)].tolist())


def _add_ages(series: _Series, now: ClusterNow | None) -> None:
    if now is None:
        _add_nothing(series, "age")
        return
    ages = ages_at(now).groups
    known = ages.known
    milliseconds = np.round(np.where(known, ages.seconds, 0.0) * MILLI).astype(np.int64)
    series.add("age", series.places(now.groups.names), milliseconds, known)


def _at_topics(column: Column | None, layout: StoredLayout) -> Numbers:
    if column is None:
        return Numbers.unknown(len(layout.layout))
    return gather(column.numbers, stored(column.layout).positions_by_topic(layout))


def _brokers(span: _Span) -> _Series:
    kinds = {"reach": Kind.BROKER, "disk": Kind.DISK, "leaders": Kind.LEADERS}
    heads = {name: span.heads(kind) for name, kind in kinds.items()}
    found: dict[str, dict[int, Column | None]] = {
        name: dict(span.columns(kinds[name], own.cycles)) for name, own in heads.items()
    }
    moments: dict[int, float] = {}
    for own in heads.values():
        moments.update(zip(own.cycles.tolist(), own.taken_at.tolist(), strict=True))
    cycles = sorted(moments)
    series = _Series(np.array([moments[cycle] for cycle in cycles], dtype=np.float64), span.configured)
    for cycle in cycles:
        for name in kinds:
            column = found[name].get(cycle)
            if column is None:
                _add_nothing(series, name)
            else:
                series.add(name, series.places(column.layout.owners), column.numbers.values, column.numbers.known)
    return series
