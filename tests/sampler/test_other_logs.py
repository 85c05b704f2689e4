"""Commits of another log in a cycle: no lag is told of them, and metadata is asked anew before that is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collectors.domain.topology import Metadata
from collectors.history.commit_epochs import commit_epochs_at
from collectors.history.now import ClusterNow
from collectors.history.queries import cluster_at
from collectors.models import Cluster
from dashboard.live.rows import group_row
from tests.faults.pretend import Clock, Pretend, cycles, make_cluster, sampler_of, shop

pytestmark = pytest.mark.django_db

STALE = {("billing", "orders", 0): 7, ("billing", "orders", 1): 0}


def in_epoch(kafka: Pretend, epoch: int) -> None:
    kafka.topics = tuple(
        replace(one, partitions=tuple(replace(p, leader_epoch=epoch) for p in one.partitions)) for one in kafka.topics
    )


def seen(cluster: Cluster) -> ClusterNow:
    found = cluster_at(cluster.pk)
    assert found is not None
    return found


def test_a_commit_ahead_of_its_partition_is_not_known_and_its_group_says_why() -> None:
    cluster, clock, kafka = make_cluster(), Clock(), shop(epochs=dict(STALE))
    cycles(sampler_of(cluster, kafka, clock), clock, 2)
    now = seen(cluster)
    lags = {key[1:]: now.lag.at(at) for key, at in now.committed.layout.position.items() if key[0] == "billing"}
    assert lags == {("orders", 0): None, ("orders", 1): 5}
    assert now.groups.lag.at(now.groups.index["billing"]) is None
    assert now.groups.lag.at(now.groups.index["stats"]) == 0
    row = group_row(cluster, now, "billing")
    assert row is not None
    other = "orders-0: the offset is of another log of that name: committed in leader epoch 7, the partition is in 0"
    assert other in row["evidence"]
    assert cluster.cycles.latest("number").completeness == 1.0  # it was answered


def test_metadata_that_is_newer_clears_a_commit_of_a_leader_that_has_just_changed() -> None:
    cluster, clock, kafka = make_cluster(), Clock(), shop(epochs={("billing", "orders", 0): 1})
    asked: list[Metadata] = []

    def newer(known: Metadata, timeout: float) -> Metadata | None:
        asked.append(known)
        in_epoch(kafka, 1)
        return kafka.newest().metadata

    kafka.newer_metadata = newer
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 2)
    now = seen(cluster)
    assert now.lag.at(now.committed.layout.position["billing", "orders", 0]) == 10
    assert len(asked) == 1
    assert commit_epochs_at(now).epochs.at(now.committed.layout.position["billing", "orders", 0]) == 1


def test_metadata_is_asked_anew_when_a_group_commits_on_a_topic_that_it_does_not_list() -> None:
    cluster, clock, kafka = make_cluster(), Clock(), shop()
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 2)
    assert "metadata" not in kafka.pokes
    kafka.commits["billing"]["made-just-now", 0] = 5
    cycles(sampler, clock, 1)
    assert kafka.pokes.count("metadata") == 1
    cycles(sampler, clock, 3)
    assert kafka.pokes.count("metadata") == 1, "what only lies there is no reason"
    kafka.commits["billing"]["made-just-now", 0] = 6
    cycles(sampler, clock, 1)
    assert kafka.pokes.count("metadata") == 2


def test_newer_metadata_is_asked_for_once_and_a_new_commit_ends_it() -> None:
    cluster, clock, kafka = make_cluster(), Clock(), shop(epochs=dict(STALE))
    asked: list[Metadata] = []

    def newer(known: Metadata, timeout: float) -> Metadata | None:
        asked.append(known)
        return replace(known)

    kafka.newer_metadata = newer
    sampler = sampler_of(cluster, kafka, clock)
    cycles(sampler, clock, 3)
    assert len(asked) == 1
    now = seen(cluster)
    at = now.committed.layout.position["billing", "orders", 0]
    assert bool(commit_epochs_at(now).of_another_log[at])
    kafka.epochs["billing", "orders", 0] = 0
    cycles(sampler, clock, 1)
    now = seen(cluster)
    assert now.lag.at(at) == 10
    assert not commit_epochs_at(now).of_another_log.any()
