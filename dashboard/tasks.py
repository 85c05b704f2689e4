"""What may be late: each task puts functions of other rooms in order, in about three lines."""

from __future__ import annotations

import time

from celery import shared_task

from collectors.history import keep


@shared_task(name="dashboard.tasks.forget_old_samples", soft_time_limit=240)  # type: ignore[untyped-decorator]  # no types
def forget_old_samples() -> None:
    """Delete frames, cycles and events that are older than they are kept, in slices that let others write."""
    keep.forget_old(now=time.time())
