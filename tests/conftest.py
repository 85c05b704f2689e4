"""What all tests share: the real Kafka of a run, and skips that the CI machine turns into failures."""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its stubs re-export nothing
from django.conf import settings
from pytest_django import Settings

from collectors.demo.nodes import KafkaCluster
from collectors.demo.secured import SecuredKafka
from collectors.history.cache import clear_caches
from dashboard.live import findings, leaders
from tests.servers import Postgres, Redis, ServerMissingError

_LOG = logging.getLogger("tests.kafka")
SQLITE = "django.db.backends.sqlite3"
COORDINATOR_NOT_READY = (14, 15, 16)
"""COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR."""
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Who asks for a served instance is no unit test; what is about SQLite does not run on another database, and what
    has no database at all runs once, on SQLite.

    With `--dist loadgroup` on three processes: what needs the run's Kafka is in two, each of which starts its own, what
    needs none in the third.
    """
    other = bool(os.environ.get("DATABASE_URL")) and settings.DATABASES["default"]["ENGINE"] != SQLITE
    for item in items:
        if other and item.get_closest_marker("sqlite"):
            item.add_marker(pytest.mark.skip(reason="about SQLite"))
        if {"served", "unreachable", "proxied", "postgres", "redis_server"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.served)
        item.add_marker(pytest.mark.xdist_group(_group(item)))
        if item.path.parent.name in ("faults", "history"):
            item.add_marker(pytest.mark.slow)  # thousands of small steps in all: make check stays below a minute
    if other:
        by_answer: dict[bool, list[pytest.Item]] = {True: [], False: []}
        for item in items:
            by_answer[_may_touch_a_database(item)].append(item)
        config.hook.pytest_deselected(items=by_answer[False])
        items[:] = by_answer[True]


def _may_touch_a_database(item: pytest.Item) -> bool:
    """pytest-django refuses a database to all others, but not to programs that a test starts."""
    starts_programs = item.path.parent.name in ("demo", "docker", "e2e", "processes", "upgrade")
    fixtures = set(getattr(item, "fixturenames", ()))
    return starts_programs or bool(
        item.get_closest_marker("django_db")
        or item.get_closest_marker("served")
        or fixtures & {"db", "transactional_db", "kafka", "secured", "chromium"}
    )


def _group(item: pytest.Item) -> str:
    if item.get_closest_marker("long"):  # each an hour of mostly waiting, with a Kafka of its own
        if item.path.name == "test_acts.py":
            return "one loop" if "loop" in item.name else "acts"
        return "other long tests"
    # so that the three end at about the same time
    if item.path.stem in ("test_raw_http", "test_sockets", "test_palette", "test_acts", "test_rights_watched"):
        return "rooms"
    if "kafka" not in getattr(item, "fixturenames", ()):
        return "without the run's Kafka"
    return "whole program" if item.path.parent.name in ("e2e", "browser", "processes") else "rooms"


@pytest.fixture(autouse=True)
def _plain_settings(settings: Settings, tmp_path: Path) -> None:
    """Static names without collectstatic, whichever test runs first, and nothing of the demo."""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.STATIC_ROOT = tmp_path  # else whitenoise walks a folder that a server may be filling
    settings.DEMO = False


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    """Databases of tests give the same keys again: what was kept in memory of another test's cluster is not of this."""
    findings.forget()
    leaders.forget()
    clear_caches()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Three real nodes, no traffic, started once a run. A test that breaks a node mends it again before it ends."""
    # Ports of this run's own: a node that a test killed must find its port free, whatever else runs on the machine.
    first_port = 20_000 + os.getpid() % 1000 * 10
    cluster = KafkaCluster(
        tmp_path_factory.mktemp("kafka"),
        cache_dir=settings.CACHE_DIR,
        base_ports=[first_port, first_port + 2, first_port + 4],
    )
    with cluster:
        cluster.start()
        cluster.wait_ready()
        yield cluster


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """A node with TLS, every sign-in and an authorizer, started once a run; sessions end after six seconds."""
    node = SecuredKafka(
        tmp_path_factory.mktemp("secured"),
        cache_dir=settings.CACHE_DIR,
        base_port=31_000 + os.getpid() % 1000 * 20,
        session_seconds=6,
    )
    with node:
        node.start()
        node.wait_ready()
        create_topic(node.bootstrap, "watched", partitions=3, replication=1)
        produce(node.bootstrap, "watched", (b"%d" % i for i in range(30)))
        consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": "readers"}, logger=_LOG)
        commit(consumer, TopicPartition("watched", 0, 3))
        consumer.close()
        yield node


@pytest.fixture(autouse=True)
def _leave_kafka_whole(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test that had the run's Kafka: wait until every node again says that all replicas are in sync."""
    cluster = request.getfixturevalue("kafka") if "kafka" in request.fixturenames else None
    yield
    if cluster is not None:
        wait_until_whole(cluster)


def wait_until_whole(cluster: KafkaCluster, *, seconds: float = 60.0) -> None:
    """Until each node, asked by a client of its own, names all brokers and a full ISR for all partitions."""
    deadline = time.monotonic() + seconds
    for address in cluster.bootstrap.split(","):
        admin = AdminClient({"bootstrap.servers": address}, logger=logging.getLogger("tests.kafka"))
        while missing := _missing_replicas(admin, len(cluster.node_ids)):
            assert time.monotonic() < deadline, f"{address} still says after {seconds:.0f} s: {missing}"
            time.sleep(0.2)


def _missing_replicas(admin: AdminClient, nodes: int) -> str:
    try:
        metadata = admin.list_topics(timeout=3)
    except KafkaException as error:
        return str(error)
    if len(metadata.brokers) < nodes:
        return f"brokers {sorted(metadata.brokers)}"
    return ", ".join(
        f"{topic.topic}/{partition.id} has ISR {sorted(partition.isrs)} of {sorted(partition.replicas)}"
        for topic in metadata.topics.values()
        for partition in topic.partitions.values()
        if partition.leader < 0 or len(partition.isrs) < len(partition.replicas)
    )


@pytest.fixture
def new_topic(kafka: KafkaCluster) -> Callable[..., str]:
    """Make a topic with a name of its own: `new_topic("orders", partitions=3, replication=3, **config)` -> name."""

    def make(stem: str = "topic", *, partitions: int = 1, replication: int = 3, **config: str) -> str:
        name = f"{stem}-{uuid.uuid4().hex[:8]}"
        create_topic(kafka.bootstrap, name, partitions=partitions, replication=replication, config=config)
        return name

    return make


def create_topic(
    bootstrap: str, name: str, *, partitions: int = 1, replication: int = 3, config: dict[str, str] | None = None
) -> None:
    """Create a topic and wait until every broker's answer has its leaders."""
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=logging.getLogger("tests.kafka"))
    made = admin.create_topics([NewTopic(name, partitions, replication, config=config or {})], operation_timeout=10)
    made[name].result(20)


def commit(consumer: Consumer, *offsets: TopicPartition) -> None:
    """Commits, again for as long as the group's coordinator is being found or loads what it keeps."""
    deadline = time.monotonic() + 20
    while True:
        try:
            consumer.commit(offsets=list(offsets), asynchronous=False)
        except KafkaException as problem:
            if problem.args[0].code() not in COORDINATOR_NOT_READY or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def produce(
    bootstrap: str, topic: str, values: Iterable[bytes], *, partition: int = -1, key: bytes | None = None
) -> int:
    """Write `values` and wait until all are acknowledged; returns how many."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5}, logger=logging.getLogger("tests.kafka"))
    failed: list[object] = []

    def note(error: object, _message: object) -> None:
        if error is not None:
            failed.append(error)

    count = 0
    for value in values:
        producer.produce(topic, value, key=key, partition=partition, on_delivery=note)
        count += 1
    left = producer.flush(30)
    if left or failed:
        raise AssertionError(f"{left} records of {topic} were not acknowledged, {failed[:3]} failed")
    return count


def _absent(what: str) -> None:
    """Skip for want of a program of the system; where the machine promises to have it, that is a failure."""
    if os.environ.get("STREAMGAUGE_REQUIRE_SYSTEM") == "1":
        pytest.fail(f"{what} is not installed, and STREAMGAUGE_REQUIRE_SYSTEM=1 says that it has to be", pytrace=False)
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The path of an installed Chromium (STREAMGAUGE_CHROMIUM, or on the PATH)."""
    named = os.environ.get("STREAMGAUGE_CHROMIUM")
    for name in (named,) if named else CHROMIUM_NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    _absent(named or "Chromium")
    raise AssertionError("unreachable")


@pytest.fixture(scope="session")
def promtool() -> Path:
    """The path of Prometheus's promtool."""
    found = shutil.which("promtool")
    if not found:
        _absent("promtool")
    return Path(str(found))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of this run; a test makes its own database in it."""
    try:
        server = Postgres()
    except ServerMissingError as error:
        _absent(str(error))
        raise AssertionError("unreachable") from None
    with server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """A Redis (or Valkey) of this run."""
    try:
        server = Redis()
    except ServerMissingError as error:
        _absent(str(error))
        raise AssertionError("unreachable") from None
    with server:
        yield server
