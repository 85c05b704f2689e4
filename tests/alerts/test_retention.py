"""Alerts that are over go in time; those that are open stay, however old they are."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_django import Settings

from dashboard import tasks
from dashboard.alerts import retention
from dashboard.models import Alert, Delivery, Rule, Transition
from tests.pages.seed import make_cluster

from .stage import webhook_channel

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def rule(db: None) -> Rule:
    return Rule.objects.create(key="r", name="R", quantity="group_verdict", threshold=5, severity="critical")


def make_alert(rule: Rule, name: str, state: str, *, days_ago: float, told: bool = False) -> Alert:
    at = datetime.now(UTC) - timedelta(days=days_ago)
    cluster = rule.alerts.first().cluster if rule.alerts.exists() else make_cluster()  # type: ignore[union-attr]  # exists
    alert = Alert.objects.create(
        rule=rule, cluster=cluster, subject_kind="group", subject=name, state=state, severity="critical",
        sentence=name, started_at=at, changed_at=at, resolved_at=at if state == "resolved" else None,
    )  # fmt: skip
    Transition.objects.create(alert=alert, at=at, new_state=state, reason="")
    return alert


def test_what_is_over_goes_with_its_rows_and_open_alerts_stay(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SLICE", 2)
    old = [make_alert(rule, f"old-{i}", "resolved", days_ago=91) for i in range(5)]
    kept = [
        make_alert(rule, "young", "resolved", days_ago=89),
        make_alert(rule, "open", "firing", days_ago=400),
        make_alert(rule, "silent", "no_data", days_ago=400),
    ]
    channel, now = webhook_channel(), datetime.now(UTC)
    for number, (alert, state, days) in enumerate(
        [(old[0], "delivered", 91), (None, "delivered", 91), (None, "waiting", 91), (None, "dead", 1)]
    ):
        at = now - timedelta(days=days)
        Delivery.objects.create(
            channel=channel, alert=alert, event="test", idempotency_key=str(number), payload={}, state=state,
            next_attempt_at=at, created_at=at,
        )  # fmt: skip
    assert retention.forget_old(now=now, days=90) == 5 + 5 + 1 + 1
    assert set(Alert.objects.values_list("pk", flat=True)) == {alert.pk for alert in kept}
    assert Transition.objects.count() == 3
    assert set(Delivery.objects.values_list("state", flat=True)) == {"waiting", "dead"}
    assert retention.forget_old(now=now, days=90) == 0


def test_the_keeper_s_task_does_it_by_the_setting(rule: Rule, settings: Settings) -> None:
    make_alert(rule, "g", "resolved", days_ago=3)
    settings.ALERT_DAYS = 4
    tasks.forget_old_samples()
    assert Alert.objects.exists()
    settings.ALERT_DAYS = 2
    tasks.forget_old_samples()
    assert not Alert.objects.exists()


@pytest.mark.parametrize("value", ["0", "-3", "ninety"])
def test_a_bad_number_of_days_is_refused_with_its_value(value: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"STREAMGAUGE_ALERT_DAYS": value, "STREAMGAUGE_DATA_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode != 0
    assert f"STREAMGAUGE_ALERT_DAYS is {value!r}: give a whole number of days" in done.stderr
