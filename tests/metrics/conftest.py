"""Fixtures of the metrics room."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from dashboard.metrics import views
from dashboard.metrics.page import MetricsPage, own_registry


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests reuse ids of clusters and cycles, so nothing that was rendered before may be left."""
    monkeypatch.setattr(views, "page", MetricsPage(own_registry()))


@pytest.fixture
def page() -> MetricsPage:
    """A page without the process's own numbers."""
    return MetricsPage(CollectorRegistry())
