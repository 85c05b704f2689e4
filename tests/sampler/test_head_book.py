"""What was read of the heads of backlogs is kept while it holds, and asked again only when it does not."""

from __future__ import annotations

from collections.abc import Mapping

from collectors.domain.heads import NO_RECORDS, OF_A_GROUP, Found, Head, Markers
from collectors.domain.numbers import Column, Layout, Numbers
from collectors.domain.verdicts import Verdict
from collectors.domain.window import Window
from collectors.heads import AGAIN_SECONDS, MOST_KEPT, PASSED_SECONDS, HeadBook
from collectors.kafka.peek import MOST_PLACES, HeadsAnswer, Place

T0 = 1_700_000_000.0
OLD = Head(5, T0 - 100, False)
OLD_MS = round((T0 - 100) * 1000)


class Cluster:
    """Groups that read partitions of one topic, a cycle of 5 s at a time; `answers` is what Kafka would say."""

    def __init__(self, groups: Mapping[str, int]) -> None:
        self.book, self.window, self.now = HeadBook(), Window(), T0
        self.verdicts = dict.fromkeys(groups, Verdict.OK)
        self.grow(groups)
        self.answers: dict[Place, Found] = {}
        self.asked: list[Place] = []

    def grow(self, groups: Mapping[str, int]) -> None:
        self.layout = Layout.build({group: [("t", p) for p in range(count)] for group, count in groups.items()})
        self.ends = Layout.of_topics({"t": range(max(groups.values()))})

    def cycle(self, committed: int, end: int, *, after: float = 5.0) -> dict[tuple[str, int], int]:
        """All groups at one offset; what is stored, by (group, partition)."""
        self.now += after
        if self.asked:
            found = {place: self.answers.get(place, "no leader") for place in self.asked}
            self.book.follow(self.window.layout)
            self.book.take(HeadsAnswer(found, ()), now=self.now)
        count, ends = len(self.layout), len(self.ends)
        self.window.push(
            self.now,
            Column(self.layout, Numbers.of([committed] * count)),
            Column(self.ends, Numbers.of([end] * ends)),
        )
        self.book.follow(self.window.layout)
        column = self.book.column(self.window, now=self.now)
        told = Numbers.of([int(self.verdicts.get(owner, Verdict.OK)) for owner in self.layout.owners])
        self.asked = self.book.where_to_look(self.window, told, now=self.now)
        if column is None:
            return {}
        owners = column.layout.owner_of_position
        return {
            (column.layout.owners[owners[i]], int(column.layout.partitions[i])): int(column.numbers.values[i])
            for i in range(len(column.layout))
            if column.numbers.known[i]
        }


def test_a_record_is_read_once_while_the_group_stands() -> None:
    cluster = Cluster({"stuck": 1})
    cluster.verdicts["stuck"] = Verdict.NO_PROGRESS
    cluster.answers = {("t", 0, 5): OLD}
    assert cluster.cycle(5, 50) == {}
    assert cluster.asked == [("t", 0, 5)]
    for end in range(60, 100, 10):
        assert cluster.cycle(5, end) == {("stuck", 0): OLD_MS}
        assert cluster.asked == []


def test_who_has_read_on_has_a_younger_head_for_a_while_and_is_asked_of_again() -> None:
    cluster = Cluster({"slow": 1})
    cluster.verdicts["slow"] = Verdict.FALLING_BEHIND
    cluster.answers = {("t", 0, 5): OLD}
    cluster.cycle(5, 50)
    assert cluster.cycle(7, 60) == {("slow", 0): -OLD_MS}
    assert cluster.asked == [("t", 0, 7)]
    cluster.asked = []  # nobody answers
    assert cluster.cycle(9, 70, after=PASSED_SECONDS + 1) == {}
    assert cluster.cycle(70, 70) == {}


def test_markers_hold_until_the_log_end_moves() -> None:
    cluster = Cluster({"well": 1})
    cluster.answers = {("t", 0, 9): Markers(10)}
    for _ in range(3):
        assert cluster.cycle(9, 10) == {}
    assert cluster.asked == [("t", 0, 9)]
    for _ in range(3):
        assert cluster.cycle(9, 10) == {("well", 0): NO_RECORDS}
        assert cluster.asked == []
    assert cluster.cycle(9, 12) == {}
    cluster.answers = {("t", 0, 9): Head(11, T0, False)}
    cluster.cycle(9, 12)
    cluster.cycle(9, 12)
    assert cluster.asked == [("t", 0, 9)]
    assert cluster.cycle(9, 12) == {("well", 0): round(T0 * 1000)}


def test_what_told_nothing_is_asked_again_after_a_while_and_lets_others_pass() -> None:
    cluster = Cluster({"stuck": MOST_PLACES + 5})
    for _ in range(3):
        cluster.cycle(9, 10)
    first = list(cluster.asked)
    assert len(first) == MOST_PLACES
    cluster.cycle(9, 10)
    assert len(cluster.asked) == 5
    assert not set(cluster.asked) & set(first)
    cluster.cycle(9, 10)
    assert cluster.asked == []
    cluster.cycle(9, 10, after=AGAIN_SECONDS)
    assert cluster.asked == first


def test_groups_at_one_place_share_an_answer() -> None:
    cluster = Cluster({"a": 1, "b": 1})
    cluster.answers = {("t", 0, 9): Markers(10)}
    for _ in range(3):
        cluster.cycle(9, 10)
    assert cluster.asked == [("t", 0, 9)]
    assert cluster.cycle(9, 10) == {("a", 0): NO_RECORDS, ("b", 0): NO_RECORDS}


def test_what_is_known_moves_along_when_groups_and_partitions_come() -> None:
    cluster = Cluster({"m": 2})
    cluster.answers = {("t", p, 9): Markers(10) for p in range(2)}
    for _ in range(3):
        cluster.cycle(9, 10)
    cluster.grow({"a": 1, "m": 4, "z": 1})
    assert cluster.cycle(9, 10) == {("m", 0): NO_RECORDS, ("m", 1): NO_RECORDS}
    cluster.grow({"z": 1})
    assert cluster.cycle(9, 10) == {}


def test_the_layout_stays_while_the_same_positions_are_known() -> None:
    cluster = Cluster({"well": 3})
    cluster.answers = {("t", p, 9): Markers(10) for p in range(3)}
    for _ in range(4):
        cluster.cycle(9, 10)
    one = cluster.book.column(cluster.window, now=cluster.now)
    cluster.cycle(9, 10)
    two = cluster.book.column(cluster.window, now=cluster.now)
    assert one is not None
    assert two is not None
    assert one.layout is two.layout


def test_of_many_residues_only_some_are_looked_at() -> None:
    cluster = Cluster({"well": MOST_KEPT + 100})
    cluster.answers = {("t", p, 9): Markers(10) for p in range(MOST_KEPT + 100)}
    for _ in range(MOST_KEPT // MOST_PLACES + 10):
        known = cluster.cycle(9, 10)
    assert len(known) == MOST_KEPT
    assert cluster.asked == []
    cluster.verdicts["well"] = Verdict.NO_MEMBERS
    cluster.cycle(9, 10)
    assert cluster.asked == []
    cluster.verdicts["well"] = Verdict.NO_PROGRESS
    cluster.cycle(9, 11)
    assert len(cluster.asked) == OF_A_GROUP


def test_where_markers_were_found_a_residue_as_small_is_taken_for_them_until_it_is_read() -> None:
    cluster = Cluster({"tx": 1})
    cluster.answers = {("t", 0, 10): Markers(11)}
    for _ in range(4):
        cluster.cycle(10, 11)
    assert cluster.cycle(10, 11) == {("tx", 0): NO_RECORDS}
    assert cluster.cycle(20, 21) == {("tx", 0): NO_RECORDS}, "another transaction of ten records"
    assert cluster.cycle(30, 32) == {}, "that is more than was found"
    cluster.answers = {("t", 0, 40): OLD}
    assert cluster.cycle(40, 41) == {("tx", 0): NO_RECORDS}
    for _ in range(4):
        found = cluster.cycle(40, 41)
    assert found == {("tx", 0): OLD_MS}, "it was a record after all"
    assert cluster.cycle(50, 51) != {("tx", 0): NO_RECORDS}, "and nothing is presumed any more"
