"""What the times of commits say of partitions that stand still: committed again at the same offset, or not at all.

A time is that of the newest commit that was seen, in milliseconds of the broker's clock; negative it is since when all
commits were read and none was seen. Two samples are compared with each other, and no clock with another.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from . import words
from .numbers import Numbers
from .window import Window

Bools = NDArray[np.bool_]

SILENT_SECONDS = 15.0
"""Three of Kafka's default commit intervals (5 s) without a commit."""


class Committing(Enum):
    """What members do at partitions that stand still."""

    IN_PLACE = "in place"  # they commit, always the same offset
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class StandingCommits:
    """What was committed at each position (n,) since its committed offset last moved. Neither mask: not known."""

    in_place: Bools
    nothing: Bools
    times: Numbers  # of the newest sample

    def of(self, still: Bools) -> Committing | None:
        """What is known of all positions in `still` together: that they differ is no answer."""
        if still.any() and self.in_place[still].all():
            return Committing.IN_PLACE
        return Committing.NOTHING if still.any() and self.nothing[still].all() else None


def standing_commits(window: Window, where: slice, base: NDArray[np.int64]) -> StandingCommits | None:
    """What was committed at the positions in `where` since the sample `base` (n,) at which each last moved.

    The first sample after that one is where counting begins: what it shows may be the commit that moved. None where
    the newest sample has no times.
    """
    newest = window.samples[-1].committed_at
    if newest is None:
        return None
    now = newest.take(where)
    first, first_at = np.zeros(len(base), dtype=np.int64), np.zeros(len(base))
    found = np.zeros(len(base), dtype=np.bool_)
    for row, sample in enumerate(window.samples):
        if sample.committed_at is None:
            continue
        times = sample.committed_at.take(where)
        begins = times.known & ~found & (row > base)
        first, first_at = np.where(begins, times.values, first), np.where(begins, sample.taken_at, first_at)
        found |= begins
    known = found & now.known
    is_later = (now.values > 0) & (now.values > first)
    long_enough = window.samples[-1].taken_at - first_at >= SILENT_SECONDS
    return StandingCommits(known & is_later, known & ~is_later & long_enough, now)


def newest(times: Numbers) -> int | None:
    """The newest of some positions' times; where no commit was seen at any, since when there was none. None: unknown.

    Of a group all is known or nothing: its commits are in one partition of the topic.
    """
    if not len(times) or not times.known.all():
        return None
    seen = times.values[times.values > 0]
    return int(seen.max()) if len(seen) else int(times.values.max())


def said(time_ms: int | float | None, *, now: float) -> str:
    """ "last commit 3 s ago", "no commit seen for 4 min", or "" where it is not known."""
    if time_ms is None:
        return ""
    ago = words.duration(now - abs(time_ms) / 1000)
    return f"last commit {ago} ago" if time_ms > 0 else f"no commit seen for {ago}"
