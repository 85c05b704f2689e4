"""While members of a group come, go and share out anew, one look at it is no reason to say that nobody is there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from collectors.domain.numbers import Column, Layout, Numbers
from collectors.domain.ownership import ownership
from collectors.domain.rebalances import Rebalances
from collectors.domain.standstills import judge_and_hold
from collectors.domain.topology import Group, GroupType, Member
from collectors.domain.vacancies import RECENT_SECONDS, Vacancies
from collectors.domain.verdicts import GroupRow, Verdict
from collectors.domain.window import Window
from collectors.kafka.survey import EMPTY_SECONDS, EVERY_SECONDS

INTERVAL, START = 5.0, 1_790_000_000.0
LAYOUT = Layout.build({"g": [("t", 0), ("t", 1)]})
TOPIC = Layout.of_topics({"t": [0, 1]})
V = Verdict


def group(*members: str, state: str = "Stable", kind: GroupType = GroupType.CLASSIC) -> Group:
    """Each member has a partition, the last one all that are left; in a rebalance nothing is told of them."""
    held = {} if state != "Stable" else {members[0]: (0,), members[-1]: (1,) if len(members) > 1 else (0, 1)}
    made = tuple(Member(m, m, "h", None, (("t", held[m]),) if m in held else ()) for m in members)
    return Group("g", kind, state, "consumer", 1, members=made)


EMPTY = group(state="Empty")
SHARING = "PreparingRebalance"


def told(*looks: Group) -> list[int | None]:
    """How many members each look tells; None where they are not known."""
    seen = Vacancies()
    found = [seen.look([one], now=10.0 * i)[0] for i, one in enumerate(looks)]
    return [len(one.members) if one.error is None else None for one in found]


ONE = group("a")
LOST = replace(ONE, members=(), error="timed out")


@pytest.mark.parametrize(
    ("what", "looks", "members"),
    [
        ("one look that finds nobody is not enough", [ONE, EMPTY], [1, 1]),
        ("two are", [ONE, EMPTY, EMPTY], [1, 1, 0]),
        ("the only member is replaced between two looks", [ONE, EMPTY, group("b")], [1, 1, 1]),
        ("again and again", [ONE, EMPTY, group("b"), EMPTY, group("c"), EMPTY], [1, 1, 1, 1, 1, 1]),
        ("a rebalance in which nobody was listed", [ONE, group(state=SHARING), group("b")], [1, 1, 1]),
        ("a rebalance that nobody joins", [ONE, group(state=SHARING), EMPTY], [1, 1, 0]),
        ("a rebalance lists its members", [ONE, group("a", "b", state=SHARING), ONE], [1, 2, 1]),
        ("of KIP-848 too", [group("a", kind=GroupType.CONSUMER)] + [group(kind=GroupType.CONSUMER, state="Empty")] * 2,
         [1, 1, 0]),
        ("a group that was never seen with members", [EMPTY, EMPTY], [0, 0]),
        ("it died between being listed and described", [ONE, group(state="Dead")], [1, 1]),
        ("nobody knows who was there, and then nobody is", [ONE, LOST, EMPTY, EMPTY], [1, None, None, 0]),
        ("it stays empty", [ONE, EMPTY, EMPTY, EMPTY], [1, 1, 0, 0]),
    ],
)  # fmt: skip
def test_two_looks_in_a_row_tell_that_nobody_is_there(
    what: str, looks: Sequence[Group], members: list[int | None]
) -> None:
    assert told(*looks) == members, what


def test_groups_are_told_apart_and_those_that_are_gone_are_forgotten() -> None:
    seen = Vacancies()
    other = replace(ONE, name="other")
    seen.look([ONE, other], now=0.0)
    assert seen.look([EMPTY, other], now=10.0) == (ONE, other)
    assert seen.doubted == {"g"}
    assert seen.look([other], now=20.0) == (other,)
    assert seen.look([EMPTY, other], now=30.0) == (EMPTY, other), "another group of that name"
    assert not seen.doubted


def test_a_group_that_has_become_empty_is_looked_at_more_often_for_a_while() -> None:
    seen = Vacancies()
    for i, one in enumerate([ONE, EMPTY, EMPTY]):
        assert not seen.is_recent(10.0 * i)
        seen.look([one], now=10.0 * i)
    assert seen.is_recent(21.0)
    assert not seen.is_recent(20.0 + RECENT_SECONDS)


@dataclass
class Scene:
    """Ten records a second come to both partitions, and who is there reads them; the survey looks as it does."""

    window: Window = field(default_factory=Window)
    vacancies: Vacancies = field(default_factory=Vacancies)
    rebalances: Rebalances = field(default_factory=Rebalances)
    stood: Column | None = None
    now: float = START
    looked_at: float = 0.0
    answer_seconds: float = 0.0  # what a look takes, of which the next cycle hears when it is over
    told: tuple[Group, ...] = ()
    end: int = 0
    committed: int = 0

    def go(self, seconds: float, there: Group, *, reads: bool | None = None) -> list[Verdict]:
        """What is told in so many seconds; unless told otherwise, members of a settled group read."""
        out = []
        for _ in range(round(seconds)):
            self.now += 1.0
            self._look_when_due(there)
            self.end += 10
            if reads if reads is not None else (there.members and there.state == "Stable"):
                self.committed = self.end
            if (self.now - START) % INTERVAL == 0:
                out.append(self._cycle())
        return out

    def _look_when_due(self, there: Group) -> None:
        wait = EMPTY_SECONDS + self.answer_seconds if self.vacancies.doubted else EVERY_SECONDS["groups"]
        every = math.ceil(wait)
        if self.now - self.looked_at >= every:
            self.looked_at = self.now
            found = self.vacancies.look([there], now=self.now)
            if found != self.told:
                self.told = found
                self.rebalances.look(found, now=self.now)

    def _cycle(self) -> Verdict:
        commits = Column(LAYOUT, Numbers.of([self.committed] * 2))
        owned = ownership(LAYOUT, self.told)
        self.window.push(self.now, commits, Column(TOPIC, Numbers.of([self.end] * 2)), owned=owned)
        row = GroupRow(
            "g", GroupType.CLASSIC, len(self.told[0].members), members_since=self.rebalances.members_since("g")
        )
        told = judge_and_hold(self.window, {"g": row}, interval_seconds=INTERVAL, stood=self.stood)
        self.stood = told.stood
        return V(int(told.verdicts.numbers.values[0]))


@pytest.mark.slow
@pytest.mark.parametrize("later", range(12))
@pytest.mark.parametrize("away", [1, 2])
def test_the_only_member_is_restarted_and_nobody_says_that_none_is_there(later: int, away: int) -> None:
    scene = Scene()
    scene.go(60 + later, ONE)
    found = scene.go(away, EMPTY) + scene.go(3, group("b", state=SHARING)) + scene.go(60, group("b"))
    assert set(found) == {V.OK}


@pytest.mark.parametrize("later", range(12))
def test_a_rolling_restart_of_all_members_is_no_want_of_members_or_owners(later: int) -> None:
    scene = Scene()
    scene.go(60 + later, group("a", "b"))
    found = []
    for before, after in ((("b",), ("b", "c")), (("c",), ("c", "d"))):
        found += scene.go(3, group(*before, state=SHARING)) + scene.go(9, group(*before))
        found += scene.go(3, group(*after, state="CompletingRebalance")) + scene.go(20, group(*after))
    assert set(found) == {V.OK}


@pytest.mark.slow
@pytest.mark.parametrize("later", range(60))
def test_that_the_last_member_closed_is_told_within_three_cycles(later: int) -> None:
    scene = Scene(answer_seconds=0.5)
    scene.go(60 + later, ONE)
    found = scene.go(60, EMPTY)
    first = found.index(V.NO_MEMBERS)
    assert EVERY_SECONDS["groups"] + EMPTY_SECONDS + 1.0 <= 3 * INTERVAL
    assert first <= 3, "counted from the first cycle that could show it"
    assert set(found[:first]) <= {V.OK}
    assert set(found[first:]) == {V.NO_MEMBERS}


@pytest.mark.parametrize("later", range(0, 12, 3))
def test_who_comes_back_after_a_while_is_not_said_to_stand_or_fall_behind_before_it_could_commit(later: int) -> None:
    scene = Scene()
    scene.go(60 + later, ONE)
    scene.go(90, EMPTY)
    found = scene.go(3, group("b", state=SHARING), reads=False) + scene.go(10, group("b"), reads=False)
    found += scene.go(60, group("b"))
    assert set(found) <= {V.NO_MEMBERS, V.UNKNOWN, V.OK, V.CATCHING_UP}
    assert found[-1] is V.OK


def test_who_comes_back_and_reads_nothing_is_found() -> None:
    scene = Scene()
    scene.go(60, ONE)
    scene.go(90, EMPTY)
    found = scene.go(60, group("b"), reads=False)
    assert found[-1] is V.NO_PROGRESS


@pytest.mark.parametrize("state", [SHARING, "CompletingRebalance", "Reconciling", "Assigning"])
@pytest.mark.parametrize("later", range(0, 12, 3))
def test_a_partition_that_nobody_has_in_one_look_and_then_a_rebalance_is_not_unowned(state: str, later: int) -> None:
    scene = Scene()
    scene.go(60 + later, group("a", "b"))
    half = replace(group("a", "b"), members=(replace(ONE.members[0], assignment=(("t", (0,)),)),))
    found = scene.go(12, half, reads=False) + scene.go(3, group("a", state=state), reads=False)
    found += scene.go(60, ONE)
    assert V.UNOWNED not in found
    assert V.NO_MEMBERS not in found


def test_a_partition_that_nobody_has_in_two_looks_is_unowned() -> None:
    scene = Scene()
    scene.go(60, group("a", "b"))
    half = replace(group("a", "b"), members=(replace(ONE.members[0], assignment=(("t", (0,)),)),))
    assert scene.go(60, half, reads=False)[-1] is V.UNOWNED
