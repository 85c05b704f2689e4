"""Drain estimate of every group at a cycle."""

from __future__ import annotations

from collectors.domain.drain import DrainEstimates, drain_estimates

from .cache import LeastRecent
from .now import ClusterNow

_results: LeastRecent[tuple[int, int, float, bool], DrainEstimates] = LeastRecent(
    1_000_000, lambda one: 2 * len(one.seconds) + 2_000
)


def drains_at(now: ClusterNow) -> DrainEstimates:
    """By ClusterNow.groups.names, of all positions of a group together. No query: all comes with the cycle."""
    key = (now.cluster_id, now.cycle, now.taken_at, now.is_old)
    found = _results.get(key)
    return found if found is not None else _results.put(key, _compute(now))


def _compute(now: ClusterNow) -> DrainEstimates:
    groups = now.groups
    return drain_estimates(groups.lag, groups.consumed_per_second, groups.arriving_per_second)
