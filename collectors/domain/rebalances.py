"""How often groups share their partitions out anew: a storm told from one roll-out of new members."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from .topology import Group

STORM_SECONDS = 300.0
STORM_REBALANCES = 4
"""A roll-out replaces each member once. From so many rebalances on, with more joins than there are members, somebody
leaves and comes back again and again."""
ENDLESS_REBALANCES = 8
"""So many in that time are a storm whoever joins: about every second look at the group finds it in one."""


@dataclass
class _Seen:
    group: Group
    changes: deque[tuple[float, int, int]] = field(default_factory=deque)  # (when, members that joined, members then)
    is_open: bool = False  # a rebalance was seen to begin and counted
    is_empty: bool = False  # the newest look found nobody
    came_at: float | None = None  # the look that found members after one that found none


class Rebalances:
    """The rebalances of a cluster's groups, from one look at the groups to the next. Those that begin and end between
    two looks are seen by what they changed: members, assignment, epoch."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def look(self, groups: Iterable[Group], *, now: float) -> None:
        present = {group.name: group for group in groups}
        for name in self._seen.keys() - present.keys():
            del self._seen[name]
        for name, group in present.items():
            if group.error is not None:
                continue
            seen = self._seen.get(name)
            if seen is None:
                self._seen[name] = _Seen(group, is_open=group.is_rebalancing, is_empty=not group.members)
                continue
            if seen.is_empty and group.members:
                seen.came_at = now
            seen.is_empty = not group.members
            self._compare(seen, group, now)
            while seen.changes and seen.changes[0][0] < now - STORM_SECONDS:
                seen.changes.popleft()

    def _compare(self, seen: _Seen, group: Group, now: float) -> None:
        if group.is_rebalancing:
            if not seen.is_open:
                seen.changes.append((now, 0, len(group.members)))
                seen.is_open = True
            return  # what its members hold is not told: the group as it was stays to be compared with
        before = {member.member_id for member in seen.group.members}
        joined = sum(member.member_id not in before for member in group.members)
        has_changed = _held(group) != _held(seen.group) or group.epoch != seen.group.epoch
        if seen.is_open and joined:
            at, already, count = seen.changes.pop() if seen.changes else (now, 0, 0)
            seen.changes.append((at, already + joined, max(count, len(group.members))))
        elif has_changed and not seen.is_open:
            seen.changes.append((now, joined, len(group.members)))
        seen.group, seen.is_open = group, False

    def count(self, name: str) -> int:
        """Rebalances of a group that were seen in the last STORM_SECONDS."""
        seen = self._seen.get(name)
        return len(seen.changes) if seen is not None else 0

    def members_since(self, name: str) -> float | None:
        """When a group that had no members was first seen with some; None where nobody saw it without."""
        seen = self._seen.get(name)
        return seen.came_at if seen is not None else None

    def is_storm(self, name: str) -> bool:
        seen = self._seen.get(name)
        if seen is None or len(seen.changes) < STORM_REBALANCES:
            return False
        joined = sum(joined for _, joined, _ in seen.changes)
        most = max(members for _, _, members in seen.changes)
        return joined > most or len(seen.changes) >= ENDLESS_REBALANCES


def _held(group: Group) -> list[tuple[object, ...]]:
    return [member.held for member in group.members]
