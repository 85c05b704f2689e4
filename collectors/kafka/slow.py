"""The slow facts that one request or one per broker answers: metadata, quorum, versions."""

from __future__ import annotations

import struct
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from kafka.protocol.admin import DescribeQuorumRequest, ListPartitionReassignmentsRequest
from kafka.protocol.metadata import MetadataRequest

from ..domain.scope import Scope
from ..domain.topology import BrokerNode, Metadata, Partition, Quorum, Topic
from .exchange import Exchange, ping
from .flexible import Cursor, IrregularError
from .link import Answer, Link, Request
from .reasons import Tally, reason_of_code
from .versions import version_of

UNREADABLE = (ValueError, IndexError, struct.error)
_TOPIC_HAS_NO_LEADER = 5
_UNKNOWN_TOPIC, _INVALID_TOPIC, _TOPIC_REFUSED = 3, 17, 29
NAMES_A_REQUEST = 1_000
REASSIGNMENTS_SECONDS = 1.0


class MetadataAsker:
    """Asks Metadata and gives back the same `topics` object as long as the bytes about topics are the same.

    Kafka leaves out a topic that this login may no longer describe as if it were deleted. So whoever is missed is
    asked for by name: only there it says "not authorised" (of topics that never were, too) or "unknown topic".
    """

    def __init__(self, exchange: Exchange, scope: Scope) -> None:
        self._exchange = exchange
        self._scope = scope
        self._tail = b""
        self._topics: tuple[Topic, ...] = ()  # as listed, within the scope
        self._left_out = 0
        self._known: dict[str, Topic] = {}
        self._joined: tuple[tuple[Topic, ...], frozenset[str], tuple[Topic, ...]] = ((), frozenset(), ())

    def remember(self, topics: Iterable[Topic]) -> None:
        """Topics that were there before this session: those that are not listed are asked for by name, too."""
        self._known |= {topic.name: topic for topic in topics if self._scope.takes_topic(topic.name)}

    def ask(self, link: Link, deadline: float, tally: Tally) -> Metadata | None:
        def make() -> Request:
            return Request(
                MetadataRequest(
                    topics=None,
                    allow_auto_topic_creation=False,
                    include_cluster_authorized_operations=False,
                    include_topic_authorized_operations=False,
                )
            )

        answer = self._exchange.ask_any(link, "metadata", make, deadline, tally)
        if answer is None:
            return None
        try:
            metadata = self._read(answer, tally)
        except UNREADABLE:
            tally.add("metadata", "unreadable answer", None)
            return None
        if not metadata.brokers:
            tally.add("metadata", "no brokers listed", None)
            return None
        self._exchange.learn(link, metadata.brokers, metadata.cluster_id)
        metadata = self._with_hidden(link, metadata, deadline, tally)
        if any(p.is_under_replicated for topic in metadata.topics for p in topic.partitions):
            metadata = self._without_those_being_added(link, metadata, deadline)
        return metadata

    def _read(self, answer: Answer, tally: Tally) -> Metadata:
        taken_at = time.time()
        at = metadata_tail(answer.body, answer.version)
        tail = answer.body[at:] if at is not None else b""
        if not tail or tail != self._tail:
            decoded = answer.decode()
            brokers, cluster_id = _brokers(decoded.brokers), decoded.cluster_id
            good = [t for t in decoded.topics if t.error_code in (0, _TOPIC_HAS_NO_LEADER)]
            taken = [t for t in good if self._scope.takes_topic(t.name)]
            self._left_out = len(good) - len(taken)
            refused = [t for t in decoded.topics if t.error_code not in (0, _TOPIC_HAS_NO_LEADER)]
            for topic in refused:
                tally.add("metadata", reason_of_code(topic.error_code), None)
            topics = tuple(sorted(map(_topic, taken), key=lambda t: t.name))
            self._topics = topics if topics != self._topics else self._topics
            self._tail = b"" if refused else tail
            return Metadata(cluster_id, brokers, self._topics, taken_at, left_out=self._left_out)
        # The same topics as before: only the head is decoded, with an empty list of topics behind it.
        end = (
            b"\1"
            + (b"\x80\0\0\0" if answer.version <= 10 else b"")
            + (b"\0\0" if answer.version >= 13 else b"")
            + b"\0"
        )
        head = replace_body(answer, answer.body[:at] + end).decode()
        return Metadata(head.cluster_id, _brokers(head.brokers), self._topics, taken_at, left_out=self._left_out)

    def _with_hidden(self, link: Link, metadata: Metadata, deadline: float, tally: Tally) -> Metadata:
        """Add the topics that were there once and are refused by name now, as they were last seen."""
        listed = {topic.name for topic in metadata.topics}
        missed = sorted(self._known.keys() - listed)
        if missed:
            deleted = self._deleted(link, missed, deadline, tally)
            self._known = {name: topic for name, topic in self._known.items() if name not in deleted}
            missed = [name for name in missed if name not in deleted]
        if self._joined[0] is not metadata.topics or self._joined[1] != frozenset(missed):
            self._known |= {topic.name: topic for topic in metadata.topics}
            both = (*metadata.topics, *(self._known[name] for name in missed))
            joined = tuple(sorted(both, key=lambda t: t.name)) if missed else metadata.topics
            self._joined = (metadata.topics, frozenset(missed), joined)
        return replace(metadata, topics=self._joined[2], hidden=self._joined[1])

    def _deleted(self, link: Link, names: list[str], deadline: float, tally: Tally) -> set[str]:
        """Those of the names that the cluster says do not exist; of the others it is not known."""
        deleted: set[str] = set()
        for start in range(0, len(names), NAMES_A_REQUEST):
            some = names[start : start + NAMES_A_REQUEST]

            def make(some: list[str] = some) -> Request:
                topic = MetadataRequest.MetadataRequestTopic
                return Request(
                    MetadataRequest(topics=[topic(name=name) for name in some], allow_auto_topic_creation=False)
                )

            answer = self._exchange.ask_any(link, "metadata", make, deadline, Tally())
            if answer is None:
                tally.add("metadata", "topics that are no longer listed were not looked up", None, len(some))
                continue
            try:
                topics = answer.decode().topics
            except UNREADABLE:
                tally.add("metadata", "unreadable answer", None)
                continue
            deleted |= {one.name for one in topics if one.error_code in (_UNKNOWN_TOPIC, _INVALID_TOPIC)}
            if hidden := sum(one.error_code == _TOPIC_REFUSED for one in topics):
                tally.add("metadata", reason_of_code(_TOPIC_REFUSED), None, hidden)
        return deleted

    def _without_those_being_added(self, link: Link, metadata: Metadata, deadline: float) -> Metadata:
        """During a reassignment Metadata already lists the new replicas, which are not missing but on their way."""
        until = min(deadline, time.monotonic() + REASSIGNMENTS_SECONDS)

        def make() -> Request:
            return Request(ListPartitionReassignmentsRequest(timeout_ms=1_000, topics=None))

        answer = self._exchange.ask_any(link, "metadata", make, until, Tally(), aside=True)
        adding: dict[tuple[str, int], tuple[int, ...]] = {}
        if answer is not None:
            try:
                decoded = answer.decode()
            except UNREADABLE:
                return metadata
            for topic in decoded.topics or ():
                for p in topic.partitions:
                    if p.adding_replicas:
                        adding[topic.name, p.partition_index] = tuple(p.adding_replicas)
        if not adding:
            return metadata
        names = {name for name, _ in adding}
        topics = tuple(
            replace(
                topic,
                partitions=tuple(replace(p, adding=adding.get((topic.name, p.index), ())) for p in topic.partitions),
            )
            if topic.name in names
            else topic
            for topic in metadata.topics
        )
        return replace(metadata, topics=topics)


def metadata_tail(body: bytes, version: int) -> int | None:
    """Where the topics of a Metadata v9 to v13 body begin: equal bytes from there mean equal topics.

    None where the head is not plain. (The order of brokers and the controller id are random at each call.)
    """
    if not 9 <= version <= 13:
        return None
    cursor = Cursor(body, 4)
    try:
        for _ in range(cursor.count()):
            cursor.skip(4)
            cursor.text()
            cursor.skip(4)
            cursor.text()
            cursor.end_tags()
        cursor.text()
        cursor.skip(4)
    except IrregularError:
        return None
    return cursor.at


def replace_body(answer: Answer, body: bytes) -> Answer:
    return Answer(body, answer.version, answer.response_class)


def _brokers(listed: Iterable[Any]) -> tuple[BrokerNode, ...]:
    nodes = (BrokerNode(b.node_id, b.host, b.port, b.rack or None) for b in listed)
    return tuple(sorted(nodes, key=lambda node: node.node_id))


def _topic(topic: Any) -> Topic:
    topic_id = topic.topic_id if isinstance(topic.topic_id, uuid.UUID) and topic.topic_id.int else None
    partitions = sorted(
        (
            Partition(
                p.partition_index,
                p.leader_id,
                p.leader_epoch if p.leader_epoch is not None else -1,
                tuple(p.replica_nodes),
                tuple(p.isr_nodes),
                tuple(p.offline_replicas or ()),
            )
            for p in topic.partitions
        ),
        key=lambda p: p.index,
    )
    return Topic(topic.name, str(topic_id) if topic_id else None, bool(topic.is_internal), tuple(partitions))


def ask_quorum(exchange: Exchange, link: Link, deadline: float, tally: Tally) -> Quorum | None:
    """DescribeQuorum, or None with the reason, "not offered" by brokers with ZooKeeper among them."""

    def make() -> Request:
        topic = DescribeQuorumRequest.TopicData
        return Request(
            DescribeQuorumRequest(
                topics=[topic(topic_name="__cluster_metadata", partitions=[topic.PartitionData(partition_index=0)])]
            )
        )

    answer = exchange.ask_any(link, "quorum", make, deadline, tally, aside=True)
    if answer is None:
        return None
    try:
        decoded = answer.decode()
        partition = decoded.topics[0].partitions[0] if decoded.topics else None
        code = decoded.error_code or (partition.error_code if partition else -1)
        if code or partition is None:
            tally.add("quorum", reason_of_code(code), None)
            return None
        return Quorum(
            leader_id=partition.leader_id,
            leader_epoch=partition.leader_epoch,
            high_watermark=partition.high_watermark,
            voters=tuple(sorted(v.replica_id for v in partition.current_voters)),
            observers=tuple(sorted(o.replica_id for o in partition.observers)),
            taken_at=time.time(),
        )
    except UNREADABLE:
        tally.add("quorum", "unreadable answer", None)
        return None


def ask_versions(
    exchange: Exchange, link: Link, brokers: Iterable[int], deadline: float, tally: Tally
) -> dict[int, str]:
    """{broker: "4.3"} of those that answered; "" where the version cannot be derived."""
    found = {}
    for node, answer in ask_each(exchange, link, "versions", ping, brokers, deadline, tally):
        try:
            found[node] = version_of(answer.decode())
        except UNREADABLE:
            tally.add("versions", "unreadable answer", node)
    return found


def ask_each(
    exchange: Exchange,
    link: Link,
    part: str,
    make: Callable[[], Request],
    brokers: Iterable[int],
    deadline: float,
    tally: Tally,
) -> list[tuple[int, Answer]]:
    """Ask each broker the same at once, except suspects; (broker, answer) of those that answered."""
    suspects = exchange.suspects()
    asked = []
    for node in brokers:
        if node in suspects:
            tally.add(part, suspects[node], node)
        else:
            asked.append((node, part, make(), None))
    answered = []
    for call in exchange.gather(link, asked, deadline):
        if call.answer is None:
            tally.add(part, exchange.reason_of_call(call), call.node)
        else:
            answered.append((call.node, call.answer))
    return answered
