"""Request bytes that are reused, and answers read with numpy; the library's decode is the fallback.

Body layouts: Apache Kafka's message schemas (common/message/*.json in kafka-clients), versions as named here,
all "flexible" (KIP-482). An answer whose shape equals that of the last one costs a compare and a gather.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from kafka.protocol.consumer import ListOffsetsResponse, OffsetFetchResponse
from numpy.typing import NDArray

from .flexible import Cursor, IrregularError, compact_string, uvarint

LIST_OFFSETS, LIST_OFFSETS_VERSION = 2, 7  # 7: Kafka 3.0 and later, without topic ids
OFFSET_FETCH, OFFSET_FETCH_VERSION = 9, 8  # 8: many groups a request (KIP-709), Kafka 3.0 and later
MAX_PARTITIONS = 5_000
MAX_GROUPS = 500
LATEST, EARLIEST = -1, -2

_ASKED = np.dtype([("partition", ">i4"), ("epoch", ">i4"), ("timestamp", ">i8"), ("tags", "u1")])
_LISTED = np.dtype(
    [("partition", ">i4"), ("error", ">i2"), ("timestamp", ">i8"), ("offset", ">i8"), ("epoch", ">i4"), ("tags", "u1")]
)
_FETCHED = np.dtype(
    [("partition", ">i4"), ("offset", ">i8"), ("epoch", ">i4"), ("metadata", "u1"), ("error", ">i2"), ("tags", "u1")]
)


@dataclass(frozen=True, slots=True)
class Run:
    """Adjacent partitions of one topic in an answer; `owner` is the group, "" where there is none."""

    owner: str
    topic: str
    partitions: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shape:
    """Everything of an answer that stays equal while only offsets move.

    Adjacent partitions of one topic (and group) are a run: those from `bounds[i]` to `bounds[i + 1]` belong to
    `topics[i]` of group `owners[i]` ("" where there is none).
    """

    owners: tuple[str, ...]
    topics: tuple[str, ...]
    bounds: NDArray[np.int64]  # (runs + 1,)
    partitions: NDArray[np.int64]  # (n,)
    errors: NDArray[np.int64]  # (n,) error code of each partition
    owner_errors: tuple[tuple[str, int], ...]  # (group, error code) of every group, in the answer's order
    at: NDArray[np.int64]  # (n,) byte position of each offset
    keep: NDArray[np.uint8]  # 0xFF where a byte belongs to the shape, 0 where it may change
    reference: NDArray[np.uint8]

    def fits(self, body: NDArray[np.uint8]) -> bool:
        return len(body) == len(self.reference) and bool(np.array_equal(body & self.keep, self.reference))

    def spread(self, of_runs: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) the value of its run for each partition."""
        return np.repeat(of_runs, np.diff(self.bounds))

    @property
    def runs(self) -> list[Run]:
        return [
            Run(owner, topic, self.partitions[start:end])
            for owner, topic, start, end in zip(
                self.owners, self.topics, self.bounds[:-1].tolist(), self.bounds[1:].tolist(), strict=True
            )
        ]


@dataclass(frozen=True, slots=True)
class Reading:
    """Offsets in the order of the shape's runs; `shape` is the same object as long as nothing but offsets moved."""

    shape: Shape
    offsets: NDArray[np.int64]
    epochs: NDArray[np.int64] | None = None  # leader epoch of each offset, -1 for none; None where answers have none


@dataclass(slots=True)
class Reader:
    """Reads one recurring answer; keeps the last shape. `walk` finds a shape, `fallback` decodes with the library."""

    walk: Callable[[bytes], Shape]
    fallback: Callable[[bytes], Reading]
    has_epochs: bool = False  # a leader epoch (int32) follows each offset
    last: Shape | None = None
    walks: int = 0
    fallbacks: int = 0

    def read(self, body: bytes) -> Reading:
        """The offsets of a body without its response header; ValueError when nobody can read it."""
        raw = np.frombuffer(body, dtype=np.uint8)
        if self.last is None or not self.last.fits(raw):
            self.walks += 1
            try:
                self.last = self.walk(body)
            except IrregularError:
                self.last = None
                self.fallbacks += 1
                return self.fallback(body)
        offsets = numbers_at(body, ">i8", self.last.at)
        return Reading(self.last, offsets, numbers_at(body, ">i4", self.last.at + 8) if self.has_epochs else None)


def list_offsets_reader() -> Reader:
    return Reader(walk_list_offsets, _library_list_offsets)


def offset_fetch_reader() -> Reader:
    return Reader(walk_offset_fetch, _library_offset_fetch, has_epochs=True)


def list_offsets_body(
    names: Sequence[str], bounds: Sequence[int], partitions: NDArray[Any], timestamp: int, *, stable: bool = False
) -> bytes:
    """Body of ListOffsets v7 as a consumer asks it: read_uncommitted, or with `stable` read_committed.

    The partitions from `bounds[i]` to `bounds[i + 1]` are those of topic `names[i]`.
    """
    entries = np.zeros(len(partitions), dtype=_ASKED)
    entries["partition"], entries["epoch"], entries["timestamp"] = partitions, -1, timestamp
    raw, size = entries.tobytes(), _ASKED.itemsize
    parts = [struct.pack(">ib", -1, int(stable)), uvarint(len(names) + 1)]
    for name, start, end in zip(names, bounds[:-1], bounds[1:], strict=True):
        parts += [compact_string(name), uvarint(end - start + 1), raw[size * start : size * end], b"\0"]
    return b"".join([*parts, b"\0"])


def offset_fetch_body(groups: Sequence[str]) -> bytes:
    """Body of OffsetFetch v8: all commits of each group; commits pending in a transaction do not hold it up."""
    parts = [compact_string(group) + b"\0\0" for group in groups]  # no topics (null) means all, then the tag byte
    return b"".join([uvarint(len(groups) + 1), *parts, b"\0\0"])  # require_stable False, tags


def walk_list_offsets(body: bytes) -> Shape:
    """The shape of a ListOffsets v7 body, a step a topic; IrregularError where it is not plain."""
    cursor = Cursor(body, 4)
    topics: list[str] = []
    starts, counts = [], []
    for _ in range(cursor.count()):
        topics.append(cursor.text())
        count = cursor.count()
        starts.append(cursor.at)
        counts.append(count)
        cursor.skip(count * _LISTED.itemsize)
        cursor.end_tags()
    cursor.finish()
    entries, bounds = entry_positions(starts, counts, _LISTED.itemsize)
    if numbers_at(body, "u1", entries + 26).any():
        raise IrregularError("tagged fields")
    partitions, errors = numbers_at(body, ">i4", entries), numbers_at(body, ">i2", entries + 4)
    owners = ("",) * len(topics)
    return shape_of(body, (owners, topics, bounds), partitions, errors, (), entries + 14, [(entries + 6, 20)])


def walk_offset_fetch(body: bytes) -> Shape:
    """The shape of an OffsetFetch v8 body; topics whose commits carry metadata are walked one by one."""
    cursor = Cursor(body, 4)
    owners: list[str] = []
    topics: list[str] = []
    counts: list[int] = []
    offsets: list[NDArray[np.int64]] = []
    errors: list[NDArray[np.int64]] = []
    owner_errors: list[tuple[str, int]] = []
    texts: list[tuple[NDArray[np.int64], int]] = []
    for _ in range(cursor.count()):
        group = cursor.text()
        for _ in range(cursor.count()):
            owners.append(group)
            topics.append(cursor.text())
            at, error_at = _fetched_partitions(cursor, texts)
            counts.append(len(at))
            offsets.append(at)
            errors.append(error_at)
            cursor.end_tags()
        owner_errors.append((group, cursor.int16()))
        cursor.end_tags()
    cursor.finish()
    at = joined(offsets)
    bounds = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    partitions, codes = numbers_at(body, ">i4", at - 4), numbers_at(body, ">i2", joined(errors))
    moving = [(at, 12), *texts]
    return shape_of(body, (tuple(owners), topics, bounds), partitions, codes, tuple(owner_errors), at, moving)


def _fetched_partitions(
    cursor: Cursor, texts: list[tuple[NDArray[np.int64], int]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Byte positions of offsets and of error codes of one topic; metadata texts go to `texts`."""
    count = cursor.count()
    start, size = cursor.at, _FETCHED.itemsize
    if count and start + count * size <= len(cursor.body):
        # All metadata empty: each entry then really begins where the one before ends, so the guess proves itself.
        metadata = cursor.body[start + 16 : start + count * size : size]
        tags = cursor.body[start + 19 : start + count * size : size]
        if max(metadata) <= 1 and max(tags) == 0:
            cursor.skip(count * size)
            at = np.arange(start + 4, start + 4 + count * size, size)
            return at, at + 13
    offsets, errors = [], []
    for _ in range(count):
        cursor.skip(4)
        offsets.append(cursor.at)
        cursor.skip(12)
        length = max(0, cursor.uvarint() - 1)
        if length:
            texts.append((np.array([cursor.at]), length))
        cursor.skip(length)
        errors.append(cursor.at)
        cursor.skip(2)
        cursor.end_tags()
    return np.array(offsets, dtype=np.int64), np.array(errors, dtype=np.int64)


def entry_positions(starts: list[int], counts: list[int], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Byte position of every entry of arrays that begin at `starts`, and the bounds of the arrays among them."""
    bounds = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
    first = np.array(starts, dtype=np.int64) - size * bounds[:-1]
    return np.repeat(first, counts) + size * np.arange(bounds[-1]), bounds


def shape_of(
    body: bytes,
    runs: tuple[tuple[str, ...], list[str], NDArray[np.int64]],
    partitions: NDArray[np.int64],
    errors: NDArray[np.int64],
    owner_errors: tuple[tuple[str, int], ...],
    at: NDArray[np.int64],
    moving: list[tuple[NDArray[np.int64], int]],
) -> Shape:
    keep = np.full(len(body), 0xFF, dtype=np.uint8)
    keep[:4] = 0  # throttle time
    for starts, length in moving:
        for offset in range(length):
            keep[starts + offset] = 0
    owners, topics, bounds = runs
    reference = np.frombuffer(body, dtype=np.uint8) & keep
    return Shape(owners, tuple(topics), bounds, partitions, errors, owner_errors, at, keep, reference)


def numbers_at(body: bytes, dtype: str, at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers that begin at any byte positions of a body; IrregularError when one would run over its end."""
    size = np.dtype(dtype).itemsize
    if not len(at):
        return np.zeros(0, dtype=np.int64)
    if int(at.max()) + size > len(body):
        raise IrregularError("body ends early")
    every_byte = np.ndarray((len(body) - size + 1,), dtype=dtype, buffer=body, offset=0, strides=(1,))
    return every_byte[at].astype(np.int64)


def joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, dtype=np.int64)


def _library_list_offsets(body: bytes) -> Reading:
    answer = ListOffsetsResponse.decode(body, version=LIST_OFFSETS_VERSION)
    return read_by_library([("", topic.name, topic, "offset") for topic in answer.topics], ())


def _library_offset_fetch(body: bytes) -> Reading:
    answer = OffsetFetchResponse.decode(body, version=OFFSET_FETCH_VERSION)
    owned = [
        (group.group_id, topic.name, topic, "committed_offset") for group in answer.groups for topic in group.topics
    ]
    read = read_by_library(owned, tuple((group.group_id, group.error_code) for group in answer.groups))
    epochs = [p.committed_leader_epoch for _, _, topic, _ in owned for p in topic.partitions]
    return replace(read, epochs=np.array(epochs, dtype=np.int64))


def read_by_library(owned: list[tuple[str, str, Any, str]], owner_errors: tuple[tuple[str, int], ...]) -> Reading:
    """Of what the library decoded: (owner, topic's name, topic, the field of its partitions that is the number)."""
    found = [
        (p.partition_index, p.error_code, getattr(p, value)) for *_, topic, value in owned for p in topic.partitions
    ]
    columns = np.array(found, dtype=np.int64).reshape(len(found), 3)
    bounds = np.concatenate([[0], np.cumsum([len(topic.partitions) for _, _, topic, _ in owned], dtype=np.int64)])
    nothing = np.zeros(0, dtype=np.uint8)
    shape = Shape(
        tuple(owner for owner, *_ in owned),
        tuple(name for _, name, *_ in owned),
        bounds.astype(np.int64),
        columns[:, 0],
        columns[:, 1],
        owner_errors,
        np.zeros(0, dtype=np.int64),
        nothing,
        nothing,
    )
    return Reading(shape, columns[:, 2])
