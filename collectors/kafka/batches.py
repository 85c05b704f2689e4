"""The first record at or after an offset in the record batches of a Fetch answer; damage gives a reason, no exception.

Layout of a batch and of its records: RecordBatch of Kafka's message format v2 (KIP-98; delete horizon: KIP-534).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from kafka.record.util import calc_crc32c

from ..domain.heads import Head
from .unpack import DamagedError, unpacked

_HEADER = struct.Struct(">qiibIhiqqqhii")
_LENGTH = struct.Struct(">qi")
_MAGIC_AT, _SUMMED_FROM = 16, 21
_CODEC, _BY_BROKER, _CONTROL, _DELETE_HORIZON = 0x07, 0x08, 0x20, 0x40
UNPACKED_BYTES = 1_000_000
"""Of a batch no more is unpacked and walked."""
SUMMED_BYTES = 64_000
"""The checksum of a larger batch is not computed: in Python that takes a second for a few megabytes."""

DAMAGED = "the record batch there is damaged"
OLD_FORMAT = "the records there are kept in a message format older than Kafka 0.11"
NEW_FORMAT = "the records there are kept in a message format that is not known here"


@dataclass(frozen=True, slots=True)
class Looked:
    """What some bytes of a log held: the head, else how far there is none (`upto`), else why that is not known."""

    head: Head | None
    upto: int
    reason: str = ""


def look(raw: bytes, offset: int) -> Looked:
    """Walk over batches to the first data record at or after `offset`; markers of transactions are passed over.

    A batch that is cut short at the end, as brokers do, is left out. Of a batch that cannot be unpacked here, or
    is too large, the head has the latest and the earliest moment that its header allows.
    """
    at, upto = 0, offset
    try:
        while len(raw) - at >= _LENGTH.size:
            length = _LENGTH.unpack_from(raw, at)[1]
            if length < _HEADER.size - _LENGTH.size:
                return Looked(None, upto, _other_format(raw, at) or DAMAGED)
            after = at + _LENGTH.size + length
            if after > len(raw):
                break
            if other := _other_format(raw, at):
                return Looked(None, upto, other)
            head, last = _first_in(raw[at:after], offset)
            if head is not None:
                return Looked(head, upto)
            upto, at = max(upto, last + 1), after
    except (DamagedError, struct.error):
        return Looked(None, upto, DAMAGED)
    return Looked(None, upto)


def _other_format(raw: bytes, at: int) -> str:
    magic = raw[at + _MAGIC_AT] if at + _MAGIC_AT < len(raw) else 2
    return "" if magic == 2 else OLD_FORMAT if magic < 2 else NEW_FORMAT


def _first_in(batch: bytes, offset: int) -> tuple[Head | None, int]:
    """The first data record of a whole batch at or after an offset, and the last offset that the batch takes."""
    base, _, _, _, crc, flags, delta, first, newest, _, _, _, count = _HEADER.unpack_from(batch)
    last = base + delta
    if base < 0 or delta < 0 or count < 0:
        raise DamagedError("no record batch")
    if len(batch) <= SUMMED_BYTES and calc_crc32c(memoryview(batch)[_SUMMED_FROM:]) != crc:
        raise DamagedError("no record batch")
    if last < offset or flags & _CONTROL or not count:
        return None, last
    by_broker = bool(flags & _BY_BROKER)
    body, is_whole = unpacked(batch[_HEADER.size :], flags & _CODEC, UNPACKED_BYTES)
    found, is_over = _walk(body, count, offset - base, is_whole=is_whole)
    if found is not None:
        if found[0] > delta:
            raise DamagedError("no record batch")
        moment = newest if by_broker else first + found[1]
        return Head(base + found[0], _seconds(moment), by_broker), last
    if is_over:  # compaction took what was there
        return None, last
    earliest = None if by_broker or flags & _DELETE_HORIZON or first == newest else _seconds(first)
    return Head(max(offset, base), _seconds(newest), by_broker, earliest), last


def _seconds(milliseconds: int) -> float | None:
    return milliseconds / 1000 if milliseconds >= 0 else None


def _walk(body: bytes, count: int, wanted: int, *, is_whole: bool) -> tuple[tuple[int, int] | None, bool]:
    """(offset delta, timestamp delta) of the first record from the delta `wanted` on, and whether all were seen."""
    at = 0
    for _ in range(count):
        try:
            length, at = _varint(body, at)
            moment, inside = _varint(body, at + 1)  # a byte of attributes, unused
            delta, inside = _varint(body, inside)
        except IndexError:
            if is_whole:
                raise DamagedError("it ends early") from None
            return None, False
        if length < inside - at or (is_whole and at + length > len(body)):
            raise DamagedError("no record batch")
        if delta >= wanted:
            return (delta, moment), True
        at += length
    return None, True


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """A zigzag number of at most 64 bits, and where it ends."""
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
        if shift > 63:
            raise DamagedError("no record batch")
