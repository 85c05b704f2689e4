"""Which commits are of the logs that are there now: their leader epochs beside those of the partitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .domain.commit_epochs import NO_EPOCH, are_of_another_log, stored_epochs
from .domain.numbers import Column, Layout, Numbers
from .domain.topology import Metadata
from .history.layouts import stored
from .kafka.answers import CommitsAnswer

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class CommitEpochs:
    """Commits of another log are not known, since no lag can be told from them; one caller at a time.

    A commit may be ahead of metadata that was asked for earlier: a leader has changed since. So newer metadata is
    asked for before that is said, once for each new case.
    """

    def __init__(self) -> None:
        self._told: set[tuple[str, str, int, int]] = set()  # (group, topic, partition, epoch), by newer metadata
        self._leaders: tuple[Layout, object, Ints] | None = None
        self.others = 0
        """How many of the newest answer's commits are of another log."""

    def take(
        self,
        commits: CommitsAnswer,
        layout: Layout,
        metadata: Metadata,
        newer: Callable[[Metadata], Metadata | None],
    ) -> tuple[CommitsAnswer, Column]:
        """(the answer without offsets of other logs, its epochs as they are stored); `layout` is that of the
        metadata's topics.

        `newer` asks for newer metadata than that which is given, and returns None when none comes.
        """
        column, epochs = commits.column, commits.epochs
        other = self._are_other(column.layout, epochs, layout, metadata)
        if other.any() and not self._names(column.layout, epochs, other) <= self._told:
            if (again := newer(metadata)) is not None:
                other = self._are_other(column.layout, epochs, layout, again)
            self._told = self._names(column.layout, epochs, other)
        elif self._told and not other.any():
            self._told = set()
        self.others = int(other.sum())
        kept = Column(column.layout, Numbers(stored_epochs(epochs.values, other), epochs.known))
        if not self.others:
            return commits, kept
        numbers = Numbers(column.numbers.values, column.numbers.known & ~other)
        return replace(commits, column=Column(column.layout, numbers)), kept

    def _are_other(self, commits: Layout, epochs: Numbers, layout: Layout, metadata: Metadata) -> Bools:
        if not len(layout):
            return np.zeros(len(commits), dtype=np.bool_)
        at = stored(layout).positions_by_topic(stored(commits))
        leaders = np.where(at >= 0, self._leader_epochs(layout, metadata)[np.maximum(at, 0)], NO_EPOCH)
        return epochs.known & are_of_another_log(epochs.values, leaders)

    def _leader_epochs(self, layout: Layout, metadata: Metadata) -> Ints:
        if self._leaders is None or self._leaders[0] is not layout or self._leaders[1] is not metadata.topics:
            values = np.full(len(layout), NO_EPOCH, dtype=np.int64)
            for topic in metadata.topics:
                if layout.owner_index(topic.name) is None or topic.name in metadata.hidden:
                    continue  # what was seen of hidden ones may be long ago
                where = layout.slice_of(topic.name)
                found = {partition.index: partition.leader_epoch for partition in topic.partitions}
                values[where] = [found.get(index, NO_EPOCH) for index in layout.partitions[where].tolist()]
            self._leaders = layout, metadata.topics, values
        return self._leaders[2]

    @staticmethod
    def _names(layout: Layout, epochs: Numbers, where: Bools) -> set[tuple[str, str, int, int]]:
        return {(*layout.key_at(i), int(epochs.values[i])) for i in np.flatnonzero(where).tolist()}
