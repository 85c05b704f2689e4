"""The Celery application: memory:// in one process, Redis or Valkey in many (`dashboard.loops` adds its step)."""

from __future__ import annotations

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")


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
        "compact-samples": {
            "task": "dashboard.tasks.compact_samples",
            "schedule": 60.0,
            "options": {"expires": 60},
        },
        "forget-old-samples": {
            "task": "dashboard.tasks.forget_old_samples",
            "schedule": 300.0,
            "options": {"expires": 300},
        },
    },
)
app.autodiscover_tasks(["dashboard"])
