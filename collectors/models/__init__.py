"""Rows of the measuring side: one module per subject."""

from .brokers import Broker, LogDir
from .clusters import Cluster
from .configuration import ConfigSet
from .cycles import CollectorTotals, Cycle
from .events import Event
from .groups import Group, Member
from .leases import Lease
from .samples import Frame, Layout
from .topics import Topic

__all__ = [
    "Broker",
    "Cluster",
    "CollectorTotals",
    "ConfigSet",
    "Cycle",
    "Event",
    "Frame",
    "Group",
    "Layout",
    "Lease",
    "LogDir",
    "Member",
    "Topic",
]
