"""A cluster that says what a test wants: for what a real Kafka cannot be made to say, or not at this moment.

The sampler, the inventory, the frames and the pages behind it are the real ones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from django.conf import settings
from django.db import OperationalError, connection

from collectors import secrets
from collectors.domain.numbers import Column, Layout, Numbers
from collectors.domain.scope import ALL
from collectors.domain.topology import (
    BrokerNode,
    Group,
    GroupType,
    LogDir,
    Member,
    Metadata,
    Partition,
    Quorum,
    Reach,
    Topic,
)
from collectors.kafka.session import BrokerReach, CommitsAnswer, OffsetsAnswer, PartError, ShareLagAnswer
from collectors.kafka.survey import SurveyState
from collectors.models import Cluster, Lease
from collectors.sampler import Sampler
from collectors.waiting import lease_seconds

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"
HOLDER = "test"


def topic(name: str, partitions: int = 1, *, leader: int = 1, id_: str = "") -> Topic:
    parts = tuple(Partition(i, leader, 0, (1, 2, 3), (1, 2, 3) if leader >= 0 else ()) for i in range(partitions))
    return Topic(name, id_ or f"id of {name}"[:40], False, parts)


def group(name: str, state: str = "Stable", *, kind: GroupType = GroupType.CLASSIC) -> Group:
    return Group(name, kind, state, "consumer", 1)


def read_by_one(name: str, topic: str, partitions: int) -> Group:
    """A group with a member that reads all of a topic."""
    member = Member("m#1", "m", "h", None, ((topic, tuple(range(partitions))),))
    return Group(name, GroupType.CLASSIC, "Stable", "consumer", 1, members=(member,))


def _set() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


@dataclass
class Pretend:
    """What the cluster says: end offset by (topic, partition), commits and the lag of share groups by group; what is
    missing is not known. `meanwhile` records come to each partition while share groups are asked about, which is not
    answered before `share_answers` is set."""

    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    commits: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)
    epochs: dict[tuple[str, str, int], int] = field(default_factory=dict)  # of commits, -1 where none is given
    shares: dict[str, dict[tuple[str, int], int | None]] = field(default_factory=dict)
    share_errors: tuple[PartError, ...] = ()
    meanwhile: int = 0
    share_answers: threading.Event = field(default_factory=_set)
    topics: tuple[Topic, ...] = ()
    groups: tuple[Group, ...] = ()
    cluster_id: str = CLUSTER_ID
    log_dirs: tuple[LogDir, ...] | None = None
    quorum: Quorum | None = None
    is_away: bool = False
    errors: tuple[PartError, ...] = ()
    requests: int = 0
    pokes: list[str] = field(default_factory=list)  # parts that were to be asked anew
    newer_metadata: Callable[[Metadata, float], Metadata | None] = lambda known, timeout: None
    _metadata: Metadata | None = None
    _layout: Layout = field(default_factory=lambda: Layout.of_topics({}))

    # what the sampler asks of a session

    scope = ALL

    def remember(self, *_: object) -> None:
        pass

    def ask_commits(self, groups: Sequence[str], *, budget_seconds: float) -> CommitsAnswer:
        self.requests += 1
        members = {name: sorted(self.commits.get(name, {})) for name in groups}
        layout = Layout.build(members)
        known = [self.commits[owner][t, p] for owner, t, p in layout.position]
        epochs = Numbers.of([self.epochs.get((owner, t, p), -1) for owner, t, p in layout.position])
        return CommitsAnswer(Column(layout, Numbers.of(known)), epochs, frozenset(groups), time.time(), 1, ())

    def ask_end_offsets(self, layout: Layout, metadata: Metadata, *, budget_seconds: float) -> OffsetsAnswer:
        self.requests += 1
        found = [self.ends.get((t, p)) for t, p in zip(layout.topics, layout.partitions.tolist(), strict=True)]
        return OffsetsAnswer(Column(layout, Numbers.of(found)), time.time(), 1, ())

    def ask_share_ends(self, layout: Layout, metadata: Metadata, *, budget_seconds: float) -> OffsetsAnswer:
        return self.ask_end_offsets(layout, metadata, budget_seconds=budget_seconds)

    def ask_share_lag(self, coordinators: Mapping[str, int | None], *, budget_seconds: float) -> ShareLagAnswer:
        self.requests += 1
        told = {name: self.shares[name] for name in coordinators if name in self.shares}
        layout = Layout.build(told)
        found = [told[owner][t, p] for owner, t, p in layout.position]
        self.produce(self.meanwhile)
        self.share_answers.wait(30)
        return ShareLagAnswer(Column(layout, Numbers.of(found)), frozenset(told), time.time(), 1, self.share_errors)

    def ask_start_offsets(self, layout: Layout, metadata: Metadata, *, budget_seconds: float) -> OffsetsAnswer:
        """Every log begins at 0."""
        self.requests += 1
        return OffsetsAnswer(Column(layout, Numbers.of([0] * len(layout))), time.time(), 1, ())

    def ask_offsets_at(
        self, moment: int, layout: Layout, metadata: Metadata, *, budget_seconds: float
    ) -> OffsetsAnswer:
        """No record was written at or after any moment that is asked for."""
        self.requests += 1
        return OffsetsAnswer(Column(layout, Numbers.unknown(len(layout))), time.time(), 1, ())

    def reach(self) -> dict[int, BrokerReach]:
        state = Reach.SUSPECT if self.is_away else Reach.UP
        return {1: BrokerReach(state, "timeout" if self.is_away else "", time.time())}

    def close(self) -> None:
        pass

    # what it takes of a survey

    def remember_groups(self, *_: object) -> None:
        pass

    def poke(self, part: str) -> None:
        self.pokes.append(part)

    def wait_for_metadata(self, known: Metadata, timeout: float) -> Metadata | None:
        return self.newer_metadata(known, timeout)

    def want_heads(self, *_: object) -> None:
        pass

    def start(self) -> None:
        pass

    def stop(self, timeout: float = 0) -> None:
        pass

    def wait_first(self, timeout: float) -> bool:
        return not self.is_away

    def newest(self) -> SurveyState:
        if self.is_away:
            return SurveyState(errors=(PartError("connect", "timeout", None), *self.errors))
        topics = tuple(sorted(self.topics, key=lambda one: one.name))
        old = self._metadata
        if old is None or old.topics != topics or old.cluster_id != self.cluster_id:
            brokers = tuple(BrokerNode(n, "127.0.0.1", 9090 + n) for n in (1, 2, 3))
            self._metadata = old = Metadata(self.cluster_id, brokers, topics, time.time())
            self._layout = Layout.of_topics({one.name: [p.index for p in one.partitions] for one in topics})
        return SurveyState(
            metadata=old,
            layout=self._layout,
            groups=self.groups,
            log_dirs=self.log_dirs,
            log_dirs_answered=frozenset({1, 2, 3} if self.log_dirs is not None else ()),
            quorum=self.quorum,
            errors=self.errors,
            ages={"metadata": 0.0, "groups": 0.0},
        )

    def produce(self, count: int = 10) -> None:
        self.ends = {place: end + count for place, end in self.ends.items()}

    def without_leader(self, name: str) -> None:
        """The topic's partitions lose their leader, as Metadata says it."""
        self.topics = tuple(
            one
            if one.name != name
            else replace(one, partitions=tuple(replace(p, leader=-1, isr=()) for p in one.partitions))
            for one in self.topics
        )
        self.ends = {place: end for place, end in self.ends.items() if place[0] != name}


def shop(**changes: object) -> Pretend:
    """Two topics with a reader each."""
    made = Pretend(
        ends={("orders", 0): 100, ("orders", 1): 100, ("clicks", 0): 1000},
        commits={"billing": {("orders", 0): 90, ("orders", 1): 95}, "stats": {("clicks", 0): 1000}},
        topics=(topic("orders", 2), topic("clicks")),
        groups=(group("billing"), group("stats")),
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # fields by name


@contextmanager
def failing_writes(text: str) -> Iterator[None]:
    """Every write of this thread's connection fails as SQLite would say it; reads go on."""

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().split(None, 1)[0].upper() in ("INSERT", "UPDATE", "DELETE", "REPLACE"):
            raise OperationalError(text)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        yield


class Clock:
    """A clock that is set by the test: wall time and the time that only goes on."""

    def __init__(self, now: float | None = None) -> None:
        self.now = time.time() if now is None else now
        self.since = 1000.0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.since

    def go(self, seconds: float) -> None:
        self.now += seconds
        self.since += seconds

    def step(self, seconds: float) -> None:
        """Somebody sets the clock."""
        self.now += seconds


def make_cluster(slug: str = "shop", *, interval: float = 5.0) -> Cluster:
    stored = secrets.encrypt({"bootstrap_servers": ["127.0.0.1:1"]}, settings.INSTANCE_KEY)
    return Cluster.objects.create(slug=slug, name=slug, settings_encrypted=stored, interval_seconds=interval)


def sampler_of(cluster: Cluster, kafka: Pretend, clock: Clock | None = None, *, holder: str = HOLDER) -> Sampler:
    """The real sampler, with the lease, of a cluster that says what `kafka` says."""
    name, seconds = f"cluster:{cluster.pk}", lease_seconds(cluster.interval_seconds)
    epoch = Lease.objects.acquire(name, holder=holder, seconds=seconds)
    assert epoch is not None
    clock = clock or Clock()
    return Sampler(
        cluster,
        kafka,  # type: ignore[arg-type]  # it answers what the sampler asks
        kafka,  # type: ignore[arg-type]
        holder=holder,
        epoch=epoch,
        announce=lambda kind, data: None,
        clock=clock.wall,
        monotonic=clock.monotonic,
    )


def cycles(sampler: Sampler, clock: Clock, count: int, kafka: Pretend | None = None) -> None:
    """`count` cycles, an interval apart; with `kafka`, records come in between."""
    for _ in range(count):
        clock.go(sampler.interval)
        if kafka is not None:
            kafka.produce()
        sampler.cycle(due_at=clock.wall())


def values_of(column: Column | None) -> dict[tuple[str, str, int], int | None]:
    """{(owner, topic, partition): number or None}."""
    if column is None:
        return {}
    found: Iterable[tuple[bool, int]] = zip(
        column.numbers.known.tolist(), np.asarray(column.numbers.values).tolist(), strict=True
    )
    return {
        place: value if known else None for place, (known, value) in zip(column.layout.position, found, strict=True)
    }
