"""When each group last committed at each partition, from the records of `__consumer_offsets` in their order."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from ..domain.numbers import Column, Layout, Numbers
from ..domain.scope import Scope
from .commit_records import Commit, Passed, Place, commit_of, offsets_partition, place_of

Ints = NDArray[np.int64]

MOST_KEYS = 300_000
"""Some 60 MB of names and times. Beyond them those go first that committed longest ago."""
_LEFT_OUT = -1


class CommitTimesBook:
    """One entry a key that was seen. For one thread at a time: who has several holds a lock around each call."""

    def __init__(self, scope: Scope, *, most: int = MOST_KEYS) -> None:
        self.scope = scope
        self.most = most
        self.records = 0
        """Records taken since the beginning, of whatever type."""
        self.passed: Counter[Passed] = Counter()
        self._slots: dict[bytes, int] = {}  # by the raw key, so that its names are read once; _LEFT_OUT: not watched
        self._places: list[Place] = []
        self._at_ms: array[int] = array("q")  # 0: deleted
        self._marked: array[int] | None = None  # the times as they were at the newest `mark`
        self._dropped_ms = 0  # the newest commit that was let go of: who is not in the book did not commit since
        self._layout: Layout | None = None
        self._without: frozenset[str] = frozenset()
        self._positions: array[int] = array("q")  # in the layout, by slot; -1: not in it
        self._partitions: Ints = np.zeros(0, dtype=np.int64)  # of the topic, by owner of the layout; -1: not told of
        self._count = 0

    def __len__(self) -> int:
        return len(self._places)

    def clear(self) -> None:
        """Forget all commits: what came between them and the next record is not known."""
        self._slots, self._places = {}, []
        self._at_ms, self._positions, self._layout = array("q"), array("q"), None
        self._dropped_ms, self._marked = 0, None

    def mark(self) -> None:
        """Columns are of this moment from now on, until the next mark."""
        self._marked = self._at_ms[:]

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """One record, in the order of its partition; None as a value is a tombstone."""
        self.records += 1
        slot = self._slots.get(key) if key is not None else None
        if slot is None:
            place = place_of(key)
            if isinstance(place, Passed):
                self.passed[place] += 1
                return
            assert key is not None
            slot = self._new(key, place)
        if slot == _LEFT_OUT:
            return
        if value is None:
            self._at_ms[slot] = 0
            return
        found = commit_of(value)
        if isinstance(found, Commit):
            self._at_ms[slot] = found.at_ms
        else:
            self.passed[found] += 1

    def column(self, layout: Layout, since_ms: Ints, *, without: Collection[str] = ()) -> Column:
        """What is known at each position of the groups' layout: the newest commit in milliseconds, or, where none was
        seen, the moment since when there was none, negative.

        `since_ms` (partitions of the topic,): since when all of one was read, 0 where it is not known to be read up to
        now. Nothing is told of groups in `without`.
        """
        self._follow(layout, len(since_ms), frozenset(without))
        since = np.append(since_ms, 0)[self._partitions]  # the last one is for -1
        known = np.repeat(since > 0, np.diff(layout.starts))
        values = np.repeat(-np.maximum(since, self._dropped_ms), np.diff(layout.starts))
        at_ms = np.array(self._at_ms if self._marked is None else self._marked, dtype=np.int64)
        positions = np.array(self._positions, dtype=np.int64)[: len(at_ms)]
        seen = (positions >= 0) & (at_ms > 0)
        values[positions[seen]] = at_ms[seen]
        return Column(layout, Numbers(np.where(known, values, 0), known))

    def _new(self, key: bytes, place: Place) -> int:
        if len(self._slots) >= self.most:
            self._drop()
        if not (self.scope.takes_group(place.group) and self.scope.takes_topic(place.topic)):
            self._slots[key] = _LEFT_OUT
            return _LEFT_OUT
        slot = self._slots[key] = len(self._places)
        self._places.append(place)
        self._at_ms.append(0)
        return slot

    def _drop(self) -> None:
        """Keep the half that committed last, so that the next thousands cost nothing."""
        at_ms = np.array(self._at_ms, dtype=np.int64)
        kept = np.zeros(len(at_ms), dtype=np.bool_)
        kept[np.argsort(at_ms)[len(at_ms) - self.most // 2 :] if len(at_ms) > self.most // 2 else slice(None)] = True
        kept &= at_ms > 0
        self._dropped_ms = max(self._dropped_ms, int(at_ms[~kept].max(initial=0)))
        slots = [(key, slot) for key, slot in self._slots.items() if slot != _LEFT_OUT and kept[slot]]
        self._places = [self._places[slot] for _, slot in slots]
        self._at_ms = array("q", (self._at_ms[slot] for _, slot in slots))
        self._slots = {key: i for i, (key, _) in enumerate(slots)}
        self._positions, self._layout, self._marked = array("q"), None, None

    def _follow(self, layout: Layout, partitions: int, without: frozenset[str]) -> None:
        """Know where in the layout each slot is; the names are looked up once a layout."""
        is_new = self._layout is None or (layout is not self._layout and layout.digest != self._layout.digest)
        if is_new:
            self._positions = array("q")
        if is_new or partitions != self._count or without != self._without:
            self._layout, self._count, self._without = layout, partitions, without
            told = [
                offsets_partition(owner, partitions) if partitions and owner not in without else -1
                for owner in layout.owners
            ]
            self._partitions = np.array(told, dtype=np.int64)
        if new := self._places[len(self._positions) :]:
            position = layout.position
            self._positions.extend(position.get(place, -1) for place in new)
