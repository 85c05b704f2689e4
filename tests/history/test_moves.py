"""When commits moved on, as stored samples tell it."""

from __future__ import annotations

import random

import pytest

from collectors.domain.numbers import NO_COMMIT
from collectors.history import compaction, moves, selection
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
        {("a", 0): None, ("b", 0): 6},
        {("a", 0): 30, ("b", 0): 6},  # since it was known last
        {("b", 0): 6},
        {("a", 0): 40, ("b", 0): 6},  # it was away
        {("a", 0): NO_COMMIT, ("b", 0): 6},
        {("a", 0): 50, ("b", 0): None},  # the first commit again
        {("a", 0): 50, ("b", 0): 6},
        {("a", 0): 51, ("b", 0): 6},
    ]
    times = []
    for own in commits:
        recorder.write({Kind.COMMITTED: column({"g": own, "h": {("a", 0): 1}})})
        times.append(recorder.now)
    found = commits_moved_at(recorder.id, ["g", "h", "unknown"], BEGIN - 1, times[-1])
    assert found == {"g": [times[3], times[5], times[8], times[14]], "h": [], "unknown": []}
    assert commits_moved_at(recorder.id, ["g"], times[4], times[-1])["g"] == [times[5], times[8], times[14]]
    assert commits_moved_at(recorder.id, [], BEGIN, times[-1]) == {}


def seldom(recorder: Recorder, minutes: int) -> list[float]:
    """A group with nine partitions of which few commit, few come or go, and answers are missing; when one moved on."""
    random_ = random.Random(7)
    stands = {("t", partition): 100 for partition in range(9)}
    last: dict[tuple[str, int], int] = {}
    moved = []
    for _ in range(minutes):
        shown: dict[tuple[str, int], Value] = {}
        for place in stands:
            stands[place] += random_.random() < 0.02
            if random_.random() < 0.9:
                shown[place] = random_.choices([stands[place], None, NO_COMMIT], [80, 19, 1])[0]
        recorder.write({Kind.COMMITTED: column({"g": shown, "h": {("t", 0): 1}})})
        if any(value is not None and value > last.get(place, value) for place, value in shown.items()):
            moved.append(recorder.now)
        last = {place: value for place, value in last.items() if place in shown and shown[place] is None}
        last |= {place: value for place, value in shown.items() if value is not None and value != NO_COMMIT}
    return moved


@pytest.mark.parametrize("numbers", [1, 40, 900, moves.NUMBERS_AT_ONCE])
def test_movements_are_the_same_however_little_is_read_at_once(
    numbers: int, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "NUMBERS_AT_ONCE", numbers)
    read: list[int] = []
    at = selection.Selection.at

    def watched(self: selection.Selection, where: slice) -> selection.Sampled:
        found = at(self, where)
        read.append(found.values.size)
        return found

    recorder = Recorder(interval=60.0)
    moved = seldom(recorder, 300)
    assert len(moved) > 20
    for is_compacted in (False, True):
        if is_compacted:
            assert compaction.compact(recorder.id).spans
        with monkeypatch.context() as patched:
            patched.setattr(selection.Selection, "at", watched)
            assert commits_moved_at(recorder.id, ["g"], BEGIN, recorder.now) == {"g": moved}
    assert max(read) <= max(numbers, 300), "no more, unless one partition or one sample has more"
