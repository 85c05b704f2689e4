"""Drain estimate of every group at a cycle."""

from __future__ import annotations

from collectors.domain.drain import DrainEstimates, drain_estimates
from collectors.domain.verdicts import are_well

from .now import ClusterNow
from .percycle import PerCycle


def drains_at(now: ClusterNow) -> DrainEstimates:
    """By ClusterNow.groups.names, of all positions of a group together. No query: all comes with the cycle."""
    return _kept(now)


def _compute(now: ClusterNow) -> DrainEstimates:
    groups = now.groups
    return drain_estimates(groups.lag, groups.consumed_per_second, groups.arriving_per_second, are_well(groups.verdict))


_kept: PerCycle[DrainEstimates] = PerCycle(_compute, 1_000_000, lambda one: 2 * len(one.seconds) + 2_000)
