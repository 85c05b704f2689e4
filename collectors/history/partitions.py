"""PostgreSQL's partitions of what retention empties: made ahead, dropped whole. On SQLite nothing here does anything.

Blocks lie by ranges of spans, whose numbers grow with time: so every read of blocks, which names its spans, touches
one or two partitions, and a partition is over when all its spans are too old, whatever each kind's and cluster's time
is. Rollups lie by resolution and start. What no partition is for (the clock was set back, old samples were imported)
lies in the partition named rest, and goes row by row. Frames have none: compaction ends them within hours.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import DatabaseError, connection, transaction
from django.db.models import Max

from collectors.models import Block, Cluster, Rollup, Span

from .compaction import SPAN_SECONDS
from .folding import LONGEST, RESOLUTIONS
from .kinds import Kind

DAY = 86_400
WIDTHS: Mapping[int, int] = {60: DAY, 600: 7 * DAY, 3600: 92 * DAY}
"""Seconds of starts that a partition of rollups holds, by resolution."""
WAIT_SECONDS = 1.5 * DAY
"""Spans of a partition that will be dropped whole so soon are kept until then."""
LOCK_MILLISECONDS = 3000
"""Who reads holds a partition for milliseconds; who waits longer for it tries again the next time."""
_NAME = re.compile(r"collectors_(?:block|rollup_(\d+))_from_(\d+)_to_(\d+)")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Partition:
    """Of blocks: the spans `first` up to before `end`. Of rollups: starts (unix seconds) of one resolution."""

    name: str
    first: int
    end: int
    resolution: int = 0


def is_used() -> bool:
    return connection.vendor == "postgresql"


def of_blocks() -> list[Partition]:
    return _partitions(Block._meta.db_table)


def of_rollups(resolution: int) -> list[Partition]:
    return [one for one in _partitions(Rollup._meta.db_table) if one.resolution == resolution]


def _partitions(table: str) -> list[Partition]:
    """Those with bounds, oldest first."""
    if not is_used():
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = to_regclass(%s)",
            [table],
        )
        found = [_NAME.fullmatch(name) for (name,) in cursor.fetchall()]
    parts = [Partition(m[0], int(m[2]), int(m[3]), int(m[1] or 0)) for m in found if m]
    return sorted(parts, key=lambda part: (part.resolution, part.first))


def create_ahead(now: float) -> int:
    """Make the partitions that the next day will write to; returns how many were made."""
    if not is_used():
        return 0
    made = 0
    newest = _newest_span()
    end = max((part.end for part in of_blocks()), default=1)
    width = len(Kind) * round(DAY / SPAN_SECONDS) * max(1, Cluster.everything.count())  # about a day
    while end <= newest + width:
        first = max(end, newest + 1)  # what came before it, with no partition to go to, lies in the rest
        name, end = f"{Block._meta.db_table}_from_{first}_to_{first + width}", first + width
        made += _changed(
            f"CREATE TABLE {name} PARTITION OF {Block._meta.db_table} FOR VALUES FROM ({first}) TO ({end})"
        )
    for resolution, wide in WIDTHS.items():
        start = max((part.end for part in of_rollups(resolution)), default=int(now) - int(now) % wide)
        while start <= now + wide:
            name = f"{Rollup._meta.db_table}_{resolution}_from_{start}_to_{start + wide}"
            bounds = f"FROM ({resolution}, {start}) TO ({resolution}, {start + wide})"
            made += _changed(f"CREATE TABLE {name} PARTITION OF {Rollup._meta.db_table} FOR VALUES {bounds}")
            start += wide
    return made


def _newest_span() -> int:
    return Span.objects.aggregate(newest=Max("pk"))["newest"] or 0


def blocks_over(now: float, ages: Mapping[tuple[int, str], float]) -> tuple[list[Partition], list[Partition]]:
    """Partitions of blocks whose spans are all too old, and those where that will be so soon.

    `ages` says how many seconds the spans of a cluster and kind are kept; of a cluster that is not in it, none.
    """
    newest, over, soon = _newest_span(), [], []
    for part in of_blocks():
        if part.end > newest + 1:
            continue  # spans may come still
        spans = Span.objects.filter(pk__gte=part.first, pk__lt=part.end)
        ends = spans.values("cluster_id", "kind").annotate(until=Max("until"))
        last = max((one["until"] + ages.get((one["cluster_id"], one["kind"]), 0.0) for one in ends), default=0.0)
        if last < now:
            over.append(part)
        elif last < now + WAIT_SECONDS:
            soon.append(part)
    return over, soon


def drop_blocks(part: Partition) -> int:
    """Drop a partition with its spans, in one transaction; returns the spans deleted, 0 when others held it."""
    if not _changed(f"DROP TABLE {part.name}"):
        return 0
    # nobody finds blocks of them any more: until they are gone too, their samples are shown as unknown
    return Span.objects.filter(pk__gte=part.first, pk__lt=part.end).delete()[0]


def drop_rollups(now: float, kept: Mapping[int, float]) -> int:
    """Drop partitions in which all is too old; `kept`: the longest time (seconds) of each resolution."""
    dropped = 0
    for resolution in RESOLUTIONS:
        for part in of_rollups(resolution):
            if part.end + LONGEST[resolution] <= now - kept[resolution]:
                dropped += _changed(f"DROP TABLE {part.name}")
    return dropped


def first_rollup(resolution: int) -> int | None:
    """Rows from this start on go with their partition; None where rows go one by one."""
    return min((part.first for part in of_rollups(resolution)), default=None)


def _changed(statement: str) -> int:
    """Run it in a transaction of its own, waiting a little for others; 1, or 0 and a line in the log when it failed."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
            cursor.execute(statement)
    except DatabaseError as error:  # a lock that others hold; rows in the rest that it would take in
        log.warning("partition not changed, tried again next time: statement=%s reason=%s", statement, error)
        return 0
    return 1
