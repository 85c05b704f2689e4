"""What is made of a cycle's numbers alone, made once for all who ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from .cache import LeastRecent
from .now import ClusterNow

V = TypeVar("V")


class PerCycle(Generic[V]):
    """`make` is called once a cycle; `weigh` as `LeastRecent` takes it, `limit` in all."""

    def __init__(self, make: Callable[[ClusterNow], V], limit: int, weigh: Callable[[V], int]) -> None:
        self._make = make
        self._kept: LeastRecent[tuple[int, int, float, bool], V] = LeastRecent(limit, weigh)

    def __call__(self, now: ClusterNow) -> V:
        found = self._kept.get(now.key)
        return found if found is not None else self._kept.put(now.key, self._make(now))
