"""Bench: what storing samples as frames costs, against a row per sample in the same database file."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from django.core.management import call_command
from django.db import connection, models, transaction
from numpy.typing import NDArray

from collectors.domain.numbers import Column, Layout, Numbers
from collectors.history import queries
from collectors.history.frames import FrameWriter
from collectors.history.kinds import Kind
from collectors.models import Cluster

from .lines import Line, line

INTERVAL = 5.0
DAY_CYCLES = 17_280


class SampleRow(models.Model):
    """The baseline: what a table of samples is when each is a row."""

    series = models.IntegerField()
    taken_at = models.FloatField()
    value = models.BigIntegerField()

    class Meta:
        app_label = "bench"
        indexes = [models.Index(fields=["series", "taken_at"], name="bench_series_taken_at")]


@contextmanager
def own_database() -> Iterator[None]:
    """An empty SQLite file with the settings of the program, in place of the default database."""
    if connection.vendor != "sqlite":
        raise RuntimeError("this bench measures SQLite: run it without DATABASE_URL")
    with tempfile.TemporaryDirectory() as folder:
        before = connection.settings_dict["NAME"]
        connection.close()
        connection.settings_dict["NAME"] = str(Path(folder) / "bench.sqlite3")
        try:
            call_command("migrate", interactive=False, verbosity=0)
            with connection.schema_editor() as editor:
                editor.create_model(SampleRow)
            yield
        finally:
            connection.close()
            connection.settings_dict["NAME"] = before


class Traffic:
    """Log ends of many partitions (lognormal rates, three in ten idle, Poisson arrivals) and groups that follow."""

    def __init__(self, partitions: int, per_topic: int, groups: int) -> None:
        self.random = np.random.default_rng(7)
        topics = partitions // per_topic
        self.ends_layout = Layout.of_topics({f"topic-{i:05}": range(per_topic) for i in range(topics)})
        per_group = max(1, partitions // groups) if groups else 0
        members = list(zip(self.ends_layout.topics, self.ends_layout.partitions.tolist(), strict=True))
        self.commits_layout = Layout.build(
            {f"group-{i:05}": members[i * per_group : (i + 1) * per_group] for i in range(groups)}
        )
        rates = self.random.lognormal(3.0, 1.5, partitions)
        self.expected = np.where(self.random.random(partitions) < 0.3, 0.0, rates * INTERVAL)
        self.ends = self.random.integers(0, 10**9, partitions)

    def cycle(self) -> dict[Kind, Column]:
        self.ends = self.ends + self.random.poisson(self.expected)
        columns = {Kind.END: column(self.ends_layout, self.ends)}
        if len(self.commits_layout):
            columns[Kind.COMMITTED] = column(self.commits_layout, self.ends[: len(self.commits_layout)] - 40)
        return columns


def column(layout: Layout, values: NDArray[np.int64]) -> Column:
    return Column(layout, Numbers(values, np.ones(len(values), dtype=np.bool_)))


def new_cluster(slug: str) -> Cluster:
    return Cluster.objects.create(slug=slug, name=slug, settings_encrypted=b"", interval_seconds=INTERVAL)


def pages() -> int:
    """Bytes of the database that are in use."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA page_count")
        (used,) = cursor.fetchone()
        cursor.execute("PRAGMA freelist_count")
        (free,) = cursor.fetchone()
        cursor.execute("PRAGMA page_size")
        (size,) = cursor.fetchone()
    return int((used - free) * size)


def ingest() -> list[Line]:
    """10 000 counters, a transaction per cycle: samples per second of CPU, and bytes in the file per sample."""
    traffic = Traffic(10_000, 100, 0)
    writer = FrameWriter(new_cluster("ingest").pk)
    cycles = [traffic.cycle() for _ in range(240)]
    size, cpu = pages(), time.process_time()
    for i, columns in enumerate(cycles):
        with transaction.atomic():
            writer.write(i + 1, 1.7e9 + INTERVAL * i, columns)
    cpu = time.process_time() - cpu
    samples = 10_000 * len(cycles)
    frames_rate, frames_bytes = samples / cpu, (pages() - size) / samples

    size, cpu, row_cycles = pages(), 0.0, 6
    for i, columns in enumerate(cycles[:row_cycles]):
        values = columns[Kind.END].numbers.values.tolist()
        begin = time.process_time()
        with transaction.atomic():
            taken_at = 1.7e9 + INTERVAL * i
            SampleRow._default_manager.bulk_create(
                [SampleRow(series=series, taken_at=taken_at, value=value) for series, value in enumerate(values)]
            )
        cpu += time.process_time() - begin
    rows_rate, rows_bytes = 10_000 * row_cycles / cpu, (pages() - size) / (10_000 * row_cycles)
    return [
        line(
            "ingest, against Django bulk_create of rows",
            frames_rate,
            "samples per CPU second",
            baseline=rows_rate,
            goal="ratio >= 400",
            met=frames_rate >= 400 * rows_rate,
        ),
        line(
            "stored size, against rows with their index",
            frames_bytes,
            "bytes per sample",
            baseline=rows_bytes,
            goal="ratio <= 1/40",
            met=frames_bytes * 40 <= rows_bytes,
        ),
    ]


def timed(turn: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU milliseconds of one turn."""
    wall, cpu = time.perf_counter(), time.process_time()
    turn()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000


def medians(taken: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(wall for wall, _ in taken), statistics.median(cpu for _, cpu in taken)


def now(partitions: int, per_topic: int, groups: int, goal_ms: float) -> Line:
    """`cluster_at` of cycles that just came, the layouts being known."""
    traffic = Traffic(partitions, per_topic, groups)
    cluster = new_cluster(f"now-{partitions}")
    writer = FrameWriter(cluster.pk)
    taken = []
    for cycle in range(1, 26):
        with transaction.atomic():
            writer.write(cycle, 1.7e9 + INTERVAL * cycle, traffic.cycle())
        if cycle > 10:
            taken.append(timed(lambda: queries.cluster_at(cluster.pk)))
    kept, _ = medians([timed(lambda: queries.cluster_at(cluster.pk)) for _ in range(20)])
    value, cpu = medians(taken)
    size = f"{partitions:,} + {len(traffic.commits_layout):,} positions".replace(",", " ")
    return line(
        f"cluster_at of a new cycle, {size}",
        value,
        f"ms ({cpu:.1f} ms CPU; kept answer: {kept:.2f} ms)",
        baseline=None,
        goal=f"<= {goal_ms:g} ms",
        met=value <= goal_ms,
    )


def day() -> list[Line]:
    """A topic of 100 partitions and its group over 24 h at 5 s, reduced to 600 points."""
    traffic = Traffic(1000, 100, 10)
    cluster = new_cluster("day")
    writer = FrameWriter(cluster.pk)
    begin = 1.7e9
    for at in range(0, DAY_CYCLES, 500):
        with transaction.atomic():
            for cycle in range(at + 1, min(at + 500, DAY_CYCLES) + 1):
                writer.write(cycle, begin + INTERVAL * cycle, traffic.cycle())
    until = begin + INTERVAL * DAY_CYCLES
    topics = [f"topic-{i:05}" for i in range(10)]
    reads: list[tuple[str, Callable[[], object]]] = [
        ("topic_history", lambda: queries.topic_history(cluster.pk, "topic-00004", begin, until)),
        ("group_history", lambda: queries.group_history(cluster.pk, "group-00004", begin, until)),
        ("sparklines of 10 topics", lambda: queries.sparklines(cluster.pk, "topic_rate", topics, begin, until)),
    ]
    out = []
    for name, read in reads:
        value, cpu = medians([timed(read) for _ in range(3)])
        out.append(
            line(
                f"{name}, 24 h at 5 s",
                value,
                f"ms ({cpu:.0f} ms CPU)",
                baseline=None,
                goal="<= 1500 ms",
                met=value <= 1500,
            )
        )
    return out


def run() -> list[Line]:
    with own_database():
        return [*ingest(), now(60, 6, 10, 5), now(10_000, 100, 500, 50), now(100_000, 100, 5_000, 300), *day()]
