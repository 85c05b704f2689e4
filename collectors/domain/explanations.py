"""Why a group has its verdict: the sentence and the evidence, made from its newest samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from . import words
from .drain import drain
from .numbers import NO_COMMIT, Numbers
from .rates import rate_per_second
from .skew import times_even
from .topology import GroupType
from .trends import BEAT_SECONDS, curves_of, recent_rows, trends
from .verdicts import STALL_SAMPLES, GroupRow, Positions, Verdict, positions
from .window import Window

KEPT_UP_SHARE = 0.9
BEATS_BEHIND = 3
"""With more than so many commit intervals unread and less read than came, "keeps up" would be a guess."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict with the sentence that says why."""

    verdict: Verdict
    sentence: str
    since: float | None  # unix seconds; None where no moment can be named
    evidence: tuple[str, ...] = ()


def explain(
    row: GroupRow,
    window: Window,
    *,
    verdict: Verdict,
    now: float,
    since: float | None = None,
    owners: Mapping[tuple[str, int], str] | None = None,
    reason: str = "",
    lost: int | None = None,
) -> Finding:
    """The sentence for a verdict, with its numbers.

    `verdict` is the stored one, `since` when it was first given; `owners` names the member of each
    (topic, partition); `reason` says why something is unknown ("broker 2 did not answer in time"); `lost` are the
    records between commits and log starts that the group can no longer read (None: not known).
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
    waiting = max(0, int(facts.lag[facts.known].sum()) - (lost or 0))
    evidence = _evidence(facts, window, where, consumed, arriving)
    gone = f"; {words.counted(lost, 'record')} {'was' if lost == 1 else 'were'} lost before being read" if lost else ""
    if verdict is Verdict.NO_PROGRESS:
        return _no_progress(window, where, facts, now, since, owners or {}, evidence, gone)
    if verdict is Verdict.FALLING_BEHIND:
        recent = slice(recent_rows(window.times), None)
        consumed = _sum(rate_per_second(window.times[recent], committed[recent], has_commit[recent]))
        arriving = _sum(rate_per_second(window.times[recent], end[recent], end_known[recent]))
        speeds = f"reads {_rate(consumed)} while {_rate(arriving)} arrive"
        said = f"Falling behind: {speeds}; {words.counted(waiting, 'record')} wait{gone}"
        return Finding(verdict, said, since, evidence)
    if verdict is Verdict.NO_MEMBERS:
        wait = (
            f"{words.counted(waiting, 'record')} {'waits' if waiting == 1 else 'wait'}" if waiting else "nothing waits"
        )
        more = f", {_rate(arriving)} arrive" if arriving else ""
        return Finding(verdict, f"No members: nobody reads, {wait}{more}{gone}", since, evidence)
    if verdict is Verdict.NOT_COMMITTING:
        silent = int(facts.uncommitted.sum())
        arrived = int(facts.uncommitted_arrived.sum())
        sentence = (
            f"Not committing: {words.counted(silent, 'partition')} assigned, no offset ever committed "
            f"while {words.counted(arrived, 'record')} arrived{gone}"
        )
        return Finding(verdict, sentence, since, evidence)
    if verdict is Verdict.UNKNOWN:
        return Finding(verdict, _unknown(facts, window, reason) + gone, since, evidence)
    said = _ok(window, at, where, waiting, consumed, arriving)
    return Finding(verdict, said + _hot(window, where, owners or {}) + gone, since, evidence)


def _no_progress(
    window: Window,
    where: slice,
    facts: Positions,
    now: float,
    since: float | None,
    owners: Mapping[tuple[str, int], str],
    evidence: tuple[str, ...],
    gone: str,
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
        f"{int(still.sum())} of {words.counted(total, 'partition')} stand still{held}{gone}"
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


def _ok(window: Window, at: int, where: slice, waiting: int, consumed: float | None, arriving: float | None) -> str:
    if waiting == 0:
        return "Caught up: every record is read"
    left = words.counted(waiting, "record")
    if consumed is None or arriving is None:
        return f"{left} behind; rates need a second sample"
    _, falls = trends(window)
    curves = curves_of(window)
    pace = drain(curves.times, curves.lag[:, at], curves.whole[:, at]) if falls[at] else None
    beat = arriving * BEAT_SECONDS  # what waits between two commits of a group that is never behind
    if pace is None or waiting <= beat:
        speeds = f"reads {_rate(consumed)} while {_rate(arriving)} arrive, {left} behind"
        if consumed < KEPT_UP_SHARE * arriving and waiting > BEATS_BEHIND * beat:
            return f"Too soon to say whether it keeps up: {speeds}"
        return f"Keeps up: {speeds}"
    # the rates since the lag began to fall: those of the whole window still hold what made it climb
    since = slice(pace.first, None)
    committed, committed_known, end, end_known = window.arrays(where)
    reads = _sum(
        rate_per_second(window.times[since], committed[since], (committed_known & (committed != NO_COMMIT))[since])
    )
    come = _sum(rate_per_second(window.times[since], end[since], end_known[since]))
    eta = words.duration(pace.seconds)
    return f"Catching up: reads {_rate(reads)} while {_rate(come)} arrive, {left} left, done in about {eta}"


def _hot(window: Window, where: slice, owners: Mapping[tuple[str, int], str]) -> str:
    """Which of the partitions that the group reads gets far more than its share of the newest records, and whose it
    is; "" when none does."""
    _, _, end, end_known = window.arrays(where)
    first = recent_rows(window.times)
    if len(end) - first < 2:
        return ""
    topics, partitions = window.layout.topics[where], window.layout.partitions[where]
    names, topic_of = np.unique(np.array(topics, dtype=object), return_inverse=True)
    step = end[-1] - end[first]
    records = Numbers(np.maximum(step, 0), end_known[-1] & end_known[first] & (step >= 0))
    times = times_even(records, topic_of.astype(np.int64), len(names))
    hot = np.flatnonzero(times.known & (times.values > 1))
    if not len(hot):
        return ""
    worst = int(hot[np.argmax(times.values[hot])])
    came = int(step[topic_of == topic_of[worst]].sum())
    topic, partition = topics[worst], int(partitions[worst])
    owner = f", read by {words.visible(owners[topic, partition])}" if (topic, partition) in owners else ""
    share = f"{100 * int(step[worst]) / came:.0f}{words.THIN}%"
    said = f"; {words.visible(topic)}-{partition} is hot: it gets {share} of what comes to that topic{owner}"
    return said if len(hot) == 1 else f"{said}, and {words.counted(len(hot) - 1, 'more partition')}"


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
