"""The head of a backlog: the first record that a group has not read, of which positions it is asked, how it is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .ages import first_unread
from .numbers import Numbers
from .verdicts import Verdict, severities
from .window import Window

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NO_RECORDS = -1
"""Stored where only transaction markers lie between the committed offset and the log end. Other numbers are the
timestamp of the head in milliseconds, or that number negated: of a record that the group has passed since it was
read, so that its head is younger than that."""
EARLIEST = 1_104_537_600.0
"""2005: no record is older than Kafka, and a timestamp of 0, or in a unit that is not milliseconds, is none."""
AHEAD_SECONDS = 86_400.0
RESIDUE = 10
"""So few records may be the markers of transactions, where nothing moves."""
STILL_SAMPLES = 3
SURE_SECONDS = 1.0
"""A batch that is not unpacked tells the age of its records when they came within so long."""
OF_A_GROUP = 2
"""Positions of one group in trouble, or of which somebody asks, that are read at once: those whose records wait
longest."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first record at or after an offset. `timestamp`: unix seconds, None for a record without one; the producer's
    clock unless `by_broker`. With `earliest` the batch was not unpacked: the record came between the two."""

    offset: int
    timestamp: float | None
    by_broker: bool
    earliest: float | None = None


@dataclass(frozen=True, slots=True)
class Markers:
    """No record from the offset on: only transaction markers up to the log end `end`."""

    end: int


Found = Head | Markers | str
"""A reason in words where nothing could be told."""


def is_told_by_a_clock(timestamp: float, *, now: float) -> bool:
    return EARLIEST <= timestamp <= now + AHEAD_SECONDS


def stored_value(found: Found, *, now: float) -> int | None:
    """The number that is kept of an answer; None where it tells nothing, or not to a second."""
    if isinstance(found, Markers):
        return NO_RECORDS
    if isinstance(found, str) or found.timestamp is None or not is_told_by_a_clock(found.timestamp, now=now):
        return None
    if found.earliest is not None and found.timestamp - found.earliest > SURE_SECONDS:
        return None
    return round(found.timestamp * 1000)


def are_markers(stored: Numbers) -> Bools:
    """(n,) positions where only markers wait."""
    found: Bools = stored.known & (stored.values == NO_RECORDS)
    return found


def head_ages(stored: Numbers, *, now: float) -> tuple[Numbers, Bools]:
    """(n,) age in seconds of the first record that waits, known where it was read, and whether it is that at most."""
    known = stored.known & (stored.values != NO_RECORDS)
    seconds = np.where(known, np.maximum(now - np.abs(stored.values) / 1000, 0.0), 0.0)
    return Numbers(seconds, known), known & (stored.values < 0)


def oldest_heads(ages: Numbers, owners: Ints, count: int) -> tuple[Numbers, Ints]:
    """The oldest known age of each owner (count,), and at which position it is (-1: none was read)."""
    at = np.flatnonzero(ages.known)
    seconds, worst = np.zeros(count), np.full(count, -1, dtype=np.int64)
    order = at[np.argsort(ages.values[at], kind="stable")]
    worst[owners[order]] = order  # the last one written is the oldest
    read = worst >= 0
    seconds[read] = ages.values[worst[read]]
    return Numbers(seconds, read), worst


def unread_now(window: Window) -> Numbers:
    """(n,) offset of the first record that waits, at the newest sample."""
    newest = window.samples[-1]
    start = newest.start if newest.start is not None else Numbers.unknown(len(newest.committed))
    return first_unread(newest.committed, start)


def in_trouble(
    window: Window, verdicts: Numbers, settled: Bools, *, least: float = Verdict.NO_MEMBERS.severity
) -> Ints:
    """Positions whose head should be read since their group is in trouble as severe as `least`, the most urgent first:
    of each group those whose records wait longest, worst groups first. The window holds a sample.

    `verdicts` are those of the window's owners, `settled` (n,) are positions of which it is known.
    """
    owners = window.layout.owner_of_position
    rank = np.where(verdicts.known, severities(verdicts.values), 0.0)
    troubled = _waits_longest(window, (rank >= least)[owners])
    troubled = troubled[np.argsort(-rank[owners[troubled]], kind="stable")]
    return troubled[~settled[troubled]]


def of_owners(window: Window, owners: Bools, settled: Bools) -> Ints:
    """Positions whose head should be read since somebody wants to know it of these owners (g,): of each those whose
    records wait longest."""
    found = _waits_longest(window, owners[window.layout.owner_of_position])
    return found[~settled[found]]


def small_residues(window: Window, settled: Bools) -> Ints:
    """Positions where little waits and nothing moves: it may be the markers of transactions."""
    if len(window.samples) < STILL_SAMPLES:
        return np.zeros(0, dtype=np.int64)
    newest, (waits, lag) = window.samples[-1], _waiting(window)
    still = waits & (lag <= RESIDUE) & ~settled
    for sample in list(window.samples)[-STILL_SAMPLES:-1]:
        if not still.any():
            break
        still &= sample.committed.known & (sample.committed.values == newest.committed.values)
        still &= sample.end.known & (sample.end.values == newest.end.values)
    return np.flatnonzero(still)


def _waiting(window: Window) -> tuple[Bools, Ints]:
    """(n,) where records wait, and how many, at the newest sample."""
    newest, unread = window.samples[-1], unread_now(window)
    lag = newest.end.values - unread.values
    return unread.known & newest.end.known & (lag > 0), lag


def _waits_longest(window: Window, asked: Bools) -> Ints:
    """Of each owner's positions where records wait and that are `asked` of, those whose records wait longest,
    OF_A_GROUP at most; by owner."""
    waits, lag = _waiting(window)
    at = np.flatnonzero(waits & asked)
    if not len(at):
        return at
    # how long the newest record waits behind them at the pace of the window; where nothing comes, longest
    came = np.maximum(window.samples[-1].end.values - window.samples[0].end.values, 0)[at]
    waited = np.divide(lag[at], came, out=np.full(len(at), np.inf), where=came > 0)
    order = np.lexsort((-lag[at], -waited, window.layout.owner_of_position[at]))
    of = window.layout.owner_of_position[at][order]
    first = np.flatnonzero(np.append(True, of[1:] != of[:-1]))
    place = np.arange(len(of)) - np.repeat(first, np.diff(np.append(first, len(of))))
    return at[order[place < OF_A_GROUP]]
