"""When groups last committed, as of one cycle; nothing is known of it where commits are not read."""

from __future__ import annotations

import numpy as np

from collectors.domain.numbers import Numbers

from .now import ClusterNow


def last_commits(now: ClusterNow) -> Numbers:
    """(groups,) unix seconds of the newest commit that was seen of each, aligned with `now.groups.names`."""
    layout, times = now.committed.layout, now.committed_at
    values, known = np.zeros(len(now.groups.names)), np.zeros(len(now.groups.names), dtype=np.bool_)
    if not times.known.any():
        return Numbers(values, known)
    seen = np.where(times.known, times.values, 0)
    filled = np.flatnonzero(np.diff(layout.starts) > 0)
    newest = np.maximum.reduceat(seen, layout.starts[:-1][filled])
    at = np.array([now.groups.index[layout.owners[owner]] for owner in filled.tolist()], dtype=np.int64)
    values[at], known[at] = newest / 1000, newest > 0
    return Numbers(values, known)
