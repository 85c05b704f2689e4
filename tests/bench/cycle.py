"""Bench: cycles of one sampler on a real three-node Kafka, asked, judged, stored; AdminClient that only asks beside."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # its stubs re-export nothing
from django.conf import settings
from django.db.models import Sum
from django.db.models.functions import Length

from collectors import sampler
from collectors.history import layouts
from collectors.history.kinds import Kind
from collectors.kafka.session import Session
from collectors.kafka.settings import ConnectionSettings
from collectors.kafka.survey import Survey
from collectors.models import Cluster, Cycle, Frame, Lease
from collectors.secrets import encrypt
from dashboard.alerts.judge import Judge

from .history_frames import own_database
from .large import QUIET
from .lines import Line, line
from .stages import STAGES, Stage

CYCLES = 60
ADMIN_CYCLES = 20
REST_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Cost:
    wall_ms: float
    slow_ms: float  # the 95th percentile
    cpu_ms: float


def timed(store: Callable[[], None], stored: list[tuple[float, float]]) -> Callable[[], None]:
    """Notes how long each storing takes, in wall and in CPU milliseconds of its thread."""

    def call() -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        store()
        stored.append(((time.perf_counter() - wall) * 1e3, (time.thread_time() - cpu) * 1e3))

    return call


def run(size: str) -> list[Line]:
    with own_database(), STAGES[size]() as stage:
        return _measure(stage)


def _measure(stage: Stage) -> list[Line]:
    bootstrap = stage.nodes.bootstrap
    connect = ConnectionSettings.from_properties({"bootstrap.servers": bootstrap})
    cluster = Cluster.objects.create(
        slug="bench", name="bench", settings_encrypted=encrypt(connect.to_stored(), settings.INSTANCE_KEY)
    )
    epoch = Lease.objects.acquire(f"cluster:{cluster.pk}", holder="bench", seconds=3600)
    assert epoch is not None
    session = Session(connect)
    survey = Survey(session)
    one = sampler.Sampler(cluster, session, survey, holder="bench", epoch=epoch, announce=lambda kind, data: None)
    stored: list[tuple[float, float]] = []
    one.waiting.store = timed(one.waiting.store, stored)  # type: ignore[method-assign]  # measured from outside
    judge = Judge()
    judged: list[tuple[float, float]] = []

    def step() -> None:
        one.cycle(due_at=time.time())

    def judge_it() -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        judge.turn()
        judged.append(((time.perf_counter() - wall) * 1e3, (time.thread_time() - cpu) * 1e3))

    survey.start()
    try:
        survey.wait_first(10)
        step()
        judge_it()
        stored.clear()
        judged.clear()
        before = session.bytes_in, session.bytes_out
        ours = _cost(step, CYCLES, between=judge_it)
        bytes_in, bytes_out = session.bytes_in - before[0], session.bytes_out - before[1]
    finally:
        survey.stop(2)
        session.close()
    admin = _admin(bootstrap)
    theirs = _cost(lambda: _ask_as_admin(admin, stage.groups), ADMIN_CYCLES)
    cycles = list(Cycle.objects.order_by("number")[1:])
    whole = sum(cycle.completeness == 1.0 for cycle in cycles)
    at = stage.title

    def of(pairs: list[tuple[float, float]], which: int) -> float:
        return statistics.median(pair[which] for pair in pairs)

    return [
        line(f"{at}: a cycle asked, decided and stored; AdminClient only asks: wall, median", ours.wall_ms, "ms",
             baseline=theirs.wall_ms),
        line(f"{at}: a cycle: wall, 95th percentile", ours.slow_ms, "ms", baseline=theirs.slow_ms),
        line(f"{at}: a cycle: CPU of this process", ours.cpu_ms, "ms", baseline=theirs.cpu_ms),
        line(f"{at}: of it storing (one transaction): wall", of(stored, 0), "ms"),
        line(f"{at}: of it storing: CPU", of(stored, 1), "ms"),
        line(f"{at}: judging a cycle by all rules: wall", of(judged, 0), "ms"),
        line(f"{at}: judging a cycle: CPU", of(judged, 1), "ms"),
        line(f"{at}: requests of a cycle, median", statistics.median(c.requests for c in cycles), "requests",
             baseline=1.0 * len(stage.groups) + 3),
        line(f"{at}: bytes received a cycle, the survey's share in it", bytes_in / CYCLES, "bytes"),
        line(f"{at}: bytes sent a cycle", bytes_out / CYCLES, "bytes"),
        line(f"{at}: cycles that knew every position", 100 * whole / len(cycles), "%", goal="100 %",
             met=whole == len(cycles)),
        _frame_bytes(at),
    ]  # fmt: skip


def _frame_bytes(at: str) -> Line:
    """Bytes of the bodies of all frames of end and committed offsets through the numbers in them."""
    frames = Frame._default_manager.filter(kind__in=[Kind.END.value, Kind.COMMITTED.value])
    size = frames.aggregate(size=Sum(Length("body")))["size"]
    used = frames.filter(segment=0).values_list("layout_id", flat=True)
    known = layouts.load(used)
    samples = sum(len(known[row].layout) for row in used)
    return line(f"{at}: end and committed offsets stored as frames", size / samples, "bytes a number")


def _admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap}, logger=QUIET)


def _ask_as_admin(admin: AdminClient, groups: Sequence[str]) -> None:
    """What a tool built on the usual client does for the same lag: one call a group, one for all log ends."""
    topics = admin.list_topics(timeout=10).topics
    commits = [
        future
        for name in groups
        for future in admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)]).values()
    ]
    ends = admin.list_offsets(
        {
            TopicPartition(name, p): OffsetSpec.latest()  # type: ignore[no-untyped-call]  # so in its stubs
            for name, topic in topics.items()
            for p in topic.partitions
        }
    )
    for future in (*commits, *ends.values()):
        future.result(30)


def _cost(work: Callable[[], object], times: int, *, between: Callable[[], object] = lambda: None) -> Cost:
    """What one turn costs; `between` runs after each and is not counted."""
    walls, cpu = [], 0.0
    for _ in range(times):
        time.sleep(REST_SECONDS)
        wall, busy = time.perf_counter(), time.process_time()
        work()
        walls.append((time.perf_counter() - wall) * 1e3)
        cpu += (time.process_time() - busy) * 1e3
        between()
    return Cost(statistics.median(walls), statistics.quantiles(walls, n=20)[-1], cpu / times)
