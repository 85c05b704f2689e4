"""Makes the topics of the demo's company."""

from __future__ import annotations

import logging
import time

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its stubs re-export nothing

from .company import TOPICS

TOPICS_SECONDS = 30.0


class TopicsRefusedError(Exception):
    """The cluster did not make the topics in time; the message quotes why."""


def create_topics(bootstrap: str) -> None:
    """Create the company's topics that are not there yet; TopicsRefusedError when the cluster refuses one."""
    quiet = logging.getLogger("demo.admin")
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=quiet)
    deadline = time.monotonic() + TOPICS_SECONDS
    there = set(admin.list_topics(timeout=10).topics)
    wanted = [NewTopic(t.name, t.partitions, 3, config=t.config) for t in TOPICS if t.name not in there]
    while wanted:
        failed = {}
        for name, future in admin.create_topics(wanted, operation_timeout=10).items():
            try:
                future.result(15)
            except Exception as error:  # noqa: BLE001 - the library raises its own and plain ones; both are told
                failed[name] = error
        there = set(admin.list_topics(timeout=10).topics)
        wanted = [topic for topic in wanted if topic.topic not in there]
        if wanted and time.monotonic() > deadline:
            raise TopicsRefusedError(f"topics could not be made: {failed}")
