"""Retention countdown: three estimates, the soonest of them, and in words where there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.domain.ages import Ages, Method
from collectors.domain.countdown import (
    Countdowns,
    Outcome,
    Retention,
    Trim,
    countdowns,
    soonest_by_owner,
    trim_of,
)
from collectors.domain.numbers import NO_COMMIT, Numbers

HOUR = 3600.0


@dataclass(frozen=True)
class Case:
    """A position: 1 000 records wait since an hour, kept for a day, nobody reads; what differs is said."""

    committed: int | None = 5_000
    start: int | None = 0
    end: int | None = 6_000
    age: float | None = HOUR
    keep_seconds: float | None = 24 * HOUR
    keep_bytes: int | None = -1
    deletes: bool | None = True
    trim: float | None = 0.0
    trimmed_to: float = 0.0
    consumed: float | None = 0.0
    arriving: float | None = 1.0
    size: int | None = 600_000
    unsure: float = 0.0  # so much older it may be


def found(*cases: Case) -> Countdowns:
    committed = Numbers.of([one.committed for one in cases])
    method = [Method.UNKNOWN if one.age is None else Method.INTERPOLATED for one in cases]
    seconds = np.array([one.age or 0.0 for one in cases])
    return countdowns(
        committed,
        Numbers.of([one.start for one in cases]),
        Numbers.of([one.end for one in cases]),
        committed.known & (committed.values != NO_COMMIT),
        ages=Ages(seconds, seconds, seconds + [one.unsure for one in cases], np.array([int(one) for one in method])),
        retention=Retention(
            Numbers.of([one.keep_seconds for one in cases], np.float64),
            Numbers.of([one.keep_bytes for one in cases]),
            Numbers.of([None if one.deletes is None else int(one.deletes) for one in cases]),
        ),
        trim=Trim(
            Numbers.of([one.trim for one in cases], np.float64),
            Numbers.of([one.trimmed_to for one in cases], np.float64),
        ),
        consumed=Numbers.of([one.consumed for one in cases], np.float64),
        arriving=Numbers.of([one.arriving for one in cases], np.float64),
        size_bytes=Numbers.of([one.size for one in cases]),
    )


@pytest.mark.parametrize(
    ("sentence", "case", "outcome", "seconds"),
    [
        ("a day is kept, an hour has gone", Case(), Outcome.BY_TIME, 23 * HOUR),
        ("it reads half as fast as time goes: twice as long", Case(age=18 * HOUR, consumed=1000 / (36 * HOUR)),
         Outcome.BY_TIME, 12 * HOUR),
        ("it reads half as fast as time goes, and that is longer than is kept", Case(consumed=1000 / 7200),
         Outcome.FAR_OFF, None),
        ("it reads as fast as records came: never", Case(consumed=1000 / 3600), Outcome.OUTREAD, None),
        ("overdue: at any moment", Case(age=25 * HOUR), Outcome.BY_TIME, 0),
        ("nothing waits: never", Case(committed=6_000), Outcome.CAUGHT_UP, None),
        ("kept for ever: never", Case(keep_seconds=-1), Outcome.KEPT_FOR_EVER, None),
        ("compacted only: never", Case(deletes=False, keep_bytes=1000), Outcome.KEPT_FOR_EVER, None),
        ("the log start has passed it", Case(start=5_500), Outcome.OVERTAKEN, 0),
        ("no commit", Case(committed=NO_COMMIT), Outcome.NO_COMMIT, None),
        ("a commit that was not answered", Case(committed=None), Outcome.NOT_ANSWERED, None),
        ("a log end that was not answered", Case(end=None), Outcome.NOT_ANSWERED, None),
        ("a commit past the log end, which is neither caught up nor missing", Case(committed=6_001), Outcome.PAST_END,
         None),
        ("settings that may not be seen", Case(keep_seconds=None, keep_bytes=None, deletes=None),
         Outcome.SETTINGS_HIDDEN, None),
        ("an age that is not known", Case(age=None), Outcome.AGE_UNKNOWN, None),
        # 100 bytes a record: 100 kB wait, 200 kB may; 1/s more each second
        ("by size", Case(keep_seconds=-1, keep_bytes=200_000), Outcome.BY_SIZE, 1_000),
        ("by size, half of it read", Case(keep_seconds=-1, keep_bytes=200_000, consumed=0.5), Outcome.BY_SIZE, 2_000),
        ("by size, all of it read", Case(keep_seconds=-1, keep_bytes=200_000, consumed=1.0), Outcome.OUTREAD, None),
        ("by size, more waits than may", Case(keep_seconds=-1, keep_bytes=50_000), Outcome.BY_SIZE, 0),
        ("by size, which is not known", Case(keep_seconds=-1, keep_bytes=200_000, size=None),
         Outcome.RATE_UNKNOWN, None),
        ("time is sooner than size", Case(keep_seconds=HOUR + 60, keep_bytes=200_000), Outcome.BY_TIME, 60),
        ("size is sooner than time", Case(keep_bytes=200_000), Outcome.BY_SIZE, 1_000),
        ("records are deleted by hand, sooner than by time", Case(trim=50.0, trimmed_to=1_000.0),
         Outcome.BY_TRIM, 80),
        ("the trim, while it reads", Case(trim=50.0, trimmed_to=1_000.0, consumed=0.25), Outcome.BY_TRIM, 4000 / 49.75),
        # back since a while, 20 s behind, and the log start still moves at the pace of a rush before
        ("the trim, near the end and reading what comes", Case(trim=90.0, trimmed_to=5_000.0, consumed=60.0,
         arriving=62.0), Outcome.OUTREAD, None),
        ("the trim, near the end and reading half of what comes", Case(trim=90.0, trimmed_to=4_900.0, consumed=60.0,
         arriving=120.0, age=3600.0, keep_seconds=-1), Outcome.BY_TRIM, 100 / 30),
        ("a rush fills what little is kept", Case(keep_seconds=-1, keep_bytes=120_000, consumed=100.0, arriving=150.0),
         Outcome.BY_SIZE, 4),
        ("a trim that is seen tells even where settings may not be", Case(
            keep_seconds=None, keep_bytes=None, deletes=None, trim=50.0, trimmed_to=1_000.0), Outcome.BY_TRIM, 80),
        # 1 000 records behind at 250/s, an age of 3 s that may be 5: within a sample its speed is noise
        ("it is a sample behind, and slower for a moment", Case(age=3.0, unsure=2.0, consumed=250.0, arriving=300.0),
         Outcome.OUTREAD, None),
        ("the same where a size is kept", Case(age=3.0, unsure=2.0, consumed=250.0, arriving=300.0, keep_seconds=-1,
         keep_bytes=200_000_000), Outcome.OUTREAD, None),
        ("an age that says little does not excuse who hardly reads", Case(age=600.0, unsure=3000.0, consumed=0.5,
         keep_seconds=800.0), Outcome.BY_TIME, 200.0 / 0.7),
        ("a little too slow, with little left", Case(age=22 * HOUR, consumed=0.9 * 1000 / (22 * HOUR)),
         Outcome.BY_TIME, 20 * HOUR),
        # 60 records, 20 a second come: three seconds' worth, which one sample takes for 8 s old
        ("no more waits than comes between two commits", Case(committed=5_940, age=8.0, consumed=3.0, arriving=20.0,
         keep_seconds=60.0), Outcome.OUTREAD, None),
        ("the same where nobody reads", Case(committed=5_940, age=8.0, arriving=20.0, keep_seconds=60.0),
         Outcome.BY_TIME, 52.0),
        ("the same with next to nothing left", Case(committed=5_940, age=58.0, consumed=0.5, arriving=20.0,
         keep_seconds=60.0), Outcome.BY_TIME, 2.0 / (1 - 0.5 * 58 / 60)),
        ("a record that came a moment ago", Case(committed=5_999, age=2.5, arriving=0.1), Outcome.OUTREAD, None),
        ("the same with a size, read a little slower", Case(committed=5_940, age=8.0, consumed=19.0, arriving=20.0,
         keep_seconds=-1, keep_bytes=200_000), Outcome.OUTREAD, None),
        ("a size that lasts longer than the time that is kept", Case(keep_bytes=200_000, keep_seconds=HOUR + 900,
         consumed=0.999, arriving=1.0), Outcome.FAR_OFF, None),
        ("who reads is not known: as if nobody did it would be 23 h", Case(consumed=None),
         Outcome.READING_UNKNOWN, None),
        ("the same by size", Case(consumed=None, keep_seconds=-1, keep_bytes=200_000), Outcome.READING_UNKNOWN, None),
        ("the same by a trim", Case(consumed=None, keep_seconds=-1, trim=50.0, trimmed_to=1_000.0),
         Outcome.READING_UNKNOWN, None),
        ("the same of a trim where settings may not be seen", Case(consumed=None, keep_seconds=None, keep_bytes=None,
         deletes=None, trim=50.0, trimmed_to=1_000.0), Outcome.READING_UNKNOWN, None),
        ("who reads does not matter where nothing waits", Case(committed=6_000, consumed=None),
         Outcome.CAUGHT_UP, None),
        ("nor where nothing is deleted", Case(consumed=None, keep_seconds=-1), Outcome.KEPT_FOR_EVER, None),
        ("nor where it is lost already", Case(consumed=None, start=5_500), Outcome.OVERTAKEN, 0),
        ("the pace of the log start tells also what is further off than records are kept", Case(keep_seconds=3_900.0,
         consumed=0.3, trim=1.3), Outcome.BY_TRIM, 5_000),
    ],
)  # fmt: skip
def test_countdown_of_one_position(sentence: str, case: Case, outcome: Outcome, seconds: float | None) -> None:
    one = found(case)
    assert Outcome(int(one.outcome[0])) is outcome, sentence
    assert outcome.is_number == (seconds is not None)
    if seconds is not None:
        assert one.seconds[0] == pytest.approx(seconds), sentence
    waits = (case.end or 0) - max(case.committed or 0, case.start or 0)
    assert one.at_stake[0] == (0 if seconds is None else waits)


@pytest.mark.parametrize("keep_seconds", [600.0, 6 * HOUR, 168 * HOUR])
@pytest.mark.parametrize("per_second", [0.05, 0.2, 1.0, 5.0])
def test_a_group_that_keeps_up_has_never_a_countdown(per_second: float, keep_seconds: float) -> None:
    """It commits all there is every 5 s, and is sampled about every 5 s: the sawtooth of commits is no pace."""
    chance = np.random.default_rng(1)
    came = np.cumsum(chance.exponential(1 / per_second, int(per_second * 800) + 50))
    times = np.arange(60, 660, 5.0) + chance.uniform(0, 0.3, 120)
    ends = np.searchsorted(came, times)
    commits = np.searchsorted(came, np.floor((times - 2.0) / 5.0) * 5.0 + 1.9)
    every = []
    for i in range(20, len(times)):
        age = unsure = 0.0
        if ends[i] > commits[i]:
            before = int(np.flatnonzero(ends[:i] <= commits[i])[-1])  # the sample before its oldest record came
            number = commits[i] - ends[before] + 0.5
            share = number / (ends[before + 1] - ends[before])
            age = times[i] - (times[before] + share * (times[before + 1] - times[before]))
            unsure = times[i] - times[before] - age
        spent = times[i] - times[i - 6]
        every.append(
            Case(committed=int(commits[i]), end=int(ends[i]), age=age, unsure=unsure, keep_seconds=keep_seconds,
                 consumed=(commits[i] - commits[i - 6]) / spent, arriving=(ends[i] - ends[i - 6]) / spent)
        )  # fmt: skip
    assert found(*every).is_never.all()


def test_the_soonest_position_counts_and_what_is_at_stake_is_added_up() -> None:
    every = found(Case(), Case(age=2 * HOUR), Case(committed=6_000), Case(committed=None), Case(committed=6_000))
    counted = np.ones(5, dtype=np.bool_)
    groups, worst = soonest_by_owner(every, counted, np.array([0, 0, 0, 1, 2]), 4)
    assert groups.seconds[0] == pytest.approx(22 * HOUR)
    assert groups.at_stake[0] == 2_000
    assert worst.tolist() == [1, 3, 4, -1]
    assert [Outcome(int(one)) for one in groups.outcome] == [
        Outcome.BY_TIME, Outcome.NOT_ANSWERED, Outcome.CAUGHT_UP, Outcome.NO_COMMIT,
    ]  # fmt: skip


def test_a_commit_past_the_log_end_is_told_as_such() -> None:
    assert Outcome.PAST_END.is_unknown
    assert Outcome.PAST_END.because == "the commit lies past the log end"
    groups, _ = soonest_by_owner(found(Case(committed=6_001)), np.ones(1, dtype=np.bool_), np.array([0]), 1)
    assert Outcome(int(groups.outcome[0])) is Outcome.PAST_END


def test_what_is_not_known_anywhere_is_no_never() -> None:
    every = found(Case(committed=6_000), Case(committed=None))
    groups, _ = soonest_by_owner(every, np.ones(2, dtype=np.bool_), np.array([0, 0]), 1)
    assert Outcome(int(groups.outcome[0])) is Outcome.NOT_ANSWERED


@pytest.mark.parametrize(
    ("sentence", "starts", "rate", "start"),
    [
        ("a log start that stands", [7, 7, 7, 7, 7], 0.0, 7.0),
        ("one step is no pace", [0, 0, 0, 50, 50], 0.0, 50.0),
        ("ten a second since a moment ago, not watered down by the time before", [0, 0, 100, 200, 300], 10.0, 300.0),
        ("samples that are missing in between", [0, 100, None, 300, None], 10.0, 400.0),
        ("it has stopped", [0, 100, 200, *[200] * 6], 0.0, 200.0),
    ],
)
def test_the_pace_of_a_log_start(sentence: str, starts: list[int | None], rate: float, start: float) -> None:
    samples = Numbers.of(starts)
    times = np.arange(len(starts), dtype=np.float64) * 10.0
    trim = trim_of(times, samples.values[:, None], samples.known[:, None], now=float(times[-1]))
    assert trim.per_second.at(0) == pytest.approx(rate), sentence
    assert trim.start.at(0) == pytest.approx(start), sentence


def test_a_log_start_that_was_never_seen_has_no_pace() -> None:
    trim = trim_of(np.array([0.0, 10.0]), np.zeros((2, 1), dtype=np.int64), np.zeros((2, 1), dtype=np.bool_), now=10.0)
    assert trim.per_second.at(0) is None


maybe_rate = st.one_of(st.none(), st.floats(0, 1e6))
cases = st.builds(
    Case,
    committed=st.one_of(st.none(), st.integers(NO_COMMIT, 10**9)),
    start=st.one_of(st.none(), st.integers(0, 10**9)),
    end=st.one_of(st.none(), st.integers(0, 10**9)),
    age=st.one_of(st.none(), st.floats(0, 1e8)),
    keep_seconds=st.one_of(st.none(), st.just(-1), st.floats(0, 1e8)),
    keep_bytes=st.one_of(st.none(), st.just(-1), st.integers(0, 10**12)),
    deletes=st.one_of(st.none(), st.booleans()),
    trim=maybe_rate,
    trimmed_to=st.floats(0, 1e9),
    consumed=maybe_rate,
    arriving=maybe_rate,
    size=st.one_of(st.none(), st.integers(0, 10**12)),
)


@given(st.lists(cases, min_size=1, max_size=5))
def test_a_countdown_is_never_nan_nor_negative_and_unknown_inputs_give_no_number(every: list[Case]) -> None:
    one = found(*every)
    assert np.isfinite(one.seconds).all()
    assert (one.seconds >= 0).all()
    assert (one.at_stake >= 0).all()
    for i, case in enumerate(every):
        outcome = Outcome(int(one.outcome[i]))
        assert outcome.because
        if case.committed in (None, NO_COMMIT) or case.end is None:
            assert outcome.is_unknown
        if outcome is Outcome.BY_TIME:
            assert case.age is not None
            assert case.keep_seconds is not None
            assert one.seconds[i] <= case.keep_seconds
        if outcome in (Outcome.BY_TIME, Outcome.BY_SIZE, Outcome.BY_TRIM):
            assert case.consumed is not None
        assert (one.confidence[i] == Method.UNKNOWN) == outcome.is_unknown
