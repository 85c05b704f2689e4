"""Log-end age of every group at a cycle and over a range, read from the stored samples of the log end.

The newest samples settle nearly all positions. For those further behind a ladder of older ones gives a coarse bracket
at once, and the samples within it are read for the topics that have the widest, a few at each cycle; what was found
for a commit that has not moved stays. A process that has just started finds the same, only coarser for a moment.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from django.db.models import Q
from numpy.typing import NDArray

from collectors.domain.ages import (
    GAP_INTERVALS,
    Ages,
    Brackets,
    beyond_markers,
    bracketed,
    first_unread,
    log_end_ages,
    oldest_by_owner,
    waits,
)
from collectors.domain.heads import are_markers
from collectors.domain.lag import gather
from collectors.domain.numbers import NO_COMMIT, Column, Layout, Numbers
from collectors.models import Cluster, Frame, Span

from . import curves, layouts, reading
from .cache import LeastRecent
from .curves import Band
from .kinds import Kind
from .layouts import stored
from .now import ClusterNow
from .selection import Member, Selection, by_topic, fetch, members_of

Ints = NDArray[np.int64]

DENSE_CYCLES = 24
LADDER_CYCLES = 4_096
"""How far back the ladder goes; frames are compacted before, and what was compacted is read by topic."""
TOPICS_A_CYCLE = 8
"""Of so many topics the samples within wide brackets are read at each cycle, so that a start after an outage, when all
groups are far behind, costs no cycle its time."""
TOPICS_OF_A_GROUP = 50
CYCLES_A_LOOK = 120
LOOKS = 6
PAIRS = 500
HISTORY_ENDS = 1_200


@dataclass(frozen=True, slots=True, eq=False)
class AgesNow:
    """Ages as of one cycle. Arrays are shared between callers and must not be written."""

    taken_at: float
    unread: Numbers  # (n,) offset of the first record that waits, beyond markers, by position of the committed layout
    positions: Ages  # (n,)
    waiting: Ints  # (m,) positions where records wait
    brackets: Brackets  # (m,) where in time each of them was passed by the log end
    groups: Ages  # by ClusterNow.groups.names: the oldest position
    worst: Ints  # that position; -1 where there is none
    pairs: Ages  # by the gt_ arrays of ClusterNow.groups: the oldest position of a group on one topic


_results: LeastRecent[tuple[int, int, float], AgesNow] = LeastRecent(
    3_000_000, lambda one: 12 * len(one.unread) + 2_000
)


@dataclass(slots=True)
class _Anchor:
    """The newest that was found of a cluster: its brackets hold for every commit that has not moved since."""

    layout: Layout | None = None
    found: AgesNow | None = None


_anchors: LeastRecent[int, _Anchor] = LeastRecent(200)
_turns: dict[int, threading.Lock] = {}


def ages_at(now: ClusterNow) -> AgesNow:
    """Log-end ages of all positions and groups; one query a cycle, and a few for each topic looked at closer."""
    key = (now.cluster_id, now.cycle, now.taken_at)
    found = _results.get(key)
    if found is None:
        with _turns.setdefault(now.cluster_id, threading.Lock()):
            found = _results.get(key)
            if found is None:
                found = _results.put(key, _compute(now))
                anchor = _anchors.put(now.cluster_id, _Anchor())
                if anchor.found is None or anchor.found.taken_at < found.taken_at:
                    anchor.layout, anchor.found = now.committed.layout, found
    return found


def ages_of(now: ClusterNow, group: str) -> AgesNow:
    """The same, the topics of one group all looked at closer."""
    found = ages_at(now)
    if now.committed.layout.owner_index(group) is None:
        return found
    where = now.committed.layout.slice_of(group)
    mine = np.flatnonzero((found.waiting >= where.start) & (found.waiting < where.stop))
    wide = mine[_is_wide(found.brackets.take(mine), now.interval)]
    if not len(wide):
        return found
    topics = stored(now.committed.layout).topic_numbers[found.waiting[wide]]
    brackets = found.brackets.copy()
    _look_closer(now, found.waiting, brackets, wide[np.isin(topics, np.unique(topics)[:TOPICS_OF_A_GROUP])])
    return _result(now, found.unread, found.waiting, brackets)


def _compute(now: ClusterNow) -> AgesNow:
    layout = now.committed.layout
    own = stored(layout)
    start = gather(now.start.numbers, stored(now.start.layout).positions_by_topic(own))
    unread = beyond_markers(first_unread(now.committed.numbers, start), now.end_of_committed, are_markers(now.heads))
    waiting = np.flatnonzero(waits(unread, now.end_of_committed))
    brackets = Brackets.none(unread.values[waiting])
    fresh = _reuse(now, layout, waiting, brackets)
    if len(fresh):
        part = brackets.take(fresh)
        bracketed(part, _samples(now, waiting[fresh]))
        brackets.put(fresh, part)
    topics = stored(layout).topic_numbers[waiting]
    wide = np.flatnonzero(_is_wide(brackets, now.interval))
    if len(wide):
        open_ended = np.where(brackets.has_after, brackets.by - brackets.after, np.inf)[wide]
        widest = np.zeros(len(stored(layout).topic_names))
        np.maximum.at(widest, topics[wide], open_ended)
        chosen = np.argsort(-widest, kind="stable")[:TOPICS_A_CYCLE]
        _look_closer(now, waiting, brackets, wide[np.isin(topics[wide], chosen)])
    return _result(now, unread, waiting, brackets)


def _result(now: ClusterNow, unread: Numbers, waiting: Ints, brackets: Brackets) -> AgesNow:
    layout, end = now.committed.layout, now.end_of_committed
    ages = log_end_ages(unread, end, waiting, brackets, taken_at=now.taken_at, interval=now.interval)
    index = np.array([now.groups.index[owner] for owner in layout.owners], dtype=np.int64)
    owners = index[layout.owner_of_position] if len(layout) else np.zeros(0, dtype=np.int64)
    numbers = now.committed.numbers
    counted = ~(numbers.known & (numbers.values == NO_COMMIT))
    groups, worst = oldest_by_owner(ages, counted, owners, len(now.groups.names))
    firsts, runs = stored(layout).pairs
    pairs, _ = oldest_by_owner(ages, counted, runs, len(firsts))
    return AgesNow(now.taken_at, unread, ages, waiting, brackets, groups, worst, pairs)


def _is_wide(brackets: Brackets, interval: float) -> NDArray[np.bool_]:
    """Whether the samples in between, or those before all that were looked at, may say more."""
    apart = ~brackets.has_after | (brackets.by - brackets.after > GAP_INTERVALS * interval)
    return brackets.has_by & apart & (brackets.by_cycle - brackets.after_cycle > 1)


def _reuse(now: ClusterNow, layout: Layout, waiting: Ints, brackets: Brackets) -> Ints:
    """Take the brackets of commits that have not moved; the others (j,), places in `waiting`."""
    anchor = _anchors.get(now.cluster_id) or _Anchor()
    before, ages = anchor.layout, anchor.found
    if before is None or ages is None or ages.taken_at > now.taken_at or not len(waiting) or not len(ages.waiting):
        return np.arange(len(waiting))
    place = np.full(len(before), -1, dtype=np.int64)
    place[ages.waiting] = np.arange(len(ages.waiting))
    at = stored(before).positions_of(stored(layout))[waiting] if len(before) else np.full(len(waiting), -1)
    source = np.where(at >= 0, place[np.maximum(at, 0)], -1)
    safe = np.maximum(source, 0)
    is_over = ages.brackets.has_after[safe] | (ages.brackets.by_cycle[safe] - ages.brackets.after_cycle[safe] <= 1)
    same = (source >= 0) & is_over & (ages.brackets.offset[safe] == brackets.offset)
    # the log must still be the one of then: its end has not gone back since
    same &= now.end_of_committed.values[waiting] >= ages.brackets.by_end[safe]
    chosen = np.flatnonzero(same)
    brackets.put(chosen, ages.brackets.take(safe[chosen]))
    return np.flatnonzero(~same)


def _ladder(cycle: int) -> list[int]:
    """Older and older cycles; their distance is half as much again each time, and they change as seldom as can be."""
    out, distance = [], DENSE_CYCLES * 1.5
    while distance <= LADDER_CYCLES and cycle - distance > 0:
        step = 2 ** max(0, math.floor(math.log2(distance)) - 3)
        out.append(int(cycle - distance) // step * step)
        distance *= 1.5
    return [one for one in out if one > 0]


def _samples(now: ClusterNow, positions: Ints) -> Iterator[tuple[float, int, Callable[[Ints], Numbers]]]:
    """Log ends at some positions of the committed layout, the newest sample first."""
    rows = reading.first_segments(now.cluster_id, Kind.END)
    wanted = Q(cycle__gt=now.cycle - DENSE_CYCLES, cycle__lte=now.cycle) | Q(cycle__in=_ladder(now.cycle))
    marks = reading.marks(rows.filter(wanted)).get(Kind.END, [])
    marks = [mark for mark in marks if mark.taken_at <= now.taken_at]
    loaded = layouts.load_named({mark.layout: mark.digest for mark in marks})
    own = stored(now.committed.layout)
    # in two goes: most positions are settled by the newest samples, and then the older ones are not even read
    for part in (marks[-DENSE_CYCLES:], marks[:-DENSE_CYCLES]):
        columns = reading.columns(now.cluster_id, Kind.END, part, loaded)
        for mark, column in zip(reversed(part), reversed(columns), strict=True):
            if column is not None:
                yield mark.taken_at, mark.cycle, _reader(column, own, positions)


def _reader(column: Column, own: layouts.StoredLayout, positions: Ints) -> Callable[[Ints], Numbers]:
    there = stored(column.layout).positions_by_topic(own)
    return lambda places: gather(column.numbers, there[positions[places]])


def _look_closer(now: ClusterNow, waiting: Ints, brackets: Brackets, mine: Ints) -> None:
    """Narrow some brackets (j, of m) by the samples within them, or before them."""
    topics, partitions = now.committed.layout.topics, now.committed.layout.partitions
    members = [(topics[at], topics[at], int(partitions[at])) for at in waiting[mine].tolist()]
    part = brackets.take(mine)
    narrow(now.cluster_id, members, part, interval=now.interval)
    brackets.put(mine, part)


def narrow(cluster_id: int, members: Sequence[Member], brackets: Brackets, *, interval: float) -> None:
    """Narrow brackets (m,) of partitions (members of their topics) down to neighbouring samples; a few looks.

    Each look reads up to about 120 samples spread over what is left, from frames and blocks alike.
    """
    first = _first_cycle(cluster_id)
    if first is None:
        return
    open_end = ~brackets.has_after
    brackets.after_cycle[open_end] = np.maximum(brackets.after_cycle[open_end], first - 1)
    seen: set[int] = set()
    for _ in range(LOOKS):
        wide = np.flatnonzero(_is_wide(brackets, interval))
        low, high = brackets.after_cycle[wide], brackets.by_cycle[wide]
        stretches = {(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True) if b - a > 1}
        if not stretches:
            return
        each = max(2, CYCLES_A_LOOK // len(stretches))
        cycles = sorted(
            {
                int(c)
                for a, b in sorted(stretches)[:CYCLES_A_LOOK]
                for c in np.linspace(a + 1, b - 1, min(each, b - a - 1))
            }
            - seen
        )
        seen.update(cycles)
        heads = reading.heads_at(cluster_id, Kind.END, cycles)
        if not len(heads):
            return
        loaded = layouts.load(heads.layout_rows)
        own = [members[i] for i in wide.tolist()]
        found = Selection(cluster_id, Kind.END, heads, loaded, own).at(slice(None))
        part = brackets.take(wide)
        _put_between(part, heads.taken_at, heads.cycles, found.values, found.known)
        brackets.put(wide, part)


def _put_between(
    brackets: Brackets, times: NDArray[np.float64], cycles: Ints, values: Ints, known: NDArray[np.bool_]
) -> None:
    """Take samples (k, m), oldest first, that lie within the brackets (m,)."""
    for row in range(len(times) - 1, -1, -1):
        inside = (cycles[row] < brackets.by_cycle) & (~brackets.has_after | (cycles[row] > brackets.after_cycle))
        at = np.flatnonzero(inside)
        if len(at):
            brackets.see(at, float(times[row]), int(cycles[row]), Numbers(values[row, at], known[row, at]))


def _first_cycle(cluster_id: int) -> int | None:
    """The oldest cycle with stored log ends."""
    spans = Span.objects.filter(cluster_id=cluster_id, kind=Kind.END.value, is_ready=True)
    first = spans.order_by("first_cycle").values_list("first_cycle", flat=True).first()
    if first is not None:
        return first
    frames = Frame.objects.filter(cluster_id=cluster_id, kind=Kind.END.value, segment=0)
    return frames.order_by("cycle").values_list("cycle", flat=True).first()


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
        Numbers(committed.values.ravel(), committed.known.ravel()), Numbers(start.values.ravel(), start.known.ravel())
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
