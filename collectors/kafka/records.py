"""Records read where they lie, a few at a time: never as a member of a group, and nothing is ever committed."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import OFFSET_INVALID, TIMESTAMP_CREATE_TIME, Consumer, KafkaError, KafkaException, TopicPartition

from .settings import ConnectionSettings

Place = tuple[str, int]  # topic, partition

MOST_PLACES = 20
FETCH_BYTES = 64_000
"""Kafka sends whole batches: of a larger one all comes, of smaller ones no more than this."""
NOT_OFFERED_TO_LOGIN = "not offered to this login: it lacks the right Read on the topic"
GONE = "the records there are deleted"
NOTHING_YET = "no record came within the time"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Head:
    """The first record at or after an offset. `timestamp`: unix seconds, None for a record without one; the producer's
    clock unless `by_broker`."""

    offset: int
    timestamp: float | None
    by_broker: bool


def read_heads(
    settings: ConnectionSettings, places: Mapping[Place, int], *, budget_seconds: float
) -> dict[Place, Head | str]:
    """The first record at or after an offset of each place, MOST_PLACES at most; or in words why there is none.

    By assigning and seeking, so that no group is joined. Markers of transactions are passed over.
    """
    wanted = dict(list(places.items())[:MOST_PLACES])
    found: dict[Place, Head | str] = {}
    if not wanted:
        return found
    deadline = time.monotonic() + budget_seconds
    consumer = Consumer(
        {
            **settings.for_records(),
            "group.id": "streamgauge-reads-only",  # librdkafka wants a name; it is never told to a coordinator
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "allow.auto.create.topics": False,
            "isolation.level": "read_uncommitted",
            "fetch.message.max.bytes": FETCH_BYTES,
            "queued.max.messages.kbytes": 1024,
            "queued.min.messages": 1,
            "log_level": 2,  # what fails is said on the page
        },
        logger=log,
    )
    try:
        consumer.assign([TopicPartition(topic, partition, offset) for (topic, partition), offset in wanted.items()])
        while len(found) < len(wanted) and (left := deadline - time.monotonic()) > 0:
            message = consumer.poll(min(left, 0.5))
            if message is None:
                continue
            place = str(message.topic() or ""), -1 if (number := message.partition()) is None else number
            error = message.error()
            if error is not None:
                reason = _reason(error)
                if reason and place in wanted:
                    found.setdefault(place, reason)
                elif reason and place[1] < 0:  # of the topic as a whole
                    found |= {one: reason for one in wanted if one[0] == place[0] and one not in found}
                continue
            if place not in wanted or place in found:
                continue
            kind, milliseconds = message.timestamp()
            offset = message.offset()
            found[place] = Head(
                OFFSET_INVALID if offset is None else offset,
                milliseconds / 1000 if milliseconds >= 0 else None,
                kind != TIMESTAMP_CREATE_TIME,
            )
            consumer.pause([TopicPartition(*place)])
    except KafkaException as error:
        reason = _reason(error.args[0]) or str(error.args[0])
        found = {**dict.fromkeys(wanted, reason), **found}
    finally:
        consumer.close()
    return {place: found.get(place, NOTHING_YET) for place in wanted}


def _reason(error: KafkaError) -> str:
    """In words what an error means for a place; "" for one that may pass."""
    code = error.code()
    if code in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED):
        return NOT_OFFERED_TO_LOGIN
    if code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        return GONE
    if code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION):
        return "the topic is gone"
    return ""
