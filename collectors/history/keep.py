"""How long samples, cycles and events are kept, and their removal in slices."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from django.conf import settings
from django.db import models

from collectors.domain.keeping import Keep
from collectors.models import Cluster, Cycle, Event, Ownership, Rollup, RollupFrame, Span

from . import partitions
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

    On PostgreSQL partitions are dropped where all that lies in them is too old (collectors.history.partitions). Returns
    the number of rows deleted, those in dropped partitions not counted.
    """
    keep: Keep = settings.HISTORY_KEEP
    partitions.create_ahead(now)
    deleted = _drop(keep, now)
    soon = partitions.blocks_over(now, _ages(keep))[1]
    longest = _longest(keep)
    for cluster_id, slug in Cluster.objects.values_list("pk", "slug"):
        ages = [keep.seconds("blocks", cluster=slug, kind=kind.value) for kind in Kind]
        deleted += _frames(cluster_id, now - max(ages), at_once)
        for kind, age in zip(Kind, ages, strict=True):
            old = Span.objects.filter(cluster_id=cluster_id, kind=kind.value, until__lt=now - age)
            for part in soon:
                old = old.exclude(pk__gte=part.first, pk__lt=part.end)
            deleted += _spans(old)
        deleted += _rollups(cluster_id, slug, keep, now, at_once, longest)
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


def _ages(keep: Keep) -> dict[tuple[int, str], float]:
    """How long the blocks of each cluster and kind are kept; those of deleted clusters go by themselves."""
    clusters = Cluster.everything.values_list("pk", "slug")
    return {
        (pk, kind.value): keep.seconds("blocks", cluster=slug, kind=kind.value)
        for pk, slug in clusters
        for kind in Kind
    }


def _longest(keep: Keep) -> dict[int, float]:
    """The longest time that any cluster keeps rollups, by resolution."""
    slugs = list(Cluster.everything.values_list("slug", flat=True))
    return {
        resolution: max((keep.seconds(storey, cluster=slug) for slug in slugs), default=0.0)
        for storey, resolution in STOREYS.items()
    }


def _drop(keep: Keep, now: float) -> int:
    """Whole partitions; returns the rows of spans that went with them."""
    if not partitions.is_used():
        return 0
    over, _ = partitions.blocks_over(now, _ages(keep))
    deleted = sum(partitions.drop_blocks(part) for part in over)
    partitions.drop_rollups(now, _longest(keep))
    return deleted


def _rollups(cluster_id: int, slug: str, keep: Keep, now: float, at_once: int, longest: Mapping[int, float]) -> int:
    """Rows go when all of the time that they are about is too old, if they do not go with their partition."""
    deleted = 0
    for storey, resolution in STOREYS.items():
        kept = keep.seconds(storey, cluster=slug)
        before = now - kept - LONGEST[resolution]
        first = partitions.first_rollup(resolution)
        if first is not None and kept >= longest[resolution]:
            before = min(before, first)
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
