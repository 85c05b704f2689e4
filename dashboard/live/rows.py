"""Rows as pages and sockets show them: plain JSON values by subject, None for unknown, a handful of queries a batch."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
from django.db.models import Q

from collectors.domain import words
from collectors.domain.explanations import Finding
from collectors.domain.numbers import Numbers
from collectors.domain.topology import GroupType, Reach
from collectors.domain.verdicts import Verdict
from collectors.history import queries
from collectors.history.now import ClusterNow
from collectors.models import Broker, Cluster, Cycle, Group, LogDir, Member, Topic
from collectors.models.moments import aware
from dashboard.live import findings, leaders, times
from dashboard.live.epochs import told_epochs
from dashboard.live.presence import is_too_old, not_since, without_cycles
from dashboard.live.sentences import group_type, waiting_sentence, why_share_unknown, why_unknown
from dashboard.models import Alert

Row = dict[str, Any]

NAMES_IN_SQL = 500
FRESH_DISK_SECONDS = 180.0
"""Log directories are asked for every minute."""
OPEN_ALERTS = (Alert.State.FIRING, Alert.State.RECOVERING)


def unix(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def newest_cycles(clusters: Iterable[Cluster]) -> dict[int, Cycle]:
    """The newest cycle record by cluster id, in one query."""
    wanted = Q()
    for cluster in clusters:
        wanted |= Q(cluster_id=cluster.pk, number=cluster.last_cycle)
    return {cycle.cluster_id: cycle for cycle in Cycle.objects.filter(wanted)} if wanted else {}


# Groups


def group_rows(cluster: Cluster, now: ClusterNow | None, names: Collection[str] | None = None) -> dict[str, Row]:
    """Rows of the named groups (None: of all) that the cluster has; unknown names are left out."""
    found = _by_name(Group.objects.filter(cluster=cluster, gone_at=None), names)
    cycle = newest_cycles([cluster]).get(cluster.pk)
    moment, is_old = time.time(), is_too_old(now)
    verdicts = {group.name: verdict_of(now, group.name) for group in found}
    said = _sentences(cluster, now, found, verdicts, moment, cycle.errors if cycle else [])
    rows: dict[str, Row] = {}
    for group in found:
        at = now.groups.index.get(group.name) if now else None
        lag = now.groups.lag.at(at) if now and at is not None else None
        finding = said.get(group.name)
        rows[group.name] = {
            "lag": lag,
            "lag_state": str(now.groups.lag_state[at]) if now and at is not None else "unknown",
            "consumed": _number(now.groups.consumed_per_second, at) if now else None,
            "arriving": _number(now.groups.arriving_per_second, at) if now else None,
            "verdict": verdicts[group.name].word,
            "verdict_since": finding.since if finding else unix(group.verdict_since),
            "sentence": finding.sentence if finding else waiting_sentence(cluster, None, moment),
            "evidence": list(finding.evidence) if finding else [],
            "cause": finding.cause if finding else "",
            "step": finding.step if finding else "",
            "members": None if is_old else group.member_count,
            "state": "unknown" if is_old else group.state,
            "type": group.type,
            "type_said": group_type(group.type, group.protocol_type),
            "assignor": group.assignor,
            "coordinator": group.coordinator,
            "described_error": group.described_error,
            "spark": lag,
            **times.of_group(now, group.name, times.why_not_read(group, aware(moment))),
        }
    return rows


def group_row(cluster: Cluster, now: ClusterNow | None, name: str) -> Row | None:
    return group_rows(cluster, now, [name]).get(name)


def verdict_of(now: ClusterNow | None, name: str) -> Verdict:
    """As of the newest numbers; what was told of a group before they stopped does not hold any more."""
    at = now.groups.index.get(name) if now and name else None
    value = now.groups.verdict.at(at) if now and at is not None else None
    return Verdict.UNKNOWN if value is None else Verdict(int(value))


def _sentences(
    cluster: Cluster,
    now: ClusterNow | None,
    groups: Sequence[Group],
    verdicts: Mapping[str, Verdict],
    moment: float,
    errors: Sequence[Mapping[str, Any]],
) -> dict[str, Finding]:
    if now is None or not groups:
        return {}
    hot = readers_of_hot(now)
    why, why_shared, epochs = why_unknown(errors), why_share_unknown(errors), told_epochs(now)
    named = [group.pk for group in groups if verdicts[group.name] in NAMES_MEMBERS or group.name in hot]
    readers: dict[int, list[Member]] = {}
    for member in Member.objects.filter(group_id__in=named) if named else ():
        readers.setdefault(member.group_id, []).append(member)
    since = {group.name: unix(group.verdict_since) for group in groups if group.verdict == verdicts[group.name]}
    fallen = {n: at for n, at in since.items() if at is not None and verdicts[n] is Verdict.FALLING_BEHIND}
    befores = queries.arriving_befores(cluster.pk, fallen)
    subjects = [
        findings.Subject(
            group.name,
            group.type,
            group.member_count,
            verdicts[group.name],
            since.get(group.name),
            owners_of(readers.get(group.pk, ())),
            _lost(now, group.name),
            why_shared if group.type == GroupType.SHARE else why,
            _markers(now, group.name),
            epochs.get(group.name, {}),
            befores.get(group.name),
            queries.standing_partitions(now, group.name)
            if verdicts[group.name] is Verdict.NO_PROGRESS
            else frozenset(),
        )
        for group in groups
    ]
    found = findings.findings(cluster, subjects, cycle=now.cycle, taken_at=now.taken_at, now=moment, is_old=now.is_old)
    if not now.is_old:
        return found
    said = {one.name: words.unknown_since(now.taken_at, now=moment, because=one.reason) for one in subjects}
    return {name: replace(found[name], sentence=sentence) for name, sentence in said.items()}


NAMES_MEMBERS = {Verdict.NO_PROGRESS, Verdict.UNOWNED, Verdict.FALLING_BEHIND}
"""Verdicts whose sentence or cause names members."""


def readers_of_hot(now: ClusterNow) -> set[str]:
    """Groups that read a topic with a hot partition: their sentences name the member that has it."""
    groups = now.groups
    is_hot = (groups.gt_topic >= 0) & (now.topics.hot_partition[groups.gt_topic] >= 0) if len(now.topics.names) else ()
    return {groups.names[i] for i in groups.gt_group[is_hot].tolist()} if len(is_hot) else set()


def _lost(now: ClusterNow, name: str) -> int | None:
    at = now.groups.index.get(name)
    lost = None if at is None else now.groups.lost.at(at)
    return None if lost is None else int(lost)


def _markers(now: ClusterNow, name: str) -> int:
    at = now.groups.index.get(name)
    return 0 if at is None or now.is_old else int(queries.backlogs_at(now).marked[at])


def owners_of(members: Iterable[Member]) -> dict[tuple[str, int], str]:
    return {
        (topic, partition): str(member)
        for member in members
        for topic, partitions in member.assignment
        for partition in partitions
    }


def readers_of(members: Iterable[Member]) -> dict[tuple[str, int], str]:
    """The same for a share group, where several members may read one partition: two are named, more are counted."""
    found: dict[tuple[str, int], list[str]] = {}
    for member in members:
        for topic, partitions in member.assignment:
            for partition in partitions:
                found.setdefault((topic, partition), []).append(str(member))
    return {
        key: ", ".join(sorted(names)[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
        for key, names in found.items()
    }


# Topics


def topic_rows(cluster: Cluster, now: ClusterNow | None, names: Collection[str] | None = None) -> dict[str, Row]:
    """Rows of the named topics (None: of all) that the cluster has; unknown names are left out."""
    found = _by_name(Topic.objects.filter(cluster=cluster, gone_at=None).defer("partitions"), names)
    worst = worst_reader_lag(now) if now else None
    is_old = is_too_old(now)
    rows: dict[str, Row] = {}
    for topic in found:
        at = now.topics.index.get(topic.name) if now else None
        rate = _number(now.topics.messages_per_second, at) if now else None
        rows[topic.name] = {
            "rate": rate,
            "size": _number(now.topics.size_bytes, at) if now else None,
            "partitions": topic.partition_count,
            "replication_factor": topic.replication_factor,
            "under_replicated": topic.under_replicated_count if not is_old else None,
            "offline": topic.offline_count if not is_old else None,
            "lag": None if worst is None or at is None else worst.at(at),
            "dead_letters_of": topic.dead_letters_of,
            "hot": None if now is None or at is None or topic.is_internal else _hot(now, at),
            "spark": rate,
        }
    return rows


def _hot(now: ClusterNow, at: int) -> Row | None:
    """The hottest partition of a topic: its number, share (of 1) and times its even share; None when none is hot."""
    times = now.topics.times_even.at(at)
    if now.topics.hot_partition[at] < 0 or times is None:
        return None
    return {"partition": int(now.topics.hot_partition[at]), "share": float(now.topics.hot_share[at]), "times": times}


def topic_row(cluster: Cluster, now: ClusterNow | None, name: str) -> Row | None:
    return topic_rows(cluster, now, [name]).get(name)


def worst_reader_lag(now: ClusterNow) -> Numbers:
    """(topics,) the highest known lag of any group on each topic; unknown where no group's lag is known."""
    groups, count = now.groups, len(now.topics.names)
    values, known = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.bool_)
    where = groups.gt_lag.known & (groups.gt_topic >= 0)
    np.maximum.at(values, groups.gt_topic[where], groups.gt_lag.values[where].astype(np.int64))
    known[groups.gt_topic[where]] = True
    return Numbers(values, known)


# Brokers


def broker_rows(cluster: Cluster, now: ClusterNow | None, names: Collection[str] | None = None) -> dict[str, Row]:
    """Rows of the brokers by node id as text (None: of all)."""
    held = leaders.places(cluster)
    moment = time.time()
    is_old, is_untried = is_too_old(now), without_cycles(cluster, now, moment)
    dirs: dict[int, list[LogDir]] = {}
    for directory in LogDir.objects.filter(broker__cluster=cluster):
        dirs.setdefault(directory.broker_id, []).append(directory)
    rows: dict[str, Row] = {}
    for broker in Broker.objects.filter(cluster=cluster, gone_at=None):
        if names is not None and str(broker.node_id) not in names:
            continue
        own = dirs.get(broker.pk, [])
        place = held.get(broker.node_id, leaders.Place())
        size = None if any(directory.error for directory in own) else _total(one.size_bytes for one in own)
        rows[str(broker.node_id)] = {
            "reach": "unknown" if is_untried else Reach(broker.reach).name.lower(),
            "reason": not_since(now, moment) if is_untried else broker.reach_reason,
            "since": None if is_untried else unix(broker.reach_since),
            "leaders": None if is_old else place.leads,
            "replicas": None if is_old else place.replicas,
            "short": None if is_old else place.short,
            "is_controller": broker.is_controller,
            "size": None if is_old else size,
            "free": None if is_old else _total(directory.usable_bytes for directory in own),
            "points": None if is_old else _broker_point(now, own, size, place.leads),
        }
    return rows


def _broker_point(now: ClusterNow | None, own: Sequence[LogDir], size: int | None, leads: int) -> Row | None:
    """The newest point of a broker's charts; a size that was read long ago is not the size now."""
    if now is None:
        return None
    is_fresh = bool(own) and now.taken_at - min(one.taken_at.timestamp() for one in own) < FRESH_DISK_SECONDS
    return {"t": now.taken_at, "disk": size if is_fresh else None, "leaders": leads}


def broker_row(cluster: Cluster, now: ClusterNow | None, name: str) -> Row | None:
    return broker_rows(cluster, now, [name]).get(name)


# Alerts


def alerts_row() -> Row:
    """Counts for the bell."""
    counts = {"firing": 0, "critical": 0, "pending": 0, "unacknowledged": 0}
    for state, severity, acknowledged in Alert.objects.exclude(state=Alert.State.RESOLVED).values_list(
        "state", "severity", "acknowledged_at"
    ):
        if state in OPEN_ALERTS:
            counts["firing"] += 1
            counts["critical"] += severity == "critical"
            counts["unacknowledged"] += acknowledged is None
        elif state == Alert.State.PENDING:
            counts["pending"] += 1
    return counts


# Numbers


def _number(numbers: Numbers, at: int | None) -> int | float | None:
    return None if at is None else numbers.at(at)


def _total(values: Iterable[int | None]) -> int | None:
    """A sum that is unknown as soon as one part is, or when there is none."""
    parts = list(values)
    known = [value for value in parts if value is not None]
    return sum(known) if known and len(known) == len(parts) else None


def _by_name(queryset: Any, names: Collection[str] | None) -> list[Any]:
    """Rows by name; many names are picked here, since a database takes only so many parameters."""
    if names is None:
        return list(queryset)
    if len(names) <= NAMES_IN_SQL:
        return list(queryset.filter(name__in=list(names)))
    wanted = set(names)
    return [row for row in queryset if row.name in wanted]
