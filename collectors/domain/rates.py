"""Records per second out of counters, over a window of samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .numbers import Numbers


def rate_per_second(
    times: NDArray[np.float64], values: NDArray[np.int64], known: NDArray[np.bool_], *, valid_from: int | None = None
) -> Numbers:
    """Mean rate of each counter over the window: times (k,) seconds, values and known (k, n); the answer is (n,).

    Steps go from one known sample to the next known one, so a missing sample in between costs nothing. A step
    backwards (truncation, a topic made anew, a rewound group) is left out with its time: a counter never runs
    at a negative rate. `valid_from`: values below it are states, not counts (`NO_COMMIT`), and give no step.
    Unknown with fewer than two usable samples.
    """
    count = values.shape[1] if values.ndim == 2 else 0
    if len(times) < 2 or count == 0:
        return Numbers.unknown(count, np.float64)
    if valid_from is not None:
        known = known & (values >= valid_from)
    # nearly all counters: nothing missing, no step backwards; the first and the newest sample say all
    plain: NDArray[np.bool_] = np.logical_and.reduce(known) & np.logical_and.reduce(values[1:] >= values[:-1])
    if not (times[1:] > times[:-1]).all():
        plain[:] = False
    rates = (values[-1] - values[0]) / (times[-1] - times[0]) if plain.any() else np.zeros(count)
    if plain.all():
        return Numbers(rates, plain)
    others = np.flatnonzero(~plain)
    stepped = _step_by_step(times, values[:, others], known[:, others])
    rates[others] = stepped.values
    plain[others] = stepped.known
    return Numbers(rates, plain)


def _step_by_step(times: NDArray[np.float64], values: NDArray[np.int64], known: NDArray[np.bool_]) -> Numbers:
    count = values.shape[1]
    rows = np.where(known, np.arange(len(times))[:, None], -1)
    previous = np.maximum.accumulate(rows, axis=0)[:-1]  # newest known row before each row
    there = known[1:] & (previous >= 0)
    before = np.take_along_axis(values, np.maximum(previous, 0), axis=0)
    delta = values[1:] - before
    seconds = times[1:, None] - times[np.maximum(previous, 0)]
    usable = there & (delta >= 0) & (seconds > 0)
    span = np.where(usable, seconds, 0.0).sum(axis=0)
    moved = np.where(usable, delta, 0).sum(axis=0)
    known_rate = span > 0
    return Numbers(np.divide(moved, span, out=np.zeros(count), where=known_rate), known_rate)
