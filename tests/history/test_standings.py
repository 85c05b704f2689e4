"""Where a group stood at moments of its past."""

from __future__ import annotations

import pytest

from collectors.history.kinds import Kind
from collectors.history.standing import standings_at

from .recording import Recorder, Value, column, topics

pytestmark = pytest.mark.django_db


def test_commits_and_log_ends_of_chosen_cycles_through_a_change_of_layout(recorder: Recorder) -> None:
    commits: list[dict[tuple[str, int], Value]] = [
        {("a", 0): 10},
        {("a", 0): 10},
        {("a", 0): 20, ("b", 0): 5},
        {("a", 0): None, ("b", 0): 6},
    ]
    times = []
    for number, own in enumerate(commits):
        ends = topics({"a": [100 + number], "b": [None if number == 3 else 50 + number]})
        recorder.write({Kind.COMMITTED: column({"g": own, "h": {("a", 0): 1}}), Kind.END: ends})
        times.append(recorder.now)
    layout, found = standings_at(recorder.id, "g", [times[0], times[2], times[3], times[3] + 2])
    assert layout.keys_of("g") == [("a", 0), ("b", 0)]
    read = [([one.committed.at(i) for i in (0, 1)], [one.end.at(i) for i in (0, 1)]) for one in found]
    assert [one.taken_at for one in found] == [times[0], times[2], times[3]]
    assert read == [([10, None], [100, 50]), ([20, 5], [102, 52]), ([None, 6], [103, None])]
    assert standings_at(recorder.id, "unknown", times)[1] == []
    assert standings_at(recorder.id, "g", [])[1] == []
