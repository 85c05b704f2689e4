"""What a consumer group is doing on each of its partitions, judged by the rules of the whole group."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum

import numpy as np

from .lag import gather
from .numbers import Layout
from .positions import positions
from .rates import rate_per_second
from .trends import BEAT_SECONDS, trends
from .verdicts import (
    is_undecided,
    is_unsure_after_gap,
    loses_data,
    may_have_records,
    never_commits,
    patience_alone,
    stands_still,
    was_rewound,
    works_on_backlog,
)
from .window import LENGTH, Sample, Window


class PartitionVerdict(StrEnum):
    """In the order in which they win."""

    NO_MEMBERS = "no_members"
    UNOWNED = "unowned"
    NO_PROGRESS = "no_progress"
    LOSING_DATA = "losing_data"
    FALLING_BEHIND = "falling_behind"
    REWOUND = "rewound"
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
    unowned: Collection[tuple[str, int]] = (),
    is_told_to_stand: bool = False,
    markers: Collection[tuple[str, int]] = (),
    is_read_alone: bool = False,
    is_told_to_be_silent: bool = False,
    may_stand: bool = True,
) -> list[PartitionVerdict]:
    """A verdict for each (topic, partition) of `keys`, in their order; `members` of the group (None: not known).

    `is_shared`: it is a share group. `unowned`: those of the keys that belong to no member, though members are there.
    `is_told_to_stand`: the group makes no progress, as it is told; a partition where records have waited unmoved as
    long as the window remembers is then one of those that stand still, but for those where only `markers` wait.
    `is_read_alone`: somebody commits, as the group is told, though it has no members.
    `is_told_to_be_silent`: the group commits nothing, as it is told: so it is where no offset is and the log holds
    something, also when nothing has come for as long as the window remembers. `may_stand`: what the group is told
    leaves it open that a partition stands still.
    """
    if not window.samples or not keys:
        return [PartitionVerdict.UNKNOWN] * len(keys)
    part = _each_its_own(window, group, keys)
    facts = positions(part, only_forward=is_shared)
    climbs, falls = trends(part)
    whole = window.only(group)
    busy = len(whole.layout) > 0 and works_on_backlog(positions(whole), whole).any()
    turns = (trends(whole)[1] | busy) & ((members or 0) < len(whole.layout))
    still = stands_still(facts, interval_seconds=interval_seconds, takes_turns=turns if len(turns) else falls)
    if is_read_alone and len(whole.layout):
        patience = patience_alone(whole, slice(None), interval_seconds=interval_seconds)
        still &= facts.passed_by_seconds >= patience if patience is not None else ~facts.base_is_seen
    # the group is judged by more than what is looked back on here: since when members are there, how they pause
    doubted = still & (not may_stand)
    still, climbs = still & ~doubted, climbs & ~doubted
    if is_told_to_stand:
        only_markers = np.array([key in markers for key in keys], dtype=np.bool_)
        still |= facts.known & (facts.lag > 0) & ~facts.base_is_seen & ~only_markers
    silent = never_commits(facts, interval_seconds=interval_seconds)
    if is_told_to_be_silent:
        silent |= facts.uncommitted & may_have_records(part)
    _, _, end, end_known = part.arrays()
    arriving = rate_per_second(part.times, end, end_known)
    # what waits between two commits of a group that is never behind
    is_behind = arriving.known & (facts.lag > arriving.values * BEAT_SECONDS)
    unknown = ~(facts.known | facts.uncommitted) | is_undecided(facts, interval_seconds=interval_seconds)
    unknown |= is_unsure_after_gap(facts, part) | (doubted & (not is_read_alone))
    nobody = np.full(len(keys), members == 0 and not is_read_alone)
    waits = (facts.known & (facts.lag > 0)) | (facts.uncommitted & (facts.uncommitted_arrived > 0))
    ownerless = waits & np.array([key in unowned for key in keys], dtype=np.bool_)
    rules = (
        (PartitionVerdict.NO_MEMBERS, nobody),
        (PartitionVerdict.UNOWNED, ownerless),
        (PartitionVerdict.NO_PROGRESS, still),
        (PartitionVerdict.LOSING_DATA, loses_data(facts)),
        (PartitionVerdict.FALLING_BEHIND, climbs),
        (PartitionVerdict.REWOUND, was_rewound(facts, part)),
        (PartitionVerdict.NOT_COMMITTING, silent),
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
    starts = {id(s.start): gather(s.start, source) for s in window.samples if s.start is not None}
    part.samples.extend(
        Sample(s.taken_at, gather(s.committed, source), gather(s.end, source), starts.get(id(s.start)))
        for s in window.samples
    )
    return part
