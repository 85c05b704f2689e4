"""What a consumer group is doing, judged without thresholds on lag, in a word.

The rules, in the order in which they win (each is a function named as a question about positions or groups):

1. nobody is there            -> no members: without readers nothing else can be said of the group
2. a partition stands still   -> no progress: records wait, more arrive, the committed offset does not move; while the
                                 lag of the group falls as a whole, a partition may wait its turn for longer
3. the lag climbs             -> falling behind: beyond the sawtooth that commits draw, and does not fall by now
4. members, but no commit     -> not committing
5. something is not known     -> unknown: a part that is fine does not speak for the whole
6. otherwise                  -> ok
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from .numbers import NO_COMMIT, Column, Layout, Numbers
from .topology import GroupType
from .trends import trends
from .window import LENGTH, Window

STALL_SECONDS = 15.0
"""Three of Kafka's default commit intervals (5 s) without movement."""
STALL_SAMPLES = 3
TURN_SECONDS = 100.0
"""How long a partition may wait for its turn while the lag of its group falls: a reader that works off a backlog is
given what was fetched ahead of one partition after the other (75 s were seen of librdkafka with 4 MB)."""
TURN_SHARE = 0.85
"""But no longer than this share of what the window can hold."""


class Verdict(IntEnum):
    """Ordered by severity, so that `max` works. The numbers are stored in frames: never renumber."""

    OK = 0
    UNKNOWN = 1
    NOT_COMMITTING = 2
    NO_MEMBERS = 3
    FALLING_BEHIND = 4
    NO_PROGRESS = 5

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class GroupRow:
    """What is known of a group beside its offsets."""

    name: str
    type: GroupType
    members: int | None  # None: it could not be described


@dataclass(frozen=True, slots=True)
class Positions:
    """Facts about each position (n,) of a window, seen from its newest sample."""

    lag: NDArray[np.int64]
    known: NDArray[np.bool_]  # the commit and the log end are known now, and the group has committed here
    base: NDArray[np.int64]  # row of the last sample at which the commit moved or nothing waited; else the first
    base_is_seen: NDArray[np.bool_]  # such a sample is in the window
    waiting_seconds: NDArray[np.float64]
    samples_since: NDArray[np.int64]  # known samples after the base
    arrived_since: NDArray[np.int64]  # records that arrived after the base
    uncommitted: NDArray[np.bool_]  # known: assigned, and no offset was ever committed
    uncommitted_seconds: NDArray[np.float64]
    uncommitted_arrived: NDArray[np.int64]


def positions(window: Window, where: slice = slice(None)) -> Positions:
    """Facts about the positions in `where`; the window must hold at least one sample."""
    times = window.times
    count = len(range(*where.indices(len(window.layout))))
    base, samples_since, arrived_since = (np.zeros(count, dtype=np.int64) for _ in range(3))
    first_none, arrived_since_none = (np.zeros(count, dtype=np.int64) for _ in range(2))
    was_known, base_is_seen, was_none = (np.zeros(count, dtype=np.bool_) for _ in range(3))
    before = np.zeros(count, dtype=np.int64)  # the last known commit
    end_before = window.samples[0].end.values[where]
    # A pass a sample, since 100 000 positions stay in the cache and twenty-four times as many would not. Masks are
    # multiplied with: that costs a fifth of choosing by them.
    for row, sample in enumerate(window.samples):
        committed, end = sample.committed.values[where], sample.end.values[where]
        answered = sample.committed.known[where] & sample.end.known[where]
        no_commit = committed == NO_COMMIT
        both = answered & ~no_commit
        fine = both & ((was_known & (committed != before)) | (end <= committed))
        begins = fine | (both & ~was_known)  # until something is fine, the first known sample is the base
        goes_on = ~begins
        base = np.maximum(base, row * begins)
        samples_since = (samples_since + both) * goes_on
        # over the samples between, whatever an unknown end held there is added and taken away again
        arrived = end - end_before
        arrived_since = (arrived_since + arrived) * goes_on
        before = committed if both.all() else np.where(both, committed, before)
        was_known |= both
        base_is_seen |= fine
        none = answered & no_commit
        if was_none.any() or none.any():
            first = none & ~was_none
            first_none = np.maximum(first_none, row * first)
            arrived_since_none = (arrived_since_none + arrived) * ~first
            was_none |= none
        end_before = end
    lag = np.maximum(end - committed, 0) * both
    return Positions(
        lag=lag,
        known=both,
        base=base,
        base_is_seen=base_is_seen,
        waiting_seconds=np.where(lag > 0, times[-1] - times[base], 0.0),
        samples_since=samples_since,
        arrived_since=arrived_since * both,
        uncommitted=none,
        uncommitted_seconds=np.where(none, times[-1] - times[first_none], 0.0),
        uncommitted_arrived=arrived_since_none * none,
    )


def stands_still(facts: Positions, *, interval_seconds: float, takes_turns: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Positions whose records wait and increase while the committed offset does not move.

    `takes_turns` (n,) or (1,): the lag of the group falls as a whole, so that a partition may be waiting for its turn.
    """
    enough = max(STALL_SECONDS, STALL_SAMPLES * interval_seconds)
    patient = max(enough, min(TURN_SECONDS, TURN_SHARE * (LENGTH - 1) * interval_seconds))
    long_enough = facts.waiting_seconds >= np.where(takes_turns, patient, enough)
    return (
        facts.known & (facts.lag > 0) & long_enough & (facts.samples_since >= STALL_SAMPLES) & (facts.arrived_since > 0)
    )


def stood_since(window: Window, group: str, *, interval_seconds: float) -> float | None:
    """Unix seconds of the last movement of the partition of `group` that has stood still longest; None if none does."""
    if window.layout.owner_index(group) is None or not window.samples:
        return None
    part = window.only(group)
    facts = positions(part)
    still = stands_still(facts, interval_seconds=interval_seconds, takes_turns=trends(part)[1])
    return float(part.times[facts.base[still].min()]) if still.any() else None


def is_undecided(facts: Positions, *, interval_seconds: float) -> NDArray[np.bool_]:
    """Positions where records wait and nothing was seen yet that says whether they are read.

    So it is in the first seconds after a start, a step of the clock or a gap: neither "ok" nor "no progress".
    """
    long_enough = facts.waiting_seconds >= max(STALL_SECONDS, STALL_SAMPLES * interval_seconds)
    seen_enough = long_enough & (facts.samples_since >= STALL_SAMPLES)
    return facts.known & (facts.lag > 0) & ~facts.base_is_seen & ~seen_enough


def never_commits(facts: Positions, *, interval_seconds: float) -> NDArray[np.bool_]:
    """Positions that are assigned and get records, and for which no offset was ever committed."""
    long_enough = facts.uncommitted_seconds >= max(STALL_SECONDS, STALL_SAMPLES * interval_seconds)
    return facts.uncommitted & long_enough & (facts.uncommitted_arrived > 0)


def judge_groups(window: Window, groups: Mapping[str, GroupRow], *, interval_seconds: float) -> Column:
    """A verdict for each known group: a column owned by groups, one position each, always known."""
    layout = Layout.single(groups)
    if not window.samples:
        return Column(layout, Numbers(np.full(len(layout), int(Verdict.UNKNOWN)), np.ones(len(layout), np.bool_)))
    facts = positions(window)
    climbs, falls = trends(window)
    takes_turns = np.repeat(falls, np.diff(window.layout.starts))
    still = stands_still(facts, interval_seconds=interval_seconds, takes_turns=takes_turns)
    stuck = _any_by_owner(still, window.layout)
    silent = _any_by_owner(never_commits(facts, interval_seconds=interval_seconds), window.layout)
    unanswered = ~(facts.known | facts.uncommitted)
    unknown = _any_by_owner(unanswered | is_undecided(facts, interval_seconds=interval_seconds), window.layout)
    verdicts = np.zeros(len(layout), dtype=np.int64)
    for i, name in enumerate(layout.owners):
        row = groups[name]
        at = window.layout.owner_index(name)
        verdicts[i] = _verdict(
            row,
            has_positions=at is not None,
            stuck=at is not None and bool(stuck[at]),
            climbs=at is not None and bool(climbs[at]),
            silent=at is not None and bool(silent[at]),
            unknown=at is None or bool(unknown[at]),
        )
    return Column(layout, Numbers(verdicts, np.ones(len(layout), dtype=np.bool_)))


def _verdict(row: GroupRow, *, has_positions: bool, stuck: bool, climbs: bool, silent: bool, unknown: bool) -> Verdict:
    if row.type in (GroupType.SHARE, GroupType.UNKNOWN):
        return Verdict.UNKNOWN  # a share group's lag is the broker's own, not commit against log end
    if row.members == 0:
        return Verdict.NO_MEMBERS
    if stuck:
        return Verdict.NO_PROGRESS
    if climbs:
        return Verdict.FALLING_BEHIND
    if silent:
        return Verdict.NOT_COMMITTING
    if unknown or row.members is None or not has_positions:
        return Verdict.UNKNOWN
    return Verdict.OK


def _any_by_owner(flags: NDArray[np.bool_], layout: Layout) -> NDArray[np.bool_]:
    out = np.zeros(len(layout.owners), dtype=np.bool_)
    filled = np.diff(layout.starts) > 0
    if filled.any():
        out[filled] = np.logical_or.reduceat(flags, layout.starts[:-1][filled])
    return out
