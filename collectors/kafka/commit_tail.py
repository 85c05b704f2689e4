"""The tail of `__consumer_offsets`: commits are read as groups make them, from now on, by nobody's member.

Partitions are assigned by hand, no group is joined and nothing is committed. Only what is committed itself is read
(read_committed), so that an open transaction of a producer ends what is known of its partition: that is unknown then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from ..domain.numbers import Column, Layout
from ..domain.rights import NOT_ASKED, NOT_AUTHORISED
from ..domain.scope import Scope
from .commit_book import CommitTimesBook
from .commit_records import TOPIC
from .librarylog import of_records
from .settings import ConnectionSettings

log = logging.getLogger(__name__)

NO_TOPIC = f"there is no topic {TOPIC} yet: Kafka makes it for the first group that commits"
FAILED = "it ended by a mistake of this program, which is in its log"
BATCH = 1_000
"""Records of one turn: a few milliseconds of this program's time, then others have theirs."""
TURN_SECONDS = 0.5
CHECK_SECONDS = 5.0
"""How often the ends of the partitions are asked for: one request a broker."""
OLD_SECONDS = 20.0
"""What was not seen to be read to its end within this is not told as what is."""
AGAIN_SECONDS = 30.0
"""After a refusal, or where nobody answers, the next try comes no sooner."""
ASK_SECONDS = 10.0
MEASURED_SECONDS = 60.0
_REFUSED = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED)
_ABSENT = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)
_LOST_PLACE = (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET)


@dataclass(frozen=True, slots=True)
class TailState:
    """How the reading goes. `why`: what keeps it from reading, "" while it reads. Numbers are of the last minute."""

    why: str = NOT_ASKED
    records_per_second: float | None = None
    cpu_share: float | None = None  # of one core, by this thread; what the library does in its own is not in it
    kept: int = 0  # places that a commit was seen of
    passed: Mapping[str, int] = field(default_factory=dict)  # records that tell no commit, by why


class _StoppedReadingError(Exception):
    """What keeps it from reading, in words."""


class CommitTail:
    """Reads from `start` to `stop` in a thread of its own; the sampler asks it for a column with each cycle."""

    def __init__(
        self,
        settings: ConnectionSettings,
        *,
        scope: Scope,
        make: Callable[..., Consumer] = Consumer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._make = make
        self._clock = clock
        self._book = CommitTimesBook(scope)
        self._lock = threading.Lock()  # the book and all below
        self._state = TailState()
        self._read: dict[int, _Partition] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="commit tail", daemon=True)
        self._measured: deque[tuple[float, int, float]] = deque()

    # --- for the sampler ----------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the reading; one that hangs in the library's close is left behind as a daemon."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    @property
    def state(self) -> TailState:
        with self._lock:
            return self._state

    def mark(self) -> None:
        """Call before a cycle asks for offsets: what is committed while it asks might have moved them."""
        with self._lock:
            self._book.mark()

    def column(self, layout: Layout, *, without: Collection[str] = ()) -> Column | None:
        """What was known at the newest mark of each position of the groups' layout, as the book's own `column` tells
        it; None where nothing was."""
        with self._lock:
            if not self._read:
                return None
            now = self._clock()
            since = [self._read[number].since_ms(now) for number in range(len(self._read))]
            found = self._book.column(layout, np.array(since, dtype=np.int64), without=without)
        return found if found.numbers.known.any() else None

    # --- the thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read_on()
                continue
            except _StoppedReadingError as error:
                why = str(error)
            except KafkaException as error:
                why = _words(error.args[0])
            except BaseException:
                self._say(FAILED)  # what the page says of it; the traceback is in the log
                raise
            if why != self._state.why:
                log.warning("commits are not read on reason=%s next_try=%.0fs", why, AGAIN_SECONDS)
            self._say(why)
            self._stop.wait(AGAIN_SECONDS)

    def _read_on(self) -> None:
        """Read from the present ends on, until told to stop or until it cannot go on."""
        consumer = self._make(options(self._settings), logger=of_records())
        try:
            numbers = _partitions(consumer)
            with self._lock:
                self._book.clear()
                self._read = {number: _Partition() for number in numbers}
            consumer.assign([TopicPartition(TOPIC, number, OFFSET_END) for number in numbers])
            checked_at = 0.0
            while not self._stop.is_set():
                self._take(consumer.consume(BATCH, TURN_SECONDS))
                if time.monotonic() - checked_at >= CHECK_SECONDS:
                    self._check(consumer)
                    checked_at = time.monotonic()
        finally:
            with self._lock:
                self._read = {}
                self._measured.clear()
            consumer.close()

    def _take(self, messages: Iterable[Message]) -> None:
        now = self._clock()
        with self._lock:
            take = self._book.take
            for message in messages:
                error = message.error()
                if error is None or error.code() == KafkaError._PARTITION_EOF:
                    number, offset = message.partition(), message.offset()
                    assert number is not None
                    assert offset is not None
                    if error is None:
                        take(message.key(), message.value())
                        offset += 1
                    self._read[number].came_to(offset, now)
                elif error.code() in _REFUSED:
                    raise _StoppedReadingError(NOT_AUTHORISED)
                elif error.code() in _ABSENT:
                    raise _StoppedReadingError(NO_TOPIC)
                elif error.code() in _LOST_PLACE or error.fatal():
                    raise _StoppedReadingError(_words(error))
                # all else the library tries again: until it succeeds, `_check` sees that nothing comes

    def _check(self, consumer: Consumer) -> None:
        """Ask where the partitions end, and see which are read to where they ended the last time."""
        numbers = list(self._read)
        asked = [TopicPartition(TOPIC, number, OFFSET_END) for number in numbers]
        asked_at = self._clock()
        try:
            ends = consumer.offsets_for_times(asked, timeout=TURN_SECONDS * 4)
        except KafkaException as error:
            log.debug("ends of commits not told reason=%s", _words(error.args[0]))
            ends = []
        with self._lock:
            for end in ends:
                if end.error is None and end.offset >= 0:
                    _, high = consumer.get_watermark_offsets(TopicPartition(TOPIC, end.partition), cached=True)
                    self._read[end.partition].ends_at(max(end.offset, high), asked_at)
            why = "" if any(one.since_ms(asked_at) for one in self._read.values()) else self._state.why
        self._say(why)

    def _say(self, why: str) -> None:
        with self._lock:
            self._measured.append((time.monotonic(), self._book.records, time.thread_time()))
            while self._measured[-1][0] - self._measured[0][0] > MEASURED_SECONDS:
                self._measured.popleft()
            (began, records, cpu), (at, records_now, cpu_now) = self._measured[0], self._measured[-1]
            seconds = at - began
            self._state = TailState(
                why,
                (records_now - records) / seconds if seconds and not why else None,
                (cpu_now - cpu) / seconds if seconds and not why else None,
                len(self._book),
                {passed.value: count for passed, count in self._book.passed.items()},
            )


class _Partition:
    """How far one partition of the topic is read."""

    def __init__(self) -> None:
        self._since = 0.0  # unix seconds; 0: nothing came yet
        self._upto = -1
        self._end, self._end_at = -1, 0.0
        self._whole_at = 0.0  # a moment up to which all of it is read

    def came_to(self, offset: int, now: float) -> None:
        self._since = self._since or now
        self._upto = offset

    def ends_at(self, end: int, at: float) -> None:
        if 0 <= self._end <= self._upto:
            self._whole_at = self._end_at
        self._end, self._end_at = end, at
        if end <= self._upto:
            self._whole_at = at

    def since_ms(self, now: float) -> int:
        """Since when all of it is read, in milliseconds; 0 where that is not so, or not certain."""
        return round(self._since * 1000) if self._since and now - self._whole_at <= OLD_SECONDS else 0


def options(settings: ConnectionSettings) -> dict[str, object]:
    """The consumer's configuration. The group's name is asked for by the library, and never used: partitions are
    assigned, and nothing is committed."""
    return {
        **settings.for_records(),
        "group.id": f"{settings.client_id}-commit-times",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",  # a place that is gone is a gap, and told as one
        "fetch.max.bytes": 4_000_000,
        "max.partition.fetch.bytes": 500_000,
        "queued.max.messages.kbytes": 8_000,
        "queued.min.messages": 10 * BATCH,
        "reconnect.backoff.max.ms": 10_000,
    }


def _partitions(consumer: Consumer) -> list[int]:
    found = consumer.list_topics(TOPIC, timeout=ASK_SECONDS).topics[TOPIC]
    if found.error is not None and found.error.code() in _REFUSED:
        raise _StoppedReadingError(NOT_AUTHORISED)
    if (found.error is not None and found.error.code() in _ABSENT) or (found.error is None and not found.partitions):
        raise _StoppedReadingError(NO_TOPIC)
    if found.error is not None:
        raise _StoppedReadingError(_words(found.error))
    numbers = sorted(found.partitions)
    if numbers != list(range(len(numbers))):
        raise _StoppedReadingError(f"{TOPIC} has partitions that nobody names")
    return numbers


def _words(error: KafkaError) -> str:
    return error.str().removeprefix("Broker: ")[:200]
