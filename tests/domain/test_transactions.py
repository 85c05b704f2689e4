"""Last stable offsets: which topics are held back, for how long they are asked for, and what a group is told of it."""

from __future__ import annotations

import pytest

from collectors.domain.explanations import explain
from collectors.domain.lag import held_records
from collectors.domain.numbers import Layout, Numbers
from collectors.domain.topology import GroupType
from collectors.domain.transactions import HeldTopics
from collectors.domain.verdicts import GroupRow, Verdict, judge
from collectors.domain.window import Window
from tests.history.recording import column, topics

EVERY = Layout.of_topics({"a": [0, 1], "b": [0], "c": [0]})


def test_topics_below_their_log_end_are_asked_for_until_nothing_holds_them_back() -> None:
    held = HeldTopics()
    assert not len(held.partitions(EVERY))
    before, look = topics({"a": [10, 20], "b": [5], "c": [7]}), topics({"a": [12, 18], "b": [5], "c": [None]})
    held.look(look, before)
    asked = held.partitions(EVERY)
    assert asked.owners == ("a",)
    assert len(asked) == 2
    before, end = topics({"a": [30, 22], "b": [9], "c": [9]}), topics({"a": [33, 25], "b": [9], "c": [9]})
    found = held.settle(topics({"a": [31, 18]}), before, end)
    assert found.numbers.values.tolist() == [33, 18], "of partition 0 what came meanwhile waits for no transaction"
    assert held.partitions(EVERY) is asked
    found = held.settle(topics({"a": [30, None]}), before, end)
    assert found.numbers.known.tolist() == [True, False]
    assert held.partitions(EVERY) is asked, "nobody knows that it ended"
    held.settle(topics({"a": [31, 23]}), before, end)
    assert not len(held.partitions(EVERY))
    held.look(look, before)
    assert not len(held.partitions(EVERY)), "the same look tells nothing new"


def test_a_topic_that_is_gone_is_not_asked_for() -> None:
    held = HeldTopics()
    held.look(topics({"a": [1, 1], "b": [2]}), topics({"a": [9, 9], "b": [9]}))
    assert held.partitions(EVERY).owners == ("a", "b")
    assert held.partitions(Layout.of_topics({"b": [0]})).owners == ("b",)


@pytest.mark.parametrize(
    ("lag", "end", "stable", "place", "held"),
    [
        (10, 100, 95, 0, 5),
        (3, 100, 95, 0, 3),  # it read past the last stable offset: uncommitted records
        (10, 100, 100, 0, 0),
        (10, 100, 120, 0, 0),  # ends are read later and may lag behind
        (10, 100, 95, -1, 0),  # not asked: nothing is held there
        (10, 100, None, 0, None),
        (10, None, 95, 0, None),
        (None, 100, 95, 0, None),
    ],
)
def test_what_is_held_is_a_part_of_the_lag(
    lag: int | None, end: int | None, stable: int | None, place: int, held: int | None
) -> None:
    at = Layout.single(["x"]).starts[:1] + place
    assert held_records(Numbers.of([lag]), Numbers.of([end]), Numbers.of([stable]), at).at(0) == held


ROW = GroupRow("g", GroupType.CLASSIC, 1)


def window(commits: list[int], ends: list[int], stables: list[int | None]) -> Window:
    made = Window()
    for i, (commit, end, stable) in enumerate(zip(commits, ends, stables, strict=True)):
        made.push(
            1000.0 + 5 * i,
            column({"g": {("t", 0): commit}}),
            topics({"t": [end], "u": [0]}),
            stable=None if stable is None else topics({"t": [stable]}),
        )
    return made


def told(one: Window) -> tuple[Verdict, str, tuple[str, ...]]:
    verdict = Verdict(int(judge(one, {"g": ROW}, interval_seconds=5.0).verdicts.numbers.values[0]))
    finding = explain(ROW, one, verdict=verdict, now=1000.0 + 5 * len(one.samples))
    return verdict, finding.cause, finding.evidence


def test_a_group_that_stands_at_a_last_stable_offset_is_told_of_the_transaction() -> None:
    ends = [100 + 10 * i for i in range(8)]
    verdict, cause, evidence = told(window([100] * 8, ends, [None, None, *[100] * 6]))
    assert verdict is Verdict.NO_PROGRESS
    assert cause == (
        "open transaction: a producer's transaction holds 70 records back, and the group has read all before it"
    )
    assert "t-0: 70 records of an open transaction, the last stable offset stands at 100" in evidence


@pytest.mark.parametrize(
    ("commit", "stables"),
    [
        (60, [100] * 8),  # it has records to read before the transaction
        (100, [100, 100, 100, 100, 100, 100, 100, 110]),  # that one has ended
        (100, [None] * 6 + [100, 100]),  # too short to be called open
        (100, [None] * 8),
    ],
)
def test_who_has_something_to_read_is_stuck_for_another_reason(commit: int, stables: list[int | None]) -> None:
    verdict, cause, _ = told(window([commit] * 8, [100 + 10 * i for i in range(8)], stables))
    assert verdict is Verdict.NO_PROGRESS
    assert cause.startswith("stuck member")


def test_a_marker_before_it_does_not_hide_the_transaction() -> None:
    _, cause, _ = told(window([99] * 8, [100 + 10 * i for i in range(8)], [100] * 8))
    assert cause.startswith("open transaction")


def test_one_partition_that_is_held_does_not_explain_another_that_is_stuck() -> None:
    made = Window()
    for i in range(8):
        made.push(
            1000.0 + 5 * i,
            column({"g": {("t", 0): 100, ("u", 0): 5}}),
            topics({"t": [100 + 10 * i], "u": [10 + i]}),
            stable=topics({"t": [100]}),
        )
    assert told(made)[1].startswith("stuck member")


def test_the_window_keeps_stable_offsets_through_a_new_layout_and_for_one_group_alone() -> None:
    made = window([100] * 8, [100 + 10 * i for i in range(8)], [100] * 8)
    made.push(
        1040.0, column({"f": {("u", 0): 0}, "g": {("t", 0): 100}}), topics({"t": [180], "u": [0]}),
        stable=topics({"t": [100]}),
    )  # fmt: skip
    assert told(made)[1].startswith("open transaction")
    assert told(made.only("g"))[1].startswith("open transaction")
