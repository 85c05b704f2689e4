"""What a group is doing, part two of the table in test_verdicts.py: log starts, owners, rewinds, storms, and the rules'
order. Partitions are written as (commits, log ends), None where nothing was answered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from collectors.domain.explanations import explain
from collectors.domain.numbers import NO_COMMIT, Column, Layout, Numbers
from collectors.domain.ownership import Owner
from collectors.domain.topology import GroupType
from collectors.domain.verdicts import GroupRow, Verdict, judge, steadied
from collectors.domain.window import Window
from collectors.domain.words import THIN
from tests.domain.test_verdicts import CASES as FIRST

INTERVAL = 5.0
START = 1_790_000_000.0
Line = Sequence[int | None]

OWNED, NOBODY, UNTOLD = (int(one) for one in (Owner.MEMBER, Owner.NOBODY, Owner.UNKNOWN))
V = Verdict


def rising(count: int, step: int, first: int = 0) -> list[int | None]:
    return [first + step * i for i in range(count)]


def still(count: int, at: int) -> list[int | None]:
    return [at] * count


@dataclass(frozen=True)
class Case:
    sentence: str
    expected: Verdict
    parts: Sequence[tuple[Line, Line]]
    starts: Sequence[Line] = ()  # of each partition, as the log start was known at each sample
    owned: Sequence[int] = ()  # of each partition, in all samples
    owned_from: int = 0  # the sample from which on that is told
    members: int | None = 2
    kind: GroupType = GroupType.CLASSIC
    is_storm: bool = False
    came: int | None = None  # the sample at which members were seen where there had been none
    interval: float = INTERVAL

    def window(self) -> Window:
        count = len(self.parts)
        group = Layout.build({"g": [("t", p) for p in range(count)]})
        topic = Layout.of_topics({"t": range(count)})
        window = Window()
        for row in range(len(self.parts[0][0])):
            start = Column(topic, Numbers.of([one[row] for one in self.starts])) if self.starts else None
            told = self.owned if row >= self.owned_from else [UNTOLD] * count
            window.push(
                START + row * self.interval,
                Column(group, Numbers.of([commits[row] for commits, _ in self.parts])),
                Column(topic, Numbers.of([ends[row] for _, ends in self.parts])),
                start=start,
                owned=np.array(told, dtype=np.int8) if self.owned else None,
            )
        return window

    @property
    def row(self) -> GroupRow:
        since = None if self.came is None else START + self.came * self.interval
        rebalances = 5 if self.is_storm else 0
        return GroupRow("g", self.kind, self.members, rebalances, is_storm=self.is_storm, members_since=since)

    def verdict(self) -> Verdict:
        column = judge(self.window(), {"g": self.row}, interval_seconds=self.interval).verdicts
        return Verdict(int(column.numbers.values[0]))


READS = (rising(12, 50), rising(12, 50))
WAITS = (still(12, 100), rising(12, 50, 150))
SLOW = (rising(24, 300), rising(24, 500, 500))
DRAINS = (rising(12, 400), rising(12, 30, 9000))
KEEPS = (rising(24, 50), rising(24, 50, 50))
SILENT = (still(12, NO_COMMIT), rising(12, 50))
GONE_BACK = ([900, 950, 100, *rising(9, 60, 160)], rising(12, 10, 960))
TRIMMED = [*still(8, 0), *still(8, 3000), *still(8, 9000)]

CASES = [
    # losing data
    Case("retention passes the commit of who reads too slowly", V.LOSING_DATA, [SLOW], [TRIMMED]),
    Case("the log start lies below the commit: nothing is lost", V.FALLING_BEHIND, [SLOW], [still(24, 0)]),
    Case("the log start passed before the window began: lost, and not now", V.OK, [READS], [still(12, 10_000)]),
    Case("who stands still and loses records stands still", V.NO_PROGRESS, [WAITS], [[*still(6, 0), *still(6, 120)]]),
    Case("nobody reads and records are lost: nobody reads", V.NO_MEMBERS, [WAITS], [TRIMMED[6:18]], members=0),
    Case("the log start was never asked for: nobody says lost", V.FALLING_BEHIND, [SLOW]),
    Case("the log start is not answered", V.FALLING_BEHIND, [SLOW], [[None] * 24]),
    Case("the start moves up to the commit and not past it", V.OK, [KEEPS], [[*still(20, 0), *still(4, 900)]]),
    Case("one partition of two loses records", V.LOSING_DATA, [KEEPS, SLOW], [still(24, 0), TRIMMED]),
    Case("retention passes between two looks, and the group is past it by then", V.OK, [KEEPS], [rising(24, 40)]),
    Case(
        "it was trimmed and jumped over the hole: it reads on, and has lost records",
        V.LOSING_DATA,
        [([*rising(10, 30), *rising(10, 500, 5000)], rising(20, 500, 500))],
        [[*still(9, 0), *still(11, 5000)]],
    ),
    Case(
        "the same more than a minute ago: over",
        V.OK,
        [([*rising(10, 30), *rising(14, 500, 5000)], rising(24, 500, 500))],
        [[*still(9, 0), *still(15, 5000)]],
    ),
    # unowned
    Case("a partition that nobody was given, records wait", V.UNOWNED, [READS, WAITS], owned=[OWNED, NOBODY]),
    Case("nobody was given it, and nothing waits there", V.OK, [READS, READS], owned=[OWNED, NOBODY]),
    Case(
        "nobody has it since one look only: it stands still, and that is what is known",
        V.NO_PROGRESS,
        [READS, WAITS],
        owned=[OWNED, NOBODY],
        owned_from=9,
    ),
    Case("somebody has it, and it stands still", V.NO_PROGRESS, [READS, WAITS], owned=[OWNED, OWNED]),
    Case("nobody can tell who has it, and it stands still", V.NO_PROGRESS, [READS, WAITS], owned=[OWNED, UNTOLD]),
    Case("one is unowned and another stands still: the first explains more", V.UNOWNED, [WAITS, WAITS],
         owned=[OWNED, NOBODY]),
    Case("unowned, and no offset was ever committed there", V.UNOWNED, [READS, SILENT], owned=[OWNED, NOBODY]),
    Case("no members at all, so nothing is unowned", V.NO_MEMBERS, [READS, WAITS], owned=[OWNED, NOBODY], members=0),
    Case("unowned for long, then given to a member just now", V.NO_PROGRESS, [READS, WAITS], owned=[OWNED, OWNED],
         owned_from=11),
    # rewound
    Case("went back by 850 records and reads on", V.REWOUND, [GONE_BACK]),
    Case("went back, and is back where it was", V.OK, [([100, 300, 50, 200, 320, 400], rising(6, 20, 300))]),
    Case("a partition changed hands: the last few records are read twice", V.OK,
         [([0, 50, 100, 150, 140, 250, 300], rising(7, 50, 60))]),
    Case("went back and stands since", V.NO_PROGRESS, [([900, 950, *still(10, 100)], rising(12, 10, 960))]),
    Case("went back with nobody there: a tool did that", V.NO_MEMBERS, [GONE_BACK], members=0),
    Case("the topic was made anew: commit and end went back", V.OK,
         [([900, 950, 0, 20, 40, 60], [900, 950, 0, 20, 40, 60])]),
    Case("the log was cut off below the commit: how much waits is not known", V.UNKNOWN,
         [(rising(18, 50, 9_000) + still(6, 9_850), rising(18, 50, 9_000) + still(6, 100))]),
    Case("the topic was made anew while nobody answered", V.OK,
         [([900, 950, None, 0, 20, 40], [900, 950, None, 0, 20, 40])]),
    Case("a commit past the end is put right", V.OK, [([900, 900, 20, 40, 60, 80], rising(6, 20, 20))]),
    Case("went back on an idle topic and reads it again", V.REWOUND, [([500, 500, 100, 200], still(4, 500))]),
    Case("went forward to the end: skipped, and nothing is read twice", V.OK,
         [([100, 100, 100, 900, 910, 920], rising(6, 10, 870))]),
    Case("two steps back: from the higher place", V.REWOUND, [([900, 500, 600, 100, 200, 300], rising(6, 10, 960))]),
    Case("an answer is missing at the step back", V.REWOUND, [([900, None, 100, 200, 300], rising(5, 10, 960))]),
    Case("one partition of two was rewound", V.REWOUND, [READS, GONE_BACK]),
    Case("rewound, and more arrives than it reads", V.FALLING_BEHIND,
         [([*rising(4, 100, 900), *rising(20, 20, 100)], rising(24, 100, 1300))]),
    Case("rewound, and it reads more than arrives", V.REWOUND,
         [([*rising(9, 100, 5000), *rising(15, 110, 100)], rising(24, 100, 5300))]),
    # members that have just come
    Case("nobody read, and members came ten seconds ago: nothing shows yet whether they read", V.UNKNOWN, [WAITS],
         came=9),
    Case("the same, and it was read until half a minute before they came", V.UNKNOWN,
         [([0, 50, 100, *still(9, 150)], rising(12, 50))], came=9),
    Case("members came twenty seconds ago, and nothing moves", V.NO_PROGRESS, [WAITS], came=7),
    Case("members came and read all that waited", V.OK, [([*still(9, 100), 600, 650, 700], rising(12, 50, 150))],
         came=8),
    Case("members came and work off what nobody read", V.CATCHING_UP,
         [([*rising(3, 50), *still(16, 100), *rising(5, 400, 400)], rising(24, 100, 1000))], came=18),
    Case("one reads since members came, the other is not decided yet", V.UNKNOWN,
         [WAITS, ([*still(9, 100), 600, 650, 700], rising(12, 50, 150))], came=9),
    Case("members came longer ago than is looked back on", V.NO_PROGRESS, [WAITS], came=-3),
    Case("members came a moment ago to what loses records", V.LOSING_DATA, [SLOW], [TRIMMED], came=22),
    Case("members came a moment ago, and nothing was ever committed", V.OK, [SILENT], came=9),
    # no commits
    Case("one partition never committed, the other is read", V.NOT_COMMITTING, [READS, SILENT]),
    Case("a marker lies there for a minute, and a record came a moment ago", V.OK,
         [(still(12, 100), [*still(11, 101), 105])]),
    Case("the same, and nobody reads what comes", V.NO_PROGRESS,
         [(still(12, 100), [*still(6, 101), *rising(6, 5, 106)])]),
    Case("the first record ever came a moment ago", V.OK, [(still(12, NO_COMMIT), [*still(11, 7), 8])]),
    Case("one never committed, and nothing came to it", V.OK, [READS, (still(12, NO_COMMIT), still(12, 7))]),
    Case("commits for the first time", V.OK, [([*still(8, NO_COMMIT), *rising(4, 50, 400)], rising(12, 50))]),
    Case("never committed and one that stands still", V.NO_PROGRESS, [WAITS, SILENT]),
    Case("never committed, the log end is not known", V.UNKNOWN, [(still(12, NO_COMMIT), [None] * 12)]),
    Case("never committed, and nobody is there", V.NO_MEMBERS, [SILENT], members=0),
    # storms
    Case("rebalances again and again, and reads none the less", V.REBALANCING, [READS], is_storm=True),
    Case("a storm in which nothing moves", V.NO_PROGRESS, [WAITS], is_storm=True),
    Case("a storm and a backlog that shrinks", V.REBALANCING, [DRAINS], is_storm=True),
    Case("a storm that ended with nobody", V.NO_MEMBERS, [READS], is_storm=True, members=0),
    Case("a storm, and it falls behind", V.FALLING_BEHIND, [SLOW], is_storm=True),
    # what is not known
    Case("one of two partitions is not answered", V.UNKNOWN, [READS, ([None] * 12, rising(12, 50))]),
    Case("one is not answered, the other stands still", V.NO_PROGRESS, [WAITS, ([None] * 12, rising(12, 50))]),
    Case("one is not answered, the other was rewound", V.REWOUND, [GONE_BACK, ([None] * 12, rising(12, 50))]),
    Case("the newest answers are missing", V.UNKNOWN, [([*rising(10, 50), None, None], rising(12, 50))]),
    Case("the log end is not known, nor whether it fell behind", V.UNKNOWN, [(rising(12, 30), [None] * 12)]),
    Case("nothing at all was answered", V.UNKNOWN, [([None] * 12, [None] * 12)]),
    Case("members not known while it catches up", V.UNKNOWN, [DRAINS], members=None),
    Case("a group of a kind that is not known here", V.UNKNOWN, [READS], kind=GroupType.UNKNOWN),
    # kinds that are judged alike
    Case("a KIP-848 group that stands still", V.NO_PROGRESS, [WAITS], kind=GroupType.CONSUMER),
    Case("a streams group that keeps up", V.OK, [KEEPS], kind=GroupType.STREAMS),
    Case("a streams group that falls behind", V.FALLING_BEHIND, [SLOW], kind=GroupType.STREAMS),
    # share groups: the position is the log end less the broker's lag
    Case("a share group that keeps up", V.OK, [KEEPS], kind=GroupType.SHARE),
    Case("a share group of which nothing is acknowledged", V.NO_PROGRESS, [WAITS], kind=GroupType.SHARE),
    Case("a share group without members", V.NO_MEMBERS, [READS], kind=GroupType.SHARE, members=0),
    Case("a share group that falls behind", V.FALLING_BEHIND, [SLOW], kind=GroupType.SHARE),
    Case("a share group with a backlog that shrinks", V.CATCHING_UP, [DRAINS], kind=GroupType.SHARE),
    Case("a share group that retention overtakes", V.LOSING_DATA, [SLOW], [TRIMMED], kind=GroupType.SHARE),
    Case("a share group, one partition of which the broker does not know", V.UNKNOWN,
         [READS, ([None] * 12, rising(12, 50))], kind=GroupType.SHARE),
    Case("a share group has no commits that could be missing", V.UNKNOWN, [READS, SILENT], kind=GroupType.SHARE),
    Case("a share group whose partition no member names", V.NO_PROGRESS, [READS, WAITS], owned=[OWNED, NOBODY],
         kind=GroupType.SHARE),
    Case("a share group whose start was reset is not rewound", V.OK,
         [([500, 500, 100, 200, 300, 400, 500], still(7, 500))], kind=GroupType.SHARE),
    Case("a share group that stands still, its place corrected downwards while it does", V.NO_PROGRESS,
         [([104, 103, 103, 102, *still(8, 100)], rising(12, 50, 150))], kind=GroupType.SHARE),
    # trends
    Case("a backlog that shrinks", V.CATCHING_UP, [DRAINS]),
    Case("a backlog that shrinks though another partition is read at once", V.CATCHING_UP, [DRAINS, READS]),
    Case("a backlog that stays as it is", V.OK, [(rising(12, 50), rising(12, 50, 3000))]),
    Case("one waits its turn while its reader is busy with a backlog that grows", V.FALLING_BEHIND,
         [(rising(24, 300), rising(24, 500, 5000)), ([*rising(10, 300), *still(14, 2700)], rising(24, 500, 5000))],
         members=1),
    Case("the same with a reader for each: it stands still", V.NO_PROGRESS,
         [(rising(24, 300), rising(24, 500, 5000)), ([*rising(10, 300), *still(14, 2700)], rising(24, 500, 5000))],
         members=2),
    Case("its reader reads another at once: it stands still", V.NO_PROGRESS,
         [READS, WAITS], members=1),
    Case("one of a member's partitions waits its turn in a backlog", V.CATCHING_UP, [DRAINS, WAITS], members=1),
    Case("a backlog shrinks, and a member with one partition stands still", V.NO_PROGRESS, [DRAINS, WAITS]),
    Case("what shrinks is less than lies between two commits", V.OK,
         [([1000 * i + s for i, s in enumerate((0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 910, 920))],
           rising(12, 1000, 1000))]),
    # slow topics and slow sampling
    Case("a record a minute, each read within a sample", V.OK,
         [([7, 7, 7, *still(9, 8)], [7, 7, *still(10, 8)])]),
    Case("asked every minute: stands still for two samples only", V.OK,
         [([50, 100, 100, 100], rising(4, 50, 50))], interval=60.0),
    Case("asked every minute: stands still for four", V.NO_PROGRESS,
         [([50, 100, *still(4, 100)], rising(6, 50, 50))], interval=60.0),
    Case("the third sample after it stopped came 0.2 s early: it stands none the less", V.NO_PROGRESS,
         [([20, 60, *still(4, 100)], rising(6, 50, 50))], interval=4.95),
    Case("asked every second: 14 s are too short", V.OK, [([90, *still(15, 100)], rising(16, 2, 100))], interval=1.0),
    Case("asked every second: 16 s are not", V.NO_PROGRESS,
         [([90, *still(17, 100)], rising(18, 2, 100))], interval=1.0),
    Case("the end went back behind the commit: truncated, and what waits is not known", V.UNKNOWN,
         [(still(8, 500), [*rising(4, 10, 510), *still(4, 480)])]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.sentence for case in CASES])
def test_verdict(case: Case) -> None:
    assert case.verdict() is case.expected, case.sentence


def test_the_table_has_eighty_cases_and_every_verdict() -> None:
    assert len(CASES) + len(FIRST) >= 80
    assert {case.expected for case in CASES} == set(Verdict)
    sentences = [case.sentence for case in CASES] + [case[0] for case in FIRST]
    assert len(set(sentences)) == len(sentences)


@pytest.mark.parametrize("case", CASES, ids=[case.sentence for case in CASES])
def test_every_case_has_a_sentence_with_its_word_and_a_step_where_something_is_wrong(case: Case) -> None:
    owners = {("t", p): f"m{p}" for p, owner in enumerate(case.owned) if owner == OWNED}
    finding = explain(case.row, case.window(), verdict=case.expected, now=START + 200, owners=owners)
    assert finding.sentence.startswith(_BEGINS[case.expected])
    assert "nan" not in finding.sentence.lower()
    assert "-" not in finding.sentence.replace("t-", ""), "no number is negative"
    is_wrong = not case.expected.is_well and case.expected is not V.UNKNOWN
    assert bool(finding.cause) is bool(finding.step) is is_wrong


_BEGINS: dict[Verdict, str | tuple[str, ...]] = {
    V.OK: ("Keeps up", "Caught up", "Too soon to say", "No commit yet"),
    V.CATCHING_UP: "Catching up: reads",
    V.UNKNOWN: "Unknown",
    V.NOT_COMMITTING: "Not committing",
    V.NO_MEMBERS: "No members",
    V.FALLING_BEHIND: "Falling behind: reads",
    V.NO_PROGRESS: "No progress",
    V.REWOUND: "Rewound",
    V.REBALANCING: "Rebalancing too often",
    V.LOSING_DATA: "Losing data: retention",
    V.UNOWNED: "Unowned",
}


def test_the_sentence_of_a_rewind_says_from_where_to_where_and_how_far() -> None:
    case = next(one for one in CASES if one.sentence == "went back by 850 records and reads on")
    finding = explain(case.row, case.window(), verdict=V.REWOUND, now=START)
    assert (
        finding.sentence
        == "Rewound: t-0 went back from offset 950 to 100; 310 records to read until it is where it was"
    )
    assert "t-0: went back from 950 to 100, now at 640" in finding.evidence


def told(case: Case) -> str:
    return explain(case.row, case.window(), verdict=case.expected, now=START + 200).sentence


def test_a_group_that_has_not_committed_and_gets_nothing_is_not_said_to_have_read_all() -> None:
    silent = Case("", V.OK, [(still(12, NO_COMMIT), still(12, 7))] * 2)
    assert silent.verdict() is V.OK
    assert told(silent) == f"No commit yet: no record came in the last 55{THIN}s"
    just_now = Case("", V.OK, [(still(12, NO_COMMIT), [*still(11, 7), 8])])
    assert told(just_now) == f"No commit yet: 1 record came in the last 55{THIN}s"
    in_part = Case("", V.OK, [(still(12, NO_COMMIT), still(12, 7)), READS])
    assert told(in_part).startswith("Caught up: every record is read")


def test_what_came_to_who_never_commits_is_said_to_be_of_the_window() -> None:
    assert told(Case("", V.NOT_COMMITTING, [(still(24, NO_COMMIT), rising(24, 50))])) == (
        f"Not committing: 1 partition assigned, no offset ever committed while 1{THIN}150 records arrived in the last "
        f"1{THIN}min 55{THIN}s"
    )


@pytest.mark.parametrize(
    "case",
    [
        Case("", V.LOSING_DATA, [SLOW, ([None] * 24, rising(24, 50))], [TRIMMED, still(24, 0)]),
        Case("", V.NO_MEMBERS, [WAITS, ([None] * 12, WAITS[1])], members=0),
    ],
    ids=["losing data", "no members"],
)
def test_where_something_is_not_known_more_may_wait(case: Case) -> None:
    assert case.verdict() is case.expected
    assert re.search(r"at least [\d\s]+ records wait", told(case))
    assert "at least" not in told(replace(case, parts=case.parts[:1], starts=case.starts[:1]))


def test_a_loss_that_goes_on_says_how_much_of_it_is_new() -> None:
    assert f"before they are read, 4{THIN}200 in the last minute; reads" in told(
        Case("", V.LOSING_DATA, [SLOW], [TRIMMED])
    )


def test_a_member_that_came_while_the_window_lasted_is_seen_to_read_its_other_partitions() -> None:
    young: Line = [None] * 12
    case = Case(
        "",
        V.NO_PROGRESS,
        [([*young, *still(12, 100)], rising(24, 50)), ([*young, *rising(12, 50)], rising(24, 50, -600))],
    )
    owners = {("t", 0): "m0", ("t", 1): "m0"}
    finding = explain(case.row, case.window(), verdict=V.NO_PROGRESS, now=START + 200, owners=owners)
    assert finding.cause.startswith("a record that cannot be processed: m0 reads its other partitions on"), finding


def test_the_sentence_of_what_nobody_owns_names_it() -> None:
    case = next(one for one in CASES if one.expected is V.UNOWNED)
    finding = explain(case.row, case.window(), verdict=V.UNOWNED, now=START)
    assert finding.sentence == (
        "Unowned: 1 of 2 partitions belongs to no member (t-1); 600 records wait there that nobody reads"
    )


@pytest.mark.parametrize(
    ("committed", "end", "why"),
    [
        ([*rising(5, 10), 70], rising(6, 10, 20), None),
        ([*rising(5, 10), 90], rising(6, 10, 20), "a reading between two leaders"),
        ([*rising(3, 10), *still(3, 500)], rising(6, 10, 20), "set there, by a reset"),
        (still(6, 500), [*rising(3, 10, 510), *rising(3, 10, 400)], "became shorter"),
        (still(6, 80), rising(6, 1), "since before what is looked back on"),
    ],
)
def test_a_commit_past_the_end_is_no_lag_and_says_why(committed: Line, end: Line, why: str | None) -> None:
    case = Case("past the end", V.UNKNOWN if why else V.OK, [(committed, end)])
    assert case.verdict() is case.expected
    finding = explain(case.row, case.window(), verdict=case.expected, now=START)
    assert ("caught up" in finding.sentence.lower()) is (why is None)
    assert why is None or why in finding.sentence
    told = [line for line in finding.evidence if "past the end" in line]
    assert len(told) == (why is not None)
    assert why is None or why in told[0]


def test_a_trend_that_is_over_is_told_when_two_judgements_say_so() -> None:
    layout = Layout.single(["a", "b"])

    def column(*verdicts: Verdict) -> Column:
        return Column(layout, Numbers.of([int(one) for one in verdicts]))

    def told(last: Column | None, before: Column | None, now: Column) -> list[Verdict]:
        return [Verdict(int(one)) for one in steadied(last, before, now).numbers.values]

    trend = column(V.CATCHING_UP, V.FALLING_BEHIND)
    calm, trouble = column(V.OK, V.OK), column(V.NO_PROGRESS, V.UNKNOWN)
    assert told(None, None, calm) == [V.OK, V.OK]
    assert told(trend, trend, calm) == [V.CATCHING_UP, V.FALLING_BEHIND], "one judgement is not enough"
    assert told(trend, calm, calm) == [V.OK, V.OK], "two are"
    assert told(trend, trend, trouble) == [V.NO_PROGRESS, V.UNKNOWN], "what is worse is told at once"
    assert told(trouble, trouble, calm) == [V.OK, V.OK], "a standstill is over with the first movement"
    other = Column(Layout.single(["b", "c"]), Numbers.of([int(V.OK)] * 2))
    assert told(trend, trend, other) == [V.FALLING_BEHIND, V.OK], "groups are found by their names"


def test_severities_keep_the_numbers_that_rules_were_stored_with() -> None:
    assert [V(code).severity for code in range(6)] == [0, 1, 2, 3, 4, 5]
    assert sorted(V, key=lambda verdict: verdict.severity) == [
        V.OK, V.CATCHING_UP, V.UNKNOWN, V.REWOUND, V.NOT_COMMITTING, V.REBALANCING, V.NO_MEMBERS, V.FALLING_BEHIND,
        V.LOSING_DATA, V.NO_PROGRESS, V.UNOWNED,
    ]  # fmt: skip
