"""What /metrics says of a seeded cluster, as Prometheus's own tools read it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from pytest_django import Settings

from collectors.history.cache import clear_caches
from collectors.models import Cluster
from dashboard.metrics import views
from dashboard.metrics.page import MetricsPage, own_registry
from tests.pages.seed import Company, make_company

pytestmark = pytest.mark.django_db
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tests reuse ids of clusters and cycles, which the caches take for the same."""
    clear_caches()
    monkeypatch.setattr(views, "page", MetricsPage(own_registry()))
    yield
    clear_caches()


@pytest.fixture
def company() -> Cluster:
    return make_company(Company())


def scrape(client: Client, accept: str = "") -> str:
    answer = client.get("/metrics", headers={"Accept": accept} if accept else {})
    assert answer.status_code == 200
    return str(answer.content.decode())


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in parse_text(text)}


def test_every_lag_is_known_and_labelled(client: Client, company: Cluster) -> None:
    found = families(scrape(client))
    lags = found["streamgauge_group_lag_messages"].samples
    assert lags
    assert all(set(sample.labels) == {"cluster", "group", "topic", "partition"} for sample in lags)
    assert all(sample.value >= 0 for sample in lags)
    up = found["streamgauge_cluster_up"].samples
    assert [(sample.labels["cluster"], sample.value) for sample in up] == [("demo", 1.0)]


def test_each_group_has_exactly_one_verdict(client: Client, company: Cluster) -> None:
    verdicts = families(scrape(client))["streamgauge_group_verdict"].samples
    by_group: dict[str, list[float]] = {}
    for sample in verdicts:
        by_group.setdefault(sample.labels["group"], []).append(sample.value)
    assert by_group
    assert all(sorted(values) == [0, 0, 0, 0, 0, 1] for values in by_group.values())


def test_openmetrics_is_spoken_to_who_accepts_it(client: Client, company: Cluster) -> None:
    text = scrape(client, OPENMETRICS)
    assert text.endswith("# EOF\n")
    assert "streamgauge_group_lag_messages" in {family.name for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]  # no types


def test_a_cluster_without_news_keeps_only_that_it_is_not_up(client: Client) -> None:
    make_company(Company(), now=time.time() - 3600)
    found = families(scrape(client))
    assert [sample.value for sample in found["streamgauge_cluster_up"].samples] == [0.0]
    lag = found.get("streamgauge_group_lag_messages")
    assert lag is None or not lag.samples, "an hour-old number must not look like a present one"


def test_without_any_cluster_the_page_is_still_a_page(client: Client) -> None:
    found = families(scrape(client))
    assert not found["streamgauge_cluster_up"].samples
    assert found["streamgauge_build_info"].samples


def test_a_token_is_asked_for_when_one_is_set(client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = "s3cret"
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer s3cret"}).status_code == 200


def test_health_needs_no_sign_in(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").status_code in (200, 503)


@pytest.mark.promtool
def test_promtool_has_no_complaint(client: Client, company: Cluster, promtool: Path) -> None:
    done = subprocess.run(
        [promtool, "check", "metrics"], input=scrape(client), text=True, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
