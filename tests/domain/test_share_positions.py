"""Where share groups stand: the log end less the broker's lag, still while nothing is read, beside the commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.domain.lag import partition_lag
from collectors.domain.numbers import Column, Layout, Numbers
from collectors.domain.share_positions import SharePositions, stands_at

ENDS = Layout.of_topics({"a": [0, 1], "b": [0], "idle": [0]})
COMMITS = Layout.build({"classic": [("a", 0), ("b", 0)], "zoo": [("a", 1)]})
SHARES = Layout.build({"share": [("a", 0), ("a", 1)], "yes": [("idle", 0)]})
NOTHING = Numbers.unknown(1)
One = int | None


@pytest.mark.parametrize(
    ("why", "lag", "after", "before", "last", "expected"),
    [
        ("first sight: the end less the lag", 30, 100, None, None, 70),
        ("nothing waits", 0, 100, 100, 70, 100),
        ("it read on", 30, 200, 200, 70, 170),
        ("nothing was read, and 5 came while we asked: it stays", 130, 205, 200, 70, 70),
        ("nothing was read, and it had been put too high: corrected", 130, 195, 195, 70, 65),
        ("at the edge of what can be", 130, 210, 200, 70, 70),
        ("one more than can be standing: it has read", 129, 205, 200, 70, 76),
        ("the broker does not know the lag", None, 200, 200, 70, None),
        ("the log end is not known", 10, None, 200, 70, None),
        ("no look at the end before: the newest alone", 10, 200, None, 185, 190),
        ("more lag than the log ever held", 300, 200, 200, 70, None),
        ("a log that never held a record", None, 0, 0, None, 0),
    ],
)
def test_a_position_follows_from_the_broker_s_lag(
    why: str, lag: One, after: One, before: One, last: One, expected: One
) -> None:
    found = stands_at(Numbers.of([lag]), Numbers.of([after]), Numbers.of([before]), Numbers.of([last]))
    assert found.at(0) == expected, why


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_a_group_that_reads_nothing_never_moves_forward_and_its_lag_is_never_below_the_broker_s(
    cycles: Sequence[tuple[int, int, int]],
) -> None:
    """(records between cycles, between the look before and the broker's count, between that and the look after)."""
    stands, end, last, seen = 100, 500, NOTHING, list[int]()
    for came, early, late in cycles:
        before = end + came
        counted = before + early
        end = counted + late
        lag = counted - stands
        last = stands_at(Numbers.of([lag]), Numbers.of([end]), Numbers.of([before]), last)
        assert lag <= end - last.values[0] <= lag + early + late
        seen.append(int(last.values[0]))
    assert seen == sorted(seen, reverse=True)


def column(layout: Layout, values: Sequence[One]) -> Column:
    return Column(layout, Numbers.of(values))


def read(found: Column) -> Mapping[tuple[str, str, int], int | float | None]:
    return {key: found.numbers.at(i) for key, i in found.layout.position.items()}


def test_positions_stand_beside_the_commits_in_one_sorted_layout() -> None:
    made = SharePositions()
    commits, ends = column(COMMITS, [10, None, -1]), column(ENDS, [100, 200, 300, 0])
    found = made.add_to(commits, column(SHARES, [40, None, None]), Column.empty(), ends)
    assert read(found) == {
        ("classic", "a", 0): 10,
        ("classic", "b", 0): None,
        ("share", "a", 0): 60,
        ("share", "a", 1): None,
        ("yes", "idle", 0): 0,
        ("zoo", "a", 1): -1,
    }
    expected = Layout.build(
        {
            **{owner: [(t, p) for o, t, p in COMMITS.position if o == owner] for owner in COMMITS.owners},
            **{owner: [(t, p) for o, t, p in SHARES.position if o == owner] for owner in SHARES.owners},
        }
    )
    assert found.layout.digest == expected.digest
    again = made.add_to(commits, column(SHARES, [35, 3, None]), Column.empty(), ends)
    assert again.layout is found.layout
    equal = Layout.build({owner: [(t, p) for o, t, p in SHARES.position if o == owner] for owner in SHARES.owners})
    assert made.add_to(commits, column(equal, [35, 3, None]), Column.empty(), ends).layout is found.layout


def test_the_lag_of_the_stored_cycle_is_the_broker_s() -> None:
    ends, none = column(ENDS, [100, 200, 300, 0]), Layout.build({})
    found = SharePositions().add_to(column(none, []), column(SHARES, [40, 0, 0]), Column.empty(), ends)
    lag = partition_lag(found.numbers, Numbers.of([100, 200, 0]), Numbers.of([0, 0, 0]))
    assert lag.known.all()
    assert lag.values.tolist() == [40, 0, 0]


def test_without_share_groups_the_commits_are_what_they_were() -> None:
    commits = column(COMMITS, [1, 2, 3])
    ends = column(ENDS, [9, 9, 9, 9])
    assert SharePositions().add_to(commits, Column.empty(), Column.empty(), ends) is commits


def test_what_is_looked_at_before_asking_are_the_topics_of_share_groups() -> None:
    made, ends = SharePositions(), column(ENDS, [100, 200, 300, 0])
    assert len(made.topics(ENDS)) == 0, "nothing is known of what they read"
    made.add_to(column(COMMITS, [1, 2, 3]), column(SHARES, [0, 0, 0]), Column.empty(), ends)
    part = made.topics(ENDS)
    assert (part.owners, part.partitions.tolist()) == (("a", "idle"), [0, 1, 0])
    assert made.topics(ENDS) is part, "the same object, so that the request for it stays prepared"
    before = column(part, [104, 200, 0])
    later = column(ENDS, [104, 200, 300, 0])
    found = made.add_to(column(COMMITS, [1, 2, 3]), column(SHARES, [3, 0, 0]), before, later)
    assert read(found)["share", "a", 0] == 101, "of 104 it has all but 3"
    still = made.add_to(
        column(COMMITS, [1, 2, 3]),
        column(SHARES, [5, 0, 0]),
        column(part, [104, 200, 0]),
        column(ENDS, [107, 200, 300, 0]),
    )
    assert read(still)["share", "a", 0] == 101


def test_a_position_that_was_not_known_for_a_cycle_is_compared_with_the_last_that_was() -> None:
    made, commits = SharePositions(), column(Layout.build({}), [])
    part = Layout.of_topics({"a": [0, 1], "idle": [0]})

    def at(lag: One, before: int, after: int) -> int | float | None:
        shares = column(SHARES, [lag, 0, 0])
        found = made.add_to(commits, shares, column(part, [before, 9, 0]), column(ENDS, [after, 9, 9, 0]))
        return read(found)["share", "a", 0]

    assert [at(50, 100, 100), at(None, 110, 110), at(65, 110, 120)] == [50, None, 50]


def test_a_position_stays_where_it_was_when_other_groups_come_or_go() -> None:
    made, commits = SharePositions(), column(Layout.build({}), [])
    before, after = column(Layout.of_topics({"a": [0, 1]}), [100, 100]), column(ENDS, [120, 100, 9, 0])
    made.add_to(commits, column(SHARES, [40, 0, 0]), Column.empty(), column(ENDS, [100, 100, 9, 0]))
    left, at = SHARES.of_owners(["share"])
    found = made.add_to(commits, Column(left, Numbers.of([40, 0, 0]).take(at)), before, after)
    assert read(found) == {("share", "a", 0): 60, ("share", "a", 1): 100}
    with_more = Layout.build({"new": [("b", 0)], "share": left.keys_of("share")})
    found = made.add_to(commits, column(with_more, [1, 40, 0]), before, after)
    assert read(found) == {("new", "b", 0): 8, ("share", "a", 0): 60, ("share", "a", 1): 100}


def test_a_hundred_thousand_positions_cost_no_python_step_each() -> None:
    many = Layout.build({f"s{i:03}": [("big", p) for p in range(1000)] for i in range(100)})
    ends = Layout.of_topics({"big": range(1000)})
    made, commits = SharePositions(), column(Layout.build({}), [])
    full = Numbers(np.full(1000, 500), np.ones(1000, dtype=np.bool_))
    lag = Numbers(np.full(100_000, 7), np.ones(100_000, dtype=np.bool_))
    first = made.add_to(commits, Column(many, lag), Column.empty(), Column(ends, full))
    sources = made._source
    again = made.add_to(commits, Column(many, lag), Column.empty(), Column(ends, full))
    assert again.layout is first.layout
    assert made._source is sources, "nothing was put together anew"
    assert (again.numbers.values == 493).all()
