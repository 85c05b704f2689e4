"""A rebalance storm told from one roll-out, and who owns which partition."""

from __future__ import annotations

from dataclasses import replace

from collectors.domain.assignments import Moving
from collectors.domain.numbers import Layout
from collectors.domain.ownership import Owner, ownership
from collectors.domain.rebalances import STORM_SECONDS, Rebalances
from collectors.domain.tasks import Held, Tasks
from collectors.domain.topology import Group, GroupType, Member

LOOK = 15.0


def group(*members: str, state: str = "Stable", epoch: int | None = None, kind: GroupType = GroupType.CLASSIC) -> Group:
    made = tuple(Member(m, m.split("#")[0], "h", None, (("t", (i,)),)) for i, m in enumerate(sorted(members)))
    return Group("g", kind, state, "consumer", 1, epoch, "range", made)


def look(seen: Rebalances, *groups: Group, first: float = 0.0) -> Rebalances:
    for i, one in enumerate(groups):
        seen.look([one], now=first + LOOK * i)
    return seen


def test_a_group_that_stays_as_it_is_has_no_rebalance() -> None:
    seen = look(Rebalances(), *[group("a#1", "b#1")] * 9)
    assert seen.count("g") == 0
    assert not seen.is_storm("g")


def test_a_target_or_a_task_that_changes_is_no_rebalance() -> None:
    still = group("a#1", "b#1")
    doing = (Moving(gets=(("t", (1,)),)), Tasks(active=Held(("0_0",), 1)))
    busy = replace(still, members=tuple(replace(m, moving=doing[0], tasks=doing[1]) for m in still.members))
    assert look(Rebalances(), still, busy, still, busy).count("g") == 0


def test_one_rollout_of_four_members_is_no_storm() -> None:
    names = ["a#1", "b#1", "c#1", "d#1"]
    steps = [group(*names)]
    for i, name in enumerate(("a", "b", "c", "d")):
        steps.append(group(*names[:i], *names[i + 1 :]))
        names[i] = f"{name}#2"
        steps.append(group(*names))
    seen = look(Rebalances(), *steps[:8])
    assert seen.count("g") == 7
    assert not seen.is_storm("g"), "each member came once"


def test_a_member_that_leaves_and_comes_back_again_and_again_is_a_storm() -> None:
    steps = []
    for i in range(4):
        steps += [group("a#1"), group("a#1", f"b#{i}")]
    seen = look(Rebalances(), *steps)
    assert seen.is_storm("g")
    seen.look([group("a#1")], now=LOOK * 8 + 2 * STORM_SECONDS)
    assert not seen.is_storm("g"), "it was five minutes ago"
    assert seen.count("g") == 1


def test_a_rebalance_that_is_seen_begin_and_end_is_one() -> None:
    open_ = group("a#1", "b#1", state="PreparingRebalance")
    seen = look(Rebalances(), group("a#1"), open_, open_, group("a#1", "b#1"))
    assert seen.count("g") == 1


def test_rebalances_that_go_on_without_anybody_new_are_a_storm_in_the_end() -> None:
    open_, done = group("a#1", "b#1", state="PreparingRebalance"), group("a#1", "b#1")
    seen = look(Rebalances(), done, *[open_, done] * 7)
    assert not seen.is_storm("g")
    assert look(seen, open_, first=LOOK * 15).is_storm("g")


def test_an_epoch_that_rose_between_two_looks_was_a_rebalance() -> None:
    one = group("a#1", epoch=3, kind=GroupType.CONSUMER)
    assert look(Rebalances(), one, replace(one, epoch=4)).count("g") == 1


def test_a_group_that_could_not_be_described_proves_nothing() -> None:
    one = group("a#1")
    seen = look(Rebalances(), one, replace(one, members=(), error="timed out"), one)
    assert seen.count("g") == 0
    seen.look([], now=99.0)
    assert seen.count("g") == 0


LAYOUT = Layout.build({"g": [("t", 0), ("t", 1), ("t", 2), ("unread", 0)]})


def owners(one: Group) -> list[int]:
    return [int(value) for value in ownership(LAYOUT, [one])]


def test_of_a_topic_that_it_reads_a_partition_is_a_members_or_nobodys() -> None:
    assert owners(group("a", "b")) == [Owner.MEMBER, Owner.MEMBER, Owner.NOBODY, Owner.UNKNOWN]


def test_nothing_is_said_of_owners_that_are_not_known() -> None:
    nothing = [int(Owner.UNKNOWN)] * 4
    assert owners(group("a", "b", state="PreparingRebalance")) == nothing
    assert owners(group("a", "b", state="Reconciling", kind=GroupType.CONSUMER)) == nothing
    assert owners(replace(group("a"), error="timed out")) == nothing
    assert owners(replace(group("a"), protocol_type="connect")) == nothing
    assert owners(group("a", kind=GroupType.STREAMS)) == nothing
    assert owners(group()) == nothing
    assert owners(replace(group("a"), name="other")) == nothing
