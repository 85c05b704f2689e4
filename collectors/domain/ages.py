"""Log-end age: how long ago the log end stood at the committed offset, told from samples of the log end.

Each sample says how far the log had come at a moment. The first unread record came between the last sample whose end
was not past the committed offset and the next one: a bracket, whatever the records' own timestamps say. Within it
the place of the record among those that came says when, roughly. Nothing here looks outside the samples it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from . import words
from .numbers import NO_COMMIT, Numbers

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

GAP_INTERVALS = 2.5
"""Two samples further apart than so many intervals are no neighbours: what lies between them was not watched."""


class Method(IntEnum):
    """How an age was found, the surest first."""

    EXACT = 0  # caught up: nothing waits, the age is 0 by definition
    INTERPOLATED = 1  # between two neighbouring samples
    BRACKETED = 2  # between two moments that lie further apart
    RATE_ONLY = 3  # older than every sample: carried on backwards at the rate at which records came since
    UNKNOWN = 4

    @property
    def word(self) -> str:
        return self.name.lower()

    @property
    def label(self) -> str:
        return self.word.replace("_", " ")


@dataclass(slots=True)
class Brackets:
    """Where in time the log end passed each position's offset, (m,) each; filled from the newest sample backwards.

    `after` is the newest moment at which the end was not past it (`after_end` the end then), `by` the oldest moment
    since then at which it was. Without `has_after` no sample looked at reaches back so far: `by` is then the oldest of
    them, and up to `after_cycle` there are no others.
    """

    offset: Ints
    after: Floats
    after_end: Ints
    after_cycle: Ints
    by: Floats
    by_end: Ints
    by_cycle: Ints
    has_after: Bools
    has_by: Bools

    @classmethod
    def none(cls, offset: Ints) -> Brackets:
        """Nothing seen yet."""
        floats, ints, flags = (
            np.zeros((2, len(offset))),
            np.zeros((4, len(offset)), np.int64),
            np.zeros((2, len(offset))),
        )
        has_after, has_by = flags.astype(np.bool_)
        return cls(offset, floats[0], ints[0], ints[1], floats[1], ints[2], ints[3], has_after, has_by)

    def __len__(self) -> int:
        return len(self.offset)

    def take(self, where: Ints | Bools) -> Brackets:
        return Brackets(*(getattr(self, name)[where] for name in _FIELDS))

    def copy(self) -> Brackets:
        return self.take(np.arange(len(self)))

    def put(self, where: Ints | Bools, other: Brackets) -> None:
        """Lay the brackets of some positions (those that `where` picks) over these."""
        for name in _FIELDS:
            getattr(self, name)[where] = getattr(other, name)

    def see(self, where: Ints, taken_at: float, cycle: int, end: Numbers) -> Ints:
        """Look at one sample of the positions `where` (j,), whose ends are `end` (j,); those not yet settled by it.

        Samples must come from the newest to the oldest. An end that is higher than at a later moment is that of
        another log under the same name (deleted and made anew, or truncated): what is wanted came after it.
        """
        offset = self.offset[where]
        past = end.known & (end.values > offset)
        restarted = past & self.has_by[where] & (end.values > self.by_end[where])
        found = (end.known & (end.values <= offset) & self.has_by[where]) | restarted
        before = where[past & ~restarted]
        self.by[before], self.by_cycle[before], self.has_by[before] = taken_at, cycle, True
        self.by_end[before] = end.values[past & ~restarted]
        at = where[found]
        self.after[at], self.after_cycle[at], self.has_after[at] = taken_at, cycle, True
        self.after_end[at] = np.where(restarted, 0, end.values)[found]
        return where[~found]


_FIELDS = ("offset", "after", "after_end", "after_cycle", "by", "by_end", "by_cycle", "has_after", "has_by")


@dataclass(frozen=True, slots=True, eq=False)
class Ages:
    """Ages in seconds, (n,) each, with the least and the most that they can be; `high` is inf where nothing bounds it.

    Where `method` is UNKNOWN `seconds` means nothing; `low` is still what it is at least (0 where nothing is known).
    """

    seconds: Floats
    low: Floats
    high: Floats
    method: Ints

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def known(self) -> Bools:
        known: Bools = self.method != int(Method.UNKNOWN)
        return known

    @property
    def numbers(self) -> Numbers:
        return Numbers(self.seconds, self.known)

    def take(self, where: slice | Ints | Bools) -> Ages:
        return Ages(self.seconds[where], self.low[where], self.high[where], self.method[where])

    @classmethod
    def unknown(cls, count: int) -> Ages:
        method = np.full(count, int(Method.UNKNOWN), dtype=np.int64)
        return cls(np.zeros(count), np.zeros(count), np.full(count, np.inf), method)


def first_unread(committed: Numbers, start: Numbers) -> Numbers:
    """(n,) offset of the first record that waits: the committed one, or the log start where that has passed it."""
    offset = np.where(start.known, np.maximum(committed.values, start.values), committed.values)
    return Numbers(offset, committed.known & (committed.values != NO_COMMIT))


def is_caught_up(unread: Numbers, end: Numbers) -> Bools:
    """(n,) positions where nothing waits."""
    return unread.known & end.known & (end.values <= unread.values)


def waits(unread: Numbers, end: Numbers) -> Bools:
    """(n,) positions of which an age is to be found."""
    return unread.known & end.known & (end.values > unread.values)


def beyond_markers(unread: Numbers, end: Numbers, are_markers: Bools) -> Numbers:
    """(n,) offset of the first record that waits where transaction markers are all that lies before the log end."""
    return Numbers(np.where(are_markers & end.known, end.values, unread.values), unread.known)


def bracketed(brackets: Brackets, samples: Iterable[tuple[float, int, Callable[[Ints], Numbers]]]) -> Ints:
    """Fill the brackets from samples, the newest first; those they do not reach (j,).

    A sample is (taken_at, cycle, ends): ends are asked for by places in the brackets, of those that are still open.
    """
    left: Ints = np.arange(len(brackets), dtype=np.int64)
    for taken_at, cycle, end in samples:
        if not len(left):
            break
        left = brackets.see(left, taken_at, cycle, end(left))
    return left


def log_end_ages(
    unread: Numbers, end: Numbers, waiting: Ints, brackets: Brackets, *, taken_at: float | Floats, interval: float
) -> Ages:
    """Ages of positions (n,), of which `waiting` (m,) have the brackets (m,), at one moment or at one for each (m,).

    The k-th of n records that came between two samples is put at (k - 0.5) / n of the way. Caught up is 0 whatever
    came before: an idle topic ages nobody. What waits and was never bracketed: older than the oldest sample by what
    was unread then over the rate at which records came since, if any did.
    """
    caught_up = is_caught_up(unread, end)
    seconds, low, high = np.zeros(len(unread)), np.zeros(len(unread)), np.full(len(unread), np.inf)
    method = np.full(len(unread), int(Method.UNKNOWN), dtype=np.int64)
    method[caught_up], high[caught_up] = int(Method.EXACT), 0.0
    if not len(waiting):
        return Ages(seconds, low, high, method)
    own = brackets
    least = np.where(own.has_by, np.maximum(taken_at - own.by, 0.0), 0.0)
    width = own.by - own.after
    came = np.maximum(own.by_end - own.after_end, 1)
    share = np.clip((own.offset - own.after_end + 0.5) / came, 0.0, 1.0)
    inside = np.maximum(taken_at - (own.after + share * width), 0.0)
    # no sample reaches back: the records that were unread at the oldest one had come by then
    watched = np.maximum(taken_at - own.by, 0.0)
    per_second = np.divide(end.values[waiting] - own.by_end, watched, out=np.zeros(len(own)), where=watched > 0)
    older = np.divide(own.by_end - own.offset, per_second, out=np.zeros(len(own)), where=per_second > 0)
    has_rate = own.has_by & ~own.has_after & (per_second > 0)
    seconds[waiting] = np.where(own.has_after, inside, np.where(has_rate, watched + older, 0.0))
    low[waiting] = least
    high[waiting] = np.where(own.has_after, np.maximum(taken_at - own.after, 0.0), np.inf)
    near = np.where(width <= GAP_INTERVALS * interval, int(Method.INTERPOLATED), int(Method.BRACKETED))
    without = np.where(has_rate, int(Method.RATE_ONLY), int(Method.UNKNOWN))
    method[waiting] = np.where(own.has_after, near, without)
    return Ages(seconds, low, high, method)


def oldest_by_owner(ages: Ages, counted: Bools, owners: Ints, count: int) -> tuple[Ages, Ints]:
    """The oldest position of each owner (count,), and which position that is (-1: none).

    `owners` (n,) grow; `counted` (n,): positions with a commit. Not known where one of them is not: the oldest of
    those that are is then what the age is at least. An owner without any has no age.
    """
    at = np.flatnonzero(counted)
    out = Ages.unknown(count)
    worst = np.full(count, -1, dtype=np.int64)
    if not len(at):
        return out, worst
    known, own = ages.known[at], owners[at]
    value = np.where(known, ages.seconds[at], ages.low[at])
    first = np.flatnonzero(np.append(True, own[1:] != own[:-1]))
    of = own[first]
    most = np.maximum.reduceat(value, first)
    is_most = np.flatnonzero(value == np.repeat(most, np.diff(np.append(first, len(at)))))
    picked = at[is_most[np.append(True, own[is_most][1:] != own[is_most][:-1])]]
    worst[of] = picked
    out.seconds[of], out.low[of] = most, np.maximum.reduceat(ages.low[at], first)
    out.high[of] = np.maximum.reduceat(ages.high[at], first)
    all_known = np.logical_and.reduceat(known, first)
    out.method[of] = np.where(all_known, ages.method[picked], int(Method.UNKNOWN))
    return out, worst


def said_bounds(low: float, high: float) -> str:
    """The error bar in words: "5 s to 10 s", "at least 3 min"."""
    if not np.isfinite(high):
        return f"at least {words.duration(low)}"
    return f"{words.duration(low)} to {words.duration(high)}"
