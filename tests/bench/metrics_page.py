"""Bench: what a scrape of /metrics costs at 30 000 lag rows, against prometheus_client's own way in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from collectors import secrets
from collectors.domain.numbers import Column, Layout, Numbers
from collectors.domain.partitions import PartitionVerdict
from collectors.domain.verdicts import Verdict
from collectors.history.frames import FrameWriter
from collectors.history.kinds import Kind
from collectors.history.queries import cluster_at
from collectors.models import Cluster, Cycle, Group, Topic
from dashboard.metrics.page import MetricsPage, own_registry

from .history_frames import own_database
from .lines import Line, at_most, line

INTERVAL = 5.0
TOPICS, PER_TOPIC, GROUPS = 1_000, 10, 1_000
LAG_ROWS = 30_000
CYCLES = 12
GOAL_MS = 20.0


class Baseline(Collector):
    """The same lag rows, from the same arrays, as a custom collector of prometheus_client."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def collect(self) -> Iterable[Metric]:
        now = cluster_at(self.cluster.pk)
        assert now is not None
        family = GaugeMetricFamily(
            "streamgauge_group_lag_messages", "Lag.", labels=["cluster", "group", "topic", "partition"]
        )
        layout, values = now.committed.layout, now.lag.values.tolist()
        owners = layout.owner_of_position.tolist()
        for owner, topic, partition, value in zip(
            owners, layout.topics, layout.partitions.tolist(), values, strict=True
        ):
            family.add_metric([self.cluster.slug, layout.owners[owner], topic, str(partition)], value)
        yield family


class Stage:
    """A cluster of 10 000 partitions and 1 000 groups with 30 positions each, whose cycles are written on demand."""

    def __init__(self) -> None:
        stored = secrets.encrypt({"bootstrap.servers": "127.0.0.1:9092"}, settings.INSTANCE_KEY)
        self.cluster = Cluster.objects.create(slug="bench", name="bench", settings_encrypted=stored)
        at = datetime.now(UTC)
        topics = [f"topic-{i:04}" for i in range(TOPICS)]
        groups = [f"group-{i:04}" for i in range(GROUPS)]
        Topic.objects.bulk_create(
            Topic(cluster=self.cluster, name=name, partition_count=PER_TOPIC, replication_factor=3, first_seen_at=at)
            for name in topics
        )
        Group.objects.bulk_create(
            Group(cluster=self.cluster, name=name, type="classic", state="Stable", member_count=3, first_seen_at=at)
            for name in groups
        )
        self.random = np.random.default_rng(7)
        self.ends_layout = Layout.of_topics({name: range(PER_TOPIC) for name in topics})
        per_group = LAG_ROWS // GROUPS // PER_TOPIC
        self.commits_layout = Layout.build(
            {
                name: [(topics[(i * per_group + k) % TOPICS], p) for k in range(per_group) for p in range(PER_TOPIC)]
                for i, name in enumerate(groups)
            }
        )
        self.verdict_layout = Layout.single(groups)
        place = self.ends_layout.position
        self.at_end = np.array(
            [
                place[(topic, topic, partition)]
                for topic, partition in zip(
                    self.commits_layout.topics, self.commits_layout.partitions.tolist(), strict=True
                )
            ]
        )
        self.ends = self.random.integers(10**6, 10**9, len(self.ends_layout))
        self.writer = FrameWriter(self.cluster.pk)
        self.number = 0
        begin = time.time() - INTERVAL * CYCLES
        for i in range(CYCLES):
            self.add_cycle(begin + INTERVAL * i)

    def add_cycle(self, taken_at: float) -> None:
        self.ends = self.ends + self.random.poisson(40.0, len(self.ends))
        lag = self.random.integers(0, 500, LAG_ROWS)
        columns = {
            Kind.END: _column(self.ends_layout, self.ends),
            Kind.START: _column(self.ends_layout, np.zeros(len(self.ends), dtype=np.int64)),
            Kind.COMMITTED: _column(self.commits_layout, self.ends[self.at_end] - lag),
            Kind.VERDICT: _column(self.verdict_layout, np.full(GROUPS, int(Verdict.OK))),
            Kind.PARTITION_VERDICT: _column(self.commits_layout, np.full(LAG_ROWS, int(PartitionVerdict.OK))),
        }
        self.number += 1
        at = datetime.fromtimestamp(taken_at, UTC)
        with transaction.atomic():
            self.writer.write(self.number, taken_at, columns)
            Cycle.objects.create(
                cluster=self.cluster, number=self.number, epoch=1, due_at=at, started_at=at, taken_at=at, ended_at=at,
                is_reachable=True,
            )  # fmt: skip
            Cluster.objects.filter(pk=self.cluster.pk).update(last_cycle=self.number)


def _column(layout: Layout, values: Any) -> Column:
    return Column(layout, Numbers(values.astype(np.int64), np.ones(len(values), dtype=np.bool_)))


def _timed(work: Callable[[], object]) -> float:
    """Milliseconds of wall time."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def _median(work: Callable[[], object], times: int = 9) -> float:
    return statistics.median(_timed(work) for _ in range(times))


def run() -> list[Line]:
    with own_database():
        return _measure()


def _measure() -> list[Line]:
    stage = Stage()
    page = MetricsPage(own_registry())

    def scrape() -> bytes:
        return page.build(time.time(), openmetrics=False).plain()

    def scrape_gzip() -> bytes:
        return page.build(time.time(), openmetrics=False).gzipped()

    body = scrape()
    lag_rows = body.count(b"\nstreamgauge_group_lag_messages{")
    if lag_rows != LAG_ROWS:
        raise RuntimeError(f"the page has {lag_rows} lag rows, not {LAG_ROWS}")
    registry = CollectorRegistry()
    registry.register(Baseline(stage.cluster))
    scrape_gzip()
    baseline = _median(lambda: generate_latest(registry), 5)
    same, zipped = _median(scrape), _median(scrape_gzip)
    new, decode = [], []
    for _ in range(5):
        stage.add_cycle(time.time() - 0.5)
        decode.append(_timed(lambda: cluster_at(stage.cluster.pk, stage.number)))
        new.append(_timed(scrape))
    samples = sum(1 for row in body.splitlines() if row and not row.startswith(b"#"))
    size = f"{samples} samples, {len(body) / 1e6:.1f} MB"

    return [
        at_most(
            f"/metrics, {LAG_ROWS} lag rows, part rendered ({size}; baseline: prometheus_client, only the lag rows)",
            same,
            "ms",
            GOAL_MS,
            baseline=baseline,
        ),
        at_most("the same, gzip", zipped, "ms", GOAL_MS, baseline=baseline),
        line("the first scrape of a new cycle, its part rendered in it", statistics.median(new), "ms"),
        line("reading a new cycle from the frames (shared with pages, judge and hub)", statistics.median(decode), "ms"),
    ]
