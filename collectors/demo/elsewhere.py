"""The demo's company on a test cluster of somebody else: what will be made there, and its removal at the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from kafka.admin import KafkaAdminClient
from kafka.errors import GroupIdNotFoundError, KafkaError

from .company import GROUPS, PAYMENT_SERVICE, SOURCES, TOPICS

PREFIX = "streamgauge-demo-"
REMOVE_SECONDS = 30.0
_quiet = logging.getLogger("demo.admin")


class NotReachedError(Exception):
    """Nobody answers under the address; the message quotes why."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A cluster as it was found: its address, id, brokers, and what of an earlier demo is still there."""

    bootstrap: str
    cluster_id: str
    brokers: int
    left_over: tuple[str, ...]

    @property
    def copies(self) -> int:
        return min(3, self.brokers)


def look(bootstrap: str) -> Elsewhere:
    """What answers under an address; NotReachedError when nobody does."""
    try:
        found = AdminClient({"bootstrap.servers": bootstrap}, logger=_quiet).list_topics(timeout=10)
    except KafkaException as error:
        raise NotReachedError(f"No Kafka answers under {bootstrap}: {error.args[0].str()}") from None
    there = {PREFIX + topic.name for topic in TOPICS} & set(found.topics)
    return Elsewhere(bootstrap, found.cluster_id or "?", len(found.brokers), tuple(sorted(there)))


def question(found: Elsewhere) -> str:
    """Everything that will be made, in words, before anything is."""
    partitions = sum(topic.partitions for topic in TOPICS)
    per_second = sum(source.per_second for source in SOURCES)
    members = sum(group.members for group in GROUPS)
    pays = next(group.members for group in GROUPS if group.name == PAYMENT_SERVICE)
    copies = f"{found.copies} copies" if found.copies > 1 else "1 copy"
    lines = [
        f"On cluster {found.cluster_id} ({found.bootstrap}, {_counted(found.brokers, 'broker')}) this will create:",
        f"  {len(TOPICS)} topics, {partitions} partitions, {copies} each, with retention of minutes to hours:",
        *(f"    {PREFIX}{topic.name} ({topic.partitions})" for topic in TOPICS),
        f"  {len(GROUPS)} consumer groups with {members} members:",
        *(f"    {PREFIX}{group.name}" for group in GROUPS),
        f"  {pays} transactional ids ({PREFIX}{PAYMENT_SERVICE}-1 to -{pays}; Kafka itself forgets them after a week)",
        f"and write about {per_second:.0f} records a second, eight times the clicks in one act. In another act records "
        f"of {PREFIX}logs are deleted.",
        "Nothing else is touched. When the demo ends, these topics and groups are deleted with all that is in them.",
    ]
    if found.left_over:
        count = _counted(len(found.left_over), "topic")
        lines.append(f"{count} of an earlier demo found: used again, then deleted as well.")
    return "\n".join(lines)


def remove(bootstrap: str, *, seconds: float = REMOVE_SECONDS) -> list[str]:
    """Delete the demo's topics and groups; returns, in words, what could not be deleted in time."""
    deadline = time.monotonic() + seconds
    topics = [PREFIX + topic.name for topic in TOPICS]
    groups = [PREFIX + group.name for group in GROUPS]
    left: list[str] = []
    while True:
        left = [*_delete_groups(bootstrap, groups), *_delete_topics(bootstrap, topics)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(1.0)


def _delete_topics(bootstrap: str, names: Collection[str]) -> list[str]:
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=_quiet)
    try:
        there = sorted(set(names) & set(admin.list_topics(timeout=5).topics))
        for deleted in (admin.delete_topics(there, operation_timeout=10) if there else {}).values():
            deleted.result(15)
        still = sorted(set(names) & set(admin.list_topics(timeout=5).topics))
    except KafkaException as error:
        return [f"topics {', '.join(names)}: {error.args[0].str()}"]
    return [f"topic {name}" for name in still]


def _delete_groups(bootstrap: str, names: Collection[str]) -> list[str]:
    # not by the other library: its calls to a coordinator abort the process when that dies (facts: kafka-live.md 0)
    try:
        admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","), client_id="streamgauge-demo")
    except KafkaError as error:
        return [f"groups {', '.join(names)}: {error}"]
    try:
        answers = admin.delete_groups(list(names))
    except KafkaError as error:
        return [f"groups {', '.join(names)}: {error}"]
    finally:
        admin.close()
    return [
        f"group {name}: {said}" for name, said in answers.items() if said not in ("OK", GroupIdNotFoundError.__name__)
    ]


def _counted(number: int, one: str) -> str:
    return f"{number} {one}{'' if number == 1 else 's'}"
