"""When the commits of some groups moved on, read from the samples of their past."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from collectors.domain.numbers import NO_COMMIT

from . import layouts, reading
from .kinds import Kind
from .selection import Selection, fetch, members_of


def commits_moved_at(cluster_id: int, groups: Sequence[str], since: float, until: float) -> dict[str, list[float]]:
    """Unix seconds of the samples at which a commit of each group had moved on, oldest first."""
    found: dict[str, list[float]] = {group: [] for group in groups}
    heads = reading.heads_in(cluster_id, Kind.COMMITTED, since, until)
    if not groups or len(heads) < 2:
        return found
    loaded = layouts.load(heads.layout_rows)
    own = [loaded[row].layout for row in heads.layout_rows if row in loaded]
    fetched = fetch(Kind.COMMITTED, heads, groups)
    for group in groups:
        members = members_of(own, [group], fetched)
        if not members:
            continue
        read = Selection(cluster_id, Kind.COMMITTED, heads, loaded, members, fetched).at(slice(0, len(heads)))
        known = read.known & read.present & (read.values != NO_COMMIT)
        moved = ((np.diff(read.values, axis=0) > 0) & known[1:] & known[:-1]).any(axis=1)
        found[group] = heads.taken_at[1:][moved].tolist()
    return found
