"""Commits as `__consumer_offsets` holds them: every version, real bytes, and bytes that are none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.domain.numbers import Layout
from collectors.domain.scope import ALL, Scope
from collectors.kafka.commit_book import CommitTimesBook
from collectors.kafka.commit_records import Commit, Passed, Place, commit_of, offsets_partition, place_of

KEY = bytes.fromhex("0001 0001 67 0001 74 00000003")
AT = 1_700_000_000_000
VALUES = {
    "v0": "0000 000000000000007b 0001 6d 0000018bcfe56800",
    "v1, expires": "0001 000000000000007b 0001 6d 0000018bcfe56800 0000000000000063",
    "v2": "0002 000000000000007b 0001 6d 0000018bcfe56800",
    "v3, epoch 7": "0003 000000000000007b 00000007 0001 6d 0000018bcfe56800",
    "v3, no metadata": "0003 000000000000007b 00000007 ffff 0000018bcfe56800",
    "v4, no tag": "0004 000000000000007b 00000007 02 6d 0000018bcfe56800 00",
    "v4, topic id": "0004 000000000000007b 00000007 02 6d 0000018bcfe56800 01 00 10 00000000000000000000000000000005",
    "v4, no metadata": "0004 000000000000007b 00000007 00 0000018bcfe56800 00",
    "v4, 200 bytes of metadata": "0004 000000000000007b 00000007 c901" + "6d" * 200 + "0000018bcfe56800 00",
}
REAL = (
    "0001 0007 62756c6b2d6732 0007 62756c6b2d3039 000000c7",
    "0004 0000000000000000 ffffffff 01 000001a204fd17ca 01 00 10 5846450b50d14845acc4f2001e3d9f32",
)


@pytest.mark.parametrize("text", VALUES.values(), ids=VALUES)
def test_every_version_tells_offset_and_time(text: str) -> None:
    assert commit_of(bytes.fromhex(text)) == Commit(123, AT)


def test_what_a_broker_wrote_is_read() -> None:
    key, value = map(bytes.fromhex, REAL)
    assert place_of(key) == Place("bulk-g2", "bulk-09", 199)
    assert commit_of(value) == Commit(0, 0x1A204FD17CA)
    assert place_of(KEY) == Place("g", "t", 3)
    assert place_of(b"\0\0" + KEY[2:]) == Place("g", "t", 3)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (None, Passed.DAMAGED),
        (b"", Passed.DAMAGED),
        (b"\0", Passed.DAMAGED),
        (bytes.fromhex("0002 0001 67"), Passed.OTHER_TYPE),
        (bytes.fromhex("0063 ffff"), Passed.OTHER_TYPE),
        (bytes.fromhex("ffff 0001 67"), Passed.OTHER_TYPE),
        (bytes.fromhex("0001 ffff 0001 74 00000003"), Passed.DAMAGED),
        (bytes.fromhex("0001 0001 ff 0001 74 00000003"), Passed.DAMAGED),  # no UTF-8
        (bytes.fromhex("0001 0001 67 0001 74 ffffffff"), Passed.DAMAGED),
        *((KEY[:cut], Passed.DAMAGED) for cut in range(2, len(KEY))),
    ],
)
def test_a_key_of_something_else_is_named_and_passed(key: bytes | None, why: Passed) -> None:
    assert place_of(key) is why


@pytest.mark.parametrize("text", [VALUES["v1, expires"], VALUES["v3, epoch 7"], VALUES["v4, no tag"]])
def test_a_value_that_ends_early_is_damaged(text: str) -> None:
    whole = bytes.fromhex(text)
    needed = whole.index(bytes.fromhex("0000018bcfe56800")) + 8
    assert {commit_of(whole[:cut]) for cut in range(needed)} == {Passed.DAMAGED}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0005 000000000000007b 00000007 02 6d 0000018bcfe56800 00", Passed.OTHER_VERSION),
        ("ffff 000000000000007b 0001 6d 0000018bcfe56800", Passed.OTHER_VERSION),
        ("0003 000000000000007b 00000007 fffe 0000018bcfe56800", Passed.DAMAGED),  # a length below none
        ("0003 000000000000007b 00000007 ffff ffffffffffffffff", Passed.DAMAGED),  # no time
        ("0004 000000000000007b 00000007 ffffffffffffffff 0000018bcfe56800", Passed.DAMAGED),
    ],
)
def test_a_value_that_is_none_is_named_and_passed(text: str, why: Passed) -> None:
    assert commit_of(bytes.fromhex(text)) is why


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_no_bytes_make_it_fail(key: bytes, value: bytes) -> None:
    place_of(b"\0\1" + key)
    commit_of(b"\0\4" + value)
    book = CommitTimesBook(ALL)
    book.take(b"\0\1" + key, value)
    book.take(key, None)


@pytest.mark.parametrize(
    ("group", "partition"),
    [("billing", 9), ("my-group", 12), ("payments", 13), ("orders-service", 17), ("console-consumer-1", 24), ("", 0)],
)
def test_a_group_lies_where_java_puts_it(group: str, partition: int) -> None:
    assert offsets_partition(group, 50) == partition


def test_the_smallest_hash_is_zero() -> None:
    assert offsets_partition("polygenelubricants", 50) == 0  # whose hash in Java is Integer.MIN_VALUE


# --- the book ---------------------------------------------------------------------------------------------------------

LAYOUT = Layout.build({"g": [("t", 0), ("t", 1)], "h": [("t", 0)]})
ALL_READ = np.full(50, 1_000, dtype=np.int64)


def key(group: str, topic: str, partition: int) -> bytes:
    parts = b"".join(len(name).to_bytes(2, "big") + name.encode() for name in (group, topic))
    return b"\0\1" + parts + partition.to_bytes(4, "big")


def value(at_ms: int, offset: int = 7) -> bytes:
    return b"\0\3" + offset.to_bytes(8, "big") + b"\0\0\0\0" + b"\xff\xff" + at_ms.to_bytes(8, "big")


def told(
    book: CommitTimesBook, layout: Layout = LAYOUT, since: np.ndarray = ALL_READ, **given: object
) -> list[int | None]:
    numbers = book.column(layout, since, **given).numbers  # type: ignore[arg-type]
    return [None if (found := numbers.at(i)) is None else int(found) for i in range(len(numbers))]


def test_the_newest_commit_counts_and_what_was_never_seen_says_since_when() -> None:
    book = CommitTimesBook(ALL)
    book.take(key("g", "t", 1), value(5_000))
    book.take(key("g", "t", 1), value(9_000))
    book.take(key("unknown", "t", 0), value(9_000))
    assert told(book) == [-1_000, 9_000, -1_000]
    book.take(key("h", "t", 0), value(9_500))
    assert told(book) == [-1_000, 9_000, 9_500]
    assert told(book, Layout.build({"h": [("t", 0), ("u", 0)]})) == [9_500, -1_000]
    book.take(key("h", "t", 0), None)
    assert told(book) == [-1_000, 9_000, -1_000]


def test_what_is_not_read_up_to_now_is_unknown() -> None:
    book = CommitTimesBook(ALL)
    book.take(key("g", "t", 1), value(9_000))
    since = ALL_READ.copy()
    since[offsets_partition("g", 50)] = 0
    assert told(book, since=since) == [None, None, -1_000]
    assert told(book, since=np.zeros(0, dtype=np.int64)) == [None, None, None]
    assert told(book, without={"h"}) == [-1_000, 9_000, None]
    book.clear()
    assert told(book) == [-1_000, -1_000, -1_000]


def test_what_comes_after_a_mark_waits_for_the_next_one() -> None:
    book = CommitTimesBook(ALL)
    book.take(key("g", "t", 1), value(5_000))
    book.mark()
    book.take(key("g", "t", 1), value(9_000))
    book.take(key("h", "t", 0), value(9_000))
    assert told(book) == [-1_000, 5_000, -1_000]
    book.mark()
    assert told(book) == [-1_000, 9_000, 9_000]


def test_only_what_is_in_the_scope_is_kept() -> None:
    book = CommitTimesBook(Scope(topics_exclude=("u*",), groups_exclude=("h",)))
    for one in (key("g", "t", 0), key("h", "t", 0), key("g", "u1", 0)):
        book.take(one, value(9_000))
        book.take(one, value(9_100))
    assert len(book) == 1
    assert book.records == 6
    assert told(book) == [9_100, -1_000, -1_000]


def test_other_records_are_counted_by_why() -> None:
    book = CommitTimesBook(ALL)
    book.take(bytes.fromhex("0002 0001 67"), b"")
    book.take(key("g", "t", 0)[:-1], value(1))
    book.take(key("g", "t", 0), b"\0\x09")
    assert book.passed == {Passed.OTHER_TYPE: 1, Passed.DAMAGED: 1, Passed.OTHER_VERSION: 1}
    assert book.records == 3


def test_memory_is_bounded_and_the_longest_silent_go_first() -> None:
    book = CommitTimesBook(Scope(groups_exclude=("h",)), most=10)
    for partition in range(25):
        book.take(key("g", "t", partition), value(1_000_000 + partition))
        book.take(key("h", "t", partition), value(1))
        assert len(book) <= 10
    layout = Layout.build({"g": [("t", partition) for partition in range(25)]})
    found = told(book, layout)
    assert found[24] == 1_000_024
    kept = [at for at in found if at is not None and at > 0]
    assert found[0] is not None
    assert -min(kept) < found[0] < -1_000, "it has not committed since the newest that was let go of"
