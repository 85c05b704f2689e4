"""How soon the survey looks at the groups again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from collectors.domain.topology import Group, GroupType, Member, Metadata
from collectors.kafka.answers import Answered
from collectors.kafka.groups import ListedGroups
from collectors.kafka.survey import EMPTY_SECONDS, EVERY_SECONDS, MANY_GROUPS, REBALANCING_SECONDS, Survey

FULL = Group("g", GroupType.CLASSIC, "Stable", "consumer", 1, members=(Member("m", "m", "h", None, ()),))
EMPTY = replace(FULL, state="Empty", members=())


@dataclass
class Session:
    """Only what a look at the groups asks for."""

    groups: tuple[Group, ...] = ()
    now: float = 1_000.0
    requests: int = 0

    def ask_groups(self, metadata: Metadata, known: object, *, budget_seconds: float) -> Answered[ListedGroups]:
        return Answered(ListedGroups(self.groups, True), self.now, ())


def looks(*seen: Group, others: int = 0) -> tuple[Survey, float]:
    """The survey after some looks ten seconds apart, and how soon the next one is."""
    session = Session()
    survey = Survey(session)  # type: ignore[arg-type]  # it answers what is asked here
    survey._state = replace(survey._state, metadata=Metadata("c", (), (), 0.0))
    while survey._next_due() is not None:
        pass
    more = tuple(replace(FULL, name=f"h{i}") for i in range(others))
    for one in seen:
        session.groups, session.now = (one, *more), session.now + 10.0
        survey._times.after("groups", EVERY_SECONDS["groups"])
        survey._ask("groups")
    return survey, survey._times.seconds_left()


@pytest.mark.parametrize(
    ("what", "seen", "seconds"),
    [
        ("nothing happens", [FULL, FULL], EVERY_SECONDS["groups"]),
        ("it rebalances", [FULL, replace(FULL, state="PreparingRebalance")], REBALANCING_SECONDS),
        ("found empty for the first time", [FULL, EMPTY], EMPTY_SECONDS),
        ("and again: told, and looked at for a while", [FULL, EMPTY, EMPTY], REBALANCING_SECONDS),
        ("empty for longer", [FULL, *[EMPTY] * 6], EVERY_SECONDS["groups"]),
        ("empty from the start", [EMPTY], EVERY_SECONDS["groups"]),
    ],
)
def test_groups_are_looked_at_again_sooner_when_one_has_become_empty(
    what: str, seen: list[Group], seconds: float
) -> None:
    assert looks(*seen)[1] == pytest.approx(seconds, abs=0.5), what


def test_where_there_are_many_groups_only_the_second_look_comes_early() -> None:
    assert looks(FULL, EMPTY, others=MANY_GROUPS)[1] == pytest.approx(EMPTY_SECONDS, abs=0.5)
    assert looks(FULL, EMPTY, EMPTY, others=MANY_GROUPS)[1] == pytest.approx(EVERY_SECONDS["groups"], abs=0.5)


def test_a_group_found_empty_once_is_told_as_it_was() -> None:
    assert looks(FULL, EMPTY)[0].newest().groups == (FULL,)
    assert looks(FULL, EMPTY, EMPTY)[0].newest().groups == (EMPTY,)
