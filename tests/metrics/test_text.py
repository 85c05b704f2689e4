"""Label texts and sample lines."""

from __future__ import annotations

import numpy as np
import pytest

from collectors.domain.numbers import Numbers
from dashboard.metrics.text import Lines, StateLines, clean_labels, sample


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("orders", "orders", "a plain name stays"),
        ("größe ✓ 日本", "größe ✓ 日本", "letters of any script stay"),
        ("a\x1b[31m", "a\\x1b[31m", "a terminal's escape is spelt out"),
        ("two\nlines", "two\\x0alines", "a line break too"),
        ("\u202egnp.exe", "\\u202egnp.exe", "so are marks that turn the direction"),
        ("lone\udc80", "lone\\udc80", "so is what is not UTF-8"),
        ("", "", "an empty name stays empty"),
    ],
)
def test_a_label_shows_what_a_name_holds(name: str, text: str, sentence: str) -> None:
    assert clean_labels([name]) == [text], sentence


def test_different_names_never_become_one_label() -> None:
    names = ["a\x00", "a\\x00", "a\x01", "b\n", "b\\x0a", "plain"]
    cleaned = clean_labels(names)
    assert len(set(cleaned)) == len(names)
    assert cleaned[1] == "a\\x00", "the name that is clean keeps its text"


def test_quotes_and_backslashes_are_escaped_in_lines() -> None:
    assert sample("m", [("group", 'a"b\\c')], 3) == b'm{group="a\\"b\\\\c"} 3\n'


def test_lines_leave_out_what_is_unknown_or_not_a_number_of_this_world() -> None:
    lines = Lines(['m{p="0"}', 'm{p="1"}', 'm{p="2"}'])
    assert lines.fill(Numbers.of([1, None, 3])) == b'm{p="0"} 1\nm{p="2"} 3\n'
    assert lines.fill(Numbers.of([1, 2, 3])) == b'm{p="0"} 1\nm{p="1"} 2\nm{p="2"} 3\n'
    odd = Numbers(np.array([np.nan, np.inf, 0.5]), np.ones(3, dtype=np.bool_))
    assert lines.fill(odd) == b'm{p="2"} 0.5\n'


def test_a_state_that_holds_is_the_last_label_of_its_line() -> None:
    lines = StateLines(['m{topic="100%d%s",partition="0"', 'm{topic="b",partition="1"'], "verdict")
    said = b'm{topic="100%d%s",partition="0",verdict="ok"} 1\nm{topic="b",partition="1",verdict="unknown"} 1\n'
    assert lines.fill([b"ok", b"unknown"]) == said
    assert StateLines([], "verdict").fill([]) == b""


def test_a_per_cent_sign_in_a_name_is_only_a_sign() -> None:
    assert Lines(['m{topic="100%d%s"}']).fill(Numbers.of([7])) == b'm{topic="100%d%s"} 7\n'


def test_large_offsets_keep_every_digit() -> None:
    assert Lines(["m{}"]).fill(Numbers.of([2**63 - 1])) == b"m{} 9223372036854775807\n"
