"""What each broker leads and holds, counted from the topics' rows at most every 15 s."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from collectors.models import Cluster, Topic

KEPT_SECONDS = 15.0
"""Leaders change with the metadata, which the survey asks every 30 s; the count walks every partition."""
NAMED = 200


@dataclass(slots=True)
class Place:
    """Partitions of one broker."""

    leads: int = 0
    replicas: int = 0
    short: int = 0  # replicas that are not in sync
    named: list[tuple[str, int]] = field(default_factory=list)  # the first of those: topic, partition


_counted: dict[int, tuple[float, Mapping[int, Place]]] = {}
_lock = threading.Lock()


def places(cluster: Cluster, *, clock: float | None = None) -> Mapping[int, Place]:
    """What each broker leads and holds by node id, at most `KEPT_SECONDS` old; brokers without partitions lack."""
    now = time.monotonic() if clock is None else clock
    with _lock:
        kept = _counted.get(cluster.pk)
    if kept is not None and now - kept[0] < KEPT_SECONDS:
        return kept[1]
    found: dict[int, Place] = defaultdict(Place)
    leaders: Counter[int] = Counter()
    topics = Topic.objects.filter(cluster=cluster, gone_at=None).order_by("name")
    for name, partitions in topics.values_list("name", "partitions").iterator(chunk_size=500):
        for number, (leader, _, replicas, in_sync, _) in enumerate(partitions):
            leaders[leader] += 1
            for node in replicas:
                place = found[node]
                place.replicas += 1
                if node not in in_sync:
                    place.short += 1
                    if len(place.named) < NAMED:
                        place.named.append((name, number))
    for node, count in leaders.items():
        if node >= 0:
            found[node].leads = count
    counts = dict(found)
    with _lock:
        _counted[cluster.pk] = (now, counts)
    return counts


def forget() -> None:
    with _lock:
        _counted.clear()
