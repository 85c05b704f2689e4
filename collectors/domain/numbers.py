"""Numbers that say which of them are known, and the layouts that say what they belong to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

NO_COMMIT = -1
"""A *known* committed offset meaning "this group never committed here" (never a lag, never unknown)."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """An array with a mask of the same length; where `known` is False the value means nothing.

    `values` is int64 or float64 of shape (n,), `known` bool of shape (n,).
    """

    values: NDArray[Any]
    known: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.values.shape != self.known.shape:
            raise ValueError(f"values {self.values.shape} and known {self.known.shape} must have one shape")

    def __len__(self) -> int:
        return len(self.values)

    def at(self, index: int) -> int | float | None:
        """The number at a position as a plain Python number, or None where it is unknown."""
        return self.values[index].item() if self.known[index] else None

    def equals(self, other: Numbers) -> bool:
        return np.array_equal(self.values, other.values) and np.array_equal(self.known, other.known)

    def take(self, where: slice | NDArray[np.int64]) -> Numbers:
        return Numbers(self.values[where], self.known[where])

    @classmethod
    def unknown(cls, count: int, dtype: type[np.int64] | type[np.float64] = np.int64) -> Numbers:
        return cls(np.zeros(count, dtype=dtype), np.zeros(count, dtype=np.bool_))

    @classmethod
    def of(cls, values: Sequence[int | float | None], dtype: type[np.int64] | type[np.float64] = np.int64) -> Numbers:
        known = np.array([value is not None for value in values], dtype=np.bool_)
        return cls(np.array([0 if value is None else value for value in values], dtype=dtype), known)


@dataclass(frozen=True, eq=False)
class Layout:
    """What positions mean: owners in order, each with its members (topic, partition) in order.

    The owner is a topic, a group or a broker id as text. Members of one owner are adjacent:
    positions `starts[i]` to `starts[i + 1]` belong to `owners[i]`. Subjects without partitions (a verdict
    of a group, the state of a broker) have one member ("", -1).
    """

    owners: tuple[str, ...]
    starts: NDArray[np.int64]  # (len(owners) + 1,)
    topics: tuple[str, ...]  # topic of each position
    partitions: NDArray[np.int32]  # partition of each position
    _index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.starts) != len(self.owners) + 1 or len(self.topics) != len(self.partitions):
            raise ValueError("starts needs one entry more than owners, topics as many as partitions")
        object.__setattr__(self, "_index", {owner: i for i, owner in enumerate(self.owners)})

    @classmethod
    def build(cls, members: Mapping[str, Iterable[tuple[str, int]]]) -> Layout:
        """Make a layout from {owner: [(topic, partition), ...]}; owners and members are sorted."""
        owners = tuple(sorted(members))
        starts, topics, partitions = [0], [], []
        for owner in owners:
            for topic, partition in sorted(members[owner]):
                topics.append(topic)
                partitions.append(partition)
            starts.append(len(topics))
        return cls(owners, np.array(starts, dtype=np.int64), tuple(topics), np.array(partitions, dtype=np.int32))

    @classmethod
    def single(cls, owners: Iterable[str]) -> Layout:
        """A layout of subjects that have one number each (verdicts of groups, states of brokers)."""
        return cls.build({owner: [("", -1)] for owner in owners})

    @classmethod
    def of_topics(cls, partition_counts: Mapping[str, Iterable[int]]) -> Layout:
        """A layout of partitions owned by their topics: {topic: partition numbers}."""
        return cls.build({topic: [(topic, p) for p in numbers] for topic, numbers in partition_counts.items()})

    def __len__(self) -> int:
        return len(self.topics)

    def slice_of(self, owner: str) -> slice:
        """Positions of one owner; KeyError when the layout does not hold it."""
        index = self._index[owner]
        return slice(int(self.starts[index]), int(self.starts[index + 1]))

    def part(self, at: NDArray[np.int64], *, keep_empty: bool = False) -> Layout:
        """The layout of the positions `at`, which ascend; with `keep_empty` owners stay that have none of them."""
        counts = np.bincount(self.owner_of_position[at], minlength=len(self.owners))
        return self._part(at, counts, np.ones(len(counts), dtype=np.bool_) if keep_empty else counts > 0)

    def _part(self, at: NDArray[np.int64], counts: NDArray[np.int64], stays: NDArray[np.bool_]) -> Layout:
        """Of each owner `counts` of the positions `at`, none of one that does not stay."""
        return Layout(
            tuple(self.owners[i] for i in np.flatnonzero(stays).tolist()),
            np.concatenate(([0], np.cumsum(counts[stays]))).astype(np.int64),
            tuple(self.topics[i] for i in at.tolist()),
            self.partitions[at],
        )

    def of_owners(self, owners: Collection[str]) -> tuple[Layout, NDArray[np.int64]]:
        """The layout of those owners that are among `owners`, with or without positions, and its positions here."""
        stays = np.array([owner in owners for owner in self.owners], dtype=np.bool_)
        at = np.flatnonzero(stays[self.owner_of_position])
        return self._part(at, np.diff(self.starts), stays), at

    def keys_of(self, owner: str) -> list[tuple[str, int]]:
        """(topic, partition) of each position of an owner, in their order."""
        where = self.slice_of(owner)
        return list(zip(self.topics[where], self.partitions[where].tolist(), strict=True))

    def key_at(self, position: int) -> tuple[str, str, int]:
        """(owner, topic, partition) of a position, as `position` has them."""
        owner = self.owners[int(self.owner_of_position[position])]
        return owner, self.topics[position], int(self.partitions[position])

    def owner_index(self, owner: str) -> int | None:
        return self._index.get(owner)

    @cached_property
    def owner_of_position(self) -> NDArray[np.int64]:
        """(n,) index into `owners` of each position."""
        return np.repeat(np.arange(len(self.owners)), np.diff(self.starts))

    @cached_property
    def position(self) -> dict[tuple[str, str, int], int]:
        """(owner, topic, partition) -> position."""
        owners = (self.owners[i] for i in self.owner_of_position.tolist())
        keys = zip(owners, self.topics, self.partitions.tolist(), strict=True)
        return {key: i for i, key in enumerate(keys)}

    def places_in(self, other: Layout) -> NDArray[np.int64]:
        """(n,) the position in another layout of the same (owner, topic, partition); -1 where it does not hold it."""
        if other is self or other.digest == self.digest:
            return np.arange(len(self))
        if other.digest not in self._places:
            self._places.clear()  # asked of one other at a time: the layout before
            found = (other.position.get(key, -1) for key in self.position)
            self._places[other.digest] = np.fromiter(found, np.int64, len(self))
        return self._places[other.digest]

    @cached_property
    def _places(self) -> dict[str, NDArray[np.int64]]:
        return {}

    @cached_property
    def digest(self) -> str:
        """A hash of the whole content: equal layouts have equal digests in every process."""
        h = hashlib.blake2b(digest_size=16)
        h.update(json.dumps([self.owners, self.topics], ensure_ascii=True).encode())
        h.update(self.starts.astype("<i8").tobytes())
        h.update(self.partitions.astype("<i4").tobytes())
        return h.hexdigest()


@dataclass(frozen=True, slots=True)
class Column:
    """The numbers of one kind at one moment, with the layout that says whose they are."""

    layout: Layout
    numbers: Numbers

    def __post_init__(self) -> None:
        if len(self.layout) != len(self.numbers):
            raise ValueError(f"layout has {len(self.layout)} positions, numbers {len(self.numbers)}")

    def of(self, owner: str) -> Numbers:
        return self.numbers.take(self.layout.slice_of(owner))

    def equals(self, other: Column) -> bool:
        """Whether the same is known of the same positions."""
        return self.layout.digest == other.layout.digest and self.numbers.equals(other.numbers)

    @classmethod
    def empty(cls) -> Column:
        return cls(Layout.build({}), Numbers.unknown(0))
