"""Samples as CSV, out and in again; and a check of everything stored."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TextIO

import numpy as np
from django.db import transaction

from collectors.domain.numbers import Column, Layout, Numbers
from collectors.models import Block, Cluster, Frame, Rollup, RollupFrame, Span

from . import codec, folding, layouts, matrix, reading, spans
from .codec import BadBodyError
from .families import Family
from .frames import FrameWriter
from .kinds import Kind
from .reading import Heads
from .selection import Selection, fetch, members_of

HEADER = ("taken_at", "cycle", "owner", "topic", "partition", "value")
OWNERS_AT_ONCE = 200
NUMBERS_AT_ONCE = 1_000_000


class ExchangeError(ValueError):
    """What cannot be imported; the message names the line and what would be right."""


def export(
    cluster_id: int, kind: Kind, out: TextIO, *, since: float, until: float, owners: Sequence[str] | None = None
) -> int:
    """Write every sample of a stretch of time, cycle by cycle; an unknown value is empty. Returns the rows.

    A cycle without members is one row of its own, with all but time and number empty: "known to be nobody".
    """
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    heads = reading.heads_in(cluster_id, kind, since, until)
    loaded = layouts.load(heads.layout_rows)
    written, at = 0, 0
    while at < len(heads):
        some = heads.take(slice(at, at + 80))
        written += _export_some(cluster_id, kind, writer, some, loaded, owners)
        at += len(some)
    return written


def _export_some(
    cluster_id: int,
    kind: Kind,
    writer: csv._writer,  # type: ignore[name-defined]  # only typeshed names it
    heads: Heads,
    loaded: dict[int, layouts.StoredLayout],
    owners: Sequence[str] | None,
) -> int:
    own = [loaded[row].layout for row in heads.layout_rows if row in loaded]
    names = list(owners) if owners is not None else sorted({*_owners(own), *_owners_of(heads.span_rows)})
    fetched = fetch(kind, heads, names)
    members = members_of(own, names, fetched)
    found = Selection(cluster_id, kind, heads, loaded, members, fetched).at(slice(None))
    written = 0
    for row in range(len(heads)):
        at = datetime.fromtimestamp(float(heads.taken_at[row]), UTC).isoformat()
        cycle = int(heads.cycles[row])
        there = np.flatnonzero(found.present[row]).tolist()
        if not there and owners is None:
            writer.writerow((at, cycle, "", "", "", ""))
            written += 1
        for i in there:
            owner, topic, partition = members[i]
            value = int(found.values[row, i]) if found.known[row, i] else ""
            writer.writerow((at, cycle, _plain(owner), _plain(topic), partition, value))
            written += 1
    return written


_PLAIN = re.compile(r"[^\x00-\x1f\"\ud800-\udfff]*")


def _plain(name: str) -> str:
    """A name as it is, or as JSON in quotes when a file cannot hold it."""
    return name if _PLAIN.fullmatch(name) else codec.escaped(name)


def _name(text: str) -> str:
    return codec.unescaped(text) if text.startswith('"') else text


def _owners(found: Iterable[Layout]) -> set[str]:
    return {owner for layout in found for owner in layout.owners}


def _owners_of(span_rows: Sequence[int]) -> set[str]:
    rows = Block.objects.filter(span_id__in=span_rows).values_list("owner", flat=True).distinct()
    return {codec.unescaped(text) for text in rows}


def load(cluster: Cluster, kind: Kind, source: TextIO) -> int:
    """Store what `export` wrote, in a cluster that has no samples of this kind; returns the cycles."""
    if reading.first_segments(cluster.pk, kind).exists() or spans.last_compacted(cluster.pk, kind) is not None:
        raise ExchangeError(f"{cluster.slug} has samples of {kind.value}: give a cluster without any")
    reader = csv.reader(source)
    if tuple(next(reader, ())) != HEADER:
        raise ExchangeError(f"line 1: the header has to be {','.join(HEADER)}")
    writer, cycles = FrameWriter(cluster.pk), 0
    batch: list[tuple[int, float, Column]] = []
    for cycle, taken_at, column in _columns(reader):
        batch.append((cycle, taken_at, column))
        if len(batch) * (len(column.layout) + 50) > NUMBERS_AT_ONCE:
            cycles += _write(writer, kind, batch)
    return cycles + _write(writer, kind, batch)


def _write(writer: FrameWriter, kind: Kind, batch: list[tuple[int, float, Column]]) -> int:
    with transaction.atomic():
        for cycle, taken_at, column in batch:
            writer.write(cycle, taken_at, {kind: column})
    count = len(batch)
    batch.clear()
    return count


def _columns(reader: Iterator[list[str]]) -> Iterator[tuple[int, float, Column]]:
    now: tuple[int, float] | None = None
    values: dict[str, dict[tuple[str, int], int | None]] = {}
    for line, row in enumerate(reader, 2):
        try:
            at, number, owner, topic, partition, value = row
            cycle, moment = int(number), datetime.fromisoformat(at).timestamp()
            member = None if not (owner or partition) else (_name(topic), int(partition))
            parsed = None if value == "" else int(value)
        except ValueError as error:
            raise ExchangeError(f"line {line}: {error}; a row is {','.join(HEADER)}") from None
        if parsed is not None and not -(2**63) <= parsed < 2**63:
            raise ExchangeError(f"line {line}: {value} does not fit into 64 bits")
        if now is None or cycle != now[0]:
            if now is not None:
                if cycle < now[0]:
                    raise ExchangeError(
                        f"line {line}: cycle {cycle} after {now[0]}: rows have to be in order of cycles"
                    )
                yield (*now, _column(values))
            now, values = (cycle, moment), {}
        if member is not None:
            values.setdefault(_name(owner), {})[member] = parsed
    if now is not None:
        yield (*now, _column(values))


def _column(values: dict[str, dict[tuple[str, int], int | None]]) -> Column:
    layout = Layout.build(values)
    owners = layout.owner_of_position.tolist()
    flat = [
        values[layout.owners[owner]][topic, partition]
        for owner, topic, partition in zip(owners, layout.topics, layout.partitions.tolist(), strict=True)
    ]
    return Column(layout, Numbers.of(flat))


@dataclass(slots=True)
class Verified:
    """How many of each were read, and what is wrong with which."""

    read: dict[str, int] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)

    def note(self, what: str, name: str, error: Exception | None = None) -> None:
        self.read[what] = self.read.get(what, 0) + 1
        if error is not None:
            self.bad.append(f"{name}: {error}")


def verify(cluster_id: int) -> Verified:
    """Read everything stored of a cluster: frames with the key frames they need, axes, blocks, minutes, rollups."""
    out = Verified()
    for kind in Kind:
        _verify_frames(cluster_id, kind, out)
    for span in Span.objects.filter(cluster_id=cluster_id, is_ready=True).order_by("pk").iterator():
        try:
            columns = len(spans.decode_axis(span.pk, bytes(span.axis)).cycles)
        except BadBodyError as error:
            out.note("spans", str(span), error)
            continue
        out.note("spans", str(span))
        blocks = Block.objects.filter(span=span).values_list("owner", "body").iterator(chunk_size=200)
        for owner, body in blocks:
            try:
                found = matrix.decode(matrix.open_body(bytes(body)))
                if found.values.shape[1] != columns:
                    raise BadBodyError(f"{found.values.shape[1]} samples, its span has {columns}")
                out.note("blocks", owner)
            except BadBodyError as error:
                out.note("blocks", f"block of {owner} in {span}", error)
    rollups = Rollup.objects.filter(cluster_id=cluster_id)
    for row in rollups.iterator(chunk_size=200):
        try:
            folding.decode(Family(row.family), bytes(row.body), folding.bucket_count(row.resolution, row.start))
            out.note("rollups", row.owner)
        except BadBodyError as error:
            out.note("rollups", str(row), error)
    for frame in RollupFrame.objects.filter(cluster_id=cluster_id).select_related("layout").iterator(chunk_size=50):
        try:
            layout, _ = codec.decode_layout(bytes(frame.layout.members))
            folding.decode_minute(Family(frame.family), bytes(frame.body), len(layout.owners))
            out.note("minutes", frame.family)
        except BadBodyError as error:
            out.note("minutes", str(frame), error)
    return out


def _verify_frames(cluster_id: int, kind: Kind, out: Verified) -> None:
    rows = Frame.objects.filter(cluster_id=cluster_id, kind=kind.value).order_by("segment", "cycle")
    keys: dict[int, codec.Segment | None] = {}
    segment_now = -1
    loaded: dict[int, layouts.StoredLayout] = {}
    fields = rows.values_list("segment", "cycle", "key_cycle", "layout_id", "body")
    for segment, cycle, key_cycle, layout, body in fields.iterator(chunk_size=500):
        name = f"frame {kind.value} {cycle}/{segment}"
        if segment != segment_now:
            keys, segment_now = {}, segment
        try:
            if layout not in loaded:
                loaded |= layouts.load([layout])
            if layout not in loaded:
                raise BadBodyError("its layout cannot be read")
            first, end = loaded[layout].cuts[segment : segment + 2].tolist()
            found = codec.decode(bytes(body), end - first, keys.get(key_cycle))
            if cycle == key_cycle:
                keys = {cycle: found}
            out.note("frames", name)
        except BadBodyError as error:
            out.note("frames", name, error)
