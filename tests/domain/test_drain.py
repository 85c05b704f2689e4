"""How long until a backlog is read: a number, or a word that says why there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.domain.drain import DrainOutcome, drain_estimates
from collectors.domain.numbers import Numbers
from collectors.domain.words import THIN

CASES: list[tuple[str, float | None, float | None, float | None, str]] = [
    ("nothing waits and nothing comes", 0, 0.0, 0.0, "0 s"),
    ("nothing waits, whatever the rates are", 0, None, None, "0 s"),
    ("the lag is not known", None, 1.0, 1.0, "unknown"),
    ("what is read is not known", 600, None, 10.0, "unknown"),
    ("what arrives is not known", 600, 30.0, None, "unknown"),
    ("20 a second are read beyond what arrives", 600, 30.0, 10.0, "30 s"),
    ("nothing arrives any more", 600, 10.0, 0.0, "1 min"),
    ("no more waits than comes between two commits", 93, 29.0, 30.0, "keeps up"),
    ("a gain within the sawtooth is none", 9000, 30.5, 30.0, "not draining"),
    ("more arrives than is read", 900, 29.0, 30.0, "not draining"),
    ("nothing moves", 900, 0.0, 0.0, "not draining"),
]


@pytest.mark.parametrize(("why", "lag", "consumed", "arriving", "said"), CASES, ids=[case[0] for case in CASES])
def test_what_is_said_of_a_backlog(
    why: str, lag: float | None, consumed: float | None, arriving: float | None, said: str
) -> None:
    found = drain_estimates(Numbers.of([lag]), _rates([consumed]), _rates([arriving]), np.zeros(1, np.bool_))
    assert found.said(0).replace(THIN, " ") == said
    assert (found.seconds_at(0) is not None) == found.numbers.known[0] == (said[0].isdigit())


def test_all_groups_at_once_are_told_as_each_alone() -> None:
    _, lags, consumed, arriving, said = zip(*CASES, strict=True)
    found = drain_estimates(Numbers.of(lags), _rates(consumed), _rates(arriving), np.zeros(len(lags), np.bool_))
    assert [found.said(at).replace(THIN, " ") for at in range(len(CASES))] == list(said)


def test_who_does_well_and_has_read_nothing_has_only_not_committed_yet() -> None:
    is_well = np.array([True, True, False, True])
    found = drain_estimates(Numbers.of([900] * 3 + [0]), _rates([0.0, 5.0, 0.0, 0.0]), _rates([10.0] * 4), is_well)
    assert [found.said(at).replace(THIN, " ") for at in range(4)] == ["unknown", "not draining", "not draining", "0 s"]


some = st.none() | st.just(0.0) | st.floats(1e-6, 1e9)


@given(st.lists(st.tuples(st.none() | st.integers(0, 2**60), some, some), max_size=20))
def test_it_is_never_negative_or_no_number_and_unknown_stays_unknown(
    groups: list[tuple[int | None, float | None, float | None]],
) -> None:
    lags, consumed, arriving = ([group[i] for group in groups] for i in range(3))
    found = drain_estimates(Numbers.of(lags), _rates(consumed), _rates(arriving), np.zeros(len(lags), np.bool_))
    assert np.isfinite(found.seconds).all()
    assert (found.seconds >= 0).all()
    for at, group in enumerate(groups):
        is_unknown = None in group and group[0] != 0
        assert (DrainOutcome(int(found.outcome[at])) is DrainOutcome.UNKNOWN) == is_unknown


def _rates(values: list[float | None] | tuple[float | None, ...]) -> Numbers:
    return Numbers.of(values, np.float64)
