"""Frames back to whole columns, the newest of which stay in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import BinaryField, QuerySet
from django.db.models.functions import Substr

from collectors.domain.numbers import Column, Numbers
from collectors.models import Frame

from . import codec, sql
from .cache import LeastRecent
from .kinds import Kind
from .layouts import StoredLayout
from .reading import Problems

_Key = tuple[int, str, bytes]


@dataclass(frozen=True, slots=True)
class Mark:
    """One frame as its first segment identifies it; the checksums make it the key of a cache, whose entries
    then can never answer for a cycle that was stored anew under the same number."""

    cycle: int
    taken_at: float
    key_cycle: int
    layout: int
    digest: str  # of the layout
    checksum: bytes
    key_checksum: bytes

    @property
    def key(self) -> _Key:
        return self.cycle, self.digest, self.checksum

    @property
    def key_frame(self) -> _Key:
        """`key` of the key frame."""
        return self.key_cycle, self.digest, self.checksum if self.cycle == self.key_cycle else self.key_checksum


MARK_FIELDS = ("kind", "cycle", "taken_at", "key_cycle", "layout_id", "layout__digest", "head")


def marks(rows: QuerySet[Frame]) -> dict[Kind, list[Mark]]:
    """Marks by kind, oldest first, of rows of segment 0; one query."""
    head = Substr("body", 1, codec.HEADER_BYTES, output_field=BinaryField())
    return marks_of(rows.annotate(head=head).order_by("cycle").values_list(*MARK_FIELDS))


def marks_of(rows: Iterable[tuple[str, int, float, int, int, str, bytes | memoryview]]) -> dict[Kind, list[Mark]]:
    out: dict[Kind, list[Mark]] = {}
    for kind, cycle, taken_at, key_cycle, layout, digest, head in rows:
        start = bytes(head)
        mark = Mark(cycle, taken_at, key_cycle, layout, digest, start[8:12], start[12:16])
        out.setdefault(Kind(kind), []).append(mark)
    return out


@dataclass(frozen=True, slots=True)
class _Decoded:
    column: Column
    segments: tuple[codec.Segment | None, ...]


_ColumnKey = tuple[int, str, _Key]
# The constant is large, so that a small cluster keeps its window and not the columns of hours.
_columns: LeastRecent[_ColumnKey, _Decoded] = LeastRecent(6_000_000, lambda kept: 2 * len(kept.column.layout) + 5_000)


def columns(
    cluster_id: int, kind: Kind, wanted: Sequence[Mark], layouts: Mapping[int, StoredLayout], *, keep: bool = True
) -> list[Column | None]:
    """The column of each mark; None where its layout cannot be read. One query for what is not in memory.

    Without `keep` what is read does not take the place of other things in memory.
    """
    out: dict[_Key, _Decoded] = {}
    absent: list[Mark] = []
    cycles: set[int] = set()
    for mark in wanted:
        kept = _columns.get((cluster_id, kind.value, mark.key))
        if kept is not None:
            out[mark.key] = kept
        elif mark.layout in layouts:
            absent.append(mark)
            cycles.add(mark.cycle)
            key_frame = _columns.get((cluster_id, kind.value, mark.key_frame))
            if key_frame is None:
                cycles.add(mark.key_cycle)
            else:
                out[mark.key_frame] = key_frame
    if absent:
        segments = max(layouts[mark.layout].segment_count for mark in absent)
        rows = sql.bodies(cluster_id, kind, segments, sorted(cycles))
        bodies = {(cycle, layout, segment): bytes(body) for cycle, layout, segment, body in rows}
        problems = Problems(cluster_id, kind)
        for mark in absent:
            for key, cycle in ((mark.key_frame, mark.key_cycle), (mark.key, mark.cycle)):
                if key not in out:
                    base = out[mark.key_frame].segments if key != mark.key_frame else None
                    decoded = _decode_column(problems, layouts[mark.layout], bodies, cycle, mark.layout, base)
                    out[key] = _columns.put((cluster_id, kind.value, key), decoded) if keep else decoded
        problems.report()
    found = [out.get(mark.key) for mark in wanted]
    return [None if decoded is None else decoded.column for decoded in found]


def _decode_column(
    problems: Problems,
    layout: StoredLayout,
    bodies: Mapping[tuple[int, int, int], bytes],
    cycle: int,
    row: int,
    base: tuple[codec.Segment | None, ...] | None,
) -> _Decoded:
    cuts = layout.cuts.tolist()
    values = np.zeros(cuts[-1], dtype=np.int64)
    known = np.zeros(cuts[-1], dtype=np.bool_)
    segments: list[codec.Segment | None] = []
    for i in range(layout.segment_count):
        segment = None
        body = bodies.get((cycle, row, i))
        if body is not None:
            try:
                segment = codec.decode(body, cuts[i + 1] - cuts[i], base[i] if base is not None else None)
                values[cuts[i] : cuts[i + 1]] = segment.values
                known[cuts[i] : cuts[i + 1]] = segment.known
            except codec.BadBodyError as error:
                problems.add(cycle, i, error)
        segments.append(segment)
    values.flags.writeable = known.flags.writeable = False  # shared by whoever asks
    # only key frames are needed again segment by segment
    kept = tuple(segments) if base is None else ()
    return _Decoded(Column(layout.layout, Numbers(values, known)), kept)
