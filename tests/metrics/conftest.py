"""Fixtures of the metrics room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from collectors.history.cache import clear_caches
from dashboard.metrics import views
from dashboard.metrics.page import MetricsPage, own_registry


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tests reuse ids of clusters and cycles, so nothing that was rendered or read before may be left."""
    monkeypatch.setattr(views, "page", MetricsPage(own_registry()))
    clear_caches()
    yield
    clear_caches()


@pytest.fixture
def page() -> MetricsPage:
    """A page without the process's own numbers."""
    return MetricsPage(CollectorRegistry())
