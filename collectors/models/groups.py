"""Consumer groups and their members."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection, models, transaction

from ..domain.verdicts import Verdict, is_read_alone
from .clusters import Cluster

WANTED = timedelta(seconds=120)
"""How long a head that was asked for is read; a page that stays open asks again each minute."""
WANTED_AGAIN = timedelta(seconds=30)
"""Who asks sooner than this after another writes nothing."""
MOST_WANTED = 500
"""Groups of a cluster whose heads are wanted at once; those that were asked for longest ago are left out."""


class GroupQuerySet(models.QuerySet["Group"]):
    def want_heads(self, now: datetime) -> int:
        """Ask that the heads of these groups' backlogs be read for a while; how many rows that changed.

        Where rows have locks, those that are locked are left out: a hint waits for nobody, and the collector, which
        writes many rows in an order of its own, is not brought to a deadlock.
        """
        until = now + WANTED
        due = self.filter(models.Q(head_wanted_until=None) | models.Q(head_wanted_until__lte=until - WANTED_AGAIN))
        if not connection.features.has_select_for_update_skip_locked:
            return due.update(head_wanted_until=until)
        with transaction.atomic():
            free = due.select_for_update(skip_locked=True).values("pk")
            return self.model.objects.filter(pk__in=free).update(head_wanted_until=until)

    def heads_wanted(self, cluster_id: int, now: datetime) -> frozenset[str]:
        """Names of the cluster's groups whose heads somebody wants."""
        found = self.filter(cluster=cluster_id, head_wanted_until__gt=now, gone_at=None)
        return frozenset(found.order_by("-head_wanted_until").values_list("name", flat=True)[:MOST_WANTED])


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
    lost_by_partition = models.JSONField(default=dict)  # {topic: {partition: records}}, of those that lost some
    first_seen_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)
    head_wanted_until = models.DateTimeField(null=True)  # somebody wants the head of its backlog read; a hint

    objects = GroupQuerySet.as_manager()

    class Meta:
        ordering = ["cluster", "name"]
        constraints = [models.UniqueConstraint(fields=["cluster", "name"], name="one_group_per_name")]
        indexes = [
            models.Index(
                fields=["cluster", "head_wanted_until"],
                condition=models.Q(head_wanted_until__isnull=False),
                name="groups_whose_head_is_wanted",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_read_alone(self) -> bool:
        """Whether somebody commits for it without being a member, as it is told."""
        return is_read_alone(self.member_count, Verdict(self.verdict))

    def is_head_wanted(self, now: datetime) -> bool:
        return self.head_wanted_until is not None and self.head_wanted_until > now

    def may_want_head(self, now: datetime) -> bool:
        """Whether to ask for it changes anything."""
        return self.head_wanted_until is None or self.head_wanted_until <= now + WANTED - WANTED_AGAIN


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
