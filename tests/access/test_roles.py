"""Every address declares who may use it, and holds to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from dashboard.access.roles import PUBLIC, declared_role
from dashboard.models import AuditEntry, Person, Role

PUBLIC_NAMES = {"signin", "signin-link", "acknowledge-link", "metrics", "healthz", "readyz"}


def patterns(resolver: URLResolver) -> Iterator[URLPattern]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from patterns(entry)
        else:
            yield entry


EVERY = list(patterns(get_resolver()))


@pytest.mark.parametrize("pattern", EVERY, ids=lambda pattern: str(pattern.name))
def test_each_view_declares_a_role(pattern: URLPattern) -> None:
    declared = declared_role(pattern.callback)
    assert declared is not None, f"{pattern.name} declares neither @role(...) nor @public"
    assert (declared == PUBLIC) == (pattern.name in PUBLIC_NAMES)


PRIVATE = [
    "/", "/clusters/x/", "/clusters/x/groups/", "/clusters/x/groups/a/", "/clusters/x/topics/", "/clusters/x/topics/a/",

    "/clusters/x/brokers/", "/clusters/x/brokers/1/", "/clusters/x/dead-letters/", "/clusters/x/events/",
    "/clusters/x/configuration/", "/clusters/x/rights/", "/clusters/x/how/",
    "/instance/", "/search/", "/alerts/history/", "/alerts/rules/", "/alerts/rules/x/",
    "/alerts/maintenance/", "/alerts/maintenance/new/", "/alerts/routes/", "/alerts/routes/new/", "/alerts/routes/1/",
    "/alerts/silences/", "/alerts/silences/new/", "/alerts/deliveries/",
    "/clusters/x/series/", "/clusters/add/", "/clusters/x/edit/", "/clusters/x/delete/", "/alerts/",
    "/settings/channels/", "/settings/channels/new/", "/settings/channels/1/",
]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("path", PRIVATE)
def test_a_stranger_is_sent_to_the_sign_in_page_and_learns_nothing(path: str) -> None:
    response = Client().get(path)
    assert response.status_code == 302
    assert response["Location"].startswith("/signin/?next=%2F")


@pytest.mark.django_db
def test_a_stranger_who_posts_is_refused() -> None:
    assert Client().post("/alerts/1/acknowledge/").status_code == 302


@pytest.mark.django_db
def test_a_fragment_of_a_session_that_ended_takes_the_whole_page_to_sign_in() -> None:
    response = Client().get("/?fragment=wall", headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/"})
    assert response.status_code == 204
    assert response["HX-Redirect"].startswith("/signin/?next=")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("role", "method", "path"),
    [
        (Role.VIEWER, "post", "/alerts/1/acknowledge/"),
        (Role.VIEWER, "get", "/settings/channels/"),
        (Role.OPERATOR, "get", "/settings/channels/new/"),
        (Role.OPERATOR, "get", "/clusters/add/"),
        (Role.OPERATOR, "post", "/clusters/add/test/"),
        (Role.OPERATOR, "post", "/clusters/x/edit/"),
        (Role.OPERATOR, "post", "/clusters/x/pause/"),
        (Role.OPERATOR, "post", "/clusters/x/delete/"),
        (Role.OPERATOR, "post", "/clusters/x/restore/"),
        (Role.OPERATOR, "post", "/settings/channels/1/delete/"),
        (Role.OPERATOR, "post", "/alerts/rules/broker_down/"),
        (Role.OPERATOR, "post", "/alerts/rules/broker_down/reset/"),
        (Role.VIEWER, "post", "/alerts/silences/new/"),
        (Role.VIEWER, "post", "/alerts/silences/1/end/"),
        (Role.VIEWER, "post", "/alerts/deliveries/1/resend/"),
    ],
)
def test_a_role_too_low_is_told_which_one_is_needed(role: Role, method: str, path: str) -> None:
    user = User.objects.create(username="low")
    Person.objects.create(user=user, role=role)
    client = Client()
    client.force_login(user)
    response = getattr(client, method)(path)
    assert response.status_code == 403
    assert b"This needs the role" in response.content
    assert not AuditEntry.objects.exists()
