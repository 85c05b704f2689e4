"""Standstills that were told, held until they end: a window forgets after two minutes that records came by.

Nothing ends a standstill but a commit that moves, nothing that waits any more, members that go, or a rule that explains
more. That no more records come is no such thing: those that wait are as unread as before. It is the same where no
offset was ever committed: that is over with the first commit, a log that holds nothing, or the member that had it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .heads import NO_RECORDS, RESIDUE, unread_now
from .lag import gather
from .numbers import NO_COMMIT, Column, Numbers
from .partitions import PartitionVerdict, judge_partitions
from .positions import MARKERS
from .questions import may_have_records
from .rounds import Alone
from .topology import GroupType
from .verdicts import GroupRow, Judged, Verdict, by_owner, judge, steadied
from .window import Window

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_SILENT_BELOW = np.array(
    [
        Verdict.NOT_COMMITTING,
        Verdict.UNOWNED,
        Verdict.NO_PROGRESS,
        Verdict.LOSING_DATA,
        Verdict.FALLING_BEHIND,
        Verdict.REWOUND,
    ]
)
"""Verdicts of a group in which some partitions may have no commit: those that win are of its other partitions."""
_STANDS_BELOW = np.array([Verdict.UNOWNED, Verdict.NO_PROGRESS])
"""And those of one in which some stand still."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a cycle."""

    verdicts: Column  # of groups
    partitions: Column  # by position of the window: a `PartitionVerdict`, always known
    stood: Column | None
    """Likewise: the offset at which each stands that is told to stand still, NO_COMMIT where it is told to commit
    nothing; None: nowhere."""

    def steadied(self, judged_before: Told, told_before: Told) -> Told:
        """The same without trends that are over for one cycle alone (`verdicts.steadied`)."""
        return replace(
            self,
            verdicts=steadied(told_before.verdicts, judged_before.verdicts, self.verdicts),
            partitions=steadied(told_before.partitions, judged_before.partitions, self.partitions),
        )


def judge_and_hold(
    window: Window,
    groups: Mapping[str, GroupRow],
    *,
    interval_seconds: float,
    stood: Column | None = None,
    heads: Column | None = None,
    alone: Mapping[str, Alone] | None = None,
) -> Told:
    """What each group does, and on each of its partitions; a standstill that was told before is held until it ends, and
    that nothing is ever committed.

    `stood` is that of the cycle before, `heads` what was known then of the records that wait (`domain.heads`), `alone`
    who reads without being a member, as for `judge`.
    """
    stood = stood or Column.empty()
    before = gather(stood.numbers, window.layout.places_in(stood.layout))
    held = np.zeros(len(window.layout), dtype=np.bool_)
    silent = before.known & (before.values == NO_COMMIT)
    at = np.flatnonzero(before.known & ~silent)
    if silent.any() and window.samples:
        silent &= may_have_records(window)
    if len(at) and window.samples:
        names = [window.layout.owners[i] for i in window.layout.owner_of_position[at].tolist()]
        rows = (groups.get(name) for name in names)
        shared = np.array([row is not None and row.type is GroupType.SHARE for row in rows], dtype=np.bool_)
        held[at] = waits_unmoved(window, at, before.values[at], only_forward=shared)
        at = at[held[at]]
        held[at] = _are_records(window, at, heads)
    judged = judge(window, groups, interval_seconds=interval_seconds, held=held, silent=silent, alone=alone)
    partitions = judge_partitions(window, judged, groups, heads=heads)
    return Told(judged.verdicts, partitions, _remembered(window, before, judged))


def stored_standstills(verdicts: Column, committed: Column, partitions: Column | None = None) -> Column:
    """Where groups stood still, or committed nothing, by the newest verdicts and commits that were stored: what to go
    on with after a restart.

    `partitions`: the verdicts of positions, None where an older program stored none. Then each that has a commit, or
    none, is taken for one: those that have moved, or where nothing waits, fall out.
    """
    layout, numbers = committed.layout, committed.numbers
    told = by_owner(verdicts, layout)[layout.owner_of_position]
    if partitions is None:
        stands, silent = told == int(Verdict.NO_PROGRESS), told == int(Verdict.NOT_COMMITTING)
    else:
        parts = gather(partitions.numbers, layout.places_in(partitions.layout))
        stands = parts.known & (parts.values == int(PartitionVerdict.NO_PROGRESS)) & np.isin(told, _STANDS_BELOW)
        silent = parts.known & (parts.values == int(PartitionVerdict.NOT_COMMITTING))
    has_none = numbers.values == NO_COMMIT
    found = (stands & ~has_none) | (silent & has_none)
    return Column(layout, Numbers(numbers.values, numbers.known & found))


def waits_unmoved(window: Window, at: Ints, stood: Ints, *, only_forward: Bools) -> Bools:
    """Which of the positions `at` (n,) stand at the offset `stood`, as they did through the whole window, while records
    wait there. `only_forward` (n,): a step back is no movement (`share_positions`)."""
    newest = window.samples[-1].committed.take(at)
    unmoved = newest.known & ((newest.values == stood) | (only_forward & (newest.values < stood)))
    unmoved &= window.samples[-1].end.known[at]
    for sample in window.samples:
        committed, end = sample.committed.take(at), sample.end.take(at)
        same = (committed.values == newest.values) | (only_forward & (committed.values > newest.values))
        unmoved &= ~(committed.known & end.known) | (same & (end.values > committed.values))
    found: Bools = unmoved
    return found


def _are_records(window: Window, at: Ints, heads: Column | None) -> Bools:
    """Which of the positions `at` have a record to read, and not only the markers of transactions or what retention
    has deleted. One alone that nobody has looked at is taken for a marker."""
    lag = (window.samples[-1].end.values - unread_now(window).values)[at]
    are: Bools = lag > 0
    places = heads.layout.position if heads is not None else {}
    for i in np.flatnonzero(are & (lag <= RESIDUE)).tolist():
        place = places.get(window.layout.key_at(int(at[i])))
        head = heads.numbers.at(place) if heads is not None and place is not None else None
        are[i] = lag[i] > MARKERS if head is None else head != NO_RECORDS
    return are


def _remembered(window: Window, before: Numbers, judged: Judged) -> Column | None:
    """What is to be held in the next cycle; what is not answered in this one is remembered as it was."""
    found = judged.answers
    if found is None or not (found.still.any() or found.never_commits.any() or before.known.any()):
        return None
    verdict = by_owner(judged.verdicts, window.layout)[window.layout.owner_of_position]
    newest = window.samples[-1]
    stands = found.still & np.isin(verdict, _STANDS_BELOW)
    stands |= found.never_commits & np.isin(verdict, _SILENT_BELOW)
    # a cycle without an answer ends nothing, whatever is told of the group meanwhile
    unanswered = before.known & ~(newest.committed.known & newest.end.known) & (verdict != int(Verdict.NO_MEMBERS))
    if not (stands | unanswered).any():
        return None
    offsets = np.where(stands, newest.committed.values, before.values)
    return Column(window.layout, Numbers(offsets, stands | unanswered))
