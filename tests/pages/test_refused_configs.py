"""A configuration that cannot be read any more is never shown as if it still held."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client

from collectors.models import Configuration
from dashboard.names import topic_path

from .seed import Company, make_company
from .test_pages import text_of

pytestmark = pytest.mark.django_db


def test_the_topic_and_the_cluster_say_since_when_and_why_it_is_not_known(viewer: Client) -> None:
    cluster = make_company(Company(cycles=4))
    for name in ("orders", "clicks"):
        Configuration.objects.create(
            cluster=cluster, kind="topic", name=name, entries={"retention.ms": ["86400000", "topic"]}, set_count=1,
            changed_at=datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip
    Configuration.objects.create(
        cluster=cluster, kind="topic", name="payments", entries={}, changed_at=datetime(2026, 1, 1, tzinfo=UTC),
        refused_why="not authorised", refused_at=datetime(2026, 1, 1, 12, 30, tzinfo=UTC),
    )  # fmt: skip
    assert "retention.ms" in viewer.get(topic_path("demo", "orders")).content.decode()
    refused_at = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
    Configuration.objects.filter(name="orders").update(refused_why="not authorised", refused_at=refused_at)
    page = viewer.get(topic_path("demo", "orders")).content.decode()
    assert "retention.ms" not in page
    assert "Not known since Jan 01 12:30 Not authorised: what was read before may no longer be so" in text_of(
        page.encode()
    )
    assert "1 d" not in text_of(page.encode()).split("Keeps")[1].split("Records held")[0]
    assert "it was never read" in viewer.get(topic_path("demo", "payments")).content.decode()
    page = text_of(viewer.get("/clusters/demo/configuration/").content)
    assert "since Jan 01 12:30 : not authorised" in page
    assert page.count("retention.ms") == 1  # that of clicks
