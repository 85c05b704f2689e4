"""A small company on a cluster, stored as the sampler would store it: for page tests and for looking at pages."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from django.conf import settings
from django.db import transaction

from collectors import secrets
from collectors.domain.numbers import NO_COMMIT, Column, Layout, Numbers
from collectors.domain.topology import Reach
from collectors.domain.verdicts import Verdict
from collectors.history.frames import FrameWriter
from collectors.history.kinds import Kind
from collectors.models import Broker, Cluster, Cycle, Event, Group, LogDir, Member, Ownership, Topic

INTERVAL = 5.0


@dataclass
class Company:
    """Topics with (partitions, records/s) and groups with what they read; `frozen` stand still from `freeze_at` on."""

    slug: str = "demo"
    name: str = "demo"
    cycles: int = 40
    topics: Mapping[str, tuple[int, float]] = field(
        default_factory=lambda: {
            "clicks": (6, 180.0),
            "orders": (4, 40.0),
            "payments": (4, 38.0),
            "orders-dlt": (1, 0.0),
        }
    )
    groups: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {
            "analytics": ("clicks",),
            "payment-service": ("orders",),
            "shipping": ("payments",),
        }
    )
    frozen: frozenset[str] = frozenset()
    freeze_cycles: int = 20
    empty_groups: frozenset[str] = frozenset()
    never_committed: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()  # judged so; their numbers are there all the same
    gap: tuple[int, int] | None = None  # cycles that were not sampled
    down: frozenset[int] = frozenset()
    with_sizes: bool = True


def moment(unix: float) -> datetime:
    return datetime.fromtimestamp(unix, UTC)


def make_cluster(slug: str = "demo", name: str = "demo") -> Cluster:
    stored = secrets.encrypt({"bootstrap.servers": "127.0.0.1:9092"}, settings.INSTANCE_KEY)
    return Cluster.objects.create(slug=slug, name=name, settings_encrypted=stored, interval_seconds=INTERVAL)


def make_company(company: Company, *, now: float | None = None) -> Cluster:
    """Store rows and frames; the newest cycle was taken about a second ago."""
    end_at = (now or time.time()) - 1.0
    cluster = make_cluster(company.slug, company.name)
    cluster.kafka_cluster_id = "MkU3OEVBNTcwNTJENDM2Qk"
    first_at = end_at - INTERVAL * (company.cycles - 1)
    _rows(cluster, company, moment(first_at - 60), moment(end_at))
    topics = Layout.of_topics({name: range(count) for name, (count, _) in company.topics.items()})
    reads = {
        group: [(topic, p) for topic in names for p in range(company.topics[topic][0])]
        for group, names in company.groups.items()
    }
    committed_layout = Layout.build(reads)
    verdicts = Layout.single(company.groups)
    brokers = Layout.single(["1", "2", "3"])
    random = np.random.default_rng(7)
    per_second = np.array(
        [company.topics[topic][1] / company.topics[topic][0] for topic in topics.topics], dtype=np.float64
    )
    ends = (1000 + random.integers(0, 400, len(topics))).astype(np.int64)
    starts = np.zeros(len(topics), dtype=np.int64)
    place = topics.position
    read = zip(committed_layout.topics, committed_layout.partitions.tolist(), strict=True)
    at_end = np.array([place[(t, t, p)] for t, p in read])
    owner = committed_layout.owner_of_position
    frozen = np.array([name in company.frozen for name in committed_layout.owners], dtype=np.bool_)[owner]
    never = np.array([name in company.never_committed for name in committed_layout.owners], dtype=np.bool_)[owner]
    committed = ends[at_end].copy()
    writer = FrameWriter(cluster.pk)
    cycles: list[Cycle] = []
    verdict_now = np.array([_verdict(company, name, company.cycles) for name in verdicts.owners])
    for i in range(company.cycles):
        taken = first_at + INTERVAL * i
        wave = 1 + 0.25 * np.sin(i / 17)
        ends = ends + random.poisson(per_second * INTERVAL * wave)
        stands = frozen & (i >= company.cycles - company.freeze_cycles)
        behind = random.integers(0, 40, len(at_end))
        committed = np.where(stands, committed, np.maximum(committed, ends[at_end] - behind))
        stored = np.where(never, NO_COMMIT, committed)
        if company.gap and company.gap[0] <= i < company.gap[1]:
            continue
        columns = {
            Kind.END: Column(topics, _known(ends)),
            Kind.COMMITTED: Column(committed_layout, _known(stored)),
            Kind.VERDICT: Column(verdicts, _known(verdict_now)),
            Kind.BROKER: Column(
                brokers,
                _known(np.array([int(Reach.DOWN if int(b) in company.down else Reach.UP) for b in brokers.owners])),
            ),
        }
        if i % 12 == 0:
            # those of groups are numbered as theirs
            columns[Kind.PARTITION_VERDICT] = Column(committed_layout, _known(verdict_now[owner]))
            columns[Kind.START] = Column(topics, _known(starts))
            if company.with_sizes:
                columns[Kind.SIZE] = Column(topics, _known(ends * 210))
                columns[Kind.DISK] = Column(brokers, _known(np.array([1, 2, 3]) * 31_000_000 + int(ends.sum()) * 210))
        columns[Kind.LEADERS] = Column(brokers, _known(np.array([5, 5, 4])))
        number = len(cycles) + 1
        with transaction.atomic():
            writer.write(number, taken, columns)
        cycles.append(
            Cycle(
                cluster=cluster,
                number=number,
                epoch=1,
                due_at=moment(taken),
                started_at=moment(taken - 0.02),
                taken_at=moment(taken),
                ended_at=moment(taken + 0.041),
                is_reachable=True,
                requests=9,
                completeness=1.0,
            )
        )
    Cycle.objects.bulk_create(cycles)
    cluster.last_cycle = len(cycles)
    cluster.save()
    return cluster


def _known(values: np.ndarray) -> Numbers:
    return Numbers(values.astype(np.int64), np.ones(len(values), dtype=np.bool_))


def _verdict(company: Company, name: str, cycle: int) -> int:
    if name in company.unknown:
        return int(Verdict.UNKNOWN)
    if name in company.frozen:
        return int(Verdict.NO_PROGRESS)
    if name in company.empty_groups:
        return int(Verdict.NO_MEMBERS)
    if name in company.never_committed:
        return int(Verdict.NOT_COMMITTING)
    return int(Verdict.OK)


def _rows(cluster: Cluster, company: Company, since: datetime, until: datetime) -> None:
    for node in (1, 2, 3):
        is_down = node in company.down
        broker = Broker.objects.create(
            cluster=cluster,
            node_id=node,
            host="127.0.0.1",
            port=9091 + node,
            rack=f"rack-{'abc'[node - 1]}",
            version="4.3",
            is_controller=node == 2,
            reach=int(Reach.DOWN if is_down else Reach.UP),
            reach_since=until - timedelta(minutes=3) if is_down else since,
            reach_reason="connection refused" if is_down else "",
            first_seen_at=since,
        )
        if not is_down:
            LogDir.objects.create(
                broker=broker,
                path="/var/lib/kafka",
                size_bytes=480_000_000 + node * 31_000_000,
                total_bytes=100 * 10**9,
                usable_bytes=61 * 10**9,
                taken_at=until,
            )
    isr = [node for node in (1, 2, 3) if node not in company.down]
    Topic.objects.bulk_create(
        Topic(
            cluster=cluster,
            name=name,
            topic_id="9sVmYt7KTn2dQ0",
            dead_letters_of="orders" if name.endswith("-dlt") else "",
            partition_count=count,
            replication_factor=3,
            under_replicated_count=count if company.down else 0,
            partitions=[[isr[p % len(isr)], 3, [1, 2, 3], isr, []] for p in range(count)],
            first_seen_at=since,
        )
        for name, (count, _) in company.topics.items()
    )
    groups = Group.objects.bulk_create(
        Group(
            cluster=cluster,
            name=name,
            type="consumer" if i % 5 == 1 else "classic",
            state="Empty" if name in company.empty_groups else "Stable",
            protocol_type="consumer",
            assignor="range",
            coordinator=isr[i % len(isr)],
            member_count=0 if name in company.empty_groups else 2,
            verdict=_verdict(company, name, 0),
            verdict_since=until - timedelta(seconds=INTERVAL * (company.freeze_cycles - 3)),
            first_seen_at=since,
        )
        for i, name in enumerate(company.groups)
    )
    members = []
    for group in groups:
        if group.name in company.empty_groups:
            continue
        for number in (0, 1):
            assignment = [
                [topic, list(range(number, company.topics[topic][0], 2))] for topic in company.groups[group.name]
            ]
            members.append(
                Member(
                    group=group,
                    member_id=f"{group.name}-{number}-5f0c",
                    client_id=f"{group.name[:20]}-{number}",
                    host=f"10.4.1.{17 + number}",
                    assignment=assignment,
                    joined_at=since,
                )
            )
    Member.objects.bulk_create(members)
    held: dict[int, list[list[object]]] = {}
    for member in members:
        held.setdefault(member.group_id, []).append(
            [member.member_id, member.client_id, member.host, member.assignment]
        )
    Ownership.objects.bulk_create(
        Ownership(group=group, since=since, members=held.get(group.pk, [])) for group in groups
    )
    Event.objects.create(
        cluster=cluster, at=since, kind=Event.Kind.COLLECTOR_TOOK_OVER, text="collector took over, epoch 1"
    )
    for name in company.frozen:
        Event.objects.create(
            cluster=cluster,
            at=until - timedelta(seconds=INTERVAL * (company.freeze_cycles - 3)),
            kind=Event.Kind.VERDICT_CHANGED,
            subject_kind="group",
            subject=name,
            text="ok to no progress",
        )
    for node in sorted(company.down):
        Event.objects.create(
            cluster=cluster,
            at=until - timedelta(minutes=3),
            kind=Event.Kind.BROKER_DOWN,
            subject_kind="broker",
            subject=str(node),
            text="is down: connection refused",
        )
