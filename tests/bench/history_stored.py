"""One part of the history bench in a process of its own, on the database of the environment: prints JSON.

`python -m tests.bench.history_stored day|large|compact|month|demo`. A process of its own, so that its peak memory is
that of the part, and so that the same part runs on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .proc import peak_resident_bytes, resident_bytes

DAY = 86_400.0
INTERVAL = 15.0
EXTRA_SECONDS = 4.5 * 3600  # two hours that are begun, and what is hot, after the day
SAVED_TOPICS = 10


class Traffic:
    """Log ends: lognormal rates, three in ten idle, a day and a night, Poisson arrivals; one seed for all parts."""

    def __init__(self, partitions: int, per_topic: int, interval: float) -> None:
        from collectors.domain.numbers import Layout

        self.random = np.random.default_rng(7)
        self.interval = interval
        self.names = [f"topic-{i:05}" for i in range(partitions // per_topic)]
        self.layout = Layout.of_topics({name: range(per_topic) for name in self.names})
        rates = self.random.lognormal(3.0, 1.5, partitions)
        self.expected = np.where(self.random.random(partitions) < 0.3, 0.0, rates * interval)
        self.ends = self.random.integers(0, 10**9, partitions)
        self.everywhere = np.ones(partitions, dtype=np.bool_)

    def cycle(self, at: float) -> NDArray[np.int64]:
        diurnal = 1 + 0.6 * np.sin(2 * np.pi * at / DAY)
        self.ends = self.ends + self.random.poisson(self.expected * diurnal)
        return self.ends

    def column(self, values: NDArray[np.int64]) -> Any:
        from collectors.domain.numbers import Column, Numbers

        return Column(self.layout, Numbers(values, self.everywhere))


class Holds:
    """How long the database's writer was held, transaction by transaction, in seconds."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        from django.db import connection
        from django.db.transaction import Atomic

        enter, leave = Atomic.__enter__, Atomic.__exit__
        began: list[float] = []
        holds = self.seconds

        def entered(atomic: Atomic) -> None:
            enter(atomic)
            began.append(time.perf_counter())

        def left(atomic: Atomic, *error: Any) -> None:
            leave(atomic, *error)
            since = began.pop()
            if not began:
                holds.append(time.perf_counter() - since)

        def alone(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
            since = time.perf_counter()
            result = execute(sql, params, many, context)
            if not began and not sql.lstrip().upper().startswith(("SELECT", "PRAGMA")):
                holds.append(time.perf_counter() - since)
            return result

        Atomic.__enter__, Atomic.__exit__ = entered, left  # type: ignore[method-assign]  # put back below
        try:
            with connection.execute_wrapper(alone):
                yield
        finally:
            Atomic.__enter__, Atomic.__exit__ = enter, leave  # type: ignore[method-assign]  # as it was


def cluster(slug: str, interval: float) -> Any:
    from collectors.models import Cluster

    return Cluster.objects.create(
        slug=slug, name=slug, settings_encrypted=b"", interval_seconds=interval, is_paused=True, last_cycle=1
    )


def table_bytes(*models: Any) -> int:
    """Bytes of some tables with their indexes."""
    from django.db import connection

    names = [model._meta.db_table for model in models]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "WITH named AS (SELECT to_regclass(n)::oid AS oid FROM unnest(%s::text[]) n) "
                "SELECT sum(pg_total_relation_size(oid)) FROM "
                "(SELECT oid FROM named UNION SELECT inhrelid FROM pg_inherits WHERE inhparent IN (TABLE named)) parts",
                [names],
            )
            return int(cursor.fetchone()[0])
        places = ",".join(["%s"] * len(names))
        cursor.execute(f"SELECT name FROM sqlite_master WHERE tbl_name IN ({places})", names)
        parts = [row[0] for row in cursor.fetchall()]
        cursor.execute(f"SELECT sum(pgsize) FROM dbstat WHERE name IN ({','.join(['%s'] * len(parts))})", parts)
        return int(cursor.fetchone()[0] or 0)


def row_bytes(pk: int, family: str, resolution: int) -> float:
    """What a full row of rollups takes, on average."""
    from django.db.models import Avg
    from django.db.models.functions import Length

    from collectors.history.forecast import ROW_BYTES
    from collectors.models import Rollup

    rows = Rollup.objects.filter(cluster=pk, family=family, resolution=resolution)
    starts = sorted(set(rows.values_list("start", flat=True)))
    whole = rows.filter(start__in=starts[1:-1] or starts)  # the first and the last are begun
    return float(whole.aggregate(size=Avg(Length("body")))["size"]) + ROW_BYTES


def milliseconds(turn: Callable[[], object], times: int = 9) -> float:
    turn()
    taken = []
    for _ in range(times):
        since = time.perf_counter()
        turn()
        taken.append((time.perf_counter() - since) * 1000)
    return statistics.median(taken)


def day() -> dict[str, Any]:
    """10 000 counters for a day at 15 s, and what belongs to it."""
    from django.db import connection, transaction

    from collectors.history import compaction, folding, queries, rolling
    from collectors.history.frames import FrameWriter
    from collectors.history.kinds import Kind
    from collectors.history.slices import always
    from collectors.models import Block, Frame, Span

    from .history_frames import SampleRow

    with connection.schema_editor() as editor:
        editor.create_model(SampleRow)
    traffic, one = Traffic(10_000, 100, INTERVAL), cluster("day", INTERVAL)
    writer = FrameWriter(one.pk)
    cycles = int((DAY + EXTRA_SECONDS) / INTERVAL)
    until = time.time() - 60
    begin = until - cycles * INTERVAL
    saved = np.zeros((cycles, SAVED_TOPICS * 100), dtype=np.int64)
    cpu = wall = 0.0
    empty = table_bytes(Frame)
    for i in range(cycles):
        values = traffic.cycle(i * INTERVAL)
        saved[i] = values[: saved.shape[1]]
        column = traffic.column(values)
        used, since = time.process_time(), time.perf_counter()
        with transaction.atomic():
            writer.write(i + 1, begin + INTERVAL * (i + 1), {Kind.END: column})
        cpu += time.process_time() - used
        wall += time.perf_counter() - since
    samples = 10_000 * cycles
    out: dict[str, Any] = {
        "ingest_per_cpu": samples / cpu,
        "ingest_per_wall": samples / wall,
        "frame_bytes": (table_bytes(Frame) - empty) / samples,
        "begin": begin,
        "until": until,
    }
    rows_cpu, rows = 0.0, 6
    for i in range(rows):
        numbers = saved[i].repeat(10).tolist()
        used = time.process_time()
        with transaction.atomic():
            SampleRow._default_manager.bulk_create(
                [SampleRow(series=series, taken_at=begin + i, value=value) for series, value in enumerate(numbers)]
            )
        rows_cpu += time.process_time() - used
    out["rows_per_cpu"] = 10_000 * rows / rows_cpu
    out["two_hours_ms"] = milliseconds(lambda: queries.topic_history(one.pk, "topic-00004", until - 7200, until))
    used = time.process_time()
    minutes = rolling.roll(one.pk)
    folding.fold(one.pk, go_on=always)
    out["rolling_cpu_a_minute_ms"] = (time.process_time() - used) * 1000 / minutes
    holds = Holds()
    used = time.process_time()
    with holds.watched():
        done = compaction.compact(one.pk)
    out |= {
        "compaction_cpu": time.process_time() - used,
        "compacted": done.samples,
        "longest_hold_ms": max(holds.seconds) * 1000,
        "holds": len(holds.seconds),
    }
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("CHECKPOINT")
    out["block_bytes"] = table_bytes(Block, Span) / done.samples
    end = begin + DAY
    out["chart_ms"] = milliseconds(lambda: queries.topic_history(one.pk, "topic-00004", begin, end))
    out["samples_ms"] = milliseconds(lambda: queries.topic_history(one.pk, "topic-00004", begin, end, 2000))
    out["sum_ms"] = milliseconds(lambda: queries.cluster_history(one.pk, begin, end))
    out["top_ms"] = milliseconds(lambda: _top_anew(one.pk, begin, end), 5)
    out["sum_of_samples_ms"] = milliseconds(lambda: _sum_of_samples(one.pk, traffic.names, begin, end), 1)
    if connection.vendor == "sqlite":
        np.save(Path(os.environ["STREAMGAUGE_DATA_DIR"]) / "saved.npy", saved[: int(DAY / INTERVAL)])
    return out


def _top_anew(pk: int, since: float, until: float) -> None:
    from collectors.history import queries
    from collectors.history.cache import clear_caches

    clear_caches()
    assert len(queries.top(pk, queries.Quantity.RATE, since, until, 5)) == 5


def _sum_of_samples(pk: int, topics: list[str], since: float, until: float) -> float:
    """Every sample of all 10 000 counters read and added up."""
    from collectors.history import queries
    from collectors.history.kinds import Kind

    total = 0.0
    for topic in topics:
        total += float(queries.series(pk, Kind.END, topic, since, until).values.sum(axis=1)[-1])
    return total


def large() -> dict[str, Any]:
    """Frames of 100 000 positions for two hours and what is hot after them."""
    from django.db import transaction

    from collectors.history.frames import FrameWriter
    from collectors.history.kinds import Kind

    traffic, one = Traffic(100_000, 100, INTERVAL), cluster("large", INTERVAL)
    writer = FrameWriter(one.pk)
    begin = time.time() // 7200 * 7200 - 4 * 7200
    cycles = int((7200 + 1900) / INTERVAL)
    for i in range(cycles):
        with transaction.atomic():
            writer.write(i + 1, begin + INTERVAL * i, {Kind.END: traffic.column(traffic.cycle(i * INTERVAL))})
    return {}


def compact() -> dict[str, Any]:
    """What `large` wrote, compacted: CPU, the longest hold of the writer, and memory before and at its peak."""
    from collectors.history import compaction
    from collectors.models import Cluster

    pk = Cluster.objects.get(slug="large").pk
    before = resident_bytes(os.getpid())
    holds, used = Holds(), time.process_time()
    with holds.watched():
        done = compaction.compact(pk)
    return {
        "cpu": time.process_time() - used,
        "before": before,
        "peak": peak_resident_bytes(os.getpid()),  # ru_maxrss would begin with that of the parent
        "samples": done.samples,
        "bytes": done.bytes / max(1, done.samples),
        "longest_hold_ms": max(holds.seconds) * 1000,
    }


def month() -> dict[str, Any]:
    """30 days of a group and its topic at 30 min, rolled up by the program: what a chart of them takes."""
    from django.db import transaction

    from collectors.domain.numbers import Column, Layout, Numbers
    from collectors.history import compaction, queries
    from collectors.history.frames import FrameWriter
    from collectors.history.kinds import Kind

    interval = 1800.0
    traffic, one = Traffic(100, 10, interval), cluster("month", interval)
    writer = FrameWriter(one.pk)
    members = list(zip(traffic.layout.topics, traffic.layout.partitions.tolist(), strict=True))
    groups = Layout.build({f"group-{i}": members[i * 10 : i * 10 + 10] for i in range(10)})
    cycles = int(30 * DAY / interval)
    until = time.time() - 60
    for at in range(0, cycles, 500):
        with transaction.atomic():
            for i in range(at, min(at + 500, cycles)):
                ends = traffic.cycle(i * interval)
                committed = Column(groups, Numbers(np.maximum(ends - i % 50, 0), traffic.everywhere))
                columns = {Kind.END: traffic.column(ends), Kind.COMMITTED: committed}
                writer.write(i + 1, until - (cycles - 1 - i) * interval, columns)
    compaction.run(before_cycles={})
    since = until - 30 * DAY
    return {
        "group_ms": milliseconds(lambda: queries.group_history(one.pk, "group-4", since, until)),
        "sum_ms": milliseconds(lambda: queries.cluster_history(one.pk, since, until)),
        "points": len(queries.group_history(one.pk, "group-4", since, until).times),
    }


def demo() -> dict[str, Any]:
    """A day at the demo's size: 60 partitions in 20 topics, 12 groups, 3 brokers, every 5 s."""
    from django.db import connection, transaction

    from collectors.domain.numbers import Column, Layout, Numbers
    from collectors.history import compaction, rolling
    from collectors.history.frames import FrameWriter
    from collectors.history.kinds import Kind

    interval = 5.0
    traffic, one = Traffic(60, 3, interval), cluster("demo", interval)
    writer = FrameWriter(one.pk)
    members = list(zip(traffic.layout.topics, traffic.layout.partitions.tolist(), strict=True))
    groups = Layout.build({f"group-{i}": members[i * 5 : i * 5 + 5] for i in range(12)})
    brokers, verdicts = Layout.single(["1", "2", "3"]), Layout.single(groups.owners)
    cycles, until = int(DAY / interval), time.time() - 60

    def ones(layout: Layout, value: int = 0) -> Column:
        return Column(layout, Numbers(np.full(len(layout), value), np.ones(len(layout), dtype=np.bool_)))

    for at in range(0, cycles, 500):
        with transaction.atomic():
            for i in range(at, min(at + 500, cycles)):
                ends = traffic.cycle(i * interval)
                columns = {
                    Kind.END: traffic.column(ends),
                    Kind.COMMITTED: Column(groups, Numbers(np.maximum(ends - i % 40, 0), traffic.everywhere)),
                    Kind.VERDICT: ones(verdicts),
                    Kind.BROKER: ones(brokers, 2),
                }
                if i % 12 == 0:
                    columns |= {Kind.START: traffic.column(ends * 0), Kind.SIZE: traffic.column(ends * 100)}
                    columns |= {Kind.DISK: ones(brokers, i * 1000), Kind.LEADERS: ones(brokers, 20)}
                writer.write(i + 1, until - (cycles - 1 - i) * interval, columns)
    frames, used = _used(connection), time.process_time()
    minutes = rolling.roll(one.pk)
    rolling_cpu = (time.process_time() - used) / minutes
    compaction.run(before_cycles={})
    out: dict[str, Any] = {"frames": frames, "rolling_cpu_a_minute_ms": rolling_cpu * 1000}
    out["compacted"] = _used(connection)
    for family in ("topic", "group"):
        # a row of hours is a month long, and of this one there is a day
        sizes = [row_bytes(one.pk, family, 60), row_bytes(one.pk, family, 600), row_bytes(one.pk, family, 3600) * 30]
        out[family] = sizes
    return out


def _used(connection: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA page_count")
        (pages,) = cursor.fetchone()
        cursor.execute("PRAGMA freelist_count")
        (free,) = cursor.fetchone()
        cursor.execute("PRAGMA page_size")
        return int((pages - free) * cursor.fetchone()[0])


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    import django

    django.setup()
    from django.core.management import call_command

    part = sys.argv[1]
    if part != "compact":
        call_command("migrate", interactive=False, verbosity=0)
    print(json.dumps({"day": day, "large": large, "compact": compact, "month": month, "demo": demo}[part]()))


if __name__ == "__main__":
    main()
