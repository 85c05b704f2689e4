"""Leader epochs of commits that do not fit their partitions, for the sentences that say why."""

from __future__ import annotations

import numpy as np

from collectors.domain.commit_epochs import NO_EPOCH
from collectors.domain.looks import Epochs
from collectors.history.commit_epochs import commit_epochs_at
from collectors.history.now import ClusterNow
from collectors.models import Topic

MOST_TOLD = 1_000
"""Positions of a cluster that are looked up; a sentence names three."""


def told_epochs(now: ClusterNow) -> dict[str, Epochs]:
    """By group: commits past the end whose epoch is known, and those of another log. No query where none can be."""
    committed, end = now.committed.numbers, now.end_of_committed
    past_end = committed.known & end.known & (committed.values > end.values)
    if not past_end.any() and committed.known.all():
        return {}
    found = commit_epochs_at(now)
    has_epoch = found.epochs.known & (found.epochs.values != NO_EPOCH)
    layout = now.committed.layout
    at = np.flatnonzero((past_end & has_epoch) | (found.of_another_log & ~committed.known))[:MOST_TOLD].tolist()
    leaders = leader_epochs(now.cluster_id, {layout.topics[i] for i in at})
    out: dict[str, Epochs] = {}
    for i in at:
        owner, topic, partition = layout.key_at(i)
        told = int(found.epochs.values[i]), leaders.get((topic, partition), NO_EPOCH)
        out.setdefault(owner, {})[topic, partition] = told
    return out


def leader_epochs(cluster_id: int, topics: set[str]) -> dict[tuple[str, int], int]:
    """The leader epoch of each (topic, partition), as metadata last said it."""
    if not topics:
        return {}
    rows = Topic.objects.filter(cluster_id=cluster_id, gone_at=None, name__in=topics)
    return {
        (name, index): int(epoch)
        for name, partitions in rows.values_list("name", "partitions")
        for index, (_, epoch, *_) in enumerate(partitions)
    }
