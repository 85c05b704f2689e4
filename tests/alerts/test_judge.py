"""The judge over real rows and real frames: each cycle once, whatever dies in between."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from collectors.domain.topology import Reach
from collectors.domain.verdicts import Verdict
from collectors.models import Cluster, Cycle, Group, Lease, Topic
from dashboard.alerts.defaults import DEFAULT_RULES, install_default_rules
from dashboard.alerts.judge import CYCLES_A_TURN
from dashboard.alerts.ledger import acknowledge
from dashboard.models import Alert, AuditEntry, Delivery, Judgement, Rule, Transition

from .stage import Stage, killed, only_alert, settle, story, told, webhook_channel


@pytest.fixture
def stage(db: None) -> Stage:
    return Stage()


def freeze(stage: Stage, cycles: int) -> None:
    """The payment service hangs: orders arrive, nothing is read."""
    stage.verdicts["payments"] = Verdict.NO_PROGRESS
    for _ in range(cycles):
        stage.ends["orders"] = [(end or 0) + 10 for end in stage.ends["orders"]]
        stage.cycle()


def thaw(stage: Stage) -> None:
    stage.verdicts["payments"] = Verdict.OK
    stage.commits["payments"] = list(stage.ends["orders"])


def test_the_default_rules_are_installed_once_and_changes_stay(db: None) -> None:
    assert sorted(install_default_rules()) == sorted(DEFAULT_RULES)
    Rule.objects.filter(key="broker_down").update(is_enabled=False)
    assert install_default_rules() == []
    assert not Rule.objects.get(key="broker_down").is_enabled


def test_numbers_in_an_alert_s_sentence_keep_their_thin_space(stage: Stage) -> None:
    judge = stage.judge()
    stage.cycles(3)
    stage.ends = {"orders": [4000, 4000]}
    freeze(stage, 13)
    settle(judge)
    assert re.search("none of 8\u202f\\d{3} waiting records read", only_alert("group_no_progress").sentence)


def test_a_frozen_group_fires_after_a_minute_and_resolves_told_once_each(stage: Stage) -> None:
    webhook_channel()
    judge = stage.judge()
    stage.cycles(3)
    freeze(stage, 12)
    settle(judge)
    assert story("group_no_progress") == [("", "pending")]
    assert told() == []
    freeze(stage, 1)
    settle(judge)
    alert = only_alert("group_no_progress")
    assert (alert.state, alert.severity, alert.subject) == ("firing", "critical", "payments")
    assert alert.sentence.startswith("payments makes no progress since ")
    assert "280 waiting records read" in alert.sentence
    freeze(stage, 20)
    settle(judge)
    thaw(stage)
    stage.cycle()
    settle(judge)
    stage.cycles(3)
    settle(judge)
    assert story("group_no_progress") == [("", "pending"), ("pending", "firing"), ("firing", "resolved")]
    assert told() == [("ops", "group_no_progress", "firing"), ("ops", "group_no_progress", "resolved")]
    alert.refresh_from_db()
    assert alert.state == "resolved"
    assert alert.resolved_at is not None
    firing, resolved = Delivery.objects.order_by("id")
    assert firing.payload["numbers"]["lag"] == 280
    assert "/clusters/prod/groups/payments/?from=" in firing.payload["link"]
    assert firing.payload["resolved_at"] is None
    assert resolved.payload["sentence"].startswith("payments makes progress again after 2")
    assert resolved.payload["resolved_at"].endswith("Z")
    assert resolved.payload["alert"] == firing.payload["alert"] == alert.pk


def test_a_group_that_moves_before_the_minute_is_over_is_not_told(stage: Stage) -> None:
    webhook_channel()
    judge = stage.judge()
    stage.cycle()
    freeze(stage, 6)
    thaw(stage)
    stage.cycle()
    settle(judge)
    assert story("group_no_progress") == [("", "pending"), ("pending", "inactive")]
    alert = only_alert("group_no_progress")
    assert (alert.state, alert.fired_at) == ("resolved", None)
    assert told() == []


def test_an_unknown_verdict_neither_resolves_nor_counts(stage: Stage) -> None:
    judge = stage.judge()
    freeze(stage, 14)
    stage.verdicts["payments"] = Verdict.UNKNOWN
    stage.cycles(5)
    stage.verdicts["payments"] = None
    stage.cycles(5)
    settle(judge)
    assert only_alert("group_no_progress").state == "firing"


def test_cycles_that_did_not_reach_the_cluster_resolve_nothing(stage: Stage) -> None:
    judge = stage.judge()
    stage.brokers["2"] = Reach.DOWN
    freeze(stage, 14)
    stage.cycles(40, reachable=False)
    settle(judge)
    assert {alert.rule.key: alert.state for alert in Alert.objects.exclude(rule__key="collector_blind")} == {
        "group_no_progress": "firing",
        "broker_down": "firing",
    }


def test_a_broker_down_fires_at_once_and_a_suspect_one_is_not_up_again(stage: Stage) -> None:
    judge = stage.judge()
    stage.cycle()
    stage.brokers["2"] = Reach.SUSPECT
    stage.cycle()
    settle(judge)
    assert not Alert.objects.exists()
    stage.brokers["2"] = Reach.DOWN
    stage.cycle()
    settle(judge)
    alert = only_alert("broker_down")
    assert alert.sentence == "Broker 2 is down: the cluster no longer lists it; 2 of 3 brokers up"
    stage.brokers["2"] = Reach.SUSPECT
    stage.cycle()
    stage.brokers["2"] = None
    stage.cycle()
    del stage.brokers["2"]  # a new collector does not know it yet, its row does
    stage.cycle()
    settle(judge)
    assert story("broker_down") == [("", "firing")]
    stage.brokers["2"] = Reach.UP
    stage.cycle()
    settle(judge)
    assert story("broker_down") == [("", "firing"), ("firing", "resolved")]


def test_a_group_that_was_deleted_resolves(stage: Stage) -> None:
    judge = stage.judge()
    freeze(stage, 14)
    settle(judge)
    stage.verdicts, stage.commits = {"other": Verdict.OK}, {"other": [1, 1]}
    stage.cycle()
    settle(judge)
    assert only_alert("group_no_progress").state == "firing", "its row says that it is still there"
    Group.objects.filter(name="payments").update(gone_at=stage.moment)
    stage.cycle()
    settle(judge)
    assert only_alert("group_no_progress").state == "resolved"


def test_dead_letters_fire_at_once_and_are_over_after_two_quiet_minutes(stage: Stage) -> None:
    stage.dead_letters("orders-dlt", "orders")
    stage.ends["orders-dlt"] = [7]
    judge = stage.judge()
    stage.cycles(3)
    settle(judge)
    assert not Alert.objects.exists(), "what lay there before the first look did not arrive now"
    stage.ends["orders-dlt"] = [10]
    stage.cycle()
    settle(judge)
    alert = only_alert("dead_letters_arriving")
    assert alert.sentence == "3 dead letters arrived in orders-dlt of orders; it holds 10"
    stage.ends["orders-dlt"] = [12]
    stage.cycle()
    stage.cycles(24)
    settle(judge)
    assert only_alert("dead_letters_arriving").state == "recovering"
    stage.cycle()
    settle(judge)
    assert story("dead_letters_arriving") == [("", "firing"), ("firing", "recovering"), ("recovering", "resolved")]
    last = Transition.objects.latest("id")
    assert last.numbers["arrived"] == 5
    assert last.reason.startswith("No dead letter arrived in orders-dlt for 2\u202fmin; 5 came since ")


@pytest.mark.parametrize("restarts", [False, True], ids=["one judge", "a judge that is killed in between"])
def test_dead_letters_that_came_while_nothing_was_known_are_not_missed(stage: Stage, restarts: bool) -> None:
    stage.dead_letters("orders-dlt", "orders")
    stage.ends["orders-dlt"] = [0]
    judge = stage.judge()
    stage.cycles(2)
    settle(judge)
    stage.ends["orders-dlt"] = [None]
    stage.cycle()
    settle(judge)
    stage.cycle(reachable=False)
    settle(judge)
    if restarts:
        killed()
        judge = stage.judge()
    stage.ends["orders-dlt"] = [4]
    stage.cycle()
    settle(judge)
    assert only_alert("dead_letters_arriving").sentence.startswith("4 dead letters arrived")


def test_a_dead_letter_topic_made_by_its_first_records_fires(stage: Stage) -> None:
    judge = stage.judge()
    stage.cycles(2)
    settle(judge)
    stage.dead_letters("orders-dlt", "orders")
    stage.ends["orders-dlt"] = [2]
    stage.cycle()
    settle(judge)
    assert only_alert("dead_letters_arriving").sentence == "2 dead letters arrived in orders-dlt of orders"
    Topic.objects.filter(name="orders-dlt").update(gone_at=stage.moment)
    del stage.ends["orders-dlt"]
    stage.cycle()
    settle(judge)
    assert only_alert("dead_letters_arriving").state == "resolved"


# -- silence


def test_a_collector_is_blind_after_three_intervals_and_sees_again(stage: Stage) -> None:
    judge = stage.judge()
    stage.cycle()
    for _ in range(14):
        settle(judge)
        stage.pass_time(1)
    settle(judge)
    assert not Alert.objects.exists()
    stage.pass_time(1)
    settle(judge)
    alert = only_alert("collector_blind")
    assert alert.sentence == "prod has not been measured for 15\u202fs, with a cycle due every 5\u202fs"
    for _ in range(10):
        stage.pass_time(1)
        settle(judge)
    stage.cycle()
    settle(judge)
    assert story("collector_blind") == [("", "firing"), ("firing", "resolved")]


def test_cycles_that_fail_are_silence_with_a_reason(stage: Stage) -> None:
    judge = stage.judge()
    stage.cycle()
    settle(judge)
    for _ in range(3):
        stage.cycle(reachable=False, errors=[{"part": "connect", "reason": "connection refused"}])
        settle(judge)
    assert only_alert("collector_blind").sentence.endswith("every 5\u202fs: connection refused")
    assert only_alert("collector_blind").state == "firing"


def test_a_wall_clock_that_steps_blinds_nobody(stage: Stage) -> None:
    judge = stage.judge()
    stage.cycle()
    settle(judge)
    stage.pass_time(20)
    stage.cycle()
    settle(judge)
    stage.recorder.now += 3600
    settle(judge)
    stage.recorder.now -= 7200
    settle(judge)
    assert not Alert.objects.exists()


def test_a_judge_that_starts_after_a_night_off_waits_for_the_first_cycle(stage: Stage) -> None:
    stage.cycle()
    stage.pass_time(8 * 3600)
    judge = stage.judge()
    settle(judge)
    stage.pass_time(10)
    settle(judge)
    assert not Alert.objects.exists()
    stage.pass_time(6)
    settle(judge)
    assert only_alert("collector_blind").sentence.startswith("prod has not been measured for 8\u202fh")


def test_a_judge_that_starts_while_an_alert_is_open_does_not_resolve_it(stage: Stage) -> None:
    judge = stage.judge()
    stage.cycle()
    settle(judge)
    stage.pass_time(16)
    settle(judge)
    killed()
    stage.pass_time(2)
    settle(stage.judge())
    assert story("collector_blind") == [("", "firing")]


def test_a_cluster_that_was_never_reached_is_blind(stage: Stage) -> None:
    judge = stage.judge()
    settle(judge)
    stage.pass_time(16)
    settle(judge)
    assert only_alert("collector_blind").state == "firing"


def test_a_paused_cluster_is_not_blind_and_gets_its_time_when_it_goes_on(stage: Stage) -> None:
    judge = stage.judge()
    stage.cycle()
    settle(judge)
    stage.pass_time(16)
    settle(judge)
    Cluster.objects.update(is_paused=True)
    settle(judge)
    assert story("collector_blind") == [("", "firing"), ("firing", "resolved")]
    stage.pass_time(600)
    settle(judge)
    Cluster.objects.update(is_paused=False)
    stage.pass_time(5)
    settle(judge)
    assert len(story("collector_blind")) == 2


# -- rules that change


def test_a_rule_that_is_switched_off_ends_its_alerts_and_tells(stage: Stage) -> None:
    webhook_channel()
    judge = stage.judge()
    stage.brokers["2"] = Reach.DOWN
    stage.cycle()
    settle(judge)
    Rule.objects.filter(key="broker_down").update(is_enabled=False)
    settle(judge)
    assert story("broker_down") == [("", "firing"), ("firing", "resolved")]
    assert Transition.objects.latest("id").reason == "The rule was switched off"
    assert [event for _, _, event in told()] == ["firing", "resolved"]


def test_a_selector_restricts_a_rule(stage: Stage) -> None:
    install_default_rules()
    Rule.objects.filter(key="broker_down").update(selector={"cluster": "pr*", "broker": "[13]"})
    judge = stage.judge()
    stage.brokers |= {"2": Reach.DOWN, "3": Reach.DOWN}
    stage.cycle()
    settle(judge)
    assert [alert.subject for alert in Alert.objects.all()] == ["3"]


def test_a_rule_that_cannot_be_read_stops_no_other(stage: Stage) -> None:
    Rule.objects.create(key="odd", name="odd", quantity="phase_of_the_moon", threshold=1, severity="info")
    stage.brokers["2"] = Reach.DOWN
    stage.cycle()
    settle(stage.judge())
    assert only_alert("broker_down").state == "firing"


# -- telling


def test_only_channels_that_heard_the_firing_hear_the_end(stage: Stage) -> None:
    webhook_channel("told")
    dead = webhook_channel("dead")
    judge = stage.judge()
    stage.brokers["2"] = Reach.DOWN
    stage.cycle()
    settle(judge)
    webhook_channel("later")
    Delivery.objects.filter(channel=dead).update(state="dead")
    stage.brokers["2"] = Reach.UP
    stage.cycle()
    settle(judge)
    assert told() == [
        ("dead", "broker_down", "firing"),
        ("told", "broker_down", "firing"),
        ("told", "broker_down", "resolved"),
    ] or told() == [
        ("told", "broker_down", "firing"),
        ("dead", "broker_down", "firing"),
        ("told", "broker_down", "resolved"),
    ]


def test_what_is_committed_is_announced_and_nothing_else(stage: Stage) -> None:
    heard: list[tuple[str, dict[str, Any]]] = []
    webhook_channel()
    judge = stage.judge(announce=lambda kind, body: heard.append((kind, body)))
    stage.cycles(2)
    settle(judge)
    assert heard == []
    stage.brokers["2"] = Reach.DOWN
    stage.cycle()
    settle(judge)
    assert heard == [
        ("alert", {"cluster": stage.id, "transitions": 1}),
        ("delivery", {"cluster": stage.id, "messages": 1}),
    ]


def test_an_acknowledgement_is_taken_once_and_written_down(stage: Stage) -> None:
    judge = stage.judge()
    stage.brokers["2"] = Reach.DOWN
    stage.cycle()
    settle(judge)
    alert = only_alert("broker_down")
    heard: list[str] = []
    assert acknowledge(alert.pk, "ann", now=stage.moment, announce=lambda kind, body: heard.append(kind))
    assert not acknowledge(alert.pk, "bob", now=stage.moment)
    stage.brokers["2"] = Reach.UP
    stage.cycle()
    settle(judge)
    alert.refresh_from_db()
    assert (alert.state, alert.acknowledged_by) == ("resolved", "ann"), "the judge leaves the acknowledgement alone"
    assert story("broker_down")[1] == ("firing", "acknowledged")
    assert AuditEntry.objects.get().detail["rule"] == "broker_down"
    assert heard == ["alert"]


# -- never lost, never doubled


class KilledError(BaseException):
    """Stands for kill -9 at a statement: nothing may catch it."""


def outage(stage: Stage) -> None:
    """Three cycles in which a broker falls, dead letters come, a group stops to read, and the broker is back."""
    stage.dead_letters("orders-dlt", "orders")
    stage.ends["orders-dlt"] = [0]
    stage.cycle()
    stage.brokers["2"] = Reach.DOWN
    stage.cycle()
    stage.ends["orders-dlt"] = [3]
    stage.brokers["2"] = Reach.UP
    freeze(stage, 1)


OUTAGE = [
    ("broker_down", "", "firing"),
    ("group_no_progress", "", "pending"),
    ("dead_letters_arriving", "", "firing"),
    ("broker_down", "firing", "resolved"),
]
TOLD = [
    ("ops", "broker_down", "firing"),
    ("ops", "dead_letters_arriving", "firing"),
    ("ops", "broker_down", "resolved"),
]


def ledger() -> list[tuple[str, str, str]]:
    rows = Transition.objects.order_by("id").values_list("alert__rule__key", "old_state", "new_state")
    return sorted(rows, key=OUTAGE.index)


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_a_kill_at_any_statement_loses_and_doubles_nothing() -> None:
    """The judge dies before its 1st, 2nd, 3rd ... statement; a new one goes on, and the ledger is always the same."""
    stage = Stage()
    webhook_channel()
    outage(stage)
    last = stage.recorder.cycle
    settle(stage.judge())
    assert ledger() == sorted(OUTAGE, key=OUTAGE.index)

    fatal, was_killed = 0, True
    while was_killed:
        Alert.objects.all().delete()
        Judgement.objects.all().delete()
        killed()
        try:
            with connection.execute_wrapper(dying_at(fatal)):
                settle(stage.judge())
            was_killed = False
        except KilledError:
            killed()
            settle(stage.judge())
        assert ledger() == OUTAGE, f"killed at statement {fatal}"
        assert sorted(told()) == sorted(TOLD), f"killed at statement {fatal}"
        assert Judgement.objects.get().judged_cycle == last
        fatal += 1
    assert fatal > 40


def dying_at(fatal: int) -> Callable[..., Any]:
    count = 0

    def wrapper(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal count
        count += 1
        if count == fatal + 1:
            raise KilledError
        return execute(sql, params, many, context)

    return wrapper


def test_a_judge_that_lost_its_lease_without_knowing_writes_nothing(stage: Stage) -> None:
    webhook_channel()
    stage.cycle()
    zombie = stage.judge()
    settle(zombie)
    killed()  # it hangs for a while, its lease lapses
    heir = stage.judge()
    settle(heir)
    stage.brokers["2"] = Reach.DOWN
    stage.cycle()
    with CaptureQueriesContext(connection):
        assert not zombie.turn()
    assert not Alert.objects.exists()
    assert not Delivery.objects.exists()
    assert Judgement.objects.get().judged_cycle == 1
    settle(heir)
    assert story("broker_down") == [("", "firing")]
    assert not zombie.turn(), "the heir holds the lease"
    assert story("broker_down") == [("", "firing")]


def test_a_zombie_cannot_write_by_the_clock_either(stage: Stage) -> None:
    stage.cycle()
    zombie = stage.judge()
    settle(zombie)
    stage.pass_time(0.5)
    killed()
    settle(stage.judge())
    stage.monotonic += 0.4
    zombie._sights[stage.id].age_seconds = 100.0  # what it would fire on
    zombie._began -= 100
    zombie.turn()
    assert not Alert.objects.exists()


def test_a_cycle_that_another_judge_has_taken_is_not_judged_again(stage: Stage) -> None:
    judge = stage.judge()
    stage.cycle()
    settle(judge)
    stage.brokers["2"] = Reach.DOWN
    stage.cycle()
    numbers = judge._numbers

    def overtaken(cluster: Cluster, number: int) -> Any:
        Judgement.objects.update(judged_cycle=number)
        return numbers(cluster, number)

    judge._numbers = overtaken  # type: ignore[method-assign]  # another judge comes between reading and writing
    judge.turn()
    assert not Alert.objects.exists()


def test_a_lease_that_is_given_back_is_taken_at_once(stage: Stage) -> None:
    first, second = stage.judge(), stage.judge()
    settle(first)
    stage.brokers["2"] = Reach.DOWN
    stage.cycle()
    settle(second)
    assert not Alert.objects.exists()
    first.release()
    settle(second)
    assert only_alert("broker_down").state == "firing"
    assert Lease.objects.get(name="judge").epoch == 2


def test_what_is_over_a_day_old_is_skipped(stage: Stage) -> None:
    stage.cycle()
    judge = stage.judge()
    settle(judge)
    stage.brokers["2"] = Reach.DOWN
    stage.cycles(5)
    stage.pass_time(25 * 3600)
    stage.brokers["2"] = Reach.UP
    stage.brokers["3"] = Reach.DOWN
    stage.cycles(2)
    settle(judge)
    assert Judgement.objects.get().judged_cycle == 8
    assert [alert.subject for alert in Alert.objects.filter(rule__key="broker_down")] == ["3"]


def test_cycles_that_are_gone_are_skipped(stage: Stage) -> None:
    judge = stage.judge()
    stage.cycles(6)
    Cycle.objects.filter(number__in=[2, 3, 4]).delete()
    settle(judge)
    assert Judgement.objects.get().judged_cycle == 6
    Cycle.objects.all().delete()
    Cluster.objects.update(last_cycle=20)
    settle(judge)
    assert Judgement.objects.get().judged_cycle == 20


def test_a_cluster_that_cannot_be_read_does_not_stop_another(stage: Stage) -> None:
    other = Stage("other")
    other.recorder.now = stage.recorder.now
    stage.cycle()
    other.brokers["2"] = Reach.DOWN
    other.cycle()
    from collectors.history import queries

    def broken(cluster_id: int, cycle: int | None) -> Any:
        if cluster_id == stage.id:
            raise ValueError("frame 7: checksum")
        return queries.cluster_at(cluster_id, cycle)

    settle(stage.judge(read=broken))
    assert only_alert("broker_down").cluster_id == other.id
    assert Judgement.objects.get(cluster_id=stage.id).judged_cycle == 1


def test_a_long_backlog_is_judged_in_turns(stage: Stage) -> None:
    stage.cycles(CYCLES_A_TURN + 3)
    judge = stage.judge()
    assert judge.turn()
    assert Judgement.objects.get().judged_cycle == CYCLES_A_TURN
    assert not judge.turn()
    assert Judgement.objects.get().judged_cycle == CYCLES_A_TURN + 3


def test_an_idle_turn_asks_little(stage: Stage, django_assert_max_num_queries: Any) -> None:
    judge = stage.judge()
    stage.cycle()
    settle(judge)
    with django_assert_max_num_queries(5):
        judge.turn()


def test_history_is_read_outside_the_transaction(stage: Stage) -> None:
    from collectors.history import queries

    outer = len(connection.savepoint_ids)
    depths: list[int] = []

    def watched(cluster_id: int, cycle: int | None) -> Any:
        depths.append(len(connection.savepoint_ids))
        return queries.cluster_at(cluster_id, cycle)

    stage.brokers["2"] = Reach.DOWN
    stage.cycles(2)
    settle(stage.judge(read=watched))
    assert depths
    assert set(depths) == {outer}
    assert transaction.get_connection().in_atomic_block, "the test itself runs in one"
