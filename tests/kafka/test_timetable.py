"""Questions come in their order, each in its time, and earlier where somebody wants it."""

from __future__ import annotations

from collectors.kafka.timetable import Timetable


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(times: Timetable, **every: float) -> list[str]:
    """All that is due now, in the order in which it is given out."""
    found = []
    while (part := times.take(every.__getitem__)) is not None:
        found.append(part)
    return found


def test_what_is_due_comes_in_order_and_again_in_its_time() -> None:
    clock = Clock()
    times = Timetable(("metadata", "groups"), clock=clock)
    assert times.take(lambda _: 30.0, only=("metadata",)) == "metadata"
    assert times.take(lambda _: 30.0, only=("metadata",)) is None, "nothing else before it"
    assert taken(times, metadata=30, groups=15) == ["groups"]
    clock.now += 14
    assert times.seconds_left() == 1
    assert taken(times, metadata=30, groups=15) == []
    clock.now += 16
    assert taken(times, metadata=30, groups=15) == ["metadata", "groups"]


def test_a_part_is_asked_earlier_but_never_at_once_again() -> None:
    clock = Clock()
    times = Timetable(("groups",), clock=clock)
    assert taken(times, groups=15) == ["groups"]
    times.poke("groups", apart=1.0)
    assert taken(times, groups=15) == []
    clock.now += 1
    assert taken(times, groups=15) == ["groups"]
    times.within("groups", 60)
    assert times.seconds_left() == 15, "not later than planned"
    times.within("groups", 5)
    assert times.seconds_left() == 5
    times.after("groups", 60)
    assert times.seconds_left() == 60
