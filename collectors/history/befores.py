"""How much came to a group before it fell behind, from stored history: its window has forgotten that by then."""

from __future__ import annotations

from collections.abc import Mapping

from .cache import LeastRecent
from .ranges import group_history

BEFORE_SECONDS = 180.0
LEAD_SECONDS = 30.0
"""What makes a group fall behind began some samples before its verdict."""
READS_AT_ONCE = 20
"""History that is read anew for one page or push; when 5 000 groups fall behind at once, the others have to wait."""
_kept: LeastRecent[tuple[int, str, float], tuple[float | None]] = LeastRecent(10_000)


def arriving_before(cluster_id: int, group: str, since: float) -> float | None:
    """Mean records a second that came to a group in the three minutes before it fell behind at `since` (unix seconds);
    None where that is not known. Read once for each group and episode."""
    key = cluster_id, group, since
    found = _kept.get(key)
    if found is None:
        end = since - LEAD_SECONDS
        band = group_history(cluster_id, group, end - BEFORE_SECONDS, end).arriving
        found = _kept.put(key, (float(band.last[band.known].mean()) if band.known.any() else None,))
    return found[0]


def arriving_befores(cluster_id: int, began: Mapping[str, float]) -> dict[str, float | None]:
    """The same of some groups, given with when each fell behind, as far as it was read before or may be read now."""
    fresh = [name for name, since in began.items() if _kept.get((cluster_id, name, since)) is None]
    later = set(fresh[READS_AT_ONCE:])
    return {name: arriving_before(cluster_id, name, since) for name, since in began.items() if name not in later}
