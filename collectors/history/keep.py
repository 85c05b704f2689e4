"""How long samples, cycles and events are kept, and their removal in slices."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings
from django.db import models

from collectors.domain.keeping import Keep
from collectors.models import Cluster, Cycle, Event, Ownership, Rollup, RollupFrame, Span

from .compaction import delete_span
from .folding import LONGEST
from .frames import delete_older_than
from .kinds import Kind

DELETED_SECONDS = 86400.0
"""How long a deleted cluster can be restored."""
STOREYS = {"1min": 60, "10min": 600, "1h": 3600}
"""Words of the setting -> seconds of a stretch."""
SLICE = 1500
"""Rows deleted in one transaction: the database's one writer is never held for long."""


def forget_old(*, now: float, at_once: int = SLICE) -> int:
    """Delete what is older than it is kept (STREAMGAUGE_HISTORY_KEEP), `at_once` rows in a transaction.

    Returns the number of rows deleted.
    """
    keep: Keep = settings.HISTORY_KEEP
    deleted = 0
    for cluster_id, slug in Cluster.objects.values_list("pk", "slug"):
        ages = [keep.seconds("blocks", cluster=slug, kind=kind.value) for kind in Kind]
        deleted += _frames(cluster_id, now - max(ages), at_once)
        for kind, age in zip(Kind, ages, strict=True):
            deleted += _spans(Span.objects.filter(cluster_id=cluster_id, kind=kind.value, until__lt=now - age))
        deleted += _rollups(cluster_id, slug, keep, now, at_once)
        for_cycles = datetime.fromtimestamp(now - keep.seconds("cycles", cluster=slug), UTC)
        for_events = datetime.fromtimestamp(now - keep.seconds("events", cluster=slug), UTC)
        deleted += _in_slices(Cycle.objects.filter(cluster_id=cluster_id, taken_at__lt=for_cycles), at_once)
        deleted += _in_slices(Event.objects.filter(cluster_id=cluster_id, at__lt=for_events), at_once)
        over = Ownership.objects.filter(group__cluster_id=cluster_id, until__lt=for_events)
        deleted += _in_slices(over, at_once)
    gone = Cluster.everything.filter(deleted_at__lt=datetime.fromtimestamp(now - DELETED_SECONDS, UTC))
    for cluster in gone:
        deleted += _frames(cluster.pk, now, at_once)
        deleted += _spans(Span.objects.filter(cluster=cluster))
        deleted += _in_slices(Rollup.objects.filter(cluster=cluster), at_once)
        deleted += _in_slices(RollupFrame.objects.filter(cluster=cluster), at_once)
        deleted += _in_slices(Cycle.objects.filter(cluster=cluster), at_once)
        deleted += _in_slices(Event.objects.filter(cluster=cluster), at_once)
        deleted += _in_slices(Ownership.objects.filter(group__cluster=cluster), at_once)
        deleted += cluster.delete()[0]
    return deleted


def _spans(spans: models.QuerySet[Span]) -> int:
    return sum(delete_span(pk) for pk in list(spans.order_by("until").values_list("pk", flat=True)))


def _rollups(cluster_id: int, slug: str, keep: Keep, now: float, at_once: int) -> int:
    """Rows go when all of the time that they are about is too old."""
    deleted = 0
    for storey, resolution in STOREYS.items():
        before = now - keep.seconds(storey, cluster=slug) - LONGEST[resolution]
        rows = Rollup.objects.filter(cluster_id=cluster_id, resolution=resolution, start__lt=before)
        deleted += _in_slices(rows, at_once)
    return deleted


def _frames(cluster_id: int, before: float, at_once: int) -> int:
    deleted = 0
    while count := delete_older_than(cluster_id, before, at_once):
        deleted += count
    return deleted


def _in_slices(
    rows: models.QuerySet[Cycle]
    | models.QuerySet[Event]
    | models.QuerySet[Ownership]
    | models.QuerySet[Rollup]
    | models.QuerySet[RollupFrame],
    at_once: int,
) -> int:
    deleted = 0
    while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:at_once]):
        deleted += rows.model._default_manager.filter(pk__in=ids).delete()[0]
    return deleted
