"""The records of a compressed batch, no more than is wanted of them: what a stranger packed may be gigabytes.

The libraries for lz4 and snappy are not among ours, and reading these is short. Formats: LZ4 frame and block format
(lz4.github.io), snappy's format_description.txt, and snappy-java's blocks (xerial), which Java clients write.
"""

from __future__ import annotations

import io
import zlib

import zstandard

PLAIN, GZIP, SNAPPY, LZ4, ZSTD = range(5)
WINDOW_BYTES = 8 << 20
"""Of zstd: more memory is not given to unpack a batch."""
_LZ4_FRAME = b"\x04\x22\x4d\x18"
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16


class DamagedError(ValueError):
    """These bytes are not what they are said to be."""


def unpacked(packed: bytes, codec: int, most: int) -> tuple[bytes, bool]:
    """The first `most` bytes, or somewhat more, and whether that is all; nothing where it cannot be unpacked here."""
    try:
        if codec == PLAIN:
            return packed[:most], len(packed) <= most
        if codec == GZIP:
            body = zlib.decompressobj(wbits=31).decompress(packed, most)
        elif codec == ZSTD:
            with zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES).stream_reader(
                io.BytesIO(packed), read_across_frames=True
            ) as reader:
                body = reader.read(most)
        elif codec == LZ4:
            body = _lz4(packed, most)
        elif codec == SNAPPY:
            body = _snappy(packed, most)
        else:
            return b"", False
    except (zlib.error, IndexError) as error:
        raise DamagedError(str(error)) from error
    except zstandard.ZstdError as error:
        if "memory" in str(error):  # a window larger than what is allowed here
            return b"", False
        raise DamagedError(str(error)) from error
    return body, len(body) < most


def _lz4(packed: bytes, most: int) -> bytes:
    if packed[:4] != _LZ4_FRAME:
        raise DamagedError("no lz4 frame")
    flags = packed[4]
    at = 7 + 8 * bool(flags & 0x08) + 4 * bool(flags & 0x01)  # size of the content, number of a dictionary
    out = bytearray()
    while len(out) < most:
        head = int.from_bytes(_some(packed, at, 4), "little")
        at += 4
        if not head:
            break
        size = head & 0x7FFFFFFF
        block = _some(packed, at, size)
        if head >> 31:
            out += block[:most]
        else:
            _lz4_block(block, out, most)
        at += size + 4 * bool(flags & 0x10)  # checksum of the block
    return bytes(out)


def _lz4_block(block: bytes, out: bytearray, most: int) -> None:
    at = 0
    while at < len(block) and len(out) < most:
        token = block[at]
        count, at = _lz4_length(block, at + 1, token >> 4)
        out += _some(block, at, count)
        at += count
        if at == len(block):  # the last sequence has no match
            return
        distance = block[at] | block[at + 1] << 8
        count, at = _lz4_length(block, at + 2, token & 0x0F)
        _repeat(out, distance, count + 4, most)


def _lz4_length(block: bytes, at: int, nibble: int) -> tuple[int, int]:
    count = nibble
    if nibble == 15:
        while True:
            more = block[at]
            at += 1
            count += more
            if more != 255:
                break
    return count, at


def _snappy(packed: bytes, most: int) -> bytes:
    out = bytearray()
    if packed[: len(_XERIAL)] != _XERIAL:
        _snappy_block(packed, out, most)
        return bytes(out)
    at = _XERIAL_HEADER_BYTES
    while at < len(packed) and len(out) < most:
        size = int.from_bytes(_some(packed, at, 4), "big")
        block = bytearray()
        _snappy_block(_some(packed, at + 4, size), block, most - len(out))
        out += block
        at += 4 + size
    return bytes(out)


def _snappy_block(block: bytes, out: bytearray, most: int) -> None:
    at = 0
    while block[at] >= 0x80:  # how long it is unpacked, as a varint; the elements say so too
        at += 1
    at += 1
    while at < len(block) and len(out) < most:
        tag, at = block[at], at + 1
        kind, count = tag & 3, tag >> 2
        if kind == 0:
            if count >= 60:
                width = count - 59
                count = int.from_bytes(_some(block, at, width), "little")
                at += width
            out += _some(block, at, count + 1)
            at += count + 1
        elif kind == 1:
            _repeat(out, tag >> 5 << 8 | block[at], (count & 7) + 4, most)
            at += 1
        else:
            width = 2 if kind == 2 else 4
            _repeat(out, int.from_bytes(_some(block, at, width), "little"), count + 1, most)
            at += width


def _some(packed: bytes, at: int, count: int) -> bytes:
    if at + count > len(packed):
        raise DamagedError("it ends early")
    return packed[at : at + count]


def _repeat(out: bytearray, distance: int, count: int, most: int) -> None:
    """Append `count` bytes, at most up to `most` in all, that lie `distance` back; they may overlap the end."""
    if not 0 < distance <= len(out):
        raise DamagedError("a match before the beginning")
    count, start = min(count, most - len(out)), len(out) - distance
    found = out[start : start + count]
    out += (found * (count // distance + 1))[:count] if distance < count else found
