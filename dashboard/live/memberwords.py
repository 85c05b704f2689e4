"""What is said of a group's member: what it is still to get or to give up, its tasks, and how far they are restored."""

from __future__ import annotations

from collections.abc import Sequence

from collectors.domain import words
from collectors.domain.assignments import Assignment, Moving
from collectors.domain.tasks import Held, Restoring, Role, Tasks

TOPICS_SAID = 3
PARTITIONS_SAID = 12
TASKS_SAID = 24
RESTORING_SAID = 8


def moving_said(moving: Moving) -> str:
    """ "gets orders 2, 3; gives up orders 0"; "" at rest."""
    said = [f"{verb} {_places(some)}" for verb, some in (("gets", moving.gets), ("gives up", moving.gives)) if some]
    if moving.is_behind and not moving.gives:
        said.append("has not confirmed the newest assignment: what it gives up by it, it may still read")
    return f"moving: {'; '.join(said)}" if said else ""


def group_moving_said(movings: Sequence[Moving]) -> str:
    """How many members of a group are not where they are to be; "" when all are."""
    moves = sum(not one.is_at_rest for one in movings)
    return f"{words.count(moves)} of {words.counted(len(movings), 'member')} still moving" if moves else ""


def tasks_said(tasks: Tasks | None) -> str:
    """ "tasks: active 0_0, 0_1; standby 1_0"; "" where there are none."""
    if tasks is None:
        return ""
    roles = zip(Role, (tasks.active, tasks.standby, tasks.warmup), strict=True)
    said = [f"{role} {_names(held)}" for role, held in roles if held.count]
    return f"tasks: {'; '.join(said)}" if said else "no tasks"


def restoring_said(tasks: Tasks | None) -> str:
    """ "0_3: 12 000 of 40 000 restored"; "" where nothing is told, or nothing is behind: neither says of which kind."""
    if tasks is None or not tasks.restoring:
        return ""
    some = tasks.restoring[:RESTORING_SAID]
    more = tasks.restoring_count - len(some)
    return "; ".join(_restored(one) for one in some) + (f"; and {words.count(more)} more" if more else "")


def none_said(tasks: Tasks | None) -> str:
    """Of a member that has no partitions."""
    return "not told what its tasks read" if tasks is not None and tasks.active.count else "none assigned"


def _restored(one: Restoring) -> str:
    task = words.visible(one.task) if one.role is Role.ACTIVE else f"{one.role} {words.visible(one.task)}"
    if one.restored is None:
        return f"{task}: not told how much of {words.count(one.end)} is restored"
    return f"{task}: {words.count(one.restored)} of {words.count(one.end)} restored"


def _names(held: Held) -> str:
    some = held.names[:TASKS_SAID]
    more = held.count - len(some)
    return ", ".join(words.visible(name) for name in some) + (f" and {words.count(more)} more" if more else "")


def _places(assignment: Assignment) -> str:
    said = []
    for topic, partitions in assignment[:TOPICS_SAID]:
        some = ", ".join(str(partition) for partition in partitions[:PARTITIONS_SAID])
        more = len(partitions) - PARTITIONS_SAID
        said.append(f"{words.visible(topic)} {some}" + (f" and {words.count(more)} more" if more > 0 else ""))
    left = len(assignment) - TOPICS_SAID
    return ", ".join(said) + (f" and {words.counted(left, 'more topic', 'more topics')}" if left > 0 else "")
