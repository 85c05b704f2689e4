"""Whether a cluster's newest numbers are of now: what is too old is unknown, wherever groups are shown."""

from __future__ import annotations

from collectors.history.now import ClusterNow, without_present

from .sentences import is_stale


def present(now: ClusterNow | None, interval_seconds: float, moment: float) -> ClusterNow | None:
    """The newest numbers of a cluster as they may be shown at `moment` (unix seconds): when the newest sample is too
    old, verdicts, lag and rates of groups are not known."""
    if now is None or not is_stale(now.taken_at, interval_seconds, moment):
        return now
    return without_present(now)
