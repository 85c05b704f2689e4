"""The numbers of chosen owners over time, through changes of layout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collectors.domain.numbers import Layout

from . import blocks, reading
from .blocks import Fetched
from .kinds import Kind
from .layouts import StoredLayout
from .reading import Heads

Member = tuple[str, str, int]  # owner, topic, partition
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """Members (m) at moments (k): `present` says that the layout of that moment held the member at all."""

    values: Ints  # (k, m)
    known: Bools  # (k, m)
    present: Bools  # (k, m)


def fetch(kind: Kind, heads: Heads, owners: Sequence[str]) -> Fetched:
    """The blocks that hold some owners at the heads; a query, unless all heads are frames."""
    return blocks.fetch(kind, heads.span_rows, owners)


def members_of(layouts: Iterable[Layout], owners: Sequence[str], fetched: Fetched | None = None) -> list[Member]:
    """Every member that any of the layouts and blocks gives the owners, in order of owners."""
    seen: dict[str, dict[tuple[str, int], None]] = {owner: {} for owner in owners}
    for layout in layouts:
        for owner in owners:
            if layout.owner_index(owner) is not None:
                seen[owner].update(dict.fromkeys(layout.keys_of(owner)))
    for (_, owner), parts in (fetched or {}).items():
        for part in parts:
            seen[owner].update(dict.fromkeys(part.pairs))
    return [(owner, topic, partition) for owner in seen for topic, partition in sorted(seen[owner])]


def by_topic(members: Iterable[Member]) -> list[Member]:
    """The same partitions as members of their topics."""
    return [(topic, topic, partition) for _, topic, partition in members]


def locate(layout: Layout, members: Sequence[Member]) -> Ints:
    """(m,) position of each member, -1 where the layout does not hold it."""
    held: dict[Member, int] = {}
    for owner in dict.fromkeys(owner for owner, _, _ in members):
        if layout.owner_index(owner) is not None:
            first = layout.slice_of(owner).start
            held.update(((owner, *key), first + i) for i, key in enumerate(layout.keys_of(owner)))
    return np.array([held.get(member, -1) for member in members], dtype=np.int64)


class Selection:
    """Reads one kind's numbers of fixed members at any heads whose layouts it was given."""

    def __init__(
        self,
        cluster_id: int,
        kind: Kind,
        heads: Heads,
        loaded: Mapping[int, StoredLayout],
        members: Sequence[Member],
        fetched: Fetched | None = None,
    ) -> None:
        """Without `fetched` the blocks of the members' owners are read, if any head is in a block."""
        self.heads = heads
        self.members = members
        self._cluster_id, self._kind, self._loaded = cluster_id, kind, loaded
        self._positions = {row: locate(loaded[row].layout, members) for row in heads.layout_rows if row in loaded}
        # two groups may read one partition: in blocks each is looked up once
        number: dict[Member, int] = {}
        self._numbers = np.array([number.setdefault(member, len(number)) for member in members], dtype=np.int64)
        self._columns: dict[str, dict[tuple[str, int], int]] = {}
        for (owner, topic, partition), column in number.items():
            self._columns.setdefault(owner, {})[topic, partition] = column
        self._distinct = len(number)
        self._fetched = fetch(kind, heads, list(self._columns)) if fetched is None else fetched

    def at(self, where: slice | Ints) -> Sampled:
        """Values at some of the heads; one query for those in frames."""
        heads = self.heads.take(where)
        in_frames = heads.spans < 0
        if in_frames.all():
            return self._of_frames(heads)
        shape = (len(heads), len(self.members))
        values = np.zeros(shape, dtype=np.int64)
        known, present = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
        if in_frames.any():
            found = self._of_frames(heads.take(in_frames))
            values[in_frames], known[in_frames], present[in_frames] = found.values, found.known, found.present
        for span in heads.span_rows:
            own = np.flatnonzero(heads.spans == span)
            adjacent = int(own[-1] - own[0]) + 1 == len(own)
            where_own: slice | Ints = slice(int(own[0]), int(own[-1]) + 1) if adjacent else own
            if adjacent and self._distinct == len(self.members):
                into = values[where_own], known[where_own], present[where_own]  # views
                blocks.read(self._fetched, span, heads.places[own], self._columns, into)
                continue
            small = (len(own), self._distinct)
            made = np.zeros(small, np.int64), np.zeros(small, np.bool_), np.zeros(small, np.bool_)
            blocks.read(self._fetched, span, heads.places[own], self._columns, made)
            for target, source in zip((values, known, present), made, strict=True):
                target[where_own] = source[:, self._numbers]
        return Sampled(values, known, present)

    def _of_frames(self, heads: Heads) -> Sampled:
        values, known = reading.read(
            self._cluster_id, self._kind, heads, self._loaded, self._positions, len(self.members)
        )
        present = np.zeros(values.shape, dtype=np.bool_)
        for row, positions in self._positions.items():
            present[heads.layouts == row] = positions >= 0
        return Sampled(values, known, present)

    def at_cycles(self, cycles: Ints, *, as_of: bool = False) -> Sampled:
        """Values at given cycles, unknown where there is no frame; with `as_of` the newest frame before counts."""
        side = np.searchsorted(self.heads.cycles, cycles, side="right") - 1
        there = side >= 0
        if not as_of and len(self.heads):
            there &= self.heads.cycles[np.maximum(side, 0)] == cycles
        used, back = np.unique(side[there], return_inverse=True)
        found = self.at(used)
        shape = (len(cycles), len(self.members))
        values = np.zeros(shape, dtype=np.int64)
        known, present = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
        values[there], known[there], present[there] = found.values[back], found.known[back], found.present[back]
        return Sampled(values, known, present)
