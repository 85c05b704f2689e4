"""What holds for any samples: no number is negative or NaN, parts sum to the whole, and unknown stays unknown."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.domain.explanations import explain
from collectors.domain.lag import lost_records, newly_lost, partition_lag, sums
from collectors.domain.numbers import NO_COMMIT, Column, Layout, Numbers
from collectors.domain.ownership import Owner
from collectors.domain.positions import positions
from collectors.domain.topology import GroupType
from collectors.domain.verdicts import GroupRow, Verdict, judge
from collectors.domain.window import Window

START, INTERVAL = 1_790_000_000.0, 5.0
OFFSETS = st.one_of(st.none(), st.integers(0, 2**40), st.integers(0, 50))
COMMITS = st.one_of(OFFSETS, st.just(NO_COMMIT))
SETTINGS = settings(max_examples=60, deadline=None)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """One to three partitions of a group over one to eight samples; anything may be missing or nonsense."""
    count, rows = draw(st.integers(1, 3)), draw(st.integers(1, 8))
    group = Layout.build({"g": [("t", p) for p in range(count)]})
    topic = Layout.of_topics({"t": range(count)})
    window, at = Window(), START

    def line(of: st.SearchStrategy[int | None]) -> Numbers:
        return Numbers.of(draw(st.lists(of, min_size=count, max_size=count)))

    for _ in range(rows):
        at += draw(st.sampled_from((1.0, INTERVAL, 60.0)))
        start = Column(topic, line(OFFSETS)) if draw(st.booleans()) else None
        owned = draw(st.lists(st.sampled_from([int(one) for one in Owner]), min_size=count, max_size=count))
        window.push(
            at,
            Column(group, line(COMMITS)),
            Column(topic, line(OFFSETS)),
            start=start,
            owned=np.array(owned, dtype=np.int8) if draw(st.booleans()) else None,
        )
    return window


ROWS = st.builds(
    GroupRow,
    name=st.just("g"),
    type=st.sampled_from(GroupType),
    members=st.one_of(st.none(), st.integers(0, 3)),
    rebalances=st.integers(0, 9),
    is_storm=st.booleans(),
)


def numbers(count: int) -> st.SearchStrategy[Numbers]:
    return st.lists(COMMITS, min_size=count, max_size=count).map(Numbers.of)


@SETTINGS
@given(st.data())
def test_lag_and_loss_are_never_negative_and_unknown_where_an_input_is(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    committed, end, start, before = (data.draw(numbers(count)) for _ in range(4))
    lag, lost, newly = (
        partition_lag(committed, end, start),
        lost_records(committed, start),
        newly_lost(committed, start, before),
    )
    for found in (lag, lost, newly):
        assert (found.values >= 0).all()
    never = committed.values == NO_COMMIT
    assert not lag.known[~committed.known | ~end.known | never].any()
    assert not lost.known[~committed.known | ~start.known | never].any()
    assert not newly.known[~lost.known | ~before.known].any()
    assert (newly.values <= lost.values)[newly.known].all(), "what was lost lately is part of what is lost"
    there = lag.known & lost.known & (end.values >= start.values)
    whole = np.maximum(end.values - committed.values, 0)
    assert (lag.values + lost.values == whole)[there].all(), "what waits and what is lost is all between commit and end"


@SETTINGS
@given(st.data())
def test_a_sum_is_its_parts_and_unknown_if_one_of_them_is(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))
    values = data.draw(numbers(count))
    owners = np.array(data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)))
    total = sums(values, owners, 3)
    for owner in range(3):
        mine = owners == owner
        assert total.known[owner] == (mine.any() and bool(values.known[mine].all()))
        if total.known[owner]:
            assert total.values[owner] == values.values[mine].sum()


@SETTINGS
@given(windows())
def test_the_facts_of_any_window_are_numbers_and_none_is_negative(window: Window) -> None:
    facts = positions(window)
    newest = window.samples[-1]
    for name in ("lag", "base", "waiting_seconds", "samples_since", "uncommitted_seconds", "lost", "unowned_seconds"):
        found = getattr(facts, name)
        assert np.isfinite(found).all(), name
        assert (found >= 0).all(), name
    assert not (facts.known & facts.uncommitted).any()
    answered = newest.committed.known & newest.end.known & (newest.committed.values <= newest.end.values)
    assert ((facts.known | facts.uncommitted) == answered).all(), "known now is what was answered now"
    assert not facts.lag[~facts.known].any()
    back = facts.rewound_from != NO_COMMIT
    assert (facts.rewound_from[back] > facts.rewound_to[back]).all()
    assert (facts.rewound_to[back] >= 0).all()


@SETTINGS
@given(windows(), ROWS)
def test_any_window_has_a_verdict_and_a_sentence_without_nonsense(window: Window, row: GroupRow) -> None:
    column = judge(window, {"g": row}, interval_seconds=INTERVAL).verdicts
    verdict = Verdict(int(column.numbers.values[0]))
    assert column.numbers.known.all()
    facts = positions(window)
    if row.type is GroupType.UNKNOWN:
        assert verdict is Verdict.UNKNOWN
    elif row.members == 0:
        assert verdict is Verdict.NO_MEMBERS
    elif row.members is None or not (facts.known | facts.uncommitted).all():
        assert not verdict.is_well, "well is said only of what is known in whole"
    finding = explain(row, window, verdict=verdict, now=window.samples[-1].taken_at, lost=3)
    for text in (finding.sentence, finding.cause, finding.step, *finding.evidence):
        assert "nan" not in text.lower().replace("scan", "")
        assert "None" not in text
    assert finding.since is None or math.isfinite(finding.since)


@SETTINGS
@given(windows(), ROWS, st.integers(0, 2), st.booleans())
def test_an_answer_that_is_missing_now_makes_nobody_well(
    window: Window, row: GroupRow, partition: int, is_end: bool
) -> None:
    """Take one answer of the newest sample away: the group is judged by what is left, or unknown, never well."""
    newest = window.samples[-1]
    known = (newest.end if is_end else newest.committed).known
    known[partition % len(known)] = False
    verdict = Verdict(int(judge(window, {"g": row}, interval_seconds=INTERVAL).verdicts.numbers.values[0]))
    assert not verdict.is_well
