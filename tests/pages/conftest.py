"""Fixtures of the page tests: somebody signed in, and no memory of other tests."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dashboard.models import Person, Role
from dashboard.pages import days, deadhours


@pytest.fixture(autouse=True)
def _forget() -> None:
    """What else is kept by ids of clusters and cycles, which tests use again (see tests/conftest.py)."""
    days.forget()
    deadhours.forget()


def sign_in(role: Role, name: str = "ada") -> Client:
    user = User.objects.create(username=name)
    Person.objects.create(user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def viewer(db: None) -> Client:
    return sign_in(Role.VIEWER, "vera")


@pytest.fixture
def operator(db: None) -> Client:
    return sign_in(Role.OPERATOR, "otto")


@pytest.fixture
def admin(db: None) -> Client:
    return sign_in(Role.ADMIN, "ada")
