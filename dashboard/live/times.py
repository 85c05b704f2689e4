"""The times of groups as rows carry them: log-end age, drain estimate, retention countdown, and how each is known."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from collectors.domain.ages import Ages, Method, said_bounds
from collectors.domain.countdown import Countdowns, Outcome, said
from collectors.domain.drain import DrainOutcome
from collectors.domain.topology import GroupType
from collectors.history import queries
from collectors.history.now import ClusterNow
from collectors.models import Group

Row = dict[str, Any]

NOTHING: Row = {
    "age": None,
    "age_low": None,
    "age_high": None,
    "age_method": Method.UNKNOWN.label,
    "age_bounds": "",
    "head": None,
    "head_how": "no cycle has told it yet",
    "drain": None,
    "drain_said": DrainOutcome.UNKNOWN.word,
    "countdown": None,
    "countdown_said": "unknown",
    "countdown_why": "no cycle has told it yet",
    "at_stake": None,
}

TOO_OLD: Row = NOTHING | {"head_how": "the newest sample is too old", "countdown_why": "the newest sample is too old"}
"""Likewise, where nothing was sampled for a while."""


def age_fields(ages: Ages, at: int) -> Row:
    """What a row says of one age; an age without an upper bound has None there."""
    method = Method(int(ages.method[at]))
    low, high = float(ages.low[at]), float(ages.high[at])
    is_known = method is not Method.UNKNOWN
    return {
        "age": round(float(ages.seconds[at]), 1) if is_known else None,
        "age_low": round(low, 1),
        "age_high": round(high, 1) if math.isfinite(high) else None,
        "age_method": method.label,
        "age_bounds": said_bounds(low, high) if is_known or low > 0 else "",
    }


def countdown_fields(found: Countdowns, at: int) -> Row:
    """What a row says of one countdown: seconds only where it is a number, and always a word and a reason."""
    outcome = Outcome(int(found.outcome[at]))
    return {
        "countdown": round(float(found.seconds[at]), 1) if outcome.is_number else None,
        "countdown_said": said(outcome, float(found.seconds[at])),
        "countdown_why": outcome.because,
        "at_stake": None if outcome.is_unknown else int(found.at_stake[at]),
    }


NOT_READ = "read while its page is open, of groups in trouble, and where a rule asks for it"
BEING_READ = "being read, which takes a few cycles and needs the right Read on the topic"
SHARED = "members acknowledge in any order: which records wait, its broker tells nobody"


def why_not_read(group: Group, moment: datetime) -> str:
    """What is said of a head-of-backlog age that nobody has read."""
    if group.type == GroupType.SHARE:
        return SHARED
    return BEING_READ if group.is_head_wanted(moment) else NOT_READ


def head_fields(now: ClusterNow, group: int, age: Row, not_read: str) -> Row:
    """What a row says of the head-of-backlog age of a group, `age` being its log-end age; `not_read` where it was not
    read."""
    found = queries.backlogs_at(now)
    seconds = found.groups.at(group)
    if seconds is not None:
        passed = bool(found.is_at_most[found.worst[group]])
        how = "at most: it has read on since" if passed else "the timestamp of the record where it stands"
        return {"head": round(seconds, 1), "head_how": how}
    if age["age_method"] == Method.EXACT.label:
        return {"head": None, "head_how": "only transaction markers wait" if found.marked[group] else "nothing waits"}
    return {"head": None, "head_how": not_read}


def drain_fields(now: ClusterNow, group: int) -> Row:
    """What a row says of the drain estimate of a group: seconds only where there is a number, and always a word."""
    found = queries.drains_at(now)
    seconds = found.seconds_at(group)
    return {"drain": None if seconds is None else round(seconds, 1), "drain_said": found.said(group)}


def of_group(now: ClusterNow | None, name: str, not_read: str) -> Row:
    """The times of one group in the newest numbers; the same arrays serve every group of a cycle."""
    at = now.groups.index.get(name) if now is not None else None
    if now is None or at is None:
        return dict(NOTHING)
    if now.is_old:
        return dict(TOO_OLD)
    age = age_fields(queries.ages_at(now).groups, at)
    counted = countdown_fields(queries.countdowns_at(now).groups, at)
    return age | head_fields(now, at, age, not_read) | drain_fields(now, at) | counted


def closer(now: ClusterNow | None, name: str) -> tuple[Row, dict[tuple[str, int], Row]]:
    """What of the times of one group can be told better when only it is asked of, and those of its partitions."""
    if now is None or now.committed.layout.owner_index(name) is None:
        return {}, {}
    if now.is_old:
        return {}, dict.fromkeys(now.committed.layout.keys_of(name), TOO_OLD)
    ages = queries.ages_of(now, name)
    counted = queries.countdowns_at(now, None if ages is queries.ages_at(now) else ages)
    layout, at = now.committed.layout, now.groups.index[name]
    parts = {
        key: age_fields(ages.positions, i) | countdown_fields(counted.positions, i)
        for i, key in enumerate(layout.keys_of(name), layout.slice_of(name).start)
    }
    return age_fields(ages.groups, at) | countdown_fields(counted.groups, at), parts
