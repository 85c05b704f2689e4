"""The newest samples of a cluster's groups in memory, aligned so that verdicts are a few numpy passes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .lag import gather, positions_in
from .numbers import Column, Layout, Numbers

LENGTH = 24
"""Samples kept: two minutes at the default interval, enough to see past the sawtooth of commits."""


@dataclass(frozen=True, slots=True)
class Sample:
    taken_at: float
    committed: Numbers  # (n,) by position of the layout
    end: Numbers  # (n,) log end of the same positions


class Window:
    """A ring of samples by position of the newest committed layout; older samples follow a change of layout."""

    def __init__(self, length: int = LENGTH) -> None:
        self.layout = Layout.build({})
        self.samples: deque[Sample] = deque(maxlen=length)
        self._end_layout: Layout | None = None
        self._end_positions: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def push(self, taken_at: float, committed: Column, end: Column) -> None:
        if committed.layout is not self.layout and committed.layout.digest != self.layout.digest:
            self._move_to(committed.layout)
            self._end_layout = None
        if end.layout is not self._end_layout:
            self._end_positions = positions_in(self.layout, end.layout)
            self._end_layout = end.layout
        if self.samples and taken_at <= self.samples[-1].taken_at:
            self.samples.clear()  # the clock stepped back: no span over the step means anything
        self.samples.append(Sample(taken_at, committed.numbers, gather(end.numbers, self._end_positions)))

    def _move_to(self, layout: Layout) -> None:
        old = self.layout.position
        keys = layout.position
        source = np.full(len(layout), -1, dtype=np.int64)
        for key, position in keys.items():
            source[position] = old.get(key, -1)
        for i, sample in enumerate(self.samples):
            self.samples[i] = Sample(sample.taken_at, gather(sample.committed, source), gather(sample.end, source))
        self.layout = layout

    def only(self, owner: str) -> Window:
        """The part of one owner: what is made of trends costs as much as all that a window holds."""
        part = Window(self.samples.maxlen or LENGTH)
        if self.layout.owner_index(owner) is None:
            return part
        where = self.layout.slice_of(owner)
        members = zip(self.layout.topics[where], self.layout.partitions[where].tolist(), strict=True)
        part.layout = Layout.build({owner: members})
        part.samples.extend(Sample(s.taken_at, s.committed.take(where), s.end.take(where)) for s in self.samples)
        return part

    @property
    def times(self) -> NDArray[np.float64]:
        return np.array([sample.taken_at for sample in self.samples])

    def arrays(
        self, where: slice = slice(None)
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.bool_]]:
        """committed, committed known, end, end known: each (samples, positions in `where`)."""
        count = len(range(*where.indices(len(self.layout))))
        if not self.samples:
            empty = np.zeros((0, count), dtype=np.int64)
            return empty, empty.astype(np.bool_), empty, empty.astype(np.bool_)
        return (
            np.stack([s.committed.values[where] for s in self.samples]).astype(np.int64),
            np.stack([s.committed.known[where] for s in self.samples]),
            np.stack([s.end.values[where] for s in self.samples]).astype(np.int64),
            np.stack([s.end.known[where] for s in self.samples]),
        )
