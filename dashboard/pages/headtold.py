"""Head-of-backlog age as *How we know* tells it: as the cycle knows it, or read from Kafka when somebody asks."""

from __future__ import annotations

import threading
import time

from collectors import roster
from collectors.domain import words
from collectors.domain.heads import Found, Markers, is_told_by_a_clock
from collectors.history import queries
from collectors.history.now import ClusterNow
from collectors.history.queries import AgesNow
from collectors.kafka.peek import Place
from collectors.kafka.session import Session
from collectors.kafka.settings import ConnectionSettings, SettingsError
from collectors.models import Cluster
from collectors.secrets import SecretUnreadableError

from .told import Told

HEAD_SECONDS = 5.0
_reading = threading.Semaphore(2)
"""Records are read for two people at a time: each reading has connections of its own."""


def shared_head() -> Told:
    why = "members acknowledge in any order: which records wait, the broker tells nobody"
    return Told("Head-of-backlog age", "age of the oldest unread record", "unknown", why, ())


def head_told(cluster: Cluster, now: ClusterNow, ages: AgesNow, at: int, *, is_asked: bool) -> Told:
    """The timestamp of the first record that waits: as it was read for this cycle, or now when somebody asks."""
    name, meaning = "Head-of-backlog age", "age of the oldest unread record, by the timestamp that it carries"
    offset = ages.unread.at(at)
    if at not in ages.waiting or offset is None:
        only_markers = queries.backlogs_at(now).markers[at]
        nothing = "only transaction markers wait" if only_markers else "nothing waits to be read"
        return Told(name, meaning, "none", "not known where the group stands" if offset is None else nothing, ())
    if not is_asked:
        return _head_kept(now, at, name, meaning)
    place = now.committed.layout.topics[at], int(now.committed.layout.partitions[at]), int(offset)
    if not _reading.acquire(blocking=False):
        return Told(name, meaning, "not read", "others read records at this moment: try again", ())
    try:
        found = read_head(roster.connection_of(cluster), place)
    except (SecretUnreadableError, SettingsError) as error:
        found = str(error)
    finally:
        _reading.release()
    if isinstance(found, str):
        return Told(name, meaning, "unknown", found, ())
    if isinstance(found, Markers):
        return Told(name, meaning, "none", f"only transaction markers lie before {words.count(found.end)}", ())
    if found.timestamp is None:
        return Told(name, meaning, "unknown", "the record carries no timestamp", ())
    moment = time.time()
    if not is_told_by_a_clock(found.timestamp, now=moment):
        said = f"the record carries {found.timestamp:.3f} s since 1970, which no clock told: its producer's doing"
        return Told(name, meaning, "unknown", said, ())
    age = max(0.0, moment - found.timestamp)
    clock = "the broker's clock when it came" if found.by_broker else "its producer's clock"
    steps = [
        f"record {words.count(found.offset)} carries {words.moment(found.timestamp, now=moment)}, {clock}",
        f"read at {words.moment(moment, now=moment)}",
    ]
    if found.earliest is not None:
        steps[0] = (
            f"the batch of record {words.count(found.offset)} is compressed in a way that is not unpacked here: its "
            f"records carry {words.moment(found.earliest, now=moment)} to {words.moment(found.timestamp, now=moment)}"
        )
    if found.offset > offset:
        steps.append(
            f"what was at {words.count(offset)} is gone (compacted, or a marker): the next one is read, "
            "so the age may be more"
        )
    if found.timestamp > moment:
        steps.append("it carries a time to come: its producer's clock is ahead, and the age is taken as 0")
    is_exact = found.offset == offset and found.earliest is None
    return Told(name, meaning, words.duration(age), "exact" if is_exact else "at least", tuple(steps))


def _head_kept(now: ClusterNow, at: int, name: str, meaning: str) -> Told:
    """What the cycle itself knows of it."""
    kept = queries.backlogs_at(now)
    age = kept.positions.at(at)
    if age is None:
        why = "it is read when asked for, and needs the right Read on the topic"
        step = "while a page of the group is open, the collector reads where its records wait longest"
        return Told(name, meaning, "not read", why, (step,))
    steps = [f"the record carries {words.moment(now.taken_at - age, now=now.taken_at)}, read by the collector"]
    if kept.is_at_most[at]:
        steps.append("the group has read on since: what waits now is younger")
    return Told(name, meaning, words.duration(age), "at most" if kept.is_at_most[at] else "exact", tuple(steps))


def read_head(settings: ConnectionSettings, place: Place) -> Found:
    """The record at one place, over connections of its own."""
    session = Session(settings)
    try:
        return session.ask_heads([place], budget_seconds=HEAD_SECONDS).found[place]
    finally:
        session.close()
