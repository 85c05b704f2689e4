"""Records that were deleted before a group read them: since the cycle before, and over a stretch of time."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from collectors.domain.lag import gather, newly_lost, sums
from collectors.domain.numbers import NO_COMMIT, Numbers
from collectors.models import Cycle

from . import layouts, reading
from .kinds import Kind
from .layouts import stored
from .now import ClusterNow
from .policies import deletes_nothing, without_compacted
from .selection import Selection, by_topic, members_of

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
    index = np.array([now.groups.index[owner] for owner in layout.owners], dtype=np.int64)
    told = np.flatnonzero(lost.known)
    return sums(lost.take(told), index[layout.owner_of_position[told]], count)


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
    committed = Selection(cluster_id, Kind.COMMITTED, commits, loaded, members).at_cycles(heads.cycles, as_of=True)
    starts = Selection(cluster_id, Kind.START, heads, loaded, by_topic(members)).at(slice(None))
    known = committed.known & (committed.values != NO_COMMIT)
    known &= ~deletes_nothing(cluster_id, tuple(topic for _, topic, _ in members))
    total = 0
    for row in range(1, len(heads)):
        lost = newly_lost(
            Numbers(committed.values[row], known[row]),
            Numbers(starts.values[row], starts.known[row]),
            Numbers(starts.values[row - 1], starts.known[row - 1]),
        )
        total += int(lost.values[lost.known].sum())
    return total
