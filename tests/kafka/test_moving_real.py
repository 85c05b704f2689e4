"""A KIP-848 group on the real cluster, while one member keeps what another is to get."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer

from collectors.demo.nodes import KafkaCluster
from collectors.domain.assignments import AT_REST, Moving
from collectors.domain.topology import Member
from collectors.kafka.session import Session
from collectors.kafka.settings import ConnectionSettings

pytestmark = pytest.mark.kafka
ALL = (0, 1, 2, 3)


@pytest.fixture
def session(kafka: KafkaCluster) -> Iterator[Session]:
    made = Session(ConnectionSettings.from_properties({"bootstrap.servers": kafka.bootstrap}))
    yield made
    made.close()


def joining(bootstrap: str, group: str, client: str, topic: str) -> Consumer:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": group, "client.id": client, "group.protocol": "consumer"},
        logger=logging.getLogger("tests.kafka"),
    )
    consumer.subscribe([topic])
    return consumer


def members_of(session: Session, group: str) -> dict[str, Member]:
    metadata = session.ask_metadata(budget_seconds=3).value
    listed = session.ask_groups(metadata, (), budget_seconds=5).value if metadata is not None else None
    found = listed.groups if listed is not None else ()
    return {member.client_id: member for one in found if one.name == group for member in one.members}


def until(session: Session, group: str, polled: list[Consumer], wanted: Callable[[dict[str, Member]], bool]) -> None:
    deadline = time.monotonic() + 40
    while not wanted(found := members_of(session, group)):
        assert time.monotonic() < deadline, found
        for consumer in polled:
            consumer.poll(0.3)


def test_a_member_waits_for_partitions_that_another_has_not_given_up(
    kafka: KafkaCluster, session: Session, new_topic: Callable[..., str]
) -> None:
    topic, group = new_topic("moving", partitions=4), f"moving-{time.monotonic_ns()}"
    keeper = joining(kafka.bootstrap, group, "keeper", topic)
    comer = joining(kafka.bootstrap, group, "comer", topic)

    def is_alone(found: dict[str, Member]) -> bool:
        return "keeper" in found and found["keeper"].assignment == ((topic, ALL),)

    def is_kept_waiting(found: dict[str, Member]) -> bool:
        """Who does not poll gives nothing up."""
        if found.keys() != {"keeper", "comer"}:
            return False
        gets = found["comer"].moving.gets
        return sum(len(some) for _, some in gets) == 2 and found["keeper"].moving == Moving(gives=gets, is_behind=True)

    try:
        comer.unsubscribe()
        until(session, group, [keeper], is_alone)
        comer.subscribe([topic])
        until(session, group, [comer], is_kept_waiting)
        until(
            session,
            group,
            [keeper, comer],
            lambda found: (
                [(len(m.assignment[0][1]), m.moving) for m in found.values() if m.assignment] == [(2, AT_REST)] * 2
            ),
        )
    finally:
        keeper.close()
        comer.close()
