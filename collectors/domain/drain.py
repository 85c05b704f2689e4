"""How long until a backlog is read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from . import words
from .numbers import Numbers
from .trends import BEAT_SECONDS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GAIN_SHARE = 0.02
DRAIN_STEPS = 3
"""Steps since the highest lag that a pace is told from."""


@dataclass(frozen=True, slots=True)
class Drain:
    """At the pace at which the lag fell since its highest sample (`first`, a row of the window), none is left in
    `seconds`."""

    seconds: float
    per_second: float
    first: int


def drain(times: NDArray[np.float64], lag: NDArray[np.int64], whole: NDArray[np.bool_]) -> Drain | None:
    """The drain estimate of one group: times (k,), lag (k,) and whether it is known (k,).

    Plain: backlog over the mean fall since the last peak of the window. None where the newest lag is not known, is
    0, or has not fallen over at least DRAIN_STEPS steps.
    """
    rows = np.flatnonzero(whole)
    if len(rows) == 0 or rows[-1] != len(times) - 1 or lag[-1] <= 0:
        return None
    peak = int(rows[len(rows) - 1 - np.argmax(lag[rows][::-1])])
    steps = int((rows > peak).sum())
    fallen, seconds = int(lag[peak] - lag[-1]), float(times[-1] - times[peak])
    if steps < DRAIN_STEPS or fallen <= 0 or seconds <= 0:
        return None
    return Drain(float(lag[-1]) * seconds / fallen, fallen / seconds, peak)


class DrainOutcome(IntEnum):
    """What is said of a drain estimate."""

    UNKNOWN = 0
    DRAINS = 1  # a number; 0 where nothing waits
    KEEPS_UP = 2  # no more waits than always does between two commits
    NOT_DRAINING = 3

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, eq=False)
class DrainEstimates:
    """(n,) each. `seconds` mean something where `outcome` is DRAINS."""

    seconds: Floats
    outcome: Ints

    @property
    def numbers(self) -> Numbers:
        return Numbers(self.seconds, self.outcome == int(DrainOutcome.DRAINS))

    def seconds_at(self, at: int) -> float | None:
        """None where there is no number."""
        return float(self.seconds[at]) if self.outcome[at] == int(DrainOutcome.DRAINS) else None

    def said(self, at: int) -> str:
        """In a word or two: "4 min", "keeps up", "not draining", "unknown"."""
        seconds = self.seconds_at(at)
        if seconds is not None:
            return words.duration(seconds)
        return DrainOutcome(int(self.outcome[at])).word.replace("_", " ")


def drain_estimates(lag: Numbers, consumed: Numbers, arriving: Numbers, is_well: NDArray[np.bool_]) -> DrainEstimates:
    """Lag over (consume rate - arrival rate), (n,) each, in records and records per second: how long until nothing
    waits at the rates of now.

    Who `is_well` by its verdict and has read nothing at these rates has only not committed yet: of its pace they say
    nothing.

    What is read beyond what arrives must be more than GAIN_SHARE of it: less is the sawtooth of commits. No more than
    always waits between two commits is no backlog: that keeps up. Where nothing waits no rate matters.
    """
    rated = lag.known & (lag.values > 0) & consumed.known & arriving.known & ~(is_well & (consumed.values == 0))
    gain = consumed.values - arriving.values
    gains = rated & (gain > GAIN_SHARE * np.maximum(consumed.values, arriving.values))
    keeps_up = rated & ~gains & (lag.values <= arriving.values * BEAT_SECONDS)
    outcome = np.full(len(lag), int(DrainOutcome.UNKNOWN), dtype=np.int64)
    outcome[rated] = int(DrainOutcome.NOT_DRAINING)
    outcome[keeps_up] = int(DrainOutcome.KEEPS_UP)
    outcome[gains | (lag.known & (lag.values <= 0))] = int(DrainOutcome.DRAINS)
    return DrainEstimates(np.divide(lag.values, gain, out=np.zeros(len(lag)), where=gains), outcome)
