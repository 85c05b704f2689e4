"""Retention countdown of every group at a cycle: the numbers of now, the log starts of lately, the topics' settings."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collectors.domain.ages import beyond_markers
from collectors.domain.countdown import Countdowns, Retention, Trim, countdowns, soonest_by_owner, trim_of
from collectors.domain.heads import are_markers
from collectors.domain.lag import gather, within_log
from collectors.domain.numbers import NO_COMMIT, Numbers
from collectors.domain.verdicts import Verdict

from . import decoded, layouts, reading
from .ages import AgesNow, ages_at
from .cache import LeastRecent
from .kinds import Kind
from .layouts import stored
from .now import ClusterNow
from .policies import UNKNOWN, policies_of

Ints = NDArray[np.int64]

TRIM_SAMPLES = 30
"""Log starts looked at: half an hour of those asked for each minute, five minutes of those asked for every 10 s."""


@dataclass(frozen=True, slots=True, eq=False)
class CountdownsNow:
    """Countdowns as of one cycle. Arrays are shared between callers and must not be written."""

    positions: Countdowns  # (n,) by position of the committed layout
    retention: Retention  # (n,) how their topics are set
    trim: Trim  # (n,) how their log starts move
    consumed: Numbers  # (n,) how fast they are read: 0 where the group has no members, without two samples too
    groups: Countdowns  # by ClusterNow.groups.names: the soonest position, all that is at stake
    worst: Ints  # that position; -1 where there is none


_results: LeastRecent[tuple[int, int, float, bool], CountdownsNow] = LeastRecent(
    3_000_000, lambda one: 9 * len(one.positions) + 2_000
)
_turns: dict[int, threading.Lock] = {}


def countdowns_at(now: ClusterNow, ages: AgesNow | None = None) -> CountdownsNow:
    """Countdowns of all positions and groups; five queries a cycle at most. `ages`: better ones than `ages_at`'s."""
    if ages is not None:
        return _compute(now, ages)
    found = _results.get(now.key)
    if found is None:
        with _turns.setdefault(now.cluster_id, threading.Lock()):
            found = _results.get(now.key)
            if found is None:
                found = _results.put(now.key, _compute(now, ages_at(now)))
    return found


def _compute(now: ClusterNow, ages: AgesNow) -> CountdownsNow:
    layout = now.committed.layout
    own = stored(layout)
    is_within = within_log(now.committed.numbers, now.end_of_committed).known
    committed = beyond_markers(now.committed.numbers, now.end_of_committed, is_within & are_markers(now.heads))
    has_commit = committed.known & (committed.values != NO_COMMIT)
    start = gather(now.start.numbers, stored(now.start.layout).positions_by_topic(own))
    size = gather(now.size.numbers, stored(now.size.layout).positions_by_topic(own))
    settings = policies_of(now.cluster_id)
    by_topic = [settings.get(topic, UNKNOWN) for topic in own.topic_names]
    of = own.topic_numbers
    retention = Retention(
        Numbers.of([one.seconds for one in by_topic], np.float64).take(of),
        Numbers.of([one.size_bytes for one in by_topic]).take(of),
        Numbers.of([None if one.deletes is None else int(one.deletes) for one in by_topic]).take(of),
    )
    # where nothing but compaction takes records, the first one moves on and nothing unread is lost
    keeps = retention.deletes.known & (retention.deletes.values == 0)
    start = Numbers(start.values, start.known & ~keeps)
    trim = _trim(now, ages.waiting[~keeps[ages.waiting]])
    owners = now.group_of_position
    verdict = now.groups.verdict.take(owners)
    nobody = verdict.known & (verdict.values == int(Verdict.NO_MEMBERS))
    consumed = Numbers(np.where(nobody, 0.0, now.consumed.values), now.consumed.known | nobody)
    found = countdowns(
        committed,
        start,
        now.end_of_committed,
        has_commit,
        ages=ages.positions,
        retention=retention,
        trim=trim,
        consumed=consumed,
        arriving=now.arriving,
        size_bytes=size,
    )
    counted = ~(committed.known & ~has_commit)
    groups, worst = soonest_by_owner(found, counted, owners, len(now.groups.names))
    return CountdownsNow(found, retention, trim, consumed, groups, worst)


def _trim(now: ClusterNow, waiting: Ints) -> Trim:
    """How the log starts of the positions where records wait have moved; of the others it is not asked."""
    count = len(now.committed.layout)
    rate, at, known = np.zeros(count), np.zeros(count), np.zeros(count, dtype=np.bool_)
    if len(waiting):
        rows = reading.first_segments(now.cluster_id, Kind.START).filter(cycle__lte=now.cycle)
        cycles = list(rows.order_by("-cycle").values_list("cycle", flat=True)[:TRIM_SAMPLES])
        marks = decoded.marks(reading.first_segments(now.cluster_id, Kind.START).filter(cycle__in=cycles))
        own = marks.get(Kind.START, [])
        loaded = layouts.load_named({mark.layout: mark.digest for mark in own})
        columns = decoded.columns(now.cluster_id, Kind.START, own, loaded)
        mine = stored(now.committed.layout)
        found = [
            (mark.taken_at, gather(column.numbers, stored(column.layout).positions_by_topic(mine)[waiting]))
            for mark, column in zip(own, columns, strict=True)
            if column is not None
        ]
        if found:
            times = np.array([moment for moment, _ in found])
            values, there = np.stack([one.values for _, one in found]), np.stack([one.known for _, one in found])
            trim = trim_of(times, values, there, now=now.taken_at)
            rate[waiting], at[waiting] = trim.per_second.values, trim.start.values
            known[waiting] = trim.per_second.known
    return Trim(Numbers(rate, known), Numbers(at, known))
