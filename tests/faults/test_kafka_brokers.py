"""Brokers of a real Kafka that die, stutter, restart and throttle, seen by the sampler cycle by cycle."""

from __future__ import annotations

import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from collectors.demo.nodes import KafkaCluster
from collectors.domain.topology import Reach
from collectors.models import Cycle, Topic
from tests.conftest import create_topic, produce

from .test_kafka_topics import commit
from .watch import Watch, raw_ask, wait_until, watching

pytestmark = [pytest.mark.kafka, pytest.mark.django_db, pytest.mark.long]
PARTITIONS = 6
END, COMMITTED = 50, 20


@pytest.fixture
def watch(kafka: KafkaCluster) -> Iterator[Watch]:
    with watching(kafka.bootstrap) as made:
        yield made


@pytest.fixture
def whole(kafka: KafkaCluster) -> Iterator[None]:
    """Every node runs again afterwards, whatever the test did to it."""
    yield
    for node in kafka.node_ids:
        if node in kafka.pids:
            kafka.resume(node)
        else:
            kafka.restart(node)
    kafka.wait_ready()


def filled(kafka: KafkaCluster, stem: str, **how: int) -> str:
    name = f"{stem}-{uuid.uuid4().hex[:6]}"
    create_topic(kafka.bootstrap, name, partitions=PARTITIONS, config={"min.insync.replicas": "1"}, **how)
    for partition in range(PARTITIONS):
        produce(kafka.bootstrap, name, [b"x"] * END, partition=partition)
    return name


def is_whole(watch: Watch, topic: str) -> bool:
    return watch.ends(topic) == dict.fromkeys(range(PARTITIONS), END)


def assert_never_made_up(watch: Watch, topics: dict[str, int], group: str) -> None:
    """Known and right, or not known: nothing between."""
    for topic in topics:
        assert set(watch.ends(topic).values()) <= {END, None}, topic
    assert watch.lag(group) in (None, PARTITIONS * (END - COMMITTED))
    watch.assert_nothing_negative()


@pytest.mark.usefixtures("whole")
def test_k6_k2_two_brokers_die_then_the_third_and_all_come_back(kafka: KafkaCluster, watch: Watch) -> None:
    safe, fragile = filled(kafka, "safe", replication=3), filled(kafka, "fragile", replication=1)
    both, group = {safe: 3, fragile: 1}, f"readers-{uuid.uuid4().hex[:6]}"
    commit(kafka, group, {(safe, partition): COMMITTED for partition in range(PARTITIONS)})
    watch.look()
    watch.until("all is known", lambda: is_whole(watch, safe) and is_whole(watch, fragile), seconds=20)
    watch.until("its lag too", lambda: watch.lag(group) == PARTITIONS * (END - COMMITTED), seconds=15)
    topics_before = present(watch)
    first, second, third = sorted(kafka.node_ids, key=lambda node: node == quorum_leader(watch))

    # replicas of one copy are not always spread evenly
    first_alone = sum(replicas == [first] for _, _, replicas, *_ in watch.topic(fragile).partitions)

    # K8, K9: one dies; what had its only replica there has no leader, the rest fewer replicas
    kafka.kill(first)
    watch.until("suspect", lambda: watch.reach()[first] == Reach.SUSPECT, seconds=6)
    watch.until("down", lambda: watch.reach()[first] == Reach.DOWN, seconds=25)
    watch.until("replicas are missing", lambda: watch.topic(safe).under_replicated_count == PARTITIONS, seconds=20)
    watch.until("partitions have no leader", lambda: watch.topic(fragile).offline_count == first_alone, seconds=20)
    watch.until("the safe one is known again", lambda: is_whole(watch, safe), seconds=20)
    left = [END] * (PARTITIONS - first_alone) + [None] * first_alone
    watch.until("the rest is known", lambda: sorted(watch.ends(fragile).values(), key=str) == left, seconds=15)
    assert_never_made_up(watch, both, group)

    # K6: a second one, and with it the quorum
    kafka.kill(second)
    for _ in range(6):
        watch.cycle()
        assert_never_made_up(watch, both, group)
        time.sleep(1)
    watch.survey.poke("quorum")
    watch.until("the quorum is an error of its own", lambda: part_fails(watch, "quorum"), seconds=25)
    assert watch.cycle().is_reachable, "the third one still answers"
    assert END in watch.ends(safe).values(), "what it leads is still known"
    assert None in watch.ends(safe).values() or third in {row[0] for row in watch.topic(safe).partitions}

    # K2: the last one
    kafka.kill(third)
    watch.until("not reached", lambda: not newest(watch).is_reachable, seconds=20)
    for _ in range(3):
        cycle = watch.cycle()
        assert not cycle.is_reachable
        assert cycle.errors, "with the reason"
        assert_never_made_up(watch, both, group)
        assert {value for topic in both for value in watch.ends(topic).values()} <= {None}
    assert watch.events("topic_deleted", "group_gone", "topic_recreated") == []
    assert present(watch) == topics_before

    for node in (first, second, third):
        kafka.restart(node)
    kafka.wait_ready()
    watch.until("all is known again", lambda: is_whole(watch, safe) and is_whole(watch, fragile), seconds=60)
    watch.until("all are up", lambda: set(watch.reach().values()) == {Reach.UP}, seconds=30)
    watch.until("the lag too", lambda: watch.lag(group) == PARTITIONS * (END - COMMITTED), seconds=30)
    assert watch.events("topic_deleted", "group_gone", "topic_recreated") == []


def present(watch: Watch) -> set[str]:
    return set(Topic.objects.filter(cluster=watch.cluster, gone_at=None).values_list("name", flat=True))


def newest(watch: Watch) -> Cycle:
    return Cycle.objects.get(cluster=watch.cluster, number=watch.number)


def part_fails(watch: Watch, part: str) -> bool:
    return any(error["part"] == part for error in newest(watch).errors)


def quorum_leader(watch: Watch) -> int:
    state = wait_until("the quorum is known", lambda: watch.survey.newest().quorum, seconds=20)
    return state.leader_id


@pytest.mark.usefixtures("whole")
def test_k7_k5_k20_a_rolling_restart_is_three_short_events(kafka: KafkaCluster, watch: Watch) -> None:
    topic, group = filled(kafka, "rolled", replication=3), f"rolled-{uuid.uuid4().hex[:6]}"
    commit(kafka, group, {(topic, partition): COMMITTED for partition in range(PARTITIONS)})
    watch.look()
    watch.until("all is known", lambda: is_whole(watch, topic), seconds=20)
    watch.until("its lag too", lambda: watch.lag(group) == PARTITIONS * (END - COMMITTED), seconds=15)
    leader = quorum_leader(watch)
    for _ in range(5):
        watch.survey.poke("quorum")
        watch.cycle()
        time.sleep(1.1)
    assert watch.events("controller_moved") == [], "in steady state nobody moves"
    for node in sorted(kafka.node_ids, key=lambda one: one == leader):  # the quorum's leader last: it moves once
        restarting = threading.Thread(target=restart, args=(kafka, node, node == leader))
        restarting.start()
        while restarting.is_alive():
            cycle = watch.cycle()
            assert cycle.is_reachable, "two of three always answer"
            assert_never_made_up(watch, {topic: 3}, group)
            time.sleep(0.5)
        watch.until("up again", lambda node=node: watch.reach()[node] == Reach.UP, seconds=30)  # type: ignore[misc]  # bound now
        watch.until("all is known", lambda: is_whole(watch, topic), seconds=30)
    watch.survey.poke("quorum")
    watch.until("the controller moved", lambda: len(watch.events("controller_moved")) == 1, seconds=40)
    watch.until("the lag is known", lambda: watch.lag(group) == PARTITIONS * (END - COMMITTED), seconds=30)
    assert watch.events("group_gone", "topic_deleted", "topic_recreated") == []
    assert len(watch.events("broker_up")) >= 3


def restart(kafka: KafkaCluster, node: int, is_killed: bool) -> None:
    if is_killed:
        kafka.kill(node)
        time.sleep(1)
    kafka.restart(node)
    kafka.wait_ready()


@pytest.mark.usefixtures("whole")
def test_k4_a_stutter_makes_nobody_flap(kafka: KafkaCluster, watch: Watch) -> None:
    topic, group = filled(kafka, "stutter", replication=3), f"stutter-{uuid.uuid4().hex[:6]}"
    commit(kafka, group, {(topic, partition): COMMITTED for partition in range(PARTITIONS)})
    watch.look()
    watch.until("all is known", lambda: is_whole(watch, topic), seconds=20)
    victim = next(node for node in kafka.node_ids if node != quorum_leader(watch))
    for _ in range(6):
        kafka.pause(victim)
        stopped = time.monotonic()
        while time.monotonic() - stopped < 2:
            began = time.monotonic()
            watch.cycle()
            assert time.monotonic() - began < watch.sampler.interval + 0.5
            assert_never_made_up(watch, {topic: 3}, group)
        kafka.resume(victim)
        resumed = time.monotonic()
        while time.monotonic() - resumed < 3:
            watch.cycle()
            assert_never_made_up(watch, {topic: 3}, group)
            time.sleep(0.5)
    watch.until("all is known", lambda: is_whole(watch, topic), seconds=20)
    watch.until("up", lambda: watch.reach()[victim] == Reach.UP, seconds=20)
    assert watch.events("broker_down") == []


def alter_quota(kafka: KafkaCluster, client_id: str, percentage: float | None) -> None:
    """AlterClientQuotas v0 by hand: `request_percentage` of a client id, None takes it away."""

    def text(value: str) -> bytes:
        return struct.pack(">h", len(value)) + value.encode()

    entity = struct.pack(">i", 1) + text("client-id") + text(client_id)
    change = (
        struct.pack(">i", 1) + text("request_percentage") + struct.pack(">d?", percentage or 0.0, percentage is None)
    )
    host, _, port = kafka.bootstrap.split(",")[0].partition(":")
    answer = raw_ask(host, int(port), 49, 0, struct.pack(">i", 1) + entity + change + b"\0")
    assert struct.unpack(">iih", answer[:10])[2] == 0, answer


def test_k28_a_throttled_client_is_slower_and_stays_right(kafka: KafkaCluster, new_topic: Callable[..., str]) -> None:
    client_id = f"slow-{uuid.uuid4().hex[:6]}"
    topic, group = filled(kafka, "throttled", replication=3), f"throttled-{uuid.uuid4().hex[:6]}"
    commit(kafka, group, {(topic, partition): COMMITTED for partition in range(PARTITIONS)})
    with watching(kafka.bootstrap, client_id=client_id) as watch:
        watch.look()
        watch.until("all is known", lambda: is_whole(watch, topic), seconds=20)
        alter_quota(kafka, client_id, 0.00001)
        try:
            took: list[float] = []
            missed: list[str] = []
            for _ in range(15):
                began = time.monotonic()
                cycle = watch.cycle()
                took.append(time.monotonic() - began)
                missed += [error["reason"] for error in cycle.errors]
                assert_never_made_up(watch, {topic: 3}, group)
                time.sleep(0.3)
            assert max(took) < watch.sampler.interval + 0.5
            assert max(took) > 0.3 or missed, f"the quota had no effect at all: {took}"
        finally:
            alter_quota(kafka, client_id, None)
        watch.until("all is known again", lambda: is_whole(watch, topic), seconds=40)
        watch.until("all are up", lambda: set(watch.reach().values()) == {Reach.UP}, seconds=40)
