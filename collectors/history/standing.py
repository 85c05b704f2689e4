"""Where a group stood at chosen moments of its past: its commits, and the log ends of the same cycles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collectors.domain.numbers import Layout, Numbers

from . import layouts, reading
from .kinds import Kind
from .reading import Heads
from .selection import Member, Sampled, Selection, by_topic, fetch, members_of


@dataclass(frozen=True, slots=True)
class Standing:
    taken_at: float
    committed: Numbers  # (n,) by position of a layout
    end: Numbers


def standings_at(cluster_id: int, group: str, moments: Sequence[float]) -> tuple[Layout, list[Standing]]:
    """Of the samples taken at these moments, oldest first, those that are stored, with the layout of the group."""
    heads = reading.heads_in(cluster_id, Kind.COMMITTED, min(moments), max(moments)) if moments else Heads.of([])
    heads = heads.take(np.isin(heads.taken_at, moments))
    loaded = layouts.load(heads.layout_rows)
    own = [loaded[row].layout for row in heads.layout_rows if row in loaded]
    fetched = fetch(Kind.COMMITTED, heads, [group])
    members = members_of(own, [group], fetched)
    layout = Layout.build({group: [(topic, partition) for _, topic, partition in members]})
    if not members:
        return layout, []
    commits = Selection(cluster_id, Kind.COMMITTED, heads, loaded, members, fetched).at(slice(None))
    ends = _ends_at(cluster_id, heads, by_topic(members))
    read = zip(heads.taken_at.tolist(), _rows(commits), _rows(ends), strict=True)
    return layout, [Standing(*one) for one in read]


def _ends_at(cluster_id: int, heads: Heads, members: Sequence[Member]) -> Sampled:
    cycles = heads.cycles
    ends = reading.heads_at(cluster_id, Kind.END, cycles.tolist())
    return Selection(cluster_id, Kind.END, ends, layouts.load(ends.layout_rows), members).at_cycles(cycles)


def _rows(read: Sampled) -> list[Numbers]:
    return [Numbers(values, known) for values, known in zip(read.values, read.known & read.present, strict=True)]
