"""What a login may see: each question asked once, and for what is refused the right that grants it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kafka.errors import IncompatibleBrokerVersion
from kafka.protocol.admin import (
    DescribeClusterRequest,
    DescribeConfigsRequest,
    DescribeLogDirsRequest,
    DescribeQuorumRequest,
    ListGroupsRequest,
)
from kafka.protocol.metadata import MetadataRequest

from ..domain.rights import BY_KEY, NONE_VISIBLE, NOT_AUTHORISED, NOT_OFFERED, Right
from .conversation import Conversation
from .reasons import reason_of_code

TOPIC, BROKER = 2, 4  # ConfigResource types
_DESCRIBE = 8  # AclOperation.DESCRIBE among the authorised operations
_LEADER_NOT_AVAILABLE = 5


@dataclass(frozen=True, slots=True)
class Rights:
    rights: tuple[Right, ...]
    topics: int
    groups: int

    @property
    def missing(self) -> tuple[Right, ...]:
        return tuple(right for right in self.rights if right.is_missing)


def ask_rights(conversation: Conversation) -> Rights:
    """Every question once, over one signed-in connection. An empty answer is never taken for "there is none"."""
    sees_cluster = _may_describe_cluster(conversation)
    topics = _topics(conversation)
    groups, why = _ask_groups(conversation)
    found = [
        Right(
            BY_KEY["topics"],
            "" if topics else NONE_VISIBLE,
            "Kafka does not even name the topics that a login may not describe",
        ),
        Right(
            BY_KEY["groups"],
            why or ("" if groups or sees_cluster else NONE_VISIBLE),
            "" if sees_cluster else "only groups that this login may describe are listed",
        ),
        _right("log_dirs", lambda: _log_dirs(conversation)),
        _right("quorum", lambda: _quorum(conversation)),
    ]
    if topics:
        found.append(_right("topic_configs", lambda: _config(conversation, TOPIC, topics[0])))
    broker = str(_any_broker(conversation))
    found.append(_right("broker_configs", lambda: _config(conversation, BROKER, broker)))
    return Rights(tuple(found), len(topics), groups)


def _right(key: str, ask: Callable[[], str]) -> Right:
    try:
        why = ask()
    except IncompatibleBrokerVersion:
        why = NOT_OFFERED
    return Right(BY_KEY[key], why)


def _may_describe_cluster(conversation: Conversation) -> bool:
    """Whether the answer proves it; Describe on the cluster lets a login see every group."""
    answer = conversation.ask(DescribeClusterRequest(include_cluster_authorized_operations=True))
    return _DESCRIBE in (answer.authorized_operations or ())  # None: not told


def _topics(conversation: Conversation) -> list[str]:
    answer = conversation.ask(MetadataRequest(topics=None, allow_auto_topic_creation=False))
    return [topic.name for topic in answer.topics if topic.error_code in (0, _LEADER_NOT_AVAILABLE)]


def _ask_groups(conversation: Conversation) -> tuple[int, str]:
    answer = conversation.ask(ListGroupsRequest())
    return len(answer.groups or ()), reason_of_code(answer.error_code) if answer.error_code else ""


def _log_dirs(conversation: Conversation) -> str:
    answer = conversation.ask(DescribeLogDirsRequest(topics=None))
    code = getattr(answer, "error_code", 0) or 0
    if code:
        return reason_of_code(code)
    return "" if answer.results else NOT_AUTHORISED  # before 3.2 a missing right looks like a broker without disks


def _quorum(conversation: Conversation) -> str:
    topic = DescribeQuorumRequest.TopicData
    asked = topic(topic_name="__cluster_metadata", partitions=[topic.PartitionData(partition_index=0)])
    answer = conversation.ask(DescribeQuorumRequest(topics=[asked]))
    return reason_of_code(answer.error_code) if answer.error_code else ""


def _config(conversation: Conversation, kind: int, name: str) -> str:
    resource = DescribeConfigsRequest.DescribeConfigsResource
    asked = resource(resource_type=kind, resource_name=name, configuration_keys=[])
    answer = conversation.ask(DescribeConfigsRequest(resources=[asked], include_synonyms=False))
    codes = [result.error_code for result in answer.results if result.error_code]
    return reason_of_code(codes[0]) if codes else ""


def _any_broker(conversation: Conversation) -> int:
    answer: Any = conversation.ask(MetadataRequest(topics=[], allow_auto_topic_creation=False))
    return min((int(broker.node_id) for broker in answer.brokers), default=0)
