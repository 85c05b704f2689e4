"""What the stored samples of a cluster take, how fast they grow, and what they will take when retention holds them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.db import models
from django.db.models import Avg, Max, Min
from django.db.models.functions import Length

from collectors.domain.keeping import Keep
from collectors.models import Block, Cluster, Frame, Rollup, RollupFrame, Span

from .keep import STOREYS
from .kinds import Kind

ROW_BYTES = 90
"""What a row takes beside its body, index entries included (measured in SQLite; PostgreSQL is near it)."""
SAMPLED_ROWS = 300
DAY = 86_400.0
YOUNG_DAYS = 0.25
"""From less than this no growth is told."""


@dataclass(frozen=True, slots=True)
class Storey:
    """One storey of one cluster, blocks by kind. Sizes are estimates: the rows counted, the newest ones weighed."""

    name: str  # "frames", "blocks", "1min", "10min", "1h"
    kind: str  # of blocks; "" else
    rows: int
    size: int  # bytes, about
    since: float | None  # unix seconds of the oldest and the newest sample
    until: float | None
    kept_days: float | None  # None: until compacted

    @property
    def days(self) -> float:
        return 0.0 if self.since is None or self.until is None else (self.until - self.since) / DAY

    @property
    def a_day(self) -> float | None:
        """Bytes that a day adds; None while there is too little to tell."""
        return self.size / self.days if self.days >= YOUNG_DAYS and self.kept_days is not None else None

    @property
    def when_full(self) -> float | None:
        """Bytes from the day on when as much is deleted as is added."""
        if self.kept_days is None:
            return float(self.size)
        return None if self.a_day is None else self.a_day * self.kept_days

    def after(self, days: float) -> float | None:
        """Bytes so many days after the first sample."""
        if self.kept_days is None:
            return float(self.size)
        return None if self.a_day is None else self.a_day * min(days, self.kept_days)


def storeys(cluster: Cluster) -> list[Storey]:
    """All storeys of a cluster that hold something; a number of queries that does not depend on how much."""
    keep: Keep = settings.HISTORY_KEEP
    frames = Frame.objects.filter(cluster=cluster)
    out = [_storey("frames", "", frames, frames.aggregate(since=Min("taken_at"), until=Max("taken_at")), None)]
    minutes = RollupFrame.objects.filter(cluster=cluster)
    ends = minutes.aggregate(since=Min("minute"), until=Max("minute"))
    out.append(_storey("minutes", "", minutes, {name: at and at * 60.0 for name, at in ends.items()}, None))
    for kind in Kind:
        spans = Span.objects.filter(cluster=cluster, kind=kind.value, is_ready=True)
        blocks = Block.objects.filter(span__in=spans)
        days = keep.days("blocks", cluster=cluster.slug, kind=kind.value)
        out.append(_storey("blocks", kind.value, blocks, spans.aggregate(since=Min("since"), until=Max("until")), days))
    for name, resolution in STOREYS.items():
        rows = Rollup.objects.filter(cluster=cluster, resolution=resolution)
        found = rows.aggregate(since=Min("start"), until=Max("start"))
        ends = {"since": found["since"], "until": found["until"] and found["until"] + _width(resolution)}
        out.append(_storey(name, "", rows, ends, keep.days(name, cluster=cluster.slug)))
    return [storey for storey in out if storey.rows]


def _width(resolution: int) -> float:
    """Seconds that a row is about, a month of hours taken as half full."""
    return {60: 7200.0, 600: 86_400.0, 3600: 15 * 86_400.0}[resolution]


def _storey(
    name: str, kind: str, rows: models.QuerySet[models.Model], ends: dict[str, float | None], days: float | None
) -> Storey:
    count = rows.count()
    newest = rows.order_by("-pk").values("pk")[:SAMPLED_ROWS]
    weighed = rows.model._default_manager.filter(pk__in=newest).aggregate(size=Avg(Length("body")))["size"]
    size = round(count * (float(weighed or 0) + ROW_BYTES))
    return Storey(name, kind, count, size, ends["since"], ends["until"], days)


def total(parts: Iterable[float | None]) -> float | None:
    """A sum that is unknown when a part is."""
    out = 0.0
    for part in parts:
        if part is None:
            return None
        out += part
    return out
