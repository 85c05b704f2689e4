"""The Celery application: memory:// in one process, Redis or Valkey in many; its workers host the resident loops."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, bootsteps
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")


class LoopsStep(bootsteps.StartStopStep):
    """Starts and stops samplers, judge and sender with the worker; they need only the database, not the broker."""

    requires = {"celery.worker.components:Pool"}

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.loops: Any = None

    def start(self, parent: Any) -> None:
        from dashboard.loops import ResidentLoops

        self.loops = ResidentLoops()
        self.loops.start()

    def stop(self, parent: Any) -> None:
        if self.loops is not None:
            self.loops.stop()

    terminate = stop


app = Celery("streamgauge")
app.conf.update(
    broker_url=settings.REDIS_URL or "memory://",
    # kombu's memory transport looks once a second by default, which makes every hop a second late
    broker_transport_options={} if settings.REDIS_URL else {"polling_interval": 0.02},
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    task_ignore_result=True,
    task_default_queue="streamgauge",
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    timezone="UTC",
    beat_schedule={
        "forget-old-samples": {
            "task": "dashboard.tasks.forget_old_samples",
            "schedule": 300.0,
            "options": {"expires": 300},
        },
    },
)
app.autodiscover_tasks(["dashboard"])
app.steps["worker"].add(LoopsStep)
