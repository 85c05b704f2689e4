"""Log start and end offsets: one prepared ListOffsets request per leader, read straight into the layout's order."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from kafka.protocol.consumer import ListOffsetsRequest
from numpy.typing import NDArray

from ..domain.numbers import Column, Layout, Numbers
from ..domain.topology import Metadata
from . import wire
from .answers import OffsetsAnswer
from .exchange import Exchange, ping
from .link import Request
from .reasons import LEADER_ERRORS, Tally, reason_of_code


@dataclass(slots=True)
class _Chunk:
    """Up to MAX_PARTITIONS partitions of one leader, and where their answer goes."""

    leader: int
    positions: NDArray[np.int64]
    body: bytes
    reader: wire.Reader = field(default_factory=wire.list_offsets_reader)
    placed: tuple[wire.Shape, NDArray[np.int64]] | None = None

    def place(self, layout: Layout, shape: wire.Shape) -> NDArray[np.int64]:
        """(n,) layout position of each partition of the answer, -1 where the layout has none."""
        if self.placed is None or self.placed[0] is not shape:
            owners = np.array([-1 if (o := layout.owner_index(t)) is None else o for t in shape.topics], dtype=np.int64)
            self.placed = (shape, positions_in(layout, shape.spread(owners), shape.partitions))
        return self.placed[1]


@dataclass(slots=True)
class _Plan:
    layout: Layout
    topics: object  # the metadata's topics that this was made for: the same object means the same leaders
    leaders: NDArray[np.int64]
    chunks: tuple[_Chunk, ...]


class OffsetPlans:
    """Asks offsets of all partitions; plans are kept while layout and leaders are the same objects."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._plans: dict[str, _Plan] = {}  # by part

    def ask(
        self,
        part: str,
        timestamp: int,
        layout: Layout,
        metadata: Metadata,
        deadline: float,
        *,
        stable: bool = False,
        pings: bool = True,
    ) -> OffsetsAnswer:
        """With `stable` as a consumer sees it that reads committed records only: its log end is the last stable offset.

        `pings`: brokers that are asked for nothing get a ping, else they would hang or die unnoticed.
        """
        asked_at, before, tally = time.time(), self._exchange.requests, Tally()
        values = np.zeros(len(layout), dtype=np.int64)
        known = np.zeros(len(layout), dtype=np.bool_)
        looks_old = False
        link = self._exchange.connected(deadline, tally)
        if link is not None:
            plan = self._plan(part, timestamp, layout, metadata, stable)
            tally.add(part, "no leader", None, int((plan.leaders < 0).sum()))
            leading = {chunk.leader for chunk in plan.chunks}
            quiet = {node.node_id for node in metadata.brokers} - leading if pings else set()
            message = ListOffsetsRequest
            asked = [
                (c.leader, part, Request(message, body=c.body, version=wire.LIST_OFFSETS_VERSION), c)
                for c in plan.chunks
            ]
            for call in self._exchange.gather(link, [*asked, *((n, "connect", ping(), None) for n in quiet)], deadline):
                chunk = call.tag
                if chunk is None:
                    continue
                if call.answer is None:
                    tally.add(part, self._exchange.reason_of_call(call), call.node, len(chunk.positions))
                    continue
                looks_old |= self._fill(part, chunk, call.answer.body, layout, values, known, tally)
            if looks_old:
                self._exchange.attention()
        column = Column(layout, Numbers(values, known))
        return OffsetsAnswer(column, asked_at, self._exchange.requests - before, tally.errors(), looks_old)

    def ask_once(self, part: str, timestamp: int, layout: Layout, metadata: Metadata, deadline: float) -> OffsetsAnswer:
        """The same for a moment that is not asked for again: its plan is not kept."""
        try:
            return self.ask(part, timestamp, layout, metadata, deadline)
        finally:
            self._plans.pop(part, None)

    def _fill(
        self,
        part: str,
        chunk: _Chunk,
        body: bytes,
        layout: Layout,
        values: NDArray[np.int64],
        known: NDArray[np.bool_],
        tally: Tally,
    ) -> bool:
        """Write one answer into values and known; whether its errors say that our picture of leaders is old."""
        try:
            reading = chunk.reader.read(body)
        except (ValueError, IndexError):
            tally.add(part, "unreadable answer", chunk.leader, len(chunk.positions))
            return False
        shape = reading.shape
        positions = chunk.place(layout, shape)
        good = (positions >= 0) & (shape.errors == 0) & (reading.offsets >= 0)
        values[positions[good]] = reading.offsets[good]
        known[positions[good]] = True
        codes, counts = np.unique(shape.errors[shape.errors != 0], return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            tally.add(part, reason_of_code(code), chunk.leader, count)
        return not LEADER_ERRORS.isdisjoint(codes.tolist())

    def _plan(self, part: str, timestamp: int, layout: Layout, metadata: Metadata, stable: bool) -> _Plan:
        plan = self._plans.get(part)
        if plan is None or plan.layout is not layout or plan.topics is not metadata.topics:
            leaders = leaders_of(layout, metadata)
            chunks = tuple(
                _Chunk(int(leader), positions, _body(layout, positions, timestamp, stable))
                for leader in np.unique(leaders[leaders >= 0])
                for positions in _split(np.flatnonzero(leaders == leader))
            )
            plan = self._plans[part] = _Plan(layout, metadata.topics, leaders, chunks)
        return plan


def leaders_of(layout: Layout, metadata: Metadata) -> NDArray[np.int64]:
    """(n,) leader of each position of a layout of topics, -1 where there is none or the topic is not listed."""
    leaders = np.full(len(layout), -1, dtype=np.int64)
    owners = [-1 if (owner := layout.owner_index(t.name)) is None else owner for t in metadata.topics]
    counts = [len(t.partitions) for t in metadata.topics]
    indexes = np.array([p.index for t in metadata.topics for p in t.partitions], dtype=np.int64)
    found = np.array([p.leader for t in metadata.topics for p in t.partitions], dtype=np.int64)
    positions = positions_in(layout, np.repeat(np.array(owners, dtype=np.int64), counts), indexes)
    leaders[positions[positions >= 0]] = found[positions >= 0]
    return leaders


def positions_of(layout: Layout, topic: str, partitions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of some partitions of one topic in a layout whose owners are topics; -1 for those it lacks."""
    owner = layout.owner_index(topic)
    return positions_in(layout, np.full(len(partitions), -1 if owner is None else owner), partitions)


def positions_in(layout: Layout, owners: NDArray[np.int64], partitions: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) position of each (owner's index, partition) in a layout of topics; -1 for those it does not hold.

    Topics nearly always have the partitions 0 to n-1, so the position is the partition's number away from the
    start; the few others are searched for.
    """
    if not len(layout) or not len(owners):
        return np.full(len(owners), -1, dtype=np.int64)
    safe = np.where(owners >= 0, owners, 0)
    first, after = layout.starts[safe], layout.starts[safe + 1]
    guess = np.clip(first + partitions, 0, len(layout) - 1)
    sure = (owners >= 0) & (guess >= first) & (guess < after) & (layout.partitions[guess] == partitions)
    positions = np.where(sure, guess, -1).astype(np.int64)
    for i in np.flatnonzero(~sure & (owners >= 0)).tolist():
        held = layout.partitions[first[i] : after[i]]
        at = int(np.searchsorted(held, partitions[i]))
        if at < len(held) and held[at] == partitions[i]:
            positions[i] = first[i] + at
    return positions


def _split(positions: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [positions[i : i + wire.MAX_PARTITIONS] for i in range(0, len(positions), wire.MAX_PARTITIONS)]


def _body(layout: Layout, positions: NDArray[np.int64], timestamp: int, stable: bool) -> bytes:
    owners = layout.owner_of_position[positions]
    bounds = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(positions)]
    names = [layout.owners[owner] for owner in owners[bounds[:-1]].tolist()]
    return wire.list_offsets_body(names, bounds, layout.partitions[positions], timestamp, stable=stable)
