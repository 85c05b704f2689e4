"""Rows of the measuring side: one module per subject."""

from .brokers import Broker, LogDir
from .clusters import Cluster, roster_changed
from .cycles import CollectorTotals, Cycle
from .events import Event
from .groups import Group, Member, Ownership
from .leases import Lease
from .rights import ClusterRight, Configuration
from .samples import Block, Frame, Layout, Rollup, RollupFrame, RollupState, Span
from .topics import Topic

__all__ = [
    "Block",
    "Broker",
    "Cluster",
    "ClusterRight",
    "CollectorTotals",
    "Configuration",
    "Cycle",
    "Event",
    "Frame",
    "Group",
    "Layout",
    "Lease",
    "LogDir",
    "Member",
    "Ownership",
    "Rollup",
    "RollupFrame",
    "RollupState",
    "Span",
    "Topic",
    "roster_changed",
]
