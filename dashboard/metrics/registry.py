"""Every family of /metrics with its name, type, help and labels: the one source of the README's table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

PREFIX = "streamgauge_"


class Section(Enum):
    CYCLE = "cycle"  # part of a cluster's cycle: rendered once, left out when the cycle is too old
    SCRAPE = "scrape"  # small, read at each scrape, also when no cycle comes any more


@dataclass(frozen=True, slots=True)
class Family:
    """`name` with prefix, as samples carry it; `unit` only where the name ends with a base unit."""

    name: str
    type: Literal["gauge", "counter"]
    labels: tuple[str, ...]
    help: str
    section: Section
    unit: str = ""

    def header(self, *, openmetrics: bool) -> bytes:
        """HELP, TYPE and (OpenMetrics only) UNIT; OpenMetrics names a counter without `_total`."""
        name = self.name.removesuffix("_total") if openmetrics and self.type == "counter" else self.name
        text = self.help.replace("\\", r"\\")
        lines = f"# HELP {name} {text}\n# TYPE {name} {self.type}\n"
        if openmetrics and self.unit:
            lines += f"# UNIT {name} {self.unit}\n"
        return lines.encode()


def _gauge(name: str, labels: str, text: str, section: Section = Section.CYCLE, unit: str = "") -> Family:
    return Family(PREFIX + name, "gauge", tuple(labels.split()), text, section, unit)


def _counter(name: str, labels: str, text: str, section: Section = Section.SCRAPE) -> Family:
    return Family(PREFIX + name, "counter", tuple(labels.split()), text, section)


FAMILIES: tuple[Family, ...] = (
    _gauge("cluster_up", "cluster", "1 if the newest cycle reached the cluster and is younger than 3 intervals, "
           "else 0; left out while the cluster is paused.", Section.SCRAPE),
    _gauge("broker_up", "cluster broker", "1 if the broker answers, 0 if it is suspect or down."),
    _gauge("topic_partitions", "cluster topic", "Partitions of the topic."),
    _gauge("topic_under_replicated_partitions", "cluster topic", "Partitions whose in-sync replicas are fewer than "
           "their replicas, those still being added not counted."),
    _gauge("topic_offline_partitions", "cluster topic", "Partitions without a leader."),
    _gauge("partition_start_offset", "cluster topic partition", "Offset of the first record that still exists."),
    _gauge("partition_end_offset", "cluster topic partition", "Offset that the next record will get."),
    _gauge("partition_open_transaction_messages", "cluster topic partition", "Records from the last stable offset to "
           "the end of the log, which an open transaction holds back; only of topics where one does."),
    _gauge("topic_messages_per_second", "cluster topic", "Growth of the topic's end offsets over about six cycles."),
    _gauge("topic_size_bytes", "cluster topic", "Bytes of the leaders' replicas on disk.", unit="bytes"),
    _gauge("broker_log_dir_size_bytes", "cluster broker log_dir", "Bytes of the replicas in the log directory.",
           unit="bytes"),
    _gauge("broker_log_dir_free_bytes", "cluster broker log_dir", "Bytes still usable on the volume of the log "
           "directory.", unit="bytes"),
    _gauge("group_committed_offset", "cluster group topic partition", "Offset that the group committed; left out "
           "where it never did, and for share groups."),
    _gauge("group_lag_messages", "cluster group topic partition", "Records between the committed offset and the end "
           "of the log, of a share group those that its broker counts; never negative, left out where it is not "
           "known."),
    _gauge("group_topic_lag_messages", "cluster group topic", "Lag of the group over all partitions of the topic; "
           "left out unless all of them are known."),
    _gauge("group_log_end_age_seconds", "cluster group", "How long ago the log end stood at the committed offset, of "
           "the group's oldest partition; 0 when caught up, left out unless it is known of all.", unit="seconds"),
    _gauge("group_partition_log_end_age_seconds", "cluster group topic partition", "The same of each partition; left "
           "out where it is not known.", unit="seconds"),
    _gauge("group_head_of_backlog_age_seconds", "cluster group", "Age of the oldest record that the group has not read "
           "by the timestamp it carries; read for groups in trouble, groups whose page is open or that a rule asks "
           "of, and small lags that stand, else left out; so it is while the group has read past that record since.",
           unit="seconds"),
    _gauge("group_drain_estimate_seconds", "cluster group", "Time until the group has read what waits, its lag over "
           "what it reads beyond what arrives; 0 where nothing waits, left out unless the state is drains.",
           unit="seconds"),
    _gauge("group_drain_state", "cluster group state", "1 for what is said of the group's drain estimate, 0 for the "
           "others: unknown, drains, keeps_up (no more waits than comes between two commits), not_draining."),
    _gauge("group_retention_countdown_seconds", "cluster group", "Time until retention deletes a record that the group "
           "has not read, the soonest of its partitions; left out where the state is not known.", unit="seconds"),
    _gauge("group_partition_retention_countdown_seconds", "cluster group topic partition", "The same of each "
           "partition; left out where it is never or not known.", unit="seconds"),
    _gauge("group_retention_countdown_state", "cluster group state", "1 for what is said of the group's countdown, 0 "
           "for the others: known, never, unknown."),
    _gauge("group_records_at_stake", "cluster group", "Unread records of the partitions that a countdown runs for."),
    _gauge("group_last_commit_timestamp_seconds", "cluster group", "Unix time of the group's newest commit, by the "
           "broker's clock; only where the cluster's commits are read (off by default) and one was seen.",
           unit="seconds"),
    _counter("group_lost_messages_total", "cluster group", "Records that retention deleted before the group read them, "
             "as far as is certain.", Section.CYCLE),
    _counter("group_partition_lost_messages_total", "cluster group topic partition", "The same of each partition that "
             "lost some; the others are left out.", Section.CYCLE),
    _gauge("group_lag_known", "cluster group", "1 if the lag of every partition that the group committed is known, "
           "else 0."),
    _gauge("group_members", "cluster group", "Members of the group; left out where it could not be described."),
    _gauge("group_verdict", "cluster group verdict", "1 for the group's present verdict, 0 for each other one."),
    _gauge("group_partition_verdict", "cluster group topic partition verdict", "1 for what the group is doing on the "
           "partition, the only line of it: no_members, unowned, no_progress, losing_data, falling_behind, rewound, "
           "not_committing, no_commit (none, and nothing came), unknown, catching_up, ok."),
    _gauge("group_consumed_per_second", "cluster group topic", "Growth of the group's committed offsets over about "
           "six cycles; 0 where it has no members, whatever a tool sets them to."),
    _gauge("dead_letter_messages", "cluster topic", "End minus start offset of a dead-letter topic: the records that "
           "it holds."),
    _gauge("dead_letter_messages_per_second", "cluster topic", "Records arriving in a dead-letter topic."),
    _gauge("collector_cycle_duration_seconds", "cluster", "How long the newest cycle took, asking and storing.",
           unit="seconds"),
    _gauge("collector_last_success_timestamp_seconds", "cluster", "Unix time of the newest cycle that reached the "
           "cluster.", Section.SCRAPE, "seconds"),
    _counter("collector_requests_total", "cluster", "Requests sent to brokers."),
    _counter("collector_errors_total", "cluster part reason", "Failures of a part of a cycle."),
    _counter("collector_skipped_cycles_total", "cluster", "Due times passed over because a cycle was late."),
    _gauge("alerts_firing", "cluster rule severity", "Alerts of the rule that fire now, acknowledged ones too.",
           Section.SCRAPE),
    _counter("notifications_total", "channel outcome", "What came of sending messages: delivered, retried "
             "(failed, tried again later), dead (given up), unanswered (sent again, no answer was recorded)."),
    _gauge("build_info", "version python", "1; the labels say which Streamgauge runs.", Section.SCRAPE),
)  # fmt: skip  # one family a paragraph reads better than one argument a line

BY_NAME = {family.name: family for family in FAMILIES}


def family(name: str) -> Family:
    return BY_NAME[PREFIX + name]


def readme_table() -> str:
    """The Markdown table of all families, as the README carries it."""
    rows = ["| name | type | labels | meaning |", "|---|---|---|---|"]
    for each in FAMILIES:
        labels = ", ".join(each.labels)
        rows.append(f"| `{each.name}` | {each.type} | {labels} | {each.help} |")
    return "\n".join(rows) + "\n"
