"""The first record in bytes of a log: data, markers, compressed, cut short, damaged; bytes of the library's builder."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import cramjam
import pytest
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.legacy_records import LegacyRecordBatchBuilder
from kafka.record.util import calc_crc32c
from lz4 import frame

from collectors.domain.heads import Head
from collectors.kafka import batches
from collectors.kafka.batches import DAMAGED, NEW_FORMAT, OLD_FORMAT, look
from collectors.kafka.unpack import BLOCK_BYTES, DamagedError, unpacked

T0 = 1_700_000_000_000
NONE, GZIP, SNAPPY, LZ4, ZSTD, UNHEARD_OF = range(6)
EVERY = [NONE, GZIP, SNAPPY, LZ4, ZSTD]
CONTROL, BY_BROKER = 0x20, 0x08
COMMIT, ABORT = struct.pack(">hh", 0, 1), struct.pack(">hh", 0, 0)


def batch(base: int, count: int = 1, *, codec: int = NONE, transactional: bool = False, value: bytes = b"x") -> bytes:
    """Records at `base` and on, a second apart; record 0 of a log at T0."""
    producer = {"producer_id": 7, "producer_epoch": 0, "base_sequence": 0} if transactional else {}
    state = {"producer_id": -1, "producer_epoch": -1, "base_sequence": -1} | producer
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0 if codec in PACKED_HERE else codec,
        is_transactional=transactional,
        batch_size=10**9,
        **state,
    )
    for delta in range(count):
        headers = [("h", b"1")] if delta % 2 else []
        builder.append(delta, T0 + (base + delta) * 1000, b"k", value, headers)
    raw = bytes(builder.build())
    if codec in PACKED_HERE:
        raw = raw[:61] + PACKED_HERE[codec](raw[61:])
        raw = raw[:8] + struct.pack(">i", len(raw) - 12) + raw[12:]
        return based(raw, base, flags=codec)
    return based(raw, base)


def lz4(body: bytes) -> bytes:
    return bytes(frame.compress(body, block_linked=False))  # as Kafka's producers make them


def snappy(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))


def xerial(body: bytes) -> bytes:
    blocks = [snappy(body[at : at + 50]) for at in range(0, len(body), 50)]
    head = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
    return head + b"".join(struct.pack(">i", len(block)) + block for block in blocks)


PACKED_HERE = {SNAPPY: xerial, LZ4: lz4}


def based(raw: bytes, base: int, *, flags: int = 0) -> bytes:
    """The batch as the broker keeps it: offsets from `base` on, more attributes set, the checksum renewed."""
    out = bytearray(raw)
    struct.pack_into(">q", out, 0, base)
    struct.pack_into(">h", out, 21, struct.unpack_from(">h", out, 21)[0] | flags)
    struct.pack_into(">I", out, 17, calc_crc32c(memoryview(out)[21:]))
    return bytes(out)


def marker(at: int, kind: bytes = COMMIT) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=True, producer_id=7, producer_epoch=0, base_sequence=0,
        batch_size=10**6,
    )  # fmt: skip
    builder.append(0, T0 + at * 1000, kind, struct.pack(">hi", 0, 0), [])
    return based(bytes(builder.build()), at, flags=CONTROL)


def head(at: int, *, by_broker: bool = False) -> Head:
    return Head(at, (T0 + at * 1000) / 1000, by_broker)


@pytest.mark.parametrize("codec", EVERY)
@pytest.mark.parametrize("wanted", [10, 13, 19])
def test_a_record_within_a_batch_has_its_own_timestamp(codec: int, wanted: int) -> None:
    assert look(batch(10, 10, codec=codec), wanted).head == head(wanted)


def test_what_lies_before_the_offset_and_what_is_cut_off_at_the_end_are_left_out() -> None:
    raw = batch(0, 5) + batch(5, 5) + batch(10, 5)
    assert look(raw, 7).head == head(7)
    assert look(raw[:-3], 7).head == head(7)
    cut = look(raw[:-3], 12)
    assert (cut.head, cut.upto, cut.reason) == (None, 12, "")
    assert look(b"", 3).upto == 3


def test_what_compaction_took_is_passed_over() -> None:
    assert look(batch(5, 2) + batch(40, 2), 8).head == head(40)
    emptied = bytearray(batch(5, 3))
    struct.pack_into(">i", emptied, 57, 0)
    emptied = emptied[:61]
    struct.pack_into(">i", emptied, 8, 61 - 12)
    raw = based(bytes(emptied), 5)
    assert (look(raw, 6).head, look(raw, 6).upto) == (None, 8)
    assert look(raw + batch(8), 6).head == head(8)


def test_markers_alone_are_no_record() -> None:
    found = look(marker(9), 9)
    assert (found.head, found.upto, found.reason) == (None, 10, "")
    found = look(marker(9) + marker(10, ABORT) + marker(11), 10)
    assert (found.head, found.upto) == (None, 12)


def test_a_record_behind_markers_is_the_head() -> None:
    assert look(marker(9) + batch(10, transactional=True) + marker(11), 9).head == head(10)


def test_a_record_of_an_aborted_transaction_is_a_record_to_who_reads_uncommitted() -> None:
    assert look(batch(10, 4, transactional=True) + marker(14, ABORT), 10).head == head(10)


def test_a_timestamp_of_the_broker_is_that_of_the_batch() -> None:
    raw = bytearray(batch(10, 5))
    struct.pack_into(">q", raw, 35, T0 + 99_000)
    assert look(based(bytes(raw), 10, flags=BY_BROKER), 12).head == Head(12, (T0 + 99_000) / 1000, True)


def test_a_record_without_a_timestamp_has_none() -> None:
    raw = bytearray(batch(10))
    struct.pack_into(">qq", raw, 27, -1, -1)
    assert look(based(bytes(raw), 10), 10).head == Head(10, None, False)


def test_a_batch_that_cannot_be_unpacked_here_gives_bounds() -> None:
    raw = based(batch(10, 10), 10, flags=UNHEARD_OF)
    assert look(raw, 13).head == Head(13, (T0 + 19_000) / 1000, False, (T0 + 10_000) / 1000)
    one = based(batch(10), 10, flags=UNHEARD_OF)
    assert look(one, 10).head == head(10)
    assert look(based(raw, 10, flags=BY_BROKER), 13).head == Head(13, (T0 + 19_000) / 1000, True)


@pytest.mark.parametrize("codec", EVERY)
def test_of_a_large_batch_no_more_is_unpacked_than_is_allowed(monkeypatch: pytest.MonkeyPatch, codec: int) -> None:
    monkeypatch.setattr(batches, "UNPACKED_BYTES", 2_000)
    raw = batch(0, 100, codec=codec, value=b"x" * 100)
    assert look(raw, 3).head == head(3)
    assert look(raw, 90).head == Head(90, (T0 + 99_000) / 1000, False, T0 / 1000)


@pytest.mark.parametrize("codec", EVERY)
def test_damage_gives_a_reason(codec: int) -> None:
    whole = batch(10, 5, codec=codec)
    broken = bytearray(whole)
    broken[70] ^= 0xFF
    assert look(bytes(broken), 10).reason == DAMAGED
    short = bytearray(whole[:-12])
    struct.pack_into(">i", short, 8, len(short) - 12)
    assert look(based(bytes(short), 10), 14).reason == DAMAGED


@pytest.mark.parametrize("length", [-1, 0, 3, 48])
def test_a_length_that_no_batch_has_is_damage(length: int) -> None:
    raw = bytearray(batch(10))
    struct.pack_into(">i", raw, 8, length)
    assert look(bytes(raw), 10).reason == DAMAGED


def test_other_formats_are_named() -> None:
    builder = LegacyRecordBatchBuilder(magic=1, compression_type=0, batch_size=1000)
    builder.append(0, T0, b"k", b"v")
    assert look(bytes(builder.build()), 0).reason == OLD_FORMAT
    newer = bytearray(batch(0))
    newer[16] = 3
    assert look(bytes(newer), 0).reason == NEW_FORMAT


@pytest.mark.parametrize("codec", EVERY)
@pytest.mark.parametrize("seed", range(3))
def test_no_bytes_of_a_stranger_raise(codec: int, seed: int) -> None:
    chance = random.Random(seed)
    whole = marker(9) + batch(10, 8, codec=codec) + batch(18, 3)
    for _ in range(400):
        raw = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        if chance.random() < 0.5 and len(raw) > 139:
            raw = raw[:78] + based(bytes(raw[78:]), 10)
        found = look(bytes(raw[: chance.randint(0, len(raw))]), chance.randint(0, 25))
        assert found.upto >= 0


@pytest.mark.parametrize("pack", [lz4, snappy, xerial])
@pytest.mark.parametrize("body", [b"", b"x", b"abcd" * 300, bytes(range(256)) * 3, b"y" * 5_000 + b"end"])
def test_what_was_packed_comes_out_again(pack: Callable[[bytes], bytes], body: bytes) -> None:
    codec = LZ4 if pack is lz4 else SNAPPY
    assert unpacked(pack(body), codec, 10_000) == (body, True)
    some, is_whole = unpacked(pack(body), codec, 100)
    assert not is_whole or len(body) < 100
    assert body.startswith(some)
    assert len(some) >= min(100, len(body))


def test_a_match_that_would_fill_the_memory_is_cut_off() -> None:
    assert unpacked(lz4(b"x" * 50_000_000), LZ4, 1_000) == (b"x" * 1_000, False)
    assert unpacked(snappy(b"x" * (BLOCK_BYTES + 1)), SNAPPY, 1_000) == (b"", False)
    assert unpacked(b"\xff\xff\xff\xff\x0f" + b"z" * 9, SNAPPY, 1_000) == (b"", False), "it says 4 GB of itself"


@pytest.mark.parametrize("codec", [LZ4, SNAPPY])
@pytest.mark.parametrize(
    "packed", [b"", b"\x04\x22\x4d\x18garbage", b"\x82SNAPPY\x00" + bytes(12) + b"\x7f", b"\xff" * 20]
)
def test_what_is_no_frame_is_damaged(codec: int, packed: bytes) -> None:
    with pytest.raises(DamagedError):
        unpacked(packed, codec, 10)
