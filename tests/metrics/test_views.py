"""/metrics, /healthz and /readyz over HTTP."""

from __future__ import annotations

import gzip
import threading
import time
from dataclasses import dataclass

import pytest
from django.db import DatabaseError
from django.test import Client
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from pytest_django import Settings

from collectors import loop
from dashboard.metrics import readiness
from tests.pages.seed import Company, make_company


@dataclass
class Still:
    """A loop that does nothing."""

    name: str
    interval: float
    last_turn: float
    trouble: str = ""

    def run(self, stop: threading.Event) -> None:
        stop.wait()


@pytest.fixture
def no_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_running", {})


@pytest.mark.django_db
def test_metrics_answers_without_sign_in_in_text() -> None:
    make_company(Company())
    response = Client().get("/metrics")
    assert response.status_code == 200
    assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response["Cache-Control"] == "no-store"
    assert b'streamgauge_cluster_up{cluster="demo"} 1\n' in response.content
    assert b"\nprocess_cpu_seconds_total " in response.content
    assert b"\npython_info{" in response.content


@pytest.mark.django_db
def test_metrics_answers_in_openmetrics_and_gzip_when_asked() -> None:
    make_company(Company())
    headers = {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "gzip"}
    response = Client().get("/metrics", headers=headers)
    assert response["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert response["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in response["Vary"]
    text = gzip.decompress(response.content).decode()
    assert text.endswith("# EOF\n")
    assert text.count("# EOF") == 1
    parsed = parse_openmetrics(text)  # type: ignore[no-untyped-call]  # has no annotations in 0.26
    assert {"streamgauge_group_lag_messages", "process_cpu_seconds"} <= {family.name for family in parsed}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer wrong", 401),
        ("Basic c2VjcmV0", 401),
        ("Bearer sécret", 401),
        ("Bearer s3cret", 200),
        ("bearer s3cret", 200),
    ],
)
def test_a_token_is_asked_for_when_it_is_set(settings: Settings, authorization: str | None, status: int) -> None:
    settings.METRICS_TOKEN = "s3cret"
    response = Client().get("/metrics", headers={} if authorization is None else {"Authorization": authorization})
    assert response.status_code == status
    if status == 401:
        assert response["WWW-Authenticate"].startswith("Bearer")
        assert b"streamgauge_" not in response.content


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_machines_only_read(path: str) -> None:
    assert Client().post(path).status_code == 405


def test_healthz_needs_nothing_but_the_process() -> None:
    response = Client().get("/healthz")  # no database in this test: a query would fail it
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


@pytest.mark.django_db
def test_readyz_names_the_loop_that_is_older_than_three_intervals(
    no_loops: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler, judge = Still("sampler demo", 5.0, 0.0), Still("judge", 1.0, 0.0)
    loop.register(sampler)
    loop.register(judge)
    assert Client().get("/readyz").status_code == 200, "a loop that just began is not late"

    def as_if_begun(seconds_ago: float) -> dict[str, object]:
        since = time.monotonic() - seconds_ago
        monkeypatch.setattr(loop, "_running", {each.name: (each, since) for each in (sampler, judge)})
        response = Client().get("/readyz")
        assert response.status_code == 503
        return {late["name"]: late["age_seconds"] for late in response.json()["late_loops"]}

    assert as_if_begun(10) == {"judge": pytest.approx(10, abs=2)}
    assert set(as_if_begun(16)) == {"judge", "sampler demo"}


@pytest.mark.django_db
def test_a_loop_that_turned_or_ended_on_purpose_is_not_late(no_loops: None) -> None:
    turning, ending = Still("a", 1.0, 0.0), Still("b", 1.0, 0.0)
    loop.register(turning)
    loop.register(ending)
    later = time.monotonic() + 10
    assert [pulse.is_late for pulse in loop.pulses(later)] == [True, True]
    turning.last_turn = later - 1
    loop.unregister(ending)
    assert [(pulse.name, pulse.is_late) for pulse in loop.pulses(later)] == [("a", False)]


def test_a_loop_that_was_replaced_is_not_taken_away_by_its_predecessor(no_loops: None) -> None:
    old, new = Still("a", 1.0, 0.0), Still("a", 1.0, 0.0)
    loop.register(old)
    loop.register(new)
    loop.unregister(old)
    assert [pulse.name for pulse in loop.pulses()] == ["a"]


def test_readyz_says_that_the_database_is_away_without_its_address(
    no_loops: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def cursor(self) -> None:
            raise DatabaseError("connection to server at 10.0.0.7, user streamgauge failed")

    monkeypatch.setattr(readiness, "connection", Away())
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json()["database"] == "unreachable: DatabaseError"
