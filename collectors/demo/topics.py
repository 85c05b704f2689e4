"""Makes the topics of the demo's company, and keeps them as they are planned."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs re-export nothing
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from .company import TOPICS

TOPICS_SECONDS = 30.0


class TopicsRefusedError(Exception):
    """The cluster did not make the topics in time; the message quotes why."""


def create_topics(bootstrap: str, prefix: str = "") -> None:
    """Create the company's topics that are not there yet, with as many copies as there are brokers, three at most.

    Those of an earlier demo get the partitions and settings of today's plan. TopicsRefusedError when the cluster
    refuses one.
    """
    admin = _admin(bootstrap)
    deadline = time.monotonic() + TOPICS_SECONDS
    metadata = admin.list_topics(timeout=10)
    there, copies = dict(metadata.topics), min(3, len(metadata.brokers))
    wanted = [NewTopic(prefix + t.name, t.partitions, copies, config=t.config) for t in TOPICS]
    old = [topic for topic in TOPICS if prefix + topic.name in there]
    wanted = [topic for topic in wanted if topic.topic not in there]
    failed: dict[str, Exception] = {}
    while wanted:
        failed = {}
        for name, future in admin.create_topics(wanted, operation_timeout=10).items():
            try:
                future.result(15)
            except Exception as error:  # noqa: BLE001 - the library raises its own and plain ones; both are told
                failed[name] = error
        there = dict(admin.list_topics(timeout=10).topics)
        wanted = [topic for topic in wanted if topic.topic not in there]
        if wanted and time.monotonic() > deadline:
            raise TopicsRefusedError(f"topics could not be made: {failed}")
    grown = [
        NewPartitions(prefix + topic.name, topic.partitions)
        for topic in old
        if len(there[prefix + topic.name].partitions) < topic.partitions
    ]
    try:
        for made in (admin.create_partitions(grown, operation_timeout=10) if grown else {}).values():
            made.result(15)
        set_configs(bootstrap, {prefix + topic.name: topic.config for topic in old})
    except Exception as error:  # as above
        raise TopicsRefusedError(f"topics could not be brought up to date: {error}") from error


def set_configs(bootstrap: str, configs: Mapping[str, Mapping[str, str]]) -> None:
    """Set some configs of some topics; KafkaException when the cluster refuses."""
    if not configs:
        return
    resources = [
        ConfigResource(
            ResourceType.TOPIC,
            topic,
            incremental_configs=[
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in own.items()
            ],
        )
        for topic, own in configs.items()
    ]
    admin = _admin(bootstrap)  # kept until the answers are there: with the client its questions end
    for changed in admin.incremental_alter_configs(resources, request_timeout=10).values():
        changed.result(15)


def _admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap}, logger=logging.getLogger("demo.admin"))
