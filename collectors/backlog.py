"""A queue of what could not be stored yet, bounded in number and weight."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Backlog(Generic[T]):
    """What could not be stored yet, the oldest first, bounded by number and weight; the oldest is dropped first."""

    def __init__(self, *, most: int, heaviest: int) -> None:
        self.most, self.heaviest = most, heaviest
        self.dropped = 0
        """How many were dropped since `dropped` was last set to 0."""
        self._items: deque[tuple[T, int]] = deque()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._items)

    def push(self, item: T, weight: int) -> None:
        self._items.append((item, weight))
        self._weight += weight
        while len(self._items) > self.most or (self._weight > self.heaviest and len(self._items) > 1):
            self.done()
            self.dropped += 1

    @property
    def oldest(self) -> T | None:
        return self._items[0][0] if self._items else None

    def done(self) -> None:
        """The oldest is stored."""
        _, weight = self._items.popleft()
        self._weight -= weight
