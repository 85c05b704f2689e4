"""Records deleted unread: below the log start, and jumped over by a reader that was set to where the log begins."""

from __future__ import annotations

import pytest

from collectors.domain.losses import Lost, lost_at_newest
from collectors.domain.positions import positions
from collectors.domain.window import Window
from tests.history.recording import column, topics


def window(commits: list[int | None], starts: dict[int, int | None], end: int = 100_000) -> Window:
    """A group on one partition; looks at the log start come with the samples of these rows."""
    made = Window()
    for row, commit in enumerate(commits):
        look = topics({"t": [starts[row]]}) if row in starts else None
        made.push(1000.0 + 5 * row, column({"g": {("t", 0): commit}}), topics({"t": [end + row]}), start=look)
    return made


def reads(count: int, step: int = 50, first: int = 1_000) -> list[int | None]:
    return [first + step * i for i in range(count)]


@pytest.mark.parametrize(
    ("name", "commits", "starts", "lost"),
    [
        ("the log start passes a commit", reads(8), {0: 0, 7: 2_000}, 2_000 - 1_350),
        ("the first look has none before it", reads(8), {7: 2_000}, 0),
        ("it stays below the commit", reads(8), {0: 0, 7: 1_200}, 0),
        ("set to the beginning", [*reads(6), 3_010, 3_060], {0: 0, 7: 3_000}, 3_000 - (1_250 + 50)),
        ("set to the beginning and read on at once", [*reads(6), 3_090], {0: 0, 6: 3_000}, 3_000 - (1_250 + 50)),
        ("between two later looks", [*reads(6), 3_010, 3_050, 3_100], {0: 0, 4: 500, 8: 3_000}, 3_000 - 1_300),
        ("who read a lot at once had it deleted up to there", [*reads(6), 3_000], {0: 0, 6: 3_000}, 0),
        ("a part was lost and told before", [*reads(6), 3_010, 3_050], {0: 0, 5: 1_600, 7: 3_000}, 3_000 - 1_600),
        (
            "the third time in a row",
            [1_000, 1_050, 1_500, 1_550, 1_600, 2_050, 2_100, 2_150, 2_600],
            {0: 0, 3: 1_490, 5: 2_040, 8: 2_590},
            2_590 - 2_200,
        ),
        ("just passed by reading on", reads(8), {0: 0, 7: 1_330}, 0),
        (
            "it leapt far past the start: somebody skipped, who had lost nothing",
            [*reads(6), 9_000],
            {0: 0, 6: 3_000},
            0,
        ),
        ("it stood still and read a lot at once", [1_000] * 6 + [3_010], {0: 0, 6: 3_000}, 0),
        ("the commit before is not known", [*reads(5), None, 3_000, 3_050], {0: 0, 7: 3_000}, 0),
        ("the new start is not known", reads(8), {0: 0, 7: None}, 0),
    ],
)
def test_what_was_lost_at_the_newest_look(
    name: str, commits: list[int | None], starts: dict[int, int | None], lost: int
) -> None:
    found = lost_at_newest(window(commits, starts))
    assert found == ({"g": Lost((("t", 0, lost),))} if lost else {}), name


def test_a_look_is_told_of_once() -> None:
    made = window([*reads(8), 1_400], {0: 0, 7: 2_000})
    assert lost_at_newest(made) == {}
    assert positions(made).lost.tolist() == [650], "it goes on for a minute"


def test_partitions_are_named_the_most_first_and_groups_apart() -> None:
    made = Window()
    for row, starts in enumerate(([0, 0], None, [30, 900])):
        made.push(
            1000.0 + 5 * row,
            column({"f": {("t", 0): 40, ("t", 1): 899}, "g": {("t", 0): 10, ("t", 1): 5}}),
            topics({"t": [1_000, 1_000]}),
            start=topics({"t": starts}) if starts else None,
        )
    assert lost_at_newest(made) == {"f": Lost((("t", 1, 1),)), "g": Lost((("t", 1, 895), ("t", 0, 20)))}
