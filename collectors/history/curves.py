"""From samples to what a chart draws: rates over a sliding window, buckets with minima and maxima, gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GAP_INTERVALS = 2.5

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A quantity per point: lowest, highest and last of the samples that the point stands for, all (n,).

    Where `known` is False none of the samples was known and the numbers mean nothing.
    """

    low: NDArray[np.int64] | NDArray[np.float64]
    high: NDArray[np.int64] | NDArray[np.float64]
    last: NDArray[np.int64] | NDArray[np.float64]
    known: Bools


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """Which samples make which point: samples `edges[i]:edges[i + 1]` are point i."""

    edges: Ints  # (n + 1,)
    times: Floats  # (n,) of the last sample of each point, unix seconds
    gap_before: Bools  # (n,) samples are missing right before or within this point: break the line

    def merged(self, band: Band) -> Band:
        """Reduce points that stand for several samples already."""
        low, high, last = (self.band(values, band.known) for values in (band.low, band.high, band.last))
        return Band(low.low, high.high, last.last, last.known)

    def band(self, values: NDArray[np.int64] | NDArray[np.float64], known: Bools) -> Band:
        """Reduce samples (k,) to points (n,)."""
        starts = self.edges[:-1]
        if not len(starts):
            return Band(values[:0], values[:0], values[:0], known[:0])
        most = np.iinfo(np.int64).max if values.dtype.kind == "i" else np.inf
        least = np.iinfo(np.int64).min if values.dtype.kind == "i" else -np.inf
        low = np.minimum.reduceat(np.where(known, values, most), starts)
        high = np.maximum.reduceat(np.where(known, values, least), starts)
        any_known = np.logical_or.reduceat(known, starts)
        newest_known = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))[self.edges[1:] - 1]
        last = values[np.maximum(newest_known, 0)]
        zero = values.dtype.type(0)
        low, high, last = (np.where(any_known, side, zero) for side in (low, high, last))
        return Band(low, high, last, any_known)


def spacing(times: Floats, configured: float) -> float:
    """Seconds between samples as taken: the median, or the setting where there are fewer than three samples."""
    steps = np.diff(times)
    return float(np.median(steps)) if len(steps) >= 2 else configured


def gaps(times: Floats, configured: float) -> Bools:
    """(k,) True where samples are missing before this one: more than 2.5 intervals, by the median step around it.

    Around, since the interval may have been another then; false at the first.
    """
    out = np.zeros(len(times), dtype=np.bool_)
    steps = np.diff(times)
    if len(steps):
        if len(steps) < 3:
            usual = np.full(len(steps), configured)
        else:
            width = min(9, len(steps) - (len(steps) + 1) % 2)
            middle = np.median(np.lib.stride_tricks.sliding_window_view(steps, width), axis=1)
            usual = np.pad(middle, (width // 2, len(steps) - len(middle) - width // 2), mode="edge")
        out[1:] = steps > GAP_INTERVALS * usual
    return out


def buckets(times: Floats, since: float, until: float, points: int, configured: float) -> Buckets:
    """At most `points` points for samples at `times` (growing, within the range).

    Borders are multiples of the width in absolute time, so that a later request draws the same points.
    """
    broken = gaps(times, configured)
    if len(times) <= points:
        return Buckets(np.arange(len(times) + 1), times, broken)
    width = (until - since) / max(1, points - 1)
    place = np.floor(times / width)
    starts = np.flatnonzero(np.concatenate(([True], place[1:] != place[:-1])))
    edges = np.concatenate((starts, [len(times)]))
    return Buckets(edges, times[edges[1:] - 1], np.logical_or.reduceat(broken, starts))


def sliding_rate(
    times: Floats, steps: Ints, valid: Bools, known: Bools, *, reach: float, broken: Bools
) -> tuple[Floats, Bools]:
    """Rate per second at each sample (k,) over the valid steps of the `reach` seconds before it.

    `steps[i]` is what came between sample i - 1 and i (`valid[0]` is False). Unknown where the sample itself is
    unknown or no step was valid: the same rule as for the newest cycle (collectors.history.now).
    """
    rate, there = sliding_rates(times, steps[:, None], valid[:, None], known[:, None], reach=reach, broken=broken)
    return rate[:, 0], there[:, 0]


def sliding_rates(
    times: Floats, steps: Ints, valid: Bools, known: Bools, *, reach: float, broken: Bools
) -> tuple[Floats, Bools]:
    """The same for many at once: all but `times` and `broken` (k,) are (k, n)."""
    count = len(times)
    if count == 0:
        return np.zeros(steps.shape), np.zeros(steps.shape, dtype=np.bool_)
    seconds = np.diff(times, prepend=times[0])
    valid = valid & (~broken & (seconds > 0))[:, None]
    moved = np.cumsum(np.where(valid, steps, 0), axis=0, dtype=np.float64)
    spent = np.cumsum(np.where(valid, seconds[:, None], 0.0), axis=0)
    first = np.searchsorted(times, times - reach, side="left")
    first = np.minimum(first, np.maximum(np.arange(count) - 1, 0))  # one step always counts: the interval may be long
    span = spent - spent[first]
    there = known & (span > 1e-9)
    rate = np.divide(moved - moved[first], span, out=np.zeros(steps.shape), where=there)
    return np.maximum(rate, 0.0), there
