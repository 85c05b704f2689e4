"""What a member of a group is assigned, and what it is still to get or to give up of that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Assignment = tuple[tuple[str, tuple[int, ...]], ...]
"""((topic, (partition, ...)), ...), sorted"""


@dataclass(frozen=True, slots=True)
class Moving:
    """Target against current assignment. Nothing of it: at rest, or of a protocol that has no target."""

    gets: Assignment = ()  # it waits for who has them now
    gives: Assignment = ()
    is_behind: bool = False  # it has not confirmed the group's newest assignment

    @property
    def is_at_rest(self) -> bool:
        return not (self.gets or self.gives or self.is_behind)


AT_REST = Moving()


def moving(holds: Assignment, target: Assignment, *, epoch: int, newest: int) -> Moving:
    """What a member at `epoch` is still to do of the group's assignment of epoch `newest` (KIP-848, KIP-1071).

    Until a member confirms what it was told to give up, its epoch is the older one. Brokers before Kafka 4.3, and those
    of streams groups, list that no more among what it holds, though it may still read it. A negative epoch is that of a
    static member that is away.
    """
    is_behind = 0 <= epoch < newest
    if holds == target:
        return Moving(is_behind=True) if is_behind else AT_REST
    has, wants = _places(holds), _places(target)
    return Moving(_joined(wants - has), _joined(has - wants), is_behind)


def joined(found: Mapping[str, Iterable[int]]) -> Assignment:
    """{topic: partitions} as an assignment, topics without any left out."""
    sets = {topic: set(partitions) for topic, partitions in found.items()}
    return tuple((topic, tuple(sorted(sets[topic]))) for topic in sorted(sets) if sets[topic])


def _places(assignment: Assignment) -> frozenset[tuple[str, int]]:
    return frozenset((topic, partition) for topic, partitions in assignment for partition in partitions)


def _joined(places: Iterable[tuple[str, int]]) -> Assignment:
    found: dict[str, list[int]] = {}
    for topic, partition in places:
        found.setdefault(topic, []).append(partition)
    return joined(found)
