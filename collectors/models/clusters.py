"""Clusters that are watched."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.dispatch import Signal

roster_changed = Signal()
"""A command or a file changed which clusters are watched: `who`, `action`, `slug`, `detail` (plain JSON, no secrets).

This side writes no audit trail; who keeps one listens."""


class _Kept(models.Manager["Cluster"]):
    """Clusters that are not deleted: what every page, loop and metric means by "the clusters"."""

    def get_queryset(self) -> models.QuerySet[Cluster]:
        return super().get_queryset().filter(deleted_at=None)


class Cluster(models.Model):
    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=200)
    # client.properties as JSON text, encrypted by collectors.secrets; never shown again
    settings_encrypted = models.BinaryField()
    interval_seconds = models.FloatField(default=5.0, validators=[MinValueValidator(1.0), MaxValueValidator(300.0)])
    is_paused = models.BooleanField(default=False)
    # Set for a day after somebody deleted it; then its rows go.
    deleted_at = models.DateTimeField(null=True, blank=True, db_index=True)
    # "" for pages and addcluster; else what it comes from ("environment"), and pages change nothing.
    managed_by = models.CharField(max_length=40, blank=True)
    # Globs of what is watched, as collectors.domain.scope.Scope stores them; {} for everything.
    scope = models.JSONField(default=dict, blank=True)
    # Whether the tail of __consumer_offsets is read, for when each group last committed.
    reads_commit_times = models.BooleanField(default=False)
    # How many the scope leaves out, by the newest survey; None before the first.
    topics_left_out = models.IntegerField(null=True)
    groups_left_out = models.IntegerField(null=True)
    kafka_cluster_id = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # The newest stored cycle; moved only by the sampler, in the transaction that stores the cycle.
    last_cycle = models.BigIntegerField(default=0)

    objects = _Kept()
    everything: models.Manager[Cluster] = models.Manager()

    class Meta:
        ordering = ["name"]
        base_manager_name = "everything"

    def __str__(self) -> str:
        return self.name
