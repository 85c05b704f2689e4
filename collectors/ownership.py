"""Who held which partition and when: rows of Ownership, planned as the survey describes the groups."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from .changes import Changes
from .domain import topology
from .domain.words import storable
from .models import Cycle, Group, Ownership
from .models.moments import aware

AWAY_SECONDS = 60.0
"""Groups are described every 12 s: after more than this without it, nobody can say who held what meanwhile."""


class Ownerships:
    """The open row of each group; as the rows of Inventory, made anew after a failed save."""

    def __init__(self, cluster_id: int) -> None:
        found = Ownership.objects.filter(group__cluster_id=cluster_id, until=None).defer("members")
        self._open = {row.group.name: row for row in found.select_related("group")}
        self._looked_at = last_reached(cluster_id) if self._open else None

    def was_away(self, now: float) -> bool:
        """Whether so long nobody looked that what is open has to end where it was last seen."""
        return self._looked_at is not None and (aware(now) - self._looked_at).total_seconds() > AWAY_SECONDS

    def look_the_same(self, now: float) -> None:
        """Somebody looked, and found all groups as at the look before: nothing to write. Not after `was_away`."""
        self._looked_at = aware(now)

    def look(self, into: Changes, *, now: float) -> None:
        """Begin a look at all groups. After a time without one, what was open ended when it was last seen."""
        at = aware(now)
        if self._looked_at is not None and self.was_away(now):
            for name in list(self._open):
                self._close(into, name, max(self._looked_at, self._open[name].since))
        self._looked_at = at

    def hold(self, into: Changes, row: Group, group: topology.Group, *, is_same: bool, now: float) -> None:
        """What a described group holds; `is_same`: as at the last look."""
        if is_same and group.name in self._open:
            return
        at = aware(now)
        self._close(into, group.name, at)
        opened = Ownership(group=row, since=at, epoch=group.epoch, members=as_stored(group.members))
        self._open[group.name] = opened
        into.create.append(opened)

    def lose(self, into: Changes, names: Iterable[str], *, now: float) -> None:
        """From now on nobody knows, or the group is gone."""
        for name in names:
            self._close(into, name, aware(now))

    def _close(self, into: Changes, name: str, at: datetime) -> None:
        row = self._open.pop(name, None)
        if row is not None:
            row.until = at
            into.update.append((row, ("until",)))


def last_reached(cluster_id: int) -> datetime | None:
    """When the cluster last answered a cycle, as far back as cycles are recorded."""
    reached = Cycle.objects.filter(cluster_id=cluster_id, is_reachable=True).order_by("-number")
    return reached.values_list("taken_at", flat=True).first()


def as_stored(members: Iterable[topology.Member]) -> list[list[Any]]:
    """[member_id, client_id, host, [[topic, [partition, ...]], ...]] of each member, by its id."""
    return [
        [
            storable(one.member_id, 500),
            storable(one.client_id, 500),
            storable(one.host, 255),
            [[storable(topic, 500), list(partitions)] for topic, partitions in one.assignment],
        ]
        for one in sorted(members, key=lambda one: one.member_id)
    ]
