"""Rows are written when the cluster changes, and each change is one sentence."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.db import OperationalError, connection

from collectors.asking import _is_reached
from collectors.changes import EVENTS_OF_A_KIND_AT_ONCE, Changes
from collectors.domain import topology
from collectors.domain.assignments import AT_REST, Moving
from collectors.domain.tasks import Held, Restoring, Role, Tasks
from collectors.domain.topology import Reach
from collectors.domain.verdicts import Verdict
from collectors.domain.words import is_storable
from collectors.inventory import Inventory
from collectors.kafka.exchange import BrokerReach
from collectors.kafka.session import PartError, Session
from collectors.kafka.settings import ConnectionSettings
from collectors.kafka.survey import Survey, SurveyState
from collectors.membership import moving_of, tasks_of
from collectors.models import Broker, Cluster, Cycle, Event, Frame, Group, Lease, Member, Ownership, Topic
from collectors.sampler import Sampler
from collectors.waiting import Observation
from tests.pages.seed import Company, make_company

pytestmark = pytest.mark.django_db
NOW = 1_790_000_000.0


@pytest.fixture
def cluster() -> Cluster:
    return Cluster.objects.create(slug="c", name="C", settings_encrypted=b"")


def topic(
    name: str, *, partitions: int = 1, leader: int = 1, isr: tuple[int, ...] = (1, 2, 3), id_: str = "x"
) -> topology.Topic:
    parts = tuple(topology.Partition(i, leader, 0, (1, 2, 3), isr) for i in range(partitions))
    return topology.Topic(name, id_, False, parts)


def metadata(*topics: topology.Topic) -> topology.Metadata:
    return topology.Metadata("id", (), topics, NOW)


def group(name: str, *members: str, error: str | None = None) -> topology.Group:
    made = tuple(topology.Member(m, m, "10.0.0.7", None, (("t", (0,)),)) for m in members)
    return topology.Group(name, topology.GroupType.CLASSIC, "Stable", "consumer", 1, None, "range", made, error)


def see_topics(cluster: Cluster, *topics: topology.Topic) -> list[str]:
    inventory, changes = Inventory(cluster.pk), Changes()
    inventory.plan_topics(changes, metadata(*topics), now=NOW)
    inventory.save(changes, now=NOW)
    return [event.text for event in changes.events]


def see_groups(cluster: Cluster, *groups: topology.Group, is_complete: bool = True) -> list[str]:
    inventory, changes = Inventory(cluster.pk), Changes()
    inventory.plan_groups(changes, groups, is_complete=is_complete, now=NOW)
    inventory.save(changes, now=NOW)
    return [event.text for event in changes.events]


def test_the_first_survey_is_no_news(cluster: Cluster) -> None:
    assert see_topics(cluster, topic("a"), topic("b")) == []
    assert see_groups(cluster, group("g", "m1")) == []
    assert Topic.objects.count() == 2
    assert Member.objects.get().assignment == [["t", [0]]]


def test_the_same_survey_again_writes_nothing(cluster: Cluster) -> None:
    see_topics(cluster, topic("a"))
    inventory, changes = Inventory(cluster.pk), Changes()
    inventory.plan_topics(changes, metadata(topic("a")), now=NOW)
    assert (changes.create, changes.update, changes.events) == ([], [], [])


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ([topic("a"), topic("b", partitions=3)], "Topic b was created with 3 partitions"),
        ([], "Topic a was deleted"),
        ([topic("a", partitions=4)], "Topic a grew from 1 to 4 partitions"),
        ([topic("a", id_="y")], "Topic a was deleted and made anew: its offsets start again at 0"),
        ([topic("a", leader=2)], "1 partition leader moved from broker 1"),
    ],
)
def test_a_change_of_topics_is_a_sentence(cluster: Cluster, second: list[topology.Topic], sentence: str) -> None:
    see_topics(cluster, topic("a"))
    assert see_topics(cluster, *second) == [sentence]


def test_a_topic_that_comes_back_is_the_same_row(cluster: Cluster) -> None:
    see_topics(cluster, topic("a"), topic("b"))
    see_topics(cluster, topic("b"))
    assert Topic.objects.get(name="a").gone_at is not None
    see_topics(cluster, topic("a", id_="y"), topic("b"))
    assert Topic.objects.get(name="a").gone_at is None


def test_a_thousand_new_topics_are_not_a_thousand_events(cluster: Cluster) -> None:
    see_topics(cluster, topic("a"))
    texts = see_topics(cluster, topic("a"), *(topic(f"t{i}") for i in range(1000)))
    assert len(texts) == EVENTS_OF_A_KIND_AT_ONCE + 1
    assert "more than 50" in texts[-1]
    assert Topic.objects.count() == 1001


def test_members_that_leave_and_join_are_named(cluster: Cluster) -> None:
    see_groups(cluster, group("g", "m1", "m2"))
    assert see_groups(cluster, group("g", "m2", "m3")) == [
        "Group g rebalanced: 2 members, as many as before (m1 left; m3 joined); no partition unowned"
    ]
    assert set(Member.objects.values_list("member_id", flat=True)) == {"m2", "m3"}


def holding(**held: Sequence[int]) -> topology.Group:
    made = tuple(topology.Member(m, m, "h", None, (("t", tuple(own)),)) for m, own in held.items())
    return topology.Group("g", topology.GroupType.CLASSIC, "Stable", members=made)


def test_two_members_fewer_and_what_nobody_owns_then(cluster: Cluster) -> None:
    see_groups(cluster, holding(a=[0, 1], b=[2], c=[3], d=[4, 5]))
    assert see_groups(cluster, holding(a=[0, 1, 4], b=[2, 3, 5])) == [
        "Group g rebalanced: 2 members, 2 fewer (c, d left); no partition unowned"
    ]
    assert see_groups(cluster, holding(a=[0, 1, 4])) == [
        "Group g rebalanced: 1 member, 1 fewer (b left); 3 partitions unowned"
    ]
    assert see_groups(cluster, holding()) == ["Group g has no members any more (a left); 3 partitions unowned"]
    see_groups(cluster, holding(a=[0, 1, 4]))
    assert see_groups(cluster, holding(a=[0, 1, 4, 2, 3, 5])) == [
        "Group g moved partitions between its 1 member; no partition unowned"
    ]


def test_a_group_that_rebalances_says_who_holds_what_when_it_is_done(cluster: Cluster) -> None:
    see_groups(cluster, holding(a=[0, 1], b=[2]))
    between = replace(holding(a=[], b=[]), state="PreparingRebalance")
    assert see_groups(cluster, between) == []
    assert see_groups(cluster, holding(a=[0, 1, 2])) == [
        "Group g rebalanced: 1 member, 1 fewer (b left); no partition unowned"
    ]


def test_a_group_may_be_new_in_the_look_in_which_another_rebalanced(cluster: Cluster) -> None:
    see_groups(cluster, group("a", "m1"))
    see_groups(cluster, group("a", "m2"), group("b", "m3"))
    assert {(row.group.name, row.until is None) for row in Ownership.objects.all()} == {
        ("a", False), ("a", True), ("b", True)
    }  # fmt: skip


def restoring(*restored: int, moving: Moving = AT_REST) -> topology.Group:
    """A streams group; each member restores a task of its own."""
    made = tuple(
        topology.Member(
            *(f"m{i}", f"m{i}", "h", None, (("t", (i,)),), moving),
            Tasks(Held((f"0_{i}",), 1), restoring=(Restoring(f"0_{i}", Role.ACTIVE, done, 900),), restoring_count=1),
        )
        for i, done in enumerate(restored)
    )
    return topology.Group("g", topology.GroupType.STREAMS, "Stable", members=made, epoch=3)


def test_what_a_member_restores_is_written_when_it_changes_and_is_no_rebalance(cluster: Cluster) -> None:
    see_groups(cluster, restoring(100, 100))
    owned = list(Ownership.objects.values())
    rows = list(Member.objects.order_by("member_id").values())
    inventory = Inventory(cluster.pk)
    for again, changed in ((restoring(100, 100), set()), (restoring(100, 500), {"m1"}), (restoring(100, 500), set())):
        changes = Changes()
        inventory.plan_groups(changes, [again], is_complete=True, now=NOW)
        assert {m.member_id for m in changes.progress.get("g", ())} == changed
        assert (changes.members, changes.events, changes.create) == ({}, [], [])
        inventory.save(changes, now=NOW)
    first, second = Member.objects.order_by("member_id").values()
    assert first == rows[0]
    assert second == rows[1] | {"tasks": second["tasks"]}
    assert second["tasks"]["restoring"] == [["0_1", "active", 500, 900]]
    assert list(Ownership.objects.values()) == owned


def test_what_a_member_waits_for_is_written_when_it_changes_and_read_again_after_a_restart(cluster: Cluster) -> None:
    moving = Moving(gets=(("t", (5, 6)),), is_behind=True)
    see_groups(cluster, restoring(100))
    assert see_groups(cluster, restoring(100, moving=moving)) == []
    row = Member.objects.get()
    assert (moving_of(row.moving), tasks_of(row.tasks)) == (moving, restoring(100).members[0].tasks)
    changes = Changes()
    Inventory(cluster.pk).plan_groups(changes, [restoring(100, moving=moving)], is_complete=True, now=NOW)
    assert changes.progress == {}
    assert see_groups(cluster, restoring(100)) == []
    assert Member.objects.get().moving == {}


def test_a_group_that_could_not_be_described_keeps_its_members(cluster: Cluster) -> None:
    see_groups(cluster, group("g", "m1"))
    assert see_groups(cluster, group("g", error="timeout")) == []
    assert Group.objects.get().member_count is None, "unknown, not zero"
    assert Member.objects.count() == 1


def test_groups_are_gone_only_when_every_broker_listed_its_groups(cluster: Cluster) -> None:
    see_groups(cluster, group("g"), group("h"))
    assert see_groups(cluster, group("g"), is_complete=False) == []
    assert see_groups(cluster, group("g"), is_complete=True) == ["Group h is gone"]


def test_brokers_go_suspect_down_and_up(cluster: Cluster) -> None:
    node = topology.BrokerNode(1, "h", 9092)

    def see(reach: topology.Reach, reason: str, *, listed: bool = True) -> list[str]:
        inventory, changes = Inventory(cluster.pk), Changes()
        inventory.plan_brokers(
            changes,
            nodes=[node] if listed else [],
            reach={1: (reach, reason)},
            quorum=topology.Quorum(1, 3, 900, (1, 2), (3,), NOW),
            versions={1: "4.3"},
            now=NOW,
        )
        inventory.save(changes, now=NOW)
        return [event.kind for event in changes.events]

    assert see(topology.Reach.UP, "") == []
    assert see(topology.Reach.SUSPECT, "refused") == [Event.Kind.BROKER_SUSPECT]
    assert see(topology.Reach.DOWN, "the cluster no longer lists it", listed=False) == [Event.Kind.BROKER_DOWN]
    row = Broker.objects.get()
    assert (row.host, row.version, row.reach) == ("h", "4.3", topology.Reach.DOWN), "what was known stays"
    assert (row.is_controller, row.quorum_role) == (True, "leader")
    assert see(topology.Reach.UP, "") == [Event.Kind.BROKER_UP]


def test_a_verdict_is_written_when_it_changes_and_remembers_since_when(cluster: Cluster) -> None:
    see_groups(cluster, group("g", "m1"))

    def judge(verdict: int, now: float) -> list[str]:
        inventory, changes = Inventory(cluster.pk), Changes()
        inventory.plan_verdicts(changes, {"g": verdict}, now=now, stood_since={"g": NOW - 15}.get)
        inventory.save(changes, now=now)
        return [event.text for event in changes.events]

    assert judge(0, NOW) == []
    assert judge(0, NOW + 5) == []
    assert judge(5, NOW + 10) == ["Group g: no progress, was ok"]
    assert judge(5, NOW + 15) == []
    since = Group.objects.get().verdict_since
    assert since is not None
    assert since.timestamp() == NOW - 15, "when it came to stand, not when that was noticed"
    judge(3, NOW + 20)
    since = Group.objects.get().verdict_since
    assert since is not None
    assert since.timestamp() == NOW + 20


@pytest.mark.parametrize(
    ("began", "first_seen", "at", "verdicts", "told"),
    [
        (NOW, NOW - 3600, NOW + 30, (0, 1, 0), []),  # the collector has just begun
        (NOW - 3600, NOW, NOW + 30, (0, 1, 0), []),  # the group is new
        (NOW, NOW, NOW + 30, (0, 1, 5), ["Group g: no progress, was unknown"]),  # what is wrong is news at once
        (NOW - 3600, NOW - 3600, NOW + 30, (0, 1, 0), ["Group g: unknown, was ok", "Group g: ok, was unknown"]),
    ],
)
def test_that_unknown_ends_right_after_a_start_is_no_news(
    cluster: Cluster, began: float, first_seen: float, at: float, verdicts: tuple[int, ...], told: list[str]
) -> None:
    see_groups(cluster, group("g", "m1"))
    Group.objects.update(first_seen_at=datetime.fromtimestamp(first_seen, UTC))
    inventory, changes = Inventory(cluster.pk, began=began), Changes()
    for step, verdict in enumerate(verdicts):
        inventory.plan_verdicts(changes, {"g": verdict}, now=at + step, stood_since=lambda _: None)
    assert [event.text for event in changes.events] == told
    assert Verdict(verdicts[-1]) == inventory.groups["g"].verdict  # the row follows in any case


def test_names_that_no_database_takes_do_not_break_the_cycle(cluster: Cluster) -> None:
    long = "c" * 600
    see_groups(cluster, group("g", f"{long}-1", f"{long}-2", "nul\0"))
    stored = set(Member.objects.values_list("member_id", flat=True))
    assert len(stored) == 3, "two long ids that differ at their end are two members"
    assert "nul\u2400" in stored
    assert all(len(one) <= 500 for one in stored)
    assert not [one for one in ("a\0", "a" * 501, "\ud800") if is_storable(one, 500)]
    assert is_storable("a" * 500, 500)


def test_the_log_directories_of_a_silent_broker_keep_their_age(cluster: Cluster) -> None:
    inventory = Inventory(cluster.pk)
    for node in (1, 2):
        row = Broker.objects.create(cluster=cluster, node_id=node, host="h", port=1, first_seen_at=datetime.now(UTC))
        inventory.brokers[node] = row
    one, two = (topology.LogDir(node, "/data", 10, None, None) for node in (1, 2))
    session = Session(ConnectionSettings.from_properties({"bootstrap.servers": "127.0.0.1:1"}))  # asked nothing
    sampler = Sampler(cluster, session, Survey(session), holder="h", epoch=1, announce=lambda kind, data: None)
    sampler.waiting._inventory = inventory
    seen = Observation(NOW, NOW, {}, {}, {}, 0, (), True, 1.0)

    def log_dirs(state: SurveyState) -> tuple[topology.LogDir, ...] | None:
        changes = sampler.waiting.plan(state, seen, skipped=0, stepped=0.0)
        sampler.waiting._stored = state
        return changes.log_dirs

    assert log_dirs(SurveyState(log_dirs=(one, two), log_dirs_answered=frozenset({1, 2}))) == (one, two)
    fresh = topology.LogDir(1, "/data", 10, None, None)
    assert log_dirs(SurveyState(log_dirs=(fresh, two), log_dirs_answered=frozenset({1}))) == (fresh,)


def test_cycles_are_seen_while_the_database_is_away_and_stored_when_it_is_back(cluster: Cluster) -> None:
    Broker.objects.create(cluster=cluster, node_id=7, host="h", port=1, first_seen_at=datetime.now(UTC))
    epoch = Lease.objects.acquire(f"cluster:{cluster.pk}", holder="h", seconds=600)
    assert epoch is not None
    session = Session(ConnectionSettings.from_properties({"bootstrap.servers": "127.0.0.1:1"}))
    sampler = Sampler(cluster, session, Survey(session), holder="h", epoch=epoch, announce=lambda kind, data: None)
    sampler.remember()
    nodes = (topology.BrokerNode(1, "127.0.0.1", 1, None),)
    sampler.survey._state = SurveyState(metadata=topology.Metadata("id", nodes, (), NOW))

    def away(*_: object) -> None:
        raise OperationalError("the server is away")

    with connection.execute_wrapper(away):
        for _ in range(3):
            with pytest.raises(OperationalError):
                sampler.cycle(due_at=time.time())
    sampler.cycle(due_at=time.time())
    session.close()
    stored = list(Cycle.objects.filter(cluster=cluster).order_by("number").values_list("number", "started_at"))
    assert [number for number, _ in stored] == [1, 2, 3, 4]
    assert len({at for _, at in stored}) == 4, "each with its own time"
    assert Broker.objects.get(node_id=7).reach == Reach.DOWN


@pytest.mark.parametrize(
    ("answered", "asked", "reach", "expected"),
    [
        (3, 9, Reach.UP, True),
        (0, 9, Reach.UP, False),
        (0, 0, Reach.UP, True),  # a healthy cluster without topics
        (0, 0, Reach.SUSPECT, False),
    ],
)
def test_a_cluster_without_topics_is_reached_when_a_broker_is_up(
    answered: int, asked: int, reach: Reach, expected: bool
) -> None:
    assert _is_reached(answered, asked, {1: (reach, "")}, ()) is expected
    refused = PartError("end_offsets", "not authorised", 1, 9)
    assert _is_reached(answered, asked, {1: (reach, "")}, [refused]) is (expected or asked > 0)


def test_controllers_of_their_own_are_no_brokers_that_are_down(cluster: Cluster) -> None:
    """Metadata lists brokers only; a quorum of dedicated controllers (100 to 102) is no reason for an alarm."""
    session = Session(ConnectionSettings.from_properties({"bootstrap.servers": "127.0.0.1:1"}))
    sampler = Sampler(cluster, session, Survey(session), holder="h", epoch=1, announce=lambda kind, data: None)
    brokers = tuple(topology.BrokerNode(node, "127.0.0.1", 9092, None) for node in (1, 2))
    seen = topology.Metadata("id", brokers, (topic("t"),), NOW)  # its replicas are on 1, 2 and 3
    quorum = topology.Quorum(100, 1, 1, (100, 101, 102), (1, 2), NOW)
    reach = {
        node: state for node, (state, _) in sampler.asking.reach(SurveyState(metadata=seen, quorum=quorum), {}).items()
    }
    assert reach == {1: Reach.UP, 2: Reach.UP, 3: Reach.DOWN}


def test_a_broker_that_a_newer_list_lacks_by_now_does_not_answer_again(cluster: Cluster) -> None:
    """Its connection is closed in the middle of a cycle that began with the old list."""
    session = Session(ConnectionSettings.from_properties({"bootstrap.servers": "127.0.0.1:1"}))
    sampler = Sampler(cluster, session, Survey(session), holder="h", epoch=1, announce=lambda kind, data: None)
    brokers = tuple(topology.BrokerNode(node, "127.0.0.1", 9092, None) for node in (1, 2, 3))
    state = SurveyState(metadata=topology.Metadata("id", brokers, (topic("t"),), NOW))
    refused = BrokerReach(Reach.SUSPECT, "refused", NOW)
    assert sampler.asking.reach(state, {3: refused}) == {
        1: (Reach.UP, ""),
        2: (Reach.UP, ""),
        3: (Reach.SUSPECT, "refused"),
    }


def test_a_cluster_with_samples_can_be_deleted() -> None:
    made = make_company(Company(cycles=4))
    assert Frame.objects.exists()
    made.delete()
    assert not Frame.objects.exists()


def look(inventory: Inventory, *groups: topology.Group, at: float, is_complete: bool = True) -> None:
    """One survey of the groups at so many seconds from the start, saved."""
    changes = Changes()
    inventory.plan_groups(changes, groups, is_complete=is_complete, now=NOW + at)
    inventory.save(changes, now=NOW + at)


def owned(name: str = "g") -> list[tuple[float, float | None, list[str]]]:
    """(since, until, members) of each row, in seconds from the start."""
    return [
        (
            row.since.timestamp() - NOW,
            None if row.until is None else row.until.timestamp() - NOW,
            [member[0] for member in row.members],
        )
        for row in Ownership.objects.filter(group__name=name).order_by("since")
    ]


def test_who_holds_what_is_written_only_when_it_changes(cluster: Cluster) -> None:
    inventory = Inventory(cluster.pk)
    look(inventory, group("g", "m1"), at=0)
    look(inventory, group("g", "m1"), at=15)
    look(inventory, group("g", "m1", "m2"), at=30)
    look(inventory, replace(group("g"), state="PreparingRebalance"), at=45)
    look(inventory, group("g", "m1", "m2"), at=60)
    look(inventory, group("g"), at=75)
    look(inventory, at=90)  # gone
    assert owned() == [(0, 30, ["m1"]), (30, 75, ["m1", "m2"]), (75, 90, [])]
    assert Ownership.objects.earliest("since").members == [["m1", "m1", "10.0.0.7", [["t", [0]]]]]


def test_a_restarted_collector_goes_on_with_the_open_row(cluster: Cluster) -> None:
    look(Inventory(cluster.pk), group("g", "m1"), at=0)
    look(Inventory(cluster.pk), group("g", "m1"), at=15)
    assert owned() == [(0, None, ["m1"])]


def test_while_a_group_cannot_be_described_nobody_is_said_to_hold_anything(cluster: Cluster) -> None:
    inventory = Inventory(cluster.pk)
    look(inventory, group("g", "m1"), at=0)
    look(inventory, group("g", error="not authorised"), at=15)
    look(inventory, group("g", "m1"), at=30)
    assert owned() == [(0, 15, ["m1"]), (30, None, ["m1"])]


def test_a_time_without_a_look_at_the_groups_is_not_covered(cluster: Cluster) -> None:
    """The cluster was not reached for ten minutes: the same members held the same before and after it, as far as is
    known, and nobody knows what was between."""
    inventory = Inventory(cluster.pk)
    look(inventory, group("g", "m1"), at=0)
    look(inventory, group("g", "m1"), at=15)
    look(inventory, group("g", "m1"), at=615)
    assert owned() == [(0, 15, ["m1"]), (615, None, ["m1"])]


def test_after_a_restart_what_was_open_ends_with_the_last_cycle_that_reached_the_cluster(cluster: Cluster) -> None:
    look(Inventory(cluster.pk), group("g", "m1"), at=0)
    for number, (at, is_reachable) in enumerate([(5, True), (300, False)], 1):
        taken = datetime.fromtimestamp(NOW + at, UTC)
        Cycle.objects.create(
            cluster=cluster, number=number, epoch=1, due_at=taken, started_at=taken, taken_at=taken, ended_at=taken,
            is_reachable=is_reachable, requests=1, completeness=1.0,
        )  # fmt: skip
    look(Inventory(cluster.pk), group("g", "m1"), at=600)
    assert owned() == [(0, 5, ["m1"]), (600, None, ["m1"])]


def test_a_quiet_cluster_writes_nothing_and_is_covered_until_the_next_change(cluster: Cluster) -> None:
    """The survey tells the same groups by the same tuple; that somebody looked is told by the moment of the answer."""
    session = Session(ConnectionSettings.from_properties({"bootstrap.servers": "127.0.0.1:1"}))  # asked nothing
    waiting = Sampler(cluster, session, Survey(session), holder="h", epoch=1, announce=lambda *_: None).waiting

    def store(groups: tuple[topology.Group, ...], *, at: float, looked_at: float) -> Changes:
        state = SurveyState(groups=groups, groups_taken_at=NOW + looked_at)
        seen = Observation(NOW + at, NOW + at, {}, {}, {}, 0, (), True, 1.0)
        changes = waiting.plan(state, seen, skipped=0, stepped=0.0)
        waiting.rows().save(changes, now=NOW + at)
        waiting._stored = state
        return changes

    quiet = (group("g", "m1"),)
    store(quiet, at=0, looked_at=0)
    for at in range(5, 605, 5):
        changes = store(quiet, at=at, looked_at=at - at % 15)
        assert (changes.create, changes.update, changes.members) == ([], [], {})
    changed = (group("g", "m2"),)
    store(changed, at=605, looked_at=605)
    assert owned() == [(0, 605, ["m1"]), (605, None, ["m2"])]
    for at in (610, 900):  # nobody answers for five minutes; then the same groups are there again
        store(changed, at=at, looked_at=605)
    store(changed, at=905, looked_at=905)
    assert owned()[1:] == [(605, 605, ["m2"]), (905, None, ["m2"])]
