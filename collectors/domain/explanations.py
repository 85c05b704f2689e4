"""Why a group has its verdict: the sentence, the evidence, the likely cause and the next step, from its samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from . import words
from .causes import likely_cause
from .commit_times import Committing
from .drain import drain
from .looks import Epochs, Look, name_of
from .questions import STALL_SAMPLES
from .simple_consumers import BORN_SECONDS
from .topology import GroupType
from .trends import BEAT_SECONDS, curves_of
from .verdicts import GroupRow, Verdict, is_read_alone
from .window import Window

KEPT_UP_SHARE = 0.9
BEATS_BEHIND = 3
"""With more than so many commit intervals unread and less read than came, "keeps up" would be a guess."""
NAMED = 3
"""Partitions or members that a sentence names; more are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict with the sentence that says why, the likely cause ("" where there is none) and what to do."""

    verdict: Verdict
    sentence: str
    since: float | None  # unix seconds; None where no moment can be named
    evidence: tuple[str, ...] = ()
    cause: str = ""
    step: str = ""


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
    markers: int = 0,
    epochs: Epochs | None = None,
    arriving_before: float | None = None,
    standing: frozenset[tuple[str, int]] = frozenset(),
    is_old: bool = False,
) -> Finding:
    """The sentence for a verdict, with its numbers.

    `verdict` is the stored one, `since` when it was first given; `owners` names the member of each
    (topic, partition); `reason` says why something is unknown ("broker 2 did not answer in time"); `lost` are the
    records between commits and log starts that the group can no longer read (None: not known), `markers` what of its
    lag is known to be transaction markers. `epochs`: leader epochs of commits that do not fit their partitions.
    `arriving_before`: records a second that came before the verdict (None: what the window began with). `standing`:
    the partitions that were told to stand still (empty: what the window shows). `is_old`: the newest sample was taken
    too long ago to speak of now.
    """
    is_shared = row.type is GroupType.SHARE  # then many members may read one partition, and none of them owns it
    owners = {} if is_shared else owners or {}
    look = Look(
        row, window, verdict, owners, reason, lost, markers, epochs or {}, now, arriving_before, standing, is_old
    )
    is_there = window.layout.owner_index(row.name) is not None and window.samples
    if not is_there or ((is_shared or verdict is Verdict.NO_MEMBERS) and not len(look.keys)):
        return Finding(verdict, _without_positions(row, verdict, reason), since)
    if verdict is Verdict.NO_PROGRESS:
        since = _stands_since(look, since)
        said = _no_progress(look, now, since)
    elif verdict is Verdict.NOT_COMMITTING:
        said = _not_committing(look, now, since)
    else:
        said = _SENTENCES[verdict](look)
    gone = f"; {words.counted(lost, 'record')} {'was' if lost == 1 else 'were'} lost before being read" if lost else ""
    cause = likely_cause(look.situation) if not verdict.is_well else None
    likely = f"{cause.word}: {cause.because}" if cause is not None and cause.word else ""
    return Finding(verdict, said + gone, since, _evidence(look), likely, cause.step if cause is not None else "")


# --- a sentence for each verdict --------------------------------------------------------------------------------------


def _stands_since(look: Look, since: float | None) -> float | None:
    facts, times = look.facts, look.window.times
    seen = [
        float(times[base])
        for base, is_seen, is_still in zip(facts.base, facts.base_is_seen, look.still, strict=True)
        if is_seen and is_still
    ]
    # the window forgets after two minutes when it began; the stored moment remembers
    return min([*seen, *([since] if since is not None else [])], default=None)


def _no_progress(look: Look, now: float, began: float | None) -> str:
    facts, still = look.facts, look.still
    total = int((facts.known | facts.uncommitted).sum())
    when = f" since {words.moment(began, now=now)}" if began is not None else ""
    keys = look.keys
    found = {keys[i] for i in np.flatnonzero(still).tolist()} & look.owners.keys()
    names = sorted({words.visible(look.owners[key]) for key in found})
    held = f"; read by {', '.join(names[:NAMED])}{' and others' if len(names) > NAMED else ''}" if names else ""
    lag = int(facts.lag[still].sum())
    return (
        f"No progress{when}: none of {words.counted(lag, 'waiting record')} read, "
        f"{int(still.sum())} of {words.counted(total, 'partition')} stand still{held}{_committing(look)}"
    )


def _committing(look: Look) -> str:
    """Whether members commit where the group stands; "" where that is not known."""
    commits, still = look.commits, look.still
    if commits is None:
        return ""
    in_place, nothing = np.flatnonzero(still & commits.in_place), np.flatnonzero(still & commits.nothing)
    match commits.of(still):
        case Committing.IN_PLACE:
            return f"; commits, but does not move ({look.commit_said(in_place)} at the same offset)"
        case Committing.NOTHING:
            return f"; does not commit ({look.commit_said(nothing)})"
    if not len(in_place):
        return ""
    part = f"{len(in_place)} of these {words.count(int(still.sum()))}"
    return f"; commits {part}, but does not move ({look.commit_said(in_place)} at the same offset)"


def _unowned(look: Look) -> str:
    at = np.flatnonzero(look.unowned).tolist()
    keys, facts = look.keys, look.facts
    waits = int(facts.lag[at].sum()) + int(facts.uncommitted_arrived[at].sum())
    named = ", ".join(name_of(*keys[i]) for i in at[:NAMED]) + (" and others" if len(at) > NAMED else "")
    has = "belongs" if len(at) == 1 else "belong"
    which = f" ({named})" if at else ""
    return (
        f"Unowned: {len(at)} of {words.counted(len(keys), 'partition')} {has} to no member{which}; "
        f"{_wait(waits)} there that nobody reads"
    )


def _losing_data(look: Look) -> str:
    consumed, arriving = look.rates(look.recent)
    newly = int(look.facts.lost.sum())
    fresh = f", {words.count(newly)} in the last minute" if newly else ""
    return (
        f"Losing data: retention deletes records before they are read{fresh}; reads {_rate(consumed)} while "
        f"{_rate(arriving)} arrive, {_waits(look)}"
    )


def _falling_behind(look: Look) -> str:
    consumed, arriving = look.rates(look.recent)
    if look.commits_seldom:
        return (
            f"Falling behind: its seldom commits leave more and more unread; {_rate(arriving)} arrive, {_waits(look)}"
        )
    return f"Falling behind: reads {_rate(consumed)} while {_rate(arriving)} arrive; {_waits(look)}"


def _no_members(look: Look) -> str:
    arriving = look.speeds[1]
    wait = _waits(look) if look.waiting else "nothing waits"
    if not look.waiting and look.missing.any():
        wait = "how many records wait is not known"
    more = f", {_rate(arriving)} arrive" if arriving else ""
    return f"No members: nobody reads, {wait}{more}"


def _rewound(look: Look) -> str:
    facts, keys = look.facts, look.keys
    at = np.flatnonzero(facts.rewound_from > facts.rewound_to).tolist()
    again = int((facts.rewound_from - facts.rewound_to)[at].sum())
    left = int((facts.rewound_from[at] - look.arrays[0][-1][at]).sum())
    if len(at) == 1:
        (i,) = at
        steps = f"from offset {words.count(int(facts.rewound_from[i]))} to {words.count(int(facts.rewound_to[i]))}"
        where = f"{name_of(*keys[i])} went back {steps}"
    else:
        where = f"{words.counted(len(at), 'partition')} went back by {words.counted(again, 'record')}"
    return f"Rewound: {where}; {words.counted(left, 'record')} to read until it is where it was"


def _not_committing(look: Look, now: float, began: float | None) -> str:
    silent = int(look.facts.uncommitted.sum())
    arrived = int(look.facts.uncommitted_arrived.sum())
    when = f" since {words.moment(began, now=now)}" if began is not None else ""
    said = f"Not committing{when}: {words.counted(silent, 'partition')} assigned, no offset ever committed"
    span = float(look.window.times[-1] - look.window.times[0])  # what came before the window is not counted
    if arrived:
        return f"{said} while {words.counted(arrived, 'record')} arrived in the last {words.duration(span)}"
    left = look.uncommitted_records
    there = f", though {words.counted(left, 'record')} {'lies' if left == 1 else 'lie'} there" if left else ""
    return f"{said}{there}; no record came in the last {words.duration(span)}" if span else f"{said}{there}"


def _rebalancing(look: Look) -> str:
    times = look.row.rebalances
    often = f"{words.counted(times, 'rebalance')} in the last 5 min" if times else "one after the other"
    members = "" if look.row.members is None else f" of {words.counted(look.row.members, 'member')}"
    return f"Rebalancing too often: {often}{members}; {_waits(look)}"


def _unknown(look: Look) -> str:
    facts = look.facts
    if look.stale_since is not None:
        return words.unknown_since(look.stale_since, now=look.now, because=look.reason)
    missing = int(look.missing.sum())
    if missing:
        because = f": {look.reason}" if look.reason else ""
        part = f"{missing} of {words.counted(len(facts.known), 'partition')}"
        if why := look.astray(1):
            return f"Unknown: {part} not known: {why[0]}"
        if look.is_shared:
            return f"Unknown: the lag of {part} is not known{because or f': {_NOTHING_YET}'}"
        return f"Unknown: {part} not answered{because}"
    gap = look.window.gap
    if gap is not None and gap.samples < STALL_SAMPLES and facts.lag.any():
        since, until = (words.moment(at, now=look.now) for at in (gap.since, gap.until))
        came = f"{gap.samples} of {STALL_SAMPLES} samples since"
        return f"Unknown yet: samples were missing from {since} to {until}; {came}, {_wait(look.waiting)}"
    if len(look.window.samples) < 2:
        return "Unknown yet: 1 of 2 samples taken"
    if look.row.members == 0 and not look.reason and facts.samples_since.max(initial=0) >= STALL_SAMPLES:
        return (
            "Unknown yet: it has no members; whether somebody reads for it without joining is seen with its next "
            f"commit, and {words.duration(BORN_SECONDS)} after its first at the latest; {_wait(look.waiting)}"
        )
    if not facts.base_is_seen[facts.lag > 0].all():
        return "Unknown yet: records wait, and too few samples show whether they are read"
    if look.row.members and not look.reason:
        return f"Unknown yet: its members came a moment ago, {_wait(look.waiting)}"
    return f"Unknown: {look.reason or 'its members could not be described'}"


def _catching_up(look: Look) -> str:
    left = words.counted(look.waiting, "record")
    if look.commits_seldom:
        return (
            f"Catching up: its seldom commits leave less and less unread; {_rate(look.speeds[1])} arrive, {left} left"
        )
    part = look.window.only(look.row.name)
    curves = curves_of(part)
    pace = drain(curves.times, curves.lag[:, 0], curves.whole[:, 0])
    # the rates since the lag began to fall: those of the whole window still hold what made it climb
    reads, come = look.rates(slice(pace.first, None) if pace is not None else look.recent)
    eta = f"done in about {words.duration(pace.seconds)}" if pace is not None else "too soon to say until when"
    return f"Catching up: reads {_rate(reads)} while {_rate(come)} arrive, {left} left, {eta}"


def _ok(look: Look) -> str:
    return _keeps_up(look) + _hot(look)


def _keeps_up(look: Look) -> str:
    if look.facts.uncommitted.any() and not look.facts.known.any():
        arrived = int(look.facts.uncommitted_arrived.sum())
        come = f"{words.counted(arrived, 'record')} came" if arrived else "no record came"
        span = float(look.window.times[-1] - look.window.times[0])  # what came before that is not known any more
        return f"No commit yet: {come} in the last {words.duration(span)}" if span else "No commit yet"
    if look.waiting == 0:
        left = "; what is left are transaction markers" if look.markers else ""
        return f"Caught up: every record is read{left}"
    left = words.counted(look.waiting, "record")
    consumed, arriving = look.speeds
    if consumed is None or arriving is None:
        return f"{left} behind; rates need a second sample"
    if not consumed and not arriving:
        return f"Quiet: nothing arrives and none of {words.counted(look.waiting, 'waiting record')} is read"
    if look.commits_seldom:
        return f"Commits seldom, {_last_moved(look)}: {left} behind, {_rate(arriving)} arrive"
    beat = arriving * BEAT_SECONDS  # what waits between two commits of a group that is never behind
    speeds = f"reads {_rate(consumed)} while {_rate(arriving)} arrive, {left} behind"
    if consumed < KEPT_UP_SHARE * arriving and look.waiting > BEATS_BEHIND * beat:
        return f"Too soon to say whether it keeps up: {speeds}"
    return f"Keeps up: {speeds}"


def _last_moved(look: Look) -> str:
    if look.moved_at is None:
        return f"not in the last {words.duration(float(look.window.times[-1] - look.window.times[0]))}"
    return f"the last time {words.moment(look.moved_at, now=look.now)}"


def _hot(look: Look) -> str:
    """Which of the partitions that the group reads gets far more than its share of the newest records, and whose it
    is; "" when none does."""
    hot, count = look.hot
    if hot is None:
        return ""
    owner = f", read by {hot.owner}" if hot.owner else ""
    share = f"{100 * hot.share:.0f}{words.THIN}%"
    said = f"; {hot.partition} is hot: it gets {share} of what comes to that topic{owner}"
    return said if count == 1 else f"{said}, and {words.counted(count - 1, 'more partition')}"


_SENTENCES: Mapping[Verdict, Callable[[Look], str]] = {
    Verdict.OK: _ok,
    Verdict.UNKNOWN: _unknown,
    Verdict.NO_MEMBERS: _no_members,
    Verdict.FALLING_BEHIND: _falling_behind,
    Verdict.CATCHING_UP: lambda look: _catching_up(look) + _hot(look),
    Verdict.REWOUND: _rewound,
    Verdict.REBALANCING: _rebalancing,
    Verdict.LOSING_DATA: _losing_data,
    Verdict.UNOWNED: _unowned,
}

_NOTHING_YET = "the broker tells the lag of a share group once a record was acknowledged there"


def _without_positions(row: GroupRow, verdict: Verdict, reason: str) -> str:
    if row.type is GroupType.SHARE:
        said = "No members, and its lag is not known" if verdict is Verdict.NO_MEMBERS else "Unknown"
        return f"{said}: {reason or _NOTHING_YET}"
    if verdict is Verdict.NO_MEMBERS:
        return "No members, and no committed offset"
    return f"Unknown: {reason}" if reason else "Unknown: it has committed no offset and no partition is assigned to it"


# --- evidence ---------------------------------------------------------------------------------------------------------


def _evidence(look: Look) -> tuple[str, ...]:
    lines = []
    window, facts, keys = look.window, look.facts, look.keys
    if look.stale_since is not None:
        lines.append(f"as of {words.moment(look.stale_since, now=look.now)}, when the newest sample was taken:")
    consumed, arriving = look.speeds
    span = float(window.times[-1] - window.times[0])
    if is_read_alone(look.row.members, look.verdict):
        lines.append("a simple consumer: it commits without joining a group")
    if consumed is not None or arriving is not None:
        reads = "" if look.commits_seldom else f"reads {_rate(consumed)}, "
        lines.append(
            f"{reads}{_rate(arriving)} arrive, over the last {words.duration(span)} "
            f"({words.counted(len(window.samples), 'sample')})"
        )
    stands = facts.known & (facts.lag > 0) & (facts.samples_since >= STALL_SAMPLES)
    if look.commits_seldom and look.verdict is not Verdict.NO_PROGRESS:
        stands[:] = False  # so does each of its partitions between two commits
    elif look.standing:
        stands &= look.still
    still = np.flatnonzero(stands)
    committed = look.arrays[0][-1]
    for i in sorted(still.tolist(), key=lambda i: -int(facts.lag[i]))[:NAMED]:
        owner = f"; {words.visible(look.owners[keys[i]])} owns it" if keys[i] in look.owners else ""
        place = "without one acknowledged" if look.is_shared else f"at offset {words.count(int(committed[i]))}"
        lines.append(
            f"{name_of(*keys[i])}: {int(facts.samples_since[i])} samples {place} "
            f"while {words.counted(int(facts.arrived_since[i]), 'record')} arrived{owner}{_last_commit(look, i)}"
        )
    for i in np.flatnonzero(facts.held).tolist()[:NAMED]:
        records = words.counted(int(facts.held[i]), "record")
        lines.append(
            f"{name_of(*keys[i])}: {records} of an open transaction, the last stable offset stands at "
            f"{words.count(look.stable_at(i))}"
        )
    for i in np.flatnonzero(facts.rewound_from > facts.rewound_to).tolist()[:NAMED]:
        steps = f"{words.count(int(facts.rewound_from[i]))} to {words.count(int(facts.rewound_to[i]))}"
        lines.append(f"{name_of(*keys[i])}: went back from {steps}, now at {words.count(int(committed[i]))}")
    for i in np.flatnonzero(facts.lost).tolist()[:NAMED]:
        lines.append(f"{name_of(*keys[i])}: {words.counted(int(facts.lost[i]), 'record')} deleted before it came there")
    lines += look.astray(NAMED)
    missing = int(look.missing.sum())
    if missing:
        lines.append(f"not known: {words.counted(missing, 'partition')} of {len(facts.known)}")
    if facts.uncommitted.any():
        lines.append(f"no commit yet: {words.counted(int(facts.uncommitted.sum()), 'partition')}")
    return tuple(lines)


def _last_commit(look: Look, at: int) -> str:
    """When the group last committed at a position that stands; "" where that is not known."""
    told = look.commit_said(np.array([at]))
    again = " at the same offset" if look.commits is not None and look.commits.in_place[at] else ""
    return f"; {told}{again}" if told else ""


def _wait(count: int) -> str:
    return f"{words.counted(count, 'record')} {'waits' if count == 1 else 'wait'}"


def _waits(look: Look) -> str:
    return f"{'at least ' if look.missing.any() else ''}{_wait(look.waiting)}"


def _rate(value: float | None) -> str:
    return "an unknown number" if value is None else words.rate(value)
