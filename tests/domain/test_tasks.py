"""What is told of the tasks of streams members, and what is not claimed where nothing is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.domain.tasks import (
    NAME_CHARACTERS,
    RESTORING_KEPT,
    TASKS_KEPT,
    UNKNOWN_SUM,
    Held,
    Restoring,
    Role,
    Tasks,
    tasks_of,
)

TASK = ("0", 3)
sums = st.one_of(st.sampled_from([-(2**63), -1, 0, 1, UNKNOWN_SUM]), st.integers(-(2**63), 2**63 - 1))
some_tasks = st.tuples(st.sampled_from(["0", "1", "10"]), st.integers(-1, 3))


@pytest.mark.parametrize(
    ("why", "role", "restored", "end", "expected"),
    [
        ("an active task restores", Role.ACTIVE, 12_000, 40_000, (12_000, 40_000)),
        ("it lacks one record", Role.ACTIVE, 39_999, 40_000, (39_999, 40_000)),
        ("all is restored", Role.ACTIVE, 40_000, 40_000, None),
        ("it has read on since its end was asked for", Role.ACTIVE, 40_001, 40_000, None),
        ("nothing is told: it runs, or its broker is older than 4.4", Role.ACTIVE, None, None, None),
        ("its end is not known", Role.ACTIVE, 12_000, UNKNOWN_SUM, None),
        ("its end is not told", Role.ACTIVE, 12_000, None, None),
        ("0 is nothing yet or not known, told alike", Role.ACTIVE, 0, 40_000, (None, 40_000)),
        ("what is read is not told", Role.ACTIVE, None, 40_000, (None, 40_000)),
        ("what is read is not known", Role.ACTIVE, UNKNOWN_SUM, 40_000, (None, 40_000)),
        ("nothing was ever written", Role.ACTIVE, 0, 0, None),
        ("numbers that are none", Role.ACTIVE, -4, -1, None),
        ("a standby that follows", Role.STANDBY, 39_600, 40_000, None),
        ("a standby that does not", Role.STANDBY, 39_599, 40_000, (39_599, 40_000)),
        ("a warm-up on its way", Role.WARMUP, 12_000, 40_000, (12_000, 40_000)),
    ],
)
def test_a_task_is_restoring_where_its_member_says_so(
    why: str, role: Role, restored: int | None, end: int | None, expected: tuple[int | None, int] | None
) -> None:
    told = tasks_of({role: [TASK]}, {} if restored is None else {TASK: restored}, {} if end is None else {TASK: end})
    wanted = () if expected is None else (Restoring("0_3", role, *expected),)
    assert (told.restoring, told.restoring_count) == (wanted, len(wanted)), why


def test_tasks_have_their_roles_and_their_order() -> None:
    told = tasks_of({Role.ACTIVE: [("10", 0), ("9", 11), ("9", 2)], Role.WARMUP: [("9", 2), ("0", 1)]}, {}, {})
    assert told == Tasks(active=Held(("9_2", "9_11", "10_0"), 3), warmup=Held(("0_1",), 1))


def test_the_state_of_a_task_that_a_member_no_longer_has_is_not_being_restored() -> None:
    assert tasks_of({Role.ACTIVE: [("0", 1)]}, {TASK: 5}, {TASK: 50}).restoring == ()


def test_an_answer_of_any_size_is_kept_in_bounds_and_counted() -> None:
    many = [("s" * 5_000, number) for number in range(20_000)]
    told = tasks_of({Role.ACTIVE: many, Role.STANDBY: [TASK]}, {}, dict.fromkeys([*many, TASK], 100))
    assert (len(told.active.names), told.active.count) == (TASKS_KEPT, 20_000)
    assert (len(told.restoring), told.restoring_count) == (RESTORING_KEPT, 20_001)
    assert {len(name) for name in told.active.names} == {NAME_CHARACTERS}


@given(
    st.dictionaries(st.sampled_from(Role), st.lists(some_tasks)),
    st.dictionaries(some_tasks, sums),
    st.dictionaries(some_tasks, sums),
)
def test_no_number_is_made_up(
    assigned: dict[Role, list[tuple[str, int]]], offsets: dict[tuple[str, int], int], ends: dict[tuple[str, int], int]
) -> None:
    told = tasks_of(assigned, offsets, ends)
    assert told.restoring_count == len(told.restoring)
    for one in told.restoring:
        assert 0 < one.end < UNKNOWN_SUM
        assert one.end in ends.values()
        assert one.restored is None or (0 < one.restored < one.end and one.restored in offsets.values())
