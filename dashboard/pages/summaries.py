"""Every cluster in a handful of grouped queries: what the side bar and the overview know of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, F, Q, Sum
from django.utils import timezone

from collectors.domain.topology import Reach
from collectors.domain.verdicts import Verdict
from collectors.models import Broker, Cluster, Cycle, Group, Topic
from dashboard.models import Alert

STALE_INTERVALS = 3
"""A cluster whose newest cycle is older than this many intervals is not known any more."""
STALE_AT_LEAST_SECONDS = 15.0

OPEN_STATES = (Alert.State.FIRING, Alert.State.RECOVERING)
TROUBLED = (Verdict.NO_PROGRESS, Verdict.FALLING_BEHIND, Verdict.NOT_COMMITTING)


@dataclass
class Summary:
    """One cluster; None means unknown."""

    cluster: Cluster
    newest: Cycle | None = None
    verdicts: Counter[int] = field(default_factory=Counter)  # groups by Verdict
    reaches: Counter[int] = field(default_factory=Counter)  # brokers by Reach
    topics: int = 0
    partitions: int = 0
    under_replicated: int = 0
    offline: int = 0
    alerts: Counter[str] = field(default_factory=Counter)  # firing alerts by severity
    is_stale: bool = True

    @property
    def slug(self) -> str:
        return self.cluster.slug

    @property
    def name(self) -> str:
        return self.cluster.name

    @property
    def groups(self) -> int:
        return sum(self.verdicts.values())

    @property
    def brokers(self) -> int:
        return sum(self.reaches.values())

    @property
    def brokers_up(self) -> int:
        return self.reaches[Reach.UP]

    @property
    def troubled(self) -> int:
        return sum(self.verdicts[verdict] for verdict in TROUBLED)

    @property
    def cycle(self) -> int:
        return self.newest.number if self.newest else 0

    @property
    def cycle_ms(self) -> int | None:
        return round((self.newest.ended_at - self.newest.started_at).total_seconds() * 1000) if self.newest else None

    @property
    def requests(self) -> int | None:
        return self.newest.requests if self.newest else None

    @property
    def taken_at(self) -> datetime | None:
        return self.newest.taken_at if self.newest else None

    @property
    def is_sampled(self) -> bool:
        return self.newest is not None

    @property
    def is_reachable(self) -> bool:
        return self.newest is not None and self.newest.is_reachable

    @property
    def verdict(self) -> str:
        """ok, warn, bad or unknown: the worst of brokers, partitions and groups."""
        if self.newest is None:
            return "unknown"
        if self.reaches[Reach.DOWN] or self.offline or self.alerts["critical"] or not self.is_reachable:
            return "bad"
        if self.is_stale:
            return "unknown"
        if self.verdicts[Verdict.NO_PROGRESS] or self.verdicts[Verdict.FALLING_BEHIND]:
            return "bad"
        if self.reaches[Reach.SUSPECT] or self.under_replicated or self.verdicts[Verdict.NOT_COMMITTING]:
            return "warn"
        return "warn" if sum(self.alerts.values()) else "ok"

    @property
    def icon(self) -> str:
        return {"ok": "i-ok", "warn": "i-warn", "bad": "i-bad"}.get(self.verdict, "i-unknown")


def summaries(clusters: Iterable[Cluster] | None = None) -> list[Summary]:
    """All clusters, by name. Six queries, however many there are."""
    chosen = list(Cluster.objects.all() if clusters is None else clusters)
    by_id = {cluster.pk: Summary(cluster) for cluster in chosen}
    if not by_id:
        return []
    now = timezone.now()
    for newest in Cycle.objects.filter(cluster__in=by_id, number=F("cluster__last_cycle")).defer("ages"):
        one = by_id[newest.cluster_id]
        one.newest = newest
        allowed = max(STALE_AT_LEAST_SECONDS, STALE_INTERVALS * one.cluster.interval_seconds)
        one.is_stale = (now - newest.taken_at).total_seconds() > allowed
    present = Q(gone_at=None)
    for pk, verdict, number in (
        Group.objects.filter(present, cluster__in=by_id).order_by().values_list("cluster", "verdict").annotate(Count("id"))
    ):
        by_id[pk].verdicts[verdict] += number
    for pk, reach, number in (
        Broker.objects.filter(present, cluster__in=by_id).order_by().values_list("cluster", "reach").annotate(Count("id"))
    ):
        by_id[pk].reaches[reach] += number
    for pk, number, partitions, under, offline in (
        Topic.objects.filter(present, cluster__in=by_id)
        .order_by()
        .values_list("cluster")
        .annotate(Count("id"), Sum("partition_count"), Sum("under_replicated_count"), Sum("offline_count"))
    ):
        one = by_id[pk]
        one.topics, one.partitions, one.under_replicated, one.offline = number, partitions or 0, under or 0, offline or 0
    for pk, severity, number in (
        Alert.objects.filter(cluster__in=by_id, state__in=OPEN_STATES)
        .order_by()
        .values_list("cluster", "severity")
        .annotate(Count("id"))
    ):
        by_id[pk].alerts[severity] += number
    return list(by_id.values())


def worst_first(all_of_them: Iterable[Summary]) -> list[Summary]:
    rank = {"bad": 0, "unknown": 1, "warn": 2, "ok": 3}
    return sorted(all_of_them, key=lambda one: (rank[one.verdict], -one.troubled, one.name.casefold()))
