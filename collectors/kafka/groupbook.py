"""Numbers of groups by partition as their coordinators answer: the layout is kept while memberships stay."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..domain.numbers import Column, Layout, Numbers
from ..domain.scope import Scope
from . import wire
from .exchange import Exchange
from .reasons import Tally, reason_of_code

Membership = tuple[tuple[str, bytes], ...]
"""Topics by name, each with its partitions, sorted, as the bytes of an int64 array (compared and joined as such)."""


@dataclass(slots=True)
class Chunk:
    """Groups of one coordinator, asked in one request that stays the same while they do."""

    groups: tuple[str, ...]
    body: bytes
    reader: wire.Reader
    placed: tuple[wire.Shape, Layout, NDArray[np.int64]] | None = None


class GroupBook:
    """Remembers which partitions each group has numbers for, and puts answers into one column. One caller at a time.

    An answer leaves out, in silence, the topics that this login may not describe: what a group had and is missing from
    its answer stays, not known, until metadata that was asked for later says that it is not hidden.
    """

    def __init__(self, exchange: Exchange, scope: Scope, part: str, *, lowest: int) -> None:
        """`part` names the errors; an answered number below `lowest` is not known."""
        self._exchange = exchange
        self._scope = scope
        self._part, self._lowest = part, lowest
        self._held: dict[str, dict[str, tuple[bytes, float]]] = {}  # group -> topic -> (partitions, missed since)
        self._hidden: frozenset[str] = frozenset()
        self._listed_at = 0.0
        self._members: dict[str, Membership] = {}
        self._layout = Layout.build({})
        self._runs: dict[tuple[str, str], int] = {}  # (group, topic) -> first position in the layout
        self._asked: tuple[str, ...] = ()

    def learn(self, hidden: frozenset[str], asked_at: float) -> None:
        """Which topics are hidden by metadata that was asked for at `asked_at` (unix). From any thread."""
        self._hidden, self._listed_at = hidden, asked_at

    def remember(self, members: Mapping[str, Iterable[tuple[str, Sequence[int]]]]) -> None:
        """What groups had before this session, by group: (topic, partitions)."""
        for group, runs in members.items():
            self._members[group] = tuple(
                sorted((topic, np.array(sorted(its), dtype=np.int64).tobytes()) for topic, its in runs)
            )

    # --- putting together ---------------------------------------------------------------------------------

    def _column(
        self, wanted: tuple[str, ...], readings: list[tuple[Chunk, wire.Reading]], tally: Tally
    ) -> tuple[Column, frozenset[str]]:
        answered = frozenset(group for _, r in readings for group, code in r.shape.owner_errors if not code)
        changed = wanted != self._asked
        changed |= self._let_go()
        for chunk, reading in readings:
            if chunk.placed is None or chunk.placed[0] is not reading.shape:
                changed |= self._remember(reading.shape)
        if self._held and self._missed_since > self._listed_at:
            self._exchange.attention()  # metadata tells whether these topics are gone or hidden
        if changed:
            self._lay_out(wanted)
        values = np.zeros(len(self._layout), dtype=np.int64)
        known = np.zeros(len(self._layout), dtype=np.bool_)
        for chunk, reading in readings:
            shape = reading.shape
            positions = self._place(chunk, shape)
            good = (positions >= 0) & (shape.errors == 0) & (reading.offsets >= self._lowest)
            values[positions[good]] = reading.offsets[good]
            known[positions[good]] = True
            codes, counts = np.unique(shape.errors[shape.errors != 0], return_counts=True)
            for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
                tally.add(self._part, reason_of_code(code), None, count)
        return Column(self._layout, Numbers(values, known)), answered

    def _remember(self, shape: wire.Shape) -> bool:
        """Take over the memberships of a new shape; whether any differs from what was remembered."""
        members: dict[str, list[tuple[str, bytes]]] = {g: [] for g, code in shape.owner_errors if not code}
        run_of = shape.spread(np.arange(len(shape.topics)))
        raw, bounds = shape.partitions[np.lexsort((shape.partitions, run_of))].tobytes(), shape.bounds.tolist()
        for i, (group, topic) in enumerate(zip(shape.owners, shape.topics, strict=True)):
            if group in members and self._scope.takes_topic(topic):
                members[group].append((topic, raw[8 * bounds[i] : 8 * bounds[i + 1]]))
        changed = False
        for group, found in members.items():
            membership = tuple(sorted((*found, *self._hold(group, {topic for topic, _ in found}))))
            if self._members.get(group) != membership:
                self._members[group] = membership
                changed = True
        return changed

    def _hold(self, group: str, answered: set[str]) -> list[tuple[str, bytes]]:
        """The topics of a group that its answer misses, as they were: whether they are gone is not known yet."""
        held = self._held.get(group, {})
        for topic in answered & held.keys():
            del held[topic]
        now = time.time()
        for topic, its in self._members.get(group, ()):
            if topic not in answered and topic not in held and self._scope.takes_topic(topic):
                held[topic] = (its, now)
        if held:
            self._held[group] = held
        else:
            self._held.pop(group, None)
        return [(topic, its) for topic, (its, _) in held.items()]

    @property
    def _missed_since(self) -> float:
        return max(since for topics in self._held.values() for _, since in topics.values())

    def _let_go(self) -> bool:
        """Forget what is missed and not hidden: the group no longer has commits there. Whether anything was."""
        changed = False
        for group in list(self._held):
            if group not in self._members:
                del self._held[group]
                continue
            gone = {
                topic
                for topic, (_, since) in self._held[group].items()
                if since < self._listed_at and topic not in self._hidden
            }
            if gone:
                self._held[group] = {t: kept for t, kept in self._held[group].items() if t not in gone}
                self._members[group] = tuple(run for run in self._members[group] if run[0] not in gone)
                changed = True
            if not self._held[group]:
                del self._held[group]
        return changed

    def _lay_out(self, wanted: tuple[str, ...]) -> None:
        """A new layout of the remembered memberships, unless it would be equal to the one there is."""
        self._members = {group: self._members[group] for group in wanted if group in self._members}
        owners: list[str] = []
        starts, topics = [0], list[str]()
        runs: dict[tuple[str, str], int] = {}
        for group, membership in self._members.items():  # in the order of `wanted`, which is sorted
            owners.append(group)
            for topic, its in membership:
                runs[group, topic] = len(topics)
                topics += [topic] * (len(its) // 8)
            starts.append(len(topics))
        raw = b"".join(its for membership in self._members.values() for _, its in membership)
        partitions = np.frombuffer(raw, dtype=np.int64).astype(np.int32)
        made = Layout(tuple(owners), np.array(starts, dtype=np.int64), tuple(topics), partitions)
        self._asked = wanted
        if made.digest != self._layout.digest:
            self._layout, self._runs = made, runs

    def _place(self, chunk: Chunk, shape: wire.Shape) -> NDArray[np.int64]:
        placed = chunk.placed
        if placed is None or placed[0] is not shape or placed[1] is not self._layout:
            first = [self._runs.get(key, -1) for key in zip(shape.owners, shape.topics, strict=True)]
            run_of = shape.spread(np.arange(len(first)))
            # A run holds just the partitions that the layout was made from: sorted, they stand one behind another.
            order = np.lexsort((shape.partitions, run_of))
            rank = np.empty(len(order), dtype=np.int64)
            rank[order] = np.arange(len(order))
            base = shape.spread(np.array(first, dtype=np.int64))
            guess = np.clip(base + rank - shape.bounds[run_of], 0, max(0, len(self._layout) - 1))
            right = (
                (base >= 0) & (self._layout.partitions[guess] == shape.partitions) if len(self._layout) else base >= 0
            )
            positions = np.where(right, guess, -1).astype(np.int64)
            placed = chunk.placed = (shape, self._layout, positions)
        return placed[2]
