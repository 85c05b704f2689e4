"""The records of a compressed batch, no more than is wanted of them: what a stranger packed may be gigabytes."""

from __future__ import annotations

import io
import zlib

import cramjam
import lz4.frame
import zstandard

PLAIN, GZIP, SNAPPY, LZ4, ZSTD = range(5)
WINDOW_BYTES = 8 << 20
"""Of zstd: more memory is not given to unpack a batch."""
BLOCK_BYTES = 8 << 20
"""Of snappy, which says itself how large a block is unpacked: a larger one is not."""
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16


class DamagedError(ValueError):
    """These bytes are not what they are said to be."""


class TooLargeError(Exception):
    """More than is unpacked here."""


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
    except TooLargeError:
        return b"", False
    except zlib.error as error:
        raise DamagedError(str(error)) from error
    except zstandard.ZstdError as error:
        if "memory" in str(error):  # a window larger than what is allowed here
            return b"", False
        raise DamagedError(str(error)) from error
    return body, len(body) < most


def _lz4(packed: bytes, most: int) -> bytes:
    try:
        frame = lz4.frame.LZ4FrameDecompressor()
        body: bytes = frame.decompress(packed, max_length=most)
    except RuntimeError as error:
        raise DamagedError(str(error)) from error
    if len(body) < most and not frame.eof:
        raise DamagedError("it ends early")
    return body


def _snappy(packed: bytes, most: int) -> bytes:
    """A block, or snappy-java's sequence of blocks with their lengths (xerial), which Java clients write."""
    if packed[: len(_XERIAL)] != _XERIAL:
        return _snappy_block(packed)
    out = bytearray()
    at = _XERIAL_HEADER_BYTES
    while at < len(packed) and len(out) < most:
        size = int.from_bytes(packed[at : at + 4], "big")
        block = packed[at + 4 : at + 4 + size]
        if len(block) < size or not size:
            raise DamagedError("it ends early")
        out += _snappy_block(block)
        at += 4 + size
    return bytes(out)


def _snappy_block(block: bytes) -> bytes:
    try:
        if cramjam.snappy.decompress_raw_len(block) > BLOCK_BYTES:  # what it says of itself, before it is given memory
            raise TooLargeError
        return bytes(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError as error:
        raise DamagedError(str(error)) from error
