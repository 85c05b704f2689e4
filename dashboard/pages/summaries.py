"""Every cluster at a glance: what the side bar and the overview know of all of them, in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Sum

from collectors.history import queries
from collectors.history.now import ClusterNow
from collectors.models import Cluster, Topic
from dashboard.live import rows

Row = dict[str, Any]

RANK = {"bad": 0, "unknown": 1, "warn": 2, "ok": 3}


@dataclass(frozen=True)
class Summary:
    """One cluster: its live row (None in it is unknown), the newest numbers, and how many topics it has."""

    cluster: Cluster
    row: Row
    now: ClusterNow | None
    topics: int = 0
    partitions: int = 0
    replicas: dict[str, int] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        return self.cluster.slug

    @property
    def name(self) -> str:
        return self.cluster.name

    @property
    def verdict(self) -> str:
        return str(self.row["verdict"])

    @property
    def is_sampled(self) -> bool:
        return self.cluster.last_cycle > 0


def summaries(clusters: Iterable[Cluster] | None = None) -> list[Summary]:
    """All clusters, by name."""
    chosen = list(Cluster.objects.defer("settings_encrypted") if clusters is None else clusters)
    if not chosen:
        return []
    nows = {one.pk: now_of(one) for one in chosen}
    made = rows.cluster_rows(chosen, nows)
    counts = {
        pk: (topics, partitions or 0, under or 0, offline or 0)
        for pk, topics, partitions, under, offline in Topic.objects.filter(cluster__in=chosen, gone_at=None)
        .order_by()
        .values_list("cluster")
        .annotate(Count("id"), Sum("partition_count"), Sum("under_replicated_count"), Sum("offline_count"))
    }
    out = []
    for one in chosen:
        topics, partitions, under, offline = counts.get(one.pk, (0, 0, 0, 0))
        replicas = {"under_replicated": under, "offline": offline}
        out.append(Summary(one, made[one.slug], nows[one.pk], topics, partitions, replicas))
    return out


def now_of(cluster: Cluster) -> ClusterNow | None:
    """The newest numbers of a cluster; kept in memory by cycle, so a second page of the same cycle reads nothing."""
    return queries.cluster_at(cluster.pk, cluster.last_cycle) if cluster.last_cycle else None


def worst_first(every: Iterable[Summary]) -> list[Summary]:
    return sorted(every, key=lambda one: (RANK[one.verdict], -one.row["troubled"], one.name.casefold()))
