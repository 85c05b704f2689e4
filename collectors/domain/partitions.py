"""What a consumer group is doing on each of its partitions, judged by the rules of the whole group."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from .lag import gather
from .numbers import Layout
from .positions import positions
from .rates import rate_per_second
from .trends import BEAT_SECONDS, trends
from .verdicts import is_undecided, never_commits, stands_still
from .window import LENGTH, Sample, Window


class PartitionVerdict(StrEnum):
    """In the order in which they win."""

    NO_MEMBERS = "no_members"
    NO_PROGRESS = "no_progress"
    FALLING_BEHIND = "falling_behind"
    NOT_COMMITTING = "not_committing"
    NO_COMMIT = "no_commit"  # known: nothing was ever committed here, and nothing came since it was seen
    UNKNOWN = "unknown"
    CATCHING_UP = "catching_up"
    OK = "ok"


def judge_partitions(
    window: Window,
    group: str,
    keys: Sequence[tuple[str, int]],
    *,
    members: int | None,
    interval_seconds: float,
    is_shared: bool = False,
) -> list[PartitionVerdict]:
    """A verdict for each (topic, partition) of `keys`, in their order; `members` of the group (None: not known).

    `is_shared`: it is a share group.
    """
    if not window.samples or not keys:
        return [PartitionVerdict.UNKNOWN] * len(keys)
    part = _each_its_own(window, group, keys)
    facts = positions(part, only_forward=is_shared)
    climbs, falls = trends(part)
    whole = window.only(group)
    turns = trends(whole)[1] & ((members or 0) < len(whole.layout))
    still = stands_still(facts, interval_seconds=interval_seconds, takes_turns=turns if len(turns) else falls)
    _, _, end, end_known = part.arrays()
    arriving = rate_per_second(part.times, end, end_known)
    # what waits between two commits of a group that is never behind
    is_behind = arriving.known & (facts.lag > arriving.values * BEAT_SECONDS)
    unknown = ~(facts.known | facts.uncommitted) | is_undecided(facts, interval_seconds=interval_seconds)
    nobody = np.full(len(keys), members == 0)
    rules = (
        (PartitionVerdict.NO_MEMBERS, nobody),
        (PartitionVerdict.NO_PROGRESS, still),
        (PartitionVerdict.FALLING_BEHIND, climbs),
        (PartitionVerdict.NOT_COMMITTING, never_commits(facts, interval_seconds=interval_seconds)),
        (PartitionVerdict.NO_COMMIT, facts.uncommitted),
        (PartitionVerdict.UNKNOWN, unknown | (members is None)),
        (PartitionVerdict.CATCHING_UP, falls & is_behind),
    )
    return [next((verdict for verdict, holds in rules if holds[i]), PartitionVerdict.OK) for i in range(len(keys))]


def _each_its_own(window: Window, group: str, keys: Sequence[tuple[str, int]]) -> Window:
    """The window with each of these positions as an owner of its own: what is told by owner is then told of each."""
    place = window.layout.position
    source = np.array([place.get((group, topic, partition), -1) for topic, partition in keys], dtype=np.int64)
    part = Window(window.samples.maxlen or LENGTH)
    # owners are kept sorted: numbered, so that they stay in the order of the keys
    part.layout = Layout.build({f"{i:09}": [key] for i, key in enumerate(keys)})
    part.samples.extend(Sample(s.taken_at, gather(s.committed, source), gather(s.end, source)) for s in window.samples)
    return part
