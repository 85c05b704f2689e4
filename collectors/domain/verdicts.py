"""What a consumer group is doing, judged without thresholds on lag, in a word and a sentence.

The rules, in the order in which they win (each is a function named as a question about positions or groups):

1. nobody is there            -> no members: without readers nothing else can be said of the group
2. a partition stands still   -> no progress: records wait, more arrive, the committed offset does not move
3. the lag climbs             -> falling behind: beyond the sawtooth that commits draw
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

from . import words
from .numbers import NO_COMMIT, Column, Layout, Numbers
from .rates import rate_per_second
from .topology import GroupType
from .window import Window

STALL_SECONDS = 15.0
"""Three of Kafka's default commit intervals (5 s) without movement."""
STALL_SAMPLES = 3
TREND_SAMPLES = 9
TREND_SECONDS = 30.0
UNREAD_SHARE = 0.04
"""Of what arrived in the window this share stayed unread, or the lag does not climb (the arrivals swing)."""
BEAT_SECONDS = 5.0
"""Commits and samples of nearly the same interval beat: the lag seen drifts through all that arrives in one commit
interval (Kafka's default) without anybody falling behind. A climb of less than that is no climb."""


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
class Finding:
    """A verdict with the sentence that says why."""

    verdict: Verdict
    sentence: str
    since: float | None  # unix seconds; None where no moment can be named
    evidence: tuple[str, ...] = ()


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
    committed, committed_known, end, end_known = window.arrays(where)
    last = len(times) - 1
    rows = np.arange(len(times))[:, None]
    both = committed_known & end_known & (committed != NO_COMMIT)
    lag = np.where(both, np.maximum(end - committed, 0), 0)

    newest_known = np.maximum.accumulate(np.where(both, rows, -1), axis=0)
    before = np.vstack([np.full((1, both.shape[1]), -1), newest_known[:-1]])
    moved = both & (before >= 0) & (np.take_along_axis(committed, np.maximum(before, 0), axis=0) != committed)
    fine = moved | (both & (lag == 0))
    base_is_seen = fine.any(axis=0)
    last_fine = last - np.argmax(fine[::-1], axis=0)
    first_known = np.argmax(both, axis=0)
    base = np.where(base_is_seen, last_fine, first_known)
    columns = np.arange(both.shape[1])
    samples_since = (both & (rows > base)).sum(axis=0)

    none = committed_known & (committed == NO_COMMIT) & end_known
    uncommitted = none[last] if len(times) else np.zeros(both.shape[1], dtype=np.bool_)
    first_none = np.argmax(none, axis=0)
    return Positions(
        lag=lag[last],
        known=both[last],
        base=base,
        base_is_seen=base_is_seen,
        waiting_seconds=np.where(lag[last] > 0, times[last] - times[base], 0.0),
        samples_since=samples_since,
        arrived_since=np.where(both[last], end[last] - end[base, columns], 0),
        uncommitted=uncommitted,
        uncommitted_seconds=np.where(uncommitted, times[last] - times[first_none], 0.0),
        uncommitted_arrived=np.where(uncommitted, end[last] - end[first_none, columns], 0),
    )


def stands_still(facts: Positions, *, interval_seconds: float) -> NDArray[np.bool_]:
    """Positions whose records wait and increase while the committed offset does not move."""
    long_enough = facts.waiting_seconds >= max(STALL_SECONDS, STALL_SAMPLES * interval_seconds)
    return (
        facts.known & (facts.lag > 0) & long_enough & (facts.samples_since >= STALL_SAMPLES) & (facts.arrived_since > 0)
    )


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


def trends(window: Window) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Groups (by owner) whose lag climbs, and those whose lag falls, beyond the sawtooth of commits.

    The window is cut in thirds: climbing means that the lowest lag of the last third lies above the highest of
    the first by more than a typical step between samples. Only samples at which the whole group is known count.
    """
    count = len(window.layout.owners)
    nothing = np.zeros(count, dtype=np.bool_)
    times = window.times
    if len(times) < TREND_SAMPLES or times[-1] - times[0] < TREND_SECONDS or count == 0 or len(window.layout) == 0:
        return nothing, nothing
    committed, committed_known, end, end_known = window.arrays()
    has_commit = committed_known & (committed != NO_COMMIT)
    missing = ~(end_known & committed_known)
    starts = window.layout.starts[:-1]
    filled = np.diff(window.layout.starts) > 0
    lag = np.zeros((len(times), count), dtype=np.int64)
    whole = np.zeros((len(times), count), dtype=np.bool_)
    position_lag = np.where(has_commit & end_known, np.maximum(end - committed, 0), 0)
    # reduceat needs owners that have positions; the others stay "not whole"
    lag[:, filled] = np.add.reduceat(position_lag, starts[filled], axis=1)
    whole[:, filled] = np.add.reduceat(missing.astype(np.int64), starts[filled], axis=1) == 0

    third = len(times) // 3
    first, last = slice(0, third), slice(len(times) - third, len(times))
    high, low = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    enough = (whole[first].sum(axis=0) * 2 >= third) & (whole[last].sum(axis=0) * 2 >= third) & whole[-1]
    first_low = np.where(whole[first], lag[first], high).min(axis=0)
    first_high = np.where(whole[first], lag[first], low).max(axis=0)
    last_low = np.where(whole[last], lag[last], high).min(axis=0)
    last_high = np.where(whole[last], lag[last], low).max(axis=0)
    step_known = whole[1:] & whole[:-1]
    steps = np.where(step_known, np.abs(np.diff(lag, axis=0)), 0).sum(axis=0) / np.maximum(step_known.sum(axis=0), 1)
    # a swing of the arrivals swings the lag that lies between two commits: that is not falling behind
    arrived = np.zeros(count)
    moved = np.where(end_known[-1] & end_known[0], end[-1] - end[0], 0)
    arrived[filled] = np.add.reduceat(moved, starts[filled])
    left_unread = lag[last].mean(axis=0) - lag[first].mean(axis=0)
    # compared, not subtracted: the sentinels of groups that are not `enough` would overflow
    tolerated = steps + arrived * BEAT_SECONDS / (times[-1] - times[0])
    climbs = enough & (last_low > np.where(enough, first_high, 0) + tolerated) & (left_unread > UNREAD_SHARE * arrived)
    falls = enough & (last_high < np.where(enough, first_low, 0) - steps)
    return climbs, falls


def judge_groups(window: Window, groups: Mapping[str, GroupRow], *, interval_seconds: float) -> Column:
    """A verdict for each known group: a column owned by groups, one position each, always known."""
    layout = Layout.single(groups)
    if not window.samples:
        return Column(layout, Numbers(np.full(len(layout), int(Verdict.UNKNOWN)), np.ones(len(layout), np.bool_)))
    facts = positions(window)
    climbs, _ = trends(window)
    stuck = _any_by_owner(stands_still(facts, interval_seconds=interval_seconds), window.layout)
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


def explain(
    row: GroupRow,
    window: Window,
    *,
    verdict: Verdict,
    now: float,
    since: float | None = None,
    owners: Mapping[tuple[str, int], str] | None = None,
    reason: str = "",
) -> Finding:
    """The sentence for a verdict, with its numbers.

    `verdict` is the stored one, `since` when it was first given; `owners` names the member of each
    (topic, partition); `reason` says why something is unknown ("broker 2 did not answer in time").
    """
    at = window.layout.owner_index(row.name)
    if at is None or not window.samples:
        return Finding(verdict, _without_positions(row, verdict, reason), since)
    where = window.layout.slice_of(row.name)
    facts = positions(window, where)
    committed, committed_known, end, end_known = window.arrays(where)
    has_commit = committed_known & (committed != NO_COMMIT)
    consumed = _sum(rate_per_second(window.times, committed, has_commit))
    arriving = _sum(rate_per_second(window.times, end, end_known))
    waiting = int(facts.lag[facts.known].sum())
    evidence = _evidence(facts, window, where, consumed, arriving)
    if verdict is Verdict.NO_PROGRESS:
        return _no_progress(window, where, facts, now, since, owners or {}, evidence)
    if verdict is Verdict.FALLING_BEHIND:
        speeds = f"reads {_rate(consumed)} while {_rate(arriving)} arrive"
        return Finding(verdict, f"Falling behind: {speeds}; {words.counted(waiting, 'record')} wait", since, evidence)
    if verdict is Verdict.NO_MEMBERS:
        wait = (
            f"{words.counted(waiting, 'record')} {'waits' if waiting == 1 else 'wait'}" if waiting else "nothing waits"
        )
        return Finding(verdict, f"No members: nobody reads, {wait}", since, evidence)
    if verdict is Verdict.NOT_COMMITTING:
        silent = int(facts.uncommitted.sum())
        arrived = int(facts.uncommitted_arrived.sum())
        sentence = (
            f"Not committing: {words.counted(silent, 'partition')} assigned, no offset ever committed "
            f"while {words.counted(arrived, 'record')} arrived"
        )
        return Finding(verdict, sentence, since, evidence)
    if verdict is Verdict.UNKNOWN:
        return Finding(verdict, _unknown(facts, window, reason), since, evidence)
    return Finding(verdict, _ok(window, at, waiting, consumed, arriving), since, evidence)


def _no_progress(
    window: Window,
    where: slice,
    facts: Positions,
    now: float,
    since: float | None,
    owners: Mapping[tuple[str, int], str],
    evidence: tuple[str, ...],
) -> Finding:
    still = facts.known & (facts.lag > 0) & (facts.samples_since > 0)
    total = int((facts.known | facts.uncommitted).sum())
    times = window.times
    seen = [float(times[b]) for b, s, still_ in zip(facts.base, facts.base_is_seen, still, strict=True) if s and still_]
    # the window forgets after two minutes when it began; the stored moment remembers
    began = min([*seen, *([since] if since is not None else [])], default=None)
    when = f" since {words.moment(began, now=now)}" if began is not None else ""
    names = sorted(
        {
            words.visible(owners[key])
            for key, is_still in zip(
                zip(window.layout.topics[where], window.layout.partitions[where].tolist(), strict=True),
                still,
                strict=True,
            )
            if is_still and key in owners
        }
    )
    held = f"; read by {', '.join(names[:3])}{' and others' if len(names) > 3 else ''}" if names else ""
    lag = int(facts.lag[still].sum())
    sentence = (
        f"No progress{when}: none of {words.counted(lag, 'waiting record')} read, "
        f"{int(still.sum())} of {words.counted(total, 'partition')} stand still{held}"
    )
    return Finding(Verdict.NO_PROGRESS, sentence, began, evidence)


def _evidence(
    facts: Positions, window: Window, where: slice, consumed: float | None, arriving: float | None
) -> tuple[str, ...]:
    lines = []
    span = float(window.times[-1] - window.times[0])
    if consumed is not None or arriving is not None:
        lines.append(
            f"reads {_rate(consumed)}, {_rate(arriving)} arrive, over the last {words.duration(span)} "
            f"({words.counted(len(window.samples), 'sample')})"
        )
    still = np.flatnonzero(facts.known & (facts.lag > 0) & (facts.samples_since >= STALL_SAMPLES))
    topics, partitions = window.layout.topics[where], window.layout.partitions[where]
    for i in sorted(still, key=lambda i: -int(facts.lag[i]))[:3]:
        committed = window.samples[-1].committed.values[where][i]
        lines.append(
            f"{words.visible(topics[i])}-{int(partitions[i])}: {int(facts.samples_since[i])} samples at offset "
            f"{words.count(int(committed))} while {words.counted(int(facts.arrived_since[i]), 'record')} arrived"
        )
    missing = int((~(facts.known | facts.uncommitted)).sum())
    if missing:
        lines.append(f"not known: {words.counted(missing, 'partition')} of {len(facts.known)}")
    if facts.uncommitted.any():
        lines.append(f"no commit yet: {words.counted(int(facts.uncommitted.sum()), 'partition')}")
    return tuple(lines)


def _ok(window: Window, at: int, waiting: int, consumed: float | None, arriving: float | None) -> str:
    if waiting == 0:
        return "Caught up: every record is read"
    left = words.counted(waiting, "record")
    if consumed is None or arriving is None:
        return f"{left} behind; rates need a second sample"
    _, falls = trends(window)
    if falls[at] and consumed > arriving:
        eta = words.duration(waiting / (consumed - arriving))
        return f"Catching up: reads {_rate(consumed)} while {_rate(arriving)} arrive, {left} left, done in about {eta}"
    return f"Keeps up: reads {_rate(consumed)} while {_rate(arriving)} arrive, {left} behind"


def _unknown(facts: Positions, window: Window, reason: str) -> str:
    missing = int((~(facts.known | facts.uncommitted)).sum())
    if missing:
        because = f": {reason}" if reason else ""
        return f"Unknown: {missing} of {words.counted(len(facts.known), 'partition')} not answered{because}"
    if len(window.samples) < 2:
        return "Unknown yet: 1 of 2 samples taken"
    if not facts.base_is_seen[facts.lag > 0].all():
        return "Unknown yet: records wait, and too few samples show whether they are read"
    return f"Unknown: {reason or 'its members could not be described'}"


def _without_positions(row: GroupRow, verdict: Verdict, reason: str) -> str:
    if row.type is GroupType.SHARE:
        return "Unknown: a share group's lag is not commit against log end and is not measured yet"
    if verdict is Verdict.NO_MEMBERS:
        return "No members, and no committed offset"
    return f"Unknown: {reason}" if reason else "Unknown: it has committed no offset and no partition is assigned to it"


def _sum(rates: Numbers) -> float | None:
    return float(rates.values[rates.known].sum()) if rates.known.any() else None


def _rate(value: float | None) -> str:
    return "an unknown number" if value is None else words.rate(value)
