"""What /metrics reads from ordinary rows: which clusters and cycles there are, and names with their slow facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q

from collectors.domain.topology import GroupType
from collectors.models import Cluster, Cycle, Group, LogDir, Topic

STALE_AFTER_INTERVALS = 3

# How often the survey asks (collectors.kafka.survey.EVERY_SECONDS; not imported, since a web process needs no Kafka
# client, but compared by a test). A slow fact is left out when three times that, or three cycles where these are
# longer, brought no newer one.
SURVEY_SECONDS = {"metadata": 30.0, "groups": 12.0, "start_offsets": 60.0, "log_dirs": 60.0}


@dataclass(frozen=True, slots=True)
class CycleRow:
    """The newest stored cycle of a cluster; `taken_at` in unix seconds."""

    number: int
    taken_at: float
    duration_seconds: float
    is_reachable: bool
    ages: dict[str, float]  # part of the survey -> seconds since its newest answer, as of `taken_at`

    def is_fresh(self, now: float, interval: float) -> bool:
        return now - self.taken_at <= STALE_AFTER_INTERVALS * interval

    def has_recent(self, part: str, interval: float) -> bool:
        """Whether a part of the survey still says what is: a cluster that is out of reach says nothing of today."""
        return self.is_reachable and self.ages.get(part, 0.0) <= _patience(part, interval)


@dataclass(frozen=True, slots=True)
class ClusterRow:
    id: int
    slug: str
    interval: float
    is_paused: bool
    cycle: CycleRow | None  # None before the first

    def is_fresh(self, now: float) -> bool:
        return not self.is_paused and self.cycle is not None and self.cycle.is_fresh(now, self.interval)


@dataclass(frozen=True, slots=True)
class TopicRow:
    name: str
    partitions: int
    under_replicated: int
    offline: int
    dead_letters_of: str


@dataclass(frozen=True, slots=True)
class LogDirRow:
    broker: int
    path: str
    size_bytes: int
    free_bytes: int | None


@dataclass(frozen=True, slots=True)
class SlowFacts:
    """Names and what changes seldom; a part that is too old to be believed is empty."""

    topics: tuple[TopicRow, ...] = ()
    members: tuple[tuple[str, int], ...] = ()  # (group, members), described groups only
    lost: tuple[tuple[str, int], ...] = ()  # (group, records deleted before it read them)
    lost_by_partition: tuple[tuple[str, Mapping[str, Mapping[str, int]]], ...] = ()  # (group, as Group holds it)
    log_dirs: tuple[LogDirRow, ...] = ()
    has_starts: bool = False  # whether the stored log starts are recent
    has_sizes: bool = False  # likewise the sizes
    share_groups: frozenset[str] = frozenset()  # they commit no offset


def clusters() -> list[ClusterRow]:
    """All clusters by slug, each with its newest cycle; two queries."""
    newest = {
        cluster_id: CycleRow(
            number=number,
            taken_at=taken_at.timestamp(),
            duration_seconds=(ended_at - started_at).total_seconds(),
            is_reachable=is_reachable,
            ages=_numbers_only(ages),
        )
        for cluster_id, number, taken_at, started_at, ended_at, is_reachable, ages in Cycle.objects.filter(
            number=F("cluster__last_cycle")
        )
        .order_by()
        .values_list("cluster_id", "number", "taken_at", "started_at", "ended_at", "is_reachable", "ages")
    }
    return [
        ClusterRow(cluster_id, slug, interval, is_paused, newest.get(cluster_id))
        for cluster_id, slug, interval, is_paused in Cluster.objects.order_by("slug").values_list(
            "id", "slug", "interval_seconds", "is_paused"
        )
    ]


def slow_facts(cluster: ClusterRow) -> SlowFacts:
    """The rows of a cluster whose survey is recent at its newest cycle; at most three queries."""
    cycle = cluster.cycle
    if cycle is None:
        return SlowFacts()
    topics: tuple[TopicRow, ...] = ()
    log_dirs: tuple[LogDirRow, ...] = ()
    if cycle.has_recent("metadata", cluster.interval):
        topics = tuple(
            TopicRow(*row)
            for row in Topic.objects.filter(cluster_id=cluster.id, gone_at=None)
            .order_by("name")
            .values_list("name", "partition_count", "under_replicated_count", "offline_count", "dead_letters_of")
        )
    # a share group that is gone is none of the others yet: its last positions are still in the newest frame
    groups = list(
        Group.objects.filter(Q(gone_at=None) | Q(type=GroupType.SHARE), cluster_id=cluster.id)
        .order_by("name")
        .values_list("name", "type", "member_count", "lost_records", "gone_at", "lost_by_partition")
    )
    members: tuple[tuple[str, int], ...] = ()
    lost: tuple[tuple[str, int], ...] = ()
    where: tuple[tuple[str, Mapping[str, Mapping[str, int]]], ...] = ()
    if cycle.has_recent("groups", cluster.interval):
        present = [group for group in groups if group[4] is None]
        members = tuple((name, count) for name, _, count, *_ in present if count is not None)
        lost = tuple((name, records) for name, _, _, records, *_ in present)
        where = tuple((name, by_partition) for name, *_, by_partition in present if by_partition)
    if cycle.has_recent("log_dirs", cluster.interval):
        limit = _patience("log_dirs", cluster.interval)
        log_dirs = tuple(
            LogDirRow(broker, path, size, free)
            for broker, path, size, free, taken_at in LogDir.objects.filter(
                broker__cluster_id=cluster.id, broker__gone_at=None, error=""
            )
            .order_by("broker__node_id", "path")
            .values_list("broker__node_id", "path", "size_bytes", "usable_bytes", "taken_at")
            if cycle.taken_at - taken_at.timestamp() <= limit  # one broker may have stopped answering
        )
    return SlowFacts(
        topics,
        members,
        lost,
        where,
        log_dirs,
        has_starts=cycle.has_recent("start_offsets", cluster.interval),
        has_sizes=cycle.has_recent("log_dirs", cluster.interval),
        share_groups=frozenset(name for name, kind, *_ in groups if kind == GroupType.SHARE),
    )


def _patience(part: str, interval: float) -> float:
    """Seconds after which an answer of the survey is no longer believed."""
    return STALE_AFTER_INTERVALS * max(SURVEY_SECONDS[part], interval)


def _numbers_only(ages: Any) -> dict[str, float]:
    return {part: float(age) for part, age in dict(ages or {}).items() if isinstance(age, int | float)}
