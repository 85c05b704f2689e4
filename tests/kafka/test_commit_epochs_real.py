"""Leader epochs that commits on a real Kafka carry, and a commit that is ahead of its partition."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from collectors.demo.nodes import KafkaCluster
from collectors.history.commit_epochs import commit_epochs_at
from dashboard.models import Role
from tests.conftest import commit as commit_now
from tests.kafka.test_session_real import SILENT
from tests.kafka.watching import watching
from tests.pages.conftest import sign_in
from tests.pages.test_how import text_of

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]


def test_a_commit_of_another_log_is_unknown_until_the_group_commits_on_this_one(
    kafka: KafkaCluster, new_topic: Callable[..., str]
) -> None:
    topic = new_topic("anew", partitions=2)
    group = f"{topic}-readers"
    producer = Producer({"bootstrap.servers": kafka.bootstrap}, logger=SILENT)
    for _ in range(10):
        for partition in (0, 1):
            producer.produce(topic, b"x", partition=partition)
    assert producer.flush(20) == 0
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group}, logger=SILENT)
    # as a reader commits that has read on in a topic of that name which was deleted and made anew
    commit_now(consumer, TopicPartition(topic, 0, 5, leader_epoch=9), TopicPartition(topic, 1, 5, leader_epoch=0))
    viewer = sign_in(Role.VIEWER)
    with watching({"bootstrap.servers": kafka.bootstrap}) as watch:
        watch.step()
        watch.until("the group is seen", lambda: group in watch.now.groups.index)
        now = watch.now
        first, second = (now.committed.layout.position[group, topic, partition] for partition in (0, 1))
        assert (now.lag.at(first), now.lag.at(second)) == (None, 5)
        epochs = commit_epochs_at(now)
        assert (epochs.epochs.at(first), epochs.epochs.at(second)) == (9, 0)
        assert epochs.of_another_log[[first, second]].tolist() == [True, False]
        other = (
            f"{topic}-0: the offset is of another log of that name: committed in leader epoch 9, the partition is in 0"
        )
        assert other in watch.group(group)["evidence"]
        how = f"/clusters/{watch.cluster.slug}/how/?group={group}&topic={topic}&partition="
        assert "the offset is of another log of that name" in text_of(viewer.get(f"{how}0").content)
        said = text_of(viewer.get(f"{how}1").content)
        assert "committed offset: 5, committed in leader epoch 0; the partition is in 0" in said
        commit_now(consumer, TopicPartition(topic, 0, 7, leader_epoch=0))
        watch.until("it committed on this log", lambda: watch.now.lag.at(first) == 3)
        assert not commit_epochs_at(watch.now).of_another_log.any()
    consumer.close()
