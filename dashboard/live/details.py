"""The row of one group and of one topic, with all that their pages show of partitions, members and readers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from collectors import membership
from collectors.domain import commit_times, words
from collectors.domain.numbers import NO_COMMIT, Numbers
from collectors.domain.partitions import PartitionVerdict
from collectors.domain.topology import GroupType
from collectors.history import queries
from collectors.history.now import ClusterNow
from collectors.history.policies import UNKNOWN, policies_of
from collectors.models import Cluster, Member, Topic
from dashboard.live import memberwords, sentences, times
from dashboard.live.presence import is_too_old
from dashboard.live.rows import Row, group_row, newest_cycles, owners_of, readers_of, topic_row

PARTITIONS_SHOWN = 500
"""Partition rows: those with the most lag (group) or the lowest numbers (topic)."""
MEMBERS_SHOWN = 200
TOPICS_SHOWN = 6
READERS_SHOWN = 50


def group_detail(cluster: Cluster, now: ClusterNow | None, name: str) -> Row | None:
    """The row of a group with its partitions and the newest point of its charts."""
    row = group_row(cluster, now, name)
    if row is None:
        return None
    members = list(Member.objects.filter(group__cluster=cluster, group__name=name))
    owners = owners_of(members) if row["type"] != GroupType.SHARE else readers_of(members)
    parts = _group_partitions(now, name, owners) if now else []
    own, by_partition = times.closer(now, name)
    row |= own
    for part in parts:
        part |= by_partition[part["topic"], part["partition"]]
    row["partitions_total"] = len(parts)
    shown = sorted(parts, key=lambda part: -1 if part["lag"] is None else part["lag"], reverse=True)[:PARTITIONS_SHOWN]
    row["partitions"] = shown
    row["lag_said"] = sentences.lag_notes(
        _held(now, name) if now else None, is_compacted=any(part["is_estimate"] for part in parts)
    )
    row["commit_said"] = _commit_said(now, name) if now else ""
    row["topics_total"], row["topics"] = _topics_read(now, name)
    row["readers"] = [_member(member, parts) for member in members[:MEMBERS_SHOWN]]
    movings = [] if is_too_old(now) else [membership.moving_of(member.moving) for member in members]
    row["moving_said"] = memberwords.group_moving_said(movings)
    row["points"] = (
        {
            "t": now.taken_at,
            "lag": row["lag"],
            "arriving": row["arriving"],
            "consumed": row["consumed"],
            "age": row["age"],
        }
        if now and not now.is_old
        else None
    )
    row["waiting"] = sentences.waiting_sentence(cluster, now.taken_at if now else None, time.time())
    return row


def _hot_times(now: ClusterNow, topic: str, partition: int) -> float | None:
    """How many times its even share a partition gets, when it is the hottest of its topic; None where it is not hot."""
    at = now.topics.index.get(topic)
    return now.topics.times_even.at(at) if at is not None and now.topics.hot_partition[at] == partition else None


def _group_partitions(now: ClusterNow, name: str, owners: Mapping[tuple[str, int], str]) -> list[Row]:
    layout = now.committed.layout
    if layout.owner_index(name) is None:
        return []
    where = layout.slice_of(name)
    committed, lag, held = now.committed.numbers.take(where), now.lag.take(where), now.held.take(where)
    arriving, consumed = now.arriving.take(where), now.consumed.take(where)
    committed_at, verdicts = now.committed_at.take(where), now.partition_verdicts.take(where)
    ends: dict[str, dict[int, int | float | None]] = {}
    policies = policies_of(now.cluster_id)
    out = []
    for i, (topic, partition) in enumerate(layout.keys_of(name)):
        if topic not in ends:
            ends[topic] = _by_partition(now.end.layout, now.end.numbers, topic)
        # both are those of now, or not known
        position, end = (None, None) if now.is_old else (committed.at(i), ends[topic].get(partition))
        is_estimate = bool(policies.get(topic, UNKNOWN).compacts)
        out.append(
            {
                "key": f"{topic}/{partition}",
                "topic": topic,
                "partition": partition,
                "committed": None if position == NO_COMMIT else position,
                "lag_state": "no_commit" if position == NO_COMMIT else "unknown" if lag.at(i) is None else "known",
                "end": end,
                "lag": lag.at(i),
                "is_past_end": position is not None and end is not None and position > end,
                "is_estimate": is_estimate,
                "commit_said": commit_times.said(committed_at.at(i), now=now.taken_at),
                "lag_said": sentences.lag_notes(held.at(i), is_compacted=is_estimate),
                "arriving": arriving.at(i),
                "consumed": consumed.at(i),
                "hot": _hot_times(now, topic, partition),
                "owner": owners.get((topic, partition), ""),
                "verdict": PartitionVerdict.of(verdicts.at(i)).word,
            }
        )
    return out


def _commit_said(now: ClusterNow, name: str) -> str:
    """When a group last committed at any partition; "" where that is not known."""
    if now.committed.layout.owner_index(name) is None:
        return ""
    times = now.committed_at.take(now.committed.layout.slice_of(name))
    return commit_times.said(commit_times.newest(times), now=now.taken_at)


def _held(now: ClusterNow, name: str) -> int | None:
    """Records of a group's lag that open transactions hold back; None where that is not known of all of it."""
    if now.committed.layout.owner_index(name) is None:
        return None
    held = now.held.take(now.committed.layout.slice_of(name))
    return int(held.values.sum()) if held.known.all() else None


def _topics_read(now: ClusterNow | None, name: str) -> tuple[int, list[Row]]:
    """How many topics a group reads, and lag and read rate of those with the most lag."""
    at = now.groups.index.get(name) if now else None
    if now is None or at is None:
        return 0, []
    groups = now.groups
    found = [
        {
            "key": groups.gt_topic_names[i],
            "name": groups.gt_topic_names[i],
            "lag": groups.gt_lag.at(i),
            "consumed": groups.gt_consumed_per_second.at(i),
        }
        for i in (groups.gt_group == at).nonzero()[0].tolist()
    ]
    found.sort(key=lambda one: -1 if one["lag"] is None else one["lag"], reverse=True)
    return len(found), found[:TOPICS_SHOWN]


def _member(member: Member, partitions: Sequence[Row]) -> Row:
    """What a member holds and does; its lag is known only if that of each partition that it holds is."""
    mine = {(topic, partition) for topic, held in member.assignment for partition in held}
    held = [part["lag"] for part in partitions if (part["topic"], part["partition"]) in mine]
    is_known = bool(held) and len(held) == len(mine) and all(lag is not None for lag in held)
    tasks = membership.tasks_of(member.tasks)
    return {
        "key": member.member_id,
        "count": len(mine),
        "lag": sum(held) if is_known else None,
        "none_said": memberwords.none_said(tasks),
        "moving_said": memberwords.moving_said(membership.moving_of(member.moving)),
        "tasks_said": memberwords.tasks_said(tasks),
        "restoring_said": memberwords.restoring_said(tasks),
    }


def topic_detail(cluster: Cluster, now: ClusterNow | None, name: str) -> Row | None:
    """The row of a topic with its partitions and the newest point of its charts."""
    row = topic_row(cluster, now, name)
    if row is None:
        return None
    topic = Topic.objects.get(cluster=cluster, name=name)
    is_old = is_too_old(now)
    columns = (
        {
            key: _by_partition(column.layout, column.numbers, name) if column else {}
            for key, column in (("start", now.start), ("end", now.end), ("size", now.size))
        }
        | {"rate": _by_partition(now.end.layout, now.end_rates, name)}
        if now and not is_old
        else {"start": {}, "end": {}, "size": {}, "rate": {}}
    )
    stable = _by_partition(now.stable.layout, now.stable.numbers, name) if now and not is_old else {}
    row["partitions_total"] = len(topic.partitions)
    row["partition_rows"] = [
        _topic_partition(
            number, stored, {key: column.get(number) for key, column in columns.items()}, is_known=not is_old
        )
        | {
            "hot": _hot_times(now, name, number) if now and not topic.is_internal else None,
            "open_said": sentences.open_transaction(columns["end"].get(number), stable.get(number)),
        }
        for number, stored in enumerate(topic.partitions[:PARTITIONS_SHOWN])
    ]
    row["readers_total"], row["readers"] = _readers(now, name)
    if now is not None and is_old:
        cycle = newest_cycles([cluster]).get(cluster.pk)
        row["verdict"] = "unknown"
        why = sentences.why_unknown(cycle.errors if cycle else ())
        row["sentence"] = words.unknown_since(now.taken_at, now=time.time(), because=why)
    else:
        row["verdict"], row["sentence"] = sentences.topic_sentence(row)
    row["points"] = {"t": now.taken_at, "rate": row["rate"], "size": row["size"]} if now and not is_old else None
    row["waiting"] = sentences.waiting_sentence(cluster, now.taken_at if now else None, time.time())
    return row


def _topic_partition(
    number: int, stored: Sequence[Any], offsets: Mapping[str, int | float | None], *, is_known: bool
) -> Row:
    """A partition's row with the word of its state and the number of records it holds; not `is_known`: it was too long
    ago that anybody asked where its replicas are."""
    leader, _, replicas, isr, _ = stored
    if not is_known:
        nobody: Row = {"leader": None, "isr": [], "missing": [], "state": "unknown", "held": None}
        return {"key": str(number), "partition": number, **nobody, **offsets}
    start, end = offsets["start"], offsets["end"]
    return {
        "key": str(number),
        "partition": number,
        "leader": None if leader < 0 else leader,
        "isr": isr,
        "missing": [broker for broker in replicas if broker not in isr],
        "state": "offline" if leader < 0 else "under_replicated" if len(isr) < len(replicas) else "in_sync",
        "held": end - start if start is not None and end is not None else None,
        **offsets,
    }


def _readers(now: ClusterNow | None, name: str) -> tuple[int, list[Row]]:
    """The groups that have committed offsets for the topic, those with the most lag on it first."""
    at = now.topics.index.get(name) if now else None
    if now is None or at is None:
        return 0, []
    groups, pairs = now.groups, queries.ages_at(now).pairs
    found = [
        {
            "key": groups.names[int(groups.gt_group[i])],
            "lag_here": groups.gt_lag.at(i),
            "consumed_here": groups.gt_consumed_per_second.at(i),
            "age_here": None if now.is_old else times.age_fields(pairs, i)["age"],
            "age_bounds_here": "" if now.is_old else times.age_fields(pairs, i)["age_bounds"],
        }
        for i in (groups.gt_topic == at).nonzero()[0].tolist()
    ]
    found.sort(key=lambda one: (-1 if one["lag_here"] is None else one["lag_here"], one["key"]), reverse=True)
    return len(found), found[:READERS_SHOWN]


def _by_partition(layout: Any, numbers: Numbers, topic: str) -> dict[int, int | float | None]:
    if layout.owner_index(topic) is None:
        return {}
    where = layout.slice_of(topic)
    part = numbers.take(where)
    return {partition: part.at(i) for i, partition in enumerate(layout.partitions[where].tolist())}
