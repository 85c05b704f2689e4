"""Lag is never negative, and never a number where an input is not known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.domain.lag import gather, lost_records, newly_lost, partition_lag, positions_in, sums
from collectors.domain.numbers import NO_COMMIT, Layout, Numbers

offsets = st.one_of(st.none(), st.integers(min_value=NO_COMMIT, max_value=2**62))


@pytest.mark.parametrize(
    ("sentence", "committed", "end", "start", "lag"),
    [
        ("twelve records wait", 88, 100, 0, 12),
        ("nothing waits", 100, 100, 0, 0),
        ("a commit past the sampled end is neither minus three records nor none", 103, 100, 0, None),
        ("records that retention deleted unread are not waiting any more", 10, 100, 60, 40),
        ("an unknown log start leaves the plain difference", 10, 100, None, 90),
        ("a group that never committed has no lag", NO_COMMIT, 100, 0, None),
        ("an unknown commit has no lag", None, 100, 0, None),
        ("an unknown log end gives no lag", 10, None, 0, None),
    ],
)
def test_lag_of_one_partition(
    sentence: str, committed: int | None, end: int | None, start: int | None, lag: int | None
) -> None:
    found = partition_lag(Numbers.of([committed]), Numbers.of([end]), Numbers.of([start]))
    assert found.at(0) == lag, sentence


@given(st.lists(st.tuples(offsets, offsets, offsets), max_size=30))
def test_lag_is_never_negative_and_unknown_stays_unknown(rows: list[tuple[int | None, int | None, int | None]]) -> None:
    committed, end, start = (Numbers.of([row[i] for row in rows]) for i in range(3))
    lag = partition_lag(committed, end, start)
    assert (lag.values >= 0).all()
    for i, (c, e, _) in enumerate(rows):
        assert bool(lag.known[i]) == (c is not None and e is not None and c != NO_COMMIT and c <= e)


def test_a_sum_is_known_only_when_all_of_its_parts_are() -> None:
    index = np.array([0, 0, 1, 1, 3])
    total = sums(Numbers.of([1, 2, 3, None, 5]), index, 4)
    assert [total.at(i) for i in range(4)] == [3, None, None, 5], "an owner without members has no sum either"


@given(st.lists(st.integers(0, 2**61), max_size=20))
def test_sums_stay_exact_where_a_float_would_round(values: list[int]) -> None:
    bounded = [v // max(1, len(values)) for v in values]
    total = sums(Numbers.of([*bounded]), np.zeros(len(bounded), dtype=np.int64), 1)
    assert total.at(0) == (sum(bounded) if bounded else None)


def test_positions_of_a_group_are_found_in_the_topics_layout() -> None:
    topics = Layout.of_topics({"a": [0, 1], "b": [0, 2]})
    group = Layout.build({"g": [("a", 1), ("b", 2), ("b", 1), ("gone", 0)]})
    found = positions_in(group, topics)
    expected = {("a", 1): 1, ("b", 2): 3, ("b", 1): -1, ("gone", 0): -1}
    assert {
        (topic, int(p)): int(f) for topic, p, f in zip(group.topics, group.partitions, found, strict=True)
    } == expected


def test_what_is_not_there_is_gathered_as_unknown() -> None:
    found = gather(Numbers.of([7, None]), np.array([0, 1, -1]))
    assert [found.at(i) for i in range(3)] == [7, None, None]
    assert not gather(Numbers.unknown(0), np.array([-1])).known.any()


def test_equal_layouts_have_equal_digests_and_others_do_not() -> None:
    one = Layout.build({"g": [("t", 0), ("t", 1)]})
    same = Layout.build({"g": [("t", 1), ("t", 0)]})
    other = Layout.build({"g": [("t", 0), ("t", 2)]})
    moved = Layout.build({"g": [("t", 0)], "h": [("t", 1)]})
    assert one.digest == same.digest
    assert len({one.digest, other.digest, moved.digest}) == 3


@pytest.mark.parametrize(
    ("said", "committed", "start", "before", "lost", "newly"),
    [
        ("the commit is past the log start: nothing is lost", 50, 40, 30, 0, 0),
        ("commit and log start are equal: nothing is lost", 40, 40, 30, 0, 0),
        ("the log start passed the commit: what is between is lost", 40, 100, 30, 60, 60),
        ("it had passed it before: only what came since is new", 40, 100, 70, 60, 30),
        ("nothing new was deleted", 40, 100, 100, 60, 0),
        ("a topic made anew begins at 0 again", 40, 0, 100, 0, 0),
        ("where the group never committed nothing was lost", NO_COMMIT, 100, 30, None, None),
        ("an unknown commit", None, 100, 30, None, None),
        ("an unknown log start", 40, None, 30, None, None),
        ("the first look: lost, but when is not known", 40, 100, None, 60, None),
    ],
)
def test_lost_records(
    said: str, committed: int | None, start: int | None, before: int | None, lost: int | None, newly: int | None
) -> None:
    one = [Numbers.of([value]) for value in (committed, start, before)]
    assert lost_records(one[0], one[1]).at(0) == lost, said
    assert newly_lost(*one).at(0) == newly, said
