"""Fixtures of the page tests: somebody signed in, static files without a manifest, and no memory of other tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from collectors.history.cache import clear_caches
from dashboard.live import findings, leaders
from dashboard.models import Person, Role


@pytest.fixture(autouse=True)
def _plain(settings: Settings, tmp_path: Path) -> None:
    """Static names without collectstatic; and the caches are emptied, since tests reuse ids of clusters and cycles."""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.STATIC_ROOT = tmp_path  # else whitenoise walks a folder that a server may be filling
    settings.DEMO = False
    findings.forget()
    leaders.forget()
    clear_caches()


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
