"""What alerts about backlogs say: how many records wait, how old the first is, how long it takes to read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectors.domain import words
from collectors.domain.drain import DrainOutcome
from collectors.domain.words import visible
from collectors.history.now import ClusterNow
from collectors.history.queries import backlogs_at, drains_at

from .groupsentences import behind, group_numbers
from .scene import Told


def many_wait(now: ClusterNow, group: str) -> Told:
    numbers = group_numbers(now, group)
    if numbers["lag"] is None:
        return Told(f"{visible(group)} is behind; by how many records is not known", numbers)
    return Told(f"{visible(group)} is {words.counted(numbers['lag'], 'record')} behind{_rates(numbers)}", numbers)


def fewer_wait(now: ClusterNow | None, group: str, after: str, numbers: dict[str, Any]) -> Told:
    if now is not None:
        numbers |= group_numbers(now, group)
    return Told(f"{visible(group)} is no longer that many records behind{after}{behind(numbers)}", numbers)


def head_is_old(now: ClusterNow, group: str) -> Told:
    numbers = _head_numbers(now, group)
    if numbers["head_age_seconds"] is None:
        return Told(f"{visible(group)} is behind; how old its oldest unread record is, is not known", numbers)
    how = "at most, for it has read on since" if numbers["is_at_most"] else "by the timestamp that it carries"
    where = f"{visible(numbers['topic'])}/{numbers['partition']}"
    age = words.duration(numbers["head_age_seconds"])
    return Told(f"The oldest unread record of {visible(group)} is {age} old, {how}: {where}{behind(numbers)}", numbers)


def head_is_young(now: ClusterNow | None, group: str, after: str, numbers: dict[str, Any]) -> Told:
    over = f"The oldest unread record of {visible(group)} is no longer that old{after}"
    if now is None:
        return Told(over, numbers)
    numbers |= _head_numbers(now, group)
    at = now.groups.index.get(group)
    markers = 0 if at is None else int(backlogs_at(now).marked[at])
    if numbers["lag"] is not None and numbers["lag"] <= markers:
        return Told(f"{over}: {'only transaction markers wait' if markers else 'nothing waits'}", numbers)
    age = numbers["head_age_seconds"]
    most = "at most " if numbers["is_at_most"] else ""
    return Told(f"{over}{'' if age is None else f': {most}{words.duration(age)}'}{behind(numbers)}", numbers)


def drains_late(now: ClusterNow, group: str) -> Told:
    numbers, outcome = _drain_numbers(now, group)
    wait = "what waits" if numbers["lag"] is None else words.counted(numbers["lag"], "record")
    if numbers["drain_seconds"] is not None:
        takes = words.duration(numbers["drain_seconds"])
        return Told(f"{visible(group)} needs {takes} to read {wait}{_rates(numbers)}", numbers)
    if outcome is DrainOutcome.NOT_DRAINING:
        return Told(f"{visible(group)} does not drain, {wait} behind{_rates(numbers)}", numbers)
    return Told(f"{visible(group)} is behind; how long it takes to read {wait} is not known", numbers)


def drains_soon(now: ClusterNow | None, group: str, after: str, numbers: dict[str, Any]) -> Told:
    over = f"{visible(group)} no longer takes that long to read what waits{after}"
    if now is None:
        return Told(over, numbers)
    own, outcome = _drain_numbers(now, group)
    numbers |= own
    if own["lag"] == 0:
        return Told(f"{over}: nothing waits", numbers)
    if outcome is DrainOutcome.KEEPS_UP:
        return Told(f"{over}: it keeps up{behind(numbers)}", numbers)
    left = "" if own["drain_seconds"] is None else f": {words.duration(own['drain_seconds'])} left"
    return Told(f"{over}{left}{behind(numbers)}", numbers)


def _rates(numbers: Mapping[str, Any]) -> str:
    """ ": it reads 80/s while 200/s arrive"; "" unless both are known."""
    read, comes = numbers["consumed_per_second"], numbers["arriving_per_second"]
    return "" if read is None or comes is None else f": it reads {words.rate(read)} while {words.rate(comes)} arrive"


def _head_numbers(now: ClusterNow, group: str) -> dict[str, Any]:
    """The oldest record that was read of those that wait, and where it is."""
    numbers = group_numbers(now, group)
    at = now.groups.index.get(group)
    found = backlogs_at(now)
    worst = -1 if at is None else int(found.worst[at])
    if at is None or worst < 0:
        return {**numbers, "head_age_seconds": None, "is_at_most": False, "topic": None, "partition": None}
    return {
        **numbers,
        "head_age_seconds": round(float(found.groups.values[at]), 1),
        "is_at_most": bool(found.is_at_most[worst]),
        "topic": now.committed.layout.topics[worst],
        "partition": int(now.committed.layout.partitions[worst]),
    }


def _drain_numbers(now: ClusterNow, group: str) -> tuple[dict[str, Any], DrainOutcome]:
    """The numbers of a drain estimate, plain JSON: where there is none it is None, and the word says why."""
    numbers, at = group_numbers(now, group), now.groups.index.get(group)
    if at is None:
        return {**numbers, "drain_seconds": None, "drain": DrainOutcome.UNKNOWN.word}, DrainOutcome.UNKNOWN
    found = drains_at(now)
    seconds, outcome = found.seconds_at(at), DrainOutcome(int(found.outcome[at]))
    told = {"drain_seconds": None if seconds is None else round(seconds, 1), "drain": outcome.word}
    return {**numbers, **told}, outcome
