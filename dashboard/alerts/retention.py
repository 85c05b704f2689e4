"""How long alerts that are over are kept, with their transitions and messages, and their removal in slices."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import QuerySet

from dashboard.models import Alert, Delivery

SLICE = 200
"""Alerts deleted in one transaction, each with a handful of rows: the database's one writer is never held for long."""


def forget_old(*, now: datetime, days: int) -> int:
    """Delete alerts that were over before `days` days, and tests and messages as old; open alerts stay as they are."""
    before = now - timedelta(days=days)
    over = Alert.objects.filter(state=Alert.State.RESOLVED, resolved_at__lt=before)
    settled = [Delivery.State.DELIVERED, Delivery.State.DEAD]
    return _in_slices(over) + _in_slices(Delivery.objects.filter(alert=None, state__in=settled, created_at__lt=before))


def _in_slices(rows: QuerySet[Alert] | QuerySet[Delivery]) -> int:
    deleted = 0
    while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:SLICE]):
        deleted += rows.model._default_manager.filter(pk__in=ids).delete()[0]
    return deleted
