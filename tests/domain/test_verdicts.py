"""What a group is doing: a table of cases, each with its sentence."""

from __future__ import annotations

import numpy as np
import pytest

from collectors.domain.explanations import explain
from collectors.domain.numbers import NO_COMMIT, Column, Layout, Numbers
from collectors.domain.questions import stood_since
from collectors.domain.topology import GroupType
from collectors.domain.verdicts import GroupRow, Verdict, judge
from collectors.domain.window import Window
from collectors.domain.words import THIN

INTERVAL = 5.0
START = 1_790_000_000.0


def window_of(committed: list[int | None], end: list[int | None], *, interval: float = INTERVAL) -> Window:
    """A window of one group with one partition."""
    group, topic = Layout.build({"g": [("t", 0)]}), Layout.of_topics({"t": [0]})
    window = Window()
    for i, (c, e) in enumerate(zip(committed, end, strict=True)):
        window.push(START + i * interval, Column(group, Numbers.of([c])), Column(topic, Numbers.of([e])))
    return window


def verdict_of(window: Window, *, members: int | None = 1, kind: GroupType = GroupType.CLASSIC) -> Verdict:
    column = judge(window, {"g": GroupRow("g", kind, members)}, interval_seconds=INTERVAL).verdicts
    return Verdict(int(column.numbers.values[0]))


def rising(count: int, step: int, first: int = 0) -> list[int | None]:
    return [first + step * i for i in range(count)]


LEFT = [2000, 1600, 1200, 800, 400, 100, 80, 60, 50, 40, 30, 20]
SAW = [0, 40, 80, 0, 40, 80, 0, 40, 80, 0, 40, 80]

CASES: list[tuple[str, list[int | None], list[int | None], int | None, Verdict]] = [
    ("reads all that arrives", rising(8, 50), rising(8, 50), 1, Verdict.OK),
    ("nothing arrives and nothing waits", [100] * 8, [100] * 8, 1, Verdict.OK),
    ("a quiet topic with a marker's residual that nothing follows", [99] * 8, [100] * 8, 1, Verdict.OK),
    ("waits one sample behind, always moving", rising(8, 50), rising(8, 50, 50), 1, Verdict.OK),
    ("commits in a sawtooth", [1000 + 40 * i - s for i, s in enumerate(SAW)], rising(12, 40, 1000), 1, Verdict.OK),
    ("stands still for 20 s while records arrive", [50, 100, *[100] * 4], rising(6, 50, 50), 1, Verdict.NO_PROGRESS),
    ("stands still for only 10 s", [50, 100, 100, 100], rising(4, 50, 50), 1, Verdict.OK),
    ("stood still from the first sample on", [100, 100, 100, 100, 100], rising(5, 50, 150), 1, Verdict.NO_PROGRESS),
    ("stands still, but was caught up 10 s ago", [100] * 6, [100, 100, 100, 100, 101, 102], 1, Verdict.OK),
    ("one record came 20 s ago and is not read", [100] * 6, [100, *[101] * 5], 1, Verdict.NO_PROGRESS),
    ("moves again after standing still", [100, 100, 100, 100, 100, 100, 400], rising(7, 50, 150), 1, Verdict.OK),
    (
        "unanswered samples are no evidence, neither of reading nor of standing still",
        [100, None, None, None, 100],
        rising(5, 9, 110),
        1,
        Verdict.UNKNOWN,
    ),
    ("records wait since the first sample, 10 s ago: undecided", [100] * 3, rising(3, 50, 150), 1, Verdict.UNKNOWN),
    (
        "arrivals swing, and with them the lag between two commits",
        [int(sum(100 + 2 * k for k in range(i)) * 1) for i in range(24)],
        [int(sum(100 + 2 * k for k in range(i + 1))) for i in range(24)],
        1,
        Verdict.OK,
    ),
    (
        "commits every 5.5 s and samples every 5 s beat: the lag seen climbs through one commit interval",
        [int(100 * (5 * i - (0.5 * i) % 5.5)) for i in range(10)],
        rising(10, 500),
        1,
        Verdict.OK,
    ),
    ("reads four fifths of what arrives", rising(24, 400), rising(24, 500, 500), 1, Verdict.FALLING_BEHIND),
    ("lag climbs beyond any sawtooth", rising(12, 30), rising(12, 100, 100), 1, Verdict.FALLING_BEHIND),
    ("lag climbs, but for too short to say", rising(3, 30), rising(3, 100, 100), 1, Verdict.OK),
    (
        "lag rises in each of three steps, by more than any commit explains",
        rising(4, 30),
        rising(4, 100, 100),
        1,
        Verdict.FALLING_BEHIND,
    ),
    ("lag rises steadily, by no more than one commit explains", rising(4, 90), rising(4, 100, 100), 1, Verdict.OK),
    ("catches up", rising(12, 100), rising(12, 30, 2000), 1, Verdict.CATCHING_UP),
    ("nobody is there and records wait", [100] * 6, rising(6, 50, 150), 0, Verdict.NO_MEMBERS),
    ("nobody is there and nothing waits", [100] * 6, [100] * 6, 0, Verdict.NO_MEMBERS),
    ("assigned, never committed, records arrive", [NO_COMMIT] * 5, rising(5, 50), 1, Verdict.NOT_COMMITTING),
    ("assigned, never committed, nothing arrives", [NO_COMMIT] * 5, [0] * 5, 1, Verdict.OK),
    ("assigned and new: it may commit in a moment", [NO_COMMIT] * 2, rising(2, 50), 1, Verdict.OK),
    ("the commit is not known now", [50, 100, None], rising(3, 50, 50), 1, Verdict.UNKNOWN),
    ("the log end is not known now", [50, 100, 150], [50, 100, None], 1, Verdict.UNKNOWN),
    ("its members are not known, its offsets are fine", rising(8, 50), rising(8, 50), None, Verdict.UNKNOWN),
    ("its members are not known, and it stands still", [100] * 6, rising(6, 50, 150), None, Verdict.NO_PROGRESS),
    ("one sample, nothing waits", [100], [100], 1, Verdict.OK),
    ("one sample, records wait: two are needed", [100], [150], 1, Verdict.UNKNOWN),
    ("rewound and reading again", [900, 950, 100, 200, 300, 400], rising(6, 10, 960), 1, Verdict.REWOUND),
    ("committed past the end after a truncation", [500] * 6, [400] * 6, 1, Verdict.UNKNOWN),
]


@pytest.mark.parametrize(("sentence", "committed", "end", "members", "expected"), CASES, ids=[c[0] for c in CASES])
def test_verdict(
    sentence: str, committed: list[int | None], end: list[int | None], members: int | None, expected: Verdict
) -> None:
    assert verdict_of(window_of(committed, end), members=members) is expected, sentence


def test_a_share_group_that_no_broker_tells_of_is_unknown_and_says_why() -> None:
    row = GroupRow("g", GroupType.SHARE, 2)
    asked = Window()
    asked.push(START, Column(Layout.build({"g": []}), Numbers.unknown(0)), Column.empty())  # answered: nothing yet
    for window in (window_of([], []), asked):
        assert verdict_of(window, kind=GroupType.SHARE) is Verdict.UNKNOWN
        told = explain(row, window, verdict=Verdict.UNKNOWN, now=START, reason="unsupported by this broker")
        assert told.sentence == "Unknown: unsupported by this broker"
        told = explain(row, window, verdict=Verdict.UNKNOWN, now=START)
        assert told.sentence == (
            "Unknown: the broker tells the lag of a share group once a record was acknowledged there"
        )
        told = explain(row, window, verdict=Verdict.NO_MEMBERS, now=START, reason="broker 2: timeout")
        assert told.sentence == "No members, and its lag is not known: broker 2: timeout"


def test_a_group_without_members_and_offsets_is_told_so_also_when_its_coordinator_lists_it() -> None:
    answered = Window()
    answered.push(START, Column(Layout.build({"g": []}), Numbers.unknown(0)), Column.empty())
    for window in (Window(), answered):
        told = explain(GroupRow("g", GroupType.CLASSIC, 0), window, verdict=Verdict.NO_MEMBERS, now=START)
        assert told.sentence == "No members, and no committed offset"


def test_a_share_group_of_which_a_part_is_not_known_says_how_many_and_calls_nothing_waiting_none() -> None:
    row, window = GroupRow("g", GroupType.SHARE, 2), window_of([None, None], [50, 100])
    told = explain(row, window, verdict=Verdict.UNKNOWN, now=START, reason="broker 1: timed out (share lag)")
    assert told.sentence == "Unknown: the lag of 1 of 1 partition is not known: broker 1: timed out (share lag)"
    nobody = explain(row, window, verdict=Verdict.NO_MEMBERS, now=START)
    assert nobody.sentence.startswith("No members: nobody reads, how many records wait is not known")


def test_what_is_said_of_a_share_group_speaks_of_no_commit_and_no_owner() -> None:
    window = window_of([100] * 8, rising(8, 50, 150))
    row = GroupRow("g", GroupType.SHARE, 2)
    told = explain(row, window, verdict=Verdict.NO_PROGRESS, now=START + 60, owners={("t", 0): "m1"})
    said = " ".join((told.sentence, told.cause, told.step, *told.evidence))
    assert "commit" not in said
    assert "m1" not in said, "several members may read one partition"
    assert "acknowledges nothing" in told.cause
    assert "t-0: 7 samples without one acknowledged while 350 records arrived" in told.evidence


def test_the_worst_partition_speaks_for_the_group() -> None:
    group, topic = Layout.build({"g": [("t", 0), ("t", 1)]}), Layout.of_topics({"t": [0, 1]})
    window = Window()
    for i in range(6):
        committed = Column(group, Numbers.of([100 * i, 500]))
        window.push(START + i * INTERVAL, committed, Column(topic, Numbers.of([100 * i, 510 + 10 * i])))
    assert verdict_of(window) is Verdict.NO_PROGRESS


def in_turns(samples: int, *, read: int, arrive: int = 10) -> Window:
    """Two partitions with a backlog each: of the one `read` records are read in each interval, of the other none."""
    group, topic = Layout.build({"g": [("t", 0), ("t", 1)]}), Layout.of_topics({"t": [0, 1]})
    window = Window()
    for i in range(samples):
        end = Column(topic, Numbers.of([50_000 + arrive * i] * 2))
        window.push(START + i * INTERVAL, Column(group, Numbers.of([1_000 + read * i, 1_000])), end)
    return window


def test_a_partition_may_wait_its_turn_while_a_backlog_is_worked_off() -> None:
    assert verdict_of(in_turns(16, read=2_500)) is Verdict.CATCHING_UP, (
        "75 s on the other partition, the lag of both falls"
    )
    assert verdict_of(in_turns(16, read=2_500), members=2) is Verdict.NO_PROGRESS, "each has one of the two partitions"
    worked_off = explain(
        GroupRow("g", GroupType.CLASSIC, 1), in_turns(16, read=2_500), verdict=Verdict.CATCHING_UP, now=START + 75
    )
    assert worked_off.sentence.startswith("Catching up: ")


def test_a_turn_that_does_not_come_is_no_progress() -> None:
    long = in_turns(23, read=2_000)
    assert verdict_of(long) is Verdict.NO_PROGRESS
    assert stood_since(long, "g", interval_seconds=INTERVAL) == START
    slow = in_turns(16, read=15)
    assert verdict_of(slow) is Verdict.FALLING_BEHIND, "its reader is busy with the other's backlog, which grows"
    assert verdict_of(slow, members=2) is Verdict.NO_PROGRESS


def test_a_group_without_any_position_is_unknown_not_ok() -> None:
    window = window_of(rising(3, 1), rising(3, 1))
    column = judge(window, {"other": GroupRow("other", GroupType.CLASSIC, 3)}, interval_seconds=INTERVAL).verdicts
    assert column.numbers.at(0) == Verdict.UNKNOWN


def test_a_clock_that_steps_back_starts_the_window_afresh() -> None:
    window = window_of([100] * 6, rising(6, 50, 150))
    layout, topic = Layout.build({"g": [("t", 0)]}), Layout.of_topics({"t": [0]})
    window.push(START - 3600, Column(layout, Numbers.of([100])), Column(topic, Numbers.of([600])))
    assert len(window.samples) == 1
    assert verdict_of(window) is Verdict.UNKNOWN


def test_samples_follow_a_group_when_other_groups_come() -> None:
    window = window_of([100] * 5, rising(5, 50, 150))
    layout, topic = Layout.build({"a": [("t", 0)], "g": [("t", 0)]}), Layout.of_topics({"t": [0]})
    window.push(START + 25, Column(layout, Numbers.of([0, 100])), Column(topic, Numbers.of([400])))
    assert verdict_of(window) is Verdict.NO_PROGRESS


def test_log_starts_and_owners_follow_a_group_when_other_groups_come() -> None:
    topic = Layout.of_topics({"t": [0]})
    end, start = Column(topic, Numbers.of([150])), Column(topic, Numbers.of([120]))
    window = Window()
    alone = Column(Layout.build({"g": [("t", 0)]}), Numbers.of([100]))
    for i in range(3):
        window.push(START + i, alone, end, start=start if i == 0 else None, owned=np.array([2], dtype=np.int8))
    two = Column(Layout.build({"a": [("t", 0)], "g": [("t", 0)]}), Numbers.of([0, 100]))
    window.push(START + 3, two, end, owned=np.array([1, 2], dtype=np.int8))
    before = window.samples[0]
    assert before.start is not None
    assert before.owned is not None
    assert (before.start.at(0), before.start.at(1), before.owned.tolist()) == (None, 120, [0, 2])
    assert window.samples[0].start is window.samples[2].start, "many samples share one"


@pytest.mark.parametrize(
    ("committed", "end", "verdict", "expected"),
    [
        ([50, 100, *[100] * 5], rising(7, 50, 50), Verdict.NO_PROGRESS, "No progress since"),
        ([50, 100, *[100] * 5], rising(7, 50, 50), Verdict.NO_PROGRESS, "read by worker-1"),
        (rising(12, 30), rising(12, 100, 100), Verdict.FALLING_BEHIND, "reads 6/s while 20/s arrive"),
        (rising(12, 100), rising(12, 30, 2000), Verdict.CATCHING_UP, "Catching up"),
        ([100] * 3, [100] * 3, Verdict.OK, "Caught up"),
        # what is left of the backlog is no more than always waits between two commits
        ([2000 + 100 * i - w for i, w in enumerate(LEFT)], rising(12, 100, 2000), Verdict.OK, "Keeps up: reads"),
        ([*[0] * 10, 10, 20], rising(12, 100, 100), Verdict.OK, "Too soon to say whether it keeps up: reads"),
        (rising(8, 50), rising(8, 50, 50), Verdict.OK, "Keeps up: reads 10/s while 10/s arrive"),
        ([100] * 3, [150] * 3, Verdict.NO_MEMBERS, "nobody reads, 50 records wait"),
        ([NO_COMMIT] * 5, rising(5, 50), Verdict.NOT_COMMITTING, "no offset ever committed while 200 records"),
        ([None] * 3, rising(3, 50), Verdict.UNKNOWN, "1 of 1 partition not answered"),
    ],
)
def test_the_sentence_says_why(
    committed: list[int | None], end: list[int | None], verdict: Verdict, expected: str
) -> None:
    row = GroupRow("g", GroupType.CLASSIC, 1)
    window = window_of(committed, end)
    now = START + len(end) * INTERVAL
    finding = explain(row, window, verdict=verdict, now=now, owners={("t", 0): "worker-1"})
    assert expected in finding.sentence
    assert "nan" not in finding.sentence.lower()


def test_names_in_a_sentence_are_escaped_once_and_numbers_are_not() -> None:
    window = window_of([100] * 7, rising(7, 5000, 5000))
    finding = explain(
        GroupRow("g", GroupType.CLASSIC, 1),
        window,
        verdict=Verdict.NO_PROGRESS,
        now=START + 30,
        owners={("t", 0): "wor\u202eker\n1"},
    )
    assert f"none of 34{THIN}900 waiting records read" in finding.sentence
    assert finding.sentence.endswith("read by wor\\u202eker\\n1")


def test_a_partition_stands_since_its_last_movement() -> None:
    window = window_of([*rising(4, 100), *[300] * 8], rising(12, 100))
    assert stood_since(window, "g", interval_seconds=INTERVAL) == window.times[3]
    assert stood_since(window, "other", interval_seconds=INTERVAL) is None
    assert stood_since(window_of(rising(8, 50), rising(8, 50)), "g", interval_seconds=INTERVAL) is None


def test_the_stored_moment_is_remembered_when_the_window_has_forgotten_it() -> None:
    window = window_of([100] * 24, rising(24, 50, 150))
    finding = explain(
        GroupRow("g", GroupType.CLASSIC, 1), window, verdict=Verdict.NO_PROGRESS, now=START + 120, since=START - 600
    )
    assert finding.since == START - 600


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_random_but_healthy_groups_are_never_called_stuck(seed: int) -> None:
    """Poisson arrivals, commits each 5 s that are up to a second old: ten minutes without a wrong word."""
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.poisson(random.choice([0.05, 2, 40, 400]) * INTERVAL, 120))
    committed, end = [0], [int(arrivals[0])]
    for i in range(1, len(arrivals)):
        end.append(int(arrivals[i]))
        committed.append(int(arrivals[i - 1] + random.random() * (arrivals[i] - arrivals[i - 1])))
    for stop in range(2, len(end)):
        window = window_of([*committed[max(0, stop - 24) : stop]], [*end[max(0, stop - 24) : stop]])
        assert verdict_of(window) is not Verdict.NO_PROGRESS


def test_a_partition_that_gets_little_and_stands_beside_a_busy_one_stays_so() -> None:
    """A record each minute there, a backlog that its reader is busy with beside it: told, and not on and off."""
    group, topic = Layout.build({"g": [("t", 0), ("t", 1)]}), Layout.of_topics({"t": [0, 1]})
    window, told = Window(), []
    for i in range(120):
        ends = Column(topic, Numbers.of([50_000 + 200 * i, 1_010 + i // 12]))
        window.push(START + i * INTERVAL, Column(group, Numbers.of([1_000 + 200 * i, 1_000])), ends)
        told.append(verdict_of(window))
    first = told.index(Verdict.NO_PROGRESS)
    assert first * INTERVAL <= 150
    assert set(told[first:]) == {Verdict.NO_PROGRESS}
