"""Share groups of a real Kafka: their lag is what was written less what was acknowledged."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Message, ShareConsumer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs re-export nothing
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from django.test import Client

from collectors.demo.nodes import KafkaCluster
from collectors.domain.topology import GroupType
from collectors.domain.verdicts import Verdict
from dashboard.names import group_path
from tests.conftest import produce

from .watch import Watch, wait_until, watching

pytestmark = [pytest.mark.kafka, pytest.mark.django_db]
SILENT = logging.getLogger("tests.kafka")
WRITTEN = 60


@pytest.fixture
def watch(kafka: KafkaCluster) -> Iterator[Watch]:
    with watching(kafka.bootstrap) as made:
        yield made


@pytest.fixture
def group(kafka: KafkaCluster) -> str:
    """A share group's name, which begins with the first record: as made, they begin with the next one."""
    name = f"share-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap}, logger=SILENT)
    entry = ConfigEntry("share.auto.offset.reset", "earliest", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.GROUP, name, incremental_configs=[entry])
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(20)
    return name


def taken(consumer: ShareConsumer, seconds: float = 30.0) -> list[Message]:
    deadline = time.monotonic() + seconds
    while not (found := [one for one in consumer.poll(0.5) if one.error() is None]):
        assert time.monotonic() < deadline, "no record came"
    return found


def test_the_lag_of_a_share_group_is_what_was_written_less_what_was_acknowledged(
    watch: Watch, kafka: KafkaCluster, new_topic: Callable[..., str], group: str, viewer: Client
) -> None:
    topic = new_topic("shared", partitions=2)
    produce(kafka.bootstrap, topic, [b"x"] * WRITTEN, partition=0)  # nothing ever comes to the other one so far
    consumer = ShareConsumer(
        {"bootstrap.servers": kafka.bootstrap, "group.id": group, "share.acknowledgement.mode": "explicit"},
        logger=SILENT,
    )
    consumer.subscribe([topic])
    try:
        waiting = taken(consumer)
        for message in waiting[1::2]:  # every other one: what counts is how many, not up to where
            consumer.acknowledge(message)
        assert all(error is None for error in consumer.commit_sync(20).values())
        acknowledged = len(waiting[1::2])
        assert 0 < acknowledged < WRITTEN
        watch.look()
        # the coordinator's first answer may take longer than a cycle waits
        watch.until("its lag is known", lambda: watch.lag(group) is not None, seconds=20)
        assert watch.lag(group) == WRITTEN - acknowledged
        cycle = watch.cycle()
        assert "share_lag" not in {error["part"] for error in cycle.errors}
        assert watch.group(group).type == GroupType.SHARE
        for message in waiting[::2]:
            consumer.acknowledge(message)
        consumer.commit_sync(20)
        produce(kafka.bootstrap, topic, [b"y"] * WRITTEN, partition=1)
        done = len(waiting)
        while done < 2 * WRITTEN:
            for message in (some := taken(consumer)):
                consumer.acknowledge(message)
            consumer.commit_sync(20)
            done += len(some)
        watch.until("nothing waits", lambda: watch.lag(group) == 0, seconds=20)
        now = watch.now()
        assert now.groups.verdict.at(now.groups.index[group]) == Verdict.OK
        page = viewer.get(group_path("real", group)).content.decode()
        assert "Caught up: every record is read" in page
        assert "Acknowledged up to" in page
        assert "Committed</th>" not in page
        told = viewer.get(f"/clusters/real/how/?group={group}").content.decode()
        assert "DescribeShareGroupOffsets" in told
        assert "Read it now" not in told
    finally:
        consumer.close()
    produce(kafka.bootstrap, topic, [b"x"] * 5, partition=0)

    def is_left() -> bool:
        watch.look()
        now = watch.now()
        return now.groups.verdict.at(now.groups.index[group]) == Verdict.NO_MEMBERS

    wait_until("nobody reads", is_left, seconds=30)
    assert watch.lag(group) == 5
