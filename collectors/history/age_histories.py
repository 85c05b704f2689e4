"""Log-end age of a group over a range of time, for a chart: as `ages` has it of one cycle, from fewer samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from collectors.domain.ages import Brackets, beyond_markers, first_unread, log_end_ages, oldest_by_owner, waits
from collectors.domain.heads import are_markers
from collectors.domain.lag import within_log
from collectors.domain.numbers import NO_COMMIT, Numbers
from collectors.models import Cluster

from . import curves, layouts, reading
from .ages import narrow
from .curves import Band
from .kinds import Kind
from .selection import Member, Selection, by_topic, fetch, members_of

Ints = NDArray[np.int64]

PAIRS = 500
HISTORY_ENDS = 1_200


@dataclass(frozen=True, slots=True, eq=False)
class AgeHistory:
    """Points of a group's log-end age, oldest first, (n,): its oldest position."""

    times: NDArray[np.float64]
    gap_before: NDArray[np.bool_]
    interval: float
    age: Band  # seconds


def age_history(cluster_id: int, group: str, since: float, until: float, points: int = 300) -> AgeHistory:
    """Log-end age of a group over any range for which samples are kept; the queries do not depend on its length."""
    configured = float(Cluster.objects.filter(pk=cluster_id).values_list("interval_seconds", flat=True).first() or 5.0)
    heads = _spread(cluster_id, Kind.COMMITTED, since, until, points)
    usual = curves.spacing(heads.taken_at, configured)
    gap = curves.gaps(heads.taken_at, usual)
    seconds, low, high = (np.zeros(len(heads)) for _ in range(3))
    known = np.zeros(len(heads), dtype=np.bool_)
    if not len(heads):
        return AgeHistory(heads.taken_at, gap, usual, Band(low, high, seconds, known))
    ends = _spread(cluster_id, Kind.END, since - (until - since), until, HISTORY_ENDS, heads.cycles)
    starts = reading.heads_as_of(cluster_id, Kind.START, int(heads.cycles[0]), int(heads.cycles[-1]))
    backlogs = reading.heads_at(cluster_id, Kind.HEAD, heads.cycles.tolist())
    loaded = layouts.load([row for h in (heads, ends, starts, backlogs) for row in h.layout_rows])
    fetched = fetch(Kind.COMMITTED, heads, [group])
    members = members_of([loaded[row].layout for row in heads.layout_rows if row in loaded], [group], fetched)
    topics, shape = by_topic(members), (len(heads), len(members))
    committed = Selection(cluster_id, Kind.COMMITTED, heads, loaded, members, fetched).at(slice(None))
    head = Selection(cluster_id, Kind.HEAD, backlogs, loaded, members).at_cycles(heads.cycles)
    start = Selection(cluster_id, Kind.START, starts, loaded, topics).at_cycles(heads.cycles, as_of=True)
    seen = Selection(cluster_id, Kind.END, ends, loaded, topics).at(slice(None))
    same = np.searchsorted(ends.cycles, heads.cycles)
    is_there = (same < len(ends)) & (ends.cycles[np.minimum(same, max(0, len(ends) - 1))] == heads.cycles)
    at = np.minimum(same, max(0, len(ends) - 1))
    end = Numbers(seen.values[at].ravel(), (seen.known[at] & is_there[:, None]).ravel())
    unread = first_unread(
        within_log(Numbers(committed.values.ravel(), committed.known.ravel()), end),
        Numbers(start.values.ravel(), start.known.ravel()),
    )
    unread = beyond_markers(unread, end, are_markers(Numbers(head.values.ravel(), head.known.ravel())))
    waiting = np.flatnonzero(waits(unread, end))
    rows, columns = np.divmod(waiting, max(1, len(members)))
    brackets = Brackets.none(unread.values[waiting])
    for column in range(len(members)):
        mine = np.flatnonzero(columns == column)
        known_rows = np.flatnonzero(seen.known[:, column])
        part = brackets.take(mine)
        bracket_by_search(
            part,
            at[rows[mine]],
            known_rows,
            ends.taken_at[known_rows],
            ends.cycles[known_rows],
            seen.values[known_rows, column],
        )
        brackets.put(mine, part)
    _narrow_pairs(cluster_id, [topics[column] for column in columns.tolist()], brackets, usual)
    moments = heads.taken_at[rows]
    ages = log_end_ages(unread, end, waiting, brackets, taken_at=moments, interval=usual)
    has_none = committed.known & (committed.values == NO_COMMIT)
    counted = (committed.present & ~has_none).ravel()
    owners = np.repeat(np.arange(shape[0]), shape[1])
    oldest, _ = oldest_by_owner(ages, counted, owners, len(heads))
    bounded = np.where(np.isfinite(oldest.high), oldest.high, oldest.seconds)
    return AgeHistory(heads.taken_at, gap, usual, Band(oldest.low, bounded, oldest.seconds, oldest.known))


def bracket_by_search(
    brackets: Brackets, upto: Ints, rows: Ints, times: NDArray[np.float64], cycles: Ints, ends: Ints
) -> None:
    """Bracket offsets (m,) of one partition in known samples (k,), oldest first, each only up to its own row (m,).

    Where the log went back (another topic under the name, a truncation) a new stretch begins, and each offset is
    looked for in the stretch that its row lies in.
    """
    borders = [0, *(np.flatnonzero(np.diff(ends) < 0) + 1).tolist(), len(ends)]
    for first, after in pairwise(borders):
        if first == after:
            continue
        last = len(rows) if after == len(ends) else after
        newest = rows[last] if last < len(rows) else np.iinfo(np.int64).max
        mine = np.flatnonzero((upto >= rows[first]) & (upto < newest))
        if not len(mine):
            continue
        before = first - 1 + np.searchsorted(ends[first:after], brackets.offset[mine], side="right")
        by = before + 1
        fine = by < after
        mine, before, by = mine[fine], before[fine], by[fine]
        brackets.has_by[mine], brackets.by[mine] = True, times[by]
        brackets.by_cycle[mine], brackets.by_end[mine] = cycles[by], ends[by]
        has = before >= 0
        at, safe = mine[has], before[has]
        brackets.has_after[at], brackets.after[at], brackets.after_cycle[at] = True, times[safe], cycles[safe]
        brackets.after_end[at] = np.where(safe < first, 0, ends[safe])


def _narrow_pairs(cluster_id: int, members: Sequence[Member], brackets: Brackets, interval: float) -> None:
    """Look closer at what the samples read so far leave open, each offset of a partition once."""
    places: dict[tuple[Member, int], list[int]] = {}
    for i in np.flatnonzero(brackets.has_by & ~brackets.has_after).tolist():
        places.setdefault((members[i], int(brackets.offset[i])), []).append(i)
    pairs = list(places.items())
    pairs = pairs[:: max(1, math.ceil(len(pairs) / PAIRS))]
    if not pairs:
        return
    whole = brackets.take(np.array([own[0] for _, own in pairs], dtype=np.int64))
    narrow(cluster_id, [member for (member, _), _ in pairs], whole, interval=interval)
    for j, (_, own) in enumerate(pairs):
        brackets.put(np.array(own), whole.take(np.full(len(own), j)))


def _spread(
    cluster_id: int, kind: Kind, since: float, until: float, points: int, besides: Ints | None = None
) -> reading.Heads:
    """About so many samples of a range, evenly spaced in cycles, and those of some cycles besides."""
    cycles = reading.cycle_range(cluster_id, kind, since, until)
    if cycles is None:
        return reading.Heads.of([])
    wanted = np.linspace(*cycles, max(2, points)).round().astype(np.int64)
    if besides is not None:
        wanted = np.concatenate((wanted, besides))
    return reading.forward(reading.heads_at(cluster_id, kind, np.unique(wanted).tolist()), since, until)
