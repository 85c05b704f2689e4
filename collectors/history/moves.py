"""When the commits of some groups moved on, read from the samples of their past."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from collectors.domain.numbers import NO_COMMIT

from . import layouts, reading
from .blocks import Fetched
from .kinds import Kind
from .layouts import StoredLayout
from .reading import Heads
from .selection import Member, Sampled, Selection, fetch, members_of

NUMBERS_AT_ONCE = 2_000_000
"""Read in one go: bounds the memory of an hour of a group with many partitions."""


def commits_moved_at(cluster_id: int, groups: Sequence[str], since: float, until: float) -> dict[str, list[float]]:
    """Unix seconds of the samples at which a commit of each group had moved on, oldest first.

    A commit that is further than where it last was known to be has moved, also when samples in between lack it: at the
    first that has it again. The first commit of a partition is no movement, nor the first since it was away.
    """
    found: dict[str, list[float]] = {group: [] for group in groups}
    heads = reading.heads_in(cluster_id, Kind.COMMITTED, since, until)
    if not groups or len(heads) < 2:
        return found
    loaded = layouts.load(heads.layout_rows)
    own = [loaded[row].layout for row in heads.layout_rows if row in loaded]
    for group in groups:
        fetched = fetch(Kind.COMMITTED, heads, [group])
        members = members_of(own, [group], fetched)
        stood, moved = _Stood(len(members)), np.zeros(len(heads), dtype=np.bool_)
        for samples, some, read in _parts(cluster_id, heads, loaded, members, fetched):
            moved[samples] |= stood.moved(read, some)
        found[group] = heads.taken_at[moved].tolist()
    return found


class _Stood:
    """Where each of some partitions last stood, as far as samples were read."""

    def __init__(self, count: int) -> None:
        self._values = np.zeros(count, dtype=np.int64)
        self._is_commit = np.zeros(count, dtype=np.bool_)

    def moved(self, read: Sampled, some: slice) -> NDArray[np.bool_]:
        """(k,) at which of the next samples (k) one of `some` of the partitions had moved on."""
        values, was_commit = self._values[some], self._is_commit[some]  # views
        is_commit = read.known & read.present & (read.values != NO_COMMIT)
        tells = read.known | ~read.present
        moved = np.zeros(len(tells), dtype=np.bool_)
        for i in range(len(tells)):
            moved[i] = (is_commit[i] & was_commit & (read.values[i] > values)).any()
            np.copyto(values, read.values[i], where=tells[i])
            np.copyto(was_commit, is_commit[i], where=tells[i])
        return moved


def _parts(
    cluster_id: int, heads: Heads, loaded: Mapping[int, StoredLayout], members: Sequence[Member], fetched: Fetched
) -> Iterator[tuple[slice, slice, Sampled]]:
    """All samples of the members, some at once: which samples, which members, and their numbers; in the order of time.

    A frame holds all partitions of a group and a block all samples of a span: from frames a few samples are read at
    once, and from blocks a few partitions, so that none is decoded again for each part.
    """
    in_blocks = heads.spans >= 0
    edges = [0, *(np.flatnonzero(np.diff(in_blocks)) + 1).tolist(), len(heads)]
    for first, end in itertools.pairwise(edges):
        own = heads.take(slice(first, end))
        if in_blocks[first]:
            for some in _slices(0, len(members), NUMBERS_AT_ONCE // len(own)):
                selection = Selection(cluster_id, Kind.COMMITTED, own, loaded, members[some], fetched)
                yield slice(first, end), some, selection.at(slice(None))
        elif members:
            selection = Selection(cluster_id, Kind.COMMITTED, heads, loaded, members, fetched)
            for samples in _slices(first, end, NUMBERS_AT_ONCE // len(members)):
                yield samples, slice(None), selection.at(samples)


def _slices(first: int, end: int, size: int) -> Iterator[slice]:
    step = max(1, size)
    for at in range(first, end, step):
        yield slice(at, min(end, at + step))
