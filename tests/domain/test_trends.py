"""Falling behind and catching up, played second by second as a busy group would, and how long that takes to be seen."""

from __future__ import annotations

import numpy as np
import pytest

from collectors.domain.drain import drain
from collectors.domain.explanations import explain
from collectors.domain.numbers import NO_COMMIT, Column, Layout, Numbers
from collectors.domain.positions import positions
from collectors.domain.rates import rate_per_second
from collectors.domain.topology import GroupType
from collectors.domain.trends import BEAT_SECONDS, curves_of, position_trends, trends_of
from collectors.domain.verdicts import GroupRow, Verdict, judge
from collectors.domain.window import Window

INTERVAL = 5.0
ROW = GroupRow("g", GroupType.CLASSIC, 1)


class Play:
    """A group that reads at most `capacity` a second and commits each `commit_seconds`; sampled every 5 s."""

    def __init__(self, *, capacity: float, commit_seconds: float = 1.0, offset: float = 0.0) -> None:
        self.capacity, self.commit_seconds = capacity, commit_seconds
        self.at, self.end, self.read, self.committed = offset, 0.0, 0.0, 0.0
        self.sampled = 0.0
        self.is_known = True
        self.window = Window()
        self.verdicts: list[Verdict] = []

    def run(self, seconds: float, arriving: float, *, reads: bool = True, known: bool = True) -> list[Verdict]:
        """The verdicts of the samples taken meanwhile; `known` False: a broker is away, two partitions of three are not
        answered."""
        self.is_known = known
        before = len(self.verdicts)
        step = 0.25
        for _ in range(round(seconds / step)):
            self.at += step
            self.end += arriving * step
            if reads:
                self.read = min(self.end, self.read + self.capacity * step)
                if self.at % self.commit_seconds < step:
                    self.committed = self.read
            if self.at - self.sampled >= INTERVAL:
                self.sampled = self.at
                self._sample()
        return self.verdicts[before:]

    def _sample(self) -> None:
        group, topic = Layout.build({"g": [("t", 0), ("t", 1), ("t", 2)]}), Layout.of_topics({"t": [0, 1, 2]})
        committed = Column(group, self._spread(self.committed))
        self.window.push(self.at, committed, Column(topic, self._spread(self.end)))
        self.verdicts.append(
            Verdict(int(judge(self.window, {"g": ROW}, interval_seconds=INTERVAL).verdicts.numbers.values[0]))
        )

    def _spread(self, total: float) -> Numbers:
        each = [int(total) // 3 + (number < int(total) % 3) for number in range(3)]
        return Numbers.of([count if number == 0 or self.is_known else None for number, count in enumerate(each)])

    @property
    def sentence(self) -> str:
        return explain(ROW, self.window, verdict=self.verdicts[-1], now=self.at).sentence

    def drain_seconds(self) -> float | None:
        curves = curves_of(self.window)
        found = drain(curves.times, curves.lag[:, 0], curves.whole[:, 0])
        return None if found is None else found.seconds


@pytest.mark.parametrize("commit_seconds", [1.0, 5.0, 5.5])
def test_a_rush_is_seen_within_half_a_minute_and_said_until_it_is_over(commit_seconds: float) -> None:
    shop = Play(capacity=550, commit_seconds=commit_seconds)
    assert set(shop.run(120, 120)[1:]) == {Verdict.OK}
    said = shop.run(180, 960)
    first = said.index(Verdict.FALLING_BEHIND)
    assert (first + 1) * INTERVAL <= 30
    assert set(said[first:]) == {Verdict.FALLING_BEHIND}, "without a word between, or no hold would be reached"
    assert "while 960/s arrive" in shop.sentence
    after = shop.run(60, 120)
    assert Verdict.CATCHING_UP in after[:5]
    assert set(after[after.index(Verdict.CATCHING_UP) :]) == {Verdict.CATCHING_UP}
    assert shop.sentence.startswith("Catching up: reads ")


@pytest.mark.parametrize("commit_seconds", [1.0, 5.0])
def test_the_drain_estimate_holds_from_its_first_word_on(commit_seconds: float) -> None:
    shop = Play(capacity=550, commit_seconds=commit_seconds)
    shop.run(60, 120)
    shop.run(180, 960)
    told: list[tuple[float, float]] = []
    while shop.end - shop.committed > 1500:
        shop.run(INTERVAL, 120)
        if (seconds := shop.drain_seconds()) is not None:
            told.append((shop.at, seconds))
    assert len(told) > 20
    for at, seconds in told:
        left = shop.at - at
        assert left < 30 or abs(seconds - left) < 0.3 * left, f"{seconds:.0f} s told, {left:.0f} s it took"


def test_a_group_that_moves_again_catches_up_and_is_not_called_falling_behind() -> None:
    bank = Play(capacity=120, commit_seconds=3.0)
    bank.run(120, 25)
    frozen = bank.run(120, 25, reads=False)
    assert frozen[-1] is Verdict.NO_PROGRESS
    assert Verdict.FALLING_BEHIND not in frozen
    assert Verdict.FALLING_BEHIND not in bank.run(120, 25)


@pytest.mark.slow
@pytest.mark.parametrize("commit_seconds", [1.0, 3.0, 5.0, 5.5, 7.0, 9.0])
@pytest.mark.parametrize("arriving", [3.0, 120.0])
def test_a_group_that_keeps_up_is_never_called_anything_else(commit_seconds: float, arriving: float) -> None:
    calm = Play(capacity=1e6, commit_seconds=commit_seconds, offset=0.75)
    assert set(calm.run(600, arriving)[2:]) == {Verdict.OK}
    assert calm.sentence.startswith(("Keeps up", "Caught up"))


@pytest.mark.parametrize(("commit_seconds", "offset"), [(5.0, 0.25), (5.0, 2.0), (5.0, 4.0), (5.5, 1.0)])
def test_who_reads_the_whole_rush_does_not_fall_behind(commit_seconds: float, offset: float) -> None:
    """Eight times the records lie between two commits, and all of them are read."""
    quick = Play(capacity=1e6, commit_seconds=commit_seconds, offset=offset)
    for seconds, arriving in ((100, 120), (180, 960), (100, 120)):
        assert set(quick.run(seconds, arriving)[1:]) == {Verdict.OK}


def any_positions(seed: int, count: int = 60) -> Window:
    """Positions that are read at all paces, set back, cut off and not answered."""
    random = np.random.default_rng(seed)
    groups, topics = Layout.build({"g": [("t", p) for p in range(count)]}), Layout.of_topics({"t": range(count)})
    arriving = np.exp(random.normal(2, 2, count)) * (random.random(count) < 0.8) * INTERVAL
    pace = random.choice([0.0, 0.3, 0.8, 1.0, 1.0, 1.5, 4.0], count)
    end = random.integers(0, 10**6, count)
    committed = np.maximum(end - np.where(random.random(count) < 0.5, 0, random.exponential(2000, count)), 0)
    never = random.random(count) < 0.05
    window, at = Window(), 0.0
    for _ in range(int(random.integers(1, 30))):
        at += INTERVAL if random.random() > 0.03 else 8 * INTERVAL
        end = end + random.poisson(arriving)
        end = np.where(random.random(count) < 0.003, end // 2, end)
        read = np.minimum(np.maximum(end - committed, 0), arriving * pace + 5 * (pace >= 1))
        committed = np.floor(committed + np.where(random.random(count) < 0.85, read, 0))
        committed = np.where(random.random(count) < 0.01, np.maximum(committed - 3000, 0), committed)
        stored = np.where(never, NO_COMMIT, committed.astype(np.int64))
        known, end_known = random.random(count) > 0.01, random.random(count) > 0.01
        window.push(
            at,
            Column(groups, Numbers(stored * known, known)),
            Column(topics, Numbers(end * end_known, end_known)),
        )
        never &= random.random(count) < 0.95
    return window


@pytest.mark.parametrize("seed", range(40))
def test_the_trends_of_positions_are_those_of_groups_with_one_position_each(seed: int) -> None:
    window = any_positions(seed)
    facts = positions(window)
    climbs, catches_up = position_trends(window, facts.lag, facts.known)
    single = Window()
    single.layout = Layout.build({f"{p:03}": [("t", p)] for p in range(len(window.layout))})
    single.samples.extend(window.samples)
    all_climb, all_fall = trends_of(curves_of(single))
    _, _, end, end_known = window.arrays()
    arriving = rate_per_second(window.times, end, end_known)
    assert climbs.tolist() == all_climb.tolist()
    is_behind = arriving.known & (facts.lag > arriving.values * BEAT_SECONDS)
    assert (catches_up & facts.known).tolist() == (all_fall & is_behind & facts.known).tolist()


def test_a_backlog_that_does_not_shrink_has_no_end() -> None:
    full = Play(capacity=100)
    full.run(60, 150)
    assert full.drain_seconds() is None


@pytest.mark.slow
@pytest.mark.parametrize("per_second", [1.3, 4.0])
@pytest.mark.parametrize("seed", range(3))
def test_chance_alone_is_never_called_falling_behind(per_second: float, seed: int) -> None:
    """Poisson arrivals and commits of each 5 s: ten minutes without a wrong word."""
    random = np.random.default_rng(seed)
    calm = Play(capacity=1e9, commit_seconds=5.0, offset=float(random.random()) * 5)
    for _ in range(600):
        calm.run(1.0, float(random.poisson(per_second)))
    assert Verdict.FALLING_BEHIND not in calm.verdicts


@pytest.mark.parametrize("shift", [1.0, 2.0, 3.0, 4.0])
def test_a_first_sample_that_was_not_answered_makes_nobody_fall_behind(shift: float) -> None:
    """After a start or a gap not all is known at first; then the sampler's beat moves against that of the commits."""
    calm = Play(capacity=1e6, commit_seconds=5.0, offset=0.5)
    calm.run(5, 140, known=False)
    calm.run(40, 140)
    calm.sampled += shift - INTERVAL
    assert Verdict.FALLING_BEHIND not in calm.run(180, 140)
