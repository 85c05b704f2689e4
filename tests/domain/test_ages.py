"""Log-end age: from samples alone, never NaN, never a phantom on an idle topic, never without a bound told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.domain.ages import (
    Ages,
    Brackets,
    Method,
    bracketed,
    first_unread,
    log_end_ages,
    oldest_by_owner,
    waits,
)
from collectors.domain.numbers import NO_COMMIT, Numbers

INTERVAL = 5.0


def ages(
    ends: list[list[int | None]], committed: list[int | None], start: list[int | None] | None = None, step: float = 5.0
) -> Ages:
    """Ages at the newest of some samples, `step` seconds apart, of (positions) by sample, oldest first."""
    samples = [(1000.0 + step * i, i + 1, Numbers.of(row)) for i, row in enumerate(ends)]
    newest = samples[-1][2]
    unread = first_unread(Numbers.of(committed), Numbers.of(start or [0] * len(committed)))
    waiting = np.flatnonzero(waits(unread, newest))
    brackets = Brackets.none(unread.values[waiting])
    picked = [(at, cycle, end.take(waiting)) for at, cycle, end in reversed(samples)]
    bracketed(brackets, [(at, cycle, end.take) for at, cycle, end in picked])
    return log_end_ages(unread, newest, waiting, brackets, taken_at=samples[-1][0], interval=INTERVAL)


@pytest.mark.parametrize(
    ("sentence", "ends", "committed", "seconds", "low", "high", "method"),
    [
        ("caught up is 0 by definition", [100, 110, 120], 120, 0, 0, 0, Method.EXACT),
        ("caught up on a topic that has been idle for hours is 0 too", [120, 120, 120], 120, 0, 0, 0, Method.EXACT),
        ("a commit past the end is caught up", [120, 120, 120], 125, 0, 0, 0, Method.EXACT),
        ("the record in the middle of the last ten", [100, 110, 120], 114, 2.75, 0, 5, Method.INTERPOLATED),
        ("the first of the last ten", [100, 110, 120], 110, 4.75, 0, 5, Method.INTERPOLATED),
        ("one sample further back", [100, 110, 120], 105, 7.25, 5, 10, Method.INTERPOLATED),
        ("one record that came, then nothing", [100, 101, 101, 101], 100, 12.5, 10, 15, Method.INTERPOLATED),
        ("the end passed it unseen, in a gap", [100, None, None, None, 140], 100, 19.75, 0, 20, Method.BRACKETED),
        ("older than all samples: at the rate since", [100, 110, 120], 80, 20, 10, np.inf, Method.RATE_ONLY),
        ("older than all samples, and nothing came since", [100, 100, 100], 80, 0, 10, np.inf, Method.UNKNOWN),
        ("nothing is told from one sample", [100], 80, 0, 0, np.inf, Method.UNKNOWN),
        ("a log made anew: its records came after the old one's", [900, 50, 60], 20, 7.95, 5, 10, Method.INTERPOLATED),
        ("truncated and grown again: the newer passing counts", [100, 90, 100], 95, 2.25, 0, 5, Method.INTERPOLATED),
        ("a group that never committed has no age", [100, 110], NO_COMMIT, 0, 0, np.inf, Method.UNKNOWN),
        ("a commit that was not answered has no age", [100, 110], None, 0, 0, np.inf, Method.UNKNOWN),
        ("a log end that was not answered gives no age", [100, None], 100, 0, 0, np.inf, Method.UNKNOWN),
    ],
)
def test_age_of_one_position(
    sentence: str,
    ends: list[int | None],
    committed: int | None,
    seconds: float,
    low: float,
    high: float,
    method: Method,
) -> None:
    found = ages([[end] for end in ends], [committed])
    assert found.method[0] == method, sentence
    assert found.low[0] == pytest.approx(low), sentence
    assert found.high[0] == pytest.approx(high), sentence
    if method is not Method.UNKNOWN:
        assert found.seconds[0] == pytest.approx(seconds), sentence


def test_records_that_retention_took_do_not_age_the_group() -> None:
    """The first record that still exists is the one that waits."""
    found = ages([[100], [110], [120]], [20], start=[110])
    assert found.seconds[0] == pytest.approx(4.75)


def test_the_oldest_position_counts_and_one_that_is_not_known_leaves_a_bound() -> None:
    found = ages([[100, 100, 100, 10], [110, 110, 110, 10], [120, 120, 120, 10]], [105, 119, 120, NO_COMMIT])
    owners = np.array([0, 0, 1, 1])
    counted = np.array([True, True, True, False])
    oldest, worst = oldest_by_owner(found, counted, owners, 3)
    assert oldest.seconds.tolist()[:2] == [pytest.approx(7.25), 0.0]
    assert worst.tolist() == [0, 2, -1]
    assert oldest.method.tolist() == [Method.INTERPOLATED, Method.EXACT, Method.UNKNOWN]

    unsure = ages([[100, 100], [110, 110], [120, None]], [105, 100])
    oldest, _ = oldest_by_owner(unsure, np.array([True, True]), np.array([0, 0]), 1)
    assert oldest.method[0] == Method.UNKNOWN
    assert oldest.low[0] == 5.0


offsets = st.one_of(st.none(), st.integers(min_value=0, max_value=10**9))


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.tuples(
            st.lists(st.lists(offsets, min_size=width, max_size=width), min_size=1, max_size=12),
            st.lists(st.one_of(st.none(), st.integers(NO_COMMIT, 10**9)), min_size=width, max_size=width),
            st.lists(offsets, min_size=width, max_size=width),
        )
    )
)
def test_an_age_is_never_nan_nor_negative_and_lies_within_its_bounds(
    case: tuple[list[list[int | None]], list[int | None], list[int | None]],
) -> None:
    ends, committed, start = case
    found = ages(ends, committed, start)
    assert np.isfinite(found.seconds).all()
    assert (found.seconds >= 0).all()
    assert not np.isnan(found.low).any()
    assert not np.isnan(found.high).any()
    known = found.known
    assert (found.low[known] <= found.seconds[known] + 1e-6).all()
    assert (found.seconds[known] <= found.high[known] + 1e-6).all()
    for i, (commit, end) in enumerate(zip(committed, ends[-1], strict=True)):
        if commit in (None, NO_COMMIT) or end is None:
            assert not known[i], "a missing input gives no age"


@given(
    steps=st.lists(st.integers(0, 50), min_size=20, max_size=60),
    behind=st.integers(0, 400),
    holes=st.lists(st.integers(1, 58), max_size=10),
)
def test_the_true_moment_lies_within_the_bounds(steps: list[int], behind: int, holes: list[int]) -> None:
    """Records come one by one between samples; whatever is missing in between, the bounds hold the truth."""
    ends, came_at = [1000], dict[int, float]()
    for i, count in enumerate(steps):
        for k in range(count):
            came_at[ends[-1] + k] = 5.0 * i + 5.0 * (k + 1) / (count + 1)
        ends.append(ends[-1] + count)
    committed = max(1000, ends[-1] - behind)
    seen: list[list[int | None]] = [[None if i in holes and i != len(ends) - 1 else end] for i, end in enumerate(ends)]
    found = ages(seen, [committed])
    if committed == ends[-1]:
        assert found.method[0] == Method.EXACT
        return
    truth = 5.0 * len(steps) - came_at[committed]
    assert found.low[0] - 1e-6 <= truth <= found.high[0] + 1e-6
