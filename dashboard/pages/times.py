"""How far back sparklines and charts look."""

from __future__ import annotations

from datetime import UTC, datetime

from collectors.models import Cluster, Cycle

SPARK_SECONDS = 15 * 60.0


def spark_range(taken_at: float) -> tuple[float, float]:
    """Unix seconds from and to of a list's sparklines, ending at the newest sample."""
    return taken_at - SPARK_SECONDS, taken_at


def history_since(cluster: Cluster) -> datetime | None:
    """When the kept history of a cluster begins."""
    first = Cycle.objects.filter(cluster=cluster).order_by("number").values_list("taken_at", flat=True).first()
    return first.astimezone(UTC) if first else None
