"""Frames into blocks: two hours of one kind at a time, owner by owner, verified before the frames go.

Nothing here holds the database's writer for long: blocks are written and frames deleted in small transactions, and a
span counts only when all its blocks were read back and found equal. Whatever ends a run, the frames are still the
truth; the next run starts the span anew.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from collectors.models import Block, Cluster, Frame, Lease, RollupState, Span

from . import blocks, codec, folding, layouts, matrix, rolling, spans
from .frames import delete_unused_layouts
from .kinds import Kind
from .layouts import SEGMENT_POSITIONS
from .matrix import Matrix
from .reading import Heads, first_segments
from .selection import Member, Selection, members_of
from .slices import GoOn, Stopped, always, ask

SPAN_SECONDS = 7200.0
HOT_CYCLES = 60
"""So many of the newest cycles are always in frames, where that is more than half an hour (HOT_SECONDS)."""
PATIENCE_SECONDS = 86400.0
"""Frames do not wait longer than this for somebody to read them."""
LEASE = "task:compaction"
LEASE_SECONDS = 60.0
NUMBERS_AT_ONCE = 1_500_000
"""Numbers of one batch of owners: with what decoding and encoding needs beside them, some 60 MB."""
ROWS_AT_ONCE = 250
BYTES_AT_ONCE = 1_500_000
FRAMES_AT_ONCE = 600
HEADS_AT_ONCE = 50_000

Ints = NDArray[np.int64]
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Compacted:
    """What a run did."""

    spans: int = 0
    blocks: int = 0
    samples: int = 0  # numbers written, unknown ones included
    bytes: int = 0
    frames_deleted: int = 0

    def add(self, other: Compacted) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def run(*, before_cycles: Mapping[int, int]) -> Compacted:
    """Roll up and compact every cluster, unless another process does; `before_cycles` by cluster as in `compact`."""
    done, holder = Compacted(), f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    epoch = Lease.objects.acquire(LEASE, holder=holder, seconds=LEASE_SECONDS)
    if epoch is None:
        return done

    def go_on() -> bool:
        return Lease.objects.renew(LEASE, holder=holder, epoch=epoch, seconds=LEASE_SECONDS)

    try:
        for cluster_id in Cluster.everything.values_list("pk", flat=True):
            began = time.monotonic()
            rolling.roll(cluster_id, go_on=go_on)
            folding.fold(cluster_id, go_on=go_on)
            one = compact(cluster_id, before_cycle=_waited_for(cluster_id, before_cycles), go_on=go_on)
            done.add(one)
            if one.spans:
                log.info(
                    "compacted cluster=%s spans=%s blocks=%s samples=%s bytes=%s frames_deleted=%s seconds=%.1f",
                    cluster_id, one.spans, one.blocks, one.samples, one.bytes, one.frames_deleted,
                    time.monotonic() - began,
                )  # fmt: skip
    except Stopped:
        log.info("compaction is done by another process now")
    finally:
        Lease.objects.release(LEASE, holder=holder, epoch=epoch)
    return done


def _waited_for(cluster_id: int, before_cycles: Mapping[int, int]) -> int | None:
    """The first cycle that somebody still has to read: the judge, or who rolls up."""
    rolled = RollupState.objects.filter(cluster_id=cluster_id).values_list("cycle", flat=True).first()
    waiting = [cycle for cycle in (before_cycles.get(cluster_id), rolled) if cycle is not None]
    return min(waiting) + 1 if waiting else None


def compact(
    cluster_id: int, *, before_cycle: int | None = None, go_on: GoOn = always, limit: int | None = None
) -> Compacted:
    """Compact every span of a cluster that is over and no longer hot, oldest first, `limit` spans at most.

    Frames of cycles from `before_cycle` on stay (what the judge has not read yet). `go_on` is asked inside each
    transaction that writes; when it says no, that one is rolled back and Stopped is raised.
    """
    done = Compacted()
    interval = Cluster.everything.filter(pk=cluster_id).values_list("interval_seconds", flat=True).first() or 5.0
    hot = max(spans.HOT_SECONDS, HOT_CYCLES * float(interval))
    for kind in Kind:
        _forget_unfinished(cluster_id, kind, go_on)
        while limit is None or done.spans < limit:
            heads = next_span(cluster_id, kind, hot=hot, before_cycle=before_cycle)
            if heads is None:
                break
            _compact_span(cluster_id, kind, heads, done, go_on)
        done.frames_deleted += _delete_compacted(cluster_id, kind, go_on)
    delete_unused_layouts(cluster_id)
    return done


def next_span(cluster_id: int, kind: Kind, *, hot: float, before_cycle: int | None = None) -> Heads | None:
    """The oldest frames that no span holds yet, to the end of their two hours; None while those are not over.

    A new span begins where samples fall into another two hours of the clock, in either direction: after a clock
    that was set back there are two spans of the same hours.
    """
    after = spans.last_compacted(cluster_id, kind)
    rows = first_segments(cluster_id, kind).filter(cycle__gt=-1 if after is None else after).order_by("cycle")
    heads = Heads.of(rows.values_list("cycle", "taken_at", "key_cycle", "layout_id")[:HEADS_AT_ONCE])
    if not len(heads):
        return None
    windows = np.floor(heads.taken_at / SPAN_SECONDS)
    others = np.flatnonzero(windows != windows[0])
    if not len(others):
        return None
    end = int(others[0])
    newest = first_segments(cluster_id, kind).order_by("-cycle").values_list("taken_at", flat=True).first()
    if newest is None or abs(newest - float(heads.taken_at[end - 1])) < hot:
        return None
    is_waited_for = before_cycle is not None and int(heads.cycles[end - 1]) >= before_cycle
    if is_waited_for and abs(newest - float(heads.taken_at[end - 1])) < PATIENCE_SECONDS:
        return None
    return heads.take(slice(0, end))


def _compact_span(cluster_id: int, kind: Kind, heads: Heads, done: Compacted, go_on: GoOn) -> None:
    loaded = layouts.load(heads.layout_rows)
    with transaction.atomic():
        ask(go_on)
        span = Span.objects.create(
            cluster_id=cluster_id,
            kind=kind.value,
            first_cycle=int(heads.cycles[0]),
            last_cycle=int(heads.cycles[-1]),
            since=float(heads.taken_at.min()),
            until=float(heads.taken_at.max()),
            axis=spans.encode_axis(heads.cycles, heads.taken_at),
        )
    own = [stored.layout for stored in loaded.values()]
    owners = sorted({owner for layout in own for owner in layout.owners})
    parts: dict[str, int] = {}
    most = max(1, min(SEGMENT_POSITIONS, NUMBERS_AT_ONCE // len(heads)))  # batches then fall together with segments
    for batch in _batches(members_of(own, owners), most):
        found = Selection(cluster_id, kind, heads, loaded, batch, {}).at(slice(None))
        made: list[tuple[Block, Matrix]] = []
        for owner, first, end in _runs(batch):
            parts[owner] = parts.get(owner, -1) + 1
            own_matrix = Matrix(
                found.values[:, first:end].T, found.known[:, first:end].T, found.present[:, first:end].T
            )
            pairs = [(topic, partition) for _, topic, partition in batch[first:end]]
            named = None if pairs == blocks.usual_pairs(kind, owner, len(pairs)) else pairs
            body = matrix.encode(own_matrix, pairs=named)
            row = Block(
                span=span,
                owner_key=blocks.owner_key(owner),
                part=parts[owner],
                owner=codec.escaped(owner),
                body=body,
            )
            made.append((row, own_matrix))
            done.blocks += 1
            done.samples += own_matrix.values.size
            done.bytes += len(body)
        _write([row for row, _ in made], go_on)
        _verify(span.pk, kind, made)
    with transaction.atomic():
        ask(go_on)
        Span.objects.filter(pk=span.pk).update(is_ready=True)
    done.spans += 1


_Batch = list[Member]


def _batches(members: Sequence[Member], most: int) -> Iterator[_Batch]:
    """Members in order, cut between owners where they fit; an owner with more than `most` is cut too."""
    batch: _Batch = []
    for owner_members in _by_owner(members):
        for at in range(0, len(owner_members), most):
            piece = owner_members[at : at + most]
            if batch and len(batch) + len(piece) > most:
                yield batch
                batch = []
            batch += piece
            if len(owner_members) > most:
                yield batch
                batch = []
    if batch:
        yield batch


def _by_owner(members: Sequence[Member]) -> Iterator[list[Member]]:
    first = 0
    for i in range(1, len(members) + 1):
        if i == len(members) or members[i][0] != members[first][0]:
            yield list(members[first:i])
            first = i


def _runs(batch: _Batch) -> Iterator[tuple[str, int, int]]:
    """(owner, first, end) of each owner's members in a batch."""
    first = 0
    for own in _by_owner(batch):
        yield own[0][0], first, first + len(own)
        first += len(own)


def _write(rows: Sequence[Block], go_on: GoOn) -> None:
    at = 0
    while at < len(rows):
        size, end = 0, at
        while end < len(rows) and end - at < ROWS_AT_ONCE and size < BYTES_AT_ONCE:
            size += len(rows[end].body)
            end += 1
        with transaction.atomic():
            ask(go_on)
            Block.objects.bulk_create(rows[at:end])
        at = end


def _verify(span: int, kind: Kind, made: Iterable[tuple[Block, Matrix]]) -> None:
    """Read blocks back out of the database and compare; RuntimeError when one differs (the frames then stay)."""
    expected = {(row.owner_key, row.part): (row.owner, source) for row, source in made}
    keys = sorted({key for key, _ in expected})
    rows = Block.objects.filter(span_id=span, owner_key__in=keys).values_list("owner_key", "part", "body")
    for key, part, body in rows.iterator(chunk_size=200):
        wanted = expected.pop((key, part), None)
        if wanted is None:
            continue  # another part of an owner that is cut
        owner, source = wanted
        found = matrix.decode(matrix.open_body(bytes(body)))
        same = np.array_equal(found.known, source.known) and np.array_equal(found.present, source.present)
        if not same or not np.array_equal(found.values, np.where(source.known, source.values, 0)):
            raise RuntimeError(f"block of {owner} in span {span} ({kind.value}) is not what was written")
    if expected:
        raise RuntimeError(f"{len(expected)} blocks of span {span} ({kind.value}) were not found after writing")


def _forget_unfinished(cluster_id: int, kind: Kind, go_on: GoOn) -> None:
    """Spans that an ended run left without their mark: the frames are all there still."""
    for pk in Span.objects.filter(cluster_id=cluster_id, kind=kind.value, is_ready=False).values_list("pk", flat=True):
        delete_span(pk, go_on)


def delete_span(pk: int, go_on: GoOn = always) -> int:
    """Delete a span, from now on seen by nobody, and its blocks, in small transactions. Returns the rows deleted."""
    Span.objects.filter(pk=pk).update(is_ready=False)
    deleted = 0
    while ids := list(Block.objects.filter(span_id=pk).values_list("pk", flat=True)[:FRAMES_AT_ONCE]):
        with transaction.atomic():
            ask(go_on)
            deleted += Block.objects.filter(span_id=pk, pk__in=ids).delete()[0]
    return deleted + Span.objects.filter(pk=pk).delete()[0]


def _delete_compacted(cluster_id: int, kind: Kind, go_on: GoOn) -> int:
    """Delete frames that blocks hold: whole stretches from one key frame to the next, those astride stay a while."""
    last = spans.last_compacted(cluster_id, kind)
    if last is None:
        return 0
    kept = first_segments(cluster_id, kind).filter(cycle__gt=last).order_by("cycle").values_list("key_cycle", flat=True)
    boundary = kept.first()
    if boundary is None:
        return 0
    doomed = Frame.objects.filter(cluster_id=cluster_id, kind=kind.value, cycle__lt=min(boundary, last + 1))
    deleted = 0
    # chosen outside the transaction; in any order, since nobody looks at frames that a span covers
    while ids := list(doomed.values_list("pk", flat=True)[:FRAMES_AT_ONCE]):
        with transaction.atomic():
            ask(go_on)
            deleted += Frame.objects.filter(pk__in=ids).delete()[0]
    return deleted
