"""What the stored samples of a cluster take, how fast they grow, and what they will take when retention holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Avg, Count, Max, Min
from django.db.models.functions import Length

from collectors.domain.keeping import Keep
from collectors.models import Block, Cluster, Frame, Rollup, RollupFrame, Span

from .keep import STOREYS

ROW_BYTES = 90
"""What a row takes beside its body, index entries included (measured in SQLite; PostgreSQL is near it)."""
ROWS_WEIGHED, SPANS_WEIGHED = 20_000, 3
DAY = 86_400.0
YOUNG_DAYS = 0.25
"""From less than this no growth is told."""


_STOREYS = {
    "frames": "newest samples, as they came",
    "minutes": "newest minutes",
    "blocks": "every sample",
    "1min": "minutes",
    "10min": "ten minutes",
    "1h": "hours",
}
_KINDS = {
    "end": "log ends",
    "start": "log starts",
    "size": "sizes",
    "committed": "commits",
    "verdict": "verdicts",
    "broker": "brokers",
    "disk": "disks",
    "leaders": "leaders",
}


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
    def label(self) -> str:
        """In words: "every sample, log ends"."""
        kind = _KINDS.get(self.kind, self.kind)
        return f"{_STOREYS[self.name]}{f', {kind}' if kind else ''}"

    @property
    def since_at(self) -> datetime | None:
        return None if self.since is None else datetime.fromtimestamp(self.since, UTC)

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
    """All storeys of a cluster that hold something; about 20 queries, however much it is."""
    keep: Keep = settings.HISTORY_KEEP
    frames = Frame.objects.filter(cluster=cluster)
    found = frames.aggregate(rows=Count("pk"), since=Min("taken_at"), until=Max("taken_at"))
    out = [_storey("frames", "", frames, found, None)]
    minutes = RollupFrame.objects.filter(cluster=cluster)
    found = minutes.aggregate(rows=Count("pk"), since=Min("minute"), until=Max("minute"))
    found |= {name: found[name] and found[name] * 60.0 for name in ("since", "until")}
    out.append(_storey("minutes", "", minutes, found, None))
    spans = Span.objects.filter(cluster=cluster, is_ready=True)
    by_kind = spans.values("kind").annotate(
        rows=Count("block"), since=Min("since"), until=Max("until"), newest=Max("pk")
    )
    for row in by_kind.order_by("kind"):
        days = keep.days("blocks", cluster=cluster.slug, kind=row["kind"])
        newest = spans.filter(kind=row["kind"]).order_by("-pk").values("pk")[:SPANS_WEIGHED]
        out.append(_storey("blocks", row["kind"], Block.objects.filter(span__in=newest), row, days))
    rollups = Rollup.objects.filter(cluster=cluster)
    by_resolution = rollups.values("resolution").annotate(rows=Count("pk"), since=Min("start"), until=Max("start"))
    names = {resolution: name for name, resolution in STOREYS.items()}
    for rolled in by_resolution.order_by("resolution"):
        resolution = rolled["resolution"]
        days = keep.days(names[resolution], cluster=cluster.slug)
        found = {**rolled, "until": rolled["until"] + _width(resolution)}
        out.append(_storey(names[resolution], "", rollups.filter(resolution=resolution), found, days))
    return [storey for storey in out if storey.rows]


def _width(resolution: int) -> float:
    """Seconds that a row is about, a month of hours taken as half full."""
    return {60: 7200.0, 600: 86_400.0, 3600: 15 * 86_400.0}[resolution]


def _storey(name: str, kind: str, rows: models.QuerySet[Any], found: Mapping[str, Any], days: float | None) -> Storey:
    newest = rows.order_by("-pk").values("pk")[:ROWS_WEIGHED]
    weighed = rows.model._default_manager.filter(pk__in=newest).aggregate(size=Avg(Length("body")))["size"]
    size = round(found["rows"] * (float(weighed or 0) + ROW_BYTES))
    return Storey(name, kind, found["rows"], size, found["since"], found["until"], days)


def total(parts: Iterable[float | None]) -> float | None:
    """A sum that is unknown when a part is."""
    out = 0.0
    for part in parts:
        if part is None:
            return None
        out += part
    return out
