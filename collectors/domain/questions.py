"""The questions that verdicts rest on, each of positions or groups of a window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .positions import Positions, positions
from .simple_consumers import SIMPLE_PAUSES
from .trends import BEAT_SECONDS
from .window import LENGTH, Window

Bools = NDArray[np.bool_]

STALL_SECONDS = 15.0
"""Three of Kafka's default commit intervals (5 s) without movement."""
STALL_SAMPLES = 3
EARLY_SHARE = 0.05
"""Of the interval: so much earlier than due a sample may be taken, and is still the one that ends a span."""
TURN_SECONDS = 100.0
"""How long a partition may wait for its turn while the lag of its group falls: a reader that works off a backlog is
given what was fetched ahead of one partition after the other (75 s were seen of librdkafka with 4 MB)."""
JUST_SAMPLES = 3
"""A commit that moved within so many samples moves."""
TURN_SHARE = 0.85
"""But no longer than this share of what the window can hold."""
UNOWNED_SECONDS = 20.0
"""Longer than the survey's pause between two looks at the groups: two looks found nobody."""


def stands_still(facts: Positions, *, interval_seconds: float, takes_turns: Bools | bool = False) -> Bools:
    """Positions whose records wait and increase while the committed offset does not move.

    `takes_turns` (n,) or (1,): a partition may be waiting for its turn, as somebody reads several, and the lag of the
    group falls as a whole or its reader is busy with the backlog of another.
    """
    enough = _stall_seconds(interval_seconds)
    patient = max(enough, min(TURN_SECONDS, TURN_SHARE * (LENGTH - 1) * interval_seconds))
    # what lay there before (a record that nobody needs yet, the marker of a transaction) is no reason: records came by
    long_enough = facts.passed_by_seconds >= enough
    # for a turn that is awaited, what the window has forgotten counts, too
    stood = np.where(facts.base_is_seen, facts.passed_by_seconds, facts.waiting_seconds)
    long_enough &= ~np.asarray(takes_turns) | (stood >= patient)
    return (
        facts.known & (facts.lag > 0) & long_enough & (facts.samples_since >= STALL_SAMPLES) & (facts.arrived_since > 0)
    )


def _stall_seconds(interval_seconds: float) -> float:
    return max(STALL_SECONDS, STALL_SAMPLES * interval_seconds) - EARLY_SHARE * interval_seconds


def stood_since(window: Window, group: str, *, interval_seconds: float, is_shared: bool = False) -> float | None:
    """Unix seconds of the last movement of the partition of `group` that has stood still longest; None if none does."""
    if window.layout.owner_index(group) is None or not window.samples:
        return None
    facts = positions(window, window.layout.slice_of(group), only_forward=is_shared)
    # whether it may wait its turn does not matter: of those that stand still, the one that has longest is asked for
    still = stands_still(facts, interval_seconds=interval_seconds)
    return float(window.times[facts.base[still].min()]) if still.any() else None


def is_undecided(facts: Positions, *, interval_seconds: float) -> Bools:
    """Positions where records wait and nothing was seen yet that says whether they are read.

    So it is in the first seconds after a start, a step of the clock or a gap: neither "ok" nor "no progress".
    """
    long_enough = facts.waiting_seconds >= _stall_seconds(interval_seconds)
    seen_enough = long_enough & (facts.samples_since >= STALL_SAMPLES)
    return facts.known & (facts.lag > 0) & ~facts.base_is_seen & ~seen_enough


def is_unsure_after_gap(facts: Positions, window: Window) -> Bools:
    """Positions where more waits than ever lies between two commits, and since samples were missing too few came to
    say what becomes of it. Who stands still has done so through the gap: that is told none the less."""
    if window.samples_since_gap >= min(STALL_SAMPLES, len(window.samples)):
        return np.zeros(len(facts.known), dtype=np.bool_)
    unsure: Bools = facts.known & (facts.lag > 0) & (facts.lag > _beats(window))
    return unsure


def never_commits(facts: Positions, *, interval_seconds: float) -> Bools:
    """Positions that are assigned and get records, and for which no offset was ever committed."""
    long_enough = facts.uncommitted_seconds >= max(STALL_SECONDS, STALL_SAMPLES * interval_seconds)
    return facts.uncommitted & long_enough & (facts.uncommitted_arrived > 0)


def may_have_records(window: Window) -> Bools:
    """(n,) positions of the window whose log holds something now, as far as its start is known."""
    newest = window.samples[-1]
    holds = newest.end.known & (newest.end.values > 0)
    if newest.start is not None:
        holds &= ~newest.start.known | (newest.end.values > newest.start.values)
    return holds


def is_unowned(facts: Positions, *, interval_seconds: float) -> Bools:
    """Positions whose records wait, and that no member of the group was given, although members are there."""
    waits: Bools = (facts.known & (facts.lag > 0)) | (facts.uncommitted & (facts.uncommitted_arrived > 0))
    return waits & has_no_owner(facts, interval_seconds=interval_seconds)


def has_no_owner(facts: Positions, *, interval_seconds: float) -> Bools:
    """Positions that no member was given, by two looks at the group."""
    long_enough: Bools = facts.unowned_seconds >= max(UNOWNED_SECONDS, STALL_SAMPLES * interval_seconds)
    return long_enough


def _beats(window: Window) -> NDArray[np.float64]:
    """Records that come to each position while a group that is never behind lets them wait between two commits."""
    first, newest = window.samples[0], window.samples[-1]
    came = np.maximum(newest.end.values - first.end.values, 0) * (newest.end.known & first.end.known)
    beats: NDArray[np.float64] = came / max(newest.taken_at - first.taken_at, 1e-9) * BEAT_SECONDS
    return beats


def works_on_backlog(facts: Positions, window: Window) -> Bools:
    """Positions whose commit has just moved, and where more waits than ever lies between two commits: a reader that is
    busy there may leave others waiting for their turn, also while more comes to the group than it reads."""
    moved = facts.base_is_seen & (facts.base >= len(window.samples) - JUST_SAMPLES)
    works: Bools = facts.known & moved & (facts.lag > _beats(window)) & (facts.lag > 0)
    return works


def loses_data(facts: Positions) -> Bools:
    """Positions where records were deleted before the group came to them, in the last minute."""
    return facts.lost > 0


def was_rewound(facts: Positions, window: Window) -> Bools:
    """Positions whose commit went back, by more than a partition that changes hands reads twice."""
    back = facts.rewound_from - facts.rewound_to
    went = facts.known & (back > 0)
    if not went.any():
        return went
    far: Bools = went & (back > _beats(window))
    return far


def misses_its_turn(window: Window, facts: Positions, where: slice, patience_seconds: float) -> Bools:
    """Positions in `where` (of a group that somebody reads for without being a member) that are passed over for longer
    than its commits pause, and missed a whole round of them: when all stop within one round, nobody reads."""
    passed_by = facts.passed_by_seconds[where]
    since = window.times[-1] - window.times[facts.base[where]]
    others = since.min(initial=np.inf)  # of a group that may have no position any more
    missed: Bools = (passed_by > patience_seconds) & (passed_by - others > patience_seconds / SIMPLE_PAUSES)
    return missed


def since_members_came(facts: Positions, window: Window, since: NDArray[np.float64]) -> Positions:
    """The facts as they are of who reads since (n,) unix seconds (-inf: for long): before that nobody was there, and
    what waited then says nothing of them."""
    seconds = window.times[-1] - since
    return replace(
        facts,
        base_is_seen=facts.base_is_seen & (window.times[facts.base] >= since),
        waiting_seconds=np.minimum(facts.waiting_seconds, seconds),
        passed_by_seconds=np.minimum(facts.passed_by_seconds, seconds),
        uncommitted_seconds=np.minimum(facts.uncommitted_seconds, seconds),
    )
