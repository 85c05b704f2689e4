"""Consumer groups and their members."""

from __future__ import annotations

from django.db import models

from .clusters import Cluster


class Group(models.Model):
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="groups")
    name = models.CharField(max_length=500)
    type = models.CharField(max_length=20)  # collectors.domain.topology.GroupType
    state = models.CharField(max_length=40)
    protocol_type = models.CharField(max_length=100, blank=True)
    assignor = models.CharField(max_length=200, blank=True)
    coordinator = models.IntegerField(null=True)
    epoch = models.IntegerField(null=True)
    member_count = models.IntegerField(null=True)  # None: could not be described
    described_error = models.CharField(max_length=300, blank=True)
    verdict = models.SmallIntegerField(default=0)  # collectors.domain.verdicts.Verdict
    verdict_since = models.DateTimeField(null=True)
    lost_records = models.BigIntegerField(default=0)  # deleted before it read them, since it was first seen
    first_seen_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["cluster", "name"]
        constraints = [models.UniqueConstraint(fields=["cluster", "name"], name="one_group_per_name")]

    def __str__(self) -> str:
        return self.name


class Member(models.Model):
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="members")
    member_id = models.CharField(max_length=500)
    client_id = models.CharField(max_length=500, blank=True)
    host = models.CharField(max_length=255, blank=True)
    instance_id = models.CharField(max_length=500, blank=True)
    assignment = models.JSONField(default=list)  # [[topic, [partition, ...]], ...]
    # both as collectors.membership writes and reads them
    moving = models.JSONField(default=dict)  # what it is still to get or to give up; {}: nothing that is told
    tasks = models.JSONField(default=dict)  # of a streams member; {} otherwise
    joined_at = models.DateTimeField()

    class Meta:
        ordering = ["group", "client_id", "member_id"]
        constraints = [models.UniqueConstraint(fields=["group", "member_id"], name="one_row_per_member")]

    def __str__(self) -> str:
        return self.client_id or self.member_id


class Ownership(models.Model):
    """Who held which partition from one moment to another; a new row only when that changes, or after nobody looked."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="ownerships")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)  # None: still so, as far as is known
    epoch = models.IntegerField(null=True)  # of the group then; None where it has none
    # [[member_id, client_id, host, [[topic, [partition, ...]], ...]], ...]; text from strangers
    members = models.JSONField(default=list)

    class Meta:
        ordering = ["group", "since", "id"]
        indexes = [models.Index(fields=["group", "until"])]

    def __str__(self) -> str:
        return f"{self.group_id} from {self.since:%Y-%m-%d %H:%M:%S}"
