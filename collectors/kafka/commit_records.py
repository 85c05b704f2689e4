"""The records of `__consumer_offsets` that hold commits: whose they are, and when the broker took them.

Layouts: the files OffsetCommitKey.json and OffsetCommitValue.json of Kafka's group coordinator. What the topic holds
beside (members, assignments, types of newer versions) is named and passed over.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import NamedTuple

TOPIC = "__consumer_offsets"

_COMMITS = (0, 1)  # record types; 0 is of very old brokers
_LAST_VERSION = 4
_NULL = -1
_LONGEST_VARINT = 5  # bytes of 32 bits
_SHORT, _INT, _LONG = struct.Struct(">h"), struct.Struct(">i"), struct.Struct(">q")


class Passed(Enum):
    """Why a record tells no commit."""

    OTHER_TYPE = "other type"
    OTHER_VERSION = "unknown version"
    DAMAGED = "damaged"


class Place(NamedTuple):
    """Whose commit it is; names are as strangers wrote them."""

    group: str
    topic: str
    partition: int


class Commit(NamedTuple):
    """`at_ms`: the broker's clock when it took the commit, in milliseconds since 1970."""

    offset: int
    at_ms: int


def place_of(key: bytes | None) -> Place | Passed:
    """Whose commit a record is, by its key; never an error, whatever the bytes are."""
    if key is None or len(key) < _SHORT.size:
        return Passed.DAMAGED
    if _SHORT.unpack_from(key)[0] not in _COMMITS:
        return Passed.OTHER_TYPE
    try:
        group, at = _text(key, _SHORT.size)
        topic, at = _text(key, at)
        (partition,) = _INT.unpack_from(key, at)
    except (struct.error, ValueError):
        return Passed.DAMAGED
    return Place(group, topic, partition) if partition >= 0 else Passed.DAMAGED


def commit_of(value: bytes) -> Commit | Passed:
    """The commit in a value that is no tombstone, versions 0 to 4; never an error.

    Its metadata text, the leader epoch, and what follows the time (expiry of version 1, tags of version 4) are not
    looked at: nothing here needs them, and they are of any length.
    """
    try:
        (version,) = _SHORT.unpack_from(value)
        if not 0 <= version <= _LAST_VERSION:
            return Passed.OTHER_VERSION
        (offset,) = _LONG.unpack_from(value, 2)
        at = 10 if version < 3 else 14  # behind the offset; from version 3 on behind the leader's epoch
        if version < _LAST_VERSION:
            (length,) = _SHORT.unpack_from(value, at)
            at += _SHORT.size + max(length, 0)
        else:
            length, at = _varint(value, at)
            length -= 1  # a compact string: 0 is none
            at += max(length, 0)
        (at_ms,) = _LONG.unpack_from(value, at)
    except (struct.error, ValueError):
        return Passed.DAMAGED
    return Commit(offset, at_ms) if length >= _NULL and at_ms > 0 else Passed.DAMAGED


def offsets_partition(group: str, count: int) -> int:
    """The partition of `__consumer_offsets` that has a group's commits: Java's hash of its name, as Utils.abs makes it
    positive (Math.abs, with 0 for the smallest number)."""
    hashed = 0
    units = group.encode("utf-16-be", "surrogatepass")
    for unit in struct.unpack(f">{len(units) // 2}H", units):
        hashed = (31 * hashed + unit) & 0xFFFFFFFF
    signed = hashed - (1 << 32) if hashed >= 1 << 31 else hashed
    return (0 if signed == -(1 << 31) else abs(signed)) % count


def _text(data: bytes, at: int) -> tuple[str, int]:
    """A string with a length of two bytes, and what follows it; ValueError where it is null or cut short."""
    (length,) = _SHORT.unpack_from(data, at)
    begin, end = at + _SHORT.size, at + _SHORT.size + length
    if length < 0 or end > len(data):
        raise ValueError(f"a string of {length} bytes in a key of {len(data)}")
    return data[begin:end].decode(), end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned varint, and what follows it; ValueError where it does not end."""
    found = 0
    for i, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        found |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return found, at + i + 1
    raise ValueError("a number that does not end")
