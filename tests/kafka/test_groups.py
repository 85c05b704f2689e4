"""Groups as their APIs tell them: assignments from bytes, each type its own way, damage stays with its group."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.protocol.admin import DescribeGroupsResponse
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment

from collectors.domain.assignments import AT_REST, Moving
from collectors.domain.scope import Scope
from collectors.domain.tasks import Held, Restoring, Role, Tasks
from collectors.domain.topology import Group, GroupType, Member
from collectors.kafka import described, groups
from collectors.kafka.reasons import Tally
from collectors.kafka.versions import version_of, version_of_level
from tests.kafka import streams_answers

assignments = st.dictionaries(
    st.text(alphabet="abc.ü", min_size=1, max_size=8), st.sets(st.integers(0, 2**31 - 1), min_size=1, max_size=5)
)


def assignment_bytes(found: dict[str, set[int]], version: int = 3) -> bytes:
    parts = [struct.pack(">hi", version, len(found))]
    for topic, partitions in found.items():
        raw = topic.encode()
        parts += [struct.pack(">h", len(raw)), raw, struct.pack(f">i{len(partitions)}i", len(partitions), *partitions)]
    return b"".join([*parts, struct.pack(">i", -1)])


@given(assignments, st.integers(0, 3))
@settings(deadline=None)
def test_an_assignment_is_read_in_every_version(found: dict[str, set[int]], version: int) -> None:
    expected = tuple((topic, tuple(sorted(found[topic]))) for topic in sorted(found))
    assert described.decode_assignment(assignment_bytes(found, version)) == expected


def test_an_assignment_is_read_as_the_library_reads_it() -> None:
    raw = assignment_bytes({"a": {1, 2}, "b": {0}}, 1)
    library = ConsumerProtocolAssignment.decode(raw)
    assert described.decode_assignment(raw) == tuple(
        (t.topic, tuple(t.partitions)) for t in library.assigned_partitions
    )


@given(st.binary(max_size=60), st.integers(0, 60))
@settings(deadline=None)
def test_damaged_assignments_raise_a_value_error_and_take_no_memory(noise: bytes, cut: int) -> None:
    whole = assignment_bytes({"topic": {1, 2, 3}})
    for damaged in (noise, whole[:cut], whole[:cut] + noise, b"\0\1\x7f\xff\xff\xff" + noise):
        try:
            described.decode_assignment(damaged)
        except ValueError:
            continue


def described_classic(assignment: bytes, protocol_type: str = "consumer") -> Any:
    member = SimpleNamespace(
        member_id="m", group_instance_id=None, client_id="c", client_host="/10.0.0.1", member_assignment=assignment
    )
    return SimpleNamespace(group_state="Stable", protocol_type=protocol_type, protocol_data="range", members=[member])


@pytest.mark.parametrize(
    ("why", "assignment", "protocol_type", "assigned", "error"),
    [
        ("plain", assignment_bytes({"t": {1, 0}}), "consumer", {("t", 0), ("t", 1)}, None),
        ("rebalancing: no bytes yet", b"", "consumer", set(), None),
        ("Connect keeps its own format in there", b"\0\1garbage", "connect", set(), None),
        ("damaged", b"\0\1\0\0\0\7x", "consumer", set(), "assignment cannot be read: 7 topics in 1 bytes"),
    ],
)
def test_a_classic_member_has_what_its_bytes_say(
    why: str, assignment: bytes, protocol_type: str, assigned: set[tuple[str, int]], error: str | None
) -> None:
    listed = Group("g", GroupType.CLASSIC, "Stable", coordinator=1)
    found = described.described_group(listed, GroupType.CLASSIC, described_classic(assignment, protocol_type))
    assert found.assigned == assigned
    assert found.error == error
    assert found.coordinator == 1


def test_a_streams_member_reads_the_source_topics_of_its_active_tasks() -> None:
    response = groups.StreamsGroupDescribeResponse
    group_class = response.DescribedGroup
    topology_class, member_class = group_class.Topology, group_class.Member
    sub_class, tasks_class = topology_class.Subtopology, member_class.Assignment
    repartition = sub_class.TopicInfo(name="app-repartition", partitions=2, replication_factor=0, topic_configs=[])
    tasks = tasks_class(
        active_tasks=[tasks_class.TaskIds(subtopology_id="0", partitions=[0, 1, 2])],
        standby_tasks=[tasks_class.TaskIds(subtopology_id="0", partitions=[9])],
        warmup_tasks=[],
    )
    member = member_class(
        member_id="m", member_epoch=4, instance_id=None, rack_id=None, client_id="c", client_host="/h",
        topology_epoch=0, process_id="p", user_endpoint=None, client_tags=[], task_offsets=[], task_end_offsets=[],
        assignment=tasks, target_assignment=tasks, is_classic=False,
    )  # fmt: skip
    sub = sub_class(
        subtopology_id="0", source_topics=["in"], repartition_sink_topics=[], state_changelog_topics=[],
        repartition_source_topics=[repartition],
    )  # fmt: skip
    body = response(
        throttle_time_ms=0,
        groups=[
            group_class(
                error_code=0, error_message=None, group_id="g", group_state="Stable", group_epoch=4,
                assignment_epoch=4, topology=topology_class(epoch=0, subtopologies=[sub]), members=[member],
                authorized_operations=0,
            )
        ],
    ).encode(version=0)  # fmt: skip
    one = response.decode(bytes(body), version=0).groups[0]
    found = described.described_group(Group("g", GroupType.STREAMS, "Stable"), GroupType.STREAMS, one)
    assert found.members[0].assignment == (("app-repartition", (0, 1)), ("in", (0, 1, 2)))
    assert found.epoch == 4


def streams_group(body: bytes) -> Group:
    one = groups.StreamsGroupDescribeResponse.decode(body, version=0).groups[0]
    return described.described_group(Group("app1", GroupType.STREAMS, ""), GroupType.STREAMS, one)


def test_what_a_streams_member_tells_of_its_changelogs_is_how_far_each_task_is_restored() -> None:
    second, first = streams_group(streams_answers.RESTORING).members
    assert (first.client_id[:6], second.client_id[:6]) == ("inst-1", "inst-2")
    assert first.tasks == Tasks(
        Held(("0_0", "0_1"), 2),
        Held(("0_2", "0_3"), 2),
        restoring=(
            Restoring("0_0", Role.ACTIVE, 92_108, 99_999),
            Restoring("0_1", Role.ACTIVE, 95_182, 100_001),
            Restoring("0_3", Role.STANDBY, 50_326, 100_000),
            Restoring("0_2", Role.STANDBY, 50_326, 99_998),
        ),
        restoring_count=4,
    )
    assert second.tasks is not None
    assert [(one.task, one.role) for one in second.tasks.restoring] == [
        ("0_3", Role.ACTIVE), ("0_2", Role.ACTIVE), ("0_0", Role.STANDBY), ("0_1", Role.STANDBY)
    ]  # fmt: skip
    assert (first.moving, second.moving) == (AT_REST, AT_REST)


def test_a_streams_member_that_joins_gets_what_another_has_still_to_give_up() -> None:
    group = streams_group(streams_answers.JOINED)
    second, first = group.members
    assert group.state == "Reconciling"
    assert first.assignment == (("in", (0, 1, 2, 3)),)
    assert first.moving == Moving(gives=(("in", (2, 3)),), is_behind=True)
    assert second.assignment == ()
    assert second.moving == Moving(gets=(("in", (2, 3)),))
    assert second.tasks == Tasks(standby=Held(("0_0", "0_1"), 2)), "nothing told of its changelogs: nothing claimed"


@pytest.mark.parametrize(
    ("why", "epoch", "holds", "target", "expected"),
    [
        ("at rest", 7, {"t": [0, 1]}, {"t": [1, 0]}, AT_REST),
        ("waits for another", 7, {"t": [0]}, {"t": [0, 1], "u": [4]}, Moving(gets=(("t", (1,)), ("u", (4,))))),
        ("has not heard of it", 6, {"t": [0, 1]}, {"t": [1]}, Moving(gives=(("t", (0,)),), is_behind=True)),
        ("gives up, and brokers list that no more", 6, {"t": [1]}, {"t": [1]}, Moving(is_behind=True)),
        ("a static member that is away", -2, {"t": [1]}, {"t": [1]}, AT_REST),
    ],
)
def test_a_kip_848_member_moves_until_it_has_what_its_target_says(
    why: str, epoch: int, holds: dict[str, list[int]], target: dict[str, list[int]], expected: Moving
) -> None:
    response = groups.ConsumerGroupDescribeResponse
    group_class = response.DescribedGroup
    member_class = group_class.Member
    one_class = member_class.Assignment.TopicPartitions

    def assignment(found: dict[str, list[int]]) -> Any:
        some = [one_class(topic_id=UUID(int=1), topic_name=name, partitions=own) for name, own in found.items()]
        return member_class.Assignment(topic_partitions=some)

    member = member_class(
        member_id="m", instance_id=None, rack_id=None, member_epoch=epoch, client_id="c", client_host="/h",
        subscribed_topic_names=[], subscribed_topic_regex=None, assignment=assignment(holds),
        target_assignment=assignment(target), member_type=1,
    )  # fmt: skip
    group = group_class(
        error_code=0, error_message=None, group_id="g", group_state="Reconciling", group_epoch=7, assignment_epoch=7,
        assignor_name="uniform", members=[member], authorized_operations=0,
    )  # fmt: skip
    body = response(throttle_time_ms=0, groups=[group]).encode(version=1)
    one = response.decode(bytes(body), version=1).groups[0]
    found = described.described_group(Group("g", GroupType.CONSUMER, ""), GroupType.CONSUMER, one)
    assert found.members[0].moving == expected, why


def test_what_members_get_and_give_up_of_topics_left_out_is_left_out() -> None:
    moving = Moving(gets=(("in", (0,)), ("out", (1,))), gives=(("out", (2,)),), is_behind=True)
    member = Member("m", "c", "h", None, (("out", (2,)),), moving)
    found = groups._within(Group("g", GroupType.CONSUMER, "Stable", members=(member,)), Scope(topics_exclude=("out",)))
    assert found.members == (Member("m", "c", "h", None, (), Moving(gets=(("in", (0,)),), is_behind=True)),)


@pytest.mark.parametrize(
    ("named", "kind"),
    [("Classic", "classic"), ("consumer", "consumer"), ("", "classic"), (None, "classic"), ("quantum", "unknown")],
)
def test_a_listed_group_has_the_type_that_is_named(named: str | None, kind: str) -> None:
    one = SimpleNamespace(group_id="g", group_type=named, group_state="Stable", protocol_type="consumer")
    found = groups.listed_group(one, 2)
    assert (found.type, found.coordinator) == (GroupType(kind), 2)


def test_the_library_still_describes_classic_groups_in_these_fields() -> None:
    group_class = DescribeGroupsResponse.DescribedGroup
    assert {"group_state", "protocol_type", "protocol_data", "members", "error_code"} <= set(group_class.__slots__)


@pytest.mark.parametrize(
    ("level", "version"),
    [(0, ""), (1, "3.0"), (7, "3.3"), (8, "3.4"), (14, "3.6"), (19, "3.7"), (20, "3.8"), (21, "3.9"), (25, "4.0"),
     (27, "4.1"), (29, "4.2"), (30, "4.3"), (33, "4.4"), (34, "")],
)  # fmt: skip
def test_a_version_follows_from_the_metadata_level(level: int, version: str) -> None:
    assert version_of_level(level) == version
    feature = SimpleNamespace(name="metadata.version", max_version=level)
    assert version_of(SimpleNamespace(supported_features=[feature], api_keys=[])) == version


@pytest.mark.parametrize(
    ("answers", "refused", "unknown"),
    [
        ([(16, ""), (69, "")], False, False),  # its coordinator knows no such group: it is gone
        ([(16, ""), (0, "Dead")], False, False),  # as brokers before 3.8 say it
        ([(16, ""), (16, "")], False, True),  # nobody coordinates it: its partition has no leader just now
        ([(16, ""), (14, "")], False, True),  # its coordinator still loads
        ([(16, ""), (15, "")], False, True),
        ([(0, "Stable")], False, True),  # there again
        ([None, (16, "")], False, True),
        ([], False, True),
        ([(30, ""), (16, "")], True, False),
    ],
)
def test_a_group_that_nobody_lists_is_gone_only_when_its_coordinator_says_so(
    answers: list[tuple[int, str] | None], refused: bool, unknown: bool
) -> None:
    def call(said: tuple[int, str] | None) -> SimpleNamespace:
        if said is None:
            return SimpleNamespace(answer=None)
        one = SimpleNamespace(group_id="g", error_code=said[0], group_state=said[1])
        return SimpleNamespace(answer=SimpleNamespace(decode=lambda: SimpleNamespace(groups=[one])))

    exchange: Any = SimpleNamespace(suspects=dict, gather=lambda *_: [call(said) for said in answers])
    link: Any = None
    found = groups._look_up(exchange, link, range(len(answers)), ["g"], 0.0, Tally())
    assert found == (frozenset("g" * refused), frozenset("g" * unknown))
