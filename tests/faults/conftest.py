"""Fixtures of the bad days: somebody signed in, no memory of other tests, one served instance for all raw sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client

from dashboard.metrics import views
from dashboard.metrics.page import MetricsPage, own_registry
from dashboard.models import Role
from tests.e2e.served import Served
from tests.pages.conftest import sign_in

from .rawsocket import Target
from .visitor import Visitor


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else is kept by ids of clusters and cycles, which tests use again (see tests/conftest.py)."""
    monkeypatch.setattr(views, "page", MetricsPage(own_registry()))


@pytest.fixture
def viewer(db: None) -> Client:
    return sign_in(Role.VIEWER, "vera")


@pytest.fixture
def admin(db: None) -> Client:
    return sign_in(Role.ADMIN, "ada")


@pytest.fixture(scope="package")
def unreachable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An instance whose cluster cannot be reached: its cycles come all the same, and nothing else moves the memory."""
    made = Served(tmp_path_factory.mktemp("unreachable"))
    made.manage("migrate", "-v0")
    made.manage("addcluster", "None", "--slug", "none", "--interval", "1", "--bootstrap", "127.0.0.1:1")
    try:
        made.start()
        made.wait_alive()
        yield made
    finally:
        made.stop()


def sign_in_by_link(served: Served, user: str) -> Visitor:
    visitor = Visitor()
    visitor.post(served.manage("signinlink", "--user", user, "--port", str(served.port)).splitlines()[-1])
    assert visitor.get(f"{served.base}/").status == 200
    return visitor


@pytest.fixture(scope="package")
def target(unreachable: Served) -> Target:
    return Target(unreachable.port, sign_in_by_link(unreachable, "ada").cookie_header(), unreachable.base)
