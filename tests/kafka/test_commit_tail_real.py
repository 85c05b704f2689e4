"""The tail of `__consumer_offsets` of a real Kafka: who commits without moving, who does not commit, who may read."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition

from collectors.demo.nodes import KafkaCluster
from collectors.demo.secured import SecuredKafka
from collectors.domain.scope import ALL, Scope
from collectors.history import queries
from collectors.history.commit_times import last_commits
from collectors.history.kinds import Kind
from collectors.kafka.commit_tail import CommitTail
from collectors.kafka.settings import ConnectionSettings
from collectors.models import CollectorTotals
from dashboard.live import details
from tests.conftest import produce
from tests.kafka.test_heads_real import member
from tests.kafka.watching import Watch, watching

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]


class Trickle:
    """Writes a record twice a second; commits the same offset again for the group that does so."""

    def __init__(self, kafka: KafkaCluster, topic: str, consumer: Consumer) -> None:
        self._kafka, self._topic, self._consumer = kafka, topic, consumer
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            produce(self._kafka.bootstrap, self._topic, [b"x"])
            self._consumer.commit(offsets=[TopicPartition(self._topic, 0, 2)], asynchronous=False)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)


@pytest.fixture
def standing(kafka: KafkaCluster, new_topic: Callable[..., str]) -> Iterator[tuple[str, str]]:
    """(a group that commits the same offset again and again, one that has committed once)."""
    topic = new_topic("standing")
    produce(kafka.bootstrap, topic, [b"x"] * 5)
    busy, dead = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("busy", "dead"))
    consumers = [member(kafka, group, topic, 2) for group in (busy, dead)]
    try:
        with Trickle(kafka, topic, consumers[0]):
            yield busy, dead
    finally:
        for consumer in consumers:
            consumer.close()


def watch_until_it_stands(watch: Watch, groups: tuple[str, str]) -> None:
    def stand() -> bool:
        return all(watch.group(group)["verdict"] == "no_progress" for group in groups)

    slowly(watch, "no progress", stand)


def slowly(watch: Watch, what: str, look: Callable[[], object]) -> None:
    """A window of samples that lie closer than a second holds too little time to call a group stuck or silent."""
    watch.until(what, look, seconds=60, each=lambda: time.sleep(0.8))


def test_who_commits_without_moving_is_told_from_who_does_not_commit(
    kafka: KafkaCluster, standing: tuple[str, str]
) -> None:
    busy, dead = standing
    with watching({"bootstrap.servers": kafka.bootstrap}, commit_times=True) as watch:
        watch.step()
        watch_until_it_stands(watch, standing)
        slowly(watch, "it is told", lambda: "does not commit (" in watch.group(dead)["sentence"])
        row = watch.group(busy)
        assert "; commits, but does not move (last commit " in row["sentence"]
        assert row["sentence"].endswith(" ago at the same offset)")
        assert row["cause"].startswith("stuck on a record, or blocked downstream")
        assert "at the same offset" in " ".join(row["evidence"])
        other = watch.group(dead)
        assert "; does not commit (no commit seen for " in other["sentence"]
        assert other["cause"].startswith("stuck or dead member loop")

        now = watch.now
        at = last_commits(now).at(now.groups.index[busy])
        assert at == pytest.approx(now.taken_at, abs=5), "the broker's clock is this machine's"
        assert last_commits(now).at(now.groups.index[dead]) is None, "none was seen: no time to give"
        found = details.group_detail(watch.cluster, now, busy)
        assert found is not None
        assert found["commit_said"].startswith("last commit ")
        assert found["partitions"][0]["commit_said"].startswith("last commit ")
        tail = CollectorTotals.objects.get(cluster=watch.cluster).commit_tail
        assert tail is not None
        assert tail["why"] == ""
        assert 0 < tail["records_per_second"] < 1_000
        assert 0 < tail["cpu_share"] < 1
        assert watch.cluster.rights.get(key="commit_times").why == ""
        assert not [name for name in now.groups.index if "commit-times" in name], "nobody's group was joined"


def test_with_the_setting_off_nothing_is_read_and_nothing_told(kafka: KafkaCluster, standing: tuple[str, str]) -> None:
    with watching({"bootstrap.servers": kafka.bootstrap}) as watch:
        watch.step()
        watch_until_it_stands(watch, standing)
        for group in standing:
            row = watch.group(group)
            assert "commit" not in row["sentence"]
            assert row["cause"].startswith("stuck member")
        now = watch.now
        assert not now.committed_at.known.any()
        found = details.group_detail(watch.cluster, now, standing[0])
        assert found is not None
        assert (found["commit_said"], found["partitions"][0]["commit_said"]) == ("", "")
        assert not watch.cluster.rights.filter(key="commit_times").exists()
        assert CollectorTotals.objects.get(cluster=watch.cluster).commit_tail is None
        assert queries.column_at(watch.cluster.pk, Kind.COMMITTED_AT) is None


def wait_for(what: str, look: Callable[[], object], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.1)


def is_all_read(tail: CommitTail) -> bool:
    """Whether the partitions are known, and each is read."""
    read = list(tail._read.values())
    return bool(read) and all(one.since_ms(time.time()) for one in read)


def test_without_the_right_it_says_so_and_begins_when_it_is_given(
    secured: SecuredKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collectors.kafka.commit_tail.AGAIN_SECONDS", 1.0)
    settings = ConnectionSettings.from_properties(secured.properties("standard"))
    tail = CommitTail(settings, scope=ALL)
    tail.start()
    try:
        wait_for("refused", lambda: tail.state.why == "not authorised")
        assert (tail.state.records_per_second, tail.state.cpu_share) == (None, None)
        secured.grant("standard", [("TOPIC", "READ")])
        try:
            wait_for("read", lambda: tail.state.why == "")
        finally:
            secured.withdraw("standard", [("TOPIC", "READ")])
        wait_for("refused again", lambda: tail.state.why == "not authorised")
    finally:
        tail.stop(10)


def test_a_broker_that_is_lost_makes_unknown_and_its_return_known(
    kafka: KafkaCluster, new_topic: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collectors.kafka.commit_tail.OLD_SECONDS", 8.0)
    topic, group = new_topic("lost"), f"lost-{uuid.uuid4().hex[:8]}"
    gone = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group}, logger=logging.getLogger("tests.kafka"))
    tail = CommitTail(
        ConnectionSettings.from_properties({"bootstrap.servers": kafka.bootstrap}),
        scope=Scope(groups_include=("lost*",)),
    )
    tail.start()
    try:
        wait_for("every partition is read", lambda: is_all_read(tail))
        node = kafka.node_ids[0]
        kafka.kill(node)
        try:
            time.sleep(1)
            gone.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)
            wait_for("the commit is seen all the same", lambda: tail.state.kept == 1)
        finally:
            kafka.restart(node)
        wait_for("all is known again", lambda: is_all_read(tail))
        assert tail.state.why == ""
    finally:
        tail.stop(10)
        gone.close()
