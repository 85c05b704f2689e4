"""What a cluster is made of: brokers, topics, partitions, groups, log directories, quorum."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from .assignments import AT_REST, Assignment, Moving
from .tasks import Tasks


class Reach(IntEnum):
    """Whether a broker answers. The numbers are stored in frames of kind `broker`: never renumber."""

    UP = 0
    SUSPECT = 1  # refuses or hangs, but the cluster still lists it (fencing takes 8 to 11 s)
    DOWN = 2  # the cluster no longer lists it


class GroupType(StrEnum):
    CLASSIC = "classic"
    CONSUMER = "consumer"  # KIP-848
    SHARE = "share"
    STREAMS = "streams"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class BrokerNode:
    node_id: int
    host: str
    port: int
    rack: str | None = None


@dataclass(frozen=True, slots=True)
class Partition:
    index: int
    leader: int  # -1: none
    leader_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    offline: tuple[int, ...] = ()
    adding: tuple[int, ...] = ()

    @property
    def is_offline(self) -> bool:
        return self.leader < 0

    @property
    def is_under_replicated(self) -> bool:
        """ISR smaller than the replicas, replicas still being added by a reassignment not counted."""
        return len(self.isr) < len(set(self.replicas) - set(self.adding))


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    topic_id: str | None  # text form of the uuid; None where the broker has no topic ids
    is_internal: bool
    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class Metadata:
    """`topics` are those listed, and as they were last seen those that are hidden."""

    cluster_id: str | None
    brokers: tuple[BrokerNode, ...]
    topics: tuple[Topic, ...]
    taken_at: float
    hidden: frozenset[str] = frozenset()  # seen once, and now refused by name: not deleted, as far as is known
    left_out: int = 0  # topics that the scope does not take


@dataclass(frozen=True, slots=True)
class Quorum:
    """DescribeQuorum: the real controller (Metadata's controller id is random under KRaft)."""

    leader_id: int
    leader_epoch: int
    high_watermark: int
    voters: tuple[int, ...]
    observers: tuple[int, ...]
    taken_at: float

    def role_of(self, node_id: int) -> str:
        """What a node is in the quorum: "leader" (the active controller), "voter", "observer" or "none"."""
        if node_id == self.leader_id:
            return "leader"
        return "voter" if node_id in self.voters else "observer" if node_id in self.observers else "none"


@dataclass(frozen=True, slots=True)
class LogDir:
    broker_id: int
    path: str
    size_bytes: int  # sum of the replicas in it
    total_bytes: int | None
    usable_bytes: int | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Member:
    member_id: str
    client_id: str
    host: str
    instance_id: str | None
    assignment: Assignment
    moving: Moving = AT_REST
    tasks: Tasks | None = None  # of a streams group

    @property
    def held(self) -> tuple[str, str, str, str | None, Assignment]:
        """Who it is and what it reads: what a rebalance changes. The rest changes by itself."""
        return self.member_id, self.client_id, self.host, self.instance_id, self.assignment


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    type: GroupType
    state: str  # as the broker says it: Stable, Empty, PreparingRebalance, ...
    protocol_type: str = ""
    coordinator: int | None = None
    epoch: int | None = None  # KIP-848 group epoch; classic groups do not show their generation
    assignor: str = ""
    members: tuple[Member, ...] = field(default=())
    error: str | None = None  # why it could not be described; members are then not known, not none

    @property
    def is_rebalancing(self) -> bool:
        """A classic group between two assignments: its members are listed, what they hold is not."""
        return self.state in ("PreparingRebalance", "CompletingRebalance")

    @property
    def is_simple(self) -> bool:
        """Offsets are committed for it, and nobody has ever joined it: whoever was a member leaves a protocol type."""
        is_empty = self.error is None and self.state == "Empty" and not self.members
        return is_empty and self.type is GroupType.CLASSIC and not self.protocol_type

    @property
    def assigned(self) -> frozenset[tuple[str, int]]:
        return frozenset((t, p) for m in self.members for t, ps in m.assignment for p in ps)
