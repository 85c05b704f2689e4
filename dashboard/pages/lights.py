"""What sorting, filtering and the health wall need of every group; rows are made only for those that are shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from collectors.domain.numbers import Numbers
from collectors.domain.verdicts import Verdict
from collectors.history import queries
from collectors.history.now import ClusterNow

AT_REST = 0.75
"""How urgent a group without members is whose records are all read: below one that is not known."""


@dataclass(frozen=True, slots=True)
class Light:
    name: str
    verdict: Verdict
    lag: float | None
    arriving: float | None
    consumed: float | None
    members: int | None
    has_commit: bool = True
    age: float | None = None  # log-end age in seconds
    countdown: float | None = None  # seconds until retention overtakes it; inf: never
    type: str = ""

    @property
    def word(self) -> str:
        return self.verdict.word

    @property
    def is_in_trouble(self) -> bool:
        """Whether a person should look; a group without members whose records are all read is at rest."""
        is_at_rest = self.verdict is Verdict.NO_MEMBERS and self.lag == 0
        return self.verdict.severity > Verdict.UNKNOWN.severity and not is_at_rest

    @property
    def urgency(self) -> tuple[float, float]:
        is_at_rest = self.verdict is Verdict.NO_MEMBERS and not self.is_in_trouble
        return AT_REST if is_at_rest else self.verdict.severity, self.lag or 0


def lights_of(now: ClusterNow | None, groups: Iterable[tuple[str, int | None, str]]) -> list[Light]:
    """Groups given as (name, members, type), with the numbers of `now`; without those nothing is known."""

    def unknown(name: str, members: int | None, kind: str) -> Light:
        return Light(name, Verdict.UNKNOWN, None, None, None, members, type=kind)

    if now is None:
        return [unknown(*group) for group in groups]
    if now.is_old:
        return [unknown(name, None, kind) for name, _, kind in groups]
    ages, countdowns = queries.ages_at(now).groups.numbers, queries.countdowns_at(now).groups
    until = np.where(countdowns.is_never, np.inf, countdowns.seconds)
    countdown = Numbers(until, countdowns.is_number | countdowns.is_never)
    out = []
    for name, members, kind in groups:
        at = now.groups.index.get(name)
        if at is None:
            out.append(unknown(name, members, kind))
            continue
        newest = now.groups.verdict.at(at)
        out.append(
            Light(
                name,
                Verdict.UNKNOWN if newest is None else Verdict(int(newest)),
                now.groups.lag.at(at),
                now.groups.arriving_per_second.at(at),
                now.groups.consumed_per_second.at(at),
                members,
                now.groups.lag_state[at] != "no_commit",
                ages.at(at),
                countdown.at(at),
                kind,
            )
        )
    return out
