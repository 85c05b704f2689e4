"""What a message adds to its sentence, from the numbers that the sentence was made of."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.alerts import advice
from dashboard.alerts.defaults import DEFAULT_RULES


@pytest.mark.parametrize(
    ("numbers", "bad", "way"),
    [
        ({}, "", ""),
        ({"lag": 0}, "0 records behind", ""),
        ({"lag": None, "arriving_per_second": None, "consumed_per_second": 3.0}, "", ""),
        ({"lag": 1240, "arriving_per_second": 20.0, "consumed_per_second": 0.0}, "1 240 records behind",
         "the lag grows by 1 200 a minute: 20/s arrive, 0/s are read"),
        ({"lag": 1240, "arriving_per_second": 20.0, "consumed_per_second": 30.0}, "1 240 records behind",
         "the lag shrinks by 600 a minute: 20/s arrive, 30/s are read"),
        ({"lag": 9, "arriving_per_second": 20.0, "consumed_per_second": 20.1}, "9 records behind",
         "the lag stays as it is: 20/s arrive, 20/s are read"),
        ({"brokers_up": 2, "brokers": 3}, "2 of 3 brokers up", ""),
        ({"partitions_behind": 1}, "1 partition with a copy too few", ""),
        ({"arrived": 3, "held": None}, "3 records came", ""),
        ({"arrived": 3, "held": 12}, "3 records came, 12 held", ""),
        ({"age_seconds": 15.2}, "nothing measured for 15 s", ""),
        ({"lost": 1, "lag": 70}, "1 record lost", ""),
        ({"lag": "<b>", "arrived": True}, "", ""),
    ],
)  # fmt: skip
def test_how_bad_and_which_way(numbers: dict[str, Any], bad: str, way: str) -> None:
    """Unknown says nothing: it is neither zero nor standing still."""
    assert advice.how_bad(numbers).replace("\u202f", " ") == bad
    assert advice.trend(numbers).replace("\u202f", " ") == way


def test_every_default_rule_has_a_next_step_of_its_own() -> None:
    steps = [advice.next_step(key, rule["quantity"]) for key, rule in DEFAULT_RULES.items()]
    assert len(set(steps)) == len(steps)
    assert "link" in advice.next_step("made by somebody", "of something")
