"""How evenly records are spread over the partitions of a topic, and which partition gets too many."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

HOT_TIMES_EVEN = 2.0
"""A partition is called hot from twice its even share on: one consumer then does the work of two."""
NOISE_DEVIATIONS = 4.0
"""And only if chance does not explain it: beyond four standard deviations of a Poisson count."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one partition got of the records that came to a topic."""

    partition: int
    records: int
    share: float  # of 1
    times_even: float  # 1 is an even share
    is_hot: bool


@dataclass(frozen=True, slots=True)
class Spread:
    """Shares of all partitions, the most first."""

    total: int
    shares: tuple[Share, ...]

    @property
    def hot(self) -> tuple[Share, ...]:
        return tuple(one for one in self.shares if one.is_hot)

    @property
    def idle(self) -> int:
        """Partitions that got nothing."""
        return sum(one.records == 0 for one in self.shares)


def spread(records: Mapping[int, int | None]) -> Spread | None:
    """The spread of records by partition. None when one is not known, or there is nothing to compare: fewer than
    two partitions, or no record at all."""
    known = {partition: count for partition, count in records.items() if count is not None}
    total = sum(known.values())
    if len(known) < len(records) or len(known) < 2 or total == 0:
        return None
    even = total / len(known)
    noise = NOISE_DEVIATIONS * math.sqrt(even)
    shares = [
        Share(partition, count, count / total, count / even, count >= HOT_TIMES_EVEN * even and count - even > noise)
        for partition, count in known.items()
    ]
    shares.sort(key=lambda one: (-one.records, one.partition))
    return Spread(total, tuple(shares))
