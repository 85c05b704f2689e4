"""Spans: stretches of about two hours that were compacted, as the cycles and moments that their blocks have."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from django.db.models import QuerySet
from numpy.typing import NDArray

from collectors.models import Span

from . import matrix
from .cache import LeastRecent
from .codec import BadBodyError
from .kinds import Kind

HOT_SECONDS = 1800.0
"""The newest half hour is never compacted: what rules, verdicts and rates look back on, and most pages."""
_MARGIN_SECONDS = 300.0  # between the clocks of machines

Ints = NDArray[np.int64]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """The samples of one span: cycles (k,) grow, moments (k,) do unless the clock was set back."""

    span: int
    cycles: Ints
    taken_at: NDArray[np.float64]

    @property
    def first(self) -> int:
        return int(self.cycles[0])

    @property
    def last(self) -> int:
        return int(self.cycles[-1])


def encode_axis(cycles: Ints, taken_at: NDArray[np.float64]) -> bytes:
    """Moments are kept to the last bit: their differences as integers are small whatever the unit."""
    rows = np.stack([cycles.astype(np.int64), np.ascontiguousarray(taken_at, dtype=np.float64).view(np.int64)])
    everywhere = np.ones(rows.shape, dtype=np.bool_)
    return matrix.encode(matrix.Matrix(rows, everywhere, everywhere))


def decode_axis(span: int, body: bytes) -> Axis:
    """BadBodyError for what is no axis."""
    found = matrix.decode(matrix.open_body(body)).values
    if found.shape[0] != 2 or not found.shape[1]:
        raise BadBodyError(f"axis of {found.shape[0]} rows and {found.shape[1]} columns")
    return Axis(span, found[0].copy(), found[1].copy().view(np.float64))


_axes: LeastRecent[tuple[int, bytes], Axis] = LeastRecent(2_000_000, lambda axis: len(axis.cycles) + 50)


def _ready(cluster_id: int, kind: Kind) -> QuerySet[Span]:
    return Span.objects.filter(cluster_id=cluster_id, kind=kind.value, is_ready=True)


def _axes_of(rows: Iterable[tuple[int, bytes | memoryview]]) -> list[Axis]:
    out = []
    for pk, body in rows:
        stored = bytes(body)
        key = (pk, stored[:20])  # with its checksum: an id may come again in a database that was replaced
        axis = _axes.get(key)
        if axis is None:
            try:
                axis = _axes.put(key, decode_axis(pk, stored))
            except BadBodyError as error:
                log.warning("span unreadable, its samples are shown as missing: span=%s reason=%s", pk, error)
                continue
        out.append(axis)
    return out


def is_hot(moment: float) -> bool:
    """Whether samples since then are in frames for certain, so that nobody has to look for spans."""
    return moment >= time.time() - HOT_SECONDS + _MARGIN_SECONDS


def within(cluster_id: int, kind: Kind, since: float, until: float) -> list[Axis]:
    """Spans with a sample at or after `since` that begin at or before `until`, oldest first; one query at most."""
    if is_hot(since):
        return []
    rows = _ready(cluster_id, kind).filter(until__gte=since, since__lte=until)
    return _axes_of(rows.order_by("first_cycle").values_list("pk", "axis"))


def between(cluster_id: int, kind: Kind, first: int, last: int) -> list[Axis]:
    """Spans that hold any of the cycles `first` to `last`, oldest first; one query."""
    rows = _ready(cluster_id, kind).filter(last_cycle__gte=first, first_cycle__lte=last)
    return _axes_of(rows.order_by("first_cycle").values_list("pk", "axis"))


def as_of(cluster_id: int, kind: Kind, first: int, last: int) -> list[Axis]:
    """As `between`, and the newest span before it."""
    ready = _ready(cluster_id, kind)
    newest = ready.filter(first_cycle__lte=first).order_by("-first_cycle").values("first_cycle")[:1]
    since = ready.filter(first_cycle__in=newest).values_list("first_cycle", flat=True).first()
    return between(cluster_id, kind, first if since is None else since, last)


def last_compacted(cluster_id: int, kind: Kind) -> int | None:
    """The newest cycle of a kind that blocks hold."""
    return _ready(cluster_id, kind).order_by("-last_cycle").values_list("last_cycle", flat=True).first()


def first_moment(cluster_id: int, kind: Kind) -> float | None:
    """The moment (unix seconds) of the oldest sample in blocks."""
    return _ready(cluster_id, kind).order_by("since").values_list("since", flat=True).first()
