"""Bytes of segments and of layouts: differences, missing masks, byte widths, checksums, zstd."""

from __future__ import annotations

import json
import struct
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray

from collectors.domain.numbers import Layout

VERSION = 1
_HEADER = struct.Struct("<BBBBIII")  # version, flags, byte width, 0, positions, checksum, checksum of the key frame
_CHECKSUM = slice(8, 12)
_KEY, _MASK = 1, 2
HEADER_BYTES = _HEADER.size
_MAX_POSITIONS = 1 << 24  # far above any cluster; keeps a damaged header from asking for gigabytes

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class BadBodyError(Exception):
    """Stored bytes that cannot be what was written: damaged, of another codec, or without their key frame."""


class PerThread(threading.local):
    """zstd contexts are costly to make and must not be shared between threads."""

    level = 1

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=self.level, write_checksum=False).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_zstd = PerThread()


def checksum_of(body: bytes) -> int:
    """The checksum that a body's header states; deltas name their key frame by it."""
    return int.from_bytes(body[_CHECKSUM], "little")


def _seal(flags: int, width: int, positions: int, key_checksum: int, payload: bytes) -> bytes:
    head = _HEADER.pack(VERSION, flags, width, 0, positions, 0, key_checksum)
    checksum = zlib.crc32(payload, zlib.crc32(head[12:], zlib.crc32(head[:8])))
    return head[:8] + checksum.to_bytes(4, "little") + head[12:] + payload


def encode_segments(
    cuts: Ints,
    values: Ints,
    known: Bools,
    *,
    reference: Ints | None = None,
    key_checksums: Sequence[int] = (),
) -> list[bytes]:
    """Bodies of the segments `cuts[i]:cuts[i + 1]` of one column.

    Without `reference` each body stands alone (a key frame: differences between neighbours); with it, bodies
    hold the difference to `reference` (the key frame's values, 0 where it knows none) and need the key frame
    whose bodies have `key_checksums`. Arithmetic wraps in 64 bits, so each int64 survives. Only known values
    are stored; per segment the smallest byte width that holds all of them, bytes of one significance together.
    """
    values = np.ascontiguousarray(values, dtype=np.int64)
    whole = bool(known.all())
    if whole:
        ends = cuts
        kept = values if reference is None else values - reference
    else:
        ends = np.concatenate(([0], np.cumsum(known)))[cuts]
        kept = values[known] if reference is None else values[known] - reference[known]
    if reference is None and len(kept):
        steps = kept.copy()
        steps[1:] -= kept[:-1]
        firsts = ends[:-1][ends[:-1] < len(kept)]
        steps[firsts] = kept[firsts]
        kept = steps
    folded = ((kept << 1) ^ (kept >> 63)).astype("<u8", copy=False)  # sign into the lowest bit: small stays small
    planes = folded.view(np.uint8).reshape(-1, 8)
    widths = _widths(folded, ends)
    flags = _KEY if reference is None else 0
    bodies = []
    bounds, places = ends.tolist(), cuts.tolist()
    for i, width in enumerate(widths):
        raw = planes[bounds[i] : bounds[i + 1], :width].T.tobytes()
        positions = places[i + 1] - places[i]
        masked = bounds[i + 1] - bounds[i] != positions
        if masked:
            raw = np.packbits(known[places[i] : places[i + 1]]).tobytes() + raw
        key_checksum = key_checksums[i] if reference is not None else 0
        bodies.append(_seal(flags | (_MASK * masked), width, positions, key_checksum, _zstd.compress(raw)))
    return bodies


def _widths(folded: NDArray[np.uint64], ends: Ints) -> list[int]:
    """Bytes that the largest number of each segment needs (0 when all are zero or there are none)."""
    lengths = np.diff(ends)
    joined = np.zeros(len(lengths), dtype=np.uint64)
    filled = lengths > 0
    if filled.any():
        joined[filled] = np.bitwise_or.reduceat(folded, ends[:-1][filled])
    return [(number.bit_length() + 7) // 8 for number in joined.tolist()]


class _Opened(NamedTuple):
    """A checked and inflated body."""

    is_key: bool
    width: int
    positions: int
    checksum: int
    key_checksum: int
    known: Bools | None  # None: all
    raw: bytes  # width planes of bytes, one byte per known value


def _open(body: bytes) -> _Opened:
    if len(body) < HEADER_BYTES:
        raise BadBodyError(f"segment body of {len(body)} bytes is shorter than its header")
    version, flags, width, _, positions, checksum, key_checksum = _HEADER.unpack_from(body)
    if version != VERSION:
        raise BadBodyError(f"segment body has codec version {version}, this program reads {VERSION}")
    view = memoryview(body)
    if zlib.crc32(view[12:], zlib.crc32(view[:8])) != checksum:
        raise BadBodyError("segment body does not match its checksum")
    if width > 8 or positions > _MAX_POSITIONS:
        raise BadBodyError(f"segment body states {positions} positions of {width} bytes")
    try:
        raw = _zstd.decompress(view[HEADER_BYTES:], positions * 8 + positions // 8 + 1)
    except zstandard.ZstdError as error:
        raise BadBodyError(f"segment body cannot be decompressed: {error}") from None
    known, count = None, positions
    if flags & _MASK:
        mask_bytes = (positions + 7) // 8
        mask = np.frombuffer(raw[:mask_bytes].ljust(mask_bytes, b"\0"), np.uint8)
        known = np.unpackbits(mask, count=positions).view(np.bool_)
        count = int(np.count_nonzero(known))
        raw = raw[mask_bytes:]
    if len(raw) != width * count:
        raise BadBodyError(f"segment body holds {len(raw)} bytes, {width * count} expected")
    return _Opened(bool(flags & _KEY), width, positions, checksum, key_checksum, known, raw)


def unfold(planes: NDArray[np.uint8]) -> Ints:
    """Planes (..., width, n) of bytes back to signed numbers (..., n)."""
    width = planes.shape[-2]
    shape = (*planes.shape[:-2], planes.shape[-1])
    if width == 0:
        return np.zeros(shape, dtype=np.int64)
    if width <= 2:  # the usual case in delta frames, in narrow arithmetic until the end
        narrow = planes[..., 0, :].astype(np.uint16)
        if width == 2:
            narrow |= planes[..., 1, :].astype(np.uint16) << 8
        return (narrow >> 1).astype(np.int64) ^ -(narrow & 1).astype(np.int64)
    folded = planes[..., 0, :].astype(np.uint64)
    for plane in range(1, width):
        folded |= planes[..., plane, :].astype(np.uint64) << np.uint64(8 * plane)
    return (folded >> np.uint64(1)).view(np.int64) ^ -((folded & np.uint64(1)).view(np.int64))


def _values(opened: _Opened) -> Ints:
    count = opened.positions if opened.known is None else int(np.count_nonzero(opened.known))
    numbers = unfold(np.frombuffer(opened.raw, np.uint8).reshape(opened.width, count))
    return np.cumsum(numbers, dtype=np.int64) if opened.is_key else numbers


@dataclass(frozen=True, slots=True)
class Segment:
    """The numbers of one segment at one cycle; unknown values are 0. `checksum` is what deltas refer to."""

    values: Ints
    known: Bools
    checksum: int


def decode_key(body: bytes, positions: int) -> Segment:
    """A key frame's body; BadBodyError when it is not one, or not of this many positions."""
    opened = _open(body)
    if not opened.is_key:
        raise BadBodyError("segment body is a delta, a key frame was expected")
    return _decode(opened, positions, None)


def decode(body: bytes, positions: int, key: Segment | None) -> Segment:
    """Any body; `key` is the decoded key frame of the same segment (None when it could not be read)."""
    return _decode(_open(body), positions, key)


def _decode(opened: _Opened, positions: int, key: Segment | None) -> Segment:
    if opened.positions != positions:
        raise BadBodyError(f"segment body has {opened.positions} positions, its layout {positions}")
    reference = None if opened.is_key else _reference(opened, key)
    numbers = _values(opened)
    if opened.known is None:
        values = numbers if reference is None else numbers + reference
        return Segment(values, np.ones(positions, dtype=np.bool_), opened.checksum)
    values = np.zeros(positions, dtype=np.int64)
    values[opened.known] = numbers if reference is None else numbers + reference[opened.known]
    return Segment(values, opened.known, opened.checksum)


def _reference(opened: _Opened, key: Segment | None) -> Ints:
    if key is None:
        raise BadBodyError("delta frame without a readable key frame")
    if key.checksum != opened.key_checksum:
        raise BadBodyError("delta frame belongs to another key frame")
    return key.values


def decode_many(
    bodies: Sequence[bytes], keys: Sequence[Segment | None], positions: int, take: slice | Ints
) -> tuple[Ints, Bools, list[tuple[int, BadBodyError]]]:
    """The positions `take` of many bodies of one segment: values (k, m), known (k, m), bad bodies by index.

    Rows of bad bodies are not known. Whole delta frames of one byte width are decoded together.
    """
    picked = np.arange(positions)[take]
    values = np.zeros((len(bodies), len(picked)), dtype=np.int64)
    known = np.zeros((len(bodies), len(picked)), dtype=np.bool_)
    bad: list[tuple[int, BadBodyError]] = []
    together: dict[int, tuple[list[int], list[bytes], list[Ints]]] = {}
    for i, (body, key) in enumerate(zip(bodies, keys, strict=True)):
        try:
            opened = _open(body)
            if opened.is_key or opened.known is not None or opened.positions != positions:
                segment = _decode(opened, positions, key)
                values[i], known[i] = segment.values[take], segment.known[take]
            else:
                reference = _reference(opened, key)
                rows, raws, references = together.setdefault(opened.width, ([], [], []))
                rows.append(i)
                raws.append(opened.raw)
                references.append(reference)
        except BadBodyError as error:
            bad.append((i, error))
    for width, (rows, raws, references) in together.items():
        planes = np.frombuffer(b"".join(raws), np.uint8).reshape(len(rows), width, positions)[:, :, take]
        numbers = unfold(planes)
        for at, stop in _runs(references):
            numbers[at:stop] += references[at][take]
        values[rows], known[rows] = numbers, True
    return values, known, bad


def _runs(references: Sequence[Ints]) -> list[tuple[int, int]]:
    """Stretches of one and the same key frame."""
    edges = [i for i in range(len(references)) if i == 0 or references[i] is not references[i - 1]]
    return list(zip(edges, [*edges[1:], len(references)], strict=True))


# Names as text that any database and file takes


def escaped(name: str) -> str:
    """A name as JSON: ASCII, with escapes for NUL and for halves of surrogate pairs."""
    return json.dumps(name)


def unescaped(text: str) -> str:
    return str(json.loads(text))


# Layouts: JSON of owners, distinct topics and counts, then the arrays, zstd, checksum in front.

_LAYOUT_HEADER = struct.Struct("<BII")  # version, checksum, bytes of JSON


def encode_layout(layout: Layout, cuts: Ints) -> bytes:
    """The members of a layout and where its segments are cut (positions, first 0, last len(layout))."""
    number: dict[str, int] = {}
    topic_numbers = [number.setdefault(topic, len(number)) for topic in layout.topics]
    # ASCII JSON: names come from strangers and may hold lone surrogates, which UTF-8 refuses
    head = json.dumps({"owners": layout.owners, "topics": list(number), "cuts": cuts.tolist()}).encode()
    arrays = (layout.starts.astype("<i8"), np.array(topic_numbers, dtype="<i4"), layout.partitions.astype("<i4"))
    payload = _zstd.compress(head + b"".join(array.tobytes() for array in arrays))
    return _LAYOUT_HEADER.pack(VERSION, zlib.crc32(payload), len(head)) + payload


def decode_layout(members: bytes) -> tuple[Layout, Ints]:
    """What `encode_layout` got; BadBodyError when the bytes are damaged."""
    if len(members) < _LAYOUT_HEADER.size:
        raise BadBodyError("stored layout is shorter than its header")
    version, checksum, head_bytes = _LAYOUT_HEADER.unpack_from(members)
    payload = members[_LAYOUT_HEADER.size :]
    if version != VERSION:
        raise BadBodyError(f"stored layout has codec version {version}, this program reads {VERSION}")
    if zlib.crc32(payload) != checksum:
        raise BadBodyError("stored layout does not match its checksum")
    raw = _zstd.decompress(payload)
    head = json.loads(raw[:head_bytes])
    owners, names = tuple(head["owners"]), head["topics"]
    starts = np.frombuffer(raw, "<i8", len(owners) + 1, head_bytes).astype(np.int64)
    count = int(starts[-1])
    at = head_bytes + starts.nbytes
    topic_numbers = np.frombuffer(raw, "<i4", count, at)
    partitions = np.frombuffer(raw, "<i4", count, at + 4 * count).astype(np.int32)
    layout = Layout(owners, starts, tuple([names[i] for i in topic_numbers.tolist()]), partitions)
    return layout, np.array(head["cuts"], dtype=np.int64)
