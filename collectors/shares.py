"""How several workers share the clusters out: each holds at most its share, and takes what another lets go."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from enum import Enum

from django.db.models import Case, When
from django.db.models.functions import Now

from .models import Cluster, Cycle, Lease
from .models.leases import LONGEST


class Standing(Enum):
    """How a cluster's lease that nobody holds came to be free."""

    GIVEN_BACK = "given back"  # or never held: for whoever holds less than its share
    UNTAKEN = "untaken"  # given back, and nobody has wanted it since
    LAPSED = "lapsed"  # with its holder


UNTAKEN_SECONDS = 5.0


def free_leases(cluster_ids: Iterable[int]) -> dict[int, Standing]:
    """Clusters whose lease nobody holds now, by the database's clock."""
    names = {f"cluster:{pk}": pk for pk in cluster_ids}
    long_ago = Now() - timedelta(seconds=UNTAKEN_SECONDS)
    known = Lease.objects.filter(name__in=names).annotate(
        # one of the far future was given before the clock stepped back
        is_over=Case(
            When(expires_at__lte=Now(), then=True), When(expires_at__gt=Now() + LONGEST, then=True), default=False
        ),
        is_long_over=Case(When(expires_at__lt=long_ago, then=True), default=False),
    )
    found = dict.fromkeys(names.values(), Standing.GIVEN_BACK)
    for name, holder, is_over, is_long_over in known.values_list("name", "holder", "is_over", "is_long_over"):
        if holder and not is_over:
            del found[names[name]]
        elif holder:
            found[names[name]] = Standing.LAPSED
        elif is_long_over:
            found[names[name]] = Standing.UNTAKEN
    return found


def share(clusters: int, workers: int) -> int:
    """How many of the clusters one of the workers holds at most, so that all are held and none holds two too many."""
    return -(-clusters // max(1, workers))


def missed(cluster: Cluster, now: float) -> int:
    """Due times since the newest stored cycle, without the one that is due now; `now` is unix time."""
    taken = Cycle.objects.filter(cluster=cluster, number=cluster.last_cycle).values_list("taken_at", flat=True).first()
    if taken is None:
        return 0
    return max(0, round((now - taken.timestamp()) / cluster.interval_seconds) - 1)
