"""Records that retention deleted before a group read them, as log starts and the commits around each look tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .lag import newly_lost
from .numbers import NO_COMMIT
from .window import Sample, Window

Ints = NDArray[np.int64]

FAR_STEPS = 3
"""A step so many times as long as the usual one is no reading on: the reader was sent past a hole."""
NEAR_SHARE = 0.1
"""Where it lands: at the new log start, give or take this share of the step (or two usual steps)."""


@dataclass(frozen=True, slots=True)
class Lost:
    """What one group lost between two looks: (topic, partition, records), the most first."""

    partitions: tuple[tuple[str, int, int], ...]

    @property
    def records(self) -> int:
        return sum(records for *_, records in self.partitions)


def looks(samples: Sequence[Sample]) -> list[int]:
    """Rows of the samples that came with a new look at the log starts, the first of them left out: it has none before
    it."""
    found, before = [], None
    for row, sample in enumerate(samples):
        if sample.start is not None and sample.start is not before:
            found.append(row)
            before = sample.start
    return found


def lost_between(samples: Sequence[Sample], first: int, last: int, where: slice = slice(None)) -> Ints:
    """(n,) records lost between two looks at rows `first` and `last`, as far as is certain.

    Either the commit still lies before the new log start, or it has just passed it in one long step to there: the
    reader was told that its offset is gone, and was set to where the log begins (auto.offset.reset). What it may have
    read of these before, a usual step, is not counted.
    """
    before, start = samples[first].start, samples[last].start
    assert before is not None
    assert start is not None
    earlier, newest = before.take(where), start.take(where)
    step = newly_lost(samples[last].committed.take(where), newest, earlier)
    lost: Ints = step.values * step.known
    return lost + jumped_between(samples, first, last, where)


def jumped_between(samples: Sequence[Sample], first: int, last: int, where: slice = slice(None)) -> Ints:
    """(n,) of these, the records that readers were set past.

    A commit that stands just at the new log start is no such reader: who is set there commits what it reads next, and
    Kafka Streams deletes its own topics up to what it has committed.
    """
    before, start = samples[first].start, samples[last].start
    assert before is not None
    assert start is not None
    earlier, newest = before.take(where), start.take(where)
    lost = np.zeros(len(newest), dtype=np.int64)
    trimmed = newest.known & earlier.known & (newest.values > earlier.values)
    for row in range(max(1, first), last + 1) if trimmed.any() else ():
        a, b = samples[row - 1].committed.take(where), samples[row].committed.take(where)
        passed = trimmed & a.known & b.known & (a.values != NO_COMMIT)
        passed &= (a.values < newest.values) & (b.values > newest.values)
        at = np.flatnonzero(passed)
        if not len(at):
            continue
        step = b.values[at] - a.values[at]
        usual = _usual_step(samples, row, where, at)
        is_jump = (usual > 0) & (step > FAR_STEPS * usual)
        is_jump &= b.values[at] - newest.values[at] <= np.maximum(2 * usual, NEAR_SHARE * step)
        gone = newest.values[at] - np.maximum(earlier.values[at], a.values[at] + usual)
        lost[at] += np.maximum(gone, 0) * is_jump
    return lost


def _usual_step(samples: Sequence[Sample], but: int, where: slice, at: Ints) -> Ints:
    """(len(at),) the median of the steps forward of a commit between two samples, that to row `but` left out; 0 where
    there is no other. (Not the longest: that may be an earlier jump.)"""
    steps = np.full((len(samples), len(at)), np.nan)
    for row in range(1, len(samples)):
        a, b = samples[row - 1].committed.take(where).take(at), samples[row].committed.take(where).take(at)
        forward = a.known & b.known & (a.values != NO_COMMIT) & (b.values > a.values)
        if row != but:
            steps[row, forward] = (b.values - a.values)[forward]
    usual = np.zeros(len(at), dtype=np.int64)
    has_any = ~np.isnan(steps).all(axis=0)
    usual[has_any] = np.nanmedian(steps[:, has_any], axis=0)
    return usual


def lost_at_newest(window: Window) -> dict[str, Lost]:
    """What each group lost at the newest sample; nothing when that brought no new look at the log starts."""
    samples = list(window.samples)
    found = looks(samples)
    if len(found) < 2 or found[-1] != len(samples) - 1:
        return {}
    lost = lost_between(samples, found[-2], found[-1])
    layout = window.layout
    out: dict[str, Lost] = {}
    hit = np.flatnonzero(lost)
    for owner in np.unique(layout.owner_of_position[hit]).tolist():
        mine = [i for i in hit.tolist() if layout.starts[owner] <= i < layout.starts[owner + 1]]
        mine.sort(key=lambda i: -int(lost[i]))
        out[layout.owners[owner]] = Lost(
            tuple((layout.topics[i], int(layout.partitions[i]), int(lost[i])) for i in mine)
        )
    return out
