"""Which partitions of a group a member of it reads."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from .numbers import Layout
from .topology import Group, GroupType


class Owner(IntEnum):
    UNKNOWN = 0  # not described, between two assignments, or of a kind whose assignments are not partitions
    MEMBER = 1
    NOBODY = 2  # members read other partitions of the topic, and none of them this one


def is_settled(group: Group) -> bool:
    """Whether it is known what each member of the group reads, and that is not changing just now."""
    is_consumer = group.type is GroupType.CONSUMER or (
        group.type is GroupType.CLASSIC and group.protocol_type == "consumer"
    )
    return group.error is None and is_consumer and group.state == "Stable" and bool(group.members)


def ownership(layout: Layout, groups: Iterable[Group]) -> NDArray[np.int8]:
    """(n,) an `Owner` for each position of a layout owned by groups."""
    out = np.full(len(layout), int(Owner.UNKNOWN), dtype=np.int8)
    for group in groups:
        if layout.owner_index(group.name) is None or not is_settled(group):
            continue
        assigned = group.assigned
        read = {topic for topic, _ in assigned}
        out[layout.slice_of(group.name)] = [
            Owner.MEMBER if key in assigned else Owner.NOBODY if key[0] in read else Owner.UNKNOWN
            for key in layout.keys_of(group.name)
        ]
    return out
