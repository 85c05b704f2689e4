"""Groups that a look finds empty: one alone may have come between a member that left and the one that follows it."""

from __future__ import annotations

from collections.abc import Iterable

from .topology import Group

RECENT_SECONDS = 30.0
"""So long a group that has become empty is looked at more often: after a restart its member is back by then."""


class Vacancies:
    """What is told of groups from one look to the next: that nobody is there when two looks in a row found nobody."""

    def __init__(self) -> None:
        self._told: dict[str, Group] = {}
        self._vacated_at: float | None = None
        self.doubted: frozenset[str] = frozenset()
        """Groups in which the newest look found nobody, and the one before somebody, or could not tell."""

    def look(self, groups: Iterable[Group], *, now: float) -> tuple[Group, ...]:
        """The groups as they are told after a look: one that is found empty for the first time is as it was.

        Of a group that was never seen before, what is found is told: nobody was seen to leave.
        """
        told, doubted = [], set()
        for group in groups:
            before = self._told.get(group.name)
            if _is_empty(group) and before is not None and not _is_empty(before):
                if group.name not in self.doubted:
                    doubted.add(group.name)
                    told.append(before)
                    continue
                self._vacated_at = now
            told.append(group)
        self._told = {group.name: group for group in told}
        self.doubted = frozenset(doubted)
        return tuple(told)

    def is_recent(self, now: float) -> bool:
        """Whether a group has become empty a moment ago."""
        return self._vacated_at is not None and 0 <= now - self._vacated_at < RECENT_SECONDS


def _is_empty(group: Group) -> bool:
    """Whether a look found nobody: by its state, or as a rebalance had nobody listed at that moment."""
    return group.error is None and not group.members
