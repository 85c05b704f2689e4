"""What changed and when: the marks under the charts and the list "what changed"."""

from __future__ import annotations

from django.db import models

from .clusters import Cluster


class Event(models.Model):
    class Kind(models.TextChoices):
        BROKER_SUSPECT = "broker_suspect"
        BROKER_DOWN = "broker_down"
        BROKER_UP = "broker_up"
        CONTROLLER_MOVED = "controller_moved"
        LEADERS_MOVED = "leaders_moved"
        TOPIC_CREATED = "topic_created"
        TOPIC_DELETED = "topic_deleted"
        TOPIC_RECREATED = "topic_recreated"
        TOPIC_GROWN = "topic_grown"
        CONFIG_CHANGED = "config_changed"
        RIGHTS_CHANGED = "rights_changed"
        GROUP_NEW = "group_new"
        GROUP_GONE = "group_gone"
        MEMBERS_CHANGED = "members_changed"
        RECORDS_LOST = "records_lost"
        VERDICT_CHANGED = "verdict_changed"
        CYCLES_SKIPPED = "cycles_skipped"
        CLOCK_STEPPED = "clock_stepped"
        COLLECTOR_TOOK_OVER = "collector_took_over"
        ACT = "act"  # the demo did something on purpose

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    kind = models.CharField(max_length=30, choices=Kind)
    # What it is about: "", or the name of a topic, group or broker, by subject_kind "topic", "group", "broker".
    subject_kind = models.CharField(max_length=10, blank=True)
    subject = models.CharField(max_length=500, blank=True)
    text = models.TextField()  # a sentence; names in it are text from strangers
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [
            models.Index(fields=["cluster", "at"]),
            models.Index(fields=["cluster", "subject_kind", "subject", "at"]),
        ]

    def __str__(self) -> str:
        return self.text
