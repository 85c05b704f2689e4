"""What was read of the heads of backlogs is kept while it holds, and asked again only when it does not."""

from __future__ import annotations

from collections.abc import Mapping

from collectors.domain.heads import NO_RECORDS, OF_A_GROUP, Found, Head, Markers
from collectors.domain.numbers import Column, Layout, Numbers
from collectors.domain.verdicts import Verdict
from collectors.domain.window import Window
from collectors.heads import AGAIN_SECONDS, FOR_WANTED, MOST_KEPT, PASSED_SECONDS, HeadBook
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
        self.wanted: frozenset[str] = frozenset()

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
        self.asked = self.book.where_to_look(self.window, told, now=self.now, wanted=self.wanted)
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


def test_a_group_in_no_trouble_is_read_while_somebody_wants_it() -> None:
    cluster = Cluster({"well": 1})
    cluster.answers = {("t", 0, at): OLD for at in (5, 7, 9)}
    cluster.cycle(5, 50)
    assert cluster.asked == []
    cluster.wanted = frozenset({"well", "not there"})
    cluster.cycle(5, 50)
    assert cluster.asked == [("t", 0, 5)]
    assert cluster.cycle(7, 60) == {("well", 0): -OLD_MS}
    assert cluster.asked == [("t", 0, 7)]
    cluster.wanted = frozenset()
    assert cluster.cycle(7, 70) == {("well", 0): OLD_MS}, "what was read stays known"
    cluster.cycle(9, 80)
    assert cluster.asked == []


def test_of_a_group_that_somebody_wants_nothing_is_read_where_nothing_waits() -> None:
    cluster = Cluster({"well": 1})
    cluster.wanted = frozenset({"well"})
    cluster.cycle(50, 50)
    assert cluster.asked == []


def test_groups_in_trouble_come_first_and_leave_some_places_to_what_somebody_wants() -> None:
    troubled = {f"a{i:02}": 1 for i in range(MOST_PLACES + 5)}
    cluster = Cluster({**troubled, "z1": 1, "z2": 1})
    cluster.verdicts |= dict.fromkeys(troubled, Verdict.NO_PROGRESS)
    cluster.wanted = frozenset({"z1", "z2"})
    cluster.layout = Layout.build({name: [(name, 0)] for name in (*troubled, "z1", "z2")})
    cluster.ends = Layout.of_topics({name: [0] for name in (*troubled, "z1", "z2")})
    cluster.cycle(5, 50)
    names = [topic for topic, _, _ in cluster.asked]
    first = MOST_PLACES - FOR_WANTED
    assert names == [*list(troubled)[:first], "z1", "z2", *list(troubled)[first : MOST_PLACES - 2]]


def test_who_reads_on_and_is_wanted_has_its_turn_however_many_are() -> None:
    many = {f"g{i:02}": 1 for i in range(3 * MOST_PLACES)}
    cluster = Cluster(many)
    cluster.layout = Layout.build({name: [(name, 0)] for name in many})
    cluster.ends = Layout.of_topics({name: [0] for name in many})
    cluster.wanted = frozenset(many)
    seen: set[str] = set()
    for turn in range(3):
        cluster.cycle(5 + turn, 50)
        seen |= {topic for topic, _, _ in cluster.asked}
    assert seen == set(many)


def test_the_layout_is_not_another_one_each_cycle_while_positions_come_and_go() -> None:
    cluster = Cluster({"well": 2})
    cluster.wanted = frozenset({"well"})
    found, layouts = [], []
    for turn in range(9):
        cluster.answers = {("t", turn % 2, 4 + turn): OLD}  # of the place before
        found.append(cluster.cycle(5 + turn, 50, after=PASSED_SECONDS + 1))
        column = cluster.book.column(cluster.window, now=cluster.now)
        layouts += [column.layout] if column is not None else []
    assert found[2:4] == [{("well", 0): -OLD_MS}, {("well", 1): -OLD_MS}], "one or the other is known"
    assert len(layouts) == 8
    assert len({id(one) for one in layouts}) == 2, "the first, and one for both"
