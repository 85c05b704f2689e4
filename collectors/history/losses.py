"""Records that were deleted before a group read them: since the cycle before, and over a stretch of time."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from collectors.domain import losses as domain
from collectors.domain.lag import gather, newly_lost, sums
from collectors.domain.losses import lost_at_newest
from collectors.domain.numbers import NO_COMMIT, Numbers
from collectors.domain.window import LENGTH, Sample, Window
from collectors.models import Cycle

from . import layouts, reading
from .kinds import Kind
from .layouts import stored
from .now import ClusterNow
from .policies import deletes_nothing, without_compacted
from .recents import recent_samples
from .selection import Selection, by_topic, members_of

Bools = NDArray[np.bool_]

LOOKED_BACK_SECONDS = 60.0
"""A reader that would have been behind the new log start so long ago, at its present pace, may have lost records."""
FIRST_CYCLES = 3
"""So many cycles may lack numbers (the cluster was not reached) before the beginning counts as gone."""


def lost_since(now: ClusterNow, before: ClusterNow | None) -> Numbers:
    """Records that each group of `now.groups.names` lost between two cycles; what one partition lost is known even
    where another's numbers are not. Nothing is known without an earlier look."""
    count = len(now.groups.names)
    layout = now.committed.layout
    if before is None or len(layout) == 0:
        return Numbers.unknown(count)
    own = stored(layout)
    start = gather(now.start.numbers, stored(now.start.layout).positions_by_topic(own))
    earlier = gather(before.start.numbers, stored(before.start.layout).positions_by_topic(own))
    lost = without_compacted(now.cluster_id, layout.topics, newly_lost(now.committed.numbers, start, earlier))
    told = np.flatnonzero(lost.known)
    found = sums(lost.take(told), now.group_of_position[told], count)
    if _may_have_jumped(now, start, earlier).any():
        for group, one in lost_at_newest(_window(now)).items():
            found.values[now.groups.index[group]] = one.records
    return found


def _may_have_jumped(now: ClusterNow, start: Numbers, earlier: Numbers) -> Bools:
    """(n,) positions that stand behind a log start that has moved, and were before it a while ago."""
    committed = now.committed.numbers
    trimmed = start.known & earlier.known & (start.values > earlier.values) & committed.known
    began = committed.values - now.moved.values * LOOKED_BACK_SECONDS
    may: Bools = trimmed & (committed.values >= start.values) & now.moved.known & (began < start.values)
    return may


def _window(now: ClusterNow) -> Window:
    window = Window()
    for recent in recent_samples(now.cluster_id, now.taken_at - LENGTH * now.interval):
        if recent.cycle <= now.cycle:
            recent.into(window)
    return window


def lost_between(cluster_id: int, group: str, since: float, until: float) -> int | None:
    """How many records a group lost in a stretch of time, as the stored log starts tell.

    None without two of them, and where the frames of its beginning are blocks by now: a part is not the whole.
    """
    cycles = reading.cycle_range(cluster_id, Kind.COMMITTED, since, until)
    taken = Cycle.objects.filter(cluster_id=cluster_id, taken_at__gte=datetime.fromtimestamp(since, UTC))
    first = taken.order_by("number").values_list("number", flat=True).first()
    if cycles is None or first is None or cycles[0] > first + FIRST_CYCLES:
        return None
    heads = reading.heads_as_of(cluster_id, Kind.START, *cycles)
    commits = reading.heads_as_of(cluster_id, Kind.COMMITTED, *cycles)
    if len(heads) < 2 or not len(commits):
        return None
    loaded = layouts.load([*np.unique(heads.layouts).tolist(), *np.unique(commits.layouts).tolist()])
    members = members_of((loaded[row].layout for row in np.unique(commits.layouts).tolist() if row in loaded), [group])
    selected = Selection(cluster_id, Kind.COMMITTED, commits, loaded, members)
    committed = selected.at_cycles(heads.cycles, as_of=True)
    starts = Selection(cluster_id, Kind.START, heads, loaded, by_topic(members)).at(slice(None))
    known = committed.known & (committed.values != NO_COMMIT)
    known &= ~deletes_nothing(cluster_id, tuple(topic for _, topic, _ in members))
    total = 0
    for row in range(1, len(heads)):
        before, start = (Numbers(starts.values[i], starts.known[i] & known[row]) for i in (row - 1, row))
        lost = newly_lost(Numbers(committed.values[row], known[row]), start, before)
        total += int(lost.values[lost.known].sum())
        passed = known[row] & known[row - 1] & start.known & before.known & (start.values > before.values)
        passed &= (committed.values[row - 1] < start.values) & (committed.values[row] >= start.values)
        if passed.any():
            around = _around(selected, int(heads.cycles[row - 1]), int(heads.cycles[row]), before, start)
            samples, look = around
            total += int(domain.jumped_between(samples, look, len(samples) - 1)[passed].sum())
    return total


def _around(selected: Selection, first: int, last: int, before: Numbers, start: Numbers) -> tuple[list[Sample], int]:
    """The commits around the cycles of two looks at log starts, as the newest samples in memory are kept, and which of
    them is that of the first look."""
    cycles = selected.heads.cycles
    begin, end = np.searchsorted(cycles, first), np.searchsorted(cycles, last, side="right")
    where = slice(max(0, min(int(begin), int(end) - LENGTH)), int(end))
    found, times = selected.at(where), selected.heads.taken_at[where]
    rows = [Numbers(values, known) for values, known in zip(found.values, found.known, strict=True)]
    starts = [before] * (len(rows) - 1) + [start]
    samples = [Sample(at, one, one, its) for at, one, its in zip(times.tolist(), rows, starts, strict=True)]
    return samples, min(int(begin) - where.start, len(samples) - 1)
