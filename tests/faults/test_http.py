"""Every address, found by walking the resolver: unknown ids give 404, wrong methods 405, nothing ever a 500.

Rows of facts/reliability.md 3.1: H12, H14, H19 (no GET changes state), H28 and H29.
"""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern

from dashboard.access import people
from dashboard.access.roles import PUBLIC, declared_role
from dashboard.models import AuditEntry, Role
from tests.access.test_roles import EVERY

pytestmark = pytest.mark.django_db
VALUES = {"slug": "no-such-cluster", "pk": "987654321", "name": "no such name", "token": "no-such-token"}
WITHOUT_IDS = {"signin-link": 410}  # a link that is not known says how to get another


def path_of(pattern: URLPattern, values: dict[str, str] = VALUES) -> str:
    """An address of the pattern, with ids that nothing has."""
    route = str(pattern.pattern)
    for name, converter in pattern.pattern.converters.items():
        kind = next(one for one in ("slug", "int", "str", "name", "path") if f"<{one}:{name}>" in route)
        assert converter is not None
        route = route.replace(f"<{kind}:{name}>", values.get(name, "987654321" if kind == "int" else "none"))
    return f"/{route}"


def has_ids(pattern: URLPattern) -> bool:
    return bool(pattern.pattern.converters)


@pytest.fixture
def admin() -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(people.add("ada", Role.ADMIN))
    return client


by_name = pytest.mark.parametrize("pattern", EVERY, ids=lambda pattern: str(pattern.name))


@by_name
def test_ids_that_nothing_has_give_404(admin: Client, pattern: URLPattern) -> None:
    wanted = {WITHOUT_IDS.get(str(pattern.name), 404)} if has_ids(pattern) else {200, 302, 400, 405, 422, 503}
    statuses = {admin.get(path_of(pattern)).status_code, admin.post(path_of(pattern)).status_code}
    assert statuses & wanted, statuses
    if has_ids(pattern):
        assert statuses <= wanted | {403, 405}, statuses


@by_name
def test_methods_that_nobody_asked_for_give_405(admin: Client, pattern: URLPattern) -> None:
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "BREW"):
        answer = admin.generic(method, path_of(pattern))
        assert answer.status_code == 405, (method, answer.status_code)
        assert answer["Allow"]


@by_name
def test_a_get_changes_nothing(admin: Client, pattern: URLPattern) -> None:
    before = (AuditEntry.objects.count(), User.objects.count())
    admin.get(path_of(pattern))
    admin.head(path_of(pattern))
    assert (AuditEntry.objects.count(), User.objects.count()) == before


@by_name
def test_no_post_passes_without_the_token_of_a_form(pattern: URLPattern) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.add("ada", Role.ADMIN))
    answer = client.post(path_of(pattern))
    assert answer.status_code == 403
    assert b"This form was refused" in answer.content


@pytest.mark.parametrize("pattern", [one for one in EVERY if has_ids(one)], ids=lambda pattern: str(pattern.name))
def test_nonsense_in_an_address_is_never_an_error_of_ours(admin: Client, pattern: URLPattern) -> None:
    for value in ("\0", "%00", "../../etc/passwd", "a" * 5000, "\udcff", "-1", "9" * 40, "<script>alert(1)"):
        path = path_of(pattern, dict.fromkeys(VALUES, value)).encode("utf-8", "surrogateescape").decode("latin-1")
        answer = admin.get(path)
        assert answer.status_code in (404, 405, 410), (value, answer.status_code)
        assert b"<script>alert" not in answer.content


QUERIES = [
    "page=0", "page=-1", "page=abc", "page=1e9", "sort=password", "sort=__class__", "q=%00", "from=NaN&to=later",
    "from=now&to=now-1h", "fragment=none", "before=%F0", "x[]=1",
]  # fmt: skip


@by_name
def test_nonsense_in_a_query_is_never_an_error_of_ours(admin: Client, pattern: URLPattern) -> None:
    for query in QUERIES:
        answer = admin.get(f"{path_of(pattern)}?{query}")
        assert answer.status_code < 500 or pattern.name == "readyz", (query, answer.status_code)


@by_name
def test_public_addresses_are_the_only_ones_that_answer_a_stranger(pattern: URLPattern) -> None:
    answer = Client().get(path_of(pattern))
    if declared_role(pattern.callback) == PUBLIC:
        assert not answer.headers.get("Location", "").startswith("/signin/")
    else:
        assert answer["Location"].startswith("/signin/?next=")
