"""What the brokers count for share groups: bytes as the library writes them, and what is made of answers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.errors import IncompatibleBrokerVersion

from collectors.domain.rights import NOT_OFFERED
from collectors.domain.scope import Scope
from collectors.kafka import share_lag
from collectors.kafka.answers import ShareLagAnswer
from collectors.kafka.exchange import Exchange
from collectors.kafka.link import Answer, Call
from collectors.kafka.settings import ConnectionSettings
from collectors.kafka.share_lag import ShareLagBook

Told = Mapping[str, Mapping[str, Mapping[int, tuple[int, int]]]]
"""{group: {topic: {partition: (error code, lag)}}}"""
names = st.text(alphabet="abc.-_ü", min_size=1, max_size=20)
partitions = st.dictionaries(
    st.integers(0, 300), st.tuples(st.sampled_from([0, 0, 29]), st.integers(-1, 2**62)), max_size=9
)


def answer_of(groups: Told, *, error: int = 0, message: str | None = None) -> bytes:
    response = share_lag.DescribeShareGroupOffsetsResponse
    group_class = response.DescribeShareGroupOffsetsResponseGroup
    topic_class = group_class.DescribeShareGroupOffsetsResponseTopic
    part_class = topic_class.DescribeShareGroupOffsetsResponsePartition
    return bytes(
        response(
            throttle_time_ms=3,
            groups=[
                group_class(
                    group_id=group,
                    topics=[
                        topic_class(
                            topic_name=topic,
                            topic_id="00000000-0000-0000-0000-000000000007",
                            partitions=[
                                part_class(
                                    partition_index=p,
                                    start_offset=5,
                                    leader_epoch=2,
                                    lag=lag,
                                    error_code=code,
                                    error_message=message if code else None,
                                )
                                for p, (code, lag) in found.items()
                            ],
                        )
                        for topic, found in topics.items()
                    ],
                    error_code=error,
                    error_message=message if error else None,
                )
                for group, topics in groups.items()
            ],
        ).encode(version=1)
    )


@given(st.dictionaries(names, st.dictionaries(names, partitions, max_size=3), max_size=3), st.booleans())
@settings(deadline=None)
def test_an_answer_is_read_as_the_library_reads_it(groups: Told, in_words: bool) -> None:
    body = answer_of(groups, message="not allowed" if in_words else None)
    reader = share_lag.share_lag_reader()
    reading = reader.read(body)
    keys = [(run.owner, run.topic, int(p)) for run in reading.shape.runs for p in run.partitions]
    found = dict(zip(keys, zip(reading.shape.errors.tolist(), reading.offsets.tolist(), strict=True), strict=True))
    assert found == {
        (g, t, p): told for g, topics in groups.items() for t, ps in topics.items() for p, told in ps.items()
    }
    assert reading.shape.owner_errors == tuple((group, 0) for group in groups)


def test_only_lag_and_start_offset_may_move_without_reading_the_shape_anew() -> None:
    reader = share_lag.share_lag_reader()
    first = reader.read(answer_of({"g": {"t": {0: (0, 5), 1: (0, -1)}}}))
    second = reader.read(answer_of({"g": {"t": {0: (0, 7), 1: (0, 3)}}}))
    assert second.shape is first.shape
    assert second.offsets.tolist() == [7, 3]
    assert (reader.walks, reader.fallbacks) == (1, 0)
    assert reader.read(answer_of({"g": {"t": {0: (0, 7), 2: (0, 3)}}})).shape is not first.shape


@given(st.binary(max_size=80), st.integers(0, 80))
@settings(deadline=None)
def test_damaged_answers_are_told_apart(noise: bytes, cut: int) -> None:
    whole = answer_of({"g": {"t": {0: (0, 5)}}})
    for damaged in (noise, whole[:cut], whole[:cut] + noise):
        try:
            share_lag.share_lag_reader().read(damaged)
        except (ValueError, IndexError):
            continue


def test_the_request_asks_for_all_that_the_groups_read_in_the_version_that_tells_the_lag() -> None:
    request = share_lag.request_of(("one", "two"))
    assert (request.API_KEY, request._min_version, request._max_version) == (90, 1, 1)
    request.API_VERSION = 1
    request.with_header(1, "c")
    body = request.encode()
    assert body.endswith(b"\x03\x04one\x00\x00\x04two\x00\x00\x00"), "null for the topics, which means all"


class Talk:
    """Answers of brokers, by node: a body, or what went wrong."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, scope: Scope | None = None) -> None:
        self.exchange = Exchange(ConnectionSettings(("localhost:1",)), "test")
        self.answers: dict[int, bytes | BaseException | None] = {}
        self.asked: list[tuple[int, tuple[str, ...]]] = []
        self.attention = 0
        monkeypatch.setattr(self.exchange, "connected", lambda deadline, tally: SimpleNamespace())
        monkeypatch.setattr(self.exchange, "gather", self.gather)
        self.exchange.on_attention = self._attend
        self.book = ShareLagBook(self.exchange, scope) if scope else ShareLagBook(self.exchange)

    def _attend(self) -> None:
        self.attention += 1

    def gather(self, link: object, requests: Iterable[Any], deadline: float, *, aside: bool) -> list[Call]:
        assert aside, "a broker asks others before it answers: it must not hold up log ends"
        calls = []
        for node, part, request, chunk in requests:
            self.asked.append((node, chunk.groups))
            call = Call(node, request, part, deadline, lambda _: None, tag=chunk)
            given = self.answers.get(node)
            if isinstance(given, bytes):
                call.answer = Answer(given, 1, None)
            else:
                call.failure = given
            calls.append(call)
        return calls

    def ask(self, **coordinators: int | None) -> ShareLagAnswer:
        self.asked.clear()
        return self.book.ask(coordinators, time.monotonic() + 1)


def read(answer: ShareLagAnswer) -> dict[tuple[str, str, int], int | float | None]:
    return {key: answer.column.numbers.at(i) for key, i in answer.column.layout.position.items()}


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch) -> Talk:
    return Talk(monkeypatch)


def test_each_coordinator_is_asked_once_for_all_of_its_groups(talk: Talk) -> None:
    talk.answers = {
        1: answer_of({"a": {"t": {0: (0, 4)}}, "c": {"t": {0: (0, 0)}}}),
        2: answer_of({"b": {"u": {1: (0, 9)}}}),
    }
    answer = talk.ask(c=1, a=1, b=2)
    assert talk.asked == [(1, ("a", "c")), (2, ("b",))]
    assert read(answer) == {("a", "t", 0): 4, ("b", "u", 1): 9, ("c", "t", 0): 0}
    assert answer.answered == {"a", "b", "c"}
    assert answer.errors == ()
    layout = answer.column.layout
    talk.answers[2] = answer_of({"b": {"u": {1: (0, 11)}}})
    assert talk.ask(a=1, b=2, c=1).column.layout is layout


def test_a_lag_that_the_broker_does_not_know_is_not_known_and_no_error(talk: Talk) -> None:
    talk.answers[1] = answer_of({"g": {"t": {0: (0, -1), 1: (0, 0)}}})
    answer = talk.ask(g=1)
    assert read(answer) == {("g", "t", 0): None, ("g", "t", 1): 0}
    assert answer.errors == ()


def test_a_broker_without_the_version_does_not_offer_it(talk: Talk) -> None:
    talk.answers[1] = IncompatibleBrokerVersion("no v1")
    answer = talk.ask(g=1)
    assert [(e.part, e.reason, e.broker) for e in answer.errors] == [("share_lag", NOT_OFFERED, 1)]
    assert answer.column.layout.owners == ()


def test_errors_are_counted_by_what_they_say_and_leave_what_is_known_of_others(talk: Talk) -> None:
    talk.answers = {
        1: answer_of({"a": {"t": {0: (29, -1), 1: (0, 5)}}}, message="no"),
        2: answer_of({"b": {}}, error=30),
    }
    answer = talk.ask(a=1, b=2)
    assert read(answer) == {("a", "t", 0): None, ("a", "t", 1): 5}
    assert answer.answered == {"a"}
    assert {(e.reason, e.broker) for e in answer.errors} == {("not authorised", None), ("not authorised", 2)}


def test_a_group_whose_coordinator_hangs_or_moved_keeps_its_partitions_not_known(talk: Talk) -> None:
    talk.answers[1] = answer_of({"g": {"t": {0: (0, 5)}}})
    talk.ask(g=1)
    talk.answers[1] = None
    answer = talk.ask(g=1)
    assert read(answer) == {("g", "t", 0): None}
    assert [(e.reason, e.broker) for e in answer.errors] == [("timeout", 1)]
    talk.answers[1] = answer_of({"g": {}}, error=16)
    assert read(talk.ask(g=1)) == {("g", "t", 0): None}
    assert talk.attention == 1, "the list of groups says who coordinates it now"
    answer = talk.ask(g=None)
    assert talk.asked == []
    assert [(e.reason, e.count) for e in answer.errors] == [("no coordinator", 1)]


def test_a_group_that_reads_nothing_yet_is_there_without_partitions(talk: Talk) -> None:
    talk.answers[1] = answer_of({"g": {}})
    answer = talk.ask(g=1)
    assert answer.column.layout.owners == ("g",)
    assert answer.answered == {"g"}


def test_topics_that_are_left_out_are_in_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Talk(monkeypatch, Scope(topics_exclude=("private.*",)))
    talk.answers[1] = answer_of({"g": {"private.x": {0: (0, 5)}, "t": {0: (0, 1)}}})
    assert read(talk.ask(g=1)) == {("g", "t", 0): 1}


def test_without_share_groups_nobody_is_asked(talk: Talk) -> None:
    answer = talk.ask()
    assert talk.asked == []
    assert answer.errors == ()


class Road:
    """A link that takes calls and never answers."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def submit(self, calls: list[Call]) -> None:
        self.calls += calls


def test_a_coordinator_that_waits_for_others_holds_up_no_log_end(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange, link, aside = Exchange(ConnectionSettings(("localhost:1",)), "test"), Road(), Road()
    monkeypatch.setattr(exchange, "_connected_aside", lambda deadline: aside)
    monkeypatch.setattr(exchange, "_look_for_new_addresses", lambda link: None)
    asked = [(1, "share_lag", share_lag.request_of(("g",)), None)]
    (call,) = exchange.gather(link, asked, time.monotonic() + 0.05, aside=True)  # type: ignore[arg-type]
    assert (aside.calls, link.calls) == ([call], [])
    assert exchange.reason_of_call(call) == "timeout"
    assert exchange.suspects() == {}, "it says nothing of the broker"
    exchange.gather(link, [(1, "end_offsets", share_lag.request_of(("g",)), None)], time.monotonic() + 0.01)  # type: ignore[arg-type]
    assert len(link.calls) == 1, "what else it is asked goes out"
    exchange.gather(link, asked, time.monotonic() + 0.01, aside=True)  # type: ignore[arg-type]
    assert len(aside.calls) == 1, "and no second question of the kind that is owed an answer"
