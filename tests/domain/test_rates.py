"""Rates come from steps between known samples, and never run backwards."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from collectors.domain.numbers import NO_COMMIT
from collectors.domain.rates import rate_per_second


def rate(samples: list[int | None], times: list[float] | None = None, valid_from: int | None = None) -> float | None:
    known = np.array([[v is not None] for v in samples])
    values = np.array([[0 if v is None else v] for v in samples], dtype=np.int64)
    at = np.array(times if times is not None else [5.0 * i for i in range(len(samples))])
    found = rate_per_second(at, values, known, valid_from=valid_from).at(0)
    return None if found is None else float(found)


@pytest.mark.parametrize(
    ("sentence", "samples", "expected"),
    [
        ("two samples are enough", [0, 50], 10.0),
        ("one sample is not", [100], None),
        ("no known sample is not", [None, None], None),
        ("an idle counter runs at zero, which is known", [7, 7, 7], 0.0),
        ("a missing sample is bridged", [0, None, 100], 10.0),
        ("a step back is left out with its time", [100, 150, 20, 70], 10.0),
        ("only steps back leave nothing", [100, 50], None),
    ],
)
def test_rate_of_one_counter(sentence: str, samples: list[int | None], expected: float | None) -> None:
    assert rate(samples) == expected, sentence


def test_uneven_times_are_weighted_by_their_length() -> None:
    assert rate([0, 10, 100], [0.0, 1.0, 10.0]) == pytest.approx(10.0)


def test_a_clock_that_stands_still_gives_no_rate() -> None:
    assert rate([0, 10], [5.0, 5.0]) is None


def test_the_first_commit_of_a_group_is_not_consumption() -> None:
    assert rate([NO_COMMIT, 90_000, 90_050], valid_from=0) == 10.0


@pytest.mark.parametrize("seed", range(6))
def test_counters_side_by_side_run_as_each_does_alone(seed: int) -> None:
    """Whole ones are reckoned from two samples, those with holes and steps back from step to step."""
    random = np.random.default_rng(seed)
    rows, count = int(random.integers(2, 9)), 40
    times = np.cumsum(random.choice([1.0, 5.0, 7.5], rows))
    values = np.cumsum(random.integers(0, 50, (rows, count)), axis=0)
    values[-1, ::7] = 0  # made anew
    known = random.random((rows, count)) < np.where(np.arange(count) % 2, 1.0, 0.7)
    together = rate_per_second(times, values, known)
    for i in range(count):
        seen = [row for row in range(rows) if known[row, i]]
        steps = [(a, b) for a, b in pairwise(seen) if values[b, i] >= values[a, i]]
        span = sum(times[b] - times[a] for a, b in steps)
        moved = sum(values[b, i] - values[a, i] for a, b in steps)
        expected = moved / span if span else None
        assert together.at(i) == (expected if expected is None else pytest.approx(expected)), (i, values[:, i])
