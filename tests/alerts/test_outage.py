"""An outage that strikes hundreds of groups at once: judged in the time of a cycle, none forgotten."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from collectors.domain.verdicts import Verdict
from dashboard.alerts import scene
from dashboard.models import Alert

from .stage import Stage, settle

SPELT_OUT = 5


@pytest.fixture(autouse=True)
def few_are_spelt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene, "SPELT_OUT", SPELT_OUT)


def struck(count: int, slug: str) -> Stage:
    """So many groups that stood still in the newest two cycles, of which none is judged."""
    stage = Stage(slug)
    names = [f"group-{i:03}" for i in range(count)]
    stage.verdicts = dict.fromkeys(names, Verdict.NO_PROGRESS)
    stage.commits = {name: [90, 90] for name in names}
    stage.set_rows()
    for _ in range(2):
        stage.ends["orders"] = [(end or 0) + 10 for end in stage.ends["orders"]]
        stage.cycle()
    return stage


def queries_of_a_turn(stage: Stage) -> int:
    judge = stage.judge()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        settle(judge)
    judge.release()
    return len(queries)


def test_each_group_of_an_outage_has_its_alert_and_a_few_are_spelt_out(db: None) -> None:
    settle(struck(40, "prod").judge())
    found = list(Alert.objects.order_by("id"))
    assert sorted(alert.subject for alert in found) == [f"group-{i:03}" for i in range(40)]
    assert {alert.state for alert in found} == {"pending"}
    long = [alert for alert in found if "partitions stand still" in alert.sentence]
    short = [alert for alert in found if alert.sentence == f"{alert.subject} makes no progress: 40 records wait"]
    assert (len(long), len(short)) == (SPELT_OUT, 40 - SPELT_OUT)


def test_an_outage_of_four_times_as_many_groups_takes_no_more_queries(db: None) -> None:
    few, many = queries_of_a_turn(struck(40, "few")), queries_of_a_turn(struck(160, "many"))
    assert many <= few + 4  # rows go in slices of some hundred


def test_alerts_that_only_count_seconds_keep_all_but_their_count(db: None) -> None:
    stage = struck(40, "prod")
    judge = stage.judge()
    settle(judge)
    before = {alert.pk: alert for alert in Alert.objects.all()}
    stage.cycle()
    settle(judge)
    for alert in Alert.objects.all():
        was = before[alert.pk]
        assert alert.memory["counted_seconds"] == was.memory["counted_seconds"] + 5
        assert (alert.sentence, alert.state, alert.started_at) == (was.sentence, was.state, was.started_at)
