"""Each line of the table is a story: readings with their times, and the states that must follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.domain.numbers import Numbers
from dashboard.alerts.rules import (
    GONE,
    NOTHING,
    UNKNOWN,
    Comparison,
    NoData,
    Reading,
    Reason,
    Standing,
    State,
    Terms,
    Transition,
    candidates,
    step,
)

AT_ONCE = Terms(Comparison.ABOVE, 10)
HOLDS = Terms(Comparison.ABOVE, 10, hold_seconds=60)
RECOVERS = Terms(Comparison.ABOVE, 10, recover_seconds=120)
LEVEL = Terms(Comparison.ABOVE, 10, recover_level=5)
BOTH = Terms(Comparison.ABOVE, 10, recover_level=5, hold_seconds=10, recover_seconds=10)
OK_WITHOUT = Terms(Comparison.ABOVE, 10, hold_seconds=10, no_data=NoData.OK)
TELLS_NO_DATA = Terms(Comparison.ABOVE, 10, hold_seconds=10, recover_seconds=10, no_data=NoData.ALERT)
NO_DATA_AT_ONCE = Terms(Comparison.ABOVE, 10, no_data=NoData.ALERT)

Story = list[tuple[float, "float | Reading | None"]]  # (now, value; None is not known)


def every(seconds: float, value: float | None, *, start: float = 0, until: float) -> Story:
    return [(t, value) for t in np.arange(start, until + 0.001, seconds).tolist()]


@dataclass(frozen=True)
class Walk:
    states: list[State]
    transitions: list[Transition]


def walk(terms: Terms, story: Story) -> Walk:
    standing, transitions, states = NOTHING, [], []
    for now, value in story:
        reading = value if isinstance(value, Reading) else Reading.of(value)
        standing, moved = step(terms, standing, reading, now)
        if moved is not None:
            transitions.append(moved)
        states.append(standing.state)
    return Walk(states, transitions)


CASES: list[tuple[str, Terms, Story, str]] = [
    ("a value below the threshold: nothing begins", AT_ONCE, [(0, 3)], "inactive"),
    ("exactly the threshold is not above it", AT_ONCE, [(0, 10)], "inactive"),
    ("without a hold the first breach fires", AT_ONCE, [(0, 11)], "firing"),
    ("at least: the threshold itself is a breach", Terms(Comparison.AT_LEAST, 10), [(0, 10)], "firing"),
    ("below: less fires", Terms(Comparison.BELOW, 10), [(0, 9)], "firing"),
    ("below: the threshold itself does not fire", Terms(Comparison.BELOW, 10), [(0, 10)], "inactive"),
    ("at most: the threshold itself fires", Terms(Comparison.AT_MOST, 10), [(0, 10)], "firing"),
    ("without a recover time the first good value resolves", AT_ONCE, [(0, 11), (5, 10)], "firing resolved"),
    ("firing stays while it is in breach", AT_ONCE, [(0, 11), (5, 12), (10, 99)], "firing firing firing"),
    ("a new breach after the end is a new alert", AT_ONCE, [(0, 11), (5, 1), (10, 11)], "firing resolved firing"),
    ("with a hold the first breach is pending", HOLDS, [(0, 11)], "pending"),
    ("59 s in breach are not 60", HOLDS, [*every(10, 11, until=50), (59, 11)], "pending " * 7),
    ("60 s in breach fire", HOLDS, every(10, 11, until=60), "pending " * 6 + "firing"),
    ("a good value ends the pending", HOLDS, [(0, 11), (10, 1)], "pending inactive"),
    ("after a good value the hold begins anew", HOLDS, [*every(10, 11, until=50), (55, 1), (60, 11), (70, 11)],
     "pending " * 6 + "inactive pending pending"),
    ("what was not observed does not count: a gap adds 15 s at most", HOLDS, [(0, 11), (300, 11)], "pending pending"),
    ("an interval of five minutes may count whole",
     Terms(Comparison.ABOVE, 10, hold_seconds=60, longest_step_seconds=900), [(0, 11), (300, 11)], "pending firing"),
    ("a clock that leaps an hour ahead fires nothing", HOLDS, [(0, 11), (5, 11), (3605, 11)], "pending " * 3),
    ("a clock that steps back adds nothing and takes nothing away", HOLDS,
     [*every(10, 11, until=50), (-3550, 11), (-3545, 11), (-3540, 11)], "pending " * 8 + "firing"),
    ("a clock that steps back an hour does not delay the hold for an hour", HOLDS,
     [(3600, 11), *every(10, 11, until=60)], "pending " * 7 + "firing"),
    ("the same moment twice counts once", Terms(Comparison.ABOVE, 10, hold_seconds=5), [(0, 11), (0, 11), (0, 11)],
     "pending pending pending"),
    ("keep: not knowing begins nothing", HOLDS, [(0, None)], "inactive"),
    ("keep: not knowing leaves a pending where it is", HOLDS, [(0, 11), (10, None)], "pending pending"),
    ("keep: time without data does not count towards the hold", Terms(Comparison.ABOVE, 10, hold_seconds=20),
     [(0, 11), (10, 11), (15, None), (25, None), (30, 11)], "pending pending pending pending pending"),
    ("keep: after the gap the hold goes on from where it was", Terms(Comparison.ABOVE, 10, hold_seconds=20),
     [(0, 11), (10, 11), (15, None), (25, None), (30, 11), (35, 11)], "pending " * 5 + "firing"),
    ("keep: an outage resolves nothing", AT_ONCE, [(0, 11), *every(5, None, start=5, until=600)], "firing " * 121),
    ("keep: quiet time without data does not count towards the end", RECOVERS,
     [(0, 11), (5, 1), *every(5, None, start=10, until=300), (301, 1)], "firing recovering" + " recovering" * 60),
    ("ok: not knowing ends a pending", OK_WITHOUT, [(0, 11), (5, None)], "pending inactive"),
    ("ok: not knowing resolves", OK_WITHOUT, [(0, 11), (10, 11), (15, None)], "pending firing resolved"),
    ("ok: not knowing begins nothing", OK_WITHOUT, [(0, None)], "inactive"),
    ("alert: not knowing is pending first", TELLS_NO_DATA, [(0, None), (5, None)], "pending pending"),
    ("alert: not knowing for the hold is told as no data", TELLS_NO_DATA, [(0, None), (10, None)], "pending no_data"),
    ("alert: without a hold it is told at once", NO_DATA_AT_ONCE, [(0, None)], "no_data"),
    ("alert: time in breach does not count as time without data", TELLS_NO_DATA,
     [(0, 11), (9, 11), (11, None), (15, None), (21, None)], "pending pending pending pending no_data"),
    ("alert: a known trouble is not replaced by not knowing", NO_DATA_AT_ONCE, [(0, 11), (5, None)], "firing firing"),
    ("alert: data that comes back in breach is firing", NO_DATA_AT_ONCE, [(0, None), (5, 11)], "no_data firing"),
    ("alert: data that comes back good resolves", NO_DATA_AT_ONCE, [(0, None), (5, 1)], "no_data resolved"),
    ("alert: data that comes back good must stay for the recover time", TELLS_NO_DATA,
     [(0, None), (10, None), (15, 1), (20, 1), (25, 1)], "pending no_data recovering recovering resolved"),
    ("alert: losing the data while recovering goes back to firing", TELLS_NO_DATA,
     [(0, 11), (10, 11), (15, 1), (20, None)], "pending firing recovering firing"),
    ("the recover time must pass", RECOVERS, [(0, 11), (5, 1), *every(10, 1, start=15, until=115)],
     "firing recovering" + " recovering" * 11),
    ("after the recover time it is over", RECOVERS, [(0, 11), *every(10, 1, start=5, until=125)],
     "firing" + " recovering" * 12 + " resolved"),
    ("a breach while recovering fires again", RECOVERS, [(0, 11), (5, 1), (10, 11)], "firing recovering firing"),
    ("after a relapse the quiet time begins anew", RECOVERS,
     [(0, 11), *every(10, 1, start=10, until=120), (125, 11), (130, 1), (140, 1)],
     "firing" + " recovering" * 12 + " firing recovering recovering"),
    ("a clock that leaps ahead while recovering resolves nothing", RECOVERS, [(0, 11), (5, 1), (3605, 1)],
     "firing recovering recovering"),
    ("a clock that steps back while recovering resolves nothing", RECOVERS, [(3600, 11), (3605, 1), (0, 1), (5, 1)],
     "firing recovering recovering recovering"),
    ("between threshold and recover level it goes on firing", LEVEL, [(0, 11), (5, 7)], "firing firing"),
    ("between the two nothing begins", LEVEL, [(0, 7)], "inactive"),
    ("at the recover level it is over", LEVEL, [(0, 11), (5, 5)], "firing resolved"),
    ("below: it recovers at or above its level", Terms(Comparison.BELOW, 10, recover_level=20),
     [(0, 9), (5, 15), (10, 20)], "firing firing resolved"),
    ("rising above the recover level while recovering fires again", BOTH,
     [(0, 11), (10, 11), (15, 4), (20, 7)], "pending firing recovering firing"),
    ("a pending between the two levels calms", BOTH, [(0, 11), (5, 7)], "pending inactive"),
    ("a recover level beyond the threshold cannot resolve what is in breach",
     Terms(Comparison.ABOVE, 10, recover_level=50), [(0, 11), (5, 12), (10, 9)], "firing firing resolved"),
    ("a subject that is gone resolves at once", RECOVERS, [(0, 11), (5, GONE)], "firing resolved"),
    ("a subject that goes while pending was never told", HOLDS, [(0, 11), (5, GONE)], "pending inactive"),
    ("a subject that goes while recovering is over", RECOVERS, [(0, 11), (5, 1), (10, GONE)],
     "firing recovering resolved"),
    ("a subject that goes while nothing is wrong changes nothing", AT_ONCE, [(0, 1), (5, GONE)], "inactive inactive"),
    ("gone resolves what was raised for want of data", NO_DATA_AT_ONCE, [(0, None), (5, GONE)], "no_data resolved"),
]  # fmt: skip


@pytest.mark.parametrize(("terms", "story", "states"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_story_leads_to_these_states(terms: Terms, story: Story, states: str) -> None:
    assert [state.value for state in walk(terms, story).states] == states.split()


REASONS: list[tuple[str, Terms, Story, list[Reason]]] = [
    ("a breach", AT_ONCE, [(0, 11)], [Reason.BREACHED]),
    ("a hold", Terms(Comparison.ABOVE, 10, hold_seconds=5), [(0, 11), (5, 11)], [Reason.BREACHED, Reason.HELD]),
    ("calm", HOLDS, [(0, 11), (5, 1)], [Reason.BREACHED, Reason.CALMED]),
    ("quiet at once", AT_ONCE, [(0, 11), (5, 1)], [Reason.BREACHED, Reason.WENT_QUIET]),
    ("quiet long enough", Terms(Comparison.ABOVE, 10, recover_seconds=5), [(0, 11), (5, 1), (10, 1)],
     [Reason.BREACHED, Reason.WENT_QUIET, Reason.STAYED_QUIET]),
    ("a relapse", RECOVERS, [(0, 11), (5, 1), (10, 11)], [Reason.BREACHED, Reason.WENT_QUIET, Reason.RELAPSED]),
    ("gone", AT_ONCE, [(0, 11), (5, GONE)], [Reason.BREACHED, Reason.SUBJECT_GONE]),
    ("no data", NO_DATA_AT_ONCE, [(0, None), (5, 11)], [Reason.DATA_MISSING, Reason.DATA_BACK]),
]  # fmt: skip


@pytest.mark.parametrize(("terms", "story", "reasons"), [c[1:] for c in REASONS], ids=[c[0] for c in REASONS])
def test_each_change_says_why(terms: Terms, story: Story, reasons: list[Reason]) -> None:
    assert [moved.reason for moved in walk(terms, story).transitions] == reasons


@pytest.mark.parametrize(
    ("sentence", "terms", "story", "told"),
    [
        ("pending is not told", HOLDS, [(0, 11)], []),
        ("what calms before it held is not told", HOLDS, [(0, 11), (5, 1)], []),
        ("a relapse is not told again", RECOVERS, [(0, 11), (5, 1), (10, 11)], ["firing"]),
        ("recovering is not told, its end is", Terms(Comparison.ABOVE, 10, recover_seconds=5),
         [(0, 11), (5, 1), (10, 1)], ["firing", "resolved"]),
        ("no data that turns out as a breach is told once", NO_DATA_AT_ONCE, [(0, None), (5, 11), (9, 1)],
         ["no_data", "resolved"]),
    ],
)  # fmt: skip
def test_people_hear_of_the_first_raise_and_of_the_end(
    sentence: str, terms: Terms, story: Story, told: list[str]
) -> None:
    assert [moved.new.value for moved in walk(terms, story).transitions if moved.is_told] == told, sentence


def test_a_step_that_changes_nothing_returns_the_same_object() -> None:
    firing = Standing(State.FIRING)
    assert step(AT_ONCE, firing, Reading.of(99), 5.0)[0] is firing
    assert step(AT_ONCE, firing, UNKNOWN, 5.0)[0] is firing
    assert step(AT_ONCE, NOTHING, Reading.of(1), 5.0)[0] is NOTHING


def test_only_subjects_in_breach_are_candidates() -> None:
    numbers = Numbers.of([1, 11, None, 99, 10])
    assert candidates(AT_ONCE, numbers).tolist() == [1, 3]
    assert candidates(NO_DATA_AT_ONCE, numbers).tolist() == [1, 2, 3]


def test_every_pair_of_states_and_readings_has_an_answer() -> None:
    for state in State:
        for policy in NoData:
            for reading in (Reading.of(1), Reading.of(7), Reading.of(11), UNKNOWN, GONE):
                terms = Terms(Comparison.ABOVE, 10, recover_level=5, hold_seconds=5, recover_seconds=5, no_data=policy)
                standing, moved = step(terms, Standing(state, 1.0, 0.0), reading, 1.0)
                assert (moved is None) == (standing.state is state), (state, policy, reading)


@given(
    truth=st.lists(st.floats(min_value=0.1, max_value=20.0), min_size=1, max_size=40),
    steps_back=st.lists(st.floats(min_value=0.0, max_value=7200.0), min_size=1, max_size=40),
)
def test_a_clock_that_steps_back_never_fires_or_resolves_early(truth: list[float], steps_back: list[float]) -> None:
    terms = Terms(Comparison.ABOVE, 10, hold_seconds=60, recover_seconds=60)
    for first, then in ((11.0, State.FIRING), (1.0, State.RESOLVED)):
        standing = NOTHING if first == 11.0 else Standing(State.FIRING)
        passed, wall, begun = 0.0, 1e9, None
        for i, seconds in enumerate(truth):
            passed += seconds
            wall += seconds - steps_back[i % len(steps_back)]
            standing, _ = step(terms, standing, Reading.of(first), wall)
            begun = passed if begun is None else begun
            if standing.state is then:
                assert passed - begun >= 60 - 1e-6
                break
