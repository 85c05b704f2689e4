"""How long samples, cycles and events are kept, and their removal in slices."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import models

from collectors.models import Cluster, Cycle, Event

from .frames import delete_older_than

FRAMES_SECONDS = 24 * 3600.0
EVENTS_SECONDS = 90 * 86400.0
DELETED_SECONDS = 86400.0
"""How long a deleted cluster can be restored."""
SLICE = 2000
"""Rows deleted in one transaction: the database's one writer is never held for long."""


def forget_old(*, now: float, at_once: int = SLICE) -> int:
    """Delete what is older than it is kept, `at_once` rows in a transaction; returns the number of rows deleted."""
    deleted = 0
    for cluster_id in Cluster.objects.values_list("pk", flat=True):
        deleted += _frames(cluster_id, now - FRAMES_SECONDS, at_once)
    gone = Cluster.everything.filter(deleted_at__lt=datetime.fromtimestamp(now - DELETED_SECONDS, UTC))
    for cluster in gone:
        deleted += _frames(cluster.pk, now, at_once)
        deleted += _in_slices(Cycle.objects.filter(cluster=cluster), at_once)
        deleted += _in_slices(Event.objects.filter(cluster=cluster), at_once)
        deleted += cluster.delete()[0]
    before = datetime.fromtimestamp(now - FRAMES_SECONDS, UTC)
    deleted += _in_slices(Cycle.objects.filter(taken_at__lt=before), at_once)
    too_old = Event.objects.filter(at__lt=datetime.fromtimestamp(now - EVENTS_SECONDS, UTC))
    deleted += _in_slices(too_old, at_once)
    return deleted


def _frames(cluster_id: int, before: float, at_once: int) -> int:
    deleted = 0
    while count := delete_older_than(cluster_id, before, at_once):
        deleted += count
    return deleted


def _in_slices(rows: models.QuerySet[Cycle] | models.QuerySet[Event], at_once: int) -> int:
    deleted = 0
    while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:at_once]):
        deleted += rows.model._default_manager.filter(pk__in=ids).delete()[0]
    return deleted
