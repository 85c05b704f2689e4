"""Which partitions are hot, by a table of cases."""

from __future__ import annotations

import numpy as np
import pytest

from collectors.domain.numbers import Numbers
from collectors.domain.skew import spread, times_even

CASES = [
    ("evenly spread: none is hot", {0: 1000, 1: 1010, 2: 990}, []),
    ("one partition gets half of four: hot", {0: 3000, 1: 1000, 2: 1000, 3: 1000}, [0]),
    ("a key with most of the records and its partition: hot", {0: 10, 1: 9800, 2: 15, 3: 8}, [1]),
    ("a handful of records, unevenly by chance: none is hot", {0: 5, 1: 1, 2: 0, 3: 1}, []),
    ("two partitions, one idle: the other has twice its even share", {0: 1000, 1: 0}, [0]),
    ("nearly twice the even share is not twice", {0: 1900, 1: 1000, 2: 1}, []),
]


@pytest.mark.parametrize(("said", "records", "hot"), CASES, ids=[case[0] for case in CASES])
def test_which_partitions_are_hot(said: str, records: dict[int, int | None], hot: list[int]) -> None:
    found = spread(records)
    assert found is not None
    assert [one.partition for one in found.hot] == hot, said
    assert sum(one.share for one in found.shares) == pytest.approx(1)
    assert [one.records for one in found.shares] == sorted((r or 0 for r in records.values()), reverse=True)


@pytest.mark.parametrize(
    ("said", "records"),
    [
        ("one partition has nothing to be compared with", {0: 100}),
        ("one unknown partition makes every share unknown", {0: 100, 1: None}),
        ("no record came", {0: 0, 1: 0}),
        ("no partition", {}),
    ],
)
def test_a_spread_that_cannot_be_told_is_none(said: str, records: dict[int, int | None]) -> None:
    assert spread(records) is None, said


@pytest.mark.parametrize(("said", "records", "hot"), CASES, ids=[case[0] for case in CASES])
def test_many_topics_at_once_say_the_same(said: str, records: dict[int, int], hot: list[int]) -> None:
    counts = Numbers.of([*records.values(), 100, 100, None, 7, 9999])
    owners = np.array([0] * len(records) + [1, 1, 2, 2, 3], dtype=np.int64)
    found = times_even(counts, owners, 4)
    own = found.take(slice(0, len(records)))
    assert own.known.all()
    assert [i for i in range(len(records)) if own.values[i] > 1] == hot, said
    assert [found.at(i) for i in range(len(records), len(counts))] == [1, 1, None, None, 1], "others, unknown, single"


def test_no_topic_at_all_has_no_skew() -> None:
    assert len(times_even(Numbers.of([]), np.zeros(0, dtype=np.int64), 0)) == 0
