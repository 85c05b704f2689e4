"""What a person has starred."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from collectors.models import Cluster


class Star(models.Model):
    """By name, so that a group or topic that goes and comes back is still starred."""

    class Kind(models.TextChoices):
        CLUSTER = "cluster"
        GROUP = "group"
        TOPIC = "topic"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="stars")
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind)
    name = models.CharField(max_length=500, blank=True)  # "" for a cluster

    class Meta:
        ordering = ["user", "name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["user", "cluster", "kind", "name"], name="one_star_per_person_and_thing")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
