"""What alerts about the times of groups say: how far behind in time, and how long until records are lost."""

from __future__ import annotations

from typing import Any

from collectors.domain import words
from collectors.domain.ages import Method, said_bounds
from collectors.domain.countdown import Outcome, said
from collectors.domain.words import visible
from collectors.history.now import ClusterNow
from collectors.history.queries import ages_at, countdowns_at

from .scene import Told


def far_behind(now: ClusterNow, group: str) -> Told:
    numbers = _numbers(now, group)
    at = now.groups.index.get(group)
    if at is None or numbers["log_end_age_seconds"] is None:
        return Told(f"{visible(group)} is behind; how far in time is not known", numbers)
    ages = ages_at(now).groups
    how = f"{Method(int(ages.method[at])).label}, {said_bounds(float(ages.low[at]), float(ages.high[at]))}"
    behind = words.duration(numbers["log_end_age_seconds"])
    return Told(f"{visible(group)} is {behind} behind: so long ago the log end stood where it is ({how})", numbers)


def near_again(now: ClusterNow | None, group: str, after: str, numbers: dict[str, Any]) -> Told:
    if now is None or group not in now.groups.index:
        return Told(f"{visible(group)} is no longer far behind{after}", numbers)
    numbers |= _numbers(now, group)
    age = numbers["log_end_age_seconds"]
    left = "" if age is None else ", caught up" if age == 0 else f", now {words.duration(age)} behind"
    return Told(f"{visible(group)} is no longer far behind{after}{left}", numbers)


def soon_lost(now: ClusterNow, group: str) -> Told:
    numbers = _numbers(now, group)
    at = now.groups.index.get(group)
    if at is None or numbers["countdown_seconds"] is None:
        return Told(f"Retention may overtake {visible(group)}; when is not known", numbers)
    found = countdowns_at(now)
    outcome = Outcome(int(found.groups.outcome[at]))
    worst = int(found.worst[at])
    where = f"{visible(now.committed.layout.topics[worst])}/{int(now.committed.layout.partitions[worst])}"
    left, stake = words.duration(numbers["countdown_seconds"]), words.counted(numbers["at_stake"], "unread record")
    when = f"in {left}" if numbers["countdown_seconds"] >= 1 else "at any moment"
    return Told(
        f"{visible(group)} loses records of {where} {when}, {stake} at stake: told from {outcome.because}", numbers
    )


def safe_again(now: ClusterNow | None, group: str, after: str, numbers: dict[str, Any]) -> Told:
    at = now.groups.index.get(group) if now is not None else None
    if now is None or at is None:
        return Told(f"Retention no longer comes near {visible(group)}{after}", numbers)
    numbers |= _numbers(now, group)
    groups = countdowns_at(now).groups
    outcome = Outcome(int(groups.outcome[at]))
    if outcome is Outcome.OVERTAKEN:
        return Told(f"Retention has overtaken {visible(group)}{after}: records are lost", numbers)
    left = said(outcome, float(groups.seconds[at]))
    why = f" ({outcome.because})" if outcome.is_never else ""
    return Told(f"Retention no longer comes near {visible(group)}{after}: {left}{why}", numbers)


def _numbers(now: ClusterNow, group: str) -> dict[str, Any]:
    at = now.groups.index.get(group)
    if at is None:
        return {"lag": None, "log_end_age_seconds": None, "countdown_seconds": None, "at_stake": None}
    countdown = countdowns_at(now).groups
    age, left = ages_at(now).groups.numbers.at(at), countdown.numbers.at(at)
    return {
        "lag": now.groups.lag.at(at),
        "log_end_age_seconds": None if age is None else round(age, 1),
        "countdown_seconds": None if left is None else round(left, 1),
        "at_stake": int(countdown.at_stake[at]),
    }
