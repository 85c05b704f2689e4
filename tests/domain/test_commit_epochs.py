"""Leader epochs of commits: which are of another log, and why one lies past the end."""

from __future__ import annotations

import numpy as np
import pytest

from collectors.domain.commit_epochs import NO_EPOCH, are_of_another_log, read_epochs, stored_epochs, why_past_end
from collectors.domain.explanations import Finding, explain
from collectors.domain.looks import Epochs
from collectors.domain.numbers import Column, Layout, Numbers
from collectors.domain.topology import GroupType
from collectors.domain.verdicts import GroupRow, Verdict
from collectors.domain.window import Window

KEYS = [("t", 0), ("t", 1)]


def told(commits: list[list[int | None]], ends: list[list[int | None]], epochs: Epochs, verdict: Verdict) -> Finding:
    window = Window()
    for i, (commit, end) in enumerate(zip(commits, ends, strict=True)):
        window.push(
            1000.0 + 5 * i,
            Column(Layout.build({"g": KEYS}), Numbers.of(commit)),
            Column(Layout.build({"t": KEYS}), Numbers.of(end)),
        )
    return explain(
        GroupRow("g", GroupType.CLASSIC, 1), window, verdict=verdict, now=1000.0 + 5 * len(commits), epochs=epochs
    )


def test_only_an_epoch_ahead_of_the_leaders_is_of_another_log_and_nothing_is_said_without_both() -> None:
    epochs, leaders = np.array([3, 4, 5, NO_EPOCH, 5]), np.array([4, 4, 4, 4, NO_EPOCH])
    assert are_of_another_log(epochs, leaders).tolist() == [False, False, True, False, False]


def test_what_is_stored_tells_epoch_and_log_apart_again() -> None:
    epochs, other = np.array([NO_EPOCH, 0, 7, 0, 7]), np.array([False, False, False, True, True])
    again, told_other = read_epochs(stored_epochs(epochs, other))
    assert again.tolist() == epochs.tolist()
    assert told_other.tolist() == other.tolist()


@pytest.mark.parametrize(
    ("epoch", "leader", "said"),
    [
        (3, 5, "the log was cut off when its leader changed: committed in leader epoch 3, the partition is in 5"),
        (7, 2, "the offset is of another log of that name: committed in leader epoch 7, the partition is in 2"),
        (5, 5, ""),  # nothing was cut off in it: set there, as the samples say
        (NO_EPOCH, 5, ""),
        (5, NO_EPOCH, ""),
    ],
)
def test_an_offset_past_the_end_is_explained_by_its_epoch_where_that_says_something(
    epoch: int, leader: int, said: str
) -> None:
    assert why_past_end(epoch, leader) == said


def test_evidence_of_an_offset_past_the_end_names_the_epochs_once_two_samples_show_it() -> None:
    epochs = {("t", 0): (3, 5)}
    twice = told([[500, 90]] * 3, [[500, 90], [400, 90], [410, 90]], epochs, Verdict.OK)
    assert (
        "t-0: committed 90 past the end: the log was cut off when its leader changed: committed in leader epoch 3, "
        "the partition is in 5" in twice.evidence
    )
    once = told([[500, 90]] * 2, [[500, 90], [400, 90]], epochs, Verdict.OK)
    assert any("truncated after a change of leaders, or the topic was made anew" in line for line in once.evidence)
    without = told([[500, 90]] * 3, [[500, 90], [400, 90], [410, 90]], {}, Verdict.OK)
    assert any("truncated after a change of leaders, or the topic was made anew" in line for line in without.evidence)


def test_a_commit_of_another_log_makes_unknown_and_says_so() -> None:
    finding = told([[None, 90]] * 3, [[20, 90]] * 3, {("t", 0): (7, 0)}, Verdict.UNKNOWN)
    other = "t-0: the offset is of another log of that name: committed in leader epoch 7, the partition is in 0"
    assert finding.sentence == f"Unknown: 1 of 2 partitions not known: {other}"
    assert finding.evidence[-2:] == (other, "not known: 1 partition of 2")
