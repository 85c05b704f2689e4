"""Real PostgreSQL, Redis, Kafka, and the processes of the program."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from collectors.demo.nodes import KafkaCluster
from tests.servers import Postgres, Redis

from .fleet import Fleet


@pytest.fixture(scope="module")
def started(
    kafka: KafkaCluster, postgres: Postgres, redis_server: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    """At the default interval of 5 s; started once for all tests of a module."""
    folder = tmp_path_factory.mktemp("fleet")
    with Fleet(folder, postgres, redis_server, kafka.bootstrap, interval=5.0) as fleet:
        yield fleet


@pytest.fixture
def fleet(started: Fleet) -> Fleet:
    """Whatever a test before did to it: all of it runs, and the clusters are shared out."""
    started.settle()
    return started
