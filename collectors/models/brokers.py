"""Brokers and their log directories, as rows that change when the cluster does."""

from __future__ import annotations

from django.db import models

from .clusters import Cluster


class Broker(models.Model):
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="brokers")
    node_id = models.IntegerField()
    host = models.CharField(max_length=255)
    port = models.IntegerField()
    rack = models.CharField(max_length=255, blank=True)
    version = models.CharField(max_length=40, blank=True)  # "4.3", derived from ApiVersions; "" unknown
    is_controller = models.BooleanField(default=False)
    quorum_role = models.CharField(max_length=10, blank=True)  # "leader", "voter", "observer", "none"; "" unknown
    reach = models.SmallIntegerField(default=0)  # collectors.domain.topology.Reach
    reach_since = models.DateTimeField(null=True)
    reach_reason = models.CharField(max_length=300, blank=True)
    first_seen_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["cluster", "node_id"]
        constraints = [models.UniqueConstraint(fields=["cluster", "node_id"], name="one_broker_per_node_id")]

    def __str__(self) -> str:
        return f"broker {self.node_id}"


class LogDir(models.Model):
    broker = models.ForeignKey(Broker, on_delete=models.CASCADE, related_name="log_dirs")
    path = models.CharField(max_length=1000)
    size_bytes = models.BigIntegerField()
    total_bytes = models.BigIntegerField(null=True)
    usable_bytes = models.BigIntegerField(null=True)
    error = models.CharField(max_length=300, blank=True)
    taken_at = models.DateTimeField()

    class Meta:
        ordering = ["broker", "path"]
        constraints = [models.UniqueConstraint(fields=["broker", "path"], name="one_row_per_log_dir")]

    def __str__(self) -> str:
        return self.path

    @property
    def used_share(self) -> float | None:
        """Share of the volume that is taken, by Kafka or by others; None where the broker does not say."""
        if not self.total_bytes or self.usable_bytes is None:
            return None
        return min(1.0, max(0.0, 1 - self.usable_bytes / self.total_bytes))

    @property
    def used_percent(self) -> str:
        share = self.used_share
        return "unknown" if share is None else f"{100 * share:.0f}"
