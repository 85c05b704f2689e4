"""Stored curves of groups and topics -> charts; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from collectors.history.queries import (
    AgeHistory,
    ArrivalHistory,
    Band,
    ClusterHistory,
    GaugeHistory,
    GroupHistory,
    TopicHistory,
)

from .figures import Chart, Gap, Line, Mark

Explain = Callable[[np.ndarray, np.ndarray, np.ndarray], Sequence[Gap]]
"""(times, gap_before, known) of the points -> the stretches without data, each with its cause."""


def group_lag(
    history: GroupHistory, since: float, until: float, *, marks: Sequence[Mark], interval: float, explain: Explain
) -> Chart:
    """Lag of all partitions, and of the topics with the most when it reads more than one."""
    lines = [line("lag", "lag, all partitions", "s6", history.times, history.gap_before, history.lag)]
    if len(history.parts) > 1:
        for color, ((topic, _), band) in zip(("s1", "s3", "s4"), history.parts.items(), strict=False):
            lines.append(line("", topic, color, history.times, history.gap_before, band, with_band=False))
    gaps = explain(history.times, history.gap_before, history.lag.known)
    return Chart("Lag", "records", since, until, lines, marks, gaps, interval, _step(history.times, interval))


def group_age(
    history: AgeHistory, since: float, until: float, *, marks: Sequence[Mark], interval: float, explain: Explain
) -> Chart:
    """Log-end age of the group's oldest partition, between the least and the most that it can have been."""
    times, breaks = history.times, history.gap_before
    lines = [line("age", "oldest partition", "s4", times, breaks, history.age)]
    gaps = explain(times, breaks, history.age.known)
    return Chart("Log-end age", "seconds", since, until, lines, marks, gaps, interval, _step(times, interval))


def group_rates(
    history: GroupHistory, since: float, until: float, *, marks: Sequence[Mark], interval: float, explain: Explain
) -> Chart:
    times, breaks = history.times, history.gap_before
    lines = [
        line("arriving", "arriving", "s1", times, breaks, history.arriving, with_band=False),
        line("consumed", "read", "s2", times, breaks, history.consumed, with_band=False),
    ]
    gaps = explain(times, breaks, history.arriving.known | history.consumed.known)
    return Chart("Arriving and read", "records/s", since, until, lines, marks, gaps, interval, _step(times, interval))


def compared(chart: Chart, before: Chart, back_seconds: float, label: str) -> Chart:
    """The first line of a chart as it was at another time laid over it, dashed and without its band."""
    first = next(iter(chart.lines), None)
    same = None if first is None else next((line for line in before.lines if line.name == first.name), None)
    if same is None or np.isnan(same.values).all():
        return replace(chart, notes=[*chart.notes, f"nothing to compare with: no values {label}"])
    other = Line(
        "",
        f"{same.name}, {label}",
        "other",
        same.times + back_seconds,
        same.values,
        dash="dot",
        is_compared=True,
    )
    return replace(chart, lines=[*chart.lines, other])


def cluster_rate(
    history: ClusterHistory, since: float, until: float, *, marks: Sequence[Mark], interval: float, explain: Explain
) -> Chart:
    """Messages into all topics and read by all groups; what is not known of some is left out of the sums."""
    times, breaks = history.times, history.gap_before
    lines = [
        line("rate", "messages in", "s1", times, breaks, history.rate),
        line("consumed", "read by groups", "s2", times, breaks, history.consumed, with_band=False),
    ]
    gaps = explain(times, breaks, history.rate.known)
    return Chart("Messages", "records/s", since, until, lines, marks, gaps, interval, _step(times, interval))


def cluster_lag(
    history: ClusterHistory, since: float, until: float, *, marks: Sequence[Mark], interval: float, explain: Explain
) -> Chart:
    times, breaks = history.times, history.gap_before
    lines = [line("lag", "lag of all groups", "s6", times, breaks, history.lag)]
    gaps = explain(times, breaks, history.lag.known)
    return Chart("Lag of all groups", "records", since, until, lines, marks, gaps, interval, _step(times, interval))


def topic_rate(
    history: TopicHistory, since: float, until: float, *, marks: Sequence[Mark], interval: float, explain: Explain
) -> Chart:
    times, breaks = history.times, history.gap_before
    lines = [line("rate", "messages in", "s1", times, breaks, history.rate)]
    gaps = explain(times, breaks, history.rate.known)
    return Chart("Messages in", "records/s", since, until, lines, marks, gaps, interval, _step(times, interval))


def topic_size(
    history: TopicHistory, since: float, until: float, *, marks: Sequence[Mark], interval: float, explain: Explain
) -> Chart:
    times, breaks = history.times, history.gap_before
    lines = [line("size", "size of the leaders' replicas", "s3", times, breaks, history.size, with_band=False)]
    gaps = explain(times, breaks, history.size.known)
    return Chart("Size", "bytes", since, until, lines, marks, gaps, interval, _step(times, interval))


def broker_disk(gauge: GaugeHistory, since: float, until: float, *, marks: Sequence[Mark], explain: Explain) -> Chart:
    drawn = _gauge_line(gauge, "disk", "log directories", "s3")
    return _gauge("Log size", "bytes", gauge, [drawn], since, until, marks, explain)


def broker_leaders(
    gauge: GaugeHistory, since: float, until: float, *, marks: Sequence[Mark], explain: Explain
) -> Chart:
    drawn = _gauge_line(gauge, "leaders", "partitions led", "s1")
    return _gauge("Partitions led", "partitions", gauge, [drawn], since, until, marks, explain)


def cycles(gauge: GaugeHistory, since: float, until: float, *, marks: Sequence[Mark], explain: Explain) -> Chart:
    drawn = _gauge_line(gauge, "cycle_ms", "asking and storing", "s1")
    return _gauge("Cycle time", "ms", gauge, [drawn], since, until, marks, explain)


def _gauge_line(gauge: GaugeHistory, key: str, name: str, color: str) -> Line:
    return line(key, name, color, gauge.times, gauge.gap_before, gauge.values)


def _gauge(
    title: str,
    unit: str,
    gauge: GaugeHistory,
    lines: list[Line],
    since: float,
    until: float,
    marks: Sequence[Mark],
    explain: Explain,
) -> Chart:
    gaps = explain(gauge.times, gauge.gap_before, gauge.values.known)
    interval = round(gauge.interval, 1)
    return Chart(title, unit, since, until, lines, marks, gaps, interval, _step(gauge.times, interval))


def dead_letters(
    history: ArrivalHistory, since: float, until: float, *, marks: Sequence[Mark], interval: float, explain: Explain
) -> Chart:
    """Records per second of a few dead-letter topics, between one sample that is shown and the next."""
    times, breaks = history.times, history.gap_before
    known = np.zeros(len(times), dtype=np.bool_)
    lines = []
    for i, (topic, band) in enumerate(history.rates.items()):
        lines.append(line(f"t{i}", topic, f"s{i % 7 + 1}", times, breaks, band, with_band=False))
        known |= band.known
    gaps = explain(times, breaks, known)
    return Chart("Arrivals", "records/s", since, until, lines, marks, gaps, interval, _step(times, interval))


def beside(
    title: str,
    unit: str,
    found: Mapping[str, GaugeHistory],
    since: float,
    until: float,
    *,
    marks: Sequence[Mark],
    explain: Explain,
    interval: float | None = None,
    named: str = "",
) -> Chart:
    """One quantity of several owners, each with moments of its own; gaps are those of the one with most points.

    `named` stands before each name: "broker ".
    """
    drawn = [
        line(
            f"n{i}",
            f"{named}{name}" or "(empty name)",
            COLORS[i % 7],
            own.times,
            own.gap_before,
            own.values,
            with_band=False,
        )
        for i, (name, own) in enumerate(found.items())
    ]
    longest = max(found.values(), key=lambda own: len(own.times), default=None)
    if longest is None:
        return Chart(title, unit, since, until, drawn, marks, (), interval or 60.0)
    gaps = explain(longest.times, longest.gap_before, longest.values.known)
    usual = interval or round(longest.interval, 1)
    return Chart(title, unit, since, until, drawn, marks, gaps, usual, _step(longest.times, usual))


COLORS = ("s1", "s2", "s3", "s4", "s5", "s6", "s7")


def line(
    key: str,
    name: str,
    color: str,
    times: np.ndarray,
    gap_before: np.ndarray,
    band: Band,
    *,
    with_band: bool = True,
) -> Line:
    """A band as a line: (n,) points, with one unknown point put into each gap so that the line breaks there."""
    where = np.flatnonzero(gap_before & (np.arange(len(times)) > 0))
    middles = (times[where] + times[where - 1]) / 2 if len(where) else times[:0]
    at = np.insert(times, where, middles)
    last = _values(band.last, band.known, where)
    low = high = None
    if with_band and bool((band.high != band.low)[band.known].any()):
        low, high = _values(band.low, band.known, where), _values(band.high, band.known, where)
    return Line(key, name, color, np.round(at, 3), last, low, high)


def _values(numbers: np.ndarray, known: np.ndarray, breaks: np.ndarray) -> np.ndarray:
    """NaN where nothing is known, and in the breaks."""
    values = np.where(known, np.round(numbers.astype(np.float64), 3), np.nan)
    return np.insert(values, breaks, np.nan)


def _step(times: np.ndarray, interval: float) -> float | None:
    """Seconds that a point stands for, when it stands for more than one sample."""
    if len(times) < 3:
        return None
    usual = float(np.median(np.diff(times)))
    return usual if usual > 1.5 * interval else None
