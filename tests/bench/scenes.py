"""The scenes of the truth bench: producers and consumers that note themselves what was written, read and committed."""

from __future__ import annotations

import bisect
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    ShareConsumer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs re-export nothing
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from .large import QUIET

BEAT = 0.25
COMMIT_SECONDS = 1.0
Place = tuple[str, int]


@dataclass(slots=True)
class Steps:
    """A number that grows (or is set back) and when: what was true at a moment."""

    times: list[float] = field(default_factory=list)
    values: list[int] = field(default_factory=list)

    def add(self, at: float, value: int) -> None:
        self.times.append(at)
        self.values.append(value)

    def at(self, moment: float) -> int | None:
        place = bisect.bisect_right(self.times, moment) - 1
        return None if place < 0 else self.values[place]


@dataclass(slots=True)
class Truth:
    """What the bench knows: log ends, log starts and commits as they were acknowledged, and when each record came."""

    ends: dict[Place, Steps] = field(default_factory=dict)
    starts: dict[Place, Steps] = field(default_factory=dict)
    commits: dict[tuple[str, Place], Steps] = field(default_factory=dict)
    came: dict[Place, dict[int, float]] = field(default_factory=dict)

    def wrote(self, place: Place, offset: int, at: float) -> None:
        self.came.setdefault(place, {})[offset] = at
        self.ends.setdefault(place, Steps()).add(at, offset + 1)

    def committed(self, group: str, place: Place, offset: int) -> None:
        self.commits.setdefault((group, place), Steps()).add(time.time(), offset)

    def lag(self, group: str, places: list[Place], moment: float) -> int | None:
        total = 0
        for place in places:
            end, commit = self.ends.get(place), self.commits.get((group, place))
            if commit is None or (at := commit.at(moment)) is None:
                return None
            start = self.starts[place].at(moment) if place in self.starts else None
            last = (end.at(moment) if end else None) or 0
            if at > last:
                return None  # no place in the log
            total += max(0, last - max(at, start or 0))
        return total

    def arrived(self, places: list[Place], since: float, until: float) -> int:
        """Records that came to these places between two moments."""
        ends = [self.ends[place] for place in places if place in self.ends]
        return sum(max(0, (end.at(until) or 0) - (end.at(since) or 0)) for end in ends)

    def age(self, group: str, places: list[Place], moment: float) -> float | None:
        """How long ago the oldest record that waits came; 0 when none does. None where that is not noted."""
        oldest = 0.0
        for place in places:
            end, commit = self.ends.get(place), self.commits.get((group, place))
            at = commit.at(moment) if commit else None
            last = end.at(moment) if end else None
            if at is None:
                return None
            start = self.starts[place].at(moment) if place in self.starts else None
            at = max(at, start or 0)
            if at > (last or 0):
                return None  # no place in the log
            if last is None or at >= last:
                continue
            came = self._first_from(place, at)
            if came is not None and came <= moment:  # else nothing but markers lies there
                oldest = max(oldest, moment - came)
        return oldest

    def _first_from(self, place: Place, offset: int) -> float | None:
        """When the first record at or after an offset came; markers of transactions are none."""
        own = self.came.get(place, {})
        if offset in own:
            return own[offset]
        later = [one for one in own if one > offset]
        return own[min(later)] if later else None


@dataclass(slots=True)
class Reader:
    """A member of a group that commits what it read once a second, or after each `pause`, while it is told to."""

    truth: Truth
    bootstrap: str
    group: str
    topics: list[str]
    extra: dict[str, str] = field(default_factory=dict)
    reads: bool = True
    commits: bool = True
    consumer: Consumer | None = None
    next_offset: dict[Place, int] = field(default_factory=dict)
    sent: dict[Place, int] = field(default_factory=dict)
    due: float = 0.0
    assigned: list[Place] = field(default_factory=list)  # it takes these and joins no group: a simple consumer
    pause: float = COMMIT_SECONDS
    skips: set[Place] = field(default_factory=set)  # what it reads there it does not commit

    def open(self) -> None:
        own = {
            "bootstrap.servers": self.bootstrap, "group.id": self.group, "auto.offset.reset": "earliest",
            "enable.auto.commit": "false", "enable.partition.eof": "false", "fetch.wait.max.ms": "200", **self.extra,
        }  # fmt: skip
        self.consumer = Consumer(own, logger=QUIET)
        if self.assigned:
            self.consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in self.assigned])
        else:
            self.consumer.subscribe(self.topics)

    def step(self) -> None:
        if self.consumer is None or not self.reads:
            return
        for message in self.consumer.consume(5_000, timeout=0.01):
            error = message.error()
            if error is None or error.code() == KafkaError._PARTITION_EOF:  # its offset lies past what was aborted
                ahead = 1 if error is None else 0
                self.next_offset[str(message.topic()), int(message.partition() or 0)] = (
                    int(message.offset() or 0) + ahead
                )
        if self.commits and self.next_offset and time.time() >= self.due:
            self.due = time.time() + self.pause
            fresh = {place: at for place, at in self.next_offset.items() if self.sent.get(place) != at}
            self.commit({place: at for place, at in fresh.items() if place not in self.skips})

    def commit(self, places: dict[Place, int]) -> None:
        if not places or self.consumer is None:
            return
        wanted = [TopicPartition(topic, partition, at) for (topic, partition), at in places.items()]
        with contextlib.suppress(KafkaException):  # in the midst of a rebalance: the next beat commits it
            self.consumer.commit(offsets=wanted, asynchronous=False)
            for place, at in places.items():
                self.sent[place] = at
                self.truth.committed(self.group, place, at)

    def close(self) -> None:
        if self.consumer is not None:
            self.consumer.close()
            self.consumer = None


@dataclass(slots=True)
class ShareReader(Reader):
    """A member of a share group: it acknowledges what it is given, and its place is how many records it has."""

    sharing: ShareConsumer | None = None

    def open(self) -> None:
        own = {
            "bootstrap.servers": self.bootstrap, "group.id": self.group, "share.acknowledgement.mode": "explicit",
        }  # fmt: skip
        self.sharing = ShareConsumer(own, logger=QUIET)
        self.sharing.subscribe(self.topics)

    def step(self) -> None:
        if self.sharing is None or not self.reads:
            return
        given = [message for message in self.sharing.poll(0.01) if message.error() is None]
        if not given:
            return
        done: dict[Place, int] = {}
        for message in given:
            self.sharing.acknowledge(message)
            place = str(message.topic()), int(message.partition() or 0)
            done[place] = done.get(place, 0) + 1
        for at, error in self.sharing.commit_sync(10).items():
            place = at.topic, at.partition
            if error is None and place in done:
                self.sent[place] = self.sent.get(place, 0) + done[place]
                self.truth.committed(self.group, place, self.sent[place])

    def close(self) -> None:
        if self.sharing is not None:
            self.sharing.close()
            self.sharing = None


@dataclass(slots=True)
class Scene:
    """One situation: who writes how fast to which partition, who reads, what happens at the event, what is right."""

    name: str
    group: str
    places: list[Place]
    before: frozenset[str]
    after: frozenset[str]
    rate: Callable[[float], float] = lambda seconds: 0.0  # records a second in all, by seconds since the start
    shares: tuple[float, ...] = ()
    reader: Reader | None = None
    event: Callable[[], None] | None = None
    beat: Callable[[], None] | None = None
    later: frozenset[str] = frozenset()  # right too once the event is no more to be told of
    later_after: float = float("inf")  # seconds since then from which that is so, if not as long as verdicts look back
    patience: float | None = None  # seconds until the right verdict is due, if not three intervals
    trims_at: float | None = None  # records a second by which its log start is moved from the event on
    happened_at: float = 0.0  # when its event was done
    owed: float = 0.0
    moved: int = 0


class World:
    """Runs the scenes on a thread of its own, a beat each quarter of a second."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.truth = Truth()
        self.admin = AdminClient({"bootstrap.servers": bootstrap}, logger=QUIET)
        self.producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "acks": "all"}, logger=QUIET)
        self.scenes: list[Scene] = []
        self.began = 0.0
        self.event_at: float | None = None
        self.writes = True
        self.failure: BaseException | None = None
        self.troubles: list[str] = []
        self.slowest_beat = 0.0
        self.watched_from = float("inf")  # when the first sample was taken
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scenes")

    # --- making

    def topic(self, name: str, partitions: int = 1, **config: str) -> list[Place]:
        # the broker's clock as it appends: this machine's, and not that of a thread that comes late
        config = {"message.timestamp.type": "LogAppendTime", **config}
        made = self.admin.create_topics([NewTopic(name, partitions, 3, config=config)], operation_timeout=15)
        made[name].result(30)
        for partition in range(partitions):
            self.truth.ends.setdefault((name, partition), Steps()).add(0.0, 0)
        return [(name, partition) for partition in range(partitions)]

    def fill(self, places: list[Place], count: int) -> None:
        for number in range(count):
            self.write(places[number % len(places)])
            if number % 1000 == 0:
                self.producer.poll(0)
        self.producer.flush(60)

    def write(self, place: Place, key: bytes | None = None) -> None:
        self.producer.produce(place[0], b"x" * 100, key=key, partition=place[1], on_delivery=self._written)

    def _written(self, error: object, message: Message) -> None:
        if error is None:
            place = str(message.topic()), int(message.partition() or 0)
            self.truth.wrote(place, int(message.offset() or 0), message.timestamp()[1] / 1000)

    def set_commits(self, group: str, places: dict[Place, int]) -> None:
        """As a tool does it: only for a group without members."""
        wanted = [TopicPartition(topic, partition, at) for (topic, partition), at in places.items()]
        for left in (4, 3, 2, 1, 0):  # a coordinator may not have heard of the topic yet
            asked = self.admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)])
            errors = [one.error for one in next(iter(asked.values())).result(30).topic_partitions or () if one.error]
            if not errors:
                break
            if not left:
                raise KafkaException(errors[0])
            time.sleep(0.5)
        for place, at in places.items():
            self.truth.committed(group, place, at)

    def from_the_start(self, group: str) -> None:
        """A share group begins with the next record unless its own setting says otherwise."""
        entry = ConfigEntry("share.auto.offset.reset", "earliest", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.GROUP, group, incremental_configs=[entry])
        for done in self.admin.incremental_alter_configs([resource]).values():
            done.result(30)

    def delete_before(self, place: Place, offset: int) -> None:
        found = self.admin.delete_records([TopicPartition(place[0], place[1], offset)])
        next(iter(found.values())).result(30)
        self.truth.starts.setdefault(place, Steps()).add(time.time(), offset)

    # --- running

    def start(self) -> None:
        self.began = time.time()
        for scene in self.scenes:
            if scene.reader is not None:
                scene.reader.open()
        self._thread.start()

    def happen(self) -> None:
        """Have the events happen with the next beat."""
        self.event_at = time.time()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)
        for scene in self.scenes:
            if scene.reader is not None:
                scene.reader.close()
        self.producer.flush(10)

    def _run(self) -> None:
        told = False
        last = time.time()
        try:
            while not self._stop.is_set():
                now = time.time()
                if self.event_at is not None and not told:
                    told = True
                    for scene in self.scenes:
                        if scene.event is not None:
                            scene.event()
                        scene.happened_at = time.time()
                for scene in self.scenes:
                    try:
                        self._step(scene, now, now - last)
                    except KafkaException as error:  # a broker that answers late is told in the table
                        self.troubles.append(f"{scene.name}: {error}")
                self.producer.poll(0)
                last = now
                self.slowest_beat = max(self.slowest_beat, time.time() - now)
                self._stop.wait(max(0.0, BEAT - (time.time() - now)))
        except BaseException as error:  # noqa: BLE001  # told by the thread that waits for the end
            self.failure = error

    def _step(self, scene: Scene, now: float, passed: float) -> None:
        if self.writes:
            self._write_due(scene, now, passed)
            if scene.beat is not None:
                scene.beat()
        if scene.reader is not None:
            scene.reader.step()

    def _write_due(self, scene: Scene, now: float, passed: float) -> None:
        scene.owed += scene.rate(now - self.began) * passed
        while scene.owed >= 1:
            scene.owed -= 1
            if scene.shares:
                total, mark = 0.0, (scene.moved * 0.6180339887) % 1.0
                place = scene.places[-1]
                for share, one in zip(scene.shares, scene.places, strict=True):
                    total += share
                    if mark < total:
                        place = one
                        break
            else:
                place = scene.places[scene.moved % len(scene.places)]
            scene.moved += 1
            self.write(place, key=str(scene.moved % 50).encode())


OK = frozenset({"ok"})
QUIET_AFTER_SECONDS = 25.0
"""Long before the end, so that what is remembered of the last samples no longer holds a record that came."""


def constant(rate: float) -> Callable[[float], float]:
    return lambda seconds: rate


def make_slow(world: World) -> None:
    """Healthy groups on topics that get little: nothing is ever to be said of them but that they are well."""
    for name, partitions, rate in (("once a minute", 1, 1 / 60), ("three a minute", 3, 1 / 20), ("one in 5 s", 1, 0.2)):
        topic = f"slow-{name.replace(' ', '-')}"
        places = world.topic(topic, partitions)
        group = f"g-{topic}"
        scene = Scene(name, group, places, OK, OK, constant(rate))
        scene.reader = Reader(world.truth, world.bootstrap, group, [topic])
        world.scenes.append(scene)
    (place,) = world.topic("slow-transactions", 1)
    scene = Scene("a transaction a minute", "g-slow-transactions", [place], OK, OK)
    scene.reader = Reader(world.truth, world.bootstrap, scene.group, [place[0]], {"isolation.level": "read_committed"})
    world.scenes.append(scene)
    transactional(world, scene, "markers only", every=60.0)
    for name, stands in (("commits each 90 s", False), ("commits each 90 s and one stands", True)):
        seldom(world, name, stands=stands)


def seldom(world: World, name: str, *, stands: bool) -> None:
    """A simple consumer as Flink is one. It is known to be there when its commits have moved twice; from the fourth on
    it may leave one partition out, which is found when that has missed two of its rounds and the second is over."""
    pause = 90.0
    topic = f"slow-{name.replace(' ', '-')}"
    places = world.topic(topic, 3)
    reader = Reader(world.truth, world.bootstrap, f"g-{topic}", [topic], assigned=places, pause=pause)
    unsure = OK | {"no_members", "unknown"}
    scene = Scene(name, reader.group, places, unsure, frozenset({"no_progress"}) if stands else OK, constant(60.0))
    scene.reader, scene.patience = reader, 3.5 * pause + 15.0 if stands else None
    since = [0.0]

    def beat() -> None:
        # what happens to the others is too early for it
        if since[0] == 0.0 and time.time() > world.began + (2.5 if stands else 2.2) * pause:
            since[0] = time.time()
            if stands:
                reader.skips.add(places[1])
        if since[0]:
            scene.happened_at = since[0]

    scene.beat = beat
    world.scenes.append(scene)


def make(world: World) -> None:
    """All scenes of issue 7, section 5."""

    def reader(group: str, *topics: str, **extra: str) -> Reader:
        return Reader(
            world.truth, world.bootstrap, group, list(topics), {k.replace("_", "."): v for k, v in extra.items()}
        )

    def add(name: str, *, after: frozenset[str] = OK, before: frozenset[str] = OK, partitions: int = 2,
            rate: float | Callable[[float], float] = 40.0, config: dict[str, str] | None = None,
            reads: bool = True, **extra: str) -> Scene:  # fmt: skip
        topic = f"truth-{name.replace(' ', '-')}"
        places = world.topic(topic, partitions, **(config or {}))
        speed = rate if callable(rate) else (lambda _, fixed=rate: float(fixed))
        scene = Scene(name, f"g-{name.replace(' ', '-')}", places, before, after, speed)
        if reads:
            scene.reader = reader(scene.group, topic, **extra)
        world.scenes.append(scene)
        return scene

    def of(scene: Scene) -> Reader:
        assert scene.reader is not None
        return scene.reader

    add("steady")
    add("bursty", rate=lambda s: 400.0 if s % 10 < 1 else 4.0, after=OK | {"catching_up"}, before=OK | {"catching_up"})
    idle = add("idle", rate=0.0)
    world.fill(idle.places, 200)
    add("slow topic", rate=1 / 60, partitions=1)
    frozen = add("frozen", after=frozenset({"no_progress"}))
    frozen.event = lambda: setattr(of(frozen), "reads", False)
    quiet = add("frozen and nothing comes", after=frozenset({"no_progress"}), partitions=1)
    quiet.rate = lambda _: 0.0 if world.event_at and time.time() > world.event_at + QUIET_AFTER_SECONDS else 40.0
    quiet.event = lambda: setattr(of(quiet), "reads", False)
    simple = add("simple consumer")
    of(simple).assigned = simple.places
    past_end = add("commit past the end", partitions=1, reads=False, before=frozenset({"no_members"}),
                   after=frozenset({"no_members"}))  # fmt: skip
    world.set_commits(past_end.group, {past_end.places[0]: 1_000_000})
    stopped = add("stopped", after=frozenset({"no_members"}))
    stopped.event = of(stopped).close

    def rewind() -> None:
        own = of(rewound)
        back = {place: max(0, at - 2_500) for place, at in own.sent.items()}
        own.commit(back)
        own.commits = own.reads = False  # it commits again what it reads again: slower than we look
        slow_rewound.update(back)

    slow_rewound: dict[Place, int] = {}
    rewound = add("rewound", after=frozenset({"rewound"}))
    world.fill(rewound.places, 6_000)
    rewound.event = rewind
    rewound.later = frozenset({"catching_up"})
    rewound.later_after = (
        2_500 / 23.0 - 5.0
    )  # within an interval it has read again what it had read: no rewind any more

    def crawl() -> None:
        if slow_rewound and world.event_at is not None:
            far = int(23.0 * (time.time() - world.event_at))  # a second and partition, of which 20 arrive
            of(rewound).commit({place: at + far for place, at in slow_rewound.items()})

    rewound.beat = crawl
    to_end = add("reset to end")
    of(to_end).commits = False
    world.fill(to_end.places, 2_000)

    def jump() -> None:
        own = of(to_end)
        own.commit(dict(own.next_offset))
        own.commits = True

    to_end.before = frozenset({"not_committing", "unknown", "ok"})
    to_end.event = jump
    # a member that reads a quarter of what comes; from the event on retention passes it every 20 s
    lost = add("lost to retention", partitions=1, before=OK | {"falling_behind"}, after=frozenset({"losing_data"}))
    world.fill(lost.places, 6_000)
    of(lost).reads = of(lost).commits = False
    reached, trims = [1_000.0, time.time()], [0.0]

    def overtake() -> None:
        now = time.time()
        reached[:] = reached[0] + 10.0 * (now - reached[1]), now
        if world.event_at is not None and now >= trims[0]:
            trims[0] = now + 20.0
            reached[0] += 400.0
            world.delete_before(lost.places[0], int(reached[0]))
        of(lost).commit({lost.places[0]: int(reached[0])})

    lost.beat = overtake
    trim = add("forced trim", partitions=1, rate=5.0, reads=False, before=frozenset({"no_members"}),
               after=frozenset({"no_members", "losing_data"}))  # fmt: skip
    world.fill(trim.places, 7_500)
    world.set_commits(trim.group, {trim.places[0]: 5_500})
    trim.trims_at = 20.0
    trimmed: list[float] = []

    def trim_on() -> None:
        if world.event_at is None:
            return
        wanted = int(20.0 * (time.time() - world.event_at))
        if not trimmed or wanted - trimmed[-1] >= 20:
            world.delete_before(trim.places[0], min(5_400, wanted))
            trimmed.append(wanted)

    trim.beat = trim_on
    for kind, after in (("markers only", OK), ("open transaction", frozenset({"no_progress"})), ("aborted", OK)):
        transactional(world, add(f"transactional {kind}", partitions=1, rate=0.0, after=after,
                                 isolation_level="read_committed",
                                 enable_partition_eof=str(kind == "aborted").lower()), kind)  # fmt: skip
    add("compacted", partitions=1, config={"cleanup.policy": "compact", "segment.ms": "10000",
        "min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "10000"})  # fmt: skip
    again = add("recreated topic", after=OK | {"unknown", "not_committing"})

    def recreate() -> None:
        topic = again.places[0][0]
        of(again).close()  # what it has fetched ahead is of the old topic
        world.admin.delete_topics([topic], operation_timeout=15)[topic].result(30)
        for place in again.places:
            world.truth.ends.pop(place, None)
            world.truth.came.pop(place, None)
            world.truth.commits.pop((again.group, place), None)
        of(again).next_offset.clear()
        of(again).sent.clear()
        time.sleep(1.0)  # brokers answer with the old one for a moment
        world.topic(topic, 2)
        of(again).open()

    again.event = recreate
    hot = add("hot partition", partitions=4)
    hot.shares = (0.7, 0.1, 0.1, 0.1)
    gone = add("abandoned", partitions=1)
    other = world.topic("truth-abandoned-other", 1)
    world.fill(other, 500)
    world.set_commits(gone.group, {other[0]: 100})
    never = add(
        "never committed", before=frozenset({"not_committing", "unknown", "ok"}), after=frozenset({"not_committing"})
    )
    of(never).commits = False
    add("KIP-848", group_protocol="consumer")

    def shared(name: str, *, after: frozenset[str] = OK) -> Scene:
        scene = add(name, reads=False, after=after)
        world.from_the_start(scene.group)
        scene.reader = ShareReader(world.truth, world.bootstrap, scene.group, [scene.places[0][0]])
        return scene

    shared("share")
    frozen_share = shared("share frozen", after=frozenset({"no_progress"}))
    frozen_share.event = lambda: setattr(of(frozen_share), "reads", False)


def transactional(world: World, scene: Scene, kind: str, *, every: float = 1.0) -> None:
    """Writes by transactions: each committed, each aborted, or one left open from the event on."""
    own = Producer(
        {"bootstrap.servers": world.bootstrap, "transactional.id": f"tx-{scene.group}", "linger.ms": 5,
         "transaction.timeout.ms": 600_000}, logger=QUIET)  # fmt: skip
    own.init_transactions(30)
    (place,) = scene.places
    is_open = [False]
    due = [0.0]

    def written(error: object, message: Message) -> None:
        if error is None:
            world.truth.wrote(place, int(message.offset() or 0), message.timestamp()[1] / 1000)

    def write(count: int) -> None:
        for _ in range(count):
            own.produce(place[0], b"t" * 100, partition=place[1], on_delivery=written)
        own.flush(10)

    def beat() -> None:
        if time.time() < due[0]:
            return
        due[0] = time.time() + every
        if kind == "open transaction" and world.event_at is not None:
            if not is_open[0]:
                own.begin_transaction()
                is_open[0] = True
            write(10)
            return
        own.begin_transaction()
        write(10)
        try:
            if kind == "aborted" and world.event_at is not None:
                own.abort_transaction(10)
            else:
                own.commit_transaction(10)
        except KafkaException:
            own.abort_transaction(10)
            raise
        end = (world.truth.ends[place].at(time.time()) or 0) + 1  # the marker takes an offset of its own
        world.truth.ends[place].add(time.time(), end)

    scene.beat = beat
