"""What is recorded but not told for a while."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from .alerts import Rule


class SilenceQuerySet(models.QuerySet["Silence"]):
    def active(self, now: datetime) -> SilenceQuerySet:
        return self.filter(starts_at__lte=now, ends_at__gt=now)


class Silence(models.Model):
    """Alerts that fire under it are kept and shown, and told when it ends and they still fire."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, null=True, related_name="silences")  # None: every rule
    cluster = models.CharField(max_length=200, default="*")  # glob over slugs
    subject = models.CharField(max_length=500, default="*")  # glob over names of groups, topics, ids of brokers
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=500)
    created_by = models.CharField(max_length=150)
    ended_by = models.CharField(max_length=150, blank=True)  # who ended it before its time

    objects = SilenceQuerySet.as_manager()

    class Meta:
        ordering = ["-ends_at", "-id"]
        indexes = [models.Index(fields=["ends_at"])]

    def __str__(self) -> str:
        return f"{self.rule or 'every rule'} on {self.cluster}/{self.subject}"


class Maintenance(models.Model):
    """A span, once or every week, in which what fires on some clusters is held back as under a silence."""

    class Repeat(models.TextChoices):
        ONCE = "once", "Once"
        WEEKLY = "weekly", "Every week"

    reason = models.CharField(max_length=200)
    cluster = models.CharField(max_length=200, default="*")  # glob over slugs
    repeat = models.CharField(max_length=10, choices=Repeat)
    starts_at = models.DateTimeField(null=True)  # once
    ends_at = models.DateTimeField(null=True)
    weekdays = models.JSONField(default=list)  # weekly: 0 is Monday
    begins = models.TimeField(null=True)  # weekly, in `zone`
    minutes = models.IntegerField(null=True)
    zone = models.CharField(max_length=64, default="UTC")
    is_enabled = models.BooleanField(default=True)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.reason
