"""What a cause or maintenance explains is recorded, shown with the reason, and told only if it outlives that."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.utils import timezone

from collectors.domain.topology import Reach
from dashboard.alerts import hours
from dashboard.alerts.judge import Judge
from dashboard.alerts.readings import behind_by_broker
from dashboard.models import Alert, Maintenance, Rule

from .stage import Stage, only_alert, settle, story, told, webhook_channel

pytestmark = pytest.mark.django_db
WHOLE, LACKS_2 = ([1, 2, 3], [1, 2, 3]), ([1, 2, 3], [1, 3])


def stage_and_judge() -> tuple[Stage, Judge]:
    stage = Stage()
    webhook_channel()
    stage.replicas("orders", WHOLE, WHOLE)
    judge = stage.judge()
    stage.cycle()
    settle(judge)
    return stage, judge


def cycles(stage: Stage, judge: Judge, seconds: float) -> None:
    stage.cycles(int(seconds / 5))
    settle(judge)


def test_replicas_behind_for_five_minutes_are_told_with_their_broker() -> None:
    stage, judge = stage_and_judge()
    stage.replicas("orders", LACKS_2, LACKS_2)
    stage.replicas("clicks", LACKS_2, WHOLE)
    cycles(stage, judge, 290)
    assert told() == []
    cycles(stage, judge, 20)
    assert told() == [("ops", "under_replicated", "firing")]
    alert = only_alert("under_replicated")
    assert (alert.subject_kind, alert.subject, alert.severity) == ("broker", "2", "warning")
    assert alert.sentence == "3 partitions are under-replicated: broker 2 is not in sync for clicks, orders"
    for topic in ("orders", "clicks"):
        stage.replicas(topic, WHOLE, WHOLE)
    cycles(stage, judge, 5)
    assert told()[1:] == [("ops", "under_replicated", "resolved")]
    assert alert.transitions.latest("id").reason.startswith("The replicas of broker 2 are in sync again after 5")


def test_metadata_that_is_too_old_says_nothing_of_replicas() -> None:
    stage, judge = stage_and_judge()
    stage.replicas("orders", LACKS_2)
    cycles(stage, judge, 310)
    stage.replicas("orders", WHOLE)
    stage.metadata_age = 91.0
    cycles(stage, judge, 30)
    assert only_alert("under_replicated").state == "firing", "unknown is not in sync"
    stage.metadata_age = None
    cycles(stage, judge, 30)
    assert only_alert("under_replicated").state == "firing"
    stage.metadata_age = 2.0
    cycles(stage, judge, 5)
    assert only_alert("under_replicated").state == "resolved"


def test_a_broker_down_holds_back_what_its_replicas_lack_and_nothing_else() -> None:
    stage, judge = stage_and_judge()
    stage.brokers["2"] = Reach.DOWN
    stage.replicas("orders", LACKS_2, ([1, 2, 3], [2]))
    cycles(stage, judge, 320)
    assert [rule for _, rule, _ in told()] == ["broker_down", "under_replicated", "under_replicated"]
    lacks = {alert.subject: alert for alert in Alert.objects.filter(rule__key="under_replicated")}
    assert {node for node, alert in lacks.items() if not alert.is_held_back} == {"1", "3"}
    assert lacks["2"].held_by == only_alert("broker_down")
    assert lacks["2"].held_reason.startswith("held back by its cause: Broker 2 is down")


def down_with_replicas_behind() -> tuple[Stage, Judge]:
    stage, judge = stage_and_judge()
    stage.brokers["2"] = Reach.DOWN
    stage.replicas("orders", LACKS_2)
    cycles(stage, judge, 320)
    assert only_alert("under_replicated").is_held_back
    return stage, judge


@pytest.mark.slow
def test_what_is_over_with_its_cause_is_never_told() -> None:
    stage, judge = down_with_replicas_behind()
    stage.brokers["2"] = Reach.UP
    cycles(stage, judge, 60)
    stage.replicas("orders", WHOLE)
    cycles(stage, judge, 200)
    assert told() == [("ops", "broker_down", "firing"), ("ops", "broker_down", "resolved")]
    assert story("under_replicated")[-1] == ("firing", "resolved")


@pytest.mark.slow
def test_what_outlives_its_cause_is_told_once() -> None:
    stage, judge = down_with_replicas_behind()
    stage.brokers["2"] = Reach.UP
    cycles(stage, judge, 100)
    assert told()[-1] == ("ops", "broker_down", "resolved")
    cycles(stage, judge, 60)
    assert told()[2:] == [("ops", "under_replicated", "firing")]
    assert story("under_replicated")[-1] == ("firing", "unsilenced")
    stage.replicas("orders", WHOLE)
    cycles(stage, judge, 5)
    assert told()[3:] == [("ops", "under_replicated", "resolved")]


def test_a_cause_that_is_raised_in_the_same_moment_holds_back_too() -> None:
    stage, judge = stage_and_judge()
    Rule.objects.filter(key="under_replicated").update(hold_seconds=0)
    stage.brokers["2"] = Reach.DOWN
    stage.replicas("orders", LACKS_2)
    cycles(stage, judge, 5)
    assert told() == [("ops", "broker_down", "firing")]
    assert only_alert("under_replicated").held_by == only_alert("broker_down")


def test_a_blind_collector_holds_back_everything_of_its_cluster_until_it_sees_again() -> None:
    stage, judge = stage_and_judge()
    other = Stage("other")
    other.cycle()
    settle(judge)
    stage.pass_time(60)
    other.cycle()
    settle(judge)
    assert only_alert("collector_blind").state == "firing"
    stage.brokers["2"] = Reach.DOWN
    stage.cycle()
    other.brokers["1"] = Reach.DOWN
    other.cycle()
    judge.turn()  # the cycles come before the clock, so that the collector still counts as blind
    assert ("ops", "broker_down", "firing") in told(), "another cluster is not explained by it"
    [held, free] = Alert.objects.filter(rule__key="broker_down").order_by("subject").reverse()
    assert held.held_by == only_alert("collector_blind")
    assert (free.cluster.slug, free.is_held_back) == ("other", False)
    judge.turn()
    assert [rule for _, rule, event in told() if event == "firing"].count("broker_down") == 2, "it outlived its cause"
    held.refresh_from_db()
    assert not held.is_held_back


# -- maintenance


def once(minutes_from: float, minutes_to: float, *, cluster: str = "*") -> Maintenance:
    now = timezone.now()
    return Maintenance.objects.create(
        reason="new disks", cluster=cluster, repeat="once", created_by="ann",
        starts_at=now + timedelta(minutes=minutes_from), ends_at=now + timedelta(minutes=minutes_to),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "span", "cluster", "is_held"),
    [
        ("it goes on", (-5, 5), "*", True),
        ("it is over", (-10, -5), "*", False),
        ("it is to come", (5, 10), "*", False),
        ("clusters that begin so", (-5, 5), "pr*", True),
        ("another cluster", (-5, 5), "test", False),
    ],
)
def test_what_maintenance_holds_back(said: str, span: tuple[float, float], cluster: str, is_held: bool) -> None:
    stage, judge = stage_and_judge()
    once(*span, cluster=cluster)
    stage.brokers["2"] = Reach.DOWN
    cycles(stage, judge, 5)
    alert = only_alert("broker_down")
    assert alert.is_held_back is is_held, said
    assert told() == ([] if is_held else [("ops", "broker_down", "firing")]), said
    assert alert.held_reason == ("maintenance: new disks" if is_held else "")


def test_what_outlives_maintenance_is_told() -> None:
    stage, judge = stage_and_judge()
    window = once(-5, 5)
    stage.brokers["2"] = Reach.DOWN
    cycles(stage, judge, 5)
    Maintenance.objects.filter(pk=window.pk).update(ends_at=timezone.now())
    settle(judge)
    assert told() == [("ops", "broker_down", "firing")]
    assert "maintenance: new disks" in only_alert("broker_down").transitions.latest("id").reason


# -- hours


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "zone", "weekdays", "begins", "hours_long", "now", "is_in"),
    [
        ("Sunday night", "UTC", [6], time(2), 3, "2026-11-22T04:59:00", True),
        ("its end is not in it", "UTC", [6], time(2), 3, "2026-11-22T05:00:00", False),
        ("its beginning is", "UTC", [6], time(2), 3, "2026-11-22T02:00:00", True),
        ("another day", "UTC", [6], time(2), 3, "2026-11-23T03:00:00", False),
        ("over midnight into the next day", "UTC", [6], time(22), 8, "2026-11-23T05:00:00", True),
        ("every day", "UTC", [], time(2), 1, "2026-11-24T02:30:00", True),
        ("Berlin's two o'clock in winter", "Europe/Berlin", [], time(2), 1, "2026-01-10T01:30:00", True),
        ("Berlin's two o'clock in summer", "Europe/Berlin", [], time(2), 1, "2026-07-10T00:30:00", True),
        ("not UTC's", "Europe/Berlin", [], time(2), 1, "2026-07-10T02:30:00", False),
        ("the day is the place's own", "Pacific/Auckland", [0], time(0), 1, "2026-11-22T11:30:00", True),
        ("a week long", "UTC", [0], time(0), 168, "2026-11-22T23:59:00", True),
        (
            "an hour that the clocks skip begins an hour on",
            "Europe/Berlin",
            [],
            time(2, 30),
            1,
            "2026-03-29T01:45:00",
            True,
        ),
    ],
)
def test_spans_of_the_week(
    said: str, zone: str, weekdays: list[int], begins: time, hours_long: int, now: str, is_in: bool
) -> None:
    found = hours.current(weekdays=weekdays, begins=begins, length=timedelta(hours=hours_long), zone=zone, now=at(now))
    assert (found is not None) is is_in, said


def test_the_span_that_follows() -> None:
    week = {"weekdays": [0], "begins": time(8), "length": timedelta(hours=9), "zone": "UTC"}
    assert hours.following(**week, now=at("2026-11-22T12:00:00")) == (  # type: ignore[arg-type]  # as named
        at("2026-11-23T08:00:00"),
        at("2026-11-23T17:00:00"),
    )
    assert hours.following(**week, now=at("2026-11-23T08:00:00")) == (  # type: ignore[arg-type]  # as named
        at("2026-11-30T08:00:00"),
        at("2026-11-30T17:00:00"),
    )
    with pytest.raises(ValueError, match="“Mars/Olympus” is no time zone: write like Europe/Berlin"):
        hours.zone_of("Mars/Olympus")
    with pytest.raises(ValueError, match="no time zone"):
        hours.zone_of("../../etc/passwd")
    assert hours.length_between(time(22), time(6)) == timedelta(hours=8)
    assert hours.length_between(time(6), time(6)) == timedelta(days=1)
    assert [hours.said_days(days) for days in ([], [0, 1, 2, 3, 4], [5, 6], [0, 2])] == [
        "every day", "Mon to Fri", "Sat, Sun", "Mon, Wed",
    ]  # fmt: skip
    assert list(
        hours.spans(weekdays=[], begins=time(1), length=timedelta(hours=1), zone="UTC", since=date(2026, 1, 1), days=1)
    ) == [(at("2026-01-01T01:00:00"), at("2026-01-01T02:00:00"))]


def test_brokers_are_counted_once_for_each_partition_that_they_lack() -> None:
    rows = [("a", [[1, 0, [1, 2, 3], [1], []], [1, 0, [1, 2], [1, 2], []]]), ("b", [[2, 0, [2, 3], [2], []]])]
    found = behind_by_broker(rows)
    assert {node: (own.partitions, own.topics) for node, own in found.items()} == {2: (1, ["a"]), 3: (2, ["a", "b"])}
