"""The bytes that are asked and answered, compared with the library's own encoding and decoding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.protocol.admin import DescribeLogDirsResponse
from kafka.protocol.consumer import (
    ListOffsetsRequest,
    ListOffsetsResponse,
    OffsetFetchRequest,
    OffsetFetchResponse,
)

from collectors.kafka import wire
from collectors.kafka.flexible import IrregularError
from collectors.kafka.log_dirs import read_log_dirs

offsets = st.integers(min_value=-1, max_value=2**62)
names = st.text(alphabet="abc.-_ü", min_size=1, max_size=20)
codes = st.sampled_from([0, 0, 0, 3, 6])
listed = st.dictionaries(
    names, st.dictionaries(st.integers(0, 300), st.tuples(codes, offsets), min_size=1, max_size=9), max_size=5
)
fetched = st.dictionaries(
    names,
    st.dictionaries(
        names,
        st.dictionaries(
            st.integers(0, 300), st.tuples(codes, offsets, st.sampled_from(["", "", "AQ==", "é" * 90])), max_size=9
        ),
        max_size=4,
    ),
    max_size=4,
)


def list_offsets_answer(topics: dict[str, dict[int, tuple[int, int]]]) -> bytes:
    topic_class = ListOffsetsResponse.ListOffsetsTopicResponse
    partition_class = topic_class.ListOffsetsPartitionResponse
    return bytes(
        ListOffsetsResponse(
            throttle_time_ms=7,
            topics=[
                topic_class(
                    name=name,
                    partitions=[
                        partition_class(partition_index=p, error_code=c, timestamp=-1, offset=o, leader_epoch=4)
                        for p, (c, o) in found.items()
                    ],
                )
                for name, found in topics.items()
            ],
        ).encode(version=7)
    )


def epoch_of(offset: int) -> int:
    """The leader epoch that an answer gives with an offset."""
    return offset % 7 - 1


def offset_fetch_answer(groups: dict[str, dict[str, dict[int, tuple[int, int, str]]]], error: int = 0) -> bytes:
    group_class = OffsetFetchResponse.OffsetFetchResponseGroup
    topic_class = group_class.OffsetFetchResponseTopics
    partition_class = topic_class.OffsetFetchResponsePartitions
    return bytes(
        OffsetFetchResponse(
            throttle_time_ms=0,
            groups=[
                group_class(
                    group_id=group,
                    error_code=error,
                    topics=[
                        topic_class(
                            name=name,
                            partitions=[
                                partition_class(
                                    partition_index=p,
                                    committed_offset=o,
                                    committed_leader_epoch=epoch_of(o),
                                    metadata=m,
                                    error_code=c,
                                )
                                for p, (c, o, m) in found.items()
                            ],
                        )
                        for name, found in topics.items()
                    ],
                )
                for group, topics in groups.items()
            ],
        ).encode(version=8)
    )


def flat(reading: wire.Reading) -> dict[tuple[str, str, int], tuple[int, int]]:
    keys = [(run.owner, run.topic, int(p)) for run in reading.shape.runs for p in run.partitions]
    values = zip(reading.shape.errors.tolist(), reading.offsets.tolist(), strict=True)
    return dict(zip(keys, values, strict=True))


def test_a_list_offsets_request_has_the_bytes_that_the_library_would_send() -> None:
    topics = {"orders": [0, 1, 5], "größe": list(range(200))}
    topic_class = ListOffsetsRequest.ListOffsetsTopic
    expected = ListOffsetsRequest(
        replica_id=-1,
        isolation_level=0,
        topics=[
            topic_class(
                name=name,
                partitions=[
                    topic_class.ListOffsetsPartition(partition_index=p, current_leader_epoch=-1, timestamp=-2)
                    for p in found
                ],
            )
            for name, found in topics.items()
        ],
    ).encode(version=7)
    partitions = np.array([p for found in topics.values() for p in found], dtype=np.int32)
    ours = wire.list_offsets_body(list(topics), [0, 3, 203], partitions, wire.EARLIEST)
    assert ours == bytes(expected)


def test_an_offset_fetch_request_has_the_bytes_that_the_library_would_send() -> None:
    names = ["billing", "größe", "x" * 300]
    group_class = OffsetFetchRequest.OffsetFetchRequestGroup
    expected = OffsetFetchRequest(
        groups=[group_class(group_id=n, topics=None) for n in names], require_stable=False
    ).encode(version=8)
    assert wire.offset_fetch_body(names) == bytes(expected)


@pytest.mark.slow
@given(listed)
@settings(deadline=None)
def test_list_offsets_answers_read_as_the_library_reads_them(topics: dict[str, dict[int, tuple[int, int]]]) -> None:
    body = list_offsets_answer(topics)
    reader = wire.list_offsets_reader()
    expected = {("", name, p): value for name, found in topics.items() for p, value in found.items()}
    assert flat(reader.read(body)) == expected
    assert reader.fallbacks == 0
    assert flat(wire._library_list_offsets(body)) == expected


@pytest.mark.slow
@given(fetched)
@settings(deadline=None)
def test_offset_fetch_answers_read_as_the_library_reads_them(
    groups: dict[str, dict[str, dict[int, tuple[int, int, str]]]],
) -> None:
    body = offset_fetch_answer(groups)
    reader = wire.offset_fetch_reader()
    expected = {
        (group, topic, p): (code, offset)
        for group, topics in groups.items()
        for topic, found in topics.items()
        for p, (code, offset, _) in found.items()
    }
    reading = reader.read(body)
    assert flat(reading) == expected
    assert reading.shape.owner_errors == tuple((group, 0) for group in groups)
    assert reader.fallbacks == 0
    assert flat(wire._library_offset_fetch(body)) == expected
    for read in (reading, wire._library_offset_fetch(body)):
        assert read.epochs is not None
        assert read.epochs.tolist() == [epoch_of(offset) for offset in read.offsets.tolist()]


def test_the_shape_is_kept_while_only_offsets_and_metadata_move() -> None:
    reader = wire.offset_fetch_reader()
    first = reader.read(offset_fetch_answer({"g": {"t": {0: (0, 5, "aa"), 1: (0, 6, "")}}}))
    second = reader.read(offset_fetch_answer({"g": {"t": {0: (0, 9, "bb"), 1: (0, 7, "")}}}))
    assert second.shape is first.shape
    assert second.offsets.tolist() == [9, 7]
    assert reader.walks == 1


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("a new error", {"t": {0: (6, -1), 1: (0, 2)}}),
        ("another partition", {"t": {0: (0, 1), 2: (0, 2)}}),
        ("another topic of the same length", {"u": {0: (0, 1), 1: (0, 2)}}),
        ("one partition less", {"t": {0: (0, 1)}}),
    ],
)
def test_the_shape_is_found_anew_on(why: str, change: dict[str, dict[int, tuple[int, int]]]) -> None:
    reader = wire.list_offsets_reader()
    first = reader.read(list_offsets_answer({"t": {0: (0, 1), 1: (0, 2)}}))
    second = reader.read(list_offsets_answer(change))
    assert second.shape is not first.shape
    assert flat(second) == {("", name, p): value for name, found in change.items() for p, value in found.items()}


def test_an_answer_with_tagged_fields_goes_to_the_library() -> None:
    plain = list_offsets_answer({"t": {0: (0, 41)}})
    tagged = plain[:-1] + b"\x01\x00\x02\xaa\xbb"  # one unknown tag at the end of the body
    reader = wire.list_offsets_reader()
    assert flat(reader.read(tagged)) == {("", "t", 0): (0, 41)}
    assert reader.fallbacks == 1


@given(st.binary(max_size=60), st.integers(0, 80))
@settings(deadline=None)
def test_damaged_bytes_raise_a_value_error_or_read_but_never_anything_else(noise: bytes, cut: int) -> None:
    body = offset_fetch_answer({"g": {"t": {0: (0, 5, "aa"), 1: (0, 6, "")}}})
    for damaged in (noise, body[:cut], body + noise, body[:cut] + noise):
        for walk in (wire.walk_list_offsets, wire.walk_offset_fetch):
            try:
                walk(damaged)
            except IrregularError:
                continue


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_log_dirs_read_as_the_library_reads_them(version: int) -> None:
    result_class = DescribeLogDirsResponse.DescribeLogDirsResult
    topic_class = result_class.DescribeLogDirsTopic
    partition_class = topic_class.DescribeLogDirsPartition
    partitions = [
        partition_class(partition_index=p, partition_size=p * 10, offset_lag=0, is_future_key=p == 2) for p in range(3)
    ]
    body = bytes(
        DescribeLogDirsResponse(
            throttle_time_ms=0,
            error_code=0,
            results=[
                result_class(
                    error_code=0,
                    log_dir="/data",
                    topics=[topic_class(name="t", partitions=partitions)],
                    total_bytes=1000,
                    usable_bytes=400,
                    is_cordoned=False,
                ),
                result_class(
                    error_code=56, log_dir="/broken", topics=[], total_bytes=-1, usable_bytes=-1, is_cordoned=False
                ),
            ],
        ).encode(version=version)
    )
    error, (good, broken) = read_log_dirs(body, version)
    assert error == 0
    assert (broken.error, broken.path, broken.total) == (56, "/broken", None)
    assert (good.total, good.usable) == ((1000, 400) if version >= 4 else (None, None))
    assert good.replicas[0].sizes.tolist() == [0, 10, 20]
    assert good.replicas[0].future.tolist() == [False, False, True]
