"""A page that needs a database that fails says so, with 503; mistakes of our own stay mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, connection
from django.test import Client

from dashboard.access import people
from dashboard.models import Role
from dashboard.pages.errors import is_database_away
from tests.pages.seed import Company, make_company

from .pretend import failing_writes

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "path",
    ["/", "/clusters/demo/", "/clusters/demo/groups/", "/clusters/demo/groups/shipping/", "/alerts/", "/instance/"],
)
def test_d8_a_page_without_its_database_says_why_and_comes_back(viewer: Client, path: str) -> None:
    make_company(Company(cycles=3))

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if '"collectors_' in sql or '"dashboard_alert' in sql:
            raise DatabaseError("database disk image is malformed")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        answer = viewer.get(path)
    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    page = answer.content.decode()
    assert "the database file is damaged" in page
    assert "malformed" not in page
    assert viewer.get(path).status_code == 200


def test_d3_whoever_signs_in_on_a_full_disk_is_told(client: Client) -> None:
    people.add("ada", Role.VIEWER)
    user = User.objects.get(username="ada")
    user.set_password("a long enough password")
    user.save()
    with failing_writes("database or disk is full"):
        answer = client.post("/signin/", {"name": "ada", "password": "a long enough password"})
    assert answer.status_code == 503
    assert "the disk of the database is full" in answer.content.decode()


@pytest.mark.parametrize(
    ("error", "is_away"),
    [
        (OperationalError("database is locked"), True),
        (DatabaseError("database disk image is malformed"), True),
        (InterfaceError("connection already closed"), True),
        (IntegrityError("UNIQUE constraint failed"), False),
        (ValueError("locked"), False),
        (None, False),
    ],
)
def test_a_mistake_of_ours_is_no_database_that_is_away(error: Exception | None, is_away: bool) -> None:
    assert is_database_away(error) is is_away
