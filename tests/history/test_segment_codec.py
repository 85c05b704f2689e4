"""What goes into a segment or a layout comes out of it, and damage is noticed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.domain.numbers import Layout
from collectors.history import codec
from collectors.history.layouts import SEGMENT_POSITIONS, StoredLayout, align, cut

INT64 = st.integers(-(2**63), 2**63 - 1)
NEARBY = st.integers(-300, 70_000)
VALUE = st.one_of(NEARBY, INT64, st.sampled_from([-1, 0, 2**63 - 1, -(2**63)]))
CELL = st.tuples(VALUE, VALUE, st.booleans(), st.booleans())


def cuts_of(data: st.DataObject, count: int) -> np.ndarray:
    inner = data.draw(st.lists(st.integers(0, count), max_size=4))
    return np.array(sorted([0, *inner, count]), dtype=np.int64)


@given(st.lists(CELL, max_size=60), st.booleans(), st.data())
def test_what_goes_in_comes_out_of_key_and_delta_bodies(
    cells: list[tuple[int, int, bool, bool]], all_known: bool, data: st.DataObject
) -> None:
    key_known = np.array([all_known or known for _, _, known, _ in cells], dtype=np.bool_)
    known = np.array([all_known or known for _, _, _, known in cells], dtype=np.bool_)
    key_values = np.where(key_known, np.array([cell[0] for cell in cells], dtype=np.int64), 0)
    values = np.where(known, np.array([cell[1] for cell in cells], dtype=np.int64), 0)
    cuts = cuts_of(data, len(cells))
    keys = codec.encode_segments(cuts, key_values, key_known)
    sums = [codec.checksum_of(body) for body in keys]
    deltas = codec.encode_segments(cuts, values, known, reference=key_values, key_checksums=sums)
    assert len(keys) == len(deltas) == len(cuts) - 1
    for i, (first, end) in enumerate(pairwise(cuts)):
        key = codec.decode_key(keys[i], end - first)
        assert key.values.tolist() == key_values[first:end].tolist()
        assert key.known.tolist() == key_known[first:end].tolist()
        delta = codec.decode(deltas[i], end - first, key)
        assert delta.values.tolist() == values[first:end].tolist()
        assert delta.known.tolist() == known[first:end].tolist()
        take = slice(0, (end - first) // 2)
        many, many_known, bad = codec.decode_many([keys[i], deltas[i], deltas[i]], [None, key, key], end - first, take)
        assert not bad
        assert many[0].tolist() == key.values[take].tolist()
        assert many[1].tolist() == many[2].tolist() == delta.values[take].tolist()
        assert many_known[1].tolist() == delta.known[take].tolist()


@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    values = np.arange(50, dtype=np.int64) * 977
    known = np.arange(50) % 7 != 0
    body = bytearray(codec.encode_segments(np.array([0, 50]), np.where(known, values, 0), known)[0])
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(codec.BadBodyError):
        codec.decode_key(bytes(body), 50)


@pytest.mark.parametrize("body", [b"", b"\x01", b"\x01" * 15, b"\x01" * 200])
def test_nonsense_is_a_bad_body(body: bytes) -> None:
    with pytest.raises(codec.BadBodyError):
        codec.decode_key(body, 10)


def test_a_delta_is_refused_without_its_own_key_frame() -> None:
    cuts, known = np.array([0, 3]), np.ones(3, dtype=np.bool_)
    values = np.array([1, 2, 3], dtype=np.int64)
    key = codec.encode_segments(cuts, values, known)[0]
    delta = codec.encode_segments(cuts, values + 1, known, reference=values, key_checksums=[codec.checksum_of(key)])[0]
    other = codec.decode_key(codec.encode_segments(cuts, values * 10, known)[0], 3)
    with pytest.raises(codec.BadBodyError, match="another key frame"):
        codec.decode(delta, 3, other)
    with pytest.raises(codec.BadBodyError, match="without a readable key frame"):
        codec.decode(delta, 3, None)
    with pytest.raises(codec.BadBodyError, match="a key frame was expected"):
        codec.decode_key(delta, 3)
    with pytest.raises(codec.BadBodyError, match="its layout 4"):
        codec.decode_key(key, 4)


NAME = st.text(max_size=5)
MEMBERS = st.dictionaries(
    NAME, st.sets(st.tuples(NAME, st.one_of(st.integers(-1, 5), st.just(2**31 - 1))), max_size=4), max_size=6
)


@given(MEMBERS)
def test_a_layout_comes_back_as_it_was(members: dict[str, set[tuple[str, int]]]) -> None:
    layout = Layout.build(members)
    stored, cuts = codec.decode_layout(codec.encode_layout(layout, cut(layout)))
    assert stored.digest == layout.digest
    assert stored.owners == layout.owners
    assert cuts.tolist() == cut(layout).tolist()


def test_a_name_that_is_not_utf8_can_be_stored() -> None:
    layout = Layout.build({"bad\udcff": [("t\udc80", 0)]})
    assert codec.decode_layout(codec.encode_layout(layout, cut(layout)))[0].owners == ("bad\udcff",)


def test_a_damaged_layout_is_noticed() -> None:
    layout = Layout.build({"a": [("a", 0)]})
    stored = bytearray(codec.encode_layout(layout, cut(layout)))
    stored[-1] ^= 1
    with pytest.raises(codec.BadBodyError, match="checksum"):
        codec.decode_layout(bytes(stored))


@given(MEMBERS, MEMBERS)
def test_positions_of_two_layouts_are_matched_by_member(
    a: dict[str, set[tuple[str, int]]], b: dict[str, set[tuple[str, int]]]
) -> None:
    source, target = Layout.build(a), Layout.build(b)
    found = align(StoredLayout(source, cut(source)), StoredLayout(target, cut(target)), by_owner=True)
    expected = [-1] * len(source)
    for member, position in source.position.items():
        expected[position] = target.position.get(member, -1)
    assert found.tolist() == expected


@given(MEMBERS, st.dictionaries(NAME, st.sets(st.integers(0, 5), max_size=4), max_size=6))
def test_partitions_are_found_in_a_layout_of_topics(
    a: dict[str, set[tuple[str, int]]], counts: dict[str, set[int]]
) -> None:
    source, target = Layout.build(a), Layout.of_topics(counts)
    found = align(StoredLayout(source, cut(source)), StoredLayout(target, cut(target)), by_owner=False)
    expected = [-1] * len(source)
    for (_, topic, partition), position in source.position.items():
        expected[position] = target.position.get((topic, topic, partition), -1)
    assert found.tolist() == expected


@given(st.lists(st.sampled_from([0, 1, 3, 400, 1023, 1024, 1025, 5000]), max_size=12))
def test_segments_are_cut_between_owners_only(sizes: list[int]) -> None:
    layout = Layout.of_topics({f"t{i:02}": range(size) for i, size in enumerate(sizes)})
    cuts = cut(layout)
    assert cuts[0] == 0
    assert cuts[-1] == len(layout)
    assert set(cuts.tolist()) <= set(layout.starts.tolist()) | {0}
    for first, end in pairwise(cuts):
        if end - first > SEGMENT_POSITIONS:
            held = layout.starts[(layout.starts >= first) & (layout.starts <= end)]
            assert np.count_nonzero(np.diff(held)) == 1, "an owner larger than a segment is alone"


def test_a_layout_of_nobody_has_one_empty_segment() -> None:
    assert cut(Layout.build({})).tolist() == [0, 0]
