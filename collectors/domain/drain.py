"""How long until a backlog is read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import words
from .trends import BEAT_SECONDS

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


@dataclass(frozen=True, slots=True)
class DrainEstimate:
    """Lag over (consume rate - arrival rate). `seconds` is None where `because` says why there is none."""

    seconds: float | None
    because: str = ""

    @property
    def said(self) -> str:
        return words.duration(self.seconds) if self.seconds is not None else self.because


def drain_estimate(lag: float | None, consumed: float | None, arriving: float | None) -> DrainEstimate:
    """How long until nothing waits at the rates of now, records and records per second; "not draining" is a value.

    What is read beyond what arrives must be more than GAIN_SHARE of it: less is the sawtooth of commits. No more than
    always waits between two commits is no backlog: that "keeps up".
    """
    if lag is None or consumed is None or arriving is None:
        return DrainEstimate(None, "unknown")
    if lag == 0:
        return DrainEstimate(0.0)
    gain = consumed - arriving
    if gain <= GAIN_SHARE * max(consumed, arriving):
        if lag <= arriving * BEAT_SECONDS:
            return DrainEstimate(None, "keeps up")
        return DrainEstimate(None, "not draining")
    return DrainEstimate(lag / gain)
