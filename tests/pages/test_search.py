"""What the palette finds, and in which order."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from collectors.domain.verdicts import Verdict
from collectors.models import Group
from dashboard.pages.search import EACH

from .seed import Company, make_company

pytestmark = pytest.mark.django_db


def found(client: Client, query: str) -> dict[str, list[str]]:
    answer: dict[str, Any] = client.get("/search/", {"q": query}).json()
    return {section["title"]: [item["title"] for item in section["items"]] for section in answer["sections"]}


def many(count: int) -> Company:
    names = [f"orders-{i:04d}" for i in range(count)] + ["orders", "all-orders"]
    return Company(topics=dict.fromkeys(names, (1, 1.0)), groups={name: (name,) for name in names}, cycles=2)


def test_the_very_name_comes_first_then_what_begins_with_it(viewer: Client) -> None:
    make_company(many(3))
    assert found(viewer, "ORDERS")["Topics"] == ["orders", "orders-0000", "orders-0001", "orders-0002", "all-orders"]


def test_a_verdict_that_is_too_old_is_unknown(viewer: Client) -> None:
    def note() -> str:
        (groups,) = [
            one for one in viewer.get("/search/", {"q": "shipping"}).json()["sections"] if one["title"] == "Groups"
        ]
        return str(groups["items"][0]["note"])

    cluster = make_company(Company())
    Group.objects.filter(name="shipping").update(verdict=Verdict.OK)
    assert note() == "demo · ok"
    cluster.delete()
    make_company(Company(), now=time.time() - 120)
    Group.objects.filter(name="shipping").update(verdict=Verdict.OK)
    assert note() == "demo · unknown"


def test_nothing_typed_offers_clusters_and_pages(viewer: Client) -> None:
    make_company(many(1))
    assert list(found(viewer, "")) == ["Clusters", "Pages"]


def test_answers_are_bounded_and_queries_do_not_grow(viewer: Client) -> None:
    make_company(many(60))
    with CaptureQueriesContext(connection) as first:  # reads what the newest cycle says of the groups
        viewer.get("/search/", {"q": "o"})
    with CaptureQueriesContext(connection) as some:
        answer = viewer.get("/search/", {"q": "o"}).json()
    assert len(first) <= 17
    assert len(some) <= 11
    by_title = {section["title"]: section for section in answer["sections"]}
    assert len(by_title["Topics"]["items"]) == EACH
    assert by_title["Topics"]["more"] is True


@pytest.mark.parametrize("query", ["%", "_", "' OR 1=1 --", "a\x00%", "<script>", "x" * 5000, "\\"])
def test_what_is_typed_is_text(query: str, viewer: Client) -> None:
    make_company(many(2))
    assert "Topics" not in found(viewer, query) or query == "_"
    assert viewer.get("/search/", {"q": query}).status_code == 200


def test_brokers_are_found_by_id_address_and_word(viewer: Client) -> None:
    make_company(many(1))
    assert found(viewer, "broker 2")["Brokers"] == ["broker 2"]
    assert found(viewer, "rack-c")["Brokers"] == ["broker 3"]
    assert len(found(viewer, "broker")["Brokers"]) == 3


def test_pages_are_offered_by_role(viewer: Client, admin: Client) -> None:
    assert "Notification channels" not in found(viewer, "webhook").get("Pages", [])
    assert "Notification channels" in found(admin, "webhook")["Pages"]


def test_every_page_that_the_palette_offers_is_there(admin: Client) -> None:
    make_company(many(1))
    for query in ("", "demo topics", "demo dead", "brokers", "events", "groups", "configuration", "rights", "alerts"):
        for section in admin.get("/search/", {"q": query}).json()["sections"]:
            for item in section["items"]:
                assert admin.get(item["href"]).status_code == 200, item["href"]
