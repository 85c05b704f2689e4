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
            found = [positions_of(layout, run.topic, run.partitions) for run in shape.runs]
            self.placed = (shape, np.concatenate(found) if found else np.zeros(0, dtype=np.int64))
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
        self._plans: dict[int, _Plan] = {}

    def ask(self, part: str, timestamp: int, layout: Layout, metadata: Metadata, deadline: float) -> OffsetsAnswer:
        asked_at, before, tally = time.time(), self._exchange.requests, Tally()
        values = np.zeros(len(layout), dtype=np.int64)
        known = np.zeros(len(layout), dtype=np.bool_)
        link = self._exchange.connected(deadline, tally)
        if link is not None:
            plan = self._plan(timestamp, layout, metadata)
            tally.add(part, "no leader", None, int((plan.leaders < 0).sum()))
            # Whoever leads nothing is asked for nothing, and would hang or die unnoticed: it gets a ping.
            quiet = {node.node_id for node in metadata.brokers} - {chunk.leader for chunk in plan.chunks}
            message = ListOffsetsRequest
            asked = [
                (c.leader, part, Request(message, body=c.body, version=wire.LIST_OFFSETS_VERSION), c)
                for c in plan.chunks
            ]
            looks_old = False
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
        return OffsetsAnswer(column, asked_at, self._exchange.requests - before, tally.errors())

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

    def _plan(self, timestamp: int, layout: Layout, metadata: Metadata) -> _Plan:
        plan = self._plans.get(timestamp)
        if plan is None or plan.layout is not layout or plan.topics is not metadata.topics:
            leaders = leaders_of(layout, metadata)
            chunks = tuple(
                _Chunk(int(leader), positions, _body(layout, positions, timestamp))
                for leader in np.unique(leaders[leaders >= 0])
                for positions in _split(np.flatnonzero(leaders == leader))
            )
            plan = self._plans[timestamp] = _Plan(layout, metadata.topics, leaders, chunks)
        return plan


def leaders_of(layout: Layout, metadata: Metadata) -> NDArray[np.int64]:
    """(n,) leader of each position of a layout of topics, -1 where there is none or the topic is not listed."""
    leaders = np.full(len(layout), -1, dtype=np.int64)
    for topic in metadata.topics:
        positions = positions_of(layout, topic.name, np.array([p.index for p in topic.partitions], dtype=np.int64))
        found = np.array([p.leader for p in topic.partitions], dtype=np.int64)
        leaders[positions[positions >= 0]] = found[positions >= 0]
    return leaders


def positions_of(layout: Layout, topic: str, partitions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of some partitions in a layout whose owners are topics; -1 for those it does not hold."""
    if layout.owner_index(topic) is None or not len(partitions):
        return np.full(len(partitions), -1, dtype=np.int64)
    held = layout.slice_of(topic)
    return held_at(layout.partitions[held], held.start, partitions)


def held_at(held: NDArray[np.int32] | NDArray[np.int64], start: int, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where `wanted` stand in the sorted `held`, counted from `start`; -1 where they do not."""
    if not len(held):
        return np.full(len(wanted), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(held, wanted), len(held) - 1)
    return np.where(held[at] == wanted, at + start, -1).astype(np.int64)


def _split(positions: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [positions[i : i + wire.MAX_PARTITIONS] for i in range(0, len(positions), wire.MAX_PARTITIONS)]


def _body(layout: Layout, positions: NDArray[np.int64], timestamp: int) -> bytes:
    owners = layout.owner_of_position[positions]
    cuts = np.flatnonzero(np.diff(owners)) + 1
    runs = np.split(positions, cuts)
    return wire.list_offsets_body(
        ((layout.owners[int(layout.owner_of_position[run[0]])], layout.partitions[run]) for run in runs), timestamp
    )
