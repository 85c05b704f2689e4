"""Writing frames of one cluster, and deleting old ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from django.db.models import Exists, F, OuterRef
from numpy.typing import NDArray

from collectors.domain.numbers import Column
from collectors.models import Frame, RollupFrame
from collectors.models import Layout as LayoutRow

from . import codec, sql
from .kinds import Kind
from .layouts import StoredLayout, stored

KEY_EVERY = 40
"""Frames of a kind from one key frame to the next: a read of one moment needs two frames, never more."""
KEY_MAX_AGE_SECONDS = 4 * 3600.0
"""A delta never leans on an older key frame, so that retention cannot have removed it after a long pause."""
_NEWLY_KNOWN_SHARE = 8
"""When over 1/8 of the positions became known since the key frame, deltas to it would hold whole numbers."""


@dataclass(slots=True)
class _KeyFrame:
    """What the deltas of one kind refer to."""

    row_id: int
    stored: StoredLayout
    cycle: int
    taken_at: float
    values: NDArray[np.int64]  # 0 where not known
    known: NDArray[np.bool_]
    checksums: list[int]
    frames: int  # written since, this one included


class FrameWriter:
    """Writes the frames of one cluster; one per holder of its lease, used by one thread.

    It remembers the newest key frame and layout of each kind. The first frame of each kind, each 40th and
    each with another layout are key frames.
    """

    def __init__(self, cluster_id: int) -> None:
        self._cluster_id = cluster_id
        self._keys: dict[Kind, _KeyFrame] = {}
        self._last_cycle: int | None = None

    def forget(self) -> None:
        """After a transaction that was rolled back, or a take-over: the next frames are key frames."""
        self._keys.clear()
        self._last_cycle = None

    def write(self, cycle: int, taken_at: float, columns: Mapping[Kind, Column]) -> None:
        """Store one frame per kind, inside the caller's transaction; one INSERT for all of them.

        When the transaction fails after this call, call `forget`. A cycle number that does not follow the last
        one written shows that it was not called, and is treated as such.
        """
        if self._last_cycle is not None and cycle != self._last_cycle + 1:
            self.forget()
        try:
            rows = [row for kind, column in columns.items() for row in self._rows(kind, cycle, taken_at, column)]
            sql.insert_frames(rows)
        except BaseException:
            self.forget()
            raise
        self._last_cycle = cycle

    def _rows(self, kind: Kind, cycle: int, taken_at: float, column: Column) -> list[sql.FrameRow]:
        values = np.where(column.numbers.known, column.numbers.values, 0).astype(np.int64, copy=False)
        known = column.numbers.known
        key = self._keys.get(kind)
        if key is not None and self._can_follow(key, column, known, taken_at):
            bodies = codec.encode_segments(
                key.stored.cuts, values, known, reference=key.values, key_checksums=key.checksums
            )
            key.frames += 1
        else:
            row_id, layout = self._layout(kind, column, key)
            bodies = codec.encode_segments(layout.cuts, values, known)
            checksums = [codec.checksum_of(body) for body in bodies]
            key = _KeyFrame(row_id, layout, cycle, taken_at, values, known.copy(), checksums, 1)
            self._keys[kind] = key
        return [
            (self._cluster_id, kind.value, cycle, segment, key.row_id, key.cycle, taken_at, body)
            for segment, body in enumerate(bodies)
        ]

    @staticmethod
    def _can_follow(key: _KeyFrame, column: Column, known: NDArray[np.bool_], taken_at: float) -> bool:
        same = column.layout is key.stored.layout or column.layout.digest == key.stored.layout.digest
        if not same or key.frames >= KEY_EVERY or not 0 <= taken_at - key.taken_at <= KEY_MAX_AGE_SECONDS:
            return False
        return int(np.count_nonzero(known & ~key.known)) * _NEWLY_KNOWN_SHARE <= len(known)

    def _layout(self, kind: Kind, column: Column, key: _KeyFrame | None) -> tuple[int, StoredLayout]:
        layout = stored(column.layout)
        if key is not None and key.stored is layout:
            return key.row_id, layout
        row, _ = LayoutRow.objects.get_or_create(
            cluster_id=self._cluster_id,
            kind=kind.value,
            digest=column.layout.digest,
            defaults={"members": codec.encode_layout(layout.layout, layout.cuts)},
        )
        return row.pk, layout


def delete_older_than(cluster_id: int, taken_before: float, limit: int) -> int:
    """Delete at most `limit` frames taken before a moment (unix seconds), then layouts that no frame uses.

    Whole stretches from one key frame to the next go, so a frame that stays never loses its key frame; within
    a stretch the key frame goes last. The newest stretch of a kind always stays. Call again while the answer
    is `limit`. Returns the number of frames deleted.
    """
    deleted = 0
    for kind in Kind:
        if deleted >= limit:
            break
        boundary = _first_kept_key(cluster_id, kind, taken_before)
        if boundary is None:
            continue
        # what is below the boundary was taken before the moment anyway; saying so lets an index find it
        doomed = Frame.objects.filter(
            cluster_id=cluster_id, kind=kind.value, cycle__lt=boundary, taken_at__lt=taken_before
        )
        slice_ids = doomed.order_by("key_cycle", "-cycle").values("pk")[: limit - deleted]
        deleted += Frame.objects.filter(pk__in=slice_ids).delete()[0]
    if deleted < limit:
        delete_unused_layouts(cluster_id)
    return deleted


def _first_kept_key(cluster_id: int, kind: Kind, taken_before: float) -> int | None:
    """Key cycle of the oldest frame that stays. Key cycles grow with cycles, also when the clock steps back."""
    heads = Frame.objects.filter(cluster_id=cluster_id, kind=kind.value, segment=0)
    # the sum keeps the planner off the index of moments: by cycle, only the frames that go are walked over
    moments = heads.annotate(moment=F("taken_at") + 0.0).filter(moment__gte=taken_before)
    kept = moments.order_by("cycle").values_list("key_cycle", flat=True).first()
    if kept is not None:
        return kept
    return heads.order_by("-cycle").values_list("key_cycle", flat=True).first()


def delete_unused_layouts(cluster_id: int) -> None:
    """Delete layouts that no frame of samples or of a minute uses."""
    # a writer may be about to use one again: the foreign key then makes the loser of that race fail, and a writer
    # whose insert fails forgets and writes the layout anew
    used = Exists(Frame.objects.filter(layout=OuterRef("pk")))
    rolled = Exists(RollupFrame.objects.filter(layout=OuterRef("pk")))
    LayoutRow.objects.filter(~used, ~rolled, cluster_id=cluster_id).delete()
