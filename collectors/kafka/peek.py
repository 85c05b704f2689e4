"""Records looked at where they lie, a few at a time: never as a member of a group, and nothing is ever committed."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka.errors import KafkaError
from kafka.protocol.consumer import FetchRequest
from kafka.protocol.metadata import MetadataRequest

from ..domain.heads import Found, Markers
from ..domain.rights import NOT_AUTHORISED
from .batches import look
from .exchange import Exchange
from .link import Answer, Link, Request
from .reasons import LEADER_ERRORS, PartError, Tally, reason_of_code

Place = tuple[str, int, int]  # topic, partition, offset

MOST_PLACES = 20
FETCH_BYTES = 64_000
"""Kafka sends whole batches: of a larger one all comes, of smaller ones no more than this."""
ROUNDS = 4
"""How often one place is asked for more, where nothing but markers came."""
NOT_OFFERED_TO_LOGIN = "not offered to this login: it lacks the right Read on the topic"
GONE = "the records there are deleted"
TOPIC_GONE = "the topic is gone"
NOTHING_WAITS = "no record is there yet"
NOTHING_YET = "no record came within the time"
MANY_MARKERS = "more transaction markers lie there than are looked through"

PART = "heads"
_FIRST_VERSION, _LAST_VERSION = 4, 12
"""4: read_uncommitted is said; 13 and later name topics by id."""
_READ_UNCOMMITTED = 0
_OUT_OF_RANGE, _UNKNOWN_TOPIC, _NOT_LEADER = 1, 3, 6
_REFUSED = frozenset({29, 30})
_UNKNOWN = frozenset({_UNKNOWN_TOPIC, 100})
_UNREADABLE = (ValueError, IndexError, TypeError, struct.error, KafkaError)


@dataclass(frozen=True, slots=True)
class HeadsAnswer:
    """What is at each place: an answer or a reason for every one that was asked of (MOST_PLACES at most). A refusal is
    a reason and no error."""

    found: Mapping[Place, Found]
    errors: tuple[PartError, ...]


@dataclass(slots=True)
class Readable:
    """Topics by what came of reading them last: some records were handed out to this login, or refused."""

    read: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)

    def note(self, found: Mapping[Place, Found]) -> None:
        for (topic, _, _), one in found.items():
            if one == NOT_OFFERED_TO_LOGIN:
                self.read.discard(topic)
                self.refused.add(topic)
            elif one == TOPIC_GONE:
                self.read.discard(topic)
                self.refused.discard(topic)
            elif not isinstance(one, str):
                self.refused.discard(topic)
                self.read.add(topic)

    def keep(self, topics: Iterable[str]) -> None:
        """Forget the topics that are no more."""
        there = frozenset(topics)
        self.read &= there
        self.refused &= there

    @property
    def errors(self) -> tuple[PartError, ...]:
        return (PartError(PART, NOT_AUTHORISED, None, len(self.refused)),) if self.refused else ()


def ask_heads(exchange: Exchange, places: Iterable[Place], deadline: float) -> HeadsAnswer:
    """The first record at or after the offset of each place, by a Fetch to the leader of its partition.

    Each place is a request of its own: only the first partition of one may get a batch larger than FETCH_BYTES. They
    go aside, since a broker may fetch old records from remote storage, or throttle who reads.
    """
    wanted = list(dict.fromkeys(places))[:MOST_PLACES]
    tally = Tally()
    link = exchange.connected(deadline, tally) if wanted else None
    if link is None:
        reason = next((error.reason for error in tally.errors()), NOTHING_YET)
        return HeadsAnswer(dict.fromkeys(wanted, reason), tally.errors())
    found: dict[Place, Found] = {}
    leaders = _leaders(exchange, link, {topic for topic, _, _ in wanted}, deadline, tally)
    for place in wanted:
        leader = leaders.get(place[:2], leaders.get((place[0], -1)))
        if isinstance(leader, str):
            found[place] = leader
        elif leader is None or leader < 0:
            found[place] = "no leader" if leader is not None else NOTHING_YET
    upto = {place: place[2] for place in wanted if place not in found}
    for _ in range(ROUNDS):
        if not upto:
            break
        requests = [(_leader(leaders, place), PART, _fetch(place, at), place) for place, at in upto.items()]
        for call in exchange.gather(link, requests, deadline, aside=True):
            place = call.tag
            if call.answer is None:
                reason = exchange.reason_of_call(call)
                found[place] = NOTHING_YET if reason == "timeout" else reason
                tally.add(PART, reason, call.node)
            else:
                answer = _read(call.answer, upto[place])
                if isinstance(answer, int) and answer > upto[place]:
                    upto[place] = answer  # nothing but markers so far
                    continue
                found[place] = NOTHING_YET if isinstance(answer, int) else answer
            del upto[place]
    found |= dict.fromkeys(upto, MANY_MARKERS)
    if any(one in _MOVED for one in found.values() if isinstance(one, str)):
        exchange.attention()
    return HeadsAnswer({place: found[place] for place in wanted}, tally.errors())


def _leader(leaders: Mapping[tuple[str, int], int | str], place: Place) -> int:
    found = leaders[place[:2]]
    assert isinstance(found, int)
    return found


def _leaders(
    exchange: Exchange, link: Link, topics: set[str], deadline: float, tally: Tally
) -> dict[tuple[str, int], int | str]:
    """The leader of each partition of some topics, asked for by name; at partition -1 why a topic has none."""

    def make() -> Request:
        named = [MetadataRequest.MetadataRequestTopic(name=name) for name in sorted(topics)]
        return Request(MetadataRequest(topics=named, allow_auto_topic_creation=False))

    answer = exchange.ask_any(link, PART, make, deadline, tally, aside=True)
    if answer is None:
        return {}
    try:
        listed = answer.decode().topics
        found: dict[tuple[str, int], int | str] = {}
        for topic in listed:
            if topic.error_code in _REFUSED:
                found[topic.name, -1] = NOT_OFFERED_TO_LOGIN
            elif topic.error_code in _UNKNOWN:
                found[topic.name, -1] = TOPIC_GONE
            else:
                found |= {(topic.name, p.partition_index): int(p.leader_id) for p in topic.partitions}
                found[topic.name, -1] = TOPIC_GONE  # whatever partition it does not have
        return found
    except _UNREADABLE:
        tally.add(PART, "unreadable answer", None)
        return {}


def _fetch(place: Place, offset: int) -> Request:
    """Whatever lies at an offset at once: nobody waits for records to come."""
    topic, partition, _ = place
    asked = FetchRequest.FetchTopic
    whole = asked.FetchPartition(
        partition=partition,
        current_leader_epoch=-1,
        fetch_offset=offset,
        last_fetched_epoch=-1,
        log_start_offset=-1,
        partition_max_bytes=FETCH_BYTES,
    )
    message = FetchRequest(
        replica_id=-1,
        max_wait_ms=0,
        min_bytes=0,
        max_bytes=FETCH_BYTES,
        isolation_level=_READ_UNCOMMITTED,
        session_id=0,
        session_epoch=-1,
        topics=[asked(topic=topic, partitions=[whole])],
        forgotten_topics_data=[],
        rack_id="",
        min_version=_FIRST_VERSION,
        max_version=_LAST_VERSION,
    )
    return Request(message)


def _read(answer: Answer, offset: int) -> Found | int:
    """What an answer says of the place it was asked for, or the offset from which on to ask for more."""
    try:
        decoded: Any = answer.decode()
        if getattr(decoded, "error_code", 0):
            return _reason(decoded.error_code)
        (topic,) = decoded.responses
        (partition,) = topic.partitions
        if partition.error_code:
            return _reason(partition.error_code)
        end, raw = int(partition.high_watermark), bytes(partition.records or b"")
    except _UNREADABLE:
        return "unreadable answer"
    if offset >= end:
        return NOTHING_WAITS
    looked = look(raw, offset)
    if looked.head is not None and looked.head.offset < end:
        return looked.head
    if looked.head is None and looked.reason:
        return looked.reason
    return Markers(end) if looked.head is not None or looked.upto >= end else looked.upto


def _reason(code: int) -> str:
    """In words what an error code means for a place."""
    if code in _REFUSED:
        return NOT_OFFERED_TO_LOGIN
    if code == _OUT_OF_RANGE:
        return GONE
    return TOPIC_GONE if code in _UNKNOWN else reason_of_code(code)


_MOVED = frozenset(reason_of_code(code) for code in LEADER_ERRORS) - {reason_of_code(code) for code in _UNKNOWN}
