"""Dead letters of the last hour on all clusters: how many came, and into which topics."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import deadletters
from .deadletters import Line
from .summaries import Summary

SHOWN = 6
KEPT_SECONDS = 15.0
"""By the clock of the samples: a count of an hour changes little in between."""


@dataclass(frozen=True, slots=True)
class Hour:
    """Of one cluster. `seconds`: how much of the hour is covered; None where nothing is known."""

    lines: tuple[Line, ...]
    total: int | None  # of the topics that are known
    is_partial: bool  # at least one topic is not known
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Queue:
    cluster: Summary
    line: Line


@dataclass(frozen=True, slots=True)
class Hours:
    """Of all clusters."""

    by_slug: dict[str, Hour]
    total: int | None
    is_partial: bool
    seconds: float | None
    queues: list[Queue]  # into which something came, the most first
    unknown: int  # dead-letter topics of which it is not known
    unsampled: str  # which clusters are not sampled, and since when; "" where all are

    @property
    def shown(self) -> list[Queue]:
        return self.queues[:SHOWN]

    @property
    def left_out(self) -> int:
        return max(0, len(self.queues) - SHOWN)


_lock = threading.Lock()
_kept: dict[int, tuple[float, Hour]] = {}


def forget() -> None:
    with _lock:
        _kept.clear()


def hours(clusters: Iterable[Summary]) -> Hours:
    """A cluster without recent samples counts as not known: what came into it until then is not the last hour."""
    every = list(clusters)
    found = {one.slug: _of(one) for one in every}
    totals = [hour.total for hour in found.values()]
    queues = [
        Queue(one, line)
        for one in every
        for line in found[one.slug].lines
        if line.arrived is not None and line.arrived.records
    ]
    queues.sort(key=lambda queue: (queue.line.name, queue.cluster.slug))
    queues.sort(key=lambda queue: queue.line.arrived.records if queue.line.arrived else 0, reverse=True)
    spans = [hour.seconds for hour in found.values() if hour.seconds is not None]
    return Hours(
        by_slug=found,
        total=sum(total for total in totals if total is not None) if any(t is not None for t in totals) else None,
        is_partial=any(hour.is_partial or hour.total is None for hour in found.values()),
        seconds=max(spans, default=None),
        queues=queues,
        unknown=sum(line.arrived is None for hour in found.values() for line in hour.lines),
        unsampled=_unsampled(every),
    )


def _unsampled(clusters: Sequence[Summary]) -> str:
    """ "demo: not sampled since 14:02:10 UTC"; without the name where there is but one cluster."""
    said = [f"{one.name}: {one.why_old}" if len(clusters) > 1 else one.why_old for one in clusters if one.is_old]
    return "; ".join(said)


def _of(here: Summary) -> Hour:
    if here.now is None or here.is_old or not here.is_known or here.verdict == "unknown":
        return Hour((), None, is_partial=True, seconds=None)
    with _lock:
        at, kept = _kept.get(here.cluster.pk, (0.0, None))
    if kept is not None and 0 <= here.now.taken_at - at < KEPT_SECONDS:
        return kept
    lines = tuple(deadletters.lines(here))
    known = [line.arrived.records for line in lines if line.arrived is not None]
    made = Hour(
        lines,
        total=sum(known) if known or not lines else None,
        is_partial=len(known) < len(lines),
        seconds=deadletters.covered(lines),
    )
    with _lock:
        _kept[here.cluster.pk] = (here.now.taken_at, made)
    return made
