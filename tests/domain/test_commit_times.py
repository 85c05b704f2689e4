"""Groups that stand still: committing in place, or not at all, told by when they last committed."""

from __future__ import annotations

import pytest

from collectors.domain.commit_times import newest, said
from collectors.domain.explanations import Finding, explain
from collectors.domain.numbers import Column, Layout, Numbers
from collectors.domain.topology import GroupType
from collectors.domain.verdicts import GroupRow, Verdict
from collectors.domain.window import Window

ROW = GroupRow("g", GroupType.CLASSIC, 2)
START, STEP, SAMPLES = 1_000.0, 5.0, 8
MEMBERS = {"g": [("t", 0), ("t", 1)]}


def column(owners: dict[str, list[tuple[str, int]]], values: list[int | None]) -> Column:
    return Column(Layout.build(owners), Numbers.of(values))


def window(first: list[int | None], second: list[int | None], *, read: int = 2) -> Window:
    """Two partitions, of which `read` are at the end and the others stand at 100; their commit times in seconds after
    the start, negative where none was seen."""
    made = Window()
    for i in range(SAMPLES):
        times = [None if at is None else round((START + abs(at)) * 1000) * (1 if at >= 0 else -1)
                 for at in (first[i], second[i])]  # fmt: skip
        committed: list[int | None] = [100, 200 + 10 * i if read else 100]
        made.push(
            START + STEP * i,
            column(MEMBERS, committed),
            column({"t": [("t", 0), ("t", 1)]}, [200 + 10 * i, 200 + 10 * i]),
            committed_at=column(MEMBERS, list(times)),
        )
    return made


def told(one: Window, row: GroupRow = ROW) -> Finding:
    owners = {("t", 0): "m1", ("t", 1): "m1"}
    return explain(row, one, verdict=Verdict.NO_PROGRESS, now=START + STEP * SAMPLES, owners=owners)


AGAIN: list[int | None] = [-3, 2, 7, 12, 17, 22, 27, 32]
ONCE: list[int | None] = [-1, 1, 1, 1, 1, 1, 1, 1]
NEVER: list[int | None] = [-2] * SAMPLES
UNKNOWN: list[int | None] = [None] * SAMPLES


@pytest.mark.parametrize(
    ("first", "second", "read", "sentence", "cause"),
    [
        (AGAIN, AGAIN, 1, "; commits, but does not move (last commit 3\u202fs ago at the same offset)",
         "a record that cannot be processed"),  # as its member reads the other
        (AGAIN, AGAIN, 0, "; commits, but does not move (last commit 3\u202fs ago at the same offset)",
         "stuck on a record, or blocked downstream: its members go on committing, always the same offset (last commit "
         "3\u202fs ago)"),
        (ONCE, ONCE, 0, "; does not commit (last commit 34\u202fs ago)",
         "stuck or dead member loop: m1 is in the group and does not commit (last commit 34\u202fs ago): the"),
        (NEVER, NEVER, 0, "; does not commit (no commit seen for 33\u202fs)", "stuck or dead member loop: m1 is in"),
        (AGAIN, ONCE, 0, "; commits 1 of these 2, but does not move (last commit 3\u202fs ago at the same offset)",
         "stuck member"),
        (UNKNOWN, UNKNOWN, 0, "read by m1", "stuck member"),
        ([*AGAIN[:-1], None], [*AGAIN[:-1], None], 0, "read by m1", "stuck member"),
        # reading begins: so far nothing says whether it commits
        ([None] * 6 + [-25, -25], [None] * 6 + [-25, -25], 0, "read by m1", "stuck member"),
        ([None] * 6 + [-25, 34], [None] * 6 + [-25, 34], 0, "; commits, but does not move", "stuck on a record"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_group_that_stands(
    first: list[int | None], second: list[int | None], read: int, sentence: str, cause: str
) -> None:
    finding = told(window(first, second, read=read))
    assert sentence in finding.sentence
    assert finding.cause.startswith(cause)
    if "commit" not in sentence:
        assert "commit" not in finding.sentence


def test_the_evidence_says_when_each_partition_was_committed() -> None:
    lines = told(window(AGAIN, ONCE, read=0)).evidence
    assert any(line.endswith("; last commit 3\u202fs ago at the same offset") and "t-0" in line for line in lines)
    assert any(line.endswith("; last commit 34\u202fs ago") and "t-1" in line for line in lines)


def test_without_times_the_words_are_those_of_before() -> None:
    plain = Window()
    for i in range(SAMPLES):
        ends = column({"t": [("t", 0), ("t", 1)]}, [200 + 10 * i] * 2)
        plain.push(START + STEP * i, column(MEMBERS, [100, 100]), ends)
    with_none = told(window(UNKNOWN, UNKNOWN, read=0))
    assert told(plain) == with_none


def test_a_share_group_makes_no_commits() -> None:
    finding = told(window(AGAIN, AGAIN, read=0), GroupRow("g", GroupType.SHARE, 2))
    assert "commits, but" not in finding.sentence
    assert "at the same offset" not in " ".join(finding.evidence)


def test_the_window_keeps_times_through_a_new_layout_and_for_one_group_alone() -> None:
    made = window(ONCE, ONCE, read=0)
    members = {"f": [("t", 0)], **MEMBERS}
    ends = column({"t": [("t", 0), ("t", 1)]}, [300, 300])
    times = column(members, [None, *(round((START + 1) * 1000) for _ in range(2))])
    made.push(START + STEP * SAMPLES, column(members, [0, 100, 100]), ends, committed_at=times)
    assert "does not commit (last commit 39" in told(made).sentence
    assert "does not commit (last commit 39" in told(made.only("g")).sentence


@pytest.mark.parametrize(
    ("values", "expected"),
    [([5_000, 9_000], 9_000), ([-4_000, 9_000], 9_000), ([-4_000, -6_000], -4_000), ([None, 9_000], None), ([], None)],
)
def test_the_newest_of_several(values: list[int | None], expected: int | None) -> None:
    assert newest(Numbers.of(values)) == expected


def test_words() -> None:
    assert said(997_000, now=1_000.0) == "last commit 3\u202fs ago"
    assert said(-760_000, now=1_000.0) == "no commit seen for 4\u202fmin"
    assert said(1_003_000, now=1_000.0) == "last commit 0\u202fs ago", "a clock that is ahead"
    assert said(None, now=1_000.0) == ""
