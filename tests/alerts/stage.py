"""A cluster whose cycles a test writes one by one, as the sampler would, with clocks that the test moves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db.models import F

from collectors import secrets
from collectors.domain.topology import Reach
from collectors.domain.verdicts import Verdict
from collectors.history.cache import clear_caches
from collectors.history.kinds import Kind
from collectors.models import Broker, Cluster, Cycle, Group, Lease, Topic
from dashboard.alerts.judge import Judge
from dashboard.models import Alert, Channel, Delivery, Transition
from tests.history.recording import BEGIN, Recorder, column, singles, topics

_stages = itertools.count(1)  # each begins at a time of its own


class Stage:
    def __init__(self, slug: str = "prod", *, interval: float = 5.0) -> None:
        clear_caches()  # of history: they outlive a test's rows, and the next has the same numbers
        self.recorder = Recorder(slug, interval)
        self.recorder.now = BEGIN + next(_stages) * 1_000_000
        self.monotonic = 1000.0
        self.metadata_age: float | None = 5.0
        self.ends: dict[str, list[int | None]] = {"orders": [100, 100]}
        self.starts: dict[str, list[int | None]] = {}  # written with a cycle when there are any
        self.commits: dict[str, list[int | None]] = {"payments": [90, 90]}
        self.heads: dict[str, list[int | None]] = {}  # as commits; what was read of the first records that wait
        self.verdicts: dict[str, int | None] = {"payments": Verdict.OK}
        self.brokers: dict[str, int | None] = {"1": Reach.UP, "2": Reach.UP, "3": Reach.UP}
        Cluster.objects.filter(pk=self.id).update(created_at=self.moment)
        self.set_rows()

    @property
    def id(self) -> int:
        return self.recorder.id

    @property
    def wall(self) -> float:
        return self.recorder.now

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.wall, UTC)

    def set_rows(self) -> None:
        cluster = self.recorder.cluster
        for node in self.brokers:
            Broker.objects.get_or_create(
                cluster=cluster, node_id=int(node), defaults={"host": "h", "port": 1, "first_seen_at": self.moment}
            )
        for name in self.verdicts:
            Group.objects.get_or_create(
                cluster=cluster,
                name=name,
                defaults={"type": "classic", "state": "Stable", "first_seen_at": self.moment},
            )

    def dead_letters(self, topic: str, source: str) -> None:
        Topic.objects.create(
            cluster=self.recorder.cluster,
            name=topic,
            dead_letters_of=source,
            partition_count=1,
            replication_factor=1,
            first_seen_at=self.moment,
        )

    def replicas(self, topic: str, *partitions: tuple[list[int], list[int]]) -> None:
        """What the newest metadata says of a topic: (replicas, in-sync replicas) of each partition."""
        Topic.objects.update_or_create(
            cluster=self.recorder.cluster,
            name=topic,
            defaults={
                "partition_count": len(partitions),
                "replication_factor": len(partitions[0][0]),
                "under_replicated_count": sum(len(isr) < len(own) for own, isr in partitions),
                "partitions": [[own[0], 0, own, isr, []] for own, isr in partitions],
                "first_seen_at": self.moment,
            },
        )

    def pass_time(self, seconds: float) -> None:
        self.recorder.now += seconds
        self.monotonic += seconds

    def cycle(self, *, reachable: bool = True, errors: Sequence[dict[str, Any]] = ()) -> int:
        """One interval passes and a cycle is stored."""
        recorder = self.recorder
        self.monotonic += recorder.cluster.interval_seconds
        if reachable:
            committed = column({g: {("orders", p): v for p, v in enumerate(own)} for g, own in self.commits.items()})
            columns = {
                Kind.END: topics(self.ends),
                Kind.COMMITTED: committed,
                Kind.VERDICT: singles(self.verdicts),
                Kind.BROKER: singles(self.brokers),
            }
            if self.starts:
                columns[Kind.START] = topics(self.starts)
            if self.heads:
                columns[Kind.HEAD] = column(
                    {g: {("orders", p): v for p, v in enumerate(own)} for g, own in self.heads.items()}
                )
            number = recorder.write(columns)
        else:
            recorder.cycle += 1
            recorder.now += recorder.cluster.interval_seconds
            number = recorder.cycle
        at = self.moment
        Cycle.objects.create(
            cluster=recorder.cluster,
            number=number,
            epoch=1,
            due_at=at,
            started_at=at,
            taken_at=at,
            ended_at=at,
            is_reachable=reachable,
            ages={"metadata": self.metadata_age},
            errors=list(errors),
        )
        Cluster.objects.filter(pk=recorder.id).update(last_cycle=F("last_cycle") + 1)
        return number

    def cycles(self, count: int, **how: Any) -> None:
        for _ in range(count):
            self.cycle(**how)

    def judge(self, **how: Any) -> Judge:
        return Judge(clock=lambda: self.wall, monotonic=lambda: self.monotonic, **how)


def settle(judge: Judge) -> None:
    """Turns until nothing is left to judge."""
    while judge.turn():
        pass


def killed() -> None:
    """A judge died with kill -9, and its lease has lapsed."""
    Lease.objects.filter(name="judge").update(holder="")


def webhook_channel(name: str = "ops", url: str = "https://hooks.example.org/x", secret: str = "") -> Channel:
    blob = secrets.encrypt({"url": url, "secret": secret}, settings.INSTANCE_KEY)
    return Channel.objects.create(kind="webhook", name=name, settings_encrypted=blob, target=url)


def story(rule: str) -> list[tuple[str, str]]:
    """(old state, new state) of each transition of a rule, in order."""
    rows = Transition.objects.filter(alert__rule__key=rule).order_by("id")
    return list(rows.values_list("old_state", "new_state"))


def told() -> list[tuple[str, str, str]]:
    """(channel, rule, event) of each queued message, in order."""
    return list(Delivery.objects.order_by("id").values_list("channel__name", "alert__rule__key", "event"))


def only_alert(rule: str) -> Alert:
    return Alert.objects.get(rule__key=rule)
