"""Topics with their partitions' leaders and replicas."""

from __future__ import annotations

from django.db import models

from .clusters import Cluster


class Topic(models.Model):
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="topics")
    name = models.CharField(max_length=249)
    topic_id = models.CharField(max_length=40, blank=True)
    is_internal = models.BooleanField(default=False)
    # Name of the source topic when the name says that this is a dead-letter topic; "?" when only the kind is known.
    dead_letters_of = models.CharField(max_length=249, blank=True)
    partition_count = models.IntegerField()
    replication_factor = models.IntegerField()
    under_replicated_count = models.IntegerField(default=0)
    offline_count = models.IntegerField(default=0)
    # [[leader, leader_epoch, [replicas], [isr], [offline]], ...] by partition number
    partitions = models.JSONField(default=list)
    first_seen_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["cluster", "name"]
        constraints = [models.UniqueConstraint(fields=["cluster", "name"], name="one_topic_per_name")]

    def __str__(self) -> str:
        return self.name
