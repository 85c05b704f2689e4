"""The lag on the group page at rest is what Kafka's own kafka-consumer-groups prints; where the commit lies below the
log start, it is lower by exactly the records that are gone."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from django.conf import settings
from django.core.management import call_command
from django.test import Client

from collectors.demo import jars
from collectors.demo.acts import FREEZE
from collectors.demo.company import GROUPS
from collectors.demo.nodes import KafkaCluster
from collectors.demo.programs import class_path, java
from collectors.demo.topics import create_topics
from collectors.management.commands.demo import traffic
from dashboard.models import Role
from dashboard.names import group_path
from tests.pages.conftest import sign_in

from .served import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.django_db]

GroupLags = dict[str, dict[tuple[str, int], int | None]]
"""Group, then (topic, partition) -> lag; None where the tool prints a dash."""

ROW = re.compile(r'<tr data-key="(?P<topic>[^"]+)/(?P<partition>\d+)"[^>]*>(?P<cells>.*?)</tr>', re.DOTALL)
LAG = re.compile(r'data-f="lag"[^>]*data-value="(\d+)"')


def test_every_group_of_the_demo_has_the_lag_that_kafka_says(kafka: KafkaCluster, tmp_path: Path) -> None:
    create_topics(kafka.bootstrap)
    with traffic(kafka.bootstrap, tmp_path, marker=f"-Dstreamgauge.folder={tmp_path}") as tell:
        commits_of_all = {plan.name for plan in GROUPS}
        wait_for("every group has committed", lambda: commits_of_all <= lags_by_kafka(kafka).keys(), seconds=90)
        tell({"act": FREEZE.name, **FREEZE.order})
        time.sleep(5)  # what arrives now is not read
    by_kafka = {name: lags for name, lags in lags_by_kafka(kafka).items() if name in commits_of_all}
    assert sum(lag or 0 for lag in by_kafka["payments"].values()) > 0, "a comparison of zeros proves little"

    call_command("addcluster", "Rest", slug="rest", bootstrap=kafka.bootstrap)
    call_command("sample", "rest", cycles=3)
    viewer = sign_in(Role.VIEWER)
    assert {name: lags_on_page(viewer, name) for name in by_kafka} == by_kafka
    assert lags_by_kafka(kafka).items() >= by_kafka.items(), "the cluster was not at rest"

    gaps = delete_half_of_what_waits(kafka, "payments", by_kafka["payments"])
    assert gaps, "a commit below the log start is what this is about"
    after = lags_by_kafka(kafka)["payments"]
    assert after == by_kafka["payments"], "Kafka counts what is deleted as lag"
    call_command("sample", "rest", cycles=3)
    expected = {key: None if lag is None else lag - gaps.get(key, 0) for key, lag in after.items()}
    assert lags_on_page(viewer, "payments") == expected, "ours is lower by what was deleted, and by no more"


def delete_half_of_what_waits(
    kafka: KafkaCluster, group: str, lags: Mapping[tuple[str, int], int | None]
) -> dict[tuple[str, int], int]:
    """Delete the older half of the records that each partition has waiting for a group: how many, each."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    (answer,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
    commits = {(one.topic, one.partition): one.offset for one in answer.result(20).topic_partitions}
    gaps = {key: lag // 2 for key, lag in lags.items() if lag is not None and lag > 1}
    below = [TopicPartition(topic, number, commits[topic, number] + gap) for (topic, number), gap in gaps.items()]
    for done in admin.delete_records(below).values():
        done.result(20)
    return gaps


def lags_on_page(viewer: Client, group: str) -> dict[tuple[str, int], int | None]:
    page = viewer.get(group_path("rest", group)).content.decode()
    found: dict[tuple[str, int], int | None] = {}
    for row in ROW.finditer(page):
        lag = LAG.search(row["cells"])
        found[row["topic"], int(row["partition"])] = int(lag[1]) if lag else None
    return found


def lags_by_kafka(kafka: KafkaCluster) -> GroupLags:
    """What ConsumerGroupCommand says of all groups."""
    both = (*jars.BROKER_JARS, *jars.TOOLS_JARS)
    jars.fetch_missing(settings.CACHE_DIR, both)
    done = subprocess.run(
        [
            *(java(), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", class_path(settings.CACHE_DIR, both)),
            "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            *("--bootstrap-server", kafka.bootstrap, "--describe", "--all-groups"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: GroupLags = {}
    for line in done.stdout.splitlines():
        cells = line.split()
        # GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG ...
        if len(cells) >= 6 and cells[2].isdigit() and cells[3] != "-":
            found.setdefault(cells[0], {})[cells[1], int(cells[2])] = int(cells[5])
    return found
