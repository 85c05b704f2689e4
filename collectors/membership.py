"""Who is in which group, what each holds and is about to hold: the member rows, written when that has changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from .changes import Changes
from .domain import topology
from .domain.assignments import Assignment, Moving
from .domain.tasks import Held, Restoring, Role, Tasks
from .domain.words import counted, storable
from .models import Event, Group, Member
from .models.moments import aware
from .models.updates import update_each


class Memberships:
    """The members of each group as they stand; as the rows of Inventory, made anew after a failed save."""

    def __init__(self, cluster_id: int) -> None:
        self._cluster_id = cluster_id
        members: dict[str, list[topology.Member]] = {}
        found = Member.objects.filter(group__cluster_id=cluster_id).values_list(
            "group__name", "member_id", "client_id", "host", "instance_id", "assignment", "moving", "tasks"
        )
        for group, member_id, client_id, host, instance_id, held, moving, tasks in found:
            known = topology.Member(member_id, client_id, host, instance_id or None, _as_assignment(held))
            members.setdefault(group, []).append(replace(known, moving=moving_of(moving), tasks=tasks_of(tasks)))
        self._present = {group: tuple(present) for group, present in members.items()}

    def is_same(self, group: topology.Group) -> bool:
        """Whether a described group has the members that it had at the last look, and they hold the same."""
        return {m.held for m in group.members} == {m.held for m in self._present.get(group.name, ())}

    def take(self, into: Changes, group: topology.Group, *, first_look: bool, now: float) -> None:
        """The members of a described group are others, or hold other partitions."""
        old = {m.member_id: m for m in self._present.get(group.name, ())}
        if old or (group.name in self._present and not first_look):
            self._note(into, group, old, now)
        self._present[group.name] = group.members
        into.members[group.name] = group.members

    def take_progress(self, into: Changes, group: topology.Group) -> None:
        """The members of a described group hold the same; of some the target or the tasks may be others."""
        known = {m.member_id: m for m in self._present.get(group.name, ())}
        if changed := tuple(m for m in group.members if m != known.get(m.member_id)):
            self._present[group.name] = group.members
            into.progress[group.name] = changed

    def _note(self, into: Changes, group: topology.Group, old: Mapping[str, topology.Member], now: float) -> None:
        new = {m.member_id: m for m in group.members}
        joined = sorted(storable(new[i].client_id or i, 500) for i in new.keys() - old.keys())
        left = sorted(storable(old[i].client_id or i, 500) for i in old.keys() - new.keys())
        unowned = {held for m in old.values() for held in _holds(m)} - group.assigned
        owned = f"{counted(len(unowned), 'partition')} unowned" if unowned else "no partition unowned"
        if joined or left:
            parts = [f"{', '.join(names[:3])} {verb}" for names, verb in ((left, "left"), (joined, "joined")) if names]
            more = len(new) - len(old)
            change = f"{abs(more)} {'more' if more > 0 else 'fewer'}" if more else "as many as before"
            has = f"rebalanced: {counted(len(new), 'member')}, {change}" if new else "has no members any more"
            text = f"Group {group.name} {has} ({'; '.join(parts)}); {owned}"
        else:
            text = f"Group {group.name} moved partitions between its {counted(len(new), 'member')}; {owned}"
        data = {"old": len(old), "new": len(new), "unowned": len(unowned), "joined": joined[:20], "left": left[:20]}
        into.note(self._cluster_id, now, Event.Kind.MEMBERS_CHANGED, ("group", group.name), text, data)


def save_members(
    members: Mapping[str, tuple[topology.Member, ...]], groups: Mapping[str, Group], *, now: float
) -> None:
    """Write the members of some groups anew, inside the caller's transaction; who was there before keeps since when."""
    if not members:
        return
    group_ids = {name: groups[name].pk for name in members}
    joined: dict[tuple[int, str], datetime] = {}
    for ids in _slices(list(group_ids.values()), 500):
        for group_id, member_id, at in Member.objects.filter(group_id__in=ids).values_list(
            "group_id", "member_id", "joined_at"
        ):
            joined[group_id, member_id] = at
        Member.objects.filter(group_id__in=ids).delete()
    Member.objects.bulk_create(
        [
            Member(
                group_id=group_ids[name],
                member_id=storable(m.member_id, 500),
                client_id=storable(m.client_id, 500),
                host=storable(m.host, 255),
                instance_id=storable(m.instance_id or "", 500),
                assignment=_stored(m.assignment),
                moving=_moving_stored(m.moving),
                tasks=_tasks_stored(m.tasks),
                joined_at=joined.get((group_ids[name], storable(m.member_id, 500)), aware(now)),
            )
            for name, present in members.items()
            for m in present
        ],
        batch_size=500,
    )


def save_progress(members: Mapping[str, tuple[topology.Member, ...]], groups: Mapping[str, Group]) -> None:
    """Write target and tasks of some members, inside the caller's transaction."""
    told = {(groups[name].pk, storable(m.member_id, 500)): m for name, some in members.items() for m in some}
    rows = []
    for ids in _slices([groups[name].pk for name in members], 500):
        for row in Member.objects.filter(group_id__in=ids).only("group_id", "member_id"):
            if (one := told.get((row.group_id, row.member_id))) is not None:
                row.moving, row.tasks = _moving_stored(one.moving), _tasks_stored(one.tasks)
                rows.append(row)
    update_each(rows, ("moving", "tasks"))


def moving_of(stored: Mapping[str, Any]) -> Moving:
    """What a member is still to get or to give up, of `moving` of its row."""
    gets, gives = (_as_assignment(stored.get(key, [])) for key in ("gets", "gives"))
    return Moving(gets, gives, bool(stored.get("is_behind")))


def tasks_of(stored: Mapping[str, Any]) -> Tasks | None:
    """The tasks of a streams member, of `tasks` of its row; None where it is none."""
    if not stored:
        return None
    active, standby, warmup = (Held(tuple(names), count) for names, count in stored["held"])
    restoring = (Restoring(task, Role(role), restored, end) for task, role, restored, end in stored["restoring"])
    return Tasks(active, standby, warmup, tuple(restoring), stored["restoring_count"])


def _moving_stored(moving: Moving) -> dict[str, Any]:
    if moving.is_at_rest:
        return {}
    return {"gets": _stored(moving.gets), "gives": _stored(moving.gives), "is_behind": moving.is_behind}


def _tasks_stored(tasks: Tasks | None) -> dict[str, Any]:
    if tasks is None:
        return {}
    return {
        "held": [[list(held.names), held.count] for held in (tasks.active, tasks.standby, tasks.warmup)],
        "restoring": [[one.task, str(one.role), one.restored, one.end] for one in tasks.restoring],
        "restoring_count": tasks.restoring_count,
    }


def _stored(assignment: Assignment) -> list[list[Any]]:
    return [[storable(topic, 500), list(partitions)] for topic, partitions in assignment]


def _slices(items: list[int], size: int) -> Iterable[list[int]]:
    return (items[i : i + size] for i in range(0, len(items), size))


def _as_assignment(stored: Any) -> Assignment:
    return tuple((topic, tuple(partitions)) for topic, partitions in stored)


def _holds(member: topology.Member) -> Iterable[tuple[str, int]]:
    return ((topic, partition) for topic, held in member.assignment for partition in held)
