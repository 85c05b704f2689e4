"""What a consumer group is doing on each of its partitions, judged by the rules of the whole group."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .heads import are_markers
from .numbers import Column, Layout, Numbers
from .trends import position_trends
from .verdicts import GroupRow, Judged, Verdict, Worded, by_owner
from .window import Window

Bools = NDArray[np.bool_]


class PartitionVerdict(Worded):
    """The numbers are stored in frames: never renumber. Those of words that groups have too are theirs, and what only
    a partition can be is far from what groups may come to have. Which of them wins: `judge_partitions`."""

    OK = Verdict.OK.value
    UNKNOWN = Verdict.UNKNOWN.value
    NOT_COMMITTING = Verdict.NOT_COMMITTING.value
    NO_MEMBERS = Verdict.NO_MEMBERS.value
    FALLING_BEHIND = Verdict.FALLING_BEHIND.value
    NO_PROGRESS = Verdict.NO_PROGRESS.value
    CATCHING_UP = Verdict.CATCHING_UP.value
    REWOUND = Verdict.REWOUND.value
    LOSING_DATA = Verdict.LOSING_DATA.value
    UNOWNED = Verdict.UNOWNED.value
    NO_COMMIT = 100  # known: nothing was ever committed here, and nothing came since it was seen

    @classmethod
    def of(cls, stored: float | None) -> PartitionVerdict:
        """What a stored number says: nothing where there is none, or that of a younger program."""
        return cls(int(stored)) if stored in _NUMBERS else cls.UNKNOWN


_NUMBERS = frozenset(int(verdict) for verdict in PartitionVerdict)


def judge_partitions(
    window: Window, judged: Judged, groups: Mapping[str, GroupRow], *, heads: Column | None = None
) -> Column:
    """The verdict of each position of a window, always known, from what was judged of its groups.

    `heads`: what is known of the records that wait (`domain.heads`). Where a group makes no progress, a partition where
    records have waited unmoved as long as the window remembers is one of those that stand still, but for those where
    only markers wait.
    """
    layout, answers = window.layout, judged.answers
    if answers is None:
        return _told(layout, np.full(len(layout), int(PartitionVerdict.UNKNOWN), dtype=np.int64))
    facts = answers.facts
    climbs, catches_up = position_trends(window, facts.lag, facts.known & (answers.may_climb | answers.may_fall))
    climbs, catches_up = climbs & answers.may_climb, catches_up & answers.may_fall
    for where, trends in answers.by_rounds:
        climbs[where], catches_up[where] = trends.climbing, trends.falling
    told = by_owner(judged.verdicts, layout)
    # of what is read again the lag says nothing of its pace, either
    climbs &= ~(answers.rewound & _by_position(told == int(Verdict.REWOUND), layout))
    rows = [groups.get(name) for name in layout.owners]
    is_described = _by_position([row is not None and row.members is not None for row in rows], layout)
    still = answers.still
    stands = _by_position(told == int(Verdict.NO_PROGRESS), layout)
    if stands.any():
        # where the window holds no whole tooth of the sawtooth, all have waited so long
        waits = stands & facts.known & (facts.lag > 0) & ~facts.base_is_seen & answers.may_fall
        still = still | (waits & ~_only_markers(heads, layout))
    verdicts = np.full(len(layout), int(PartitionVerdict.OK), dtype=np.int64)
    for verdict, holds in reversed(
        (
            (PartitionVerdict.UNKNOWN, answers.is_unmeasured),
            (PartitionVerdict.NO_MEMBERS, _by_position(told == int(Verdict.NO_MEMBERS), layout)),
            (PartitionVerdict.UNOWNED, answers.unowned),
            (PartitionVerdict.NO_PROGRESS, still),
            (PartitionVerdict.LOSING_DATA, answers.loses),
            (PartitionVerdict.FALLING_BEHIND, climbs),
            (PartitionVerdict.REWOUND, answers.rewound),
            (PartitionVerdict.NOT_COMMITTING, answers.never_commits),
            (PartitionVerdict.NO_COMMIT, answers.has_no_commit),
            (PartitionVerdict.UNKNOWN, answers.is_unknown | ~is_described),
            (PartitionVerdict.CATCHING_UP, catches_up),
        )
    ):
        verdicts[holds] = int(verdict)
    return _told(layout, verdicts)


def _told(layout: Layout, verdicts: NDArray[np.int64]) -> Column:
    return Column(layout, Numbers(verdicts, np.ones(len(layout), dtype=np.bool_)))


def _by_position(of_owners: Bools | list[bool], layout: Layout) -> Bools:
    """(n,) what is said of the owner of each position."""
    return np.asarray(of_owners, dtype=np.bool_)[layout.owner_of_position]


def _only_markers(heads: Column | None, layout: Layout) -> Bools:
    """(n,) positions where nothing but the markers of transactions waits."""
    out = np.zeros(len(layout), dtype=np.bool_)
    if heads is None:
        return out
    for i in np.flatnonzero(are_markers(heads.numbers)).tolist():
        if (place := layout.position.get(heads.layout.key_at(i))) is not None:
            out[place] = True
    return out
