"""Bench: one cycle at the demo's size on a real three-node Kafka, against AdminClient asking for the same numbers."""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # its stubs re-export nothing
from django.apps import apps
from django.conf import settings
from django.db import connection

from collectors import sampler
from collectors.demo.company import GROUPS
from collectors.demo.nodes import KafkaCluster
from collectors.demo.topics import create_topics
from collectors.kafka.session import Session
from collectors.kafka.settings import ConnectionSettings
from collectors.kafka.survey import Survey
from collectors.management.commands.demo import traffic
from collectors.models import Cluster, Cycle, Lease
from collectors.secrets import encrypt

from .history_frames import Line, own_database

CYCLES = 60
REST_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Cost:
    wall_ms: float
    slow_ms: float  # the 95th percentile
    cpu_ms: float


def run() -> list[Line]:
    with own_database(), tempfile.TemporaryDirectory() as folder:
        with connection.schema_editor() as editor:
            existing = set(connection.introspection.table_names())
            for app in ("collectors", "dashboard"):
                for model in apps.get_app_config(app).get_models():
                    if model._meta.db_table not in existing:
                        editor.create_model(model)
        with KafkaCluster(Path(folder), cache_dir=settings.CACHE_DIR) as nodes:
            nodes.start()
            nodes.wait_ready()
            create_topics(nodes.bootstrap)
            with traffic(nodes.bootstrap, Path(folder), marker=nodes.marker):
                return _measure(nodes.bootstrap)


def _measure(bootstrap: str) -> list[Line]:
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=logging.getLogger("bench.admin"))
    _wait_for_groups(admin)
    connect = ConnectionSettings.from_properties({"bootstrap.servers": bootstrap})
    cluster = Cluster.objects.create(
        slug="bench", name="bench", settings_encrypted=encrypt(connect.to_stored(), settings.INSTANCE_KEY)
    )
    epoch = Lease.objects.acquire(f"cluster:{cluster.pk}", holder="bench", seconds=3600)
    assert epoch is not None
    session = Session(connect)
    survey = Survey(session)
    one = sampler.Sampler(cluster, session, survey, holder="bench", epoch=epoch, announce=lambda kind, data: None)
    survey.start()
    try:
        survey.wait_first(10)
        one.cycle(due_at=time.time())
        ours = _cost(lambda: one.cycle(due_at=time.time()))
        theirs = _cost(lambda: _ask_as_admin(admin))
    finally:
        survey.stop(2)
        session.close()
    cycles = list(Cycle.objects.order_by("number")[1:])
    whole = sum(cycle.completeness == 1.0 for cycle in cycles)
    return [
        _line(
            "a cycle, asked, judged and stored, against AdminClient that only asks: wall, median",
            ours.wall_ms,
            "ms",
            theirs.wall_ms,
        ),
        _line("a cycle: wall, 95th percentile", ours.slow_ms, "ms", theirs.slow_ms),
        _line("a cycle: CPU of this process", ours.cpu_ms, "ms", theirs.cpu_ms),
        _line("requests of a cycle, median", statistics.median(cycle.requests for cycle in cycles), "requests", None),
        _line("cycles that knew every position", 100 * whole / len(cycles), "%", None),
    ]


def _wait_for_groups(admin: AdminClient) -> None:
    deadline = time.monotonic() + 90
    wanted = {plan.name for plan in GROUPS}
    while not wanted <= {group.group_id for group in admin.list_consumer_groups().result(10).valid}:
        if time.monotonic() > deadline:
            raise RuntimeError("the demo's groups did not come within 90 s")
        time.sleep(0.5)


def _ask_as_admin(admin: AdminClient) -> None:
    """What a tool built on the usual client does for the same lag: one call a group, one for all log ends."""
    topics = admin.list_topics(timeout=10).topics
    commits = [
        future
        for plan in GROUPS
        for future in admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(plan.name)]).values()
    ]
    ends = admin.list_offsets(
        {
            TopicPartition(name, p): OffsetSpec.latest()  # type: ignore[no-untyped-call]  # so in its stubs
            for name, topic in topics.items()
            for p in topic.partitions
        }
    )
    for future in (*commits, *ends.values()):
        future.result(10)


def _cost(work: Callable[[], object]) -> Cost:
    walls, cpu = [], 0.0
    for _ in range(CYCLES):
        time.sleep(REST_SECONDS)
        wall, busy = time.perf_counter(), time.process_time()
        work()
        walls.append((time.perf_counter() - wall) * 1e3)
        cpu += (time.process_time() - busy) * 1e3
    return Cost(statistics.median(walls), statistics.quantiles(walls, n=20)[-1], cpu / CYCLES)


def _line(name: str, value: float, unit: str, baseline: float | None) -> Line:
    return {
        "line": name,
        "value": round(value, 1),
        "unit": unit,
        "baseline": None if baseline is None else round(baseline, 1),
        "ratio": None if baseline is None else round(value / baseline, 2),
        "goal": None,
        "met": None,
    }
