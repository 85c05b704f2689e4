"""Fields of many rows written at once, as the models would write them."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from collectors.models import Cluster, Group, Topic
from collectors.models.updates import update_each

AT = datetime(2026, 11, 26, 2, 10, 5, 120_000, tzinfo=UTC)


def test_numbers_moments_and_json_are_read_as_they_were_written(db: None) -> None:
    cluster = Cluster.objects.create(slug="c", name="c", settings_encrypted=b"")
    topics = Topic.objects.bulk_create(
        Topic(cluster=cluster, name=f"t-{i}", partition_count=1, replication_factor=1, first_seen_at=AT)
        for i in range(300)
    )
    for i, topic in enumerate(topics):
        topic.partitions, topic.gone_at, topic.under_replicated_count = [[i, 1, [1, 2], [1], []]], AT, i
        topic.partition_count = 99  # not among the fields
    with CaptureQueriesContext(connection) as queries, transaction.atomic():
        update_each(topics, ("partitions", "gone_at", "under_replicated_count"))
    assert sum("UPDATE" in query["sql"] for query in queries) == 1
    for i, topic in enumerate(Topic.objects.order_by("id")):
        assert topic.partitions == [[i, 1, [1, 2], [1], []]]
        assert (topic.gone_at, topic.under_replicated_count, topic.partition_count) == (AT, i, 1)


def test_an_emptied_moment_and_a_relation_are_written(db: None) -> None:
    first, second = (Cluster.objects.create(slug=slug, name=slug, settings_encrypted=b"") for slug in "ab")
    group = Group.objects.create(
        cluster=first, name="g", type="classic", state="Stable", first_seen_at=AT, verdict_since=AT
    )
    group.cluster, group.verdict_since = second, None
    update_each([group], ("cluster", "verdict_since"))
    group.refresh_from_db()
    assert (group.cluster_id, group.verdict_since) == (second.pk, None)


def test_nothing_to_write_asks_nothing(db: None) -> None:
    with CaptureQueriesContext(connection) as queries:
        update_each([], ("state",))
    assert len(queries) == 0
