"""The two sizes: the demo's company, and a cluster of 3 000 partitions with 300 groups; both on a real Kafka."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient
from django.conf import settings

from collectors.demo.company import GROUPS
from collectors.demo.nodes import KafkaCluster
from collectors.demo.topics import create_topics
from collectors.management.commands.demo import traffic

from . import large

GROUPS_COME_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A cluster with its groups, and what of it the pages are asked for."""

    nodes: KafkaCluster
    title: str
    groups: tuple[str, ...]
    group: str
    topic: str

    @property
    def broker_pids(self) -> tuple[int, ...]:
        return tuple(self.nodes.pids.values())


@contextlib.contextmanager
def demo() -> Iterator[Stage]:
    with _kafka() as (nodes, folder):
        create_topics(nodes.bootstrap)
        with traffic(nodes.bootstrap, folder, marker=nodes.marker):
            wait_for_groups(nodes.bootstrap, {plan.name for plan in GROUPS})
            yield Stage(nodes, "demo", tuple(sorted(plan.name for plan in GROUPS)), "payments", "orders")


@contextlib.contextmanager
def many() -> Iterator[Stage]:
    with _kafka() as (nodes, _):
        large.make(nodes.bootstrap)
        names = tuple(large.group_name(i) for i in range(large.GROUPS))
        wait_for_groups(nodes.bootstrap, set(names))
        title = f"{large.TOPICS * large.PER_TOPIC} partitions, {large.GROUPS} groups of 100"
        with large.living(nodes.bootstrap):
            yield Stage(nodes, title, names, large.group_name(0), large.topic_name(0))


STAGES = {"demo": demo, "large": many}


@contextlib.contextmanager
def _kafka() -> Iterator[tuple[KafkaCluster, Path]]:
    with (
        tempfile.TemporaryDirectory() as name,
        KafkaCluster(Path(name), cache_dir=settings.CACHE_DIR, say=lambda _: None) as nodes,
    ):
        nodes.start()
        nodes.wait_ready()
        yield nodes, Path(name)


def wait_for_groups(bootstrap: str, wanted: set[str]) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=large.QUIET)
    deadline = time.monotonic() + GROUPS_COME_SECONDS
    while not wanted <= {group.group_id for group in admin.list_consumer_groups().result(10).valid}:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the groups did not come within {GROUPS_COME_SECONDS:.0f} s")
        time.sleep(0.5)
