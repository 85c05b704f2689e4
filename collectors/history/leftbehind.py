"""What a group has left behind, as of a cycle: commits on topics that none of its members reads any more."""

from __future__ import annotations

from dataclasses import dataclass

from collectors.domain.lag import gather, partition_lag

from .kinds import Kind
from .layouts import stored
from .now import ClusterNow
from .queries import column_at


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """`unread`: records between those commits and the log ends, None where not all are known. In no total."""

    topic: str
    partitions: int
    unread: int | None


def left_behind(now: ClusterNow, group: str) -> list[LeftBehind]:
    """The abandoned topics of a group, by name."""
    newest = column_at(now.cluster_id, Kind.ABANDONED, now.cycle)
    if newest is None or newest[0].layout.owner_index(group) is None:
        return []
    found = newest[0]
    own = stored(found.layout)
    ends = gather(now.end.numbers, stored(now.end.layout).positions_by_topic(own))
    starts = gather(now.start.numbers, stored(now.start.layout).positions_by_topic(own))
    lag = partition_lag(found.numbers, ends, starts)
    by_topic: dict[str, list[int | float | None]] = {}
    where = found.layout.slice_of(group)
    for i in range(where.start, where.stop):
        by_topic.setdefault(found.layout.topics[i], []).append(lag.at(i))
    return [
        LeftBehind(topic, len(lags), None if None in lags else int(sum(one for one in lags if one is not None)))
        for topic, lags in sorted(by_topic.items())
    ]
