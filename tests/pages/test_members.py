"""The members panel of a group: what each still gets or gives up, its tasks, and how far they are restored."""

from __future__ import annotations

import html
import re
import time

import pytest
from django.test import Client

from collectors.changes import Changes
from collectors.domain.assignments import AT_REST, Assignment, Moving
from collectors.domain.tasks import Held, Restoring, Role, Tasks, tasks_of
from collectors.domain.topology import Group, GroupType, Member
from collectors.domain.verdicts import Verdict
from collectors.inventory import Inventory
from collectors.kafka.described import described_group
from collectors.kafka.groups import StreamsGroupDescribeResponse
from collectors.models import Cluster
from collectors.models import Group as GroupLine
from dashboard.live import memberwords
from tests.kafka import streams_answers

from .seed import Company, make_company

pytestmark = pytest.mark.django_db
NOW = time.time()
HELD: Assignment = (("orders", (0, 1)),)
PATH = "/clusters/demo/groups/analytics/"


@pytest.fixture
def cluster() -> Cluster:
    return make_company(Company())


def see(cluster: Cluster, group: Group) -> None:
    inventory, changes = Inventory(cluster.pk), Changes()
    inventory.plan_groups(changes, [group], is_complete=False, now=NOW)
    inventory.save(changes, now=NOW)


def streams(*members: Member) -> Group:
    return Group("analytics", GroupType.STREAMS, "Stable", members=members)


def member(
    moving: Moving = AT_REST,
    tasks: Tasks | None = None,
    assignment: Assignment = (("orders", (0, 1)),),
    name: str = "m",
) -> Member:
    return Member(name, name, "h", None, assignment, moving, tasks)


def panel(viewer: Client) -> str:
    content = viewer.get(PATH + "?fragment=members").content.decode()
    return re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]*>", " ", content)))


def test_what_a_broker_of_kafka_4_4_told_of_a_streams_group_is_on_its_page(viewer: Client, cluster: Cluster) -> None:
    one = StreamsGroupDescribeResponse.decode(streams_answers.RESTORING, version=0).groups[0]
    see(cluster, described_group(streams(), GroupType.STREAMS, one))
    shown = panel(viewer)
    assert "tasks: active 0_0, 0_1; standby 0_2, 0_3" in shown
    assert (
        "0_0: 92 108 of 99 999 restored; 0_1: 95 182 of 100 001 restored; "
        "standby 0_3: 50 326 of 100 000 restored; standby 0_2: 50 326 of 99 998 restored"
    ) in shown
    assert "moving" not in shown
    one = StreamsGroupDescribeResponse.decode(streams_answers.JOINED, version=0).groups[0]
    see(cluster, described_group(streams(), GroupType.STREAMS, one))
    assert "moving: gets in 2, 3" in panel(viewer)
    assert "moving: gives up in 2, 3" in panel(viewer)
    assert "2 of 2 members still moving" in viewer.get(PATH).content.decode()


def test_where_a_broker_tells_no_task_offsets_nothing_is_claimed_of_them(viewer: Client, cluster: Cluster) -> None:
    see(cluster, streams(member(tasks=Tasks(active=Held(("0_0", "0_1"), 2), standby=Held(("1_7",), 1)))))
    shown = panel(viewer)
    assert "tasks: active 0_0, 0_1; standby 1_7" in shown
    assert "restored" not in shown


def test_a_group_at_rest_says_nothing_of_moving(viewer: Client, cluster: Cluster) -> None:
    see(cluster, Group("analytics", GroupType.CONSUMER, "Stable", members=(member(),)))
    assert "moving" not in re.sub("data-f=.moving_said.", "", viewer.get(PATH).content.decode())
    assert "tasks" not in panel(viewer)


def test_how_many_members_move_is_said_of_all_of_them(viewer: Client, cluster: Cluster) -> None:
    waits = Moving(gets=(("orders", (2, 3)),))
    members = [member(assignment=(), moving=waits, name=f"w{i}") for i in range(250)]
    see(cluster, Group("analytics", GroupType.CONSUMER, "Reconciling", members=(member(), *members)))
    assert "250 of 251 members still moving" in viewer.get(PATH).content.decode()


def test_a_standby_alone_reads_nothing_and_tasks_without_topics_are_no_claim(viewer: Client, cluster: Cluster) -> None:
    see(
        cluster,
        streams(
            member(tasks=Tasks(standby=Held(("0_0",), 1)), assignment=(), name="stands-by"),
            member(tasks=Tasks(active=Held(("0_0",), 1)), assignment=(), name="untold"),
        ),
    )
    shown = panel(viewer)
    assert re.search("stands-by.*none assigned.*tasks: standby 0_0.*untold", shown)
    assert re.search("untold.*not told what its tasks read.*tasks: active 0_0", shown)


def test_names_of_tasks_and_topics_are_a_strangers(viewer: Client, cluster: Cluster) -> None:
    odd = "<b>\u202ex\0"
    tasks = tasks_of({Role.ACTIVE: [(odd, 0)]}, {}, {(odd, 0): 9})
    see(cluster, streams(member(Moving(gives=((odd, (0,)),)), tasks)))
    content = viewer.get(PATH + "?fragment=members").content.decode()
    assert "<b>" not in content
    assert "\u202e" not in content
    assert "not told how much of 9 is restored" in content


@pytest.mark.parametrize(
    ("moving", "said"),
    [
        (AT_REST, ""),
        (Moving(gets=(("a", (1, 2)), ("b", (0,)))), "moving: gets a 1, 2, b 0"),
        (Moving(gets=(("a", (1,)),), gives=(("a", (2,)),), is_behind=True), "moving: gets a 1; gives up a 2"),
        (
            Moving(is_behind=True),
            "moving: has not confirmed the newest assignment: what it gives up by it, it may still read",
        ),
        (
            Moving(gets=tuple((f"t{i}", tuple(range(20))) for i in range(5))),
            "moving: gets "
            + ", ".join(f"t{i} 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 8 more" for i in range(3))
            + " and 2 more topics",
        ),
    ],
)
def test_what_a_member_is_still_to_do_is_one_short_sentence(moving: Moving, said: str) -> None:
    assert memberwords.moving_said(moving) == said


def test_of_many_tasks_some_are_named_and_all_are_counted() -> None:
    names = tuple(f"0_{i}" for i in range(200))
    restoring = tuple(Restoring(name, Role.WARMUP, 5, 50) for name in names[:20])
    tasks = Tasks(warmup=Held(names, 90_000), restoring=restoring, restoring_count=90_000)
    assert memberwords.tasks_said(tasks).endswith("0_23 and 89\u202f976 more")
    assert memberwords.restoring_said(tasks).endswith("; warm-up 0_7: 5 of 50 restored; and 89\u202f992 more")
    assert memberwords.tasks_said(Tasks()) == "no tasks"


def test_who_reads_without_being_a_member_is_not_said_to_be_missing(viewer: Client, cluster: Cluster) -> None:
    see(cluster, Group("analytics", GroupType.CLASSIC, "Empty"))
    line = GroupLine.objects.get(cluster=cluster, name="analytics")
    GroupLine.objects.filter(pk=line.pk).update(verdict=Verdict.OK)
    assert "Read without members" in panel(viewer)
    GroupLine.objects.filter(pk=line.pk).update(verdict=Verdict.NO_MEMBERS)
    assert "Nobody is in this group" in panel(viewer)
