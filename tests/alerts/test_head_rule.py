"""The rule about the age of the oldest unread record: it has the records read that it needs, and tells their age."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from collectors.domain.heads import NO_RECORDS
from collectors.domain.words import THIN
from collectors.history.queries import ClusterNow, cluster_at
from collectors.models import Group
from collectors.models.groups import WANTED, WANTED_AGAIN
from dashboard.alerts import readings, stepping
from dashboard.models import Rule

from .stage import Stage, only_alert, settle, story, webhook_channel


@pytest.fixture
def stage(db: None) -> Stage:
    webhook_channel()
    return Stage()


def switch_on(**fields: object) -> None:
    Rule.objects.filter(key="group_head_old").update(is_enabled=True, **fields)


def now_of(stage: Stage) -> ClusterNow:
    found = cluster_at(stage.id)
    assert found is not None
    return found


def ms(seconds: float) -> int:
    return round(seconds * 1000)


AGO = ms(1_600_000_000)


def test_how_old_is_too_old_is_asked_for_by_people_only(stage: Stage) -> None:
    judge = stage.judge()
    for _ in range(40):
        stage.heads = {"payments": [ms(stage.wall - 90_000), None]}
        stage.cycle()
    settle(judge)
    assert story("group_head_old") == []
    assert not Group.objects.exclude(head_wanted_until=None).exists(), "and nothing is read for it"


def test_an_old_record_is_told_with_its_place_and_is_over_when_nothing_waits(stage: Stage) -> None:
    judge = stage.judge()
    settle(judge)
    switch_on()
    born = stage.wall - 540
    for _ in range(24):  # at the 12th it is ten minutes old
        stage.heads = {"payments": [None, ms(born)]}
        stage.cycle()
    settle(judge)
    alert = only_alert("group_head_old")
    assert (alert.state, alert.severity) == ("firing", "warning")
    assert alert.sentence == (
        f"The oldest unread record of payments is 11{THIN}min old, by the timestamp that it carries: orders/1; "
        "20 records wait"
    )
    numbers = alert.transitions.latest("id").numbers
    assert (numbers["topic"], numbers["partition"], numbers["is_at_most"]) == ("orders", 1, False)
    stage.heads = {}
    stage.cycles(30)
    settle(judge)
    assert only_alert("group_head_old").state == "firing", "not known is not over"
    stage.commits["payments"] = [100, 100]
    stage.cycles(30)
    settle(judge)
    assert story("group_head_old")[1:] == [("pending", "firing"), ("firing", "recovering"), ("recovering", "resolved")]
    over = only_alert("group_head_old").transitions.latest("id").reason
    assert over.startswith("The oldest unread record of payments is no longer that old after ")
    assert over.endswith(": nothing waits")


def test_where_only_markers_are_left_it_is_over_although_the_lag_is_not_0(stage: Stage) -> None:
    judge = stage.judge()
    settle(judge)
    switch_on(hold_seconds=0, recover_seconds=0)
    stage.commits["payments"] = [99, 99]
    stage.heads = {"payments": [NO_RECORDS, ms(stage.wall - 4000)]}
    stage.cycle()
    settle(judge)
    assert only_alert("group_head_old").state == "firing"
    stage.heads = {"payments": [NO_RECORDS, None]}
    stage.cycle()
    settle(judge)
    assert only_alert("group_head_old").state == "firing", "of the other partition nothing is known"
    stage.heads = {"payments": [NO_RECORDS, NO_RECORDS]}
    stage.cycle()
    settle(judge)
    over = only_alert("group_head_old").transitions.latest("id")
    assert (over.new_state, over.reason.split(": ")[-1]) == ("resolved", "only transaction markers wait")


def test_the_record_of_a_group_that_has_read_on_is_as_old_as_that_at_most(stage: Stage) -> None:
    judge = stage.judge()
    settle(judge)
    switch_on(hold_seconds=0, recover_seconds=0)
    stage.heads = {"payments": [-ms(stage.wall - 4000), None]}
    stage.cycle()
    settle(judge)
    alert = only_alert("group_head_old")
    assert "old, at most, for it has read on since: orders/0;" in alert.sentence
    stage.heads = {"payments": [-ms(stage.wall - 10), None]}
    stage.cycle()
    settle(judge)
    assert f": at most 15{THIN}s; 20 records wait" in only_alert("group_head_old").transitions.latest("id").reason


def test_the_records_that_it_needs_are_asked_for_as_long_as_it_needs_them(stage: Stage) -> None:
    judge = stage.judge()
    stage.cycle()
    settle(judge)
    switch_on()
    stage.cycle()
    settle(judge)
    group = Group.objects.get(name="payments")
    assert group.head_wanted_until == stage.moment + WANTED
    until = group.head_wanted_until
    stage.cycles(int(WANTED_AGAIN.total_seconds() / 5) - 1)
    settle(judge)
    group.refresh_from_db()
    assert group.head_wanted_until == until, "no more often than is needed"
    stage.cycle()
    settle(judge)
    group.refresh_from_db()
    assert group.head_wanted_until == stage.moment + WANTED
    until = group.head_wanted_until
    stage.heads = {"payments": [ms(stage.wall - 10), ms(stage.wall - 10)]}
    stage.cycles(20)
    settle(judge)
    group.refresh_from_db()
    assert group.head_wanted_until == until, "both are known, and stay so while it stands"


@pytest.mark.parametrize(
    ("why", "commits", "heads", "is_asked"),
    [
        ("nothing of what waits is known", [90, 90], [None, None], True),
        ("one of two is known", [90, 90], [AGO, None], True),
        ("it has read on since", [90, 90], [AGO, -AGO], True),
        ("both are known", [90, 90], [AGO, AGO], False),
        ("the only one that waits is known", [90, 100], [AGO, None], False),
        ("nothing waits", [100, 100], [None, None], False),
        ("only markers wait", [99, 100], [NO_RECORDS, None], False),
        ("how much waits is not known", [None, None], [None, None], False),
        ("of one partition that is not known, of the other some wait", [None, 90], [None, None], True),
    ],
)
def test_of_which_groups_more_has_to_be_read(
    stage: Stage, why: str, commits: list[int | None], heads: list[int | None], is_asked: bool
) -> None:
    stage.commits, stage.heads = {"payments": commits}, {"payments": heads}
    stage.cycle()
    assert readings.heads_to_read(now_of(stage)) == (["payments"] if is_asked else [])


def test_it_asks_only_of_groups_that_a_rule_selects_the_furthest_behind_first_and_not_of_all(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepping, "MOST_HEADS", 2)
    judge = stage.judge()
    settle(judge)
    switch_on(selector={"group": "pay*"})
    stage.verdicts = dict.fromkeys(("other", "pay-a", "pay-b", "pay-c"), 1)
    stage.set_rows()
    stage.commits = {name: [at, at] for name, at in (("other", 1), ("pay-a", 90), ("pay-b", 60), ("pay-c", 30))}
    for end in range(10, 101, 10):  # so that there is a moment at which the log ended where each stands
        stage.ends["orders"] = [end, end]
        stage.cycle()
    settle(judge)
    wanted = Group.objects.exclude(head_wanted_until=None).order_by("name").values_list("name", flat=True)
    assert list(wanted) == ["pay-b", "pay-c"]


def test_a_judge_that_catches_up_asks_once(stage: Stage) -> None:
    judge = stage.judge()
    settle(judge)
    switch_on()
    stage.cycles(30)
    with CaptureQueriesContext(connection) as asked:
        settle(judge)
    assert sum('SET "head_wanted_until"' in one["sql"] for one in asked) == 1
    until = Group.objects.get(name="payments").head_wanted_until
    assert until is not None
    assert until - WANTED == stage.moment
    assert stage.moment - until + WANTED < timedelta(seconds=1)
