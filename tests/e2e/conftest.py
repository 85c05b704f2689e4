"""A served instance and some life on the run's Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collectors.demo.nodes import KafkaCluster

from .served import Life, Served


@pytest.fixture
def life(kafka: KafkaCluster, new_topic: Callable[..., str]) -> Iterator[Life]:
    topic = new_topic("orders", partitions=3)
    with Life(kafka.bootstrap, topic, f"{topic}-readers") as made:
        yield made


@pytest.fixture
def served(kafka: KafkaCluster, tmp_path: Path) -> Iterator[Served]:
    """An instance that samples the run's cluster each second; not started yet."""
    made = Served(tmp_path)
    made.manage("migrate", "-v0")
    made.manage("addcluster", "Test", "--slug", "test", "--interval", "1", "--bootstrap", kafka.bootstrap)
    try:
        yield made
    finally:
        made.stop()
