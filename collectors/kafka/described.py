"""What the describe APIs say of a group: its state, its members, and what each of them reads, decoded."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..domain.assignments import AT_REST, Assignment, joined, moving
from ..domain.tasks import Role, Tasks, tasks_of
from ..domain.topology import Group, GroupType, Member

Sources = Mapping[str, tuple[tuple[str, int | None], ...]]
"""{subtopology: ((topic, partition count if told), ...)}"""
MAX_ASSIGNED = 1_000_000
"""More partitions than a cluster has: an assignment that claims them is damaged."""


def described_group(group: Group, kind: GroupType, one: Any) -> Group:
    """The group with what its describe API says; an assignment that cannot be read is the group's error."""
    try:
        if kind is GroupType.CLASSIC:
            members = tuple(_classic_member(m, one.protocol_type) for m in one.members)
            return replace(
                group,
                state=one.group_state or group.state,
                protocol_type=one.protocol_type,
                assignor=one.protocol_data or "",
                members=_sorted(members),
            )
        sources = _source_topics(one) if kind is GroupType.STREAMS else {}
        members = tuple(_member(m, kind, sources, one.assignment_epoch) for m in one.members)
    except (ValueError, IndexError, struct.error) as problem:
        return replace(group, error=f"assignment cannot be read: {problem}")
    return replace(
        group,
        state=one.group_state or group.state,
        epoch=one.group_epoch,
        assignor=getattr(one, "assignor_name", "") or "",
        members=_sorted(members),
    )


def _sorted(members: tuple[Member, ...]) -> tuple[Member, ...]:
    return tuple(sorted(members, key=lambda m: m.member_id))


def _classic_member(member: Any, protocol_type: str) -> Member:
    raw = bytes(member.member_assignment or b"")
    # Connect workers and schema registries use the same protocol with assignments of their own kind.
    assignment = decode_assignment(raw) if protocol_type == "consumer" and raw else ()
    return Member(
        member.member_id,
        member.client_id,
        member.client_host.removeprefix("/"),
        getattr(member, "group_instance_id", None),
        assignment,
    )


def _member(member: Any, kind: GroupType, sources: Sources, newest: int) -> Member:
    """A member of a group of the newer protocols; `newest` is the epoch of the group's assignment."""
    holds = _reads(member.assignment, kind, sources)
    at = AT_REST  # a share group tells no target
    if kind is not GroupType.SHARE:
        at = moving(holds, _reads(member.target_assignment, kind, sources), epoch=member.member_epoch, newest=newest)
    return Member(
        member.member_id,
        member.client_id,
        member.client_host.removeprefix("/"),
        getattr(member, "instance_id", None) or None,
        holds,
        at,
        _tasks(member) if kind is GroupType.STREAMS else None,
    )


def _reads(assignment: Any, kind: GroupType, sources: Sources) -> Assignment:
    """The partitions of an assignment; a streams member reads those of its active tasks."""
    found: dict[str, set[int]] = {}
    if kind is GroupType.STREAMS:
        for task in assignment.active_tasks:
            for topic, count in sources.get(task.subtopology_id, ()):
                found.setdefault(topic, set()).update(p for p in task.partitions if count is None or p < count)
    else:
        for one in assignment.topic_partitions:
            found.setdefault(one.topic_name, set()).update(one.partitions)
    return joined(found)


def _tasks(member: Any) -> Tasks:
    own = member.assignment
    assigned = {Role.ACTIVE: own.active_tasks, Role.STANDBY: own.standby_tasks, Role.WARMUP: own.warmup_tasks}
    return tasks_of(
        {role: [(one.subtopology_id, p) for one in some for p in one.partitions] for role, some in assigned.items()},
        {(one.subtopology_id, one.partition): one.offset for one in member.task_offsets},
        {(one.subtopology_id, one.partition): one.offset for one in member.task_end_offsets},
    )


def _source_topics(group: Any) -> Sources:
    """Which topics the tasks of a subtopology read."""
    if group.topology is None:
        return {}
    return {
        one.subtopology_id: (
            *((topic, None) for topic in one.source_topics),
            *((topic.name, topic.partitions or None) for topic in one.repartition_source_topics),
        )
        for one in group.topology.subtopologies or ()
    }


def decode_assignment(raw: bytes) -> Assignment:
    """Partitions of a classic consumer's assignment (ConsumerProtocolAssignment v0 to v3), sorted.

    int16 version, array of (string topic, array of int32), then user data, which is not looked at. The bytes are
    text from a stranger: ValueError for anything that does not add up.
    """
    at = 0

    def take(code: str, size: int) -> int:
        nonlocal at
        if at + size > len(raw):
            raise ValueError(f"ends after {len(raw)} bytes")
        value: int = struct.unpack_from(code, raw, at)[0]
        at += size
        return value

    version = take(">h", 2)
    if version < 0:
        raise ValueError(f"version {version}")
    topics = take(">i", 4)
    if not 0 <= topics <= (len(raw) - at) // 6:
        raise ValueError(f"{topics} topics in {len(raw) - at} bytes")
    found: dict[str, set[int]] = {}
    for _ in range(topics):
        length = take(">h", 2)
        if length < 0 or at + length > len(raw):
            raise ValueError(f"topic name of {length} bytes")
        name = raw[at : at + length].decode("utf-8")
        at += length
        count = take(">i", 4)
        if not 0 <= count <= min(MAX_ASSIGNED, (len(raw) - at) // 4):
            raise ValueError(f"{count} partitions in {len(raw) - at} bytes")
        partitions = struct.unpack_from(f">{count}i", raw, at)
        at += 4 * count
        if any(p < 0 for p in partitions):
            raise ValueError("a negative partition")
        found.setdefault(name, set()).update(partitions)
    return joined(found)
