"""Log-end age of every group at a cycle, read from the stored samples of the log end.

The newest samples settle nearly all positions. For those further behind a ladder of older ones gives a coarse bracket
at once, and the samples within it are read for the topics that have the widest, a few at each cycle; what was found
for a commit that has not moved stays. A process that has just started finds the same, only coarser for a moment.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

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
from collectors.domain.lag import gather, within_log
from collectors.domain.numbers import NO_COMMIT, Column, Layout, Numbers
from collectors.models import Frame, Span

from . import decoded, layouts, reading
from .cache import LeastRecent
from .kinds import Kind
from .layouts import stored
from .now import ClusterNow
from .selection import Member, Selection

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
    unread = beyond_markers(
        first_unread(within_log(now.committed.numbers, now.end_of_committed), start),
        now.end_of_committed,
        are_markers(now.heads),
    )
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
    numbers = now.committed.numbers
    counted = ~(numbers.known & (numbers.values == NO_COMMIT))
    groups, worst = oldest_by_owner(ages, counted, now.group_of_position, len(now.groups.names))
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
    marks = decoded.marks(rows.filter(wanted)).get(Kind.END, [])
    marks = [mark for mark in marks if mark.taken_at <= now.taken_at]
    loaded = layouts.load_named({mark.layout: mark.digest for mark in marks})
    own = stored(now.committed.layout)
    # in two goes: most positions are settled by the newest samples, and then the older ones are not even read
    for part in (marks[-DENSE_CYCLES:], marks[:-DENSE_CYCLES]):
        columns = decoded.columns(now.cluster_id, Kind.END, part, loaded)
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
