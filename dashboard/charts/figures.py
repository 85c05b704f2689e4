"""Stored points -> Plotly figures; pure.

A figure is made of dicts and arrays that `plotly.graph_objects` accepts (a test feeds them to it): importing that
package costs a second and 60 MB in every web process, and nothing here needs more of it. How arrays travel, as JSON
or as columns of bytes, is `dashboard.charts.encoding`'s business.

Colours are tokens, "var(--sg-s1)", or "var(--sg-s1)/0.18" with an opacity: the page's script puts in the values of
the present theme, so that a switch of theme needs no new data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Json = dict[str, Any]

BAND_OPACITY = 0.18
BAND_EDGE_OPACITY = 0.5
"""The upper edge is a line: of a peak that is shorter than a point nothing else would be seen."""
MOST_STRETCHES = 40
"""Of a line with more breaks the newest stretches have their band."""
TICK_FONT = 10.5
NOTHING_KNOWN = "It was sampled, but the value is not known at any moment of this range."


@dataclass(frozen=True, slots=True)
class Line:
    """One line, all (n,): unix seconds and values (NaN: not known, a gap). `low` and `high` are the extremes of each
    point's bucket."""

    key: str  # name of the field in live points: "lag", "arriving", "consumed", "rate", "size"
    name: str
    color: str  # "s1" ... "s7", "other"
    times: Floats
    values: Floats
    low: Floats | None = None
    high: Floats | None = None
    dash: str = "solid"
    is_compared: bool = False  # of another time, laid over this one


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened, at a moment."""

    at: float
    text: str
    icon: str = "i-flag"
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without samples, with the reason: drawn hatched, never bridged."""

    since: float
    until: float
    why: str


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    unit: str  # as on the axis: "records", "records/s", "bytes"
    since: float
    until: float
    lines: Sequence[Line]
    marks: Sequence[Mark] = ()
    gaps: Sequence[Gap] = ()
    interval_seconds: float = 5.0
    step_seconds: float | None = None  # seconds a point stands for; None: every sample is shown
    threshold: tuple[float, str] | None = None
    notes: Sequence[str] = field(default_factory=tuple)


def described(chart: Chart) -> Json:
    """What the page's script asks for: the figure, and beside it the marks, gaps and what a point means.

    `x` (unix milliseconds), `y` of its traces are arrays (n,) float64; bands share the `x` of their line.
    """
    is_empty = all(np.isnan(line.values).all() for line in chart.lines)
    notes = list(chart.notes)
    if is_empty and not notes and any(len(line.times) for line in chart.lines):
        notes.append(NOTHING_KNOWN)
    return {
        "title": chart.title,
        "unit": chart.unit,
        "from": chart.since,
        "to": chart.until,
        "interval": chart.interval_seconds,
        "step": chart.step_seconds,
        "resolution": "; ".join((resolution(chart), *chart.notes)),
        "marks": [{"t": m.at, "text": m.text, "icon": m.icon, "tone": m.tone} for m in chart.marks],
        "gaps": [{"from": g.since, "to": g.until, "why": g.why} for g in chart.gaps],
        "empty": is_empty,
        "notes": notes,
        "figure": figure(chart),
    }


def figure(chart: Chart) -> Json:
    """The Plotly figure: bands below, lines above; `meta.key` names the field of live points that extends a line."""
    milliseconds = [np.round(line.times * 1000) for line in chart.lines]
    both = list(zip(chart.lines, milliseconds, strict=True))
    bands = [trace for line, at in both for trace in _band(line, at)]
    return {"data": [*bands, *(_line(line, at, chart.unit) for line, at in both)], "layout": _layout(chart)}


def resolution(chart: Chart) -> str:
    """ "5 s samples", "5 s samples, 30 s shown, minimum to maximum shaded"."""
    said = f"{chart.interval_seconds:g} s samples"
    if chart.step_seconds is None or chart.step_seconds <= chart.interval_seconds * 1.5:
        return said
    step = chart.step_seconds
    shown = f"{step:.0f} s" if step < 120 else f"{step / 60:.0f} min"
    shaded = ", minimum to maximum shaded" if any(line.high is not None for line in chart.lines) else ""
    return f"{said}, {shown} shown{shaded}"


def _line(line: Line, milliseconds: Floats, unit: str) -> Json:
    compared = {"compared": True} if line.is_compared else {}
    return {
        "type": "scatter",
        "mode": "lines",
        "name": line.name,
        "x": milliseconds,
        "y": line.values,
        "connectgaps": False,
        "line": {"color": token(line.color), "width": 1.5, "dash": line.dash, "shape": "linear"},
        "hovertemplate": f"%{{y:,.4~g}} {unit}<extra>%{{fullData.name}}</extra>",
        "meta": {"key": line.key, "role": "line", "unit": unit, **compared},
    }


def _band(line: Line, milliseconds: Floats) -> list[Json]:
    """Minimum to maximum of each bucket, as two edges of which the upper fills down to the lower; a pair for each
    stretch without a break, since Plotly's filling takes no notice of breaks."""
    if line.low is None or line.high is None:
        return []
    edge = {
        "type": "scatter",
        "mode": "lines",
        "connectgaps": False,
        "showlegend": False,
        "hoverinfo": "skip",
        "line": {"width": 0, "color": token(line.color)},
    }
    fill = {
        "fill": "tonexty",
        "fillcolor": f"{token(line.color)}/{BAND_OPACITY}",
        "line": {"width": 1, "color": f"{token(line.color)}/{BAND_EDGE_OPACITY}"},
    }
    is_known = ~(np.isnan(line.low) | np.isnan(line.high))
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_known, [False])).astype(np.int8))).tolist()
    traces: list[Json] = []
    for first, end in list(zip(edges[::2], edges[1::2], strict=True))[-MOST_STRETCHES:]:
        is_whole, is_last = end - first == len(is_known), end == len(is_known)
        x, low, high = (part if is_whole else part[first:end].copy() for part in (milliseconds, line.low, line.high))
        meta = {"key": line.key if is_last else "", "role": "band"}  # live points extend the newest
        traces += [{**edge, "x": x, "y": low, "meta": meta}, {**edge, **fill, "x": x, "y": high, "meta": meta}]
    return traces


def _layout(chart: Chart) -> Json:
    tick_font = {"size": TICK_FONT, "color": "var(--sg-text-3)"}
    shapes: list[Json] = [
        {
            "type": "rect",
            "xref": "x",
            "yref": "paper",
            "x0": round(gap.since * 1000),
            "x1": round(gap.until * 1000),
            "y0": 0,
            "y1": 1,
            "line": {"width": 0},
            "fillcolor": "var(--sg-other)/0.16",
            "layer": "below",
            "name": "gap",
        }
        for gap in chart.gaps
    ]
    shapes += [
        {
            "type": "line",
            "xref": "x",
            "yref": "paper",
            "x0": round(mark.at * 1000),
            "x1": round(mark.at * 1000),
            "y0": 0,
            "y1": 1,
            "line": {"width": 1, "dash": "dot", "color": _tone(mark.tone)},
            "name": "mark",
        }
        for mark in chart.marks
    ]
    annotations: list[Json] = [
        {"xref": "paper", "yref": "paper", "x": 0, "y": 1, "text": chart.unit, "showarrow": False, "yanchor": "bottom",
         "xanchor": "left", "font": tick_font, "name": "unit"}
    ]  # fmt: skip
    if chart.threshold is not None:
        level, said = chart.threshold
        shapes.append(
            {
                "type": "line",
                "xref": "paper",
                "yref": "y",
                "x0": 0,
                "x1": 1,
                "y0": level,
                "y1": level,
                "line": {"width": 1, "dash": "dash", "color": "var(--sg-text-3)"},
                "name": "threshold",
            }
        )
        annotations.append(
            {"xref": "paper", "yref": "y", "x": 0, "y": level, "text": said, "showarrow": False, "yanchor": "bottom",
             "xanchor": "left", "font": tick_font}
        )  # fmt: skip
    return {
        "margin": {"l": 56, "r": 8, "t": 20, "b": 28},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,  # the panel's own legend carries the newest values
        "hovermode": "x unified",
        "dragmode": "zoom",
        "font": {"family": "inherit", "color": "var(--sg-text-2)", "size": 11},
        "uirevision": "zoom",  # a zoomed view stays while data stream in
        "xaxis": {
            "type": "date",
            "range": [round(chart.since * 1000), round(chart.until * 1000)],
            "showgrid": False,
            "linecolor": "var(--sg-line-2)",
            "tickfont": tick_font,
            "ticklen": 4,
            "tickcolor": "var(--sg-line-2)",
            "hoverformat": "%H:%M:%S" if chart.until - chart.since < 86_400 else "%b %d %H:%M:%S",
            **({"tickformat": _clock(chart.until - chart.since)} if chart.until - chart.since < 86_400 else {}),
            "fixedrange": False,
        },
        "yaxis": {
            "rangemode": "tozero",
            "gridcolor": "var(--sg-grid)",
            "zeroline": True,
            "zerolinecolor": "var(--sg-line-2)",
            "tickfont": tick_font,
            "nticks": 5,
            "tickformat": _tick_format(chart),
            "ticksuffix": {"bytes": "B", "seconds": " s"}.get(chart.unit, ""),
            "fixedrange": True,
        },
        "shapes": shapes,
        "annotations": annotations,
    }


def _tick_format(chart: Chart) -> str:
    """SI prefixes, but for small numbers: "500m" for a half is not what people read."""
    if chart.unit == "bytes":
        return ".3~s"
    if chart.unit == "seconds":
        return ",~g"  # 1 200 s and not 1.2 ks
    highest = max((float(np.nanmax(line.values)) for line in chart.lines if not np.isnan(line.values).all()), default=0)
    return "~s" if highest >= 10 else "~g"


def _clock(seconds: float) -> str:
    """Never with a date below it, which would stand where the marks are."""
    return "%H:%M" if seconds >= 900 else "%H:%M:%S"


def token(color: str) -> str:
    return f"var(--sg-{color})"


def _tone(tone: str) -> str:
    return {"is-bad": "var(--sg-bad)", "is-warn": "var(--sg-warn)", "is-ok": "var(--sg-ok)"}.get(
        tone, "var(--sg-text-3)"
    )
