"""The statements of the path that every cycle takes, as text: building them with the ORM cost more than running them.

Plain SQL that SQLite and PostgreSQL both take; everything else in this room goes through the models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import connection

from collectors.models import Cluster, Frame
from collectors.models import Layout as LayoutRow

from .kinds import EVERY_CYCLE, Kind

_FRAME, _LAYOUT, _CLUSTER = (model._meta.db_table for model in (Frame, LayoutRow, Cluster))
FrameRow = tuple[int, str, int, int, int, int, float, bytes]

_INSERT = (
    f"INSERT INTO {_FRAME} (cluster_id, kind, cycle, segment, layout_id, key_cycle, taken_at, body) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
)
_SLOW = (Kind.START, Kind.SIZE)
_NEWEST_CYCLES = (*EVERY_CYCLE, Kind.STABLE, Kind.HEAD, Kind.COMMITTED_AT, Kind.PARTITION_VERDICT)
"""Read of the cycles that a rate looks at; the last four are stored in those in which there was something to say."""


def _newest(column: str, kind: Kind) -> str:
    return (
        f"(SELECT f.{column} FROM {_FRAME} f WHERE f.cluster_id = c.id AND f.kind = '{kind.value}' "
        "AND f.segment = 0 AND f.cycle <= %s ORDER BY f.cycle DESC LIMIT 1)"
    )


_NEWEST = (
    "SELECT c.interval_seconds, "
    + ", ".join([*(_newest("cycle", kind) for kind in EVERY_CYCLE), *(_newest("id", kind) for kind in _SLOW)])
    + f" FROM {_CLUSTER} c WHERE c.id = %s"
)
_MARKS = (
    "SELECT f.kind, f.cycle, f.taken_at, f.key_cycle, f.layout_id, l.digest, substr(f.body, 1, %s) "
    f"FROM {_FRAME} f JOIN {_LAYOUT} l ON l.id = f.layout_id WHERE f.cluster_id = %s AND "
)
_WINDOW = (
    _MARKS
    + f"f.segment = 0 AND f.kind IN ({', '.join(repr(kind.value) for kind in _NEWEST_CYCLES)}) "
    + "AND f.cycle > %s AND f.cycle <= %s UNION ALL "
    + _MARKS
    + "f.id IN (%s, %s) ORDER BY 2"
)
MarkRow = tuple[str, int, float, int, int, str, bytes]
_ANY_CYCLE = 2**63 - 1


def insert_frames(rows: Iterable[FrameRow]) -> None:
    """cluster, kind, cycle, segment, layout row, key frame's cycle, unix seconds, body; one statement for all."""
    with connection.cursor() as cursor:
        cursor.executemany(_INSERT, list(rows))


def newest(cluster_id: int, cycle: int | None) -> tuple[float, int | None, tuple[int | None, int | None]] | None:
    """The configured interval, the newest cycle of the kinds of each cycle, rows of the newest start and size.

    Up to `cycle`, if given. None when there is no such cluster.
    """
    last = _ANY_CYCLE if cycle is None else cycle
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST, [last] * (len(EVERY_CYCLE) + len(_SLOW)) + [cluster_id])
        row = cursor.fetchone()
    if row is None:
        return None
    cycles = [found for found in row[1 : 1 + len(EVERY_CYCLE)] if found is not None]
    start, size = row[1 + len(EVERY_CYCLE) :]
    return float(row[0]), max(cycles, default=None), (start, size)


def marks(
    cluster_id: int, after: int, last: int, rows: tuple[int | None, int | None], head_bytes: int
) -> list[MarkRow]:
    """First segments of heads and the kinds of each cycle in `after` < cycle <= `last`, and two rows; oldest first."""
    parameters = [head_bytes, cluster_id, after, last, head_bytes, cluster_id, *(row or 0 for row in rows)]
    with connection.cursor() as cursor:
        cursor.execute(_WINDOW, parameters)
        return [(*row[:6], bytes(row[6])) for row in cursor.fetchall()]


def bodies(
    cluster_id: int, kind: Kind, segments: int, cycles: Sequence[int]
) -> list[tuple[int, int, int, bytes | memoryview]]:
    """(cycle, layout row, segment, body) of the segments 0 to `segments` - 1 of some cycles."""
    places = ", ".join(["%s"] * segments), ", ".join(["%s"] * len(cycles))
    statement = (
        f"SELECT cycle, layout_id, segment, body FROM {_FRAME} "
        f"WHERE cluster_id = %s AND kind = %s AND segment IN ({places[0]}) AND cycle IN ({places[1]})"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [cluster_id, kind.value, *range(segments), *cycles])
        return list(cursor.fetchall())
