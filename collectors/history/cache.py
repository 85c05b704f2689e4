"""A small cache in memory, shared by the threads of one process."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


_all: weakref.WeakSet[LeastRecent[Any, Any]] = weakref.WeakSet()


def clear_caches() -> None:
    """Forget everything read so far: for tests that damage what is stored, and after a database was replaced."""
    for cache in list(_all):
        cache.clear()


class LeastRecent(Generic[K, V]):
    """Keeps what was used last, up to a total weight (by default one per entry)."""

    def __init__(self, limit: int, weigh: Callable[[V], int] = lambda value: 1) -> None:
        self._limit, self._weigh = limit, weigh
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._weight = 0
        self._lock = threading.Lock()
        _all.add(self)

    def get(self, key: K) -> V | None:
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
            return None

    def put(self, key: K, value: V) -> V:
        """Keep `value`; returns what is now kept under the key, so that racing threads share one object."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
            self._entries[key] = value
            self._weight += self._weigh(value)
            while self._weight > self._limit and len(self._entries) > 1:
                self._weight -= self._weigh(self._entries.popitem(last=False)[1])
            return value

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._weight = 0
