"""How evenly records are spread over the partitions of a topic, and which partition gets too many."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .lag import sums
from .numbers import Numbers

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


def times_even(records: Numbers, owners: NDArray[np.int64], count: int) -> Numbers:
    """How many times its even share each partition got, 1 where it is not hot: as `spread`, for many topics at once.

    `records` (n,) counts by partition, `owners` (n,) the topic of each, `count` topics. Known where every partition
    of the topic is; a topic of one partition, or without a record, has nothing to compare: 1.
    """
    total = sums(records, owners, count)
    partitions = np.bincount(owners, minlength=count)
    even = np.where(partitions > 0, total.values / np.maximum(partitions, 1), 0.0)[owners]
    values = records.values.astype(np.float64)
    hot = (values >= HOT_TIMES_EVEN * even) & (values - even > NOISE_DEVIATIONS * np.sqrt(even))
    hot &= (even > 0) & (partitions[owners] > 1)
    return Numbers(np.where(hot, values / np.where(even > 0, even, 1.0), 1.0), total.known[owners])
