"""The facts that verdicts rest on, one position at a time in plain Python, against the passes over arrays."""

from __future__ import annotations

import numpy as np
import pytest

from collectors.domain.numbers import NO_COMMIT, Column, Layout, Numbers
from collectors.domain.positions import positions
from collectors.domain.window import Window

START, STEP, COUNT = 1_000.0, 5.0, 60
Facts = tuple[int, bool, int | None, bool, float, int, int, bool, float, int]


def plainly(samples: list[tuple[int | None, int | None]]) -> Facts:
    """(commit, log end) of each sample, None where not known -> the facts in the order of `Positions`."""
    rows = range(len(samples))
    last = len(samples) - 1

    def both(row: int) -> tuple[int, int] | None:
        committed, end = samples[row]
        return None if committed is None or end is None or committed == NO_COMMIT else (committed, end)

    def is_fine(row: int) -> bool:
        now = both(row)
        before = next((found[0] for r in reversed(range(row)) if (found := both(r)) is not None), None)
        return now is not None and (now[1] <= now[0] or (before is not None and before != now[0]))

    fine = [row for row in rows if is_fine(row)]
    known = [row for row in rows if both(row) is not None]
    base = fine[-1] if fine else known[0] if known else None
    now = both(last)
    lag = max(now[1] - now[0], 0) if now else 0
    none = [row for row in rows if samples[row][0] == NO_COMMIT and samples[row][1] is not None]
    is_none = last in none
    came = [row for row in none if (samples[row][1] or 0) > (samples[none[0]][1] or 0)]
    end_of = {row: samples[row][1] or 0 for row in rows}
    return (
        lag,
        now is not None,
        base,
        bool(fine),
        STEP * (last - base) if lag and base is not None else 0.0,
        sum(row > base for row in known) if base is not None else 0,
        end_of[last] - end_of[base] if now and base is not None else 0,
        is_none,
        STEP * (last - came[0]) if is_none and came else 0.0,
        end_of[last] - end_of[none[0]] if is_none else 0,
    )


@pytest.mark.parametrize("seed", range(8))
def test_the_passes_over_samples_find_what_a_look_at_each_position_finds(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = int(random.integers(1, 13))
    group = Layout.build({"g": [("t", p) for p in range(COUNT)]})
    topic = Layout.of_topics({"t": range(COUNT)})
    window, seen = Window(), []
    committed, end = np.zeros(COUNT, dtype=np.int64), np.zeros(COUNT, dtype=np.int64)
    for row in range(rows):
        end = end + random.integers(0, 3, COUNT)
        committed = np.where(random.random(COUNT) < 0.3, end, committed)
        told = np.where(random.random(COUNT) < 0.2, NO_COMMIT, committed)
        answers = random.random((2, COUNT)) < 0.8
        # what is not known may hold anything
        c, e = np.where(answers[0], told, 77), np.where(answers[1], end, -99)
        window.push(START + STEP * row, Column(group, Numbers(c, answers[0])), Column(topic, Numbers(e, answers[1])))
        seen.append((c, e, answers))
    facts = positions(window)
    for p in range(COUNT):
        samples = [(int(c[p]) if a[0][p] else None, int(e[p]) if a[1][p] else None) for c, e, a in seen]
        wanted = plainly(samples)
        found = (
            int(facts.lag[p]),
            bool(facts.known[p]),
            int(facts.base[p]) if wanted[2] is not None else None,
            bool(facts.base_is_seen[p]),
            float(facts.waiting_seconds[p]),
            int(facts.samples_since[p]),
            int(facts.arrived_since[p]),
            bool(facts.uncommitted[p]),
            float(facts.uncommitted_seconds[p]),
            int(facts.uncommitted_arrived[p]),
        )
        assert found == wanted, samples
