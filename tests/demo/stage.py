"""A director whose time a test makes pass: waiting costs nothing, wishes come and the end comes at given seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectors.conductor import Wish
from collectors.demo.director import Director
from collectors.models import Cluster, Event

NOW = 1_795_000_000.0


class Time:
    """Stands in for the director's stop event and both of its clocks."""

    def __init__(self, stop_at: float, wishes: Mapping[float, Wish]) -> None:
        self.now = 0.0
        self.stop_at = stop_at
        self.wishes = sorted(wishes.items())
        self.director: Director | None = None

    def wait(self, seconds: float) -> bool:
        self.now += max(seconds, 0.001)
        while self.wishes and self.wishes[0][0] <= self.now:
            assert self.director is not None
            self.director.wish(self.wishes.pop(0)[1])
        return self.now >= self.stop_at

    def is_set(self) -> bool:
        return self.now >= self.stop_at

    def set(self) -> None:
        self.stop_at = 0.0


def performed(
    cluster: Cluster, *, seconds: float, wishes: Mapping[float, Wish] | None = None, **options: Any
) -> list[tuple[int, str, str]]:
    """Play for `seconds`; (second, act, phase) of each mark, in order."""
    time = Time(seconds, wishes or {})
    told: list[dict[str, Any]] = []
    director = Director(cluster.pk, told.append, clock=lambda: NOW + time.now, monotonic=lambda: time.now, **options)
    director._stop = time  # type: ignore[assignment]  # the two methods that are used
    time.director = director
    director.perform()
    return [
        (round(event.at.timestamp() - NOW), event.data["act"], event.data["phase"])
        for event in Event.objects.order_by("id")
    ]
