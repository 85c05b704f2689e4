"""Head-of-backlog age of every group at a cycle: of the records that wait, how old the oldest one read is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collectors.domain.heads import are_markers, head_ages, oldest_heads
from collectors.domain.numbers import Numbers

from .now import ClusterNow
from .percycle import PerCycle


@dataclass(frozen=True, slots=True, eq=False)
class BacklogsNow:
    """As of one cycle; not known where no record was read, which is the case of most groups that are well."""

    positions: Numbers  # (n,) seconds, by position of the committed layout
    is_at_most: NDArray[np.bool_]  # (n,) the group has read past that record since
    markers: NDArray[np.bool_]  # (n,) nothing but transaction markers waits
    groups: Numbers  # by ClusterNow.groups.names: the oldest position that was read
    worst: NDArray[np.int64]  # that position; -1 where there is none
    marked: NDArray[np.int64]  # by the same: what transaction markers make of the lag

    @property
    def exact(self) -> Numbers:
        """`groups` without those whose worst position has been read past since: of these only a bound is known."""
        passed = self.is_at_most[self.worst] & (self.worst >= 0) if len(self.is_at_most) else False
        return Numbers(self.groups.values, self.groups.known & ~np.asarray(passed, dtype=np.bool_))


def backlogs_at(now: ClusterNow) -> BacklogsNow:
    """No query: all comes with the cycle."""
    return _kept(now)


def _compute(now: ClusterNow) -> BacklogsNow:
    count = len(now.groups.names)
    ages, at_most = head_ages(now.heads, now=now.taken_at)
    markers, marked = are_markers(now.heads), np.zeros(count, dtype=np.int64)
    if not now.heads.known.any():
        nobody = Numbers.unknown(count, np.float64), np.full(count, -1, dtype=np.int64)
        return BacklogsNow(ages, at_most, markers, *nobody, marked)
    owners = now.group_of_position
    at = np.flatnonzero(markers & now.lag.known)
    np.add.at(marked, owners[at], now.lag.values[at])
    return BacklogsNow(ages, at_most, markers, *oldest_heads(ages, owners, count), marked)


_kept: PerCycle[BacklogsNow] = PerCycle(_compute, 1_000_000, lambda one: 3 * len(one.positions) + 2_000)
