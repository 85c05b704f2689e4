"""Whether a cluster's newest numbers are of now: what is too old is unknown, wherever groups are shown."""

from __future__ import annotations

from dataclasses import replace

from collectors.domain import words
from collectors.history.now import ClusterNow, without_present
from collectors.history.recents import last_before
from collectors.models import Cluster

from .sentences import is_stale


def present(now: ClusterNow | None, interval_seconds: float, moment: float) -> ClusterNow | None:
    """The newest numbers of a cluster as they may be shown at `moment` (unix seconds): when the newest sample is too
    old, verdicts, lag and rates of groups, and rates, sizes and replicas of topics are not known."""
    if now is None:
        return None
    sampled_at = _sampled_at(now)
    if not is_stale(sampled_at, interval_seconds, moment):
        return now
    return without_present(replace(now, taken_at=sampled_at))


def _sampled_at(now: ClusterNow) -> float:
    """When offsets were last learned: a cycle that reaches no broker stores all the same that none answered."""
    if now.end.numbers.known.any() or now.committed.numbers.known.any():
        return now.taken_at
    return last_before(now.cluster_id, now.taken_at + 1.0) or now.taken_at


def is_too_old(now: ClusterNow | None) -> bool:
    """Whether there are numbers, and they are shown as of a moment that is gone (`present`)."""
    return now is not None and now.is_old


def not_since(now: ClusterNow | None, moment: float) -> str:
    """Why a number is unknown: "not sampled since 14:02:10 UTC"; "" where the newest sample is of now."""
    return words.not_since(now.taken_at, now=moment) if now is not None and now.is_old else ""


def without_cycles(cluster: Cluster, now: ClusterNow | None, moment: float) -> bool:
    """Whether nobody has even tried of late: then it is not known either which brokers answer."""
    if now is None or not now.is_old:
        return False
    newest = cluster.cycles.filter(number=cluster.last_cycle).values_list("taken_at", flat=True).first()
    return newest is None or is_stale(newest.timestamp(), cluster.interval_seconds, moment)
