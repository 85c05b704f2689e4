"""What was read of the heads of backlogs, by position of a cluster's groups: where to look, and what is known now."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .domain.heads import (
    NO_RECORDS,
    RESIDUE,
    Markers,
    in_trouble,
    of_owners,
    small_residues,
    stored_value,
    unread_now,
)
from .domain.lag import gather
from .domain.numbers import Column, Layout, Numbers
from .domain.verdicts import Verdict
from .domain.window import Window
from .history.layouts import stored
from .kafka.peek import MOST_PLACES, HeadsAnswer, Place

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

AGAIN_SECONDS = 60.0
"""A place that told nothing is asked of again after this; a right that was granted shows within it."""
PASSED_SECONDS = 30.0
"""How long the record that a group has read past since still says that what waits is younger."""
PRESUMED_SECONDS = 600.0
"""How long markers that were found let a residue as small be taken for markers."""
MOST_KEPT = 1_000
"""With more positions known, groups without members and small residues are no longer looked at, and with twice as many
nothing is: what is kept of each cycle stays small."""
FOR_WANTED = 4
"""Of the places that are read at once so many are for groups that somebody asks of, however many are in trouble."""
_ACTIVE = Verdict.FALLING_BEHIND.severity
_T = TypeVar("_T", bound=np.generic)


class HeadBook:
    """One entry a position (n,) of the newest committed layout: the newest answer for it, if any.

    An answer holds for the offset it was read at (records do not change), one of markers while the log end stays. Who
    has read on within PASSED_SECONDS has a head younger than the record read. Where markers were found before, a
    residue that is no larger is taken for them until it is read, moments later.
    """

    def __init__(self) -> None:
        self._layout = Layout.build({})
        self._offset, self._value, self._end = (np.zeros(0, dtype=np.int64) for _ in range(3))
        self._is_told: Bools = np.zeros(0, dtype=np.bool_)
        self._at: NDArray[np.float64] = np.zeros(0)
        self._residue = np.zeros(0, dtype=np.int64)  # markers that were found behind a commit here
        self._asked: list[tuple[int, Place]] = []  # of the newest places: position, place
        self._taken: HeadsAnswer | None = None
        self._kept: tuple[Ints, Layout] | None = None
        self._skipped: Bools = np.zeros(0, dtype=np.bool_)
        self._without: Collection[str] = ()

    def turn(
        self,
        window: Window,
        verdicts: Column,
        answer: HeadsAnswer | None,
        *,
        now: float,
        without: Collection[str] = (),
        wanted: Collection[str] = (),
    ) -> tuple[Column | None, list[Place]]:
        """What is known at the window's newest sample, and where to look next; `verdicts` are those of its groups.

        Groups in `without` are not looked at: where a share group stands is no place where a record waits. Those in
        `wanted` are looked at although they are in no trouble.
        """
        self.follow(window.layout, without=without)
        self.take(answer, now=now)
        known = self.column(window, now=now)
        at = stored(verdicts.layout).owners_of(stored(window.layout))
        return known, self.where_to_look(window, gather(verdicts.numbers, at), now=now, wanted=wanted)

    def follow(self, layout: Layout, *, without: Collection[str] = ()) -> None:
        """Positions are those of another layout from now on."""
        if layout is not self._layout or without != self._without:
            skipped = np.array([owner in without for owner in layout.owners], dtype=np.bool_)
            self._skipped, self._without = np.repeat(skipped, np.diff(layout.starts)), without
        if layout is self._layout:
            return
        old, new = stored(self._layout), stored(layout)
        source = old.positions_of(new) if len(self._layout) else np.full(len(layout), -1, dtype=np.int64)
        there = source >= 0

        def moved(values: NDArray[_T]) -> NDArray[_T]:
            out = np.zeros(len(layout), dtype=values.dtype)
            out[there] = values[source[there]]
            return out

        self._offset, self._value, self._end = moved(self._offset), moved(self._value), moved(self._end)
        self._is_told, self._at = moved(self._is_told), moved(self._at)
        self._residue = moved(self._residue)
        back = np.full(len(self._layout), -1, dtype=np.int64)
        back[source[there]] = np.flatnonzero(there)
        self._asked = [(int(back[at]), place) for at, place in self._asked if back[at] >= 0]
        self._layout, self._kept = layout, None

    def take(self, answer: HeadsAnswer | None, *, now: float) -> None:
        """Note what came of the places that were asked of."""
        if answer is None or answer is self._taken:
            return
        self._taken = answer
        for at, place in self._asked:
            if (found := answer.found.get(place)) is None:
                continue
            value = stored_value(found, now=now)
            self._offset[at], self._at[at], self._is_told[at] = place[2], now, value is not None
            self._value[at] = 0 if value is None else value
            self._end[at] = found.end if isinstance(found, Markers) else 0
            if value is not None:
                self._residue[at] = found.end - place[2] if isinstance(found, Markers) else 0

    def where_to_look(
        self, window: Window, verdicts: Numbers, *, now: float, wanted: Collection[str] = ()
    ) -> list[Place]:
        """Places of which nothing is known, the most urgent first; the layout is the window's."""
        unread = unread_now(window)
        same = unread.known & (self._offset == unread.values)
        settled = self._skipped | same & np.where(self._is_told, self._holds(window), now - self._at < AGAIN_SECONDS)
        kept = int((same & self._is_told).sum())
        least, most = (Verdict.NO_MEMBERS.severity, MOST_KEPT) if kept < MOST_KEPT else (_ACTIVE, 2 * MOST_KEPT)
        found = in_trouble(window, verdicts, settled, least=least).tolist()
        if wanted:
            first = MOST_PLACES - FOR_WANTED
            found[first:first] = self._wanted(window, settled, wanted)
        if kept < MOST_KEPT:
            found += small_residues(window, settled).tolist()
        found = list(dict.fromkeys(found))[: max(0, most - kept)]
        layout = self._layout
        asked: list[tuple[int, Place]] = []
        places: dict[Place, None] = {}
        for at in found[: 2 * MOST_PLACES]:
            place = (layout.topics[at], int(layout.partitions[at]), int(unread.values[at]))
            if place not in places and len(places) == MOST_PLACES:
                break
            places[place] = None
            asked.append((at, place))
        self._asked = asked
        return list(places)

    def _wanted(self, window: Window, settled: Bools, wanted: Collection[str]) -> list[int]:
        """Positions of groups that somebody asks of; those that were read longest ago first, for a group that reads on
        has another head each time, and all have their turn."""
        owners = np.zeros(len(self._layout.owners), dtype=np.bool_)
        owners[[at for name in wanted if (at := self._layout.owner_index(name)) is not None]] = True
        found = of_owners(window, owners, settled)
        found = found[np.argsort(self._at[found], kind="stable")]
        return [int(at) for at in found]

    def column(self, window: Window, *, now: float) -> Column | None:
        """What is known at the window's newest sample, to be stored with it; None where nothing is."""
        if not (self._is_told.any() or self._residue.any()):
            return None
        unread, end = unread_now(window), window.samples[-1].end
        waits = unread.known & end.known & (end.values > unread.values)
        exact = waits & self._is_told & (self._offset == unread.values) & self._holds(window)
        passed = waits & self._is_told & (self._offset < unread.values) & (self._value != NO_RECORDS)
        passed &= now - self._at <= PASSED_SECONDS
        left = end.values - unread.values
        presumed = waits & ~exact & (left <= np.minimum(self._residue, RESIDUE)) & (self._offset < unread.values)
        presumed &= (now - self._at <= PRESUMED_SECONDS) & ~self._skipped
        passed &= ~presumed
        at = np.flatnonzero(exact | passed | presumed)
        if not len(at):
            return None
        most = 2 * len(at) + MOST_PLACES
        if self._kept is None or not np.isin(at, self._kept[0]).all() or len(self._kept[0]) > most:
            # what was known lately comes along: it will be again, and a layout that changes each cycle is stored anew
            both = at if self._kept is None else np.union1d(at, self._kept[0])
            at = both if len(both) <= most else at
            self._kept = at, self._layout.part(at)
        places, layout = self._kept
        values = np.where(presumed, NO_RECORDS, np.where(exact, self._value, -self._value))[places]
        return Column(layout, Numbers(values, (exact | passed | presumed)[places]))

    def _holds(self, window: Window) -> Bools:
        """(n,) answers that the log end does not contradict: behind markers a record may have come."""
        end = window.samples[-1].end
        holds: Bools = (self._value != NO_RECORDS) | (end.known & (end.values == self._end))
        return holds
