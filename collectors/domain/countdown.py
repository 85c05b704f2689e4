"""Retention countdown: how long until the log start overtakes a committed offset, and what is at stake then.

Kafka deletes whole segments, when the newest record of one is older than retention.ms or when the partition without it
would still hold retention.bytes; and whoever may can move the log start by hand (DeleteRecords). Three estimates come
from that, and the soonest counts:

- time: the oldest unread record, as old as its log-end age, is due at retention.ms. While the group reads, it is
  always another one: with v seconds of log read per second, (retention.ms - age) / (1 - v).
- size: lag times bytes per record may grow to retention.bytes, at arrival less consume rate.
- trim: the log start as it moved lately, against the consume rate.

The first two are the earliest moment: a segment leaves as a whole, so the record may live longer by what one spans.
They say never of who keeps up, and where the moment is further off than records are kept at all: that is a division by
nearly nothing. How fast a group reads must be known; only that nobody reads is known without two samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from . import words
from .ages import Ages, Method
from .lag import within_log
from .numbers import Numbers
from .trends import BEAT_SECONDS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

KEPT_UP = 0.8
"""Who reads so many seconds of log per second keeps up: the countdown would be five times the retention, and noise."""
UNSURE_SECONDS = 60.0
"""Within a sample or two the speed is noise, and a group that keeps up would have a countdown now and then. So the age
is taken for as high as it can be, but for no more than this higher; and who could read in this time what waits is not
said to fill the room that is kept."""
UNSURE_SHARE = 0.05
"""The same of the retention, where that is short."""
FAR_SECONDS = 3600.0
"""Sooner than this no room is said to last, however little waits: a rush fills it."""
NEAR_SHARE = 0.2
"""Of the retention: with less than this left nobody keeps up who reads slower than deletion comes, however little."""
TRIM_STEPS = 2
"""So many steps of the log start one after the other make a pace."""
TRIM_PATIENCE = 3.0
"""A log start that has not moved for so many of its usual steps has stopped."""


class Outcome(IntEnum):
    """What is said of a countdown, and why; the order is that of urgency."""

    CAUGHT_UP = 0  # never: nothing waits
    KEPT_FOR_EVER = 1  # never: the topic deletes nothing by time or size, and its log start stands
    OUTREAD = 2  # never, as it goes: it reads as fast as deletion comes
    FAR_OFF = 3  # never, at this pace: the moment is further off than records are kept at all
    NO_COMMIT = 4  # not known: no offset was ever committed here
    NOT_ANSWERED = 5  # not known: the commit or the log end was not answered
    PAST_END = 6  # not known: the commit is no place in the log
    SETTINGS_HIDDEN = 7  # not known: the topic's configuration is not readable, and its log start stands
    AGE_UNKNOWN = 8  # not known: how old the oldest unread record is
    RATE_UNKNOWN = 9  # not known: how fast records come, or how large they are
    READING_UNKNOWN = 10  # not known: how fast the group reads
    BY_TIME = 11  # a number
    BY_SIZE = 12
    BY_TRIM = 13
    OVERTAKEN = 14  # 0: the log start has passed the commit

    @property
    def is_never(self) -> bool:
        return self <= Outcome.FAR_OFF

    @property
    def is_unknown(self) -> bool:
        return Outcome.NO_COMMIT <= self <= Outcome.READING_UNKNOWN

    @property
    def is_number(self) -> bool:
        return self >= Outcome.BY_TIME

    @property
    def word(self) -> str:
        return "never" if self.is_never else "unknown" if self.is_unknown else "known"

    @property
    def because(self) -> str:
        return _BECAUSE[self]


_BECAUSE = {
    Outcome.CAUGHT_UP: "nothing waits to be read",
    Outcome.KEPT_FOR_EVER: "the topic deletes nothing by time or size",
    Outcome.OUTREAD: "it reads as fast as deletion comes",
    Outcome.FAR_OFF: "at this pace it is further off than records are kept",
    Outcome.NO_COMMIT: "no offset was ever committed here",
    Outcome.NOT_ANSWERED: "the commit or the log end was not answered",
    Outcome.PAST_END: "the commit lies past the log end",
    Outcome.SETTINGS_HIDDEN: "the topic's retention settings are not known, and its log start stands",
    Outcome.AGE_UNKNOWN: "how old the oldest unread record is, is not known",
    Outcome.RATE_UNKNOWN: "how fast records come, or how large they are, is not known",
    Outcome.READING_UNKNOWN: "how fast it reads is not known yet",
    Outcome.BY_TIME: "retention.ms against the age of the oldest unread record",
    Outcome.BY_SIZE: "retention.bytes against the bytes that wait",
    Outcome.BY_TRIM: "the pace at which the log start has moved lately",
    Outcome.OVERTAKEN: "the log start has passed the committed offset",
}


@dataclass(frozen=True, slots=True, eq=False)
class Retention:
    """How each position's topic is set, (n,): seconds and bytes kept (known and negative: without limit)."""

    seconds: Numbers  # float64
    size_bytes: Numbers
    deletes: Numbers  # 1 where cleanup.policy has "delete", else 0


@dataclass(frozen=True, slots=True, eq=False)
class Trim:
    """How each log start moves, (n,): offsets per second (0: it stands), and where it is by now at that pace."""

    per_second: Numbers
    start: Numbers  # float64


@dataclass(frozen=True, slots=True, eq=False)
class Countdowns:
    """(n,) each. `seconds` means something where `outcome` is a number; `at_stake` are the unread records then."""

    seconds: Floats
    outcome: Ints
    confidence: Ints  # collectors.domain.ages.Method
    at_stake: Ints

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def is_number(self) -> Bools:
        found: Bools = self.outcome >= int(Outcome.BY_TIME)
        return found

    @property
    def is_never(self) -> Bools:
        found: Bools = self.outcome <= int(Outcome.FAR_OFF)
        return found

    @property
    def numbers(self) -> Numbers:
        return Numbers(self.seconds, self.is_number)


def trim_of(times: Floats, starts: Ints, known: Bools, *, now: float) -> Trim:
    """The pace of log starts from samples of them, oldest first: times (k,), starts and known (k, n).

    From the first step seen to the last one, so that a log start that began to move a moment ago is not watered down
    by the time before. Known as 0 where it stood in all samples, or has stood for three of its usual steps.
    """
    count = starts.shape[1] if starts.ndim == 2 else 0
    rate, at, there = np.zeros(count), np.zeros(count), np.zeros(count, dtype=np.bool_)
    if not len(times) or not count:
        return Trim(Numbers(rate, there), Numbers(at, there))
    filled = np.maximum.accumulate(np.where(known, starts, -1), axis=0)
    there = filled[-1] >= 0
    stepped = np.zeros(starts.shape, dtype=np.bool_)
    stepped[1:] = (filled[1:] > filled[:-1]) & (filled[:-1] >= 0)
    steps = stepped.sum(axis=0)
    moves = np.flatnonzero(steps > TRIM_STEPS - 1)
    first = np.argmax(stepped, axis=0)
    last = len(times) - 1 - np.argmax(stepped[::-1], axis=0)
    at = filled[-1].astype(np.float64)
    for i in moves.tolist():
        spent = float(times[last[i]] - times[first[i]])
        if spent <= 0 or now - times[last[i]] > TRIM_PATIENCE * spent / (steps[i] - 1):
            continue
        rate[i] = (filled[last[i], i] - filled[first[i], i]) / spent
        at[i] = filled[last[i], i] + rate[i] * max(0.0, now - float(times[last[i]]))
    return Trim(Numbers(rate, there), Numbers(at, there))


def countdowns(
    committed: Numbers,
    start: Numbers,
    end: Numbers,
    has_commit: Bools,
    *,
    ages: Ages,
    retention: Retention,
    trim: Trim,
    consumed: Numbers,
    arriving: Numbers,
    size_bytes: Numbers,
) -> Countdowns:
    """Countdowns of positions (n,): arrays as they come from one cycle, rates per second, sizes of whole partitions.

    Without a consume rate (after a gap, or of a group that was just found) no estimate is made: as if nobody read, one
    that keeps up would have a number, and an alert. Of a group without members give a known 0.
    """
    count = len(committed)
    lag = np.maximum(end.values - np.maximum(committed.values, np.where(start.known, start.values, 0)), 0)
    reading = np.where(consumed.known, consumed.values, 0.0)
    never, never_why = np.inf, np.full(count, int(Outcome.KEPT_FOR_EVER), dtype=np.int64)
    best, outcome = np.full(count, never), never_why.copy()
    unsure = np.zeros(count, dtype=np.int64)

    def offer(seconds: Floats, where: Bools, kind: Outcome) -> None:
        """Where it is sooner than what there is."""
        better = where & (seconds < best)
        best[better], outcome[better] = seconds[better], int(kind)

    def never_as_it_goes(where: Bools, why: Outcome = Outcome.OUTREAD) -> None:
        later = where & ~np.isfinite(best)
        outcome[later] = int(why)

    kept_seconds = np.where(retention.seconds.known, retention.seconds.values, -1.0)
    # no more than always lies between two commits
    by_lag = arriving.known & (reading > 0) & (lag <= arriving.values * BEAT_SECONDS)
    keeps_up = by_lag | (ages.known & (ages.seconds <= BEAT_SECONDS))
    # by time
    limit = retention.seconds.known & (retention.seconds.values >= 0) & (retention.deletes.values != 0)
    told = limit & ages.known & consumed.known
    speed = np.divide(reading * ages.seconds, lag, out=np.zeros(count), where=(lag > 0) & ages.known)
    left = np.maximum(retention.seconds.values - ages.seconds, 0.0)
    unsure_by = np.minimum(UNSURE_SECONDS, UNSURE_SHARE * np.maximum(retention.seconds.values, 0.0))
    most = np.where(np.isfinite(ages.high), np.minimum(ages.high, ages.seconds + unsure_by), ages.seconds)
    close = ages.known & (lag > 0) & (reading * most >= KEPT_UP * lag)
    kept_up = (close | keeps_up) & ((left > NEAR_SHARE * retention.seconds.values) | (speed >= 1))
    by_time = np.divide(left, 1.0 - speed, out=np.full(count, np.inf), where=~kept_up & (speed < 1))
    far_off = by_time > kept_seconds
    offer(by_time, told & ~kept_up & ~far_off, Outcome.BY_TIME)
    never_as_it_goes(told & kept_up)
    never_as_it_goes(told & ~kept_up & far_off, Outcome.FAR_OFF)
    unsure[limit & ~consumed.known] = int(Outcome.READING_UNKNOWN)
    unsure[limit & ~ages.known] = int(Outcome.AGE_UNKNOWN)
    # by size
    limit = retention.size_bytes.known & (retention.size_bytes.values >= 0) & (retention.deletes.values != 0)
    held = end.values - start.values
    sized = size_bytes.known & start.known & (held > 0)
    told = limit & sized & arriving.known & consumed.known
    each = np.divide(size_bytes.values, held, out=np.zeros(count), where=sized)
    gains = np.where(arriving.known, arriving.values, 0.0) - reading
    room = np.maximum(retention.size_bytes.values - lag * each, 0.0)
    near = lag <= reading * UNSURE_SECONDS
    reads_what_comes = arriving.known & (reading >= KEPT_UP * arriving.values)
    lasts = (near & (room > np.maximum(gains, 0.0) * each * FAR_SECONDS)) | (by_lag & reads_what_comes)
    grows = (each > 0) & (((gains > 0) & ~lasts) | (room == 0))
    by_size = np.divide(room, gains * each, out=np.zeros(count), where=grows & (gains * each > 0))
    far_off = (kept_seconds >= 0) & (by_size > kept_seconds)
    offer(by_size, told & grows & ~far_off, Outcome.BY_SIZE)
    never_as_it_goes(told & ~grows)
    never_as_it_goes(told & grows & far_off, Outcome.FAR_OFF)
    unsure[limit & ~consumed.known & (unsure == 0)] = int(Outcome.READING_UNKNOWN)
    unsure[limit & ~(sized & arriving.known) & (unsure == 0)] = int(Outcome.RATE_UNKNOWN)
    # by the log start's own pace
    gains = trim.per_second.values - reading
    moves = trim.per_second.known & (trim.per_second.values > 0)
    told = moves & consumed.known
    to_go = np.maximum(committed.values - trim.start.values, 0.0)
    by_trim = np.divide(to_go, gains, out=np.full(count, np.inf), where=moves & (gains > 0))
    # nothing is deleted beyond the log end: who is near it and reads what comes is not overtaken, however fast it moves
    safe = near & reads_what_comes
    offer(by_trim, told & (gains > 0) & ~safe, Outcome.BY_TRIM)
    never_as_it_goes(told & ((gains <= 0) | safe))
    # what cannot be said
    hidden = ~(retention.deletes.known & retention.seconds.known & retention.size_bytes.known)
    unsure[hidden] = int(Outcome.SETTINGS_HIDDEN)
    unsure[moves & ~consumed.known] = int(Outcome.READING_UNKNOWN)
    open_ = ~np.isfinite(best)
    outcome[open_ & (unsure > 0)] = unsure[open_ & (unsure > 0)]
    overtaken = start.known & (start.values > committed.values)
    outcome[overtaken], best[overtaken] = int(Outcome.OVERTAKEN), 0.0
    caught_up = end.values <= committed.values
    outcome[caught_up], best[caught_up] = int(Outcome.CAUGHT_UP), np.inf
    answered = committed.known & end.known
    outcome[~within_log(committed, end).known] = int(Outcome.PAST_END)
    outcome[~answered] = int(Outcome.NOT_ANSWERED)
    outcome[answered & ~has_commit] = int(Outcome.NO_COMMIT)
    is_number = outcome >= int(Outcome.BY_TIME)
    confidence = np.full(count, int(Method.RATE_ONLY), dtype=np.int64)
    by_age = outcome == int(Outcome.BY_TIME)
    confidence[by_age] = ages.method[by_age]
    confidence[outcome == int(Outcome.OVERTAKEN)] = int(Method.EXACT)
    confidence[outcome <= int(Outcome.FAR_OFF)] = int(Method.EXACT)
    confidence[(outcome > int(Outcome.FAR_OFF)) & ~is_number] = int(Method.UNKNOWN)
    return Countdowns(np.where(is_number, best, 0.0), outcome, confidence, np.where(is_number, lag, 0))


def soonest_by_owner(found: Countdowns, counted: Bools, owners: Ints, count: int) -> tuple[Countdowns, Ints]:
    """The soonest position of each owner (count,) and which that is (-1: none); at stake is the sum of its numbers.

    `owners` (n,) grow; `counted` (n,): positions with a commit. A number anywhere is a number: what is not known
    elsewhere can only make it sooner. Without one, not known anywhere is not known; else never.
    """
    seconds, at_stake = np.zeros(count), np.zeros(count, dtype=np.int64)
    outcome = np.full(count, int(Outcome.NO_COMMIT), dtype=np.int64)
    confidence = np.full(count, int(Method.UNKNOWN), dtype=np.int64)
    worst = np.full(count, -1, dtype=np.int64)
    at = np.flatnonzero(counted)
    if len(at):
        own = owners[at]
        first = np.flatnonzero(np.append(True, own[1:] != own[:-1]))
        # numbers below all else, the soonest first; then what is not known, then never
        numbers = found.is_number[at]
        rank = np.where(numbers, found.seconds[at], np.where(found.is_never[at], np.inf, np.finfo(np.float64).max))
        least = np.repeat(np.minimum.reduceat(rank, first), np.diff(np.append(first, len(at))))
        is_least = np.flatnonzero(rank == least)
        picked = at[is_least[np.append(True, own[is_least][1:] != own[is_least][:-1])]]
        of = own[first]
        worst[of], seconds[of], outcome[of] = picked, found.seconds[picked], found.outcome[picked]
        confidence[of] = found.confidence[picked]
        at_stake[of] = np.add.reduceat(np.where(numbers, found.at_stake[at], 0), first)
    return Countdowns(seconds, outcome, confidence, at_stake), worst


def said(outcome: Outcome, seconds: float) -> str:
    """A countdown in a word or two: "23 h", "never", "unknown", "lost already"."""
    if outcome is Outcome.OVERTAKEN:
        return "lost already"
    return words.duration(seconds) if outcome.is_number else outcome.word
