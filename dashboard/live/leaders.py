"""How many partitions each broker leads, counted from the topics' rows at most every 15 s."""

from __future__ import annotations

import threading
import time
from collections import Counter

from collectors.models import Cluster, Topic

KEPT_SECONDS = 15.0
"""Leaders change with the metadata, which the survey asks every 30 s; the count walks every partition."""

_counted: dict[int, tuple[float, Counter[int]]] = {}
_lock = threading.Lock()


def by_broker(cluster: Cluster, *, clock: float | None = None) -> Counter[int]:
    """Partitions led by node id, at most `KEPT_SECONDS` old."""
    now = time.monotonic() if clock is None else clock
    with _lock:
        kept = _counted.get(cluster.pk)
    if kept is not None and now - kept[0] < KEPT_SECONDS:
        return kept[1]
    counts: Counter[int] = Counter()
    topics = Topic.objects.filter(cluster=cluster, gone_at=None).order_by()
    for partitions in topics.values_list("partitions", flat=True).iterator(chunk_size=500):
        counts.update(partition[0] for partition in partitions)
    with _lock:
        _counted[cluster.pk] = (now, counts)
    return counts


def forget() -> None:
    with _lock:
        _counted.clear()
