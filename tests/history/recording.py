"""A cluster whose cycles are written as the sampler writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from django.db import transaction

from collectors.domain.numbers import Column, Layout, Numbers
from collectors.history import decoded, layouts, reading
from collectors.history.frames import FrameWriter
from collectors.history.kinds import Kind
from collectors.models import Cluster

Value = int | None
BEGIN = 1_700_000_000.0
STEP = 5.0


def column(values: Mapping[str, Mapping[tuple[str, int], Value]]) -> Column:
    """A column from {owner: {(topic, partition): value or None}}."""
    layout = Layout.build(values)
    flat = [
        values[layout.owners[owner]][topic, partition]
        for owner, topic, partition in zip(
            layout.owner_of_position.tolist(), layout.topics, layout.partitions.tolist(), strict=True
        )
    ]
    return Column(layout, Numbers.of(flat))


def topics(values: Mapping[str, Sequence[Value]]) -> Column:
    """A column of topics: {topic: values by partition}."""
    return column({topic: {(topic, p): value for p, value in enumerate(own)} for topic, own in values.items()})


def singles(values: Mapping[str, Value]) -> Column:
    return column({owner: {("", -1): value} for owner, value in values.items()})


class Recorder:
    """Writes cycles of one cluster, 5 s apart unless told."""

    def __init__(self, slug: str = "demo", interval: float = STEP) -> None:
        self.cluster = Cluster.objects.create(slug=slug, name=slug, settings_encrypted=b"", interval_seconds=interval)
        self.writer = FrameWriter(self.cluster.pk)
        self.cycle = 0
        self.now = BEGIN

    @property
    def id(self) -> int:
        return self.cluster.pk

    def write(self, columns: Mapping[Kind, Column], *, after: float | None = None) -> int:
        self.cycle += 1
        self.now += self.cluster.interval_seconds if after is None else after
        with transaction.atomic():
            self.writer.write(self.cycle, self.now, columns)
        return self.cycle


def recent_columns(cluster_id: int, kind: Kind, since: float) -> list[tuple[int, float, Column]]:
    """(cycle, moment, column) of every frame since a moment, oldest first.

    The newest half hour, or 60 cycles, is always in frames; what was compacted is left out.
    """
    cycles = reading.frame_range(cluster_id, kind, since, math.inf)
    if cycles is None:
        return []
    rows = reading.first_segments(cluster_id, kind).filter(
        cycle__gte=cycles[0], cycle__lte=cycles[1], taken_at__gte=since
    )
    marks = decoded.marks(rows).get(kind, [])
    found = decoded.columns(cluster_id, kind, marks, layouts.load_named({mark.layout: mark.digest for mark in marks}))
    return [(m.cycle, m.taken_at, column) for m, column in zip(marks, found, strict=True) if column is not None]
