"""The default rules about groups and topics over real frames: what fires, when, in which words, and its end."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from collectors.domain.verdicts import Verdict
from collectors.domain.words import THIN
from collectors.models import Configuration, Group, Member, Topic
from dashboard.alerts.advice import how_bad, next_step
from dashboard.alerts.defaults import DEFAULT_RULES, install_default_rules
from dashboard.models import Alert, Delivery, Rule, Transition

from .stage import Stage, killed, only_alert, settle, story, told, webhook_channel


@pytest.fixture
def stage(db: None) -> Stage:
    webhook_channel()
    return Stage()


def flow(stage: Stage, cycles: int, *, arriving: tuple[int, int] = (50, 50), read: int | None = None) -> None:
    """Cycles in which records arrive in both partitions; `read` of them by partition, None: all."""
    for _ in range(cycles):
        stage.ends["orders"] = [(end or 0) + more for end, more in zip(stage.ends["orders"], arriving, strict=True)]
        commits = stage.commits["payments"]
        stage.commits["payments"] = (
            list(stage.ends["orders"]) if read is None else [(commit or 0) + read for commit in commits]
        )
        stage.cycle()


def test_an_instance_of_before_gets_the_rules_that_it_lacks_and_keeps_its_own(db: None) -> None:
    install_default_rules()
    added = ("group_falls_behind", "group_no_members", "records_lost", "partition_skew")
    Rule.objects.filter(key__in=added).delete()
    Rule.objects.filter(key="broker_down").update(severity="info")
    assert install_default_rules() == [key for key in DEFAULT_RULES if key in added]
    assert Rule.objects.get(key="broker_down").severity == "info"


def test_a_group_that_falls_behind_fires_after_two_minutes_and_is_over_when_it_does_not(stage: Stage) -> None:
    judge = stage.judge()
    flow(stage, 10)
    stage.verdicts["payments"] = Verdict.FALLING_BEHIND
    flow(stage, 24, arriving=(500, 500), read=200)
    settle(judge)
    assert story("group_falls_behind") == [("", "pending")]
    flow(stage, 1, arriving=(500, 500), read=200)
    settle(judge)
    alert = only_alert("group_falls_behind")
    assert alert.sentence.startswith("payments falls behind: reads 80/s while 200/s arrive; ")
    assert alert.severity == "warning"
    stage.verdicts["payments"] = Verdict.OK
    flow(stage, 4, arriving=(50, 50), read=400)
    settle(judge)
    assert story("group_falls_behind")[1:] == [("pending", "firing"), ("firing", "resolved")]
    assert told() == [("ops", "group_falls_behind", "firing"), ("ops", "group_falls_behind", "resolved")]
    end = Delivery.objects.latest("id").payload
    assert end["sentence"].startswith(f"payments no longer falls behind after 2{THIN}min")


def test_a_group_that_stands_still_is_not_told_to_fall_behind_as_well(stage: Stage) -> None:
    judge = stage.judge()
    stage.verdicts["payments"] = Verdict.NO_PROGRESS
    flow(stage, 40, read=0)
    settle(judge)
    assert {rule for _, rule, _ in told()} == {"group_no_progress"}


def test_records_that_arrive_for_nobody_fire_after_a_minute(stage: Stage) -> None:
    judge = stage.judge()
    flow(stage, 10)
    stage.verdicts["payments"] = Verdict.NO_MEMBERS
    flow(stage, 12, read=0)
    settle(judge)
    assert story("group_no_members") == [("", "pending")]
    flow(stage, 1, read=0)
    settle(judge)
    assert only_alert("group_no_members").sentence == (
        f"payments has no members while 20/s arrive; 1{THIN}300 records wait"
    )
    stage.verdicts["payments"] = Verdict.OK
    flow(stage, 2)
    settle(judge)
    assert told() == [("ops", "group_no_members", "firing"), ("ops", "group_no_members", "resolved")]
    assert Delivery.objects.latest("id").payload["sentence"].startswith("payments has members again after ")


def test_a_group_without_members_whose_topic_was_deleted_is_told_to_have_no_offset_any_more(stage: Stage) -> None:
    judge = stage.judge()
    flow(stage, 10)
    stage.verdicts["payments"] = Verdict.NO_MEMBERS
    flow(stage, 13, read=0)
    settle(judge)
    assert only_alert("group_no_members")
    del stage.ends["orders"]
    stage.commits["payments"] = []  # the brokers delete them with the topic
    for _ in range(3):
        stage.cycle()
    settle(judge)
    assert told() == [("ops", "group_no_members", "firing"), ("ops", "group_no_members", "resolved")]
    end = Delivery.objects.latest("id").payload["sentence"]
    assert end.startswith("payments has no committed offset any more, and no members after ")


def test_a_group_at_rest_without_members_fires_nothing(stage: Stage) -> None:
    judge = stage.judge()
    stage.verdicts["payments"] = Verdict.NO_MEMBERS
    stage.cycles(40)
    settle(judge)
    assert told() == []


class TestRecordsLost:
    """Retention passes the commits of a group that does not read."""

    @pytest.fixture(autouse=True)
    def _reading(self, stage: Stage) -> None:
        stage.ends, stage.commits, stage.starts = (
            {"orders": [500, 500]},
            {"payments": [400, 400]},
            {"orders": [100, 100]},
        )
        stage.cycles(3)

    def test_it_fires_at_once_counts_and_is_over_after_two_quiet_minutes(self, stage: Stage) -> None:
        judge = stage.judge()
        stage.starts["orders"] = [450, 410]
        stage.cycle()
        settle(judge)
        alert = only_alert("records_lost")
        assert (alert.state, alert.severity) == ("firing", "critical")
        assert alert.sentence == "payments lost 60 records before reading them: retention passed its place"
        stage.cycles(3)
        stage.starts["orders"] = [480, 410]
        stage.cycle()
        settle(judge)
        assert only_alert("records_lost").state == "firing"
        stage.commits["payments"] = [500, 500]
        stage.cycles(24)
        settle(judge)
        assert only_alert("records_lost").state == "recovering"
        stage.cycles(2)
        settle(judge)
        assert told() == [("ops", "records_lost", "firing"), ("ops", "records_lost", "resolved")]
        end = Delivery.objects.latest("id").payload
        assert end["numbers"]["lost"] == 90
        assert end["sentence"].startswith(f"payments lost no record for 2{THIN}min; 90 records since ")

    def test_what_was_lost_while_nobody_judged_is_told_by_the_next_judge(self, stage: Stage) -> None:
        settle(stage.judge())
        killed()
        stage.starts["orders"] = [450, 410]
        stage.cycle()
        stage.cycles(2, reachable=False)
        stage.starts["orders"] = [460, 410]
        stage.cycle()
        settle(stage.judge())
        assert told() == [("ops", "records_lost", "firing")]

    def test_a_loss_across_a_cycle_that_reached_nobody_counts(self, stage: Stage) -> None:
        judge = stage.judge()
        settle(judge)
        stage.cycle(reachable=False)
        settle(judge)
        stage.starts["orders"] = [450, 100]
        stage.cycle()
        settle(judge)
        assert only_alert("records_lost").sentence.startswith("payments lost 50 records")

    def test_retention_that_deletes_what_is_read_loses_nothing(self, stage: Stage) -> None:
        judge = stage.judge()
        stage.starts["orders"] = [400, 390]
        stage.cycles(3)
        settle(judge)
        assert told() == []


def test_what_was_lost_before_the_first_look_is_not_told_as_new(stage: Stage) -> None:
    stage.ends, stage.commits, stage.starts = {"orders": [500, 500]}, {"payments": [400, 400]}, {"orders": [450, 450]}
    judge = stage.judge()
    stage.cycles(3)
    settle(judge)
    assert told() == []


def test_a_hot_partition_fires_after_two_minutes_and_names_who_reads_it(stage: Stage) -> None:
    group = Group.objects.get(name="payments")
    Member.objects.create(
        group=group, member_id="m", client_id="payments-1", host="h",
        assignment=[["orders", [1]]], joined_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    judge = stage.judge()
    flow(stage, 10)
    flow(stage, 25, arriving=(0, 1000))
    settle(judge)
    assert story("partition_skew")[0] == ("", "pending")
    flow(stage, 8, arriving=(0, 1000))
    settle(judge)
    assert only_alert("partition_skew").sentence == (
        f"Partition 1 of orders is hot: 100{THIN}% of the records, 2.0 times its even share; "
        "read by payments-1 of payments"
    )
    flow(stage, 8)
    settle(judge)
    assert told() == [("ops", "partition_skew", "firing"), ("ops", "partition_skew", "resolved")]
    assert Delivery.objects.latest("id").payload["sentence"].startswith("No partition of orders is hot any more after ")


def test_the_skew_of_kafka_s_own_topics_is_nobody_s_business(stage: Stage) -> None:
    Topic.objects.create(
        cluster=stage.recorder.cluster, name="orders", is_internal=True,
        partition_count=2, replication_factor=1, first_seen_at=stage.moment,
    )  # fmt: skip
    judge = stage.judge()
    flow(stage, 40, arriving=(0, 1000))
    settle(judge)
    assert told() == []


@pytest.mark.parametrize("key", DEFAULT_RULES)
def test_every_default_rule_says_what_to_do_next(key: str) -> None:
    assert next_step(key, str(DEFAULT_RULES[key]["quantity"])) != next_step("", "")


def test_a_message_says_how_bad_a_loss_and_a_skew_are() -> None:
    assert how_bad({"lost": 1200, "lag": 7}) == f"1{THIN}200 records lost"
    assert how_bad({"partition": 4, "share": 0.583, "times_even": 3.5}) == f"58{THIN}% in one partition"


def test_a_group_that_stands_on_a_topic_of_short_retention_is_told_before_it_loses_records(stage: Stage) -> None:
    judge = stage.judge()
    Configuration.objects.create(
        cluster_id=stage.id,
        kind=Configuration.Kind.TOPIC,
        name="orders",
        entries={
            "retention.ms": ["600000", "topic"],
            "retention.bytes": ["-1", "default"],
            "cleanup.policy": ["delete", "default"],
        },
        changed_at=datetime.now(UTC),
    )
    flow(stage, 10)
    flow(stage, 18, read=0)
    settle(judge)
    alert = only_alert("retention_soon")
    assert alert.severity == "critical"
    assert re.match(r"payments loses records of orders/\d in 8.min .*, [\d\s]+ unread records at stake", alert.sentence)
    assert "told from retention.ms" in alert.sentence
    flow(stage, 3)
    settle(judge)
    assert story("retention_soon")[1:] == [("pending", "firing"), ("firing", "resolved")]
    assert "nothing waits to be read" in told_last("retention_soon")


def test_who_loses_records_is_not_told_as_well_that_retention_comes_soon(stage: Stage) -> None:
    judge = stage.judge()
    entries = {"retention.ms": ["600000", "topic"], "cleanup.policy": ["delete", "default"]}
    Configuration.objects.create(
        cluster_id=stage.id, kind="topic", name="orders", entries=entries, changed_at=datetime.now(UTC)
    )
    flow(stage, 10)
    flow(stage, 6, read=0)
    settle(judge)
    assert story("retention_soon")[-1][-1] == "pending"
    rule = Rule.objects.get(key="records_lost")
    loss = Alert.objects.create(
        rule=rule, cluster_id=stage.id, subject_kind="group", subject="payments", state=Alert.State.FIRING,
        severity="critical", sentence="payments lost 5 records", started_at=stage.moment, fired_at=stage.moment,
        changed_at=stage.moment,
    )  # fmt: skip
    flow(stage, 12, read=0)
    settle(judge)
    soon = Alert.objects.get(rule__key="retention_soon")
    assert (soon.state, soon.is_held_back, soon.held_by) == ("firing", True, loss)


def test_how_far_behind_in_time_is_too_far_is_asked_for_by_people_only(stage: Stage) -> None:
    judge = stage.judge()
    flow(stage, 40, read=0)
    settle(judge)
    assert story("group_far_behind") == []
    Rule.objects.filter(key="group_far_behind").update(is_enabled=True, threshold=120.0, recover_level=60.0)
    flow(stage, 14, read=0)
    settle(judge)
    alert = only_alert("group_far_behind")
    assert re.match(r"payments is \d+.min.* behind: so long ago the log end stood where it is", alert.sentence)


def switch_on(key: str, threshold: float) -> None:
    """As the page does: the level at which it is over keeps its proportion, a half."""
    Rule.objects.filter(key=key).update(is_enabled=True, threshold=threshold, recover_level=threshold / 2)


@pytest.mark.parametrize("key", ["group_lag_high", "group_drain_long"])
@pytest.mark.slow
def test_how_large_a_backlog_is_too_large_is_asked_for_by_people_only(stage: Stage, key: str) -> None:
    judge = stage.judge()
    Rule.objects.filter(key=key).update(threshold=1.0)
    flow(stage, 80, arriving=(500, 500), read=10)
    settle(judge)
    assert story(key) == []


def test_a_group_behind_by_too_many_records_is_told_with_its_rates_and_when_it_is_not_any_more(stage: Stage) -> None:
    judge = stage.judge()
    settle(judge)
    switch_on("group_lag_high", 2000.0)
    flow(stage, 19, arriving=(100, 100), read=50)  # 20 records are there; 100 more a cycle
    settle(judge)
    assert story("group_lag_high") == []
    flow(stage, 13, arriving=(100, 100), read=50)
    settle(judge)
    alert = only_alert("group_lag_high")
    assert (alert.state, alert.severity) == ("firing", "warning")
    assert alert.sentence == f"payments is 3{THIN}220 records behind: it reads 20/s while 40/s arrive"
    stage.commits["payments"] = [None, None]
    stage.cycles(3)
    settle(judge)
    assert only_alert("group_lag_high").state == "firing", "not known is not over"
    flow(stage, 1)
    settle(judge)
    assert only_alert("group_lag_high").state == "resolved"
    over = told_last("group_lag_high")
    assert re.fullmatch("payments is no longer that many records behind after .*; 0 records wait", over)


def test_a_backlog_that_takes_long_to_read_is_told_with_how_long(stage: Stage) -> None:
    judge = stage.judge()
    settle(judge)
    flow(stage, 10, arriving=(1000, 1000), read=0)
    switch_on("group_drain_long", 600.0)
    Rule.objects.filter(key="group_drain_long").update(hold_seconds=0)
    flow(stage, 10, arriving=(50, 50), read=100)
    settle(judge)
    alert = only_alert("group_drain_long")
    said = alert.transitions.earliest("id").reason
    assert said.startswith("payments does not drain, "), "the rates of half a minute still hold the rush"
    flow(stage, 8, arriving=(50, 50), read=100)
    settle(judge)
    assert only_alert("group_drain_long").state == "firing", "more than the level at which it is over"
    flow(stage, 8, arriving=(50, 50), read=1000)
    settle(judge)
    assert re.fullmatch(
        "payments no longer takes that long to read what waits after .*: .* left; .* records wait",
        told_last("group_drain_long"),
    )
    assert Transition.objects.filter(alert=alert).latest("id").numbers["drain"] == "drains"


@pytest.mark.slow
def test_a_group_that_does_not_drain_is_told_in_words_and_one_that_keeps_up_is_not(stage: Stage) -> None:
    judge = stage.judge()
    settle(judge)
    switch_on("group_drain_long", 3600.0)
    flow(stage, 80)
    settle(judge)
    assert story("group_drain_long") == [], "it keeps up"
    flow(stage, 80, arriving=(100, 100), read=90)
    settle(judge)
    alert = only_alert("group_drain_long")
    assert alert.state == "firing"
    said = r"payments does not drain, [\d\s]+ records behind: it reads 36/s while 40/s arrive"
    assert re.fullmatch(said, alert.sentence)
    numbers = alert.transitions.latest("id").numbers
    assert (numbers["drain"], numbers["drain_seconds"]) == ("not_draining", None)
    flow(stage, 1)
    settle(judge)
    assert told_last("group_drain_long").endswith(": nothing waits")


def told_last(key: str) -> str:
    newest = Alert.objects.filter(rule__key=key).latest("id").transitions.latest("id")
    return newest.reason
