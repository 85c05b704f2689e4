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
