"""Bytes of the "flexible" message versions (KIP-482): a position that walks through them, and what is put into them."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray


class IrregularError(ValueError):
    """The bytes are not of the plain shape that is read here (tagged fields, a newer version, damage)."""


class Cursor:
    """A position in a flexible body; every step raises IrregularError instead of running over the end."""

    __slots__ = ("at", "body")

    def __init__(self, body: bytes, at: int) -> None:
        self.body = body
        self.at = at

    def uvarint(self) -> int:
        at = self.at
        if at < len(self.body) and (first := self.body[at]) < 0x80:  # nearly always
            self.at = at + 1
            return first
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


def uvarint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def compact_string(text: str) -> bytes:
    raw = text.encode()
    return uvarint(len(raw) + 1) + raw
