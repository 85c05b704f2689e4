"""The part of /metrics that belongs to one cluster and cycle: rendered once, joined at every scrape."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collectors.domain.drain import DrainOutcome
from collectors.domain.lag import gather, positions_in
from collectors.domain.numbers import NO_COMMIT, Column, Layout, Numbers
from collectors.domain.partitions import PartitionVerdict
from collectors.domain.topology import Reach
from collectors.domain.verdicts import Verdict
from collectors.history.commit_times import last_commits
from collectors.history.now import ClusterNow
from collectors.history.queries import ages_at, backlogs_at, cluster_at, countdowns_at, drains_at

from . import rows
from .registry import family
from .text import Lines, StateLines, clean_labels, label

VERDICTS = tuple(verdict.word for verdict in Verdict)
COUNTDOWN_STATES = ("known", "never", "unknown")
DRAIN_STATES = tuple(outcome.word for outcome in DrainOutcome)


@dataclass(frozen=True, slots=True)
class Part:
    """Sample lines of one cluster and cycle by full family name."""

    key: Hashable
    samples: Mapping[str, bytes]


class Renderer:
    """Renders the parts of one cluster; keeps label texts while topics and groups stay the same. Not thread-safe."""

    def __init__(self, slug: str) -> None:
        self._cluster = label("cluster", slug)
        self._kept: dict[str, tuple[Any, Lines]] = {}
        self._kept_states: dict[str, tuple[Layout, StateLines]] = {}

    def render(self, cycle: rows.CycleRow, now: ClusterNow | None, facts: rows.SlowFacts) -> dict[str, bytes]:
        """Lines by full family name. `now` is None for a cycle that stored no frames."""
        out = self._of_rows(cycle, facts)
        if now is not None:
            out |= (
                self._of_partitions(now, facts)
                | self._of_topics(now, facts)
                | self._of_groups(now)
                | self._of_times(now)
                | self._of_brokers(now)
            )
        return {family(name).name: lines for name, lines in out.items()}

    def _of_rows(self, cycle: rows.CycleRow, facts: rows.SlowFacts) -> dict[str, bytes]:
        topics = facts.topics
        names = tuple(topic.name for topic in topics)
        log_dirs = facts.log_dirs
        places = tuple((directory.broker, directory.path) for directory in log_dirs)
        members = tuple(name for name, _ in facts.members)
        lost = tuple(name for name, _ in facts.lost)
        return {
            "topic_partitions": self._by_topic("topic_partitions", names, _ints(t.partitions for t in topics)),
            "topic_under_replicated_partitions": self._by_topic(
                "topic_under_replicated_partitions", names, _ints(t.under_replicated for t in topics)
            ),
            "topic_offline_partitions": self._by_topic(
                "topic_offline_partitions", names, _ints(t.offline for t in topics)
            ),
            "broker_log_dir_size_bytes": self._by_log_dir(
                "broker_log_dir_size_bytes", places, _ints(d.size_bytes for d in log_dirs)
            ),
            "broker_log_dir_free_bytes": self._by_log_dir(
                "broker_log_dir_free_bytes", places, Numbers.of([d.free_bytes for d in log_dirs])
            ),
            "group_members": self._by_group("group_members", members, _ints(count for _, count in facts.members)),
            "group_lost_messages_total": self._by_group(
                "group_lost_messages_total", lost, _ints(records for _, records in facts.lost)
            ),
            "group_partition_lost_messages_total": self._by_group_partition(
                "group_partition_lost_messages_total", *_lost_places(facts)
            ),
            "collector_cycle_duration_seconds": self._one("collector_cycle_duration_seconds", cycle.duration_seconds),
        }

    def _of_partitions(self, now: ClusterNow, facts: rows.SlowFacts) -> dict[str, bytes]:
        committed = now.committed.numbers
        start = now.start if facts.has_starts else _nothing_known(now.start)
        behind = _behind(now.stable, now.end)
        layout = now.committed.layout
        commits = np.array([owner not in facts.share_groups for owner in layout.owners], dtype=np.bool_)
        commits = np.repeat(commits, np.diff(layout.starts))
        has_commit = Numbers(committed.values, committed.known & (committed.values != NO_COMMIT) & commits)
        return {
            "partition_start_offset": self._by_partition("partition_start_offset", start),
            "partition_end_offset": self._by_partition("partition_end_offset", now.end),
            "partition_open_transaction_messages": self._by_partition("partition_open_transaction_messages", behind),
            "group_committed_offset": self._by_group_partition("group_committed_offset", layout, has_commit),
            "group_lag_messages": self._by_group_partition("group_lag_messages", now.committed.layout, now.lag),
            "group_partition_verdict": self._by_state_of_partition(
                "group_partition_verdict", "verdict", layout, _words_of(now.partition_verdicts)
            ),
        }

    def _of_topics(self, now: ClusterNow, facts: rows.SlowFacts) -> dict[str, bytes]:
        topics = now.topics
        dead = tuple(t.name for t in facts.topics if t.dead_letters_of and t.name in topics.index)
        arriving = [topics.messages_per_second.at(topics.index[name]) for name in dead]
        held = [_records_held(now, name) if facts.has_starts else None for name in dead]
        sizes = topics.size_bytes if facts.has_sizes else Numbers.unknown(len(topics.names))
        return {
            "topic_messages_per_second": self._by_topic(
                "topic_messages_per_second", topics.names, topics.messages_per_second
            ),
            "topic_size_bytes": self._by_topic("topic_size_bytes", topics.names, sizes),
            "dead_letter_messages": self._by_topic("dead_letter_messages", dead, Numbers.of(held)),
            "dead_letter_messages_per_second": self._by_topic(
                "dead_letter_messages_per_second", dead, Numbers.of(arriving, np.float64)
            ),
        }

    def _of_groups(self, now: ClusterNow) -> dict[str, bytes]:
        groups = now.groups
        is_known = _ints(state == "known" for state in groups.lag_state)
        # No verdict in the frame means that nobody could judge: that is the verdict "unknown".
        verdicts = np.where(groups.verdict.known, groups.verdict.values, int(Verdict.UNKNOWN))
        is_verdict = verdicts[:, None] == np.array([int(v) for v in Verdict])
        return {
            "group_topic_lag_messages": self._by_group_topic("group_topic_lag_messages", now, groups.gt_lag),
            "group_lag_known": self._by_group("group_lag_known", groups.names, is_known),
            "group_verdict": self._by_word("group_verdict", "verdict", VERDICTS, groups.names, is_verdict),
            "group_last_commit_timestamp_seconds": self._by_group(
                "group_last_commit_timestamp_seconds", groups.names, last_commits(now)
            ),
            "group_consumed_per_second": self._by_group_topic(
                "group_consumed_per_second", now, groups.gt_consumed_per_second
            ),
        }

    def _of_times(self, now: ClusterNow) -> dict[str, bytes]:
        ages, counts = ages_at(now), countdowns_at(now)
        names, layout = now.groups.names, now.committed.layout
        groups = counts.groups
        states = np.stack([groups.is_number, groups.is_never, ~(groups.is_number | groups.is_never)], axis=1)
        drains = drains_at(now)
        is_drain = drains.outcome[:, None] == np.array([int(outcome) for outcome in DrainOutcome])
        at_stake = Numbers(groups.at_stake, groups.is_number | groups.is_never)
        return {
            "group_log_end_age_seconds": self._by_group(
                "group_log_end_age_seconds", names, _tenths(ages.groups.numbers)
            ),
            "group_partition_log_end_age_seconds": self._by_group_partition(
                "group_partition_log_end_age_seconds", layout, _tenths(ages.positions.numbers)
            ),
            "group_head_of_backlog_age_seconds": self._by_group(
                "group_head_of_backlog_age_seconds", names, _tenths(backlogs_at(now).exact)
            ),
            "group_drain_estimate_seconds": self._by_group(
                "group_drain_estimate_seconds", names, _tenths(drains.numbers)
            ),
            "group_drain_state": self._by_word("group_drain_state", "state", DRAIN_STATES, names, is_drain),
            "group_retention_countdown_seconds": self._by_group(
                "group_retention_countdown_seconds", names, _tenths(groups.numbers)
            ),
            "group_partition_retention_countdown_seconds": self._by_group_partition(
                "group_partition_retention_countdown_seconds", layout, _tenths(counts.positions.numbers)
            ),
            "group_retention_countdown_state": self._by_word(
                "group_retention_countdown_state", "state", COUNTDOWN_STATES, names, states
            ),
            "group_records_at_stake": self._by_group("group_records_at_stake", names, at_stake),
        }

    def _of_brokers(self, now: ClusterNow) -> dict[str, bytes]:
        ids = tuple(str(node) for node in now.brokers.ids)
        reach = now.brokers.reach
        is_up = Numbers((reach.values == int(Reach.UP)).astype(np.int64), reach.known)
        lines = self._lines("broker_up", ids, lambda: [label("broker", node) for node in ids])
        return {"broker_up": lines.fill(is_up)}

    # One method per set of labels; each makes its label texts only when the subjects changed.

    def _one(self, name: str, value: float) -> bytes:
        return self._lines(name, (), lambda: [""]).fill(Numbers.of([value], np.float64))

    def _by_topic(self, name: str, topics: Sequence[str], numbers: Numbers) -> bytes:
        topics = tuple(topics)
        return self._lines(name, topics, lambda: _labels("topic", topics)).fill(numbers)

    def _by_group(self, name: str, groups: Sequence[str], numbers: Numbers) -> bytes:
        groups = tuple(groups)
        return self._lines(name, groups, lambda: _labels("group", groups)).fill(numbers)

    def _by_word(
        self, name: str, key: str, words: Sequence[str], groups: Sequence[str], is_word: NDArray[np.bool_]
    ) -> bytes:
        """A state set, a line for each group and word: (groups, words) which word is said of which group."""
        groups = tuple(groups)
        own = [label(key, word) for word in words]
        lines = self._lines(name, groups, lambda: [f"{g},{word}" for g in _labels("group", groups) for word in own])
        return lines.fill(Numbers(is_word.astype(np.int64).ravel(), np.ones(is_word.size, dtype=np.bool_)))

    def _by_log_dir(self, name: str, places: tuple[tuple[int, str], ...], numbers: Numbers) -> bytes:
        def heads() -> list[str]:
            paths = dict.fromkeys(path for _, path in places)
            text = dict(zip(paths, _labels("log_dir", tuple(paths)), strict=True))
            return [f"{label('broker', str(node))},{text[path]}" for node, path in places]

        return self._lines(name, places, heads).fill(numbers)

    def _by_partition(self, name: str, column: Column) -> bytes:
        layout = column.layout

        def heads() -> list[str]:
            topics = _topic_labels(layout)
            pairs = zip(layout.topics, layout.partitions.tolist(), strict=True)
            return [f'{topics[topic]},partition="{partition}"' for topic, partition in pairs]

        return self._lines(name, layout, heads).fill(column.numbers)

    def _by_group_partition(self, name: str, layout: Layout, numbers: Numbers) -> bytes:
        return self._lines(name, layout, lambda: _group_partition_labels(layout)).fill(numbers)

    def _by_state_of_partition(self, name: str, key: str, layout: Layout, states: Sequence[bytes]) -> bytes:
        """A line for each partition of each group, with the state that holds; the others would be ten times as many."""
        kept = self._kept_states.get(name)
        if kept is None or not _same(kept[0], layout):
            begin = f"{family(name).name}{{{self._cluster},"
            kept = layout, StateLines([begin + text for text in _group_partition_labels(layout)], key)
            self._kept_states[name] = kept
        return kept[1].fill(states)

    def _by_group_topic(self, name: str, now: ClusterNow, numbers: Numbers) -> bytes:
        layout, names = now.committed.layout, now.groups.names

        def heads() -> list[str]:
            topics, groups = _topic_labels(layout), dict(zip(names, _labels("group", names), strict=True))
            return [f"{groups[group]},{topics[topic]}" for group, topic in now.groups.pairs()]

        return self._lines(name, layout, heads).fill(numbers)

    def _lines(self, name: str, subjects: Any, make_labels: Callable[[], list[str]]) -> Lines:
        """The kept lines of a family, made anew when its subjects are not the ones they were made for."""
        kept = self._kept.get(name)
        if kept is not None and _same(kept[0], subjects):
            return kept[1]
        full = family(name).name
        heads = [
            f"{full}{{{self._cluster},{text}}}" if text else f"{full}{{{self._cluster}}}" for text in make_labels()
        ]
        lines = Lines(heads)
        self._kept[name] = (subjects, lines)
        return lines


class Parts:
    """The newest part of each cluster. Thread-safe: of scrapes that come together, one renders and the others wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._renderers: dict[tuple[int, str], tuple[threading.Lock, Renderer]] = {}
        self._newest: dict[int, Part] = {}

    def part(self, cluster: rows.ClusterRow) -> Part:
        """The part of the cluster's newest cycle, rendered now unless it was before; the cluster must have a cycle."""
        cycle = cluster.cycle
        if cycle is None:
            raise ValueError(f"cluster {cluster.slug!r} has no cycle yet")
        key = (cluster.id, cluster.slug, cycle.number, cycle.taken_at)
        with self._lock:
            lock, renderer = self._renderers.setdefault(
                (cluster.id, cluster.slug), (threading.Lock(), Renderer(cluster.slug))
            )
        with lock:
            newest = self._newest.get(cluster.id)
            if newest is not None and newest.key == key:
                return newest
            now = cluster_at(cluster.id, cycle.number)
            part = Part(key, renderer.render(cycle, now, rows.slow_facts(cluster)))
            self._newest[cluster.id] = part
            return part

    def forget_others(self, clusters: Sequence[rows.ClusterRow]) -> None:
        """Let go of clusters that were deleted or renamed."""
        keep = {(cluster.id, cluster.slug) for cluster in clusters}
        with self._lock:
            for gone in self._renderers.keys() - keep:
                del self._renderers[gone]
            for cluster_id in self._newest.keys() - {cluster_id for cluster_id, _ in keep}:
                del self._newest[cluster_id]


def _records_held(now: ClusterNow, topic: str) -> int | None:
    """End minus start offset over all partitions of a topic; None unless all of them are known."""
    if now.end.layout.owner_index(topic) is None or now.start.layout.owner_index(topic) is None:
        return None
    end_slice, start_slice = now.end.layout.slice_of(topic), now.start.layout.slice_of(topic)
    if not np.array_equal(now.end.layout.partitions[end_slice], now.start.layout.partitions[start_slice]):
        return None
    end, start = now.end.of(topic), now.start.of(topic)
    if not (end.known.all() and start.known.all()):
        return None
    return int(np.maximum(end.values - start.values, 0).sum())


def _behind(stable: Column, end: Column) -> Column:
    """Records from last stable offsets to log ends, of the partitions that were asked for them."""
    ends = gather(end.numbers, positions_in(stable.layout, end.layout))
    waits = np.maximum(ends.values - stable.numbers.values, 0)
    return Column(stable.layout, Numbers(waits, ends.known & stable.numbers.known))


def _lost_places(facts: rows.SlowFacts) -> tuple[Layout, Numbers]:
    """Where groups have lost records, and how many in all."""
    found = {
        (group, topic, int(partition)): records
        for group, by_topic in facts.lost_by_partition
        for topic, of_topic in by_topic.items()
        for partition, records in of_topic.items()
    }
    members: dict[str, list[tuple[str, int]]] = {}
    for group, topic, partition in found:
        members.setdefault(group, []).append((topic, partition))
    layout = Layout.build(members)
    return layout, _ints(found[key] for key in layout.position)


def _tenths(numbers: Numbers) -> Numbers:
    """Seconds to a tenth: no sample tells more, and the page is shorter."""
    return Numbers(np.round(numbers.values, 1), numbers.known)


def _nothing_known(column: Column) -> Column:
    return Column(column.layout, Numbers.unknown(len(column.layout)))


def _ints(values: Iterable[int]) -> Numbers:
    array = np.fromiter(values, dtype=np.int64)
    return Numbers(array, np.ones(len(array), dtype=np.bool_))


def _labels(name: str, texts: Sequence[str]) -> list[str]:
    return [label(name, text) for text in clean_labels(texts)]


_WORDS = {int(verdict): verdict.word.encode() for verdict in PartitionVerdict}
_WORD_OF = np.array([_WORDS.get(i, _WORDS[PartitionVerdict.UNKNOWN]) for i in range(max(_WORDS) + 1)], dtype=object)


def _words_of(verdicts: Numbers) -> list[bytes]:
    """(n) words of stored numbers of `PartitionVerdict`; "unknown" where none was stored, or one that is not known."""
    is_there = verdicts.known & (verdicts.values >= 0) & (verdicts.values < len(_WORD_OF))
    words: list[bytes] = _WORD_OF[np.where(is_there, verdicts.values, int(PartitionVerdict.UNKNOWN))].tolist()
    return words


def _group_partition_labels(layout: Layout) -> list[str]:
    topics, groups = _topic_labels(layout), _labels("group", layout.owners)
    triples = zip(layout.owner_of_position.tolist(), layout.topics, layout.partitions.tolist(), strict=True)
    return [f'{groups[owner]},{topics[topic]},partition="{p}"' for owner, topic, p in triples]


def _topic_labels(layout: Layout) -> dict[str, str]:
    names = tuple(dict.fromkeys(layout.topics))
    return dict(zip(names, _labels("topic", names), strict=True))


def _same(one: Any, other: Any) -> bool:
    """Equality of subjects; layouts are read anew from the database at times, so identity is not enough."""
    if one is other:
        return True
    if isinstance(one, Layout) and isinstance(other, Layout):
        return (
            one.owners == other.owners
            and np.array_equal(one.starts, other.starts)
            and np.array_equal(one.partitions, other.partitions)
            and one.topics == other.topics
        )
    return bool(one == other)
