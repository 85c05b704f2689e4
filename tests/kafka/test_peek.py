"""What is remembered of topics that were read, or refused."""

from __future__ import annotations

from collectors.domain.heads import Head, Markers
from collectors.kafka.peek import GONE, NOT_OFFERED_TO_LOGIN, TOPIC_GONE, Readable
from collectors.kafka.reasons import PartError


def test_a_topic_is_refused_until_it_is_read_or_gone() -> None:
    topics = Readable()
    topics.note({("a", 0, 1): NOT_OFFERED_TO_LOGIN, ("b", 0, 1): Markers(2), ("c", 0, 1): NOT_OFFERED_TO_LOGIN})
    assert topics.errors == (PartError("heads", "not authorised", None, 2),)
    assert topics.read == {"b"}
    topics.note({("a", 0, 1): GONE, ("b", 0, 1): "timeout"})
    assert topics.errors == (PartError("heads", "not authorised", None, 2),)
    topics.note({("a", 0, 1): Head(1, 2.0, False), ("b", 0, 1): NOT_OFFERED_TO_LOGIN, ("c", 0, 1): TOPIC_GONE})
    assert (topics.read, topics.refused) == ({"a"}, {"b"})
    topics.note({("b", 0, 1): Head(1, 2.0, False)})
    assert not topics.errors
    topics.note({("b", 0, 1): NOT_OFFERED_TO_LOGIN})
    topics.keep({"a", "z"})
    assert (topics.read, topics.refused) == ({"a"}, set())
