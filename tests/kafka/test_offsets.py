"""Where the numbers of an answer go: layouts with gaps, answers in any order, groups that come and go."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from collectors.domain.numbers import Layout
from collectors.domain.scope import Scope
from collectors.kafka import wire
from collectors.kafka.commits import CommitBook
from collectors.kafka.exchange import Exchange
from collectors.kafka.groupbook import Chunk
from collectors.kafka.offsets import positions_of
from collectors.kafka.reasons import Tally, reason_of_code
from collectors.kafka.settings import ConnectionSettings
from tests.kafka.test_wire import offset_fetch_answer

LAYOUT = Layout.of_topics({"a": [0, 1, 2], "gaps": [1, 5, 9], "z": [0]})


@pytest.mark.parametrize(
    ("topic", "partitions", "positions"),
    [
        ("a", [2, 0, 1], [2, 0, 1]),
        ("a", [3], [-1]),
        ("gaps", [9, 1, 5], [5, 3, 4]),
        ("gaps", [0, 2, 10], [-1, -1, -1]),
        ("z", [0, 2**31 - 1], [6, -1]),
        ("unheard-of", [0], [-1]),
    ],
)
def test_a_partition_has_its_place_in_the_layout_or_none(
    topic: str, partitions: list[int], positions: list[int]
) -> None:
    assert positions_of(LAYOUT, topic, np.array(partitions)).tolist() == positions


@pytest.fixture
def book() -> CommitBook:
    return CommitBook(Exchange(ConnectionSettings(("localhost:1",)), "test"))


def chunk_of(*groups: str) -> Chunk:
    return Chunk(groups, b"", wire.offset_fetch_reader())


def take(book: CommitBook, wanted: list[str], answers: list[tuple[Chunk, bytes]]) -> dict[tuple[str, str, int], Any]:
    column, _ = book._column(tuple(wanted), [(chunk, chunk.reader.read(body)) for chunk, body in answers], Tally())
    return {key: column.numbers.at(i) for key, i in column.layout.position.items()}


def test_commits_find_their_place_whatever_the_order_of_the_answer(book: CommitBook) -> None:
    body = offset_fetch_answer({"g": {"z": {7: (0, 70, ""), 2: (0, 20, "x")}, "a": {3: (0, 30, ""), 1: (0, 10, "")}}})
    expected = {("g", "a", 1): 10, ("g", "a", 3): 30, ("g", "z", 2): 20, ("g", "z", 7): 70}
    assert take(book, ["g"], [(chunk_of("g"), body)]) == expected


def test_a_group_that_does_not_answer_keeps_its_partitions_not_known(book: CommitBook) -> None:
    one, two = chunk_of("one"), chunk_of("two")
    first = offset_fetch_answer({"one": {"t": {0: (0, 1, "")}}})
    second = offset_fetch_answer({"two": {"t": {0: (0, 2, "")}}})
    assert take(book, ["one", "two"], [(one, first), (two, second)]) == {("one", "t", 0): 1, ("two", "t", 0): 2}
    layout = book._layout
    assert take(book, ["one", "two"], [(one, first)]) == {("one", "t", 0): 1, ("two", "t", 0): None}
    refused = offset_fetch_answer({"two": {}}, error=16)
    assert take(book, ["one", "two"], [(one, first), (two, refused)]) == {("one", "t", 0): 1, ("two", "t", 0): None}
    assert book._layout is layout


def test_a_group_that_is_no_longer_asked_for_leaves_the_layout(book: CommitBook) -> None:
    both = chunk_of("one", "two")
    body = offset_fetch_answer({"one": {"t": {0: (0, 1, "")}}, "two": {"t": {0: (0, 2, "")}}})
    take(book, ["one", "two"], [(both, body)])
    alone = offset_fetch_answer({"one": {"t": {0: (0, 5, "")}}})
    assert take(book, ["one"], [(chunk_of("one"), alone)]) == {("one", "t", 0): 5}


def test_what_an_answer_misses_stays_not_known_until_metadata_says_that_it_is_gone(book: CommitBook) -> None:
    whole = offset_fetch_answer({"g": {"a": {0: (0, 1, "")}, "b": {0: (0, 2, "")}}})
    assert take(book, ["g"], [(chunk_of("g"), whole)]) == {("g", "a", 0): 1, ("g", "b", 0): 2}
    part, chunk = offset_fetch_answer({"g": {"a": {0: (0, 3, "")}}}), chunk_of("g")
    missed = {("g", "a", 0): 3, ("g", "b", 0): None}
    assert take(book, ["g"], [(chunk, part)]) == missed
    book.learn(frozenset({"b"}), time.time())  # this login may no longer describe it
    assert take(book, ["g"], [(chunk, part)]) == missed
    book.learn(frozenset(), time.time())
    assert take(book, ["g"], [(chunk, part)]) == {("g", "a", 0): 3}
    assert take(book, ["g"], [(chunk_of("g"), whole)]) == {("g", "a", 0): 1, ("g", "b", 0): 2}


def test_what_was_committed_before_a_restart_is_missed_too(book: CommitBook) -> None:
    book.remember({"g": [("a", [0]), ("b", [1, 0])]})
    book.learn(frozenset({"b"}), time.time() + 1)
    part = offset_fetch_answer({"g": {"a": {0: (0, 3, "")}}})
    assert take(book, ["g"], [(chunk_of("g"), part)]) == {("g", "a", 0): 3, ("g", "b", 0): None, ("g", "b", 1): None}


def test_topics_that_are_left_out_are_in_no_layout() -> None:
    scope = Scope.read({"topics_exclude": "b*"})
    book = CommitBook(Exchange(ConnectionSettings(("localhost:1",)), "test"), scope)
    body = offset_fetch_answer({"g": {"a": {0: (0, 1, "")}, "b": {0: (0, 2, "")}}})
    assert take(book, ["g"], [(chunk_of("g"), body)]) == {("g", "a", 0): 1}


def test_a_partition_with_an_error_is_not_known_and_counted(book: CommitBook) -> None:
    chunk, tally = chunk_of("g"), Tally()
    body = offset_fetch_answer({"g": {"t": {0: (0, 1, ""), 1: (29, -1, "")}}})
    column, answered = book._column(("g",), [(chunk, chunk.reader.read(body))], tally)
    assert column.numbers.known.tolist() == [True, False]
    assert answered == {"g"}
    assert [(e.reason, e.count) for e in tally.errors()] == [("not authorised", 1)]


@pytest.mark.parametrize(
    ("code", "word"),
    [(6, "not_leader_for_partition"), (29, "not authorised"), (30, "not authorised"), (9999, "error_9999")],
)
def test_an_error_code_has_a_word(code: int, word: str) -> None:
    assert reason_of_code(code) == word
