"""What a bench prints and writes: one measured number, with what it is compared to and what it should be."""

from __future__ import annotations

from typing import TypedDict


class Line(TypedDict):
    """`ratio` is value through baseline. `value` None: not measured, `unit` says why. `met` None: there is no goal."""

    line: str
    value: float | None
    unit: str
    baseline: float | None
    ratio: float | None
    goal: str | None
    met: bool | None


def line(
    name: str,
    value: float | None,
    unit: str,
    *,
    baseline: float | None = None,
    goal: str | None = None,
    met: bool | None = None,
) -> Line:
    """A line with its numbers cut to four digits; a goal without an answer needs no `met`."""
    ratio = value / baseline if baseline and value is not None else None
    return {
        "line": name,
        "value": _short(value),
        "unit": unit,
        "baseline": _short(baseline),
        "ratio": _short(ratio),
        "goal": goal,
        "met": met,
    }


def at_most(
    name: str, value: float | None, unit: str, limit: float, *, baseline: float | None = None, said: str | None = None
) -> Line:
    """A line whose value should be `limit` at most; what was not measured is neither met nor missed."""
    goal = said or f"<= {limit:g} {unit.split(' ')[0]}"
    return line(name, value, unit, baseline=baseline, goal=goal, met=None if value is None else value <= limit)


def table(name: str, lines: list[Line]) -> str:
    """The lines as text, one a row."""
    rows = [f"\n{name}"]
    for one in lines:
        compared = f"  (baseline {one['baseline']:g}, ratio {one['ratio']:g})" if one["ratio"] is not None else ""
        verdict = {True: "met", False: "NOT MET", None: "not measured" if one["value"] is None else ""}[one["met"]]
        goal = f"  goal {one['goal']}: {verdict}" if one["goal"] else ""
        value = "-" if one["value"] is None else f"{one['value']:g}"
        rows.append(f"  {one['line']:<78} {value:>10} {one['unit']}{compared}{goal}")
    return "\n".join(rows)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
