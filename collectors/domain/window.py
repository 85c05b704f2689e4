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
GAP_STEPS = 4.0
"""So many times the usual step is a gap."""


@dataclass(frozen=True, slots=True)
class Sample:
    taken_at: float
    committed: Numbers  # (n,) by position of the layout
    end: Numbers  # (n,) log end of the same positions
    start: Numbers | None = None  # (n,) log start of the same positions, as last asked; None before it was
    stable: Numbers | None = None  # (n,) last stable offset, known where one lay below the log end; None: nowhere
    owned: NDArray[np.int8] | None = None  # (n,) domain.ownership.Owner; None where nobody told
    committed_at: Numbers | None = None  # (n,) as domain.commit_times reads it; None where commits are not read


@dataclass(frozen=True, slots=True)
class Gap:
    """A pause in which samples are missing: the last one before it, the first one after, how many came since then."""

    since: float  # unix seconds
    until: float
    samples: int


class Window:
    """A ring of samples by position of the newest committed layout; older samples follow a change of layout."""

    def __init__(self, length: int = LENGTH) -> None:
        self.layout = Layout.build({})
        self.samples: deque[Sample] = deque(maxlen=length)
        self.missing_since: float | None = None  # the last sample before a gap that the first one here is after
        self._end_layout: Layout | None = None
        self._end_positions: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._stable_layout: Layout | None = None
        self._stable_positions: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def push(
        self,
        taken_at: float,
        committed: Column,
        end: Column,
        *,
        start: Column | None = None,
        stable: Column | None = None,
        owned: NDArray[np.int8] | None = None,
        committed_at: Column | None = None,
    ) -> None:
        """`start` is given when it was asked anew, and holds until then; `stable` and `committed_at` hold for this
        sample alone, the latter where its layout is the committed one; `owned` (n,) is of that layout."""
        if committed.layout is not self.layout and committed.layout.digest != self.layout.digest:
            self._move_to(committed.layout)
            self._end_layout = self._stable_layout = None
        if end.layout is not self._end_layout:
            self._end_positions = positions_in(self.layout, end.layout)
            self._end_layout = end.layout
        starts = self.samples[-1].start if self.samples else None
        if start is not None:
            same = start.layout is end.layout or start.layout.digest == end.layout.digest
            starts = gather(start.numbers, self._end_positions if same else positions_in(self.layout, start.layout))
        stables = None
        if stable is not None and len(stable.layout):
            if stable.layout is not self._stable_layout:
                self._stable_positions = positions_in(self.layout, stable.layout)
                self._stable_layout = stable.layout
            stables = gather(stable.numbers, self._stable_positions)
        times = None
        if committed_at is not None and committed_at.layout.digest == committed.layout.digest:
            times = committed_at.numbers
        if self.samples and taken_at <= self.samples[-1].taken_at:
            self.samples.clear()  # the clock stepped back: no span over the step means anything
            self.missing_since = None
        ends = gather(end.numbers, self._end_positions)
        self.samples.append(Sample(taken_at, committed.numbers, ends, starts, stables, owned, times))

    def _move_to(self, layout: Layout) -> None:
        source = layout.places_in(self.layout)
        there, safe = source >= 0, np.where(source >= 0, source, 0)
        starts: dict[int, Numbers] = {}  # many samples share one: they go on to
        owners: dict[int, NDArray[np.int8]] = {}
        for i, sample in enumerate(self.samples):
            start, owned = sample.start, sample.owned
            if start is not None and id(start) not in starts:
                starts[id(start)] = gather(start, source)
            if owned is not None and id(owned) not in owners:
                owners[id(owned)] = owned[safe] * there if len(owned) else np.zeros(len(layout), dtype=np.int8)
            self.samples[i] = Sample(
                sample.taken_at,
                gather(sample.committed, source),
                gather(sample.end, source),
                starts[id(start)] if start is not None else None,
                gather(sample.stable, source) if sample.stable is not None else None,
                owners[id(owned)] if owned is not None else None,
                gather(sample.committed_at, source) if sample.committed_at is not None else None,
            )
        self.layout = layout

    def only(self, owner: str) -> Window:
        """The part of one owner: what is made of trends costs as much as all that a window holds."""
        part = Window(self.samples.maxlen or LENGTH)
        if self.layout.owner_index(owner) is None:
            return part
        where = self.layout.slice_of(owner)
        part.layout = Layout.build({owner: self.layout.keys_of(owner)})
        part.missing_since = self.missing_since
        starts: dict[int, Numbers] = {}
        for s in self.samples:
            start = starts.setdefault(id(s.start), s.start.take(where)) if s.start is not None else None
            stable = s.stable.take(where) if s.stable is not None else None
            owned = s.owned[where] if s.owned is not None else None
            times = s.committed_at.take(where) if s.committed_at is not None else None
            commits, ends = s.committed.take(where), s.end.take(where)
            part.samples.append(Sample(s.taken_at, commits, ends, start, stable, owned, times))
        return part

    @property
    def gap(self) -> Gap | None:
        """The last pause in which three samples or more are missing; None where none is known."""
        times = self.times
        steps = np.diff(times)
        gaps = np.flatnonzero(steps > GAP_STEPS * np.median(steps)).tolist() if len(steps) > 1 else []
        if gaps:
            at = gaps[-1]
            return Gap(float(times[at]), float(times[at + 1]), len(times) - at - 1)
        if self.missing_since is None or not len(times):
            return None
        return Gap(self.missing_since, float(times[0]), len(times))

    @property
    def samples_since_gap(self) -> int:
        """How many samples there are since the last gap; all where none is."""
        found = self.gap
        return len(self.samples) if found is None else found.samples

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
