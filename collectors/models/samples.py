"""The sample tables; only `collectors.history` reads or writes them."""

from __future__ import annotations

from django.db import models

from .clusters import Cluster


class Layout(models.Model):
    """The ordered members that positions of frames mean (see `collectors.domain.numbers.Layout`)."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE)
    kind = models.CharField(max_length=12)
    digest = models.CharField(max_length=32)
    members = models.BinaryField()  # codec: collectors.history.codec
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "kind", "digest"], name="one_layout_per_digest")]

    def __str__(self) -> str:
        return f"layout {self.kind} {self.digest[:8]}"


class Frame(models.Model):
    """One segment of one kind at one cycle: about 1 024 positions, cut at owner borders."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE)
    kind = models.CharField(max_length=12)
    cycle = models.BigIntegerField()
    segment = models.IntegerField()
    layout = models.ForeignKey(Layout, on_delete=models.CASCADE)  # else a cluster could not be deleted
    key_cycle = models.BigIntegerField()  # equals `cycle` for a key frame, else the key frame it is a delta to
    taken_at = models.FloatField()  # unix seconds
    body = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "kind", "segment", "cycle"], name="one_frame_per_segment")
        ]
        indexes = [models.Index(fields=["cluster", "kind", "taken_at"])]

    def __str__(self) -> str:
        return f"frame {self.kind} {self.cycle}/{self.segment}"


class Span(models.Model):
    """A stretch of about two hours of one kind that was compacted: its cycles, and the blocks that hold its numbers.

    Until `is_ready` nobody reads it and the frames are the truth; from then on frames of its cycles are shadowed.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE)
    kind = models.CharField(max_length=12)
    first_cycle = models.BigIntegerField()
    last_cycle = models.BigIntegerField()
    since = models.FloatField()  # unix seconds of the earliest and the latest sample
    until = models.FloatField()
    axis = models.BinaryField()  # cycles and moments; codec: collectors.history.matrix
    is_ready = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "kind", "first_cycle"], name="one_span_per_cycle")]
        indexes = [models.Index(fields=["cluster", "kind", "until"], name="span_by_end")]

    def __str__(self) -> str:
        return f"span {self.kind} {self.first_cycle} to {self.last_cycle}"


class Block(models.Model):
    """The numbers of one owner in one span; of an owner with very many positions there are several parts."""

    span = models.ForeignKey(Span, on_delete=models.CASCADE, db_index=False)
    owner_key = models.BigIntegerField()  # a hash of the owner: names may be longer than an index takes
    part = models.IntegerField(default=0)
    owner = models.TextField()  # as JSON: names come from strangers and may hold what a database refuses
    body = models.BinaryField()  # codec: collectors.history.matrix

    class Meta:
        constraints = [models.UniqueConstraint(fields=["span", "owner_key", "part"], name="one_block_per_owner")]

    def __str__(self) -> str:
        return f"block {self.owner} of {self.span_id}"


class RollupFrame(models.Model):
    """One closed minute of all owners of a family: the newest minutes, until they are folded into rollups."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE)
    family = models.CharField(max_length=8)
    minute = models.BigIntegerField()  # unix minutes
    layout = models.ForeignKey(Layout, on_delete=models.CASCADE)
    body = models.BinaryField()  # codec: collectors.history.matrix, rows: collectors.history.families

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "family", "minute"], name="one_frame_per_minute")]

    def __str__(self) -> str:
        return f"rollup frame {self.family} {self.minute}"


class Rollup(models.Model):
    """One owner's minutes of two hours, ten minutes of a day, or hours of a month."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, db_index=False)
    family = models.CharField(max_length=8)
    owner_key = models.BigIntegerField()  # a hash of the owner
    resolution = models.IntegerField()  # seconds: 60, 600, 3600
    start = models.BigIntegerField()  # unix seconds of the stretch of time
    owner = models.TextField()  # as in Block
    body = models.BinaryField()  # codec: collectors.history.matrix, rows: collectors.history.families

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "family", "owner_key", "resolution", "start"], name="one_rollup_per_owner"
            )
        ]
        indexes = [models.Index(fields=["cluster", "resolution", "start"], name="rollup_by_start")]

    def __str__(self) -> str:
        return f"rollup {self.family} {self.owner} {self.resolution} s from {self.start}"


class RollupState(models.Model):
    """How far a cluster's samples are rolled up."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, primary_key=True, related_name="rolled")
    cycle = models.BigIntegerField(default=0)  # samples up to here are in minutes
    minute = models.BigIntegerField(default=0)  # the minute after the newest closed one, unix minutes
    coarsened = models.BigIntegerField(default=0)  # up to here (unix seconds) minutes are in tens and hours too
    measured_since = models.BigIntegerField(default=0)  # hours (unix seconds) before it were reconstructed, if any are
    past_done = models.BooleanField(default=False)  # nothing more is reconstructed

    def __str__(self) -> str:
        return f"rollups of cluster {self.cluster_id} to cycle {self.cycle}"
