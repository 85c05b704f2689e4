"""Each partition of a group has a verdict of its own, by the rules of the whole group."""

from __future__ import annotations

import pytest

from collectors.domain.numbers import NO_COMMIT, Column, Layout, Numbers
from collectors.domain.partitions import PartitionVerdict, judge_partitions
from collectors.domain.window import Window

GROUP = Layout.build({"g": [("t", 0)], "other": [("t", 0)]})
TOPIC = Layout.of_topics({"t": [0]})
Samples = list[tuple[int | None, int | None]]  # (commit, log end); None: not answered


def window_of(samples: Samples) -> Window:
    window = Window()
    for row, (committed, end) in enumerate(samples):
        commits = Column(GROUP, Numbers.of([committed, 5]))
        window.push(1_000.0 + 5 * row, commits, Column(TOPIC, Numbers.of([end])))
    return window


def steady(reads: int, arrive: int, *, behind: int = 0, rows: int = 24) -> Samples:
    return [(reads * row, behind + arrive * row) for row in range(rows)]


CASES: list[tuple[str, Samples, int | None, PartitionVerdict]] = [
    ("all is read", steady(50, 50), 2, PartitionVerdict.OK),
    ("records wait and come, the commit stands", steady(0, 50, behind=10), 2, PartitionVerdict.NO_PROGRESS),
    ("records wait, none comes: nothing to do", [(100, 100)] * 24, 2, PartitionVerdict.OK),
    ("less is read than comes", steady(40, 400), 2, PartitionVerdict.FALLING_BEHIND),
    ("more is read than comes", steady(400, 40, behind=20_000), 2, PartitionVerdict.CATCHING_UP),
    ("nobody is in the group", steady(0, 50, behind=10), 0, PartitionVerdict.NO_MEMBERS),
    ("records come and no offset was ever committed", [(NO_COMMIT, 50 * row) for row in range(24)], 2,
     PartitionVerdict.NOT_COMMITTING),
    ("no offset was ever committed and nothing comes", [(NO_COMMIT, 7)] * 24, 2, PartitionVerdict.NO_COMMIT),
    ("the newest commit was not answered", [*steady(50, 50, rows=23), (None, 1200)], 2, PartitionVerdict.UNKNOWN),
    ("the newest log end was not answered", [*steady(50, 50, rows=23), (1150, None)], 2, PartitionVerdict.UNKNOWN),
    ("the members are not known", steady(50, 50), None, PartitionVerdict.UNKNOWN),
    ("one sample, and records wait: too soon to say", [(0, 10)], 2, PartitionVerdict.UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("what", "samples", "members", "verdict"), CASES, ids=[case[0] for case in CASES])
def test_a_partition_s_verdict(what: str, samples: Samples, members: int | None, verdict: PartitionVerdict) -> None:
    found = judge_partitions(window_of(samples), "g", [("t", 0)], members=members, interval_seconds=5.0)
    assert found == [verdict], what


def test_verdicts_are_in_the_order_of_the_question() -> None:
    """One partition stands, one is read, one is of a topic that the group has no position in."""
    group = Layout.build({"g": [("t", 0), ("t", 1)]})
    topic = Layout.of_topics({"t": [0, 1]})
    window = Window()
    for row in range(24):
        commits = Column(group, Numbers.of([7, 50 * row]))
        window.push(1_000.0 + 5 * row, commits, Column(topic, Numbers.of([10 + 50 * row, 50 * row])))
    asked = [("t", 1), ("nothing", 0), ("t", 0)]
    found = judge_partitions(window, "g", asked, members=1, interval_seconds=5.0)
    assert found == [PartitionVerdict.OK, PartitionVerdict.UNKNOWN, PartitionVerdict.NO_PROGRESS]


def test_without_a_sample_nothing_is_known() -> None:
    found = judge_partitions(Window(), "g", [("t", 0)], members=1, interval_seconds=5.0)
    assert found == [PartitionVerdict.UNKNOWN]


def test_what_is_told_of_groups_is_told_of_partitions() -> None:
    """One was rewound, one loses records, one belongs to nobody, one of nobody's is read."""
    layout = Layout.build({"g": [("t", p) for p in range(4)]})
    topic = Layout.of_topics({"t": range(4)})
    window = Window()
    for row in range(24):
        went_back = 9_000 + 50 * row if row < 20 else 2_000 + 60 * row
        commits = Column(layout, Numbers.of([went_back, 50 * row, 7, 50 * row]))
        ends = Column(topic, Numbers.of([10_500 + 50 * row, 9_000 + 50 * row, 100 + row, 50 * row]))
        start = Column(topic, Numbers.of([0, 0 if row < 22 else 4_000, 0, 0])) if row in (0, 22) else None
        window.push(1_000.0 + 5 * row, commits, ends, start=start)
    keys = [("t", p) for p in range(4)]
    found = judge_partitions(window, "g", keys, members=1, interval_seconds=5.0, unowned={("t", 2), ("t", 3)})
    assert found == [
        PartitionVerdict.REWOUND, PartitionVerdict.LOSING_DATA, PartitionVerdict.UNOWNED, PartitionVerdict.OK
    ]  # fmt: skip
