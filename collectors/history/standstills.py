"""Which partitions of a group were told to stand still, as of one cycle."""

from __future__ import annotations

import numpy as np

from collectors.domain.partitions import PartitionVerdict

from .now import ClusterNow


def standing_partitions(now: ClusterNow, group: str) -> frozenset[tuple[str, int]]:
    """(topic, partition) of each; none of a group that the cycle does not know, or that an older program judged."""
    layout = now.committed.layout
    if layout.owner_index(group) is None:
        return frozenset()
    where = layout.slice_of(group)
    told = now.partition_verdicts.take(where)
    stands = np.flatnonzero(told.known & (told.values == int(PartitionVerdict.NO_PROGRESS))) + where.start
    return frozenset((layout.topics[i], int(layout.partitions[i])) for i in stands.tolist())
