"""Clusters that are watched."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models


class Cluster(models.Model):
    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=200)
    # client.properties as JSON text, encrypted by collectors.secrets; never shown again
    settings_encrypted = models.BinaryField()
    interval_seconds = models.FloatField(default=5.0, validators=[MinValueValidator(1.0), MaxValueValidator(300.0)])
    is_paused = models.BooleanField(default=False)
    kafka_cluster_id = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # The newest stored cycle; moved only by the sampler, in the transaction that stores the cycle.
    last_cycle = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
