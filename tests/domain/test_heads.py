"""Of which positions the head is read, how an answer is kept, and what its age is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from collectors.domain.heads import (
    NO_RECORDS,
    Found,
    Head,
    Markers,
    head_ages,
    in_trouble,
    oldest_heads,
    small_residues,
    stored_value,
)
from collectors.domain.numbers import NO_COMMIT, Column, Layout, Numbers
from collectors.domain.verdicts import Verdict
from collectors.domain.window import Window

NOW = 1_700_000_000.0
Place = tuple[str, str, int]


def window_of(*samples: Mapping[Place, tuple[int | None, int | None]]) -> Window:
    """A window from {(group, topic, partition): (committed, end)}, 5 s apart."""
    window, keys = Window(), list(samples[0])
    groups: dict[str, list[tuple[str, int]]] = {}
    for group, topic, partition in keys:
        groups.setdefault(group, []).append((topic, partition))
    layout = Layout.build(groups)
    topics: dict[str, set[int]] = {}
    for _, topic, partition in keys:
        topics.setdefault(topic, set()).add(partition)
    ends = Layout.of_topics({topic: sorted(own) for topic, own in topics.items()})
    for number, sample in enumerate(samples):
        at = {(topic, partition): end for (_, topic, partition), (_, end) in sample.items()}
        window.push(
            NOW + 5 * number,
            Column(layout, Numbers.of([sample[key][0] for key in sorted(keys)])),
            Column(ends, Numbers.of([at[t, int(p)] for t, p in zip(ends.topics, ends.partitions, strict=True)])),
        )
    return window


def troubled(window: Window, verdicts: dict[str, Verdict], *settled: Place) -> list[Place]:
    told = Numbers.of([int(verdicts.get(owner, Verdict.OK)) for owner in window.layout.owners])
    return named(window, in_trouble(window, told, done(window, *settled)))


def done(window: Window, *places: Place) -> NDArray[np.bool_]:
    found = np.zeros(len(window.layout), dtype=np.bool_)
    for place in places:
        found[window.layout.position[place]] = True
    return found


def named(window: Window, found: NDArray[np.int64]) -> list[Place]:
    names = {at: key for key, at in window.layout.position.items()}
    return [names[at] for at in found.tolist()]


def test_of_a_group_in_trouble_the_positions_that_wait_longest_the_worst_group_first() -> None:
    one = {("slow", "t", p): (10, 100) for p in range(4)} | {("stuck", "u", 0): (5, 50), ("fine", "v", 0): (0, 500)}
    two = one | {("slow", "t", 0): (10, 190), ("slow", "t", 1): (10, 101), ("slow", "t", 2): (10, 120)}
    verdicts = {"slow": Verdict.FALLING_BEHIND, "stuck": Verdict.NO_PROGRESS, "fine": Verdict.CATCHING_UP}
    found = troubled(window_of(one, two), verdicts)
    # where nothing comes the lag is the oldest, then where it is many times what came
    assert found == [("stuck", "u", 0), ("slow", "t", 3), ("slow", "t", 1)]
    assert troubled(window_of(one, two), verdicts, ("slow", "t", 3)) == [("stuck", "u", 0), ("slow", "t", 1)]


def test_without_members_it_is_read_and_when_nothing_waits_it_is_not() -> None:
    window = window_of({("gone", "t", 0): (1, 9), ("gone", "t", 1): (9, 9), ("gone", "t", 2): (NO_COMMIT, 9)})
    assert troubled(window, {"gone": Verdict.NO_MEMBERS}) == [("gone", "t", 0)]


@pytest.mark.parametrize(
    ("why", "samples", "is_asked"),
    [
        ("nothing moves and little is left", [(9, 10)] * 3, True),
        ("ten are left", [(9, 19)] * 3, True),
        ("more than ten are left", [(9, 20)] * 3, False),
        ("nothing is left", [(10, 10)] * 3, False),
        ("a record came", [(9, 9), (9, 10), (9, 10)], False),
        ("it has just committed", [(8, 10), (9, 10), (9, 10)], False),
        ("two samples are too few", [(9, 10)] * 2, False),
        ("a sample is not known", [(9, 10), (None, 10), (9, 10)], False),
        ("it came to stand long ago", [(3, 10), (9, 10), (9, 10), (9, 10)], True),
        ("it never committed", [(NO_COMMIT, 1)] * 3, False),
    ],
)
def test_a_small_residue_that_stands_may_be_markers(
    why: str, samples: list[tuple[int | None, int | None]], is_asked: bool
) -> None:
    window = window_of(*({("well", "t", 0): sample} for sample in samples))
    assert named(window, small_residues(window, done(window))) == ([("well", "t", 0)] if is_asked else [])
    assert named(window, small_residues(window, done(window, ("well", "t", 0)))) == []
    assert troubled(window, {}) == []


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        (Head(5, NOW - 3.5, False), 1_699_999_996_500),
        (Head(5, None, False), None),
        (Head(5, 12.0, False), None),
        (Head(5, NOW * 1000, False), None),
        (Head(5, NOW - 3.5, False, NOW - 4.0), 1_699_999_996_500),
        (Head(5, NOW - 3.5, False, NOW - 60.0), None),
        (Markers(6), NO_RECORDS),
        ("no record came within the time", None),
    ],
)
def test_what_is_kept_of_an_answer(found: Found, kept: int | None) -> None:
    assert stored_value(found, now=NOW) == kept


def test_an_age_is_known_where_a_record_was_read() -> None:
    ms = round(NOW * 1000)
    stored = Numbers.of([ms - 60_000, None, NO_RECORDS, -(ms - 90_000), ms + 5_000])
    ages, at_most = head_ages(stored, now=NOW)
    assert [ages.at(i) for i in range(5)] == [60.0, None, None, 90.0, 0.0]
    assert at_most.tolist() == [False, False, False, True, False]
    oldest, worst = oldest_heads(ages, np.array([0, 0, 1, 0, 2]), 4)
    assert [oldest.at(i) for i in range(4)] == [90.0, None, 0.0, None]
    assert worst.tolist() == [3, -1, 4, -1]
