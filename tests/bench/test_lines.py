"""What benches and the soak say of their figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from .lines import at_most, line, table
from .soak import Look, judge

FLAT = [Look(float(minute), 150.0, 60, 20, 40.0, 0.1, 5.0) for minute in range(1, 61)]


def test_a_ratio_is_of_the_baseline_and_a_goal_is_met_or_not() -> None:
    met, missed = at_most("x", 10, "ms", 20, baseline=40), at_most("x", 30, "ms", 20)
    assert (met["ratio"], met["goal"], met["met"]) == (0.25, "<= 20 ms", True)
    assert missed["met"] is False
    assert "goal <= 20 ms: NOT MET" in table("t", [missed])


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    absent = line("against KMinion", None, "not measured", goal="half")
    assert (absent["met"], absent["ratio"]) == (None, None)
    assert "goal half: not measured" in table("t", [absent])


def test_a_soak_that_stays_flat_meets_all_goals() -> None:
    assert [one["line"] for one in judge(FLAT) if one["met"] is False] == []


@pytest.mark.parametrize(
    ("name", "growing"),
    [
        ("memory", {"memory_mb": 1.0}),
        ("descriptors", {"descriptors": 1}),
        ("threads", {"threads": 1}),
        ("cycle", {"cycle_ms": 1.0}),
    ],
)
def test_what_grows_by_the_minute_is_missed(name: str, growing: dict[str, float]) -> None:
    ((field, step),) = growing.items()
    looks = [replace(look, **{field: getattr(look, field) + step * i}) for i, look in enumerate(FLAT)]
    missed = [one["line"] for one in judge(looks) if one["met"] is False]
    assert len(missed) == 1
    assert missed[0].startswith(name)


def test_more_memory_than_the_goal_is_missed_even_when_it_stays() -> None:
    looks = [replace(look, memory_mb=260.0) for look in FLAT]
    assert [one["line"] for one in judge(looks) if one["met"] is False] == ["memory of the demo's process, highest"]
