"""What groups do on each partition is stored when it changes, and page and /metrics show what is stored."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from django.db import OperationalError
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from collectors.domain.partitions import PartitionVerdict
from collectors.domain.topology import GroupType
from collectors.history import queries
from collectors.history.kinds import PARTITION_VERDICT_CYCLES, Kind
from collectors.models import Cluster, Frame
from collectors.sampler import Sampler
from dashboard.live.details import group_detail
from dashboard.metrics.page import MetricsPage
from tests.faults.pretend import (
    Clock,
    Pretend,
    failing_writes,
    group,
    make_cluster,
    read_by_one,
    sampler_of,
    shop,
    values_of,
)

pytestmark = pytest.mark.django_db
FAMILY = "streamgauge_group_partition_verdict"
Words = dict[tuple[str, str, int], str]
SEEN = {
    ("alone", "clicks", 0): "ok",
    ("billing", "orders", 0): "ok",
    ("billing", "orders", 1): "no_progress",
    ("share", "clicks", 0): "ok",
    ("left", "clicks", 0): "no_members",
    ("stats", "clicks", 0): "no_progress",
}


def flow(sampler: Sampler, clock: Clock, kafka: Pretend, count: int) -> None:
    """Cycles in which 50 records come to each partition; "billing" reads one of two, "stats" none, "alone" all."""
    for _ in range(count):
        clock.go(sampler.interval)
        kafka.produce(50)
        kafka.commits["billing"]["orders", 0] += 50
        kafka.commits["alone"]["clicks", 0] += 50
        sampler.cycle(due_at=clock.wall())


def on_pages(cluster: Cluster) -> Words:
    now = queries.cluster_at(cluster.pk)
    assert now is not None
    found: Words = {}
    for name in now.groups.names:
        row = group_detail(cluster, now, name)
        assert row is not None
        found |= {(name, part["topic"], part["partition"]): part["verdict"] for part in row["partitions"]}
    return found


def on_metrics(clock: Clock) -> Words:
    text = MetricsPage(CollectorRegistry()).build(clock.wall(), openmetrics=False).plain().decode()
    samples = [s for one in text_string_to_metric_families(text) if one.name == FAMILY for s in one.samples]
    assert {s.value for s in samples} <= {1}
    found = {(s.labels["group"], s.labels["topic"], int(s.labels["partition"])): s.labels["verdict"] for s in samples}
    assert len(found) == len(samples), "one state holds"
    return found


def in_frames(cluster: Cluster) -> Words:
    newest = queries.column_at(cluster.pk, Kind.PARTITION_VERDICT)
    assert newest is not None
    return {key: PartitionVerdict.of(value).word for key, value in values_of(newest[0]).items()}


def times_stored(cluster: Cluster) -> int:
    return Frame.objects.filter(cluster=cluster, kind=Kind.PARTITION_VERDICT, segment=0).count()


@pytest.fixture
def watched(db: None) -> tuple[Cluster, Clock, Pretend, Sampler]:
    cluster, clock = make_cluster(), Clock(time.time() - 5 * 200)
    simple = replace(group("alone", "Empty"), protocol_type="")
    kafka = shop(
        groups=(
            read_by_one("billing", "orders", 2),
            read_by_one("stats", "clicks", 1),
            replace(read_by_one("share", "clicks", 1), type=GroupType.SHARE),
            group("left", "Empty"),
            simple,
        ),
        shares={"share": {("clicks", 0): 0}},
    )
    kafka.commits |= {"alone": {("clicks", 0): 1000}, "left": {("clicks", 0): 1000}}
    sampler = sampler_of(cluster, kafka, clock)
    flow(sampler, clock, kafka, 30)
    cluster.refresh_from_db()
    return cluster, clock, kafka, sampler


def test_the_page_and_metrics_say_of_each_partition_what_was_stored(
    watched: tuple[Cluster, Clock, Pretend, Sampler],
) -> None:
    cluster, clock, _, _ = watched
    assert in_frames(cluster) == SEEN
    newest = queries.cluster_at(cluster.pk)
    assert newest is not None
    assert {(n, t, p): PartitionVerdict.of(newest.partition_verdicts.at(i)).word
            for (n, t, p), i in newest.committed.layout.position.items()} == SEEN  # fmt: skip
    assert on_metrics(clock) == SEEN
    assert on_pages(cluster) == SEEN


def test_it_is_stored_when_it_changes_and_else_each_twelve_cycles(
    watched: tuple[Cluster, Clock, Pretend, Sampler],
) -> None:
    cluster, clock, kafka, sampler = watched
    before = times_stored(cluster)
    flow(sampler, clock, kafka, 4 * PARTITION_VERDICT_CYCLES)
    assert times_stored(cluster) == before + 4
    kafka.commits["stats"]["clicks", 0] = kafka.ends["clicks", 0]
    flow(sampler, clock, kafka, 1)
    assert times_stored(cluster) == before + 5
    assert on_metrics(clock) == in_frames(cluster) == SEEN | {("stats", "clicks", 0): "ok"}


def test_what_is_not_answered_is_unknown_and_never_missing(watched: tuple[Cluster, Clock, Pretend, Sampler]) -> None:
    _, clock, kafka, sampler = watched
    del kafka.ends["clicks", 0]
    clock.go(sampler.interval)
    sampler.cycle(due_at=clock.wall())
    on_clicks = {place: "unknown" for place in SEEN if place[1] == "clicks"}
    assert on_metrics(clock) == SEEN | on_clicks | {("left", "clicks", 0): "no_members"}


def test_while_the_cluster_does_not_answer_all_are_unknown(watched: tuple[Cluster, Clock, Pretend, Sampler]) -> None:
    _, clock, kafka, sampler = watched
    kafka.is_away = True
    for _ in range(5):
        clock.go(sampler.interval)
        sampler.cycle(due_at=clock.wall())
    assert on_metrics(clock) == dict.fromkeys(SEEN, "unknown")
    kafka.is_away = False
    flow(sampler, clock, kafka, 1)
    assert set(on_metrics(clock)) == set(SEEN)


def test_after_a_restart_it_is_stored_with_the_first_cycle(watched: tuple[Cluster, Clock, Pretend, Sampler]) -> None:
    cluster, clock, kafka, sampler = watched
    before = times_stored(cluster)
    again = Sampler(
        cluster, sampler.session, sampler.survey, holder=sampler.waiting.holder, epoch=sampler.epoch,
        announce=lambda kind, data: None, clock=clock.wall, monotonic=clock.monotonic,
    )  # fmt: skip
    again.remember()
    again._rebuild_window()
    flow(again, clock, kafka, 1)
    assert times_stored(cluster) == before + 1
    assert on_metrics(clock) == in_frames(cluster) == SEEN


def test_cycles_that_wait_for_the_database_each_have_it(watched: tuple[Cluster, Clock, Pretend, Sampler]) -> None:
    cluster, clock, kafka, sampler = watched
    before = times_stored(cluster)
    with failing_writes("disk I/O error"):
        for _ in range(3):
            with pytest.raises(OperationalError):
                flow(sampler, clock, kafka, 1)
    flow(sampler, clock, kafka, 1)
    assert times_stored(cluster) >= before + 3, "whichever of them is dropped, the next says what it was"
    assert on_metrics(clock) == SEEN
