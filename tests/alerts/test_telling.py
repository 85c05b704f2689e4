"""Who is told of what: routes, hours, and what is gathered for people by cluster and cause."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.utils import timezone

from collectors.domain.topology import Reach
from dashboard.alerts import ledger, routes
from dashboard.alerts.channels.wording import LISTED
from dashboard.alerts.defaults import install_default_rules
from dashboard.alerts.judge import Judge
from dashboard.alerts.outbox import due
from dashboard.alerts.telling import Telling, tell
from dashboard.models import Alert, Channel, Delivery, Route, Rule

from .stage import Stage, only_alert, settle, told, webhook_channel
from .standins import channel

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.ALLOWED_NETWORKS = ["loopback"]


def route(name: str, *channels: Channel, **fields: Any) -> Route:
    made = Route.objects.create(name=name, **fields)
    made.channels.set(channels)
    return made


def down(stage: Stage, judge: Judge, *nodes: str) -> None:
    for node in nodes or ("2",):
        stage.brokers[node] = Reach.DOWN
    stage.cycle()
    settle(judge)


def up(stage: Stage, judge: Judge, *nodes: str) -> None:
    for node in nodes or ("2",):
        stage.brokers[node] = Reach.UP
    stage.cycle()
    settle(judge)


# -- routes


@pytest.mark.parametrize(
    ("said", "fields", "takes"),
    [
        ("nothing said takes all", {}, True),
        ("its severity", {"severities": ["critical"]}, True),
        ("another severity", {"severities": ["warning", "info"]}, False),
        ("clusters that begin so", {"cluster": "pr*"}, True),
        ("another cluster", {"cluster": "test"}, False),
        ("its rule", {"labels": {"rule": "broker_*"}}, True),
        ("its subject", {"labels": {"broker": "[12]"}}, True),
        ("another subject", {"labels": {"broker": "3"}}, False),
        ("a label that it does not have", {"labels": {"group": "*"}}, False),
        ("one of two labels does not match", {"labels": {"rule": "broker_down", "broker": "9"}}, False),
        ("a route that is off", {"is_enabled": False}, False),
    ],
)
def test_what_a_route_takes_goes_to_its_channels_and_the_rest_to_all(
    said: str, fields: dict[str, Any], takes: bool
) -> None:
    stage = Stage()
    chosen = webhook_channel("chosen")
    webhook_channel("other")
    route("one", chosen, **fields)
    down(stage, stage.judge())
    names = [name for name, _, _ in told()]
    assert sorted(names) == (["chosen"] if takes else ["chosen", "other"]), said


def test_every_route_that_matches_tells_its_channels_once() -> None:
    stage = Stage()
    a, b = webhook_channel("a"), webhook_channel("b")
    webhook_channel("c")
    route("one", a, b, severities=["critical"])
    route("two", a, cluster="prod")
    judge = stage.judge()
    down(stage, judge)
    up(stage, judge)
    assert sorted(told()) == [(name, "broker_down", event) for name in ("a", "b") for event in ("firing", "resolved")]


def test_a_route_to_nobody_tells_nobody() -> None:
    stage = Stage()
    webhook_channel()
    route("quiet", cluster="prod")
    down(stage, stage.judge())
    assert told() == []
    assert only_alert("broker_down").state == "firing"


# -- hours


@pytest.fixture
def out_of_hours() -> Channel:
    """A channel that is told in an hour's time and not before."""
    made = webhook_channel("office")
    begins = (datetime.now(UTC) + timedelta(hours=1)).time().replace(microsecond=0)
    ends = (datetime.now(UTC) + timedelta(hours=2)).time().replace(microsecond=0)
    route("office", made, begins=begins, ends=ends)
    return made


def test_out_of_its_hours_a_message_waits_until_they_begin(out_of_hours: Channel) -> None:
    stage = Stage()
    down(stage, stage.judge())
    row = Delivery.objects.get()
    assert row.not_before is not None
    assert timedelta(minutes=58) < row.not_before - timezone.now() <= timedelta(hours=1)
    assert due(busy_channels=[], limit=9) == []
    Delivery.objects.update(next_attempt_at=timezone.now())
    assert len(due(busy_channels=[], limit=9)) == 1


def test_what_is_over_or_acknowledged_before_its_hours_is_not_told(out_of_hours: Channel) -> None:
    stage = Stage()
    judge = stage.judge()
    down(stage, judge)
    up(stage, judge)
    assert list(Delivery.objects.values_list("event", "state", "last_error")) == [
        ("firing", "skipped", "it was over before it was told")
    ]
    down(stage, judge, "3")
    alert = Alert.objects.get(subject="3")
    assert ledger.acknowledge(alert.pk, "ann", now=timezone.now())
    newest = Delivery.objects.latest("id")
    assert (newest.state, newest.last_error) == ("skipped", "acknowledged by ann before it was told")


def test_of_two_routes_to_a_channel_the_earlier_counts(out_of_hours: Channel) -> None:
    stage = Stage()
    route("critical at any time", out_of_hours, severities=["critical"])
    down(stage, stage.judge())
    assert Delivery.objects.get().not_before is None


def test_hours_of_a_place() -> None:
    made = Route(begins=time(9), ends=time(17), zone="America/New_York", weekdays=[0, 1, 2, 3, 4])
    friday_evening = datetime(2026, 11, 27, 23, 0, tzinfo=UTC)
    assert routes.opens_at(made, friday_evening) == datetime(2026, 11, 30, 14, 0, tzinfo=UTC)
    assert routes.opens_at(made, datetime(2026, 11, 27, 15, 0, tzinfo=UTC)) is None


# -- what people read is gathered


def rows() -> list[tuple[str, str, int, bool]]:
    return [
        (row.event, row.state, row.alerts.count(), row.not_before is not None)
        for row in Delivery.objects.order_by("id")
    ]


def test_alerts_of_one_cluster_and_cause_are_one_message() -> None:
    stage = Stage()
    channel("slack_webhook", url="http://127.0.0.1:9/x")
    webhook_channel("machine")
    judge = stage.judge()
    down(stage, judge, "1", "2")
    people = Delivery.objects.filter(channel__kind="slack_webhook")
    assert [row.alerts.count() for row in people] == [2]
    payload = people.get().payload
    assert (payload["count"], payload["open"], len(payload["alerts"])) == (2, 2, 2)
    assert payload["sentence"] == "Broker down, 2 times in prod: 1, 2"
    assert [row.alerts.count() for row in Delivery.objects.filter(channel__kind="webhook")] == [1, 1]
    assert "alerts" not in Delivery.objects.filter(channel__kind="webhook")[0].payload


def test_what_follows_within_a_minute_is_gathered_and_the_end_says_what_goes_on() -> None:
    stage = Stage()
    channel("slack_webhook", url="http://127.0.0.1:9/x")
    judge = stage.judge()
    down(stage, judge, "1")
    down(stage, judge, "2")
    down(stage, judge, "3")
    assert rows() == [("firing", "waiting", 1, False), ("firing", "waiting", 2, True)]
    first, gathered = Delivery.objects.order_by("id")
    assert gathered.thread == first.thread == first.idempotency_key
    assert gathered.not_before is not None
    assert gathered.not_before - first.created_at == timedelta(seconds=60)
    assert gathered.payload["count"] == 3
    up(stage, judge, "3")
    gathered.refresh_from_db()
    assert gathered.alerts.count() == 1, "it was over before it was told"
    assert gathered.payload["sentence"].startswith("Broker 2 is down")
    assert "1 alert of the same kind still goes on" in gathered.payload["sentence"]
    up(stage, judge, "2")
    assert rows() == [("firing", "waiting", 1, False), ("firing", "skipped", 1, True)]
    up(stage, judge, "1")
    assert rows()[2:] == [("resolved", "waiting", 1, False)]
    end = Delivery.objects.get(event="resolved")
    assert (end.thread, end.payload["open"]) == (first.thread, 0)


def test_the_last_end_of_a_thread_takes_along_the_ends_that_wait() -> None:
    stage = Stage()
    channel("slack_webhook", url="http://127.0.0.1:9/x")
    judge = stage.judge()
    down(stage, judge, "1", "2", "3")
    up(stage, judge, "1")
    up(stage, judge, "2")
    assert rows()[1:] == [("resolved", "waiting", 1, False), ("resolved", "waiting", 1, True)]
    first_end = Delivery.objects.order_by("id")[1]
    assert first_end.payload["sentence"].startswith("Broker 1 is up again after 5")
    assert first_end.payload["sentence"].endswith("; 2 still go on")
    up(stage, judge, "3")
    assert rows()[1:] == [("resolved", "waiting", 1, False), ("resolved", "waiting", 2, False)]
    last = Delivery.objects.latest("id")
    assert (last.payload["open"], last.payload["sentence"]) == (0, "2 alerts over; none goes on")


def test_a_new_thread_begins_when_the_old_one_is_over_and_for_each_cluster() -> None:
    stage, other = Stage(), Stage("other")
    channel("slack_webhook", url="http://127.0.0.1:9/x")
    judge = stage.judge()
    down(stage, judge)
    up(stage, judge)
    down(stage, judge)
    down(other, judge, "1")
    threads = list(Delivery.objects.filter(event="firing").values_list("thread", flat=True))
    assert len(set(threads)) == 3
    assert [moment for _, _, _, moment in rows()] == [False] * 4, "the first of a thread goes at once"


@pytest.mark.slow
def test_a_storm_is_one_message_that_names_twenty() -> None:
    stage = Stage()
    install_default_rules()
    channel("slack_webhook", url="http://127.0.0.1:9/x")
    rule = Rule.objects.get(key="group_no_progress")
    now = timezone.now()
    Alert.objects.bulk_create(
        Alert(
            rule=rule, cluster=stage.recorder.cluster, subject_kind="group", subject=f"group-{i}", state="firing",
            severity="critical", sentence=f"group-{i} makes no progress", started_at=now, fired_at=now, changed_at=now,
        )
        for i in range(3000)
    )  # fmt: skip
    alerts = list(Alert.objects.select_related("rule", "cluster").order_by("id"))
    assert tell([Telling(alert, "firing", alert.sentence, {}) for alert in alerts], now=now) == 1
    row = Delivery.objects.get()
    assert row.alerts.count() == 3000
    assert (row.payload["count"], len(row.payload["alerts"])) == (3000, LISTED)
    assert row.payload["sentence"].startswith("Group makes no progress, 3")
    Alert.objects.update(state="resolved", resolved_at=now)
    ended = list(Alert.objects.select_related("rule", "cluster").order_by("id"))
    assert tell([Telling(alert, "resolved", "moves", {}) for alert in ended], now=now) == 1
    assert Delivery.objects.get(event="resolved").payload["open"] == 0


def test_what_is_told_twice_is_queued_once() -> None:
    stage = Stage()
    channel("slack_webhook", url="http://127.0.0.1:9/x")
    webhook_channel()
    down(stage, stage.judge())
    alert = Alert.objects.select_related("rule", "cluster").get()
    before = Delivery.objects.count()
    tell([Telling(alert, "firing", alert.sentence, {})], now=timezone.now())
    assert Delivery.objects.count() == before
