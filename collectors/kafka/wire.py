"""Request bytes that are reused, and answers read with numpy; the library's decode is the fallback.

Body layouts: Apache Kafka's message schemas (common/message/*.json in kafka-clients), versions as named here,
all "flexible" (KIP-482). An answer whose shape equals that of the last one costs a compare and a gather.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from kafka.protocol.consumer import ListOffsetsResponse, OffsetFetchResponse
from numpy.typing import NDArray

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
_REPLICA = np.dtype([("partition", ">i4"), ("size", ">i8"), ("lag", ">i8"), ("future", "u1"), ("tags", "u1")])


class IrregularError(ValueError):
    """The bytes are not of the plain shape that is read here (tagged fields, a newer version, damage)."""


@dataclass(frozen=True, slots=True)
class Run:
    """Adjacent partitions of one topic in an answer; `owner` is the group, "" where there is none."""

    owner: str
    topic: str
    partitions: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shape:
    """Everything of an answer that stays equal while only offsets move."""

    runs: tuple[Run, ...]
    errors: NDArray[np.int64]  # (n,) error code of each partition
    owner_errors: tuple[tuple[str, int], ...]  # (group, error code) of every group, in the answer's order
    at: NDArray[np.int64]  # (n,) byte position of each offset
    keep: NDArray[np.uint8]  # 0xFF where a byte belongs to the shape, 0 where it may change
    reference: NDArray[np.uint8]

    def fits(self, body: NDArray[np.uint8]) -> bool:
        return len(body) == len(self.reference) and bool(np.array_equal(body & self.keep, self.reference))


@dataclass(frozen=True, slots=True)
class Reading:
    """Offsets in the order of the shape's runs; `shape` is the same object as long as nothing but offsets moved."""

    shape: Shape
    offsets: NDArray[np.int64]


@dataclass(slots=True)
class Reader:
    """Reads one recurring answer; keeps the last shape. `walk` finds a shape, `fallback` decodes with the library."""

    walk: Callable[[bytes], Shape]
    fallback: Callable[[bytes], Reading]
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
        return Reading(self.last, _offsets_at(body, self.last.at))


def list_offsets_reader() -> Reader:
    return Reader(walk_list_offsets, _library_list_offsets)


def offset_fetch_reader() -> Reader:
    return Reader(walk_offset_fetch, _library_offset_fetch)


def list_offsets_body(topics: Iterable[tuple[str, NDArray[np.int32]]], timestamp: int) -> bytes:
    """Body of ListOffsets v7 as a consumer asks it, read_uncommitted; `topics` are (name, partitions)."""
    parts: list[bytes] = []
    count = 0
    for name, partitions in topics:
        entries = np.zeros(len(partitions), dtype=_ASKED)
        entries["partition"], entries["epoch"], entries["timestamp"] = partitions, -1, timestamp
        parts += [_string(name), _uvarint(len(partitions) + 1), entries.tobytes(), b"\0"]
        count += 1
    return b"".join([struct.pack(">ib", -1, 0), _uvarint(count + 1), *parts, b"\0"])


def offset_fetch_body(groups: Sequence[str]) -> bytes:
    """Body of OffsetFetch v8: all commits of each group; commits pending in a transaction do not hold it up."""
    parts = [_string(group) + b"\0\0" for group in groups]  # no topics (null) means all, then the tag byte
    return b"".join([_uvarint(len(groups) + 1), *parts, b"\0\0"])  # require_stable False, tags


def walk_list_offsets(body: bytes) -> Shape:
    """The shape of a ListOffsets v7 body: one numpy read a topic. IrregularError where it is not plain."""
    cursor = _Cursor(body, 4)
    runs, errors, at = [], [], []
    for _ in range(cursor.count()):
        topic = cursor.text()
        start, entries = cursor.entries(_LISTED)
        cursor.end_tags()
        runs.append(Run("", topic, entries["partition"].astype(np.int64)))
        errors.append(entries["error"].astype(np.int64))
        at.append(start + _LISTED.itemsize * np.arange(len(entries)) + 14)
    cursor.finish()
    starts = _joined(at)
    return _shape(body, runs, _joined(errors), (), starts, [(starts - 8, 20)])


def walk_offset_fetch(body: bytes) -> Shape:
    """The shape of an OffsetFetch v8 body; topics whose commits carry metadata are walked one by one."""
    cursor = _Cursor(body, 4)
    runs, errors, at, owner_errors = [], [], [], []
    texts: list[tuple[NDArray[np.int64], int]] = []
    for _ in range(cursor.count()):
        group = cursor.text()
        for _ in range(cursor.count()):
            topic = cursor.text()
            partitions, codes, starts = _fetched_partitions(cursor, texts)
            cursor.end_tags()
            runs.append(Run(group, topic, partitions))
            errors.append(codes)
            at.append(starts)
        owner_errors.append((group, cursor.int16()))
        cursor.end_tags()
    cursor.finish()
    starts = _joined(at)
    return _shape(body, runs, _joined(errors), tuple(owner_errors), starts, [(starts, 12), *texts])


@dataclass(frozen=True, slots=True)
class ReplicaSizes:
    topic: str
    partitions: NDArray[np.int64]
    sizes: NDArray[np.int64]  # bytes
    future: NDArray[np.bool_]  # a copy that is being moved here from another directory


@dataclass(frozen=True, slots=True)
class DirectoryAnswer:
    error: int
    path: str
    total: int | None
    usable: int | None
    replicas: tuple[ReplicaSizes, ...] = field(default=())


def read_log_dirs(body: bytes, version: int) -> tuple[int, tuple[DirectoryAnswer, ...]]:
    """(error code, directories) of a DescribeLogDirs v2 to v5 body; IrregularError where it is not plain."""
    if not 2 <= version <= 5:
        raise IrregularError(f"DescribeLogDirs version {version}")
    cursor = _Cursor(body, 4)
    error = cursor.int16() if version >= 3 else 0
    found = []
    for _ in range(cursor.count()):
        code, path, replicas = cursor.int16(), cursor.text(), []
        for _ in range(cursor.count()):
            topic = cursor.text()
            _, entries = cursor.entries(_REPLICA)
            cursor.end_tags()
            replicas.append(
                ReplicaSizes(
                    topic,
                    entries["partition"].astype(np.int64),
                    entries["size"].astype(np.int64),
                    entries["future"] != 0,
                )
            )
        total, usable = (cursor.int64(), cursor.int64()) if version >= 4 else (-1, -1)
        if version >= 5:
            cursor.skip(1)
        cursor.end_tags()
        found.append(
            DirectoryAnswer(code, path, total if total >= 0 else None, usable if usable >= 0 else None, tuple(replicas))
        )
    cursor.finish()
    return error, tuple(found)


def metadata_tail(body: bytes, version: int) -> int | None:
    """Where the topics of a Metadata v9 to v13 body begin: equal bytes from there mean equal topics.

    None where the head is not plain. (The order of brokers and the controller id are random at each call.)
    """
    if not 9 <= version <= 13:
        return None
    cursor = _Cursor(body, 4)
    try:
        for _ in range(cursor.count()):
            cursor.skip(4)
            cursor.text()
            cursor.skip(4)
            cursor.text()
            cursor.end_tags()
        cursor.text()
        cursor.skip(4)
    except IrregularError:
        return None
    return cursor.at


class _Cursor:
    """A position in a flexible body; every step raises IrregularError instead of running over the end."""

    __slots__ = ("at", "body")

    def __init__(self, body: bytes, at: int) -> None:
        self.body = body
        self.at = at

    def uvarint(self) -> int:
        value = shift = 0
        while True:
            if self.at >= len(self.body) or shift > 28:
                raise IrregularError("bad varint")
            byte = self.body[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def count(self) -> int:
        """Length of a compact array, null as 0; never more than there are bytes."""
        count = max(0, self.uvarint() - 1)
        if count > len(self.body) - self.at:
            raise IrregularError(f"array of {count} in {len(self.body) - self.at} bytes")
        return count

    def text(self) -> str:
        """A compact string, null as ""."""
        length = max(0, self.uvarint() - 1)
        start = self.at
        self.skip(length)
        return self.body[start : self.at].decode("utf-8", errors="replace")

    def skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self.body):
            raise IrregularError("body ends early")

    def _number(self, code: str, size: int) -> int:
        start = self.at
        self.skip(size)
        value: int = struct.unpack_from(code, self.body, start)[0]
        return value

    def int16(self) -> int:
        return self._number(">h", 2)

    def int32(self) -> int:
        return self._number(">i", 4)

    def int64(self) -> int:
        return self._number(">q", 8)

    def end_tags(self) -> None:
        if self.at >= len(self.body) or self.body[self.at] != 0:
            raise IrregularError("tagged fields")
        self.at += 1

    def entries(self, dtype: np.dtype[Any]) -> tuple[int, NDArray[Any]]:
        """A compact array of entries of one size whose last byte is an empty tag section: (first byte, entries)."""
        count = self.count()
        start = self.at
        self.skip(count * dtype.itemsize)
        if not count:
            return start, np.zeros(0, dtype=dtype)
        found = np.frombuffer(self.body, dtype=dtype, count=count, offset=start)
        if found["tags"].any():
            raise IrregularError("tagged fields")
        return start, found

    def finish(self) -> None:
        self.end_tags()
        if self.at != len(self.body):
            raise IrregularError(f"{len(self.body) - self.at} bytes left over")


def _fetched_partitions(
    cursor: _Cursor, texts: list[tuple[NDArray[np.int64], int]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Partitions, error codes and byte positions of the offsets of one topic; metadata texts go to `texts`."""
    count = cursor.count()
    start, size = cursor.at, _FETCHED.itemsize
    if count and start + count * size <= len(cursor.body):
        entries = np.frombuffer(cursor.body, dtype=_FETCHED, count=count, offset=start)
        # All metadata empty: each entry then really begins where the one before ends, so the guess proves itself.
        if not (entries["metadata"] > 1).any() and not entries["tags"].any():
            cursor.skip(count * size)
            positions = start + size * np.arange(count) + 4
            return entries["partition"].astype(np.int64), entries["error"].astype(np.int64), positions
    partitions, codes, positions_list = [], [], []
    for _ in range(count):
        partitions.append(cursor.int32())
        positions_list.append(cursor.at)
        cursor.skip(12)
        length = max(0, cursor.uvarint() - 1)
        if length:
            texts.append((np.array([cursor.at]), length))
        cursor.skip(length)
        codes.append(cursor.int16())
        cursor.end_tags()
    return (
        np.array(partitions, dtype=np.int64),
        np.array(codes, dtype=np.int64),
        np.array(positions_list, dtype=np.int64),
    )


def _shape(
    body: bytes,
    runs: list[Run],
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
    return Shape(tuple(runs), errors, owner_errors, at, keep, np.frombuffer(body, dtype=np.uint8) & keep)


def _offsets_at(body: bytes, at: NDArray[np.int64]) -> NDArray[np.int64]:
    if not len(at):
        return np.zeros(0, dtype=np.int64)
    every_byte = np.ndarray((len(body) - 7,), dtype=">i8", buffer=body, offset=0, strides=(1,))
    return every_byte[at].astype(np.int64)


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, dtype=np.int64)


def _library_list_offsets(body: bytes) -> Reading:
    answer = ListOffsetsResponse.decode(body, version=LIST_OFFSETS_VERSION)
    return _from_library([("", topic, "partition_index", "offset") for topic in answer.topics], ())


def _library_offset_fetch(body: bytes) -> Reading:
    answer = OffsetFetchResponse.decode(body, version=OFFSET_FETCH_VERSION)
    owned = [
        (group.group_id, topic, "partition_index", "committed_offset")
        for group in answer.groups
        for topic in group.topics
    ]
    return _from_library(owned, tuple((group.group_id, group.error_code) for group in answer.groups))


def _from_library(owned: list[tuple[str, Any, str, str]], owner_errors: tuple[tuple[str, int], ...]) -> Reading:
    def column(name: Callable[[Any, str, str], int]) -> list[NDArray[np.int64]]:
        return [np.array([name(p, index, value) for p in t.partitions], dtype=np.int64) for _, t, index, value in owned]

    partitions = column(lambda p, index, value: getattr(p, index))
    errors = _joined(column(lambda p, index, value: p.error_code))
    offsets = _joined(column(lambda p, index, value: getattr(p, value)))
    runs = tuple(Run(owner, topic.name, found) for (owner, topic, _, _), found in zip(owned, partitions, strict=True))
    empty = np.zeros(0, dtype=np.uint8)
    return Reading(Shape(runs, errors, owner_errors, np.zeros(0, dtype=np.int64), empty, empty), offsets)


def _uvarint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _string(text: str) -> bytes:
    raw = text.encode()
    return _uvarint(len(raw) + 1) + raw
