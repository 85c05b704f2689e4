"""What each cycle did: when, how complete, what failed; and what all cycles did together."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import models

from .clusters import Cluster


class Cycle(models.Model):
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="cycles")
    number = models.BigIntegerField()
    epoch = models.BigIntegerField()
    due_at = models.DateTimeField()
    started_at = models.DateTimeField()
    taken_at = models.DateTimeField(db_index=True)  # when the end offsets were asked for
    ended_at = models.DateTimeField()
    is_reachable = models.BooleanField()
    requests = models.IntegerField(default=0)
    skipped = models.IntegerField(default=0)  # due times passed over right before this cycle
    completeness = models.FloatField(default=0.0)  # share of positions known, 0..1
    errors = models.JSONField(default=list)  # [{"part": "commits", "reason": "timeout", "count": 2, "broker": 3}]
    ages = models.JSONField(default=dict)  # {"metadata": ..., "groups": ...}: seconds since the survey's newest answer

    class Meta:
        ordering = ["cluster", "number"]
        constraints = [models.UniqueConstraint(fields=["cluster", "number"], name="one_cycle_per_number")]

    def __str__(self) -> str:
        return f"cycle {self.number} of cluster {self.cluster_id}"


MAX_REASONS_PER_PART = 40
OTHER_REASON = "other"


class CollectorTotalsQuerySet(models.QuerySet["CollectorTotals"]):
    def add(
        self,
        cluster_id: int,
        *,
        requests: int = 0,
        skipped: int = 0,
        errors: Iterable[tuple[str, str, int]] = (),
        succeeded_at: datetime | None = None,
        commit_tail: dict[str, Any] | None = None,
    ) -> None:
        """Add what one cycle did; called inside the transaction that stores the cycle, by the lease's holder only.

        `errors` are (part, reason, count). A part keeps at most MAX_REASONS_PER_PART reasons of its own, later
        ones count as "other": reasons become labels, and a broker's text must not make them grow without end.
        `commit_tail` is no sum: how the reading of commits goes now.
        """
        totals, _ = self.get_or_create(cluster_id=cluster_id)
        totals.requests += requests
        totals.skipped += skipped
        for part, reason, count in errors:
            reasons = totals.errors.setdefault(part, {})
            if reason not in reasons and len(reasons) >= MAX_REASONS_PER_PART:
                reason = OTHER_REASON
            reasons[reason] = reasons.get(reason, 0) + count
        if succeeded_at is not None:
            totals.last_success_at = succeeded_at
        totals.commit_tail = commit_tail
        totals.save()


class CollectorTotals(models.Model):
    """Sums over all cycles of a cluster: they only grow, also over restarts and take-overs."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, primary_key=True, related_name="totals")
    requests = models.BigIntegerField(default=0)
    skipped = models.BigIntegerField(default=0)
    errors = models.JSONField(default=dict)  # {part: {reason: count}}
    last_success_at = models.DateTimeField(null=True)  # taken_at of the newest cycle that reached the cluster

    commit_tail = models.JSONField(null=True)  # collectors.kafka.commit_tail.TailState; None where it is not wanted

    objects = CollectorTotalsQuerySet.as_manager()

    def __str__(self) -> str:
        return f"totals of cluster {self.cluster_id}"
