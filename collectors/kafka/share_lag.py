"""The lag of share groups as their coordinators tell it: DescribeShareGroupOffsets, KIP-932 with the lag of KIP-1226.

A share group acknowledges records in any order: its lag is counted by the broker, and no offset of ours could tell it.
Version 0 knows the start offset alone, below which all is acknowledged; what was acknowledged past it would count as
lag, so a broker without version 1 counts as one that does not offer it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from kafka.protocol.api_message import ApiMessage

from ..domain.scope import ALL, Scope
from . import schemas, wire
from .answers import ShareLagAnswer
from .exchange import Exchange
from .flexible import Cursor, IrregularError
from .groupbook import Chunk, GroupBook
from .link import Call, Request
from .reasons import COORDINATOR_ERRORS, Tally, reason_of_code

PART = "share_lag"
VERSION = 1
_ENTRY = np.dtype(
    [("partition", ">i4"), ("start", ">i8"), ("epoch", ">i4"), ("lag", ">i8"), ("error", ">i2"), ("message", "u1"),
     ("tags", "u1")]
)  # fmt: skip


class DescribeShareGroupOffsetsRequest(ApiMessage, load_json=schemas):  # type: ignore[call-arg,misc]  # a metaclass argument
    pass


class DescribeShareGroupOffsetsResponse(ApiMessage, load_json=schemas):  # type: ignore[call-arg,misc]  # as above
    pass


class ShareLagBook(GroupBook):
    """Asks the lag of share groups and remembers what they read. One caller at a time."""

    def __init__(self, exchange: Exchange, scope: Scope = ALL) -> None:
        # the broker says -1 where it does not know the lag: before anything was acknowledged there
        super().__init__(exchange, scope, PART, lowest=0)
        self._chunks: dict[tuple[int, tuple[str, ...]], Chunk] = {}

    def ask(self, coordinators: Mapping[str, int | None], deadline: float) -> ShareLagAnswer:
        """The lag of these groups, by the coordinator of each; one whose coordinator is not known is not asked."""
        asked_at, before, tally = time.time(), self._exchange.requests, Tally()
        wanted = tuple(sorted(coordinators))
        readings: list[tuple[Chunk, wire.Reading]] = []
        link = self._exchange.connected(deadline, tally) if wanted else None
        if link is not None:
            tally.add(PART, "no coordinator", None, sum(node is None for node in coordinators.values()))
            chunks = self._chunks_of(wanted, coordinators)
            asked = [(node, PART, request_of(groups), chunk) for (node, groups), chunk in chunks.items()]
            for call in self._exchange.gather(link, asked, deadline, aside=True):
                self._take(call, tally, readings)
            self._chunks = chunks
        column, answered = self._column(wanted, readings, tally)
        return ShareLagAnswer(column, answered, asked_at, self._exchange.requests - before, tally.errors())

    def _chunks_of(
        self, wanted: tuple[str, ...], coordinators: Mapping[str, int | None]
    ) -> dict[tuple[int, tuple[str, ...]], Chunk]:
        by_node: dict[int, list[str]] = {}
        for group in wanted:
            if (node := coordinators[group]) is not None:
                by_node.setdefault(node, []).append(group)
        keys = [
            (node, tuple(groups[start : start + wire.MAX_GROUPS]))
            for node, groups in by_node.items()
            for start in range(0, len(groups), wire.MAX_GROUPS)
        ]
        return {key: self._chunks.get(key) or Chunk(key[1], b"", share_lag_reader()) for key in keys}

    def _take(self, call: Call, tally: Tally, readings: list[tuple[Chunk, wire.Reading]]) -> None:
        chunk: Chunk = call.tag
        if call.answer is None:
            tally.add(PART, self._exchange.reason_of_call(call), call.node, len(chunk.groups))
            return
        try:
            reading = chunk.reader.read(call.answer.body)
        except (ValueError, IndexError):
            tally.add(PART, "unreadable answer", call.node, len(chunk.groups))
            return
        readings.append((chunk, reading))
        codes = [code for _, code in reading.shape.owner_errors if code]
        for code in codes:
            tally.add(PART, reason_of_code(code), call.node)
        if not COORDINATOR_ERRORS.isdisjoint(codes):
            self._exchange.attention()  # another broker coordinates these groups by now: the list of groups says which


def request_of(groups: tuple[str, ...]) -> Request:
    """All that the groups read, in the version that tells the lag; "not offered" where a broker lacks it."""
    of_group = DescribeShareGroupOffsetsRequest.DescribeShareGroupOffsetsRequestGroup
    asked = [of_group(group_id=group, topics=None) for group in groups]
    return Request(DescribeShareGroupOffsetsRequest(groups=asked, min_version=VERSION, max_version=VERSION))


def share_lag_reader() -> wire.Reader:
    return wire.Reader(walk_share_lag, _library_share_lag)


def walk_share_lag(body: bytes) -> wire.Shape:
    """The shape of a DescribeShareGroupOffsets v1 body, a step a topic; IrregularError where it is not plain."""
    cursor = Cursor(body, 4)
    owners: list[str] = []
    topics: list[str] = []
    starts: list[int] = []
    counts: list[int] = []
    owner_errors: list[tuple[str, int]] = []
    for _ in range(cursor.count()):
        group = cursor.text()
        for _ in range(cursor.count()):
            owners.append(group)
            topics.append(cursor.text())
            cursor.skip(16)  # the topic's id
            counts.append(cursor.count())
            starts.append(cursor.at)
            cursor.skip(counts[-1] * _ENTRY.itemsize)
            cursor.end_tags()
        owner_errors.append((group, cursor.int16()))
        cursor.text()  # the error in words
        cursor.end_tags()
    cursor.finish()
    entries, bounds = wire.entry_positions(starts, counts, _ENTRY.itemsize)
    if (wire.numbers_at(body, "u1", entries + 26) > 1).any() or wire.numbers_at(body, "u1", entries + 27).any():
        raise IrregularError("errors in words or tagged fields")
    partitions, errors = wire.numbers_at(body, ">i4", entries), wire.numbers_at(body, ">i2", entries + 24)
    runs = (tuple(owners), topics, bounds)
    return wire.shape_of(body, runs, partitions, errors, tuple(owner_errors), entries + 16, [(entries + 4, 20)])


def _library_share_lag(body: bytes) -> wire.Reading:
    try:
        answer: Any = DescribeShareGroupOffsetsResponse.decode(body, version=VERSION)
        owned = [
            (group.group_id or "", topic.topic_name or "", topic, "lag")
            for group in answer.groups
            for topic in group.topics
        ]
        return wire.read_by_library(owned, tuple((group.group_id or "", group.error_code) for group in answer.groups))
    except (struct.error, TypeError) as problem:  # damage: it ends early, or has nothing where a list has to be
        raise ValueError(str(problem)) from problem
