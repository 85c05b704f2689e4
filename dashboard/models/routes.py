"""Who is told of what: routes to channels, and the heartbeat that says that this instance lives."""

from __future__ import annotations

from django.db import models

from .deliveries import Channel


class Route(models.Model):
    """Alerts that match are told to these channels, and within these hours; what no route takes, to every channel."""

    name = models.CharField(max_length=120, unique=True)
    is_enabled = models.BooleanField(default=True)
    severities = models.JSONField(default=list)  # [] means every severity
    cluster = models.CharField(max_length=200, default="*")  # glob over slugs
    labels = models.JSONField(default=dict)  # {"rule" | "group" | "topic" | "broker": glob}
    weekdays = models.JSONField(default=list)  # 0 is Monday; [] means every day
    begins = models.TimeField(null=True)  # in `zone`; None: the whole day
    ends = models.TimeField(null=True)  # before `begins`: on the next day
    zone = models.CharField(max_length=64, default="UTC")
    channels = models.ManyToManyField(Channel, related_name="routes")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Heartbeat(models.Model):
    """What came of the newest beats; one row."""

    attempted_at = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)
    failures = models.IntegerField(default=0)  # in a row
    last_status = models.IntegerField(null=True)
    last_error = models.TextField(blank=True)

    def __str__(self) -> str:
        return "heartbeat"
