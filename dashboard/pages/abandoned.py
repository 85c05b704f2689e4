"""What a group has left behind, with the command of Kafka's own tool that deletes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from shlex import quote

from collectors.history.leftbehind import LeftBehind, left_behind
from collectors.history.now import ClusterNow

BROKERS = "BROKER:9092"


@dataclass(frozen=True, slots=True)
class AbandonedOffsets:
    topics: list[LeftBehind]
    command: str


def abandoned(now: ClusterNow | None, group: str) -> AbandonedOffsets | None:
    """None where nothing is abandoned. Kafka takes the command while the group reads other topics.

    How much has come since is not known where nothing was sampled for a while.
    """
    topics = left_behind(now, group) if now is not None else []
    if now is None or not topics:
        return None
    if now.is_old:
        topics = [replace(one, unread=None) for one in topics]
    named = " ".join(f"--topic {quote(one.topic)}" for one in topics)
    return AbandonedOffsets(
        topics,
        f"kafka-consumer-groups --bootstrap-server {BROKERS} --delete-offsets --group {quote(group)} {named}",
    )
