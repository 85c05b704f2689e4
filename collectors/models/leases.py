"""Who may run which resident loop: one row per cluster, one for the judge, one for each worker that is there."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models.functions import Now

LONGEST = timedelta(seconds=700)
"""No lease is given for longer: one that ends later was given before the clock stepped back, and is worth nothing."""
WORKER = "worker:"
"""Before the name of a worker's own lease, by which the others count it."""
FORGET_SECONDS = 600.0
"""A worker that was killed leaves its row; it goes after this."""


class LeaseQuerySet(models.QuerySet["Lease"]):
    def acquire(self, name: str, *, holder: str, seconds: float) -> int | None:
        """Take the lease if it is free or lapsed; returns the new epoch, or None when another holds it.

        Time is the database's clock. The epoch grows with each change of hands, so that a former
        holder that wakes up late can be told from the present one.
        """
        self.get_or_create(name=name)
        taken = (
            self.filter(name=name)
            .filter(models.Q(holder="") | models.Q(expires_at__lte=Now()) | models.Q(expires_at__gt=Now() + LONGEST))
            .update(holder=holder, epoch=models.F("epoch") + 1, expires_at=Now() + timedelta(seconds=seconds))
        )
        if not taken:
            return None
        return self.values_list("epoch", flat=True).filter(name=name, holder=holder).first()

    def renew(self, name: str, *, holder: str, epoch: int, seconds: float) -> bool:
        """Prolong a lease that is still ours and has not lapsed; False means: stop at once."""
        return bool(self.held(name, holder=holder, epoch=epoch).update(expires_at=Now() + timedelta(seconds=seconds)))

    def in_force(self) -> LeaseQuerySet:
        """Leases that somebody holds now."""
        return self.filter(expires_at__gt=Now(), expires_at__lte=Now() + LONGEST).exclude(holder="")

    def held(self, name: str, *, holder: str, epoch: int) -> LeaseQuerySet:
        return self.filter(name=name, holder=holder, epoch=epoch, expires_at__gt=Now())

    def release(self, name: str, *, holder: str, epoch: int) -> bool:
        """Give the lease back, so that others can take it at once."""
        return bool(self.filter(name=name, holder=holder, epoch=epoch).update(holder="", expires_at=Now()))

    def be_there(self, holder: str, *, seconds: float) -> None:
        """Say that this worker lives, so that the others leave it its share of the clusters."""
        lease, until = f"{WORKER}{holder.rsplit(':', 1)[-1]}", Now() + timedelta(seconds=seconds)
        if not self.filter(name=lease).update(holder=holder, expires_at=until):
            self.get_or_create(name=lease)
            self.filter(name=lease).update(holder=holder, expires_at=until)
        self.filter(name__startswith=WORKER, expires_at__lt=Now() - timedelta(seconds=FORGET_SECONDS)).delete()

    def be_gone(self, holder: str) -> None:
        self.filter(name__startswith=WORKER, holder=holder).delete()

    def workers(self) -> list[str]:
        """The holders' names of the workers that are there now, by the database's clock."""
        there = self.filter(name__startswith=WORKER, expires_at__gt=Now())
        return list(there.order_by("name").values_list("holder", flat=True))


class Lease(models.Model):
    name = models.CharField(max_length=80, primary_key=True)  # "cluster:3", "judge", "worker:1a2b3c4d"
    holder = models.CharField(max_length=120, default="", blank=True)
    epoch = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField(db_default=Now())

    objects = LeaseQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.name} held by {self.holder or 'nobody'} (epoch {self.epoch})"
