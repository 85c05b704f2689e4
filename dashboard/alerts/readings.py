"""What rules look at: arrays of one number per subject, taken from a cluster as it was at one cycle."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collectors.domain.countdown import Outcome
from collectors.domain.drain import DrainOutcome
from collectors.domain.heads import OF_A_GROUP
from collectors.domain.numbers import Numbers
from collectors.domain.verdicts import Verdict, severities
from collectors.history.now import ClusterNow
from collectors.history.queries import ages_at, backlogs_at, countdowns_at, drains_at, lost_since

SHORTEST_SILENT_INTERVAL_SECONDS = 5.0
"""Three intervals of silence are at least 15 s: a cluster asked every second may miss a few beats."""


class Quantity(StrEnum):
    """What a rule can compare."""

    BROKER_REACH = "broker_reach"  # collectors.domain.topology.Reach of each broker
    GROUP_VERDICT = "group_verdict"  # collectors.domain.verdicts.Verdict.severity of each group; "unknown" is not known
    GROUP_FALLS_BEHIND = "group_falls_behind"  # 1 for a group with that verdict, else 0
    GROUP_UNREAD_RATE = "group_unread_rate"  # records a second that come to a group without members; 0 with members
    GROUP_RECORDS_LOST = "group_records_lost"  # records deleted before the group read them, since the cycle before
    GROUP_LAG = "group_lag"  # records that wait for the group, known where that is of all its partitions
    GROUP_LOG_END_AGE = "group_log_end_age"  # seconds since the log end stood at the group's oldest committed offset
    GROUP_HEAD_AGE = "group_head_age"  # seconds that the group's oldest unread record is old, as read at most 30 s ago
    GROUP_DRAIN = "group_drain"  # seconds until the group has read what waits; inf where it does not drain
    GROUP_COUNTDOWN = "group_countdown"  # seconds until retention deletes what the group has not read; inf for never
    TOPIC_SKEW = "topic_skew"  # times its even share that a topic's hottest partition gets; 1 where none is hot
    DEAD_LETTERS_ARRIVED = "dead_letters_arrived"  # records that came into each dead-letter topic since the last look
    REPLICAS_BEHIND = "replicas_behind"  # partitions of whose replicas this broker's is not in sync
    COLLECTOR_SILENCE = "collector_silence"  # intervals since a cycle reached the cluster; stepped by the clock

    @property
    def subject_kind(self) -> str:
        return _KINDS[self]

    @property
    def is_stepped_by_clock(self) -> bool:
        return self is Quantity.COLLECTOR_SILENCE


_KINDS = {
    Quantity.BROKER_REACH: "broker",
    Quantity.GROUP_VERDICT: "group",
    Quantity.GROUP_FALLS_BEHIND: "group",
    Quantity.GROUP_UNREAD_RATE: "group",
    Quantity.GROUP_RECORDS_LOST: "group",
    Quantity.GROUP_LAG: "group",
    Quantity.GROUP_LOG_END_AGE: "group",
    Quantity.GROUP_HEAD_AGE: "group",
    Quantity.GROUP_DRAIN: "group",
    Quantity.GROUP_COUNTDOWN: "group",
    Quantity.TOPIC_SKEW: "topic",
    Quantity.DEAD_LETTERS_ARRIVED: "topic",
    Quantity.REPLICAS_BEHIND: "broker",
    Quantity.COLLECTOR_SILENCE: "cluster",
}


@dataclass(frozen=True, eq=False)
class Subjects:
    """One number for each subject of one kind; `numbers` has the length of `names`."""

    names: tuple[str, ...]
    numbers: Numbers

    @cached_property
    def index(self) -> Mapping[str, int]:
        return {name: i for i, name in enumerate(self.names)}


@dataclass(frozen=True, slots=True)
class LastEnds:
    """The last known number of records ever written to each dead-letter topic, as seen up to a cycle.

    Kept by the judge from cycle to cycle, so that what arrives while an answer is missing is counted when the next
    one comes; rebuilt from history after a restart.
    """

    cycle: int
    ends: Mapping[str, int] = field(default_factory=dict)
    has_looked: bool = False  # some earlier cycle listed the topics: one that was not listed then is new

    def after(self, cycle: int, now: ClusterNow | None, dead_letters: Mapping[str, str]) -> LastEnds:
        """The ends once a cycle has been looked at (`now` is None for a cycle without numbers)."""
        if now is None or not now.topics.names:
            return LastEnds(cycle, self.ends, self.has_looked)
        ends = dict(self.ends)
        for topic in dead_letters:
            position = now.topics.index.get(topic)
            if position is None:
                ends.pop(topic, None)  # deleted: what comes under its name later is new
            elif (end := now.topics.end_sum.at(position)) is not None:
                ends[topic] = int(end)
        return LastEnds(cycle, ends, True)


@dataclass(slots=True)
class Behind:
    """What a broker's replicas lack: partitions, and the topics that they are of."""

    partitions: int = 0
    topics: list[str] = field(default_factory=list)


def behind_by_broker(rows: Iterable[tuple[str, Sequence[Sequence[Any]]]]) -> dict[int, Behind]:
    """Broker -> what it lacks, of (topic, partitions as `collectors.models.Topic.partitions` holds them)."""
    found: dict[int, Behind] = {}
    for topic, partitions in rows:
        counts: dict[int, int] = {}
        for _leader, _epoch, replicas, isr, *_ in partitions:
            if len(isr) < len(replicas):
                for broker in set(replicas) - set(isr):
                    counts[broker] = counts.get(broker, 0) + 1
        for broker, count in counts.items():
            own = found.setdefault(broker, Behind())
            own.partitions += count
            own.topics.append(topic)
    return found


def replicas_behind(now: ClusterNow, behind: Mapping[int, Behind] | None) -> Subjects:
    """Partitions by broker; `behind` is None when the metadata is too old to say, and then nothing is known."""
    names = tuple(sorted({int(node) for node in now.brokers.ids} | set(behind or {})))
    known = [None if behind is None else (behind[node].partitions if node in behind else 0) for node in names]
    return Subjects(tuple(map(str, names)), Numbers.of(known))


def brokers(now: ClusterNow) -> Subjects:
    return Subjects(tuple(str(int(node)) for node in now.brokers.ids), now.brokers.reach)


def groups(now: ClusterNow) -> Subjects:
    """How severe the verdicts of groups are; the verdict UNKNOWN is a reading that is not known."""
    verdict = now.groups.verdict
    return Subjects(tuple(now.groups.names), Numbers(severities(verdict.values), _is_judged(now)))


def _is_judged(now: ClusterNow) -> NDArray[np.bool_]:
    verdict = now.groups.verdict
    judged: NDArray[np.bool_] = verdict.known & (verdict.values != int(Verdict.UNKNOWN))
    return judged


def falling_behind(now: ClusterNow) -> Subjects:
    """Which groups fall behind, also so far that retention passes them; a group that reads nothing at all is the
    business of another rule."""
    falls = np.isin(now.groups.verdict.values, [int(Verdict.FALLING_BEHIND), int(Verdict.LOSING_DATA)])
    return Subjects(tuple(now.groups.names), Numbers(falls.astype(np.int64), _is_judged(now)))


def unread_rates(now: ClusterNow) -> Subjects:
    """Records a second that come to groups that nobody is in; 0 for one that has no committed offset any more, since
    its topic or its offsets were deleted: nothing can come to it."""
    is_empty = now.groups.verdict.values == int(Verdict.NO_MEMBERS)
    arriving = now.groups.arriving_per_second
    has_none = np.array([state == "no_commit" for state in now.groups.lag_state], dtype=np.bool_)
    known = _is_judged(now) & (arriving.known | ~is_empty | has_none)
    return Subjects(tuple(now.groups.names), Numbers(np.where(is_empty & arriving.known, arriving.values, 0.0), known))


def records_lost(now: ClusterNow, before: ClusterNow | None) -> Subjects:
    """Records that each group has lost since the cycle before."""
    return Subjects(tuple(now.groups.names), lost_since(now, before))


def lags(now: ClusterNow) -> Subjects:
    return Subjects(tuple(now.groups.names), now.groups.lag)


def log_end_ages(now: ClusterNow) -> Subjects:
    """Log-end age of each group; one that is at least so old and not known further is not known."""
    return Subjects(tuple(now.groups.names), ages_at(now).groups.numbers)


def head_ages(now: ClusterNow) -> Subjects:
    """Age of the oldest unread record of each group, as it was read last; 0 where nothing waits but the markers of
    transactions."""
    found, lag = backlogs_at(now), now.groups.lag
    is_read = lag.known & (lag.values <= found.marked)
    seconds = np.where(is_read, 0.0, found.groups.values)
    return Subjects(tuple(now.groups.names), Numbers(seconds, found.groups.known | is_read))


def heads_to_read(now: ClusterNow) -> list[str]:
    """Groups of whose unread records more have to be read before an age is known, or known as exactly as it can be:
    fewer than OF_A_GROUP of those that wait are. Those that are the furthest behind in time come first."""
    found, names = backlogs_at(now), now.groups.names
    waits = now.lag.known & (now.lag.values > 0) & ~found.markers
    if not waits.any():
        return []
    owners = now.group_of_position
    waiting = np.bincount(owners[waits], minlength=len(names))
    exact = np.bincount(owners[waits & found.positions.known & ~found.is_at_most], minlength=len(names))
    at = np.flatnonzero(exact < np.minimum(waiting, OF_A_GROUP))
    behind = ages_at(now).groups.low[at]
    return [names[i] for i in at[np.argsort(-behind, kind="stable")].tolist()]


def drains(now: ClusterNow) -> Subjects:
    """Seconds until each group has read what waits, inf where it does not drain; 0 for one that keeps up."""
    found = drains_at(now)
    is_never = found.outcome == int(DrainOutcome.NOT_DRAINING)
    seconds = np.where(is_never, np.inf, found.seconds)  # 0 where it keeps up
    return Subjects(tuple(now.groups.names), Numbers(seconds, found.outcome != int(DrainOutcome.UNKNOWN)))


def countdowns(now: ClusterNow) -> Subjects:
    """Seconds until each group loses records, inf for never.

    What is lost already is the business of another rule: the countdown is over.
    """
    groups = countdowns_at(now).groups
    is_over = groups.is_never | (groups.outcome == int(Outcome.OVERTAKEN))
    seconds = np.where(is_over, np.inf, groups.seconds)
    return Subjects(tuple(now.groups.names), Numbers(seconds, groups.is_number | is_over))


def skew(now: ClusterNow, internal: Collection[str]) -> Subjects:
    """How hot the hottest partition of each topic is. `internal`: topics whose keys nobody chooses."""
    at = [i for i, name in enumerate(now.topics.names) if name not in internal]
    names = tuple(now.topics.names[i] for i in at)
    return Subjects(names, now.topics.times_even.take(np.array(at, dtype=np.int64)))


def dead_letters(now: ClusterNow, last: LastEnds, topics: Mapping[str, str]) -> Subjects:
    """Records that arrived in each dead-letter topic since it was last known.

    `topics`: dead-letter topic -> source. A topic that an earlier look did not list brings all that it holds; an end
    that went down means a new topic under the old name, which does, too.
    """
    names = tuple(topic for topic in topics if topic in now.topics.index)
    arrived: list[int | None] = []
    for topic in names:
        end = now.topics.end_sum.at(now.topics.index[topic])
        before = last.ends.get(topic)
        if end is None or (before is None and not last.has_looked):
            arrived.append(None)
        elif before is None or end < before:
            arrived.append(int(end) - first_offsets(now, topic))
        else:
            arrived.append(int(end) - before)
    return Subjects(names, Numbers.of(arrived))


def first_offsets(now: ClusterNow, topic: str) -> int:
    """Sum of a topic's first offsets, 0 where it is not known yet (a topic made since the last survey begins at 0)."""
    if now.start.layout.owner_index(topic) is None:
        return 0
    starts = now.start.of(topic)
    return int(np.where(starts.known, starts.values, 0).sum())


def silent_intervals(age_seconds: float, interval_seconds: float) -> float:
    """How many intervals an age is, an interval counted as 5 s at least."""
    return age_seconds / max(interval_seconds, SHORTEST_SILENT_INTERVAL_SECONDS)
