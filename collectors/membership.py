"""Who is in which group: the member rows, written when a group's members or what they hold has changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from .changes import Changes
from .domain import topology
from .domain.words import counted, storable
from .models import Event, Group, Member
from .models.moments import aware


class Memberships:
    """The members of each group as they stand; as the rows of Inventory, made anew after a failed save."""

    def __init__(self, cluster_id: int) -> None:
        self._cluster_id = cluster_id
        members: dict[str, list[topology.Member]] = {}
        found = Member.objects.filter(group__cluster_id=cluster_id).values_list(
            "group__name", "member_id", "client_id", "host", "instance_id", "assignment"
        )
        for group, member_id, client_id, host, instance_id, assignment in found:
            known = topology.Member(member_id, client_id, host, instance_id or None, _as_assignment(assignment))
            members.setdefault(group, []).append(known)
        self._present = {group: tuple(present) for group, present in members.items()}

    def is_same(self, group: topology.Group) -> bool:
        """Whether a described group has the members that it had at the last look, and they hold the same."""
        return set(group.members) == set(self._present.get(group.name, ()))

    def take(self, into: Changes, group: topology.Group, *, first_look: bool, now: float) -> None:
        """The members of a described group are others, or hold other partitions."""
        old = {m.member_id: m for m in self._present.get(group.name, ())}
        if old or (group.name in self._present and not first_look):
            self._note(into, group, old, now)
        self._present[group.name] = group.members
        into.members[group.name] = group.members

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
                assignment=[[storable(topic, 500), list(partitions)] for topic, partitions in m.assignment],
                joined_at=joined.get((group_ids[name], storable(m.member_id, 500)), aware(now)),
            )
            for name, present in members.items()
            for m in present
        ],
        batch_size=500,
    )


def _slices(items: list[int], size: int) -> Iterable[list[int]]:
    return (items[i : i + size] for i in range(0, len(items), size))


def _as_assignment(stored: Any) -> topology.Assignment:
    return tuple((topic, tuple(partitions)) for topic, partitions in stored)


def _holds(member: topology.Member) -> Iterable[tuple[str, int]]:
    return ((topic, partition) for topic, held in member.assignment for partition in held)
