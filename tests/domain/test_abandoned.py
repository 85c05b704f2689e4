"""Commits on topics that no member reads any more: found after two looks, kept while nobody can tell, given back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from collectors.domain.abandoned import SETTLED_SECONDS, Abandoned
from collectors.domain.numbers import Column, Layout, Numbers
from collectors.domain.topology import Group, GroupType, Member

LAYOUT = Layout.build({"g": [("new", 0), ("new", 1), ("old", 0), ("old", 1)], "other": [("old", 0)]})
LATER = SETTLED_SECONDS + 1


def group(*topics: str, name: str = "g", state: str = "Stable", kind: GroupType = GroupType.CLASSIC) -> Group:
    members = (Member("a#1", "a", "h", None, tuple((topic, (0, 1)) for topic in topics)),) if topics else ()
    return Group(name, kind, state if members else "Empty", "consumer", 1, None, "range", members)


OTHER = group(name="other")


def commits(*values: int | None) -> Column:
    return Column(LAYOUT, Numbers.of(values))


AS_BEFORE = commits(5, 6, 70, 80, 9)


def look(seen: Abandoned, one: Group, *, now: float, at: Column = AS_BEFORE) -> frozenset[tuple[str, str]]:
    seen.take(at, (one, OTHER), looked_at=now, now=now)
    return seen.pairs


def found() -> Abandoned:
    seen, one = Abandoned(), group("new")
    groups = (one, OTHER)
    for now in (0.0, 5.0, LATER):
        seen.take(AS_BEFORE, groups, looked_at=now, now=now)
    assert seen.pairs == {("g", "old")}
    return seen


def test_a_topic_that_no_member_reads_is_abandoned_after_two_looks_and_leaves_what_counts() -> None:
    seen, groups = Abandoned(), (group("new"), OTHER)
    kept, left = seen.take(AS_BEFORE, groups, looked_at=0.0, now=0.0)
    assert kept is AS_BEFORE
    assert not len(left.layout)
    kept, left = seen.take(AS_BEFORE, groups, looked_at=LATER, now=LATER)
    assert kept.layout.owners == ("g", "other")
    assert kept.of("g").values.tolist() == [5, 6]
    assert kept.of("other").values.tolist() == [9]
    assert left.layout.position == {("g", "old", 0): 0, ("g", "old", 1): 1}
    assert left.numbers.values.tolist() == [70, 80]


def test_a_topic_is_not_abandoned_by_one_look_however_long_ago_and_another_is_wanted_once() -> None:
    seen, groups = Abandoned(), (group("new"), OTHER)
    for now, wanted in ((0.0, False), (SETTLED_SECONDS - 1, False), (LATER, True), (LATER + 5, False)):
        seen.take(AS_BEFORE, groups, looked_at=0.0, now=now)
        assert seen.wants_look(looked_at=0.0, now=now) is wanted
        assert not seen.pairs
    seen.take(AS_BEFORE, groups, looked_at=LATER + 6, now=LATER + 10)
    assert seen.pairs == {("g", "old")}
    assert not seen.wants_look(looked_at=LATER + 6, now=LATER + 10)


def test_the_layouts_stay_the_same_objects_while_nothing_changes() -> None:
    seen, groups = Abandoned([("g", "old")]), (group("new"), OTHER)
    kept, left = seen.take(AS_BEFORE, groups, looked_at=0.0, now=0.0)
    again, left_again = seen.take(commits(50, 60, 70, 80, 90), groups, looked_at=5.0, now=5.0)
    assert again.layout is kept.layout
    assert left_again.layout is left.layout
    regrouped, _ = seen.take(AS_BEFORE, (replace(group("new"), coordinator=2), OTHER), looked_at=10.0, now=10.0)
    assert regrouped.layout is kept.layout


def test_who_still_commits_there_has_not_left_it() -> None:
    seen, groups = Abandoned(), (group("new"), OTHER)
    for now in range(0, 60, 5):
        seen.take(commits(5, 6, 70 + now, 80, 9), groups, looked_at=float(now), now=float(now))
    assert not seen.pairs


def test_an_answer_that_is_missing_is_no_commit() -> None:
    seen, groups = Abandoned(), (group("new"), OTHER)
    seen.take(AS_BEFORE, groups, looked_at=0.0, now=0.0)
    seen.take(commits(5, 6, 70, None, 9), groups, looked_at=10.0, now=10.0)
    seen.take(AS_BEFORE, groups, looked_at=LATER, now=LATER)
    assert seen.pairs == {("g", "old")}
    seen.take(commits(5, 6, None, None, 9), groups, looked_at=LATER + 5, now=LATER + 5)
    assert seen.pairs == {("g", "old")}


def test_a_member_that_reads_it_again_or_a_commit_gives_it_back() -> None:
    assert look(found(), group("new", "old"), now=LATER + 5) == frozenset()
    seen = found()
    assert look(seen, group("new"), now=LATER + 5, at=commits(5, 6, 71, 80, 9)) == frozenset()
    kept, left = seen.take(commits(5, 6, 71, 80, 9), (group("new"), OTHER), looked_at=LATER + 10, now=LATER + 10)
    assert kept.of("g").values.tolist() == [5, 6, 71, 80]
    assert not len(left.layout)


def test_a_group_whose_members_went_or_rebalance_keeps_what_was_found() -> None:
    assert look(found(), group(), now=LATER + 5) == {("g", "old")}
    assert look(found(), group("new", state="PreparingRebalance"), now=LATER + 5) == {("g", "old")}
    assert look(found(), replace(group("new"), error="timed out", members=()), now=LATER + 5) == {("g", "old")}


def test_a_group_that_is_gone_is_forgotten() -> None:
    seen = found()
    seen.take(AS_BEFORE, (OTHER,), looked_at=LATER + 5, now=LATER + 5)
    assert not seen.pairs


def test_groups_whose_members_read_nothing_or_whose_assignments_are_no_partitions_leave_nothing_behind() -> None:
    idle = replace(group("new"), members=(Member("a#1", "a", "h", None, ()),))
    connect = replace(group("new"), protocol_type="connect")
    streams = replace(group("new"), type=GroupType.STREAMS)
    for one in (group(), idle, connect, streams):
        seen = Abandoned()
        for now in (0.0, 10.0, LATER, 2 * LATER):
            seen.take(AS_BEFORE, (one, OTHER), looked_at=now, now=now)
        assert not seen.pairs, one


def test_what_was_known_before_a_restart_is_left_out_at_once() -> None:
    kept, left = Abandoned([("g", "old")]).take(AS_BEFORE, (group("new"), OTHER), looked_at=0.0, now=0.0)
    assert np.array_equal(kept.of("g").values, [5, 6])
    assert len(left.layout) == 2


def test_commits_that_were_moved_once_are_left_behind_again_while_the_groups_stay_as_they_are() -> None:
    seen, groups = Abandoned(), (group("new"), OTHER)
    for now in (0.0, LATER):
        seen.take(AS_BEFORE, groups, looked_at=now, now=now)
    assert seen.pairs == {("g", "old")}
    seen.take(commits(5, 6, 40, 80, 9), groups, looked_at=LATER + 5, now=LATER + 5)
    assert not seen.pairs
    seen.take(commits(5, 6, 40, 80, 9), groups, looked_at=LATER + 10, now=LATER + 10)
    assert not seen.pairs
    seen.take(commits(5, 6, 40, 80, 9), groups, looked_at=2 * LATER + 5, now=2 * LATER + 5)
    assert seen.pairs == {("g", "old")}
