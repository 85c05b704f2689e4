"""Points of sparklines that belong to a whole cluster."""

from __future__ import annotations

from collectors.history import queries
from collectors.history.cache import LeastRecent

from .summaries import Summary
from .times import spark_range

_kept: LeastRecent[tuple[int, int, float], list[float | None]] = LeastRecent(64)


def cluster_rate(one: Summary, seconds: float) -> list[float | None]:
    """Messages/s over the last while; read once a cycle, however many look at it."""
    if one.now is None:
        return []
    key = (one.cluster.pk, one.now.cycle, seconds)
    found = _kept.get(key)
    if found is None:
        found = _kept.put(key, queries.cluster_sparkline(one.cluster.pk, *spark_range(one.now.taken_at, seconds)))
    return found
