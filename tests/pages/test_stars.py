"""Stars are kept for each person, listed first, and nobody needs to be signed in to look."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from collectors.models import Cluster, Group
from dashboard.models import Star
from dashboard.names import group_path, star_path
from dashboard.pages.starred import MOST

from .seed import Company, make_cluster, make_company

pytestmark = pytest.mark.django_db
STRANGE = "a/../b\n<b>\u202e"


def give(client: Client, kind: str, name: str = "", slug: str = "demo") -> int:
    return int(client.post(star_path(kind, slug, name), {"on": "1"}).status_code)


def test_what_is_starred_is_in_the_side_bar_on_the_overview_and_first_in_the_search(viewer: Client) -> None:
    make_company(Company(cycles=14))
    give(viewer, "group", "shipping")
    give(viewer, "topic", "orders-dlt")
    give(viewer, "cluster")
    page = viewer.get("/clusters/demo/topics/").content.decode()
    assert page.index("<h2>Starred</h2>") < page.index('title="group of demo"')
    lines = viewer.get("/").context["starred"]
    assert [(line.star.kind, line.star.name) for line in lines] == [
        ("cluster", ""), ("topic", "orders-dlt"), ("group", "shipping"),
    ]  # fmt: skip
    assert lines[2].row["lag"] is not None
    for text in ("", "ship"):
        first = viewer.get(f"/search/?q={text}").json()["sections"][0]
        assert first["title"] == "Starred"
        assert "shipping" in [item["title"] for item in first["items"]]
    assert viewer.get("/search/?q=click").json()["sections"][0]["title"] != "Starred"


def test_the_button_says_whether_the_page_is_starred_and_turns_it(viewer: Client) -> None:
    make_company(Company(cycles=4))
    path = group_path("demo", "shipping")
    assert 'aria-pressed="false"' in viewer.get(path).content.decode()
    response = viewer.post(star_path("group", "demo", "shipping"), {"on": "1"}, headers={"HX-Request": "true"})
    assert response["HX-Trigger"] == "sg-starred"  # the side bar fetches itself
    assert b'aria-pressed="true"' in response.content
    assert b"<html" not in response.content
    give(viewer, "group", "shipping")  # twice is once
    assert Star.objects.count() == 1
    answer = viewer.post(star_path("group", "demo", "shipping"), {"on": "0"})
    assert (answer.status_code, answer["Location"]) == (302, path)
    assert not Star.objects.exists()
    assert b"<h2>Starred</h2>" not in viewer.get("/").content


def test_stars_are_each_person_s_own(viewer: Client, operator: Client) -> None:
    make_company(Company(cycles=4))
    give(viewer, "group", "shipping")
    assert b"<h2>Starred</h2>" not in operator.get("/").content
    assert b'aria-pressed="false"' in operator.get(group_path("demo", "shipping")).content


@pytest.mark.parametrize(("kind", "name"), [("group", "nothing"), ("broker", "1"), ("cluster", "x"), ("topic", "")])
def test_only_what_is_there_can_be_starred(kind: str, name: str, viewer: Client) -> None:
    make_company(Company(cycles=4))
    assert give(viewer, kind, name) == 404
    assert give(viewer, "group", "shipping", slug="other") == 404
    assert not Star.objects.exists()


def test_a_strange_name_is_starred_and_stays_text(viewer: Client) -> None:
    make_company(Company(cycles=4, topics={"t": (1, 5.0)}, groups={STRANGE: ("t",), "": ("t",)}))
    assert give(viewer, "group", STRANGE) == 302
    assert give(viewer, "group", "") == 302
    assert set(Star.objects.values_list("name", flat=True)) == {STRANGE, ""}
    page = viewer.get("/").content.decode()
    assert "<b>\u202e" not in page
    assert "(empty name)" in page


def test_one_that_its_cluster_does_not_list_any_more_says_so(viewer: Client) -> None:
    make_company(Company(cycles=4))
    give(viewer, "group", "shipping")
    Group.objects.filter(name="shipping").update(gone_at="2026-11-26T12:00:00Z")
    assert b"not listed by its cluster any more" in viewer.get("/").content
    assert b'data-do="star"' in viewer.get(group_path("demo", "shipping")).content  # the star can be taken away


def test_who_is_not_signed_in_reads_why_there_is_no_star(settings: Settings) -> None:
    settings.OPEN_READ_ONLY = True
    make_company(Company(cycles=4))
    page = Client().get(group_path("demo", "shipping")).content.decode()
    assert "Sign in to star it" in page
    assert "/signin/?next=/clusters/demo/groups/shipping/" in page.replace("%2F", "/")
    assert Client().get("/").status_code == 200
    answer = Client().post(star_path("group", "demo", "shipping"), {"on": "1"})
    assert answer["Location"].startswith("/signin/")
    assert not Star.objects.exists()


def test_there_is_a_most_and_it_is_said(viewer: Client) -> None:
    make_company(Company(cycles=4))
    give(viewer, "group", "shipping")
    first = Star.objects.get()
    Star.objects.bulk_create(
        Star(user=first.user, cluster=first.cluster, kind="group", name=f"g{i}") for i in range(MOST - 1)
    )
    answer = viewer.post(star_path("topic", "demo", "orders"), {"on": "1"}, follow=True)
    assert f"{MOST} stars are the most" in answer.content.decode()
    assert Star.objects.count() == MOST


def test_stars_go_with_a_deleted_cluster_and_cost_one_query_elsewhere(viewer: Client) -> None:
    make_company(Company(cycles=4))
    give(viewer, "cluster")
    viewer.get("/alerts/")
    with CaptureQueriesContext(connection) as few:
        viewer.get("/alerts/")
    user = Star.objects.get().user
    cluster = Cluster.objects.get(slug="demo")
    Star.objects.bulk_create(Star(user=user, cluster=cluster, kind="group", name=f"g{i}") for i in range(60))
    with CaptureQueriesContext(connection) as many:
        viewer.get("/alerts/")
    assert len(many) == len(few)
    other = make_cluster("other", "other")
    give(viewer, "cluster", slug="other")
    other.delete()
    assert b"other" not in viewer.get("/alerts/").content
