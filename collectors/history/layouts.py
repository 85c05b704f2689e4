"""Stored layouts in memory: where segments are cut, and how positions of two layouts correspond."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from collectors.domain.numbers import Layout
from collectors.models import Layout as LayoutRow

from . import codec
from .cache import LeastRecent

SEGMENT_POSITIONS = 1024
"""Part of what is stored: with another number, layouts would need another digest too."""

Ints = NDArray[np.int64]
log = logging.getLogger(__name__)


def cut(layout: Layout) -> Ints:
    """Positions where segments begin, and the end: about 1 024 positions each, cut between owners only.

    An owner with more positions than that is alone in its segment; a layout without positions has one empty
    segment, so that "known to be nobody" is stored too.
    """
    cuts = [0]
    starts = layout.starts.tolist()
    for begin, end in pairwise(starts):
        if end - cuts[-1] > SEGMENT_POSITIONS and begin > cuts[-1]:
            cuts.append(begin)
    return np.array([*cuts, len(layout)], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class StoredLayout:
    """A layout as it is stored, with what reading needs precomputed once."""

    layout: Layout
    cuts: Ints
    _alignments: LeastRecent[str, Ints] = field(default_factory=lambda: LeastRecent(64), repr=False)

    @property
    def segment_count(self) -> int:
        return len(self.cuts) - 1

    def segments_of(self, positions: Ints) -> Ints:
        """(m,) segment of each position."""
        return np.searchsorted(self.cuts, positions, side="right") - 1

    @cached_property
    def topic_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.layout.topics))

    @cached_property
    def topic_numbers(self) -> Ints:
        """(n,) index into `topic_names` of each position."""
        number = {name: i for i, name in enumerate(self.topic_names)}
        return np.fromiter((number[topic] for topic in self.layout.topics), np.int64, len(self.layout))

    @cached_property
    def pairs(self) -> tuple[Ints, Ints]:
        """Adjacent runs of one (owner, topic): first position of each run, and the run of each position."""
        owners, topics = self.layout.owner_of_position, self.topic_numbers
        if not len(owners):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        is_first = np.ones(len(owners), dtype=np.bool_)
        is_first[1:] = (owners[1:] != owners[:-1]) | (topics[1:] != topics[:-1])
        return np.flatnonzero(is_first), np.cumsum(is_first) - 1

    def positions_of(self, other: StoredLayout) -> Ints:
        """For each position of `other`: the position here of the same (owner, topic, partition), or -1."""
        return self._aligned("o" + other.layout.digest, other, by_owner=True)

    def positions_by_topic(self, other: StoredLayout) -> Ints:
        """For each position of `other`: the position here (a layout owned by topics) of its partition, or -1."""
        return self._aligned("t" + other.layout.digest, other, by_owner=False)

    def owners_of(self, other: StoredLayout) -> Ints:
        """For each owner of `other`: the index here of the owner with that name, or -1."""
        key = "w" + other.layout.digest
        known = self._alignments.get(key)
        if known is None:
            indices = (self.layout.owner_index(owner) for owner in other.layout.owners)
            found = np.array([-1 if i is None else i for i in indices], dtype=np.int64)
            known = self._alignments.put(key, found)
        return known

    def _aligned(self, key: str, other: StoredLayout, *, by_owner: bool) -> Ints:
        known = self._alignments.get(key)
        if known is None:
            known = self._alignments.put(key, align(other, self, by_owner=by_owner))
        return known


def align(source: StoredLayout, target: StoredLayout, *, by_owner: bool) -> Ints:
    """For each position of `source` the position in `target` of the same member, -1 where there is none.

    With `by_owner` members are (owner, topic, partition), else (topic, partition) in a target that has each of
    them once. A sort and a search instead of a loop: 100 000 positions take some 30 ms.
    """
    if by_owner and source.layout.digest == target.layout.digest:
        return np.arange(len(source.layout))
    wanted, held = _member_keys(source, target, by_owner=by_owner)
    if not len(held):
        return np.full(len(wanted), -1, dtype=np.int64)
    order = np.argsort(held, kind="stable")
    found = np.minimum(np.searchsorted(held, wanted, sorter=order), len(held) - 1)
    candidate = order[found]
    return np.where((wanted >= 0) & (held[candidate] == wanted), candidate, -1)


def _member_keys(source: StoredLayout, target: StoredLayout, *, by_owner: bool) -> tuple[Ints, Ints]:
    """One int64 per member, equal in both layouts where the members are; -1 for what the target cannot hold."""
    topic_number = {name: i for i, name in enumerate(target.topic_names)}
    translate = np.array([topic_number.get(name, -1) for name in source.topic_names], dtype=np.int64)
    wanted = translate[source.topic_numbers] if len(translate) else np.zeros(0, dtype=np.int64)
    held = target.topic_numbers
    there = wanted >= 0
    if by_owner:
        owners = [target.layout.owner_index(owner) for owner in source.layout.owners]
        owner_translate = np.array([-1 if i is None else i for i in owners], dtype=np.int64)
        owner_wanted = owner_translate[source.layout.owner_of_position] if len(wanted) else wanted
        there &= owner_wanted >= 0
        topics = max(1, len(target.topic_names))
        # owner and topic made dense before the partition joins: partition numbers may be any 31 bits
        pairs, held = np.unique(target.layout.owner_of_position * topics + held, return_inverse=True)
        pair_wanted = owner_wanted * topics + wanted
        if len(pairs):
            found = np.minimum(np.searchsorted(pairs, pair_wanted), len(pairs) - 1)
            there &= pairs[found] == pair_wanted
            wanted = found
    keys = (wanted << 32) | (source.layout.partitions.astype(np.int64) & 0xFFFFFFFF)
    held_keys = (held.astype(np.int64) << 32) | (target.layout.partitions.astype(np.int64) & 0xFFFFFFFF)
    return np.where(there, keys, -1), held_keys


# Keyed by content, so that END, START and SIZE share one object, and no row id can be mistaken for another.
_by_digest: LeastRecent[str, StoredLayout] = LeastRecent(2_000_000, lambda stored: len(stored.layout) + 1_000)


def stored(layout: Layout) -> StoredLayout:
    """The shared precomputed form of a layout that is about to be written."""
    known = _by_digest.get(layout.digest)
    return known if known is not None else _by_digest.put(layout.digest, StoredLayout(layout, cut(layout)))


def load(row_ids: Iterable[int]) -> dict[int, StoredLayout]:
    """Layouts by row id, at most two queries; an unreadable one is left out (its frames then are unknown)."""
    wanted = set(row_ids)
    return load_named(dict(LayoutRow.objects.filter(pk__in=wanted).values_list("pk", "digest"))) if wanted else {}


def load_named(digests: Mapping[int, str]) -> dict[int, StoredLayout]:
    """The same when the digests are known; a query only for what is not in memory."""
    out: dict[int, StoredLayout] = {}
    missing: dict[int, str] = {}
    for row_id, digest in digests.items():
        known = _by_digest.get(digest)
        if known is None:
            missing[row_id] = digest
        else:
            out[row_id] = known
    if missing:
        for row_id, members in LayoutRow.objects.filter(pk__in=missing).values_list("pk", "members"):
            try:
                layout, cuts = codec.decode_layout(bytes(members))
                if layout.digest != missing[row_id]:
                    raise codec.BadBodyError("stored layout does not match its digest")
            except codec.BadBodyError as error:
                log.warning("layout unreadable row=%s reason=%s", row_id, error)
                continue
            out[row_id] = _by_digest.put(missing[row_id], StoredLayout(layout, cuts))
    return out
