"""The last day as a bar, hour by hour: how bad a cluster's alerts and the verdicts of its groups were, what was said of
a group, and where nothing was measured."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Count, Q

from collectors.domain.verdicts import Verdict
from collectors.history import queries
from collectors.models import Cycle
from dashboard.models import Alert

from . import words

SLOTS = 24
KEPT_SECONDS = 60.0
_RANK = {"info": 1, "warning": 2, "critical": 3}
_LETTERS = ("o", "i", "w", "b")  # classes: ok, info, warning, critical; "u" where no cycle reached the cluster
_SAID = {"o": "ok", "i": "info", "w": "warning", "b": "critical", "u": "nothing measured"}


@dataclass(frozen=True, slots=True)
class Day:
    """One letter an hour, the oldest first."""

    letters: str

    @property
    def bars(self) -> list[tuple[int, int, int, str]]:
        """(x, y, height, letter) of each hour in a picture of 240 by 20."""
        heights = {"o": 5, "i": 7, "w": 11, "b": 18, "u": 10}
        return [(10 * i, 19 - heights[letter], heights[letter], letter) for i, letter in enumerate(self.letters)]

    @property
    def said(self) -> str:
        found = {letter: self.letters.count(letter) for letter in "bwiuo"}
        return "last 24 h: " + ", ".join(f"{count} h {_SAID[letter]}" for letter, count in found.items() if count)


@dataclass(frozen=True, slots=True)
class VerdictDay:
    """The worst verdict of each hour, the oldest first; None where none was stored."""

    verdicts: Sequence[Verdict | None]

    @property
    def bars(self) -> list[tuple[int, int, int, str]]:
        return Day("".join(_VERDICT_LETTERS.get(verdict, "u") for verdict in self.verdicts)).bars

    @property
    def said(self) -> str:
        counts = Counter(self.verdicts)
        worst_first = sorted((v for v in counts if v is not None), key=lambda v: v.severity, reverse=True)
        parts = [f"{counts[verdict]} h {words.look(verdict.word).word}" for verdict in worst_first]
        if counts[None]:
            parts.append(f"{counts[None]} h not measured")
        return "worst of each of the last 24 h: " + ", ".join(parts)


_VERDICT_LETTERS: dict[Verdict | None, str] = {
    Verdict.OK: "o",
    Verdict.CATCHING_UP: "o",
    Verdict.REWOUND: "i",
    Verdict.REBALANCING: "i",
    Verdict.NOT_COMMITTING: "i",
    Verdict.NO_MEMBERS: "i",
    Verdict.FALLING_BEHIND: "w",
    Verdict.LOSING_DATA: "b",
    Verdict.NO_PROGRESS: "b",
    Verdict.UNOWNED: "b",
}


_lock = threading.Lock()
_kept: dict[tuple[int, ...], tuple[float, dict[int, Day]]] = {}


def forget() -> None:
    with _lock:
        _kept.clear()


def last_days(clusters: Sequence[int]) -> dict[int, Day]:
    """Of each cluster, by its key; at most once a minute, in two queries and those of `worst_of_cluster` for each."""
    key = tuple(sorted(clusters))
    with _lock:
        at, found = _kept.get(key, (-KEPT_SECONDS, {}))
    if time.monotonic() - at < KEPT_SECONDS:
        return found
    found = _read(key, datetime.now(UTC))
    with _lock:
        _kept.clear()
        _kept[key] = (time.monotonic(), found)
    return found


def _read(clusters: Sequence[int], now: datetime) -> dict[int, Day]:
    borders = [now - timedelta(hours=SLOTS - i) for i in range(SLOTS + 1)]
    slots = {
        f"s{i}": Count("id", filter=Q(taken_at__gte=borders[i], taken_at__lt=borders[i + 1])) for i in range(SLOTS)
    }
    reached = (
        Cycle.objects.filter(cluster__in=clusters, taken_at__gte=borders[0], is_reachable=True)
        .order_by()
        .values("cluster_id")
        .annotate(**slots)
    )
    ranks = {pk: [-1] * SLOTS for pk in clusters}
    for pk, *counts in reached.values_list("cluster_id", *slots):
        ranks[pk] = [0 if count else -1 for count in counts]
    alerts = Alert.objects.filter(cluster__in=clusters, fired_at__isnull=False).filter(
        Q(resolved_at=None) | Q(resolved_at__gte=borders[0])
    )
    for pk, fired, over, severity in alerts.values_list("cluster_id", "fired_at", "resolved_at", "severity"):
        if fired is None:
            continue
        first = max(0, int((fired - borders[0]).total_seconds() // 3600))
        last = min(SLOTS - 1, int(((over or now) - borders[0]).total_seconds() // 3600))
        for slot in range(first, last + 1):
            ranks[pk][slot] = max(ranks[pk][slot], _RANK.get(severity, 1))
    for pk, own in ranks.items():
        for slot, verdict in enumerate(queries.worst_of_cluster(pk, now.timestamp(), slots=SLOTS)):
            letter = _VERDICT_LETTERS.get(verdict, "u")
            if letter != "u":
                own[slot] = max(own[slot], _LETTERS.index(letter))
    return {pk: Day("".join("u" if rank < 0 else _LETTERS[rank] for rank in own)) for pk, own in ranks.items()}
