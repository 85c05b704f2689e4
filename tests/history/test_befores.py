"""What came to a group before it fell behind, and that a burst is still told as one when its alert fires."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from collectors.domain.verdicts import Verdict
from collectors.history.queries import arriving_before, arriving_befores, cluster_at
from collectors.models import Group
from dashboard.live import findings
from dashboard.live.rows import group_rows
from tests.alerts.stage import Stage

pytestmark = pytest.mark.django_db


def run(stage: Stage, cycles: int, *, arriving: int, read: int) -> None:
    for _ in range(cycles):
        stage.ends["orders"] = [(end or 0) + arriving for end in stage.ends["orders"]]
        stage.commits["payments"] = [(commit or 0) + read for commit in stage.commits["payments"]]
        stage.cycle()


def burst() -> tuple[Stage, float]:
    """A cluster four minutes into a burst, and since when its group falls behind."""
    stage = Stage()
    run(stage, 72, arriving=50, read=50)
    run(stage, 6, arriving=400, read=100)
    since = stage.wall
    stage.verdicts["payments"] = Verdict.FALLING_BEHIND
    Group.objects.filter(cluster=stage.id).update(
        verdict=Verdict.FALLING_BEHIND, verdict_since=datetime.fromtimestamp(since, UTC)
    )
    run(stage, 42, arriving=400, read=100)
    return stage, since


def test_a_burst_of_four_minutes_ago_is_the_cause_still() -> None:
    stage, _ = burst()
    findings.forget()
    row = group_rows(stage.recorder.cluster, cluster_at(stage.id, stage.recorder.cycle), ["payments"])["payments"]
    assert row["verdict"] == "falling_behind"
    assert row["cause"].startswith("producer burst: 160/s arrive, before that it were 20/s")


def test_it_is_read_once_for_each_group_and_episode() -> None:
    stage, since = burst()
    assert arriving_before(stage.id, "payments", since) == pytest.approx(20)
    with CaptureQueriesContext(connection) as queries:
        assert arriving_befores(stage.id, {"payments": since})["payments"] == pytest.approx(20)
    assert len(queries) == 0


def test_what_nobody_sampled_is_not_known_and_asked_for_once() -> None:
    stage = Stage()
    run(stage, 3, arriving=50, read=50)
    assert arriving_before(stage.id, "payments", stage.wall) is None
    with CaptureQueriesContext(connection) as queries:
        assert arriving_before(stage.id, "payments", stage.wall) is None
    assert len(queries) == 0


def test_of_many_that_fall_behind_at_once_some_wait_for_the_next_look() -> None:
    stage, since = burst()
    began = {f"g{i}": since for i in range(30)}
    assert len(arriving_befores(stage.id, began)) == 20
    assert len(arriving_befores(stage.id, began)) == 30
