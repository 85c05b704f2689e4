"""The tasks of a streams member (KIP-1071): which it has, and how far it has restored their state.

A member tells its broker for each task the sum of the offsets that it has read of the task's changelogs, and the sum of
their ends: once in `group.streams.task.offset.interval.ms`, a minute by default, so these change no more often. Brokers
before Kafka 4.4 refuse the sums, and nothing is told there. Of a task that runs as active nothing is told either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from .words import storable

Task = tuple[str, int]
"""(subtopology, partition)"""

TASKS_KEPT = 200
"""Names kept of a member's tasks in one role: an answer may hold any number."""
RESTORING_KEPT = 20
NAME_CHARACTERS = 100
UNKNOWN_SUM = 2**63 - 1
"""What Kafka Streams tells for a sum that it does not know; a 0 of what was read is "nothing yet" or "not known"."""
FOLLOWS_SHARE = 0.01
"""A standby that lacks less than this share of its changelogs follows them, as it always does."""


class Role(StrEnum):
    ACTIVE = "active"
    STANDBY = "standby"
    WARMUP = "warm-up"


_RANKS = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True)
class Held:
    """A member's tasks in one role: the names of the first of them, as Kafka Streams writes them ("0_3"), and all."""

    names: tuple[str, ...] = ()
    count: int = 0


NOTHING_HELD = Held()


@dataclass(frozen=True, slots=True)
class Restoring:
    """A task whose state is behind its changelogs, in sums of their offsets."""

    task: str
    role: Role
    restored: int | None  # None: not told
    end: int


@dataclass(frozen=True, slots=True)
class Tasks:
    active: Held = NOTHING_HELD
    standby: Held = NOTHING_HELD
    warmup: Held = NOTHING_HELD
    restoring: tuple[Restoring, ...] = ()  # RESTORING_KEPT at most: active ones first, then who has most to go
    restoring_count: int = 0  # with those that are left out; 0 is no claim that all is restored


def tasks_of(assigned: Mapping[Role, Iterable[Task]], offsets: Mapping[Task, int], ends: Mapping[Task, int]) -> Tasks:
    """The tasks of a member by role, with what it tells of their changelogs."""
    roles: dict[Task, Role] = {}
    for role in reversed(Role):
        roles |= dict.fromkeys(assigned.get(role, ()), role)
    behind = []
    for task in sorted(roles, key=_in_order):
        role, restored, end = roles[task], _known(offsets, task), _known(ends, task)
        if end is not None and end - (restored or 0) > (0 if role is Role.ACTIVE else FOLLOWS_SHARE * end):
            behind.append(Restoring(_name(task), role, restored, end))
    behind.sort(key=lambda one: (_RANKS[one.role], (one.restored or 0) - one.end))
    active, standby, warmup = (_held([task for task, own in roles.items() if own is role]) for role in Role)
    return Tasks(active, standby, warmup, tuple(behind[:RESTORING_KEPT]), len(behind))


def _known(sums: Mapping[Task, int], task: Task) -> int | None:
    value = sums.get(task, 0)
    return value if 0 < value < UNKNOWN_SUM else None


def _held(tasks: list[Task]) -> Held:
    return Held(tuple(_name(task) for task in sorted(tasks, key=_in_order)[:TASKS_KEPT]), len(tasks))


def _name(task: Task) -> str:
    return storable(f"{task[0]}_{task[1]}", NAME_CHARACTERS)


def _in_order(task: Task) -> tuple[int, str, int]:
    """Subtopologies are numbered: "10" comes after "9"."""
    return len(task[0]), *task
