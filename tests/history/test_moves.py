"""When commits moved on, as stored samples tell it."""

from __future__ import annotations

import pytest

from collectors.domain.numbers import NO_COMMIT
from collectors.history.kinds import Kind
from collectors.history.moves import commits_moved_at

from .recording import BEGIN, Recorder, Value, column

pytestmark = pytest.mark.django_db


def test_a_movement_is_a_step_forward_of_any_position_through_changes_of_the_layout(recorder: Recorder) -> None:
    commits: list[dict[tuple[str, int], Value]] = [
        {("a", 0): NO_COMMIT},
        {("a", 0): 10},  # the first commit is no movement
        {("a", 0): 10},
        {("a", 0): 20, ("b", 0): 5},
        {("a", 0): 15, ("b", 0): 5},  # set back
        {("a", 0): 15, ("b", 0): 6},
        {("a", 0): None, ("b", 0): 6},
        {("a", 0): 30, ("b", 0): 6},  # nobody knows when
        {("a", 0): 31, ("b", 0): 6},
    ]
    times = []
    for own in commits:
        recorder.write({Kind.COMMITTED: column({"g": own, "h": {("a", 0): 1}})})
        times.append(recorder.now)
    found = commits_moved_at(recorder.id, ["g", "h", "unknown"], BEGIN - 1, times[-1])
    assert found == {"g": [times[3], times[5], times[8]], "h": [], "unknown": []}
    assert commits_moved_at(recorder.id, ["g"], times[4], times[-1])["g"] == [times[5], times[8]]
    assert commits_moved_at(recorder.id, [], BEGIN, times[-1]) == {}
