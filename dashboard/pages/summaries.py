"""Every cluster at a glance: what the side bar and the overview know of all of them, in a fixed number of queries."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from collectors.history import queries
from collectors.history.now import ClusterNow
from collectors.models import Cluster, Cycle
from dashboard.live import clusterrows
from dashboard.live.presence import is_too_old, not_since, present

from .sight import Sight
from .times import spark_seconds

Row = dict[str, Any]

RANK = {"bad": 0, "unknown": 1, "warn": 2, "ok": 3}


@dataclass(frozen=True)
class Summary:
    """One cluster: its live row (None in it is unknown), the newest numbers, and when its history begins."""

    cluster: Cluster
    row: Row
    now: ClusterNow | None
    history_since: datetime | None = None

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
    def spark_seconds(self) -> float:
        return spark_seconds(self.history_since, self.now.taken_at if self.now else None)

    @property
    def is_old(self) -> bool:
        """Whether nothing was sampled for too long to speak of now."""
        return is_too_old(self.now)

    @property
    def why_old(self) -> str:
        """Why its numbers are unknown then: "not sampled since 14:02:10 UTC"; "" where they are of now."""
        return not_since(self.now, time.time())

    @cached_property
    def sight(self) -> Sight:
        """What may be hidden from this login; asks the database when first used."""
        return Sight(self.cluster)

    @property
    def is_sampled(self) -> bool:
        return self.cluster.last_cycle > 0

    @property
    def is_known(self) -> bool:
        """Whether a cycle has ever reached it: until then there are not 0 brokers or groups, but nobody knows."""
        return self.is_sampled and bool(self.row["brokers"])


def summaries(clusters: QuerySet[Cluster] | None = None) -> list[Summary]:
    """All clusters, by name."""
    found = Cluster.objects.defer("settings_encrypted") if clusters is None else clusters
    first = Cycle.objects.filter(cluster=OuterRef("pk")).order_by("number").values("taken_at")[:1]
    chosen = list(found.annotate(history_since=Subquery(first)))
    if not chosen:
        return []
    nows = {one.pk: now_of(one) for one in chosen}
    made = clusterrows.cluster_rows(chosen, nows)
    return [Summary(one, made[one.slug], nows[one.pk], one.history_since) for one in chosen]


def now_of(cluster: Cluster) -> ClusterNow | None:
    """The newest numbers of a cluster; kept in memory by cycle, so a second page of the same cycle reads nothing. Of
    groups nothing is known in those that are too old."""
    return present(sampled_of(cluster), cluster.interval_seconds, time.time())


def sampled_of(cluster: Cluster) -> ClusterNow | None:
    """The same, as it was when it was sampled."""
    return queries.cluster_at(cluster.pk, cluster.last_cycle) if cluster.last_cycle else None


def worst_first(every: Iterable[Summary]) -> list[Summary]:
    return sorted(every, key=lambda one: (RANK[one.verdict], -(one.row["troubled"] or 0), one.name.casefold()))
