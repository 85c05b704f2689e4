"""The overview counts the dead letters of the last hour, by queue, and says what it cannot count."""

from __future__ import annotations

import re
import time

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dashboard.pages import deadhours

from .seed import Company, make_cluster, make_company
from .test_pages import text_of

pytestmark = pytest.mark.django_db
TOPICS = {
    "orders": (2, 50.0),
    "orders-dlt": (1, 3.0),
    "clicks": (2, 50.0),
    "clicks-dlt": (1, 30.0),
    "quiet-dlt": (1, 0.0),
}


def test_queues_are_listed_with_the_most_first_and_added_up(viewer: Client) -> None:
    make_company(Company(topics=TOPICS, groups={"g": ("orders",)}, cycles=30))
    found = viewer.get("/").context["hours"]
    assert [one.line.name for one in found.queues] == ["clicks-dlt", "orders-dlt"]
    came = [one.line.arrived.records for one in found.queues]
    assert found.total == sum(came)
    assert came[0] == pytest.approx(30 * 29 * 5, rel=0.3)
    assert not found.is_partial
    page = text_of(viewer.get("/?fragment=head").content)
    assert "dead letters in 2 min 25 s" in page  # what the hour stands for in a young instance
    assert "at least" not in page


def test_a_silent_cluster_makes_the_count_a_least_one_and_is_unknown_itself(viewer: Client) -> None:
    make_company(Company(topics=TOPICS, groups={"g": ("orders",)}, cycles=30))
    make_company(
        Company(slug="old", name="old", topics=TOPICS, groups={"g": ("orders",)}, cycles=30), now=time.time() - 900
    )
    found = viewer.get("/").context["hours"]
    assert {one.cluster.slug for one in found.queues} == {"demo"}
    assert found.by_slug["old"].total is None
    assert found.is_partial
    page = text_of(viewer.get("/?fragment=head").content)
    assert "at least" in page.split("in trouble")[1].split("alerts firing")[0]


def test_unknown_is_not_zero(viewer: Client) -> None:
    make_cluster()
    found = viewer.get("/").context["hours"]
    assert found.total is None
    assert "Not known at the moment" in text_of(viewer.get("/?fragment=deadhours").content)
    make_company(Company(slug="one", name="one", topics=TOPICS, groups={"g": ("orders",)}, cycles=1, freeze_cycles=1))
    found = viewer.get("/").context["hours"]
    assert (found.total, found.unknown) == (None, 3)


def test_nothing_is_nothing(viewer: Client) -> None:
    make_company(Company(topics={"orders": (2, 5.0)}, groups={"g": ("orders",)}, cycles=10))
    assert viewer.get("/").context["hours"].total == 0
    assert "No dead letter came" in text_of(viewer.get("/?fragment=deadhours").content)


def test_the_count_is_kept_for_some_cycles(viewer: Client) -> None:
    make_company(Company(topics=TOPICS, groups={"g": ("orders",)}, cycles=10))
    with CaptureQueriesContext(connection) as first:
        viewer.get("/?fragment=deadhours")
    with CaptureQueriesContext(connection) as second:
        viewer.get("/?fragment=deadhours")
    assert len(second) < len(first) - 5
    deadhours.forget()
    with CaptureQueriesContext(connection) as third:
        viewer.get("/?fragment=deadhours")
    assert len(third) > len(second)


def test_a_cluster_that_was_never_reached_has_unknown_brokers_groups_and_dead_letters(
    viewer: Client,
) -> None:
    cluster = make_company(Company(cycles=3))
    cluster.brokers.all().delete()
    assert viewer.get("/").context["hours"].total is None
    rows = text_of(viewer.get("/?fragment=rows").content)
    assert "0 of 0" not in rows
    top = text_of(viewer.get("/clusters/demo/?fragment=top").content)
    assert "of 0" not in top
    assert "every partition has one" not in top
    page = viewer.get("/clusters/demo/").content.decode()
    counts = re.findall(r'<span class="n"([^>]*)data-fmt="count" data-show>', page)
    assert len(counts) == 8  # four in the side bar, four in the tabs
    assert all("hidden" in attributes for attributes in counts)
