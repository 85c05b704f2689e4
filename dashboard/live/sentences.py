"""What a cluster's state comes to in a word and a sentence; pure, the moment is passed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from collectors.domain import words
from collectors.domain.rights import NOT_OFFERED
from collectors.domain.topology import Reach
from collectors.domain.verdicts import Verdict

STALE_INTERVALS = 3
STALE_SECONDS = 15.0


def is_stale(taken_at: float, interval_seconds: float, moment: float) -> bool:
    """Whether the newest sample is too old to speak of now."""
    return moment - taken_at > max(STALE_INTERVALS * interval_seconds, STALE_SECONDS)


class HasCycles(Protocol):
    @property
    def last_cycle(self) -> int: ...
    @property
    def interval_seconds(self) -> float: ...


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    name: str
    is_paused: bool
    interval: float
    taken_at: float | None  # None: no cycle yet
    sampled_at: float | None  # when the newest numbers were taken, which a cycle that reaches no broker has not
    is_reachable: bool | None
    errors: Sequence[Mapping[str, Any]]
    brokers: int
    brokers_up: int
    away: Sequence[tuple[int, Reach]]  # brokers that are not up
    topics_under_replicated: int
    topics_offline: int
    groups: int
    troubled: int
    worst_group: str
    worst_verdict: Verdict
    alerts: Mapping[str, int] = field(default_factory=dict)  # open alerts by severity
    only_alert: str = ""  # when there is one alone: "Dead letters arriving: orders-dlt"


def waiting_sentence(cluster: HasCycles, taken_at: float | None, now: float) -> str:
    """What a page waits for before there is a curve; "" once there are two samples."""
    if cluster.last_cycle == 0:
        return "0 of 2 samples; waiting for the first cycle"
    if cluster.last_cycle > 1 or taken_at is None:
        return ""
    if is_stale(taken_at, cluster.interval_seconds, now):
        return "1 of 2 samples; waiting for the second"
    left = max(1, round(taken_at + cluster.interval_seconds - now))
    return f"1 of 2 samples; rates in {words.duration(left)}"


SHARE_LAG = "share_lag"
BESIDE_LAG = frozenset({"log_dirs", "quorum", "rights", "topic_configs", "broker_configs", "versions", "heads"})
BESIDE_LAG |= {"stable_offsets", "held_offsets", "first_records"}
"""Parts of a cycle without which lag is known all the same."""


_PLAIN = {
    "not_leader_for_partition": "it does not lead that partition any more",
    "not_leader_or_follower": "it does not lead that partition any more",
    "leader_not_available": "the partition has no leader yet",
    "fenced_leader_epoch": "the partition has another leader by now",
    "unknown_leader_epoch": "it has not heard of the newest leader yet",
    "unknown_topic_or_partition": "it does not know that partition",
    "unknown_topic_id": "it does not know that topic",
    "not offered": "unsupported by this broker",
    "not_coordinator": "another broker coordinates that group by now",
    "coordinator_not_available": "the group's coordinator is not available yet",
    "coordinator_load_in_progress": "the group's coordinator is still loading",
    "replica_not_available": "it has no replica of that partition",
    "kafka_storage_error": "it cannot read its disk",
}
"""What brokers say by the names of the protocol, in words."""


def plain_reason(reason: str) -> str:
    return _PLAIN.get(reason) or reason.replace("_", " ")


def why_unknown(errors: Sequence[Mapping[str, Any]]) -> str:
    """The errors of a cycle as a reason: "broker 3: timed out (commits)"; "" without errors that lag could lack."""
    return _why([one for one in errors if one.get("part") not in BESIDE_LAG and one.get("part") != SHARE_LAG])


def why_share_unknown(errors: Sequence[Mapping[str, Any]]) -> str:
    """The same for a share group, which has no commits: its lag is told by its broker, or by none."""
    if any(one.get("part") == SHARE_LAG and one.get("reason") == NOT_OFFERED for one in errors):
        return "unsupported by this broker, Kafka 4.2 and later tell the lag of a share group"
    return _why([one for one in errors if one.get("part") not in BESIDE_LAG and one.get("part") != "commits"])


def _why(errors: Sequence[Mapping[str, Any]]) -> str:
    said = []
    for error in errors[:2]:
        broker = error.get("broker")
        where = f"broker {broker}: " if broker is not None else ""
        reason, part = plain_reason(str(error.get("reason", "failed"))), str(error.get("part", "")).replace("_", " ")
        said.append(f"{where}{reason} ({part})")
    return ", ".join(said)


def cluster_sentence(facts: ClusterFacts, now: float) -> tuple[str, str]:
    """("ok" | "warn" | "bad" | "unknown", sentence), the worst thing first."""
    if facts.is_paused:
        return "unknown", "Paused: nothing is sampled"
    if facts.taken_at is None:
        return "unknown", "Waiting for the first cycle"
    if is_stale(facts.taken_at, facts.interval, now):
        newest = facts.taken_at if facts.sampled_at is None else facts.sampled_at
        return "unknown", f"No new samples since {words.moment(newest, now=now)}: the collector has finished no cycle"
    if not facts.is_reachable:
        reason = why_unknown(facts.errors)
        return "bad", "Unreachable" + (f": {reason}" if reason else ": no broker answers")
    if facts.topics_offline:
        return "bad", f"{words.counted(facts.topics_offline, 'topic')} with partitions that have no leader"
    if facts.away:
        return "bad", _away(facts) + _under_replicated(facts)
    if facts.alerts.get("critical"):
        return "bad", f"{words.counted(facts.alerts['critical'], 'critical alert')} firing" + _troubled(facts, "; ")
    if facts.troubled:
        return "warn", _troubled(facts, "")
    if facts.topics_under_replicated:
        return "warn", f"{words.counted(facts.topics_under_replicated, 'topic')} under-replicated"
    if facts.alerts:
        return "warn", facts.only_alert or f"{words.counted(sum(facts.alerts.values()), 'alert')} firing"
    if facts.groups == 0:
        return "ok", f"All {words.counted(facts.brokers, 'broker')} answer; no consumer group yet"
    groups = words.counted(facts.groups, "group")
    return "ok", f"Nothing needs you: {words.counted(facts.brokers, 'broker')} up, {groups} reading"


def _under_replicated(facts: ClusterFacts) -> str:
    count = facts.topics_under_replicated
    return f", {words.counted(count, 'topic')} under-replicated, none offline" if count else ""


def _away(facts: ClusterFacts) -> str:
    if len(facts.away) == 1:
        node, reach = facts.away[0]
        return f"Broker {node} is down" if reach is Reach.DOWN else f"Broker {node} does not answer"
    return f"{len(facts.away)} of {words.counted(facts.brokers, 'broker')} not answering"


def _troubled(facts: ClusterFacts, lead: str) -> str:
    if not facts.troubled:
        return ""
    name, does = facts.worst_group, _DOES[facts.worst_verdict]
    if facts.troubled == 1:
        return f"{lead}{'group' if lead else 'Group'} {name} {does}"
    return f"{lead}{facts.troubled} of {words.counted(facts.groups, 'group')} need a look, first {name}: it {does}"


_DOES = {
    Verdict.NO_PROGRESS: "makes no progress",
    Verdict.FALLING_BEHIND: "falls behind",
    Verdict.NO_MEMBERS: "has no members",
    Verdict.NOT_COMMITTING: "does not commit",
    Verdict.LOSING_DATA: "loses records",
    Verdict.UNOWNED: "has partitions that no member reads",
    Verdict.REWOUND: "was set back",
    Verdict.REBALANCING: "rebalances too often",
    Verdict.CATCHING_UP: "catches up",
    Verdict.OK: "keeps up",
    Verdict.UNKNOWN: "is not known",
}


def group_type(kind: str, protocol: str) -> str:
    """What a group is by its protocol: the workers of a Connect cluster are a classic group, too."""
    return "Connect" if kind == "classic" and protocol == "connect" else kind


def topic_sentence(row: Mapping[str, Any]) -> tuple[str, str]:
    """("ok" | "warn" | "bad" | "unknown", sentence) of a topic's row, the worst thing first."""
    if row["offline"]:
        has = "has" if row["offline"] == 1 else "have"
        said = f"{words.counted(row['offline'], 'partition')} of {words.count(row['partitions'])} {has} no leader"
        return "bad", f"{said}: nothing can be written or read there"
    if row["under_replicated"]:
        has = "has" if row["under_replicated"] == 1 else "have"
        said = words.counted(row["under_replicated"], "partition")
        return "warn", f"{said} of {words.count(row['partitions'])} {has} fewer copies in sync than asked for"
    if hot := row["hot"]:
        share = f"{100 * hot['share']:.0f}{words.THIN}%"
        said = f"Hot partition: {share} of the records come to partition {hot['partition']}"
        return "warn", f"{said}, {hot['times']:.1f} times its even share"
    if row["rate"] is None:
        return "unknown", "How much arrives is not known yet"
    kind = "dead letters" if row["dead_letters_of"] else "records"
    if row["rate"] == 0:
        return "ok", f"No {kind} arrive at the moment; every partition is in sync"
    tone = "warn" if row["dead_letters_of"] else "ok"
    return tone, f"{kind.capitalize()} arrive, {words.rate(row['rate'])}; every partition is in sync"


def lag_notes(held: int | float | None, *, is_compacted: bool) -> str:
    """What there is to a lag: what who reads committed records cannot read yet, and where it counts records that are
    gone; "" where it is what it says."""
    notes = [f"{words.count(held)} of it held by an open transaction"] if held else []
    notes += ["an estimate: compaction leaves fewer records than offsets"] if is_compacted else []
    return "; ".join(notes)


def open_transaction(end: int | float | None, stable: int | float | None) -> str:
    """What an open transaction holds back in a partition; "" where none does."""
    if end is None or stable is None or stable >= end:
        return ""
    return f"{words.counted(end - stable, 'record')} of an open transaction from {words.count(stable)} on"
