"""Frames back to numbers: which samples there are, and some positions of many of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import QuerySet
from numpy.typing import NDArray

from collectors.models import Frame

from . import codec, spans
from .cache import LeastRecent
from .kinds import Kind
from .layouts import StoredLayout
from .spans import Axis

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
log = logging.getLogger(__name__)

VALUES_AT_ONCE = 4_000_000
"""Numbers decoded in one go: bounds the memory of a long range over many partitions."""


@dataclass(frozen=True, slots=True)
class Heads:
    """The samples of one kind, oldest first: cycle, moment (unix seconds), and where its numbers are.

    In frames: the key frame's cycle and the layout row. In blocks: the span, and the sample's place in it; -1 where
    it does not apply.
    """

    cycles: Ints
    taken_at: NDArray[np.float64]
    key_cycles: Ints
    layouts: Ints
    spans: Ints
    places: Ints

    def __len__(self) -> int:
        return len(self.cycles)

    def take(self, where: slice | Ints | Bools) -> Heads:
        return Heads(
            self.cycles[where],
            self.taken_at[where],
            self.key_cycles[where],
            self.layouts[where],
            self.spans[where],
            self.places[where],
        )

    @property
    def layout_rows(self) -> list[int]:
        """The layouts of those that are frames."""
        rows: list[int] = np.unique(self.layouts[self.layouts >= 0]).tolist()
        return rows

    @property
    def span_rows(self) -> list[int]:
        """The spans of those that are in blocks, oldest first."""
        return list(dict.fromkeys(self.spans[self.spans >= 0].tolist()))

    @classmethod
    def of(cls, rows: Iterable[tuple[int, float, int, int]]) -> Heads:
        cycles, taken_at, keys, layouts = zip(*rows, strict=True) if (rows := list(rows)) else ((), (), (), ())
        integers = (np.array(column, dtype=np.int64) for column in (cycles, keys, layouts))
        cycle_array, key_array, layout_array = integers
        nowhere = np.full(len(cycles), -1, dtype=np.int64)
        return cls(cycle_array, np.array(taken_at, dtype=np.float64), key_array, layout_array, nowhere, nowhere)

    @classmethod
    def of_axis(cls, axis: Axis) -> Heads:
        count = len(axis.cycles)
        nowhere = np.full(count, -1, dtype=np.int64)
        return cls(axis.cycles, axis.taken_at, nowhere, nowhere, np.full(count, axis.span), np.arange(count))


def _join(frames: Heads, axes: Sequence[Axis]) -> Heads:
    """Frames and compacted spans as one: of what is in both, the blocks count (frames of it may be half deleted)."""
    if not axes:
        return frames
    covered = np.zeros(len(frames), dtype=np.bool_)
    for axis in axes:
        covered |= (frames.cycles >= axis.first) & (frames.cycles <= axis.last)
    every = [*(Heads.of_axis(axis) for axis in axes), frames.take(~covered)]
    joined = Heads(*(np.concatenate(column) for column in zip(*(_parts(heads) for heads in every), strict=True)))
    return joined.take(np.argsort(joined.cycles, kind="stable"))


def first_segments(cluster_id: int, kind: Kind) -> QuerySet[Frame]:
    """One row per stored cycle: each frame has a segment 0."""
    return Frame.objects.filter(cluster_id=cluster_id, kind=kind.value, segment=0)


def _heads(rows: QuerySet[Frame]) -> Heads:
    return Heads.of(rows.order_by("cycle").values_list("cycle", "taken_at", "key_cycle", "layout_id"))


def cycle_range(cluster_id: int, kind: Kind, since: float, until: float) -> tuple[int, int] | None:
    """First and last cycle with a sample taken in a stretch of time; three queries."""
    return _cycle_range(cluster_id, kind, since, until, spans.within(cluster_id, kind, since, until))


def frame_range(cluster_id: int, kind: Kind, since: float, until: float) -> tuple[int, int] | None:
    """The same among frames only; two queries."""
    frames = Frame.objects.filter(cluster_id=cluster_id, kind=kind.value)
    first = frames.filter(taken_at__gte=since).order_by("taken_at").values_list("cycle", flat=True).first()
    last = frames.filter(taken_at__lte=until).order_by("-taken_at").values_list("cycle", flat=True).first()
    return None if first is None or last is None or last < first else (first, last)


def _cycle_range(
    cluster_id: int, kind: Kind, since: float, until: float, axes: Sequence[Axis]
) -> tuple[int, int] | None:
    ends = list(frame_range(cluster_id, kind, since, until) or ())
    for axis in axes:
        inside = axis.cycles[(axis.taken_at >= since) & (axis.taken_at <= until)]
        ends += inside[[0, -1]].tolist() if len(inside) else []
    return (min(ends), max(ends)) if ends else None


def heads_between(cluster_id: int, kind: Kind, first: int, last: int, *, since: float = 0.0) -> Heads:
    """The samples of a range of cycles; two queries, or one when they were taken `since` a moment that is young."""
    axes = [] if spans.is_hot(since) else spans.between(cluster_id, kind, first, last)
    return _between(cluster_id, kind, first, last, axes)


def _between(cluster_id: int, kind: Kind, first: int, last: int, axes: Sequence[Axis]) -> Heads:
    frames = _heads(first_segments(cluster_id, kind).filter(cycle__gte=first, cycle__lte=last))
    joined = _join(frames, axes)
    return joined.take((joined.cycles >= first) & (joined.cycles <= last)) if axes else joined


def heads_in(cluster_id: int, kind: Kind, since: float, until: float) -> Heads:
    """Samples taken in a stretch of time; four queries. After a clock that stepped back, samples are left out
    until the time goes on, so `taken_at` grows strictly."""
    axes = spans.within(cluster_id, kind, since, until)
    cycles = _cycle_range(cluster_id, kind, since, until, axes)
    if cycles is None:
        return Heads.of([])
    return forward(_between(cluster_id, kind, *cycles, axes), since, until)


def forward(heads: Heads, since: float, until: float) -> Heads:
    if not len(heads):
        return heads
    so_far = np.maximum.accumulate(heads.taken_at)
    fresh = np.concatenate(([True], heads.taken_at[1:] > so_far[:-1]))
    return heads.take(fresh & (heads.taken_at >= since) & (heads.taken_at <= until))


def heads_at(cluster_id: int, kind: Kind, cycles: Sequence[int], *, since: float = 0.0) -> Heads:
    """The samples of these cycles, as far as there are; queries as in `heads_between`."""
    if not cycles:
        return Heads.of([])
    frames = _heads(first_segments(cluster_id, kind).filter(cycle__in=cycles))
    axes = [] if spans.is_hot(since) else spans.between(cluster_id, kind, min(cycles), max(cycles))
    joined = _join(frames, axes)
    return joined.take(np.isin(joined.cycles, cycles)) if axes else joined


def heads_as_of(cluster_id: int, kind: Kind, first: int, last: int, *, since: float = 0.0) -> Heads:
    """The samples of a range of cycles, and the newest one before it: for kinds that are not written each cycle.

    Queries as in `heads_between`.
    """
    rows = first_segments(cluster_id, kind)
    before = rows.filter(cycle__lte=first).order_by("-cycle").values("cycle")[:1]
    frames = _heads(rows.filter(cycle__in=before) | rows.filter(cycle__gt=first, cycle__lte=last))
    if spans.is_hot(since) and len(frames) and frames.cycles[0] <= first and spans.is_hot(float(frames.taken_at[0])):
        return frames
    joined = _join(frames, spans.as_of(cluster_id, kind, first, last))
    at = int(np.searchsorted(joined.cycles, first, side="right")) - 1
    return joined.take((np.arange(len(joined)) >= max(0, at)) & (joined.cycles <= last))


def _parts(heads: Heads) -> tuple[Ints, NDArray[np.float64], Ints, Ints, Ints, Ints]:
    return heads.cycles, heads.taken_at, heads.key_cycles, heads.layouts, heads.spans, heads.places


# Some positions of many frames


def read(
    cluster_id: int,
    kind: Kind,
    heads: Heads,
    layouts: Mapping[int, StoredLayout],
    positions: Mapping[int, Ints],
    count: int,
) -> tuple[Ints, Bools]:
    """Values (k, count) and known (k, count) of `count` members at each head, all of them frames; one query.

    `positions[row id of a layout]` (count,) says where its frames hold each member, -1 where they do not.
    What is missing, damaged or of an unreadable layout is not known.
    """
    values = np.zeros((len(heads), count), dtype=np.int64)
    known = np.zeros((len(heads), count), dtype=np.bool_)
    usable = {row for row in np.unique(heads.layouts).tolist() if row in layouts and row in positions}
    segments = {row: _segments(layouts[row], positions[row]) for row in usable}
    wanted = sorted({segment for each in segments.values() for segment in np.unique(each[each >= 0]).tolist()})
    if not wanted or not len(heads):
        return values, known
    bodies: dict[int, dict[int, tuple[int, bytes]]] = {segment: {} for segment in wanted}
    for segment, cycle, layout, body in _rows(cluster_id, kind, heads, wanted):
        bodies[segment][cycle] = layout, bytes(body)
    cycles, key_cycles = heads.cycles.tolist(), heads.key_cycles.tolist()
    problems = Problems(cluster_id, kind)
    for row in usable:
        at = np.flatnonzero(heads.layouts == row)
        for segment in np.unique(segments[row][segments[row] >= 0]).tolist():
            columns = np.flatnonzero(segments[row] == segment)
            first, end = layouts[row].cuts[segment : segment + 2].tolist()
            own = bodies[segment]
            found = [i for i in at.tolist() if own.get(cycles[i], (0, b""))[0] == row]
            keys = _keys(problems, own, segment, {key_cycles[i] for i in found}, end - first)
            got, got_known, bad = codec.decode_many(
                [own[cycles[i]][1] for i in found],
                [keys.get(key_cycles[i]) for i in found],
                end - first,
                _as_slice(positions[row][columns] - first),
            )
            for i, error in bad:
                problems.add(cycles[found[i]], segment, error)
            where = np.ix_(np.array(found, dtype=np.int64), columns)
            values[where], known[where] = got, got_known
    problems.report()
    return values, known


def chunks(heads: Heads, per_row: int) -> Iterator[slice]:
    """Stretches of heads of which about VALUES_AT_ONCE numbers are decoded together."""
    size = max(80, VALUES_AT_ONCE // max(1, per_row))
    for at in range(0, len(heads), size):
        yield slice(at, at + size)


def _segments(layout: StoredLayout, positions: Ints) -> Ints:
    return np.where(positions >= 0, layout.segments_of(np.maximum(positions, 0)), -1)


def _as_slice(indices: Ints) -> slice | Ints:
    """Neighbours are taken as a slice, which copies nothing."""
    if len(indices) and bool((np.diff(indices) == 1).all()):
        return slice(int(indices[0]), int(indices[-1]) + 1)
    return indices


def _rows(
    cluster_id: int, kind: Kind, heads: Heads, segments: Sequence[int]
) -> Iterable[tuple[int, int, int, bytes | memoryview]]:
    rows = Frame.objects.filter(cluster_id=cluster_id, kind=kind.value, segment__in=segments)
    first, last = int(heads.key_cycles.min()), int(heads.cycles.max())
    needed = np.union1d(heads.cycles, heads.key_cycles)
    if len(needed) <= 500 and len(needed) * 3 < last - first:
        rows = rows.filter(cycle__in=needed.tolist())
    else:
        rows = rows.filter(cycle__gte=first, cycle__lte=last)
    return rows.values_list("segment", "cycle", "layout_id", "body").iterator(chunk_size=2000)


def _keys(
    problems: Problems,
    bodies: Mapping[int, tuple[int, bytes]],
    segment: int,
    cycles: Iterable[int],
    positions: int,
) -> dict[int, codec.Segment]:
    out = {}
    for cycle in cycles:
        stored = bodies.get(cycle)
        if stored is None:
            continue
        try:
            out[cycle] = codec.decode_key(stored[1], positions)
        except codec.BadBodyError as error:
            problems.add(cycle, segment, error)
    return out


_told: LeastRecent[tuple[int, str, int, int], bool] = LeastRecent(10_000)


class Problems:
    """Damaged frames met by one read, told once per frame and process, in one line with a count."""

    def __init__(self, cluster_id: int, kind: Kind) -> None:
        self._cluster_id, self._kind = cluster_id, kind
        self._new: list[tuple[int, int, str]] = []

    def add(self, cycle: int, segment: int, error: codec.BadBodyError) -> None:
        key = (self._cluster_id, self._kind.value, cycle, segment)
        if _told.get(key) is None:
            _told.put(key, True)
            self._new.append((cycle, segment, str(error)))

    def report(self) -> None:
        if self._new:
            cycle, segment, reason = self._new[0]
            log.warning(
                "frames unreadable, shown as unknown: cluster=%s kind=%s count=%s first_cycle=%s segment=%s reason=%s",
                self._cluster_id,
                self._kind.value,
                len(self._new),
                cycle,
                segment,
                reason,
            )
