"""Bytes of blocks, rollups and axes: a matrix of int64, row by row differences, rows grouped by byte width, zstd.

A body is a header, what is not in every matrix (names of the rows, masks) and the numbers. Version 1 is kept readable
for ever: `tests/history/fixtures` holds bytes of it.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray

from .codec import BadBodyError, PerThread, unfold

VERSION = 1
_HEADER = struct.Struct("<BBHIIII")  # version, flags, 0, rows, columns, checksum, bytes of the section of masks
_CHECKSUM = slice(12, 16)
_NAMED, _UNKNOWN, _ABSENT, _BY_VALUE = 1, 2, 4, 8
_MAX_NUMBERS = 1 << 28  # far above any block; keeps a damaged header from asking for gigabytes

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Pair = tuple[str, int]  # topic, partition


class _Zstd(PerThread):
    level = 3


_zstd = _Zstd()


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """Rows (m) over columns (k), in time. `present`: the row existed then; `known`: its number is known (else 0)."""

    values: Ints  # (m, k)
    known: Bools  # (m, k)
    present: Bools  # (m, k)


def encode(matrix: Matrix, *, pairs: list[Pair] | None = None, differences: bool = True) -> bytes:
    """A body. `pairs` names the rows, where they do not follow from what is stored.

    With `differences` each row is its first number and the steps from one column to the next (arithmetic wraps in
    64 bits, so each int64 survives); where a number is not known the one before is repeated. Without, numbers are
    stored as they are. A row takes as many bytes per number as its largest one needs.
    """
    rows, columns = matrix.values.shape
    flags, meta = 0, b""
    if pairs is not None:
        flags |= _NAMED
        meta += _encode_pairs(pairs)
    for flag, mask in ((_UNKNOWN, matrix.known), (_ABSENT, matrix.present)):
        if not mask.all():
            flags |= flag
            meta += np.packbits(mask).tobytes()
    filled = matrix.values if not flags & _UNKNOWN else _filled(matrix.values, matrix.known)
    filled = np.ascontiguousarray(filled, dtype=np.int64)
    if differences:
        firsts = filled[:, :1] if columns else np.zeros((rows, 0), dtype=np.int64)
        numbers = filled[:, 1:] - filled[:, :-1]
    else:
        flags |= _BY_VALUE
        firsts, numbers = filled[:, :0], filled
    folded = _fold(numbers)
    widths = _widths(folded)
    parts = [widths.tobytes(), _planes(_fold(firsts.ravel())[None, :], 8)]
    for width in range(1, 9):
        chosen = np.flatnonzero(widths == width)
        if len(chosen):
            parts.append(_planes(folded if len(chosen) == rows else folded[chosen], width))
    packed = _zstd.compress(meta) if meta else b""
    payload = packed + _zstd.compress(b"".join(parts))
    head = _HEADER.pack(VERSION, flags, 0, rows, columns, 0, len(packed))
    checksum = zlib.crc32(payload, zlib.crc32(head[16:], zlib.crc32(head[:12])))
    return head[:12] + checksum.to_bytes(4, "little") + head[16:] + payload


def _fold(numbers: Ints) -> NDArray[np.uint64]:
    return ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)  # sign into the lowest bit: small stays small


def _widths(folded: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """(m,) bytes that the largest number of each row needs; 0 when all are zero."""
    most = np.bitwise_or.reduce(folded, axis=1) if folded.shape[1] else np.zeros(len(folded), dtype=np.uint64)
    return np.array([(number.bit_length() + 7) // 8 for number in most.tolist()], dtype=np.uint8)


def _planes(folded: NDArray[np.uint64], width: int) -> bytes:
    """Bytes of one significance together: (width, rows, columns)."""
    if width == 1:
        return folded.astype(np.uint8).tobytes()
    return b"".join((folded >> np.uint64(8 * plane)).astype(np.uint8).tobytes() for plane in range(width))


def _filled(values: Ints, known: Bools) -> Ints:
    """Unknown numbers replaced by the last one known before, at the beginning by the first known (0: none is)."""
    _, columns = values.shape
    if not columns:
        return values
    place = np.where(known, np.arange(columns), -1)
    np.maximum.accumulate(place, axis=1, out=place)
    first = np.argmax(known, axis=1)
    place = np.where(place < 0, first[:, None], place)
    filled: Ints = np.take_along_axis(values, place, axis=1)
    filled[~known.any(axis=1)] = 0
    return filled


def _encode_pairs(pairs: list[Pair]) -> bytes:
    number: dict[str, int] = {}
    topics = [number.setdefault(topic, len(number)) for topic, _ in pairs]
    # ASCII JSON: names come from strangers and may hold lone surrogates, which UTF-8 refuses
    names = json.dumps(list(number)).encode()
    partitions = [partition for _, partition in pairs]
    arrays = np.array(topics, dtype="<i4").tobytes() + np.array(partitions, dtype="<i4").tobytes()
    return len(names).to_bytes(4, "little") + names + arrays


class Opened(NamedTuple):
    """A checked body; its masks and names are inflated, its numbers not yet."""

    flags: int
    rows: int
    columns: int
    meta: bytes
    after_names: int  # where the masks begin in `meta`
    pairs: list[Pair] | None
    packed: memoryview

    def mask(self, flag: int, index: int) -> Bools | None:
        """A stored mask (rows, columns); None where all of it is set."""
        if not self.flags & flag:
            return None
        size = (self.rows * self.columns + 7) // 8
        at = self.after_names + index * size
        bits = np.frombuffer(self.meta, np.uint8, size, at)
        return np.unpackbits(bits, count=self.rows * self.columns).view(np.bool_).reshape(self.rows, self.columns)


def open_body(body: bytes | memoryview) -> Opened:
    """Check a body and read what names its rows; BadBodyError when it cannot be what was written."""
    if len(body) < _HEADER.size:
        raise BadBodyError(f"block of {len(body)} bytes is shorter than its header")
    version, flags, _, rows, columns, checksum, meta_bytes = _HEADER.unpack_from(body)
    if version != VERSION:
        raise BadBodyError(f"block has codec version {version}, this program reads {VERSION}")
    view = memoryview(body)
    if zlib.crc32(view[16:], zlib.crc32(view[:12])) != checksum:
        raise BadBodyError("block does not match its checksum")
    if rows * max(1, columns) > _MAX_NUMBERS or meta_bytes > len(body) - _HEADER.size:
        raise BadBodyError(f"block states {rows} rows of {columns} columns")
    try:
        meta = _zstd.decompress(view[_HEADER.size : _HEADER.size + meta_bytes]) if meta_bytes else b""
        pairs, at = _decode_pairs(meta, rows) if flags & _NAMED else (None, 0)
    except (zstandard.ZstdError, ValueError, IndexError) as error:
        raise BadBodyError(f"block cannot be read: {error}") from None
    return Opened(flags, rows, columns, meta, at, pairs, view[_HEADER.size + meta_bytes :])


def _decode_pairs(meta: bytes, rows: int) -> tuple[list[Pair], int]:
    size = int.from_bytes(meta[:4], "little")
    names = json.loads(meta[4 : 4 + size])
    topics = np.frombuffer(meta, "<i4", rows, 4 + size)
    partitions = np.frombuffer(meta, "<i4", rows, 4 + size + 4 * rows)
    pairs = [(names[topic], partition) for topic, partition in zip(topics.tolist(), partitions.tolist(), strict=True)]
    return pairs, 4 + size + 8 * rows


def decode(opened: Opened, take: Ints | None = None) -> Matrix:
    """The rows `take` (all without it) of a body; BadBodyError when the numbers do not fit what the header says."""
    rows, columns = opened.rows, opened.columns
    by_value = bool(opened.flags & _BY_VALUE)
    firsts_count = 0 if by_value or not columns else rows
    stored = columns if by_value else max(0, columns - 1)
    try:
        raw = _zstd.decompress(opened.packed, rows + firsts_count * 8 + rows * stored * 8 + 1)
        widths = np.frombuffer(raw, np.uint8, rows)
        expected = rows + firsts_count * 8 + int(widths.astype(np.int64).sum()) * stored
        if len(raw) != expected or (rows and int(widths.max()) > 8):
            raise BadBodyError(f"block holds {len(raw)} bytes, {expected} expected")
        wanted = np.arange(rows) if take is None else take
        values = np.zeros((len(wanted), columns), dtype=np.int64)
        at = rows
        numbers = values if by_value else values[:, 1:]
        if firsts_count:
            firsts = unfold(np.frombuffer(raw, np.uint8, rows * 8, at).reshape(8, rows))
            values[:, 0] = firsts[wanted]
            at += rows * 8
        own = widths[wanted]
        for width in np.unique(widths).tolist():
            if width == 0:
                continue
            group = np.flatnonzero(widths == width)
            here = np.flatnonzero(own == width)
            if len(here):
                planes = np.frombuffer(raw, np.uint8, width * len(group) * stored, at).reshape(
                    width, len(group), stored
                )
                if len(here) != len(group) or take is not None:
                    planes = planes[:, np.searchsorted(group, wanted[here]), :]
                numbers[here] = unfold_rows(planes)
            at += width * len(group) * stored
    except zstandard.ZstdError as error:
        raise BadBodyError(f"block cannot be decompressed: {error}") from None
    if not by_value and columns:
        np.cumsum(values, axis=1, out=values)
    try:
        known = opened.mask(_UNKNOWN, 0)
        present = opened.mask(_ABSENT, 1 if opened.flags & _UNKNOWN else 0)
    except ValueError as error:
        raise BadBodyError(f"masks of a block cannot be read: {error}") from None
    full = np.ones(values.shape, dtype=np.bool_)
    known = full if known is None else known[wanted]
    present = full if present is None else present[wanted]
    if known is not full:
        values[~known] = 0
    return Matrix(values, known, present)


def unfold_rows(planes: NDArray[np.uint8]) -> Ints:
    """Planes (width, rows, columns) back to signed numbers (rows, columns)."""
    width, rows, columns = planes.shape
    return unfold(planes.reshape(width, rows * columns)).reshape(rows, columns)
