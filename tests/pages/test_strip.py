"""The demo's strip: what plays, what comes, and buttons for those who may press them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from collectors import conductor
from collectors.conductor import Wish
from collectors.demo.acts import ACTS, LOOP, Act
from collectors.demo.director import Director
from collectors.models import Cluster
from dashboard.models import AuditEntry, Role

from .conftest import sign_in
from .seed import Company, make_company
from .test_pages import text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def cluster(settings: Settings) -> Cluster:
    settings.DEMO = True
    return make_company(Company())


@pytest.fixture
def heard() -> Iterator[list[Wish]]:
    """What a director hears."""
    wishes: list[Wish] = []
    conductor.listen(wishes.append)
    yield wishes
    conductor.listen(None)


def mark(cluster: Cluster, act: Act, phase: str, seconds: float | None, coming: Act | None = None) -> None:
    director = Director(cluster.pk, lambda order: None)
    director._mark(act, phase, "x", None if seconds is None else time.time() + seconds, coming)


def strip(client: Client) -> str:
    return " ".join(text_of(client.get("/surroundings/strip/").content).split())


def test_it_says_which_act_plays_how_long_and_what_comes_then(cluster: Cluster) -> None:
    viewer = sign_in(Role.VIEWER, "vera")
    mark(cluster, ACTS["sale"], "begin", 100.5, ACTS["freeze"])
    assert strip(viewer) == (
        "Demo: a sale brings eight times the clicks , ends in 1:40 See where it shows "
        "then calm, then payment service frozen"
    )
    mark(cluster, ACTS["sale"], "mend", 59.5, ACTS["freeze"])
    assert strip(viewer).startswith("Demo: the sale is over, analytics catches up , ends in 0:59")
    mark(cluster, ACTS["calm"], "begin", 30.5, ACTS["freeze"])
    assert strip(viewer) == "Demo: all is well , next: payment service frozen in 0:30"
    mark(cluster, ACTS["calm"], "begin", None)
    assert strip(viewer) == "Demo: all is well"


@pytest.mark.parametrize("act", LOOP, ids=lambda act: str(act.name))
def test_every_act_leads_to_a_page_of_its_cluster(cluster: Cluster, act: Act) -> None:
    mark(cluster, act, "begin", 60)
    page = sign_in(Role.VIEWER, "vera").get("/surroundings/strip/").content.decode()
    wanted = {"poison": "dead-letters/", "broker": "", "blind": ""}.get(act.name, f"{act.subject_kind}s/{act.subject}/")
    assert f'href="/clusters/{cluster.slug}/{wanted}"' in page


def test_buttons_are_for_operators_and_only_where_a_director_listens(cluster: Cluster, heard: list[Wish]) -> None:
    mark(cluster, ACTS["sale"], "begin", 60)
    assert "Stay calm" not in strip(sign_in(Role.VIEWER, "vera"))
    operator = sign_in(Role.OPERATOR, "otto")
    assert strip(operator).endswith("Next Repeat Stay calm")
    conductor.listen(None)
    assert "Stay calm" not in strip(operator)


@pytest.mark.parametrize("wish", list(Wish))
def test_a_button_is_heard_and_noted(cluster: Cluster, heard: list[Wish], wish: Wish) -> None:
    response = sign_in(Role.OPERATOR, "otto").post(
        f"/surroundings/strip/{wish}/", headers={"referer": "http://testserver/alerts/"}
    )
    assert (response.status_code, response["Location"]) == (302, "http://testserver/alerts/")
    assert heard == [wish]
    assert AuditEntry.objects.filter(action="demo", target=wish).count() == 1


def test_a_button_of_an_open_page_answers_with_the_strip(cluster: Cluster, heard: list[Wish]) -> None:
    mark(cluster, ACTS["sale"], "begin", 60)
    response = sign_in(Role.OPERATOR, "otto").post("/surroundings/strip/next/", headers={"hx-request": "true"})
    assert response.status_code == 200
    assert "data-demo-strip" in response.content.decode()
    assert heard == [Wish.NEXT]


def test_a_viewer_may_not_press_and_nobody_is_sent_elsewhere(cluster: Cluster, heard: list[Wish]) -> None:
    assert sign_in(Role.VIEWER, "vera").post("/surroundings/strip/next/").status_code == 403
    away = sign_in(Role.OPERATOR, "otto").post(
        "/surroundings/strip/next/", headers={"referer": "https://example.org/x"}
    )
    assert away["Location"] == "/"
    assert heard == [Wish.NEXT]


@pytest.mark.parametrize(("demo", "what"), [(True, "dance"), (False, "next")], ids=["no such button", "no demo"])
def test_what_is_not_there_is_not_found(
    cluster: Cluster, heard: list[Wish], settings: Settings, demo: bool, what: str
) -> None:
    settings.DEMO = demo
    assert sign_in(Role.OPERATOR, "otto").post(f"/surroundings/strip/{what}/").status_code == 404
    assert heard == []


def test_a_button_that_nobody_hears_says_so(cluster: Cluster) -> None:
    operator: Any = sign_in(Role.OPERATOR, "otto")
    response = operator.post("/surroundings/strip/next/", follow=True)
    assert "nobody hears that button" in text_of(response.content)
    assert not AuditEntry.objects.filter(action="demo").exists()
