"""A cluster at one cycle: offsets, lag, rates and verdicts, the same then and when it is looked at later."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from collectors.domain.lag import gather, held_records, lost_records, partition_lag, sums
from collectors.domain.numbers import NO_COMMIT, Column, Numbers
from collectors.domain.rates import rate_per_second
from collectors.domain.skew import times_even
from collectors.domain.verdicts import Verdict

from . import decoded, layouts, sql
from .cache import LeastRecent
from .codec import HEADER_BYTES
from .decoded import Mark
from .kinds import EVERY_CYCLE, Kind
from .layouts import StoredLayout, stored
from .policies import without_compacted

WINDOW_STEPS = 6
WINDOW_SECONDS = 15.0
"""Rates look back over six steps and 15 s at least: three times the usual commit interval, which is a sawtooth."""
_CYCLES_READ = 24  # enough for 15 s at the shortest interval, 1 s
STALE_CYCLES = 3
_KNOWN, _UNKNOWN, _NO_COMMIT = 0, 1, 2
_LAG_STATES = ("known", "unknown", "no_commit")

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TopicsNow:
    """One entry per topic of the newest end offsets. Each sum is known only if all partitions are."""

    names: tuple[str, ...]
    index: Mapping[str, int]
    end_sum: Numbers  # log end offsets added up
    arrived: Numbers  # records since the sample before
    messages_per_second: Numbers
    size_bytes: Numbers  # of the leaders' replicas
    times_even: Numbers  # how many times its even share the hottest partition got of the newest records, 1: none is hot
    hot_partition: Ints  # that partition; -1 where none is hot
    hot_share: NDArray[np.float64]  # of 1, what it got; 0 where none is hot


@dataclass(frozen=True, slots=True, eq=False)
class GroupsNow:
    """One entry per group, and arrays named gt_ with one entry per group and topic that it has positions in."""

    names: tuple[str, ...]
    index: Mapping[str, int]
    lag: Numbers  # known only if it is at every position with a commit
    lag_state: tuple[str, ...]  # "known", "unknown", "no_commit" (known to have no commit anywhere)
    lost: Numbers  # records between commits and log starts that lie past them: deleted before they were read
    uncommitted: Ints  # positions known to have no commit
    consumed_per_second: Numbers
    arriving_per_second: Numbers  # at the positions with a commit
    verdict: Numbers  # collectors.domain.verdicts.Verdict
    gt_group: Ints  # index into names
    gt_topic: Ints  # index into TopicsNow.names, -1 for a topic without end offsets
    gt_lag: Numbers
    gt_consumed_per_second: Numbers
    gt_uncommitted: Ints
    gt_topic_names: tuple[str, ...]

    def pairs(self) -> list[tuple[str, str]]:
        """(group, topic) of each entry of the gt_ arrays."""
        return [
            (self.names[group], topic) for group, topic in zip(self.gt_group.tolist(), self.gt_topic_names, strict=True)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class BrokersNow:
    ids: tuple[int, ...]
    reach: Numbers  # collectors.domain.topology.Reach


@dataclass(frozen=True, slots=True, eq=False)
class ClusterNow:
    """What is known of a cluster as of one cycle. Arrays are shared between callers and must not be written."""

    cluster_id: int
    cycle: int
    taken_at: float  # unix seconds
    interval: float  # seconds between the samples around this cycle
    end: Column
    start: Column  # as of the survey before; an empty column before the first
    size: Column  # likewise
    stable: Column  # last stable offsets, of topics where an open transaction holds records back now
    committed: Column
    lag: Numbers  # aligned with committed.layout
    lost: Numbers  # likewise: records that were deleted before the group read them
    held: Numbers  # likewise: of the lag, the records of open transactions, which who reads committed ones cannot have
    end_of_committed: Numbers  # the log end at each position of committed.layout
    arriving: Numbers  # records per second written to each position of committed.layout
    consumed: Numbers  # and read by the group; 0 where it has no members: what a tool sets is nothing that was read
    moved: Numbers  # how fast the commits grow, whoever makes them
    heads: Numbers  # likewise: what collectors.domain.heads keeps of the first record that waits
    partition_verdicts: Numbers  # likewise: collectors.domain.partitions.PartitionVerdict
    committed_at: Numbers  # likewise: as Kind.COMMITTED_AT; nothing of it is known where commits are not read
    end_rates: Numbers  # records per second written, aligned with end.layout
    topics: TopicsNow
    groups: GroupsNow
    brokers: BrokersNow
    window_samples: int  # that rates come from: with fewer than 2 there are none
    is_old: bool = False  # too long ago to speak of now: see `without_present`

    @property
    def key(self) -> tuple[int, int, float, bool]:
        """What is made of these numbers alone may be kept by it."""
        return self.cluster_id, self.cycle, self.taken_at, self.is_old

    @property
    def group_of_position(self) -> Ints:
        """(n,) index in `groups` of the group that each position of the committed layout is of."""
        layout, index = self.committed.layout, self.groups.index
        of_owner = np.array([index[owner] for owner in layout.owners], dtype=np.int64)
        return of_owner[layout.owner_of_position]


def without_present(now: ClusterNow) -> ClusterNow:
    """The same, where it is too long ago: what groups do, what waits for them and what comes is not known."""
    groups, nothing = now.groups, Numbers.unknown(len(now.committed.layout))
    topics, none_of_topics = now.topics, Numbers.unknown(len(now.topics.names))
    count, pairs = len(groups.names), len(groups.gt_group)
    unknown, none_of_pairs = Numbers.unknown(count), Numbers.unknown(pairs)
    return replace(
        now,
        lag=nothing,
        held=nothing,
        arriving=nothing,
        consumed=nothing,
        committed_at=nothing,
        partition_verdicts=nothing,
        end_rates=Numbers.unknown(len(now.end.layout)),
        topics=replace(
            topics,
            arrived=none_of_topics,
            messages_per_second=none_of_topics,
            size_bytes=none_of_topics,
            times_even=none_of_topics,
            hot_partition=np.full(len(topics.names), -1, dtype=np.int64),
        ),
        groups=replace(
            groups,
            lag=unknown,
            lag_state=(_LAG_STATES[_UNKNOWN],) * count,
            lost=unknown,
            consumed_per_second=unknown,
            arriving_per_second=unknown,
            verdict=unknown,
            gt_lag=none_of_pairs,
            gt_consumed_per_second=none_of_pairs,
        ),
        is_old=True,
    )


# Weighed with a large constant, else a small cluster's results of the last hours would fill the memory: nobody asks
# for the old ones again.
_results: LeastRecent[tuple[object, ...], ClusterNow] = LeastRecent(
    3_000_000, lambda now: 8 * (len(now.committed.layout) + len(now.end.layout)) + 40_000
)
_turns: dict[int, threading.Lock] = {}


def cluster_at(cluster_id: int, cycle: int | None = None) -> ClusterNow | None:
    """The cluster as of the newest stored cycle, or of the newest at or before `cycle`; None before the first.

    Each kind counts with its newest frame up to then. End and committed offsets, verdicts and brokers that are
    more than 3 cycles (or intervals) older count as unknown. Two queries when the answer is in memory.
    """
    found = _find(cluster_id, cycle)
    if found is None:
        return None
    asked, configured, marks = found
    key = (cluster_id, asked, *((kind, m.key, m.taken_at) for kind, own in marks.items() for m in own))
    result = _results.get(key)
    if result is None:
        with _turns.setdefault(cluster_id, threading.Lock()):  # several threads ask for a new cycle at once
            result = _results.get(key)
            if result is None:
                result = _results.put(key, _compute(cluster_id, asked, configured, marks))
    return result


def _find(cluster_id: int, cycle: int | None) -> tuple[int, float, dict[Kind, list[Mark]]] | None:
    """The cycle meant, the cluster's configured interval, and the frames that matter."""
    facts = sql.newest(cluster_id, cycle)
    if facts is None:
        return None
    configured, last, slow = facts
    if last is None:
        return None
    found = decoded.marks_of(sql.marks(cluster_id, last - _CYCLES_READ, last, slow, HEADER_BYTES))
    return (last if cycle is None else cycle), configured, found


def _spacing(times: NDArray[np.float64], configured: float) -> float:
    """Seconds between samples as they were taken, which holds for the past too; before there are two, the setting."""
    steps = np.diff(times[-8:])
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else configured


def _window(own: Sequence[Mark], interval: float) -> list[Mark]:
    """The newest samples that a rate looks at, oldest first, with times that grow."""
    out: list[Mark] = []
    reach = max(WINDOW_SECONDS, WINDOW_STEPS * interval) + interval / 2
    for mark in reversed(own):
        if out and (mark.taken_at >= out[-1].taken_at or out[0].taken_at - mark.taken_at > reach):
            break
        out.append(mark)
    return out[::-1]


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """The newest column of a kind, and its window aligned with it: times (k,), values and known (k, n)."""

    column: Column
    stored: StoredLayout
    times: NDArray[np.float64]
    values: Ints
    known: NDArray[np.bool_]

    def rates(self, valid_from: int | None = None) -> Numbers:
        """Per position; unknown where the newest sample is: an old rate is not the rate now."""
        rates = rate_per_second(self.times, self.values, self.known, valid_from=valid_from)
        return Numbers(rates.values, rates.known & self.column.numbers.known)


def _compute(cluster_id: int, asked: int, configured: float, marks: Mapping[Kind, list[Mark]]) -> ClusterNow:
    newest = max((own[-1] for kind, own in marks.items() if kind in EVERY_CYCLE), key=lambda mark: mark.cycle)
    beat = max((marks.get(kind, []) for kind in EVERY_CYCLE), key=len)
    interval = _spacing(np.array([mark.taken_at for mark in beat]), configured)
    loaded = layouts.load_named({mark.layout: mark.digest for own in marks.values() for mark in own})

    def kept(kind: Kind, *, stale: bool = True, window: bool = False) -> _Kept:
        own = marks.get(kind, [])
        chosen = (_window(own, interval) if window else own[-1:]) if own else []
        columns = decoded.columns(cluster_id, kind, chosen, loaded)
        if not columns or columns[-1] is None:
            return _kept(Column.empty(), [], [])
        last = chosen[-1]
        is_old = asked - last.cycle > STALE_CYCLES or newest.taken_at - last.taken_at > (STALE_CYCLES + 0.5) * interval
        column = columns[-1]
        if stale and is_old:
            return _kept(Column(column.layout, Numbers.unknown(len(column.layout))), [], [])
        readable = [(m.taken_at, c) for m, c in zip(chosen, columns, strict=True) if c is not None]
        return _kept(column, [at for at, _ in readable], [c for _, c in readable])

    end, committed = kept(Kind.END, window=True), kept(Kind.COMMITTED, window=True)
    start, size = kept(Kind.START, stale=False), kept(Kind.SIZE, stale=False)
    brokers, verdict = kept(Kind.BROKER).column, kept(Kind.VERDICT)
    positions = end.stored.positions_by_topic(committed.stored)
    end_rates = end.rates()
    end_there = gather(end.column.numbers, positions)
    start_there = gather(start.column.numbers, start.stored.positions_by_topic(committed.stored))
    lag = partition_lag(committed.column.numbers, end_there, start_there)
    lost = lost_records(committed.column.numbers, start_there)
    lost = without_compacted(cluster_id, committed.column.layout.topics, lost)
    is_held = any(mark.cycle == newest.cycle for mark in marks.get(Kind.STABLE, []))
    stable = kept(Kind.STABLE) if is_held else _kept(Column.empty(), [], [])
    arriving, moved = gather(end_rates, positions), committed.rates(valid_from=0)
    consumed = _by_members(moved, committed.stored, verdict)
    return ClusterNow(
        cluster_id=cluster_id,
        cycle=newest.cycle,
        taken_at=newest.taken_at,
        interval=interval,
        end=end.column,
        start=start.column,
        size=size.column,
        committed=committed.column,
        lag=lag,
        lost=lost,
        held=held_records(lag, end_there, stable.column.numbers, stable.stored.positions_by_topic(committed.stored)),
        stable=stable.column,
        end_of_committed=end_there,
        arriving=arriving,
        consumed=consumed,
        moved=moved,
        heads=_of_these_offsets(Kind.HEAD, kept(Kind.HEAD), marks, committed.stored),
        partition_verdicts=_while_told(kept(Kind.PARTITION_VERDICT, stale=False), verdict, committed.stored),
        committed_at=_of_these_offsets(Kind.COMMITTED_AT, kept(Kind.COMMITTED_AT), marks, committed.stored),
        end_rates=end_rates,
        topics=_topics(end, end_rates, size),
        groups=_groups(committed, lag, lost, arriving, consumed, end.stored, verdict),
        brokers=BrokersNow(tuple(int(owner) for owner in brokers.layout.owners), brokers.numbers),
        window_samples=len(end.times),
    )


def _by_members(moved: Numbers, committed: StoredLayout, verdict: _Kept) -> Numbers:
    """How fast is read, by position of the committed layout: where a group has no members, nobody does."""
    verdicts = gather(verdict.column.numbers, verdict.stored.owners_of(committed))
    nobody = verdicts.known & (verdicts.values == int(Verdict.NO_MEMBERS))
    if not nobody.any():
        return moved
    return Numbers(np.where(nobody[committed.layout.owner_of_position], 0.0, moved.values), moved.known)


def _while_told(found: _Kept, verdict: _Kept, committed: StoredLayout) -> Numbers:
    """By position of the committed layout: what was stored last holds as long as verdicts of groups are stored."""
    if not verdict.column.numbers.known.any():
        return Numbers.unknown(len(committed.layout))
    return gather(found.column.numbers, found.stored.positions_of(committed))


def _of_these_offsets(own: Kind, found: _Kept, marks: Mapping[Kind, list[Mark]], committed: StoredLayout) -> Numbers:
    """By position of the committed layout; only of the cycle that commits and log ends are of."""
    cycles = {marks[kind][-1].cycle if marks.get(kind) else None for kind in (own, Kind.COMMITTED, Kind.END)}
    if len(cycles) > 1:
        return Numbers.unknown(len(committed.layout))
    return gather(found.column.numbers, found.stored.positions_of(committed))


def _kept(column: Column, times: Sequence[float], window: Sequence[Column]) -> _Kept:
    own = stored(column.layout)
    rows = [
        each.numbers if each.layout is column.layout else gather(each.numbers, stored(each.layout).positions_of(own))
        for each in window
    ]
    count = len(column.layout)
    return _Kept(
        column,
        own,
        np.array(times, dtype=np.float64),
        np.array([row.values for row in rows], dtype=np.int64).reshape(len(rows), count),
        np.array([row.known for row in rows], dtype=np.bool_).reshape(len(rows), count),
    )


def _topics(end: _Kept, rates: Numbers, size: _Kept) -> TopicsNow:
    layout = end.column.layout
    owners, count = layout.owner_of_position, len(layout.owners)
    arrived = Numbers.unknown(len(layout))
    if len(end.times) >= 2:
        step = end.values[-1] - end.values[-2]
        known = end.known[-1] & end.known[-2] & (step >= 0)
        arrived = Numbers(np.where(known, step, 0), known)
    sizes = sums(size.column.numbers, size.column.layout.owner_of_position, len(size.column.layout.owners))
    times, hot_partition, hot_share = _skew(end, rates)
    return TopicsNow(
        names=layout.owners,
        index={name: i for i, name in enumerate(layout.owners)},
        end_sum=sums(end.column.numbers, owners, count),
        arrived=sums(arrived, owners, count),
        messages_per_second=sums(rates, owners, count),
        size_bytes=gather(sizes, size.stored.owners_of(end.stored)),
        times_even=times,
        hot_partition=hot_partition,
        hot_share=hot_share,
    )


def _skew(end: _Kept, rates: Numbers) -> tuple[Numbers, Ints, NDArray[np.float64]]:
    """Of each topic over the rates' window: times even, number and share of its hottest partition."""
    layout = end.column.layout
    count, seconds = len(layout.owners), float(end.times[-1] - end.times[0]) if len(end.times) > 1 else 0.0
    records = Numbers(rates.values * seconds, rates.known)
    by_partition = times_even(records, layout.owner_of_position, count)
    most, known = np.ones(count), np.zeros(count, dtype=np.bool_)
    np.maximum.at(most, layout.owner_of_position, np.where(by_partition.known, by_partition.values, 1.0))
    known[layout.owner_of_position[by_partition.known]] = True
    hot_partition, hot_share = np.full(count, -1, dtype=np.int64), np.zeros(count)
    for topic in np.flatnonzero(most > 1).tolist():
        where = layout.slice_of(layout.owners[topic])
        hottest = where.start + int(np.argmax(by_partition.values[where]))
        hot_partition[topic] = int(layout.partitions[hottest])
        hot_share[topic] = records.values[hottest] / records.values[where].sum()
    return Numbers(most, known), hot_partition, hot_share


def _groups(
    committed: _Kept,
    lag: Numbers,
    lost: Numbers,
    arriving: Numbers,
    consumed: Numbers,
    end: StoredLayout,
    verdict: _Kept,
) -> GroupsNow:
    layout, numbers = committed.column.layout, committed.column.numbers
    names = layout.owners
    if verdict.column.layout.owners != names:
        names = tuple(sorted({*names, *verdict.column.layout.owners}))
    index = {name: i for i, name in enumerate(names)}
    translate = np.array([index[owner] for owner in layout.owners], dtype=np.int64)
    owners = translate[layout.owner_of_position] if len(layout) else np.zeros(0, dtype=np.int64)
    without = numbers.known & (numbers.values == NO_COMMIT)
    counted = np.flatnonzero(~without)  # what a group's lag needs: commits, and what nobody could say

    def by_group(values: Numbers) -> Numbers:
        return sums(values.take(counted), owners[counted], len(names))

    lags = by_group(lag)
    states = np.full(len(names), _UNKNOWN)
    states[translate] = np.where(
        np.bincount(owners[counted], minlength=len(names))[translate] == 0, _NO_COMMIT, _UNKNOWN
    )
    states[lags.known] = _KNOWN
    firsts, run = committed.stored.pairs
    verdicts = verdict.column.layout
    at = (
        verdict.stored.owners_of(committed.stored)
        if names == layout.owners
        else np.array([-1 if (i := verdicts.owner_index(name)) is None else i for name in names], dtype=np.int64)
    )
    topic_of = np.array(
        [-1 if (i := end.layout.owner_index(name)) is None else i for name in committed.stored.topic_names],
        dtype=np.int64,
    )
    numbers_of_topics = committed.stored.topic_numbers[firsts]
    return GroupsNow(
        names=names,
        index=index,
        lag=lags,
        lag_state=tuple(_LAG_STATES[state] for state in states.tolist()),
        lost=by_group(lost),
        uncommitted=np.bincount(owners[without], minlength=len(names)),
        consumed_per_second=by_group(consumed),
        arriving_per_second=by_group(arriving),
        verdict=gather(verdict.column.numbers, at),
        gt_group=owners[firsts],
        gt_topic=topic_of[numbers_of_topics] if len(firsts) else np.zeros(0, dtype=np.int64),
        gt_lag=sums(lag.take(counted), run[counted], len(firsts)),
        gt_consumed_per_second=sums(consumed.take(counted), run[counted], len(firsts)),
        gt_uncommitted=np.bincount(run[without], minlength=len(firsts)),
        gt_topic_names=tuple(committed.stored.topic_names[i] for i in numbers_of_topics.tolist()),
    )
