"""What may be late: each task puts functions of other rooms in order, in about three lines."""

from __future__ import annotations

import time

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from collectors import storage
from collectors.history import compaction, keep, vacuum
from dashboard.alerts import retention
from dashboard.models import Judgement


@shared_task(name="dashboard.tasks.compact_samples", soft_time_limit=900)  # type: ignore[untyped-decorator]  # no types
def compact_samples() -> None:
    """Turn frames that are over into blocks, but for cycles that the judge has not read yet."""
    compaction.run(before_cycles=dict(Judgement.objects.values_list("cluster_id", "judged_cycle")))


@shared_task(name="dashboard.tasks.forget_old_samples", soft_time_limit=240)  # type: ignore[untyped-decorator]  # no types
def forget_old_samples() -> None:
    """Delete frames, cycles, events and alerts that are older than they are kept, in slices that let others write."""

    def forget(at_once: int) -> None:
        keep.forget_old(now=time.time(), at_once=at_once)
        retention.forget_old(now=timezone.now(), days=settings.ALERT_DAYS)

    storage.with_reserve(storage.database_folder(), forget, at_once=keep.SLICE)
    vacuum.shrink()
