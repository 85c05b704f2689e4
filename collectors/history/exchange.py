"""Samples out of a cluster and into another, row by row, as CSV or Parquet; and a check of everything stored."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from django.db import transaction

from collectors.domain.numbers import Column, Layout, Numbers
from collectors.models import Block, Cluster, Frame, Lease, Rollup, RollupFrame, RollupState, Span

from . import codec, folding, layouts, matrix, parquet, reading, spans
from .codec import BadBodyError
from .families import Family
from .frames import FrameWriter
from .kinds import Kind
from .reading import Heads
from .selection import Selection, fetch, members_of

HEADER = ("taken_at", "cycle", "owner", "topic", "partition", "value")
OWNERS_AT_ONCE = 200
NUMBERS_AT_ONCE = 1_000_000
CYCLES_AT_ONCE = 80
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ExchangeError(ValueError):
    """What cannot be imported; the message names the row and what would be right."""


class Row(NamedTuple):
    """One number at one moment. Of a cycle without members there is one row without owner: "known to be nobody"."""

    taken_at: float  # unix seconds; files hold microseconds
    cycle: int
    owner: str | None
    topic: str | None
    partition: int | None
    value: int | None  # None: not known


def rows_of(
    cluster_id: int, kind: Kind, *, since: float, until: float, owners: Sequence[str] | None = None
) -> Iterator[list[Row]]:
    """Every sample of a stretch of time, cycle by cycle, in pieces that fit into memory."""
    heads = reading.heads_in(cluster_id, kind, since, until)
    loaded = layouts.load(heads.layout_rows)
    for at in range(0, len(heads), CYCLES_AT_ONCE):
        yield from _rows_of_some(cluster_id, kind, heads.take(slice(at, at + CYCLES_AT_ONCE)), loaded, owners)


def _rows_of_some(
    cluster_id: int,
    kind: Kind,
    heads: Heads,
    loaded: dict[int, layouts.StoredLayout],
    owners: Sequence[str] | None,
) -> Iterator[list[Row]]:
    own = [loaded[row].layout for row in heads.layout_rows if row in loaded]
    names = list(owners) if owners is not None else sorted({*_owners(own), *_owners_of(heads.span_rows)})
    fetched = fetch(kind, heads, names)
    members = members_of(own, names, fetched)
    found = Selection(cluster_id, kind, heads, loaded, members, fetched).at(slice(None))
    for row in range(len(heads)):
        moment, cycle = float(heads.taken_at[row]), int(heads.cycles[row])
        there = np.flatnonzero(found.present[row]).tolist()
        if not there and owners is None:
            yield [Row(moment, cycle, None, None, None, None)]
            continue
        values, known = found.values[row].tolist(), found.known[row].tolist()
        yield [Row(moment, cycle, *members[i], values[i] if known[i] else None) for i in there]


def export(
    cluster_id: int, kind: Kind, out: TextIO, *, since: float, until: float, owners: Sequence[str] | None = None
) -> int:
    """Write samples as CSV, an unknown value empty; returns the rows."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    written = 0
    for rows in rows_of(cluster_id, kind, since=since, until=until, owners=owners):
        writer.writerows(_written(row) for row in rows)
        written += len(rows)
    return written


def _written(row: Row) -> tuple[object, ...]:
    at = datetime.fromtimestamp(row.taken_at, UTC).isoformat()
    if row.owner is None or row.topic is None:
        return at, row.cycle, "", "", "", ""
    value = "" if row.value is None else row.value
    return at, row.cycle, _plain(row.owner), _plain(row.topic), row.partition, value


def export_parquet(
    cluster_id: int, kind: Kind, path: Path, *, since: float, until: float, owners: Sequence[str] | None = None
) -> int:
    """Write samples as Parquet, an unknown value null; returns the rows. `parquet.MissingError` without the library."""
    written = 0

    def columns() -> Iterator[parquet.Columns]:
        nonlocal written
        for rows in rows_of(cluster_id, kind, since=since, until=until, owners=owners):
            written += len(rows)
            yield parquet.Columns(
                [_microseconds(row.taken_at) for row in rows],
                [row.cycle for row in rows],
                [None if row.owner is None else _plain(row.owner) for row in rows],
                [None if row.topic is None else _plain(row.topic) for row in rows],
                [row.partition for row in rows],
                [row.value for row in rows],
            )

    parquet.write(path, columns())
    return written


_PLAIN = re.compile(r"(?![=+\-@])[^\x00-\x1f\"\ud800-\udfff]*")


def _plain(name: str) -> str:
    """A name as it is; as JSON in quotes when a file cannot hold it, or a spreadsheet would take it for a formula."""
    return name if _PLAIN.fullmatch(name) else codec.escaped(name)


def _name(text: str) -> str:
    return codec.unescaped(text) if text.startswith('"') else text


def _owners(found: Iterable[Layout]) -> set[str]:
    return {owner for layout in found for owner in layout.owners}


def _owners_of(span_rows: Sequence[int]) -> set[str]:
    rows = Block.objects.filter(span_id__in=span_rows).values_list("owner", flat=True).distinct()
    return {codec.unescaped(text) for text in rows}


def _microseconds(moment: float) -> int:
    """Unix microseconds, rounded as the CSV is."""
    return (datetime.fromtimestamp(moment, UTC) - _EPOCH) // timedelta(microseconds=1)


def load(cluster: Cluster, kind: Kind, source: TextIO) -> int:
    """Store what `export` wrote, in a cluster that has no samples of this kind; returns the cycles."""
    reader = csv.reader(source)
    if tuple(next(reader, ())) != HEADER:
        raise ExchangeError(f"line 1: the header has to be {','.join(HEADER)}")
    return _store(cluster, kind, _read(reader), "line")


def load_parquet(cluster: Cluster, kind: Kind, path: Path) -> int:
    """The same of what `export_parquet` wrote."""

    def rows() -> Iterator[tuple[int, Row]]:
        number = 0
        for some in parquet.read(path):
            for at, cycle, owner, topic, partition, value in zip(*some, strict=True):
                number += 1
                if at is None or cycle is None or (owner is None) != (partition is None):
                    raise ExchangeError(f"row {number}: taken_at, cycle, owner and partition have to be there")
                name = None if owner is None else _name(owner)
                yield number, Row(at / 1e6, cycle, name, None if name is None else _name(topic or ""), partition, value)

    try:
        return _store(cluster, kind, rows(), "row")
    except parquet.BadFileError as error:
        raise ExchangeError(f"{path.name}: {error}") from None


def _store(cluster: Cluster, kind: Kind, rows: Iterator[tuple[int, Row]], unit: str) -> int:
    if reading.first_segments(cluster.pk, kind).exists() or spans.last_compacted(cluster.pk, kind) is not None:
        raise ExchangeError(f"{cluster.slug} has samples of {kind.value}: give a cluster without any")
    if Lease.objects.in_force().filter(name=f"cluster:{cluster.pk}").exists():
        raise ExchangeError(f"{cluster.slug} is being sampled: pause it, and go on when everything is imported")
    writer, cycles = FrameWriter(cluster.pk), 0
    batch: list[tuple[int, float, Column]] = []
    first = last = None
    for cycle, taken_at, column in _columns(rows, unit):
        first, last = cycle if first is None else first, cycle
        batch.append((cycle, taken_at, column))
        if len(batch) * (len(column.layout) + 50) > NUMBERS_AT_ONCE:
            cycles += _write(writer, kind, batch)
    cycles += _write(writer, kind, batch)
    if first is not None and last is not None:
        # what is sampled from now on comes after it, and the minutes of it are still to be made
        Cluster.everything.filter(pk=cluster.pk, last_cycle__lt=last).update(last_cycle=last)
        RollupState.objects.filter(cluster_id=cluster.pk, cycle__gte=first).update(cycle=first - 1)
    return cycles


def _write(writer: FrameWriter, kind: Kind, batch: list[tuple[int, float, Column]]) -> int:
    with transaction.atomic():
        for cycle, taken_at, column in batch:
            writer.write(cycle, taken_at, {kind: column})
    count = len(batch)
    batch.clear()
    return count


def _read(reader: Iterator[list[str]]) -> Iterator[tuple[int, Row]]:
    """Rows of CSV, each with its line."""
    for line, row in enumerate(reader, 2):
        try:
            at, number, owner, topic, partition, value = row
            cycle, moment = int(number), datetime.fromisoformat(at).timestamp()
            parsed = None if value == "" else int(value)
            if owner or partition:
                found = Row(moment, cycle, _name(owner), _name(topic), int(partition), parsed)
            else:
                found = Row(moment, cycle, None, None, None, None)
        except ValueError as error:
            raise ExchangeError(f"line {line}: {error}; a row is {','.join(HEADER)}") from None
        yield line, found


def _columns(rows: Iterator[tuple[int, Row]], unit: str) -> Iterator[tuple[int, float, Column]]:
    now: tuple[int, float] | None = None
    values: dict[str, dict[tuple[str, int], int | None]] = {}
    for number, row in rows:
        if row.value is not None and not -(2**63) <= row.value < 2**63:
            raise ExchangeError(f"{unit} {number}: {row.value} does not fit into 64 bits")
        if now is None or row.cycle != now[0]:
            if now is not None:
                if row.cycle < now[0]:
                    raise ExchangeError(
                        f"{unit} {number}: cycle {row.cycle} after {now[0]}: rows have to be in order of cycles"
                    )
                yield (*now, _column(values))
            now, values = (row.cycle, row.taken_at), {}
        if row.owner is not None and row.topic is not None and row.partition is not None:
            values.setdefault(row.owner, {})[row.topic, row.partition] = row.value
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
