"""What this login may see of a cluster, and how topics and brokers are set, as far as it may see that."""

from __future__ import annotations

from django.db import models

from ..domain.rights import BY_KEY, Right
from .clusters import Cluster


class ClusterRight(models.Model):
    """One of collectors.domain.rights.NEEDS for a cluster; written when it changes."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="rights")
    key = models.CharField(max_length=40)
    why = models.CharField(max_length=300, blank=True)  # "" when it is met
    caution = models.CharField(max_length=300, blank=True)
    since = models.DateTimeField()

    class Meta:
        ordering = ["cluster", "key"]
        constraints = [models.UniqueConstraint(fields=["cluster", "key"], name="one_row_per_right")]

    def __str__(self) -> str:
        return f"{self.key}: {self.why or 'on'}"

    @property
    def right(self) -> Right:
        return Right(BY_KEY[self.key], self.why, self.caution)


class Configuration(models.Model):
    """How a topic or a broker is set: what matters here, and what somebody has set; written when it changes."""

    class Kind(models.TextChoices):
        TOPIC = "topic"
        BROKER = "broker"

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="configurations")
    kind = models.CharField(max_length=10, choices=Kind)
    name = models.CharField(max_length=249)  # of the topic; the broker's node id
    # {key: [value or None where Kafka keeps it secret, collectors.domain.configuration.Source]}
    entries = models.JSONField(default=dict)
    set_count = models.IntegerField(default=0)  # entries that are not the default: of a topic, those set on itself
    changed_at = models.DateTimeField()  # when this reading first differed from the one before, or was the first
    # "" while it is read. Else why not, since `refused_at`: the entries may no longer be so ({}: it never was read).
    refused_why = models.CharField(max_length=300, blank=True)
    refused_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["cluster", "kind", "name"]
        constraints = [models.UniqueConstraint(fields=["cluster", "kind", "name"], name="one_row_per_configuration")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
