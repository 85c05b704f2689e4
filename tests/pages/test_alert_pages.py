"""Rules are changed with a trace, silences made and ended, history is drawn, messages sent again."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from collectors.domain.words import THIN
from dashboard.alerts.defaults import install_default_rules
from dashboard.models import Alert, AuditEntry, Delivery, Rule, Silence, Transition
from dashboard.pages.alert_history import spans
from tests.alerts.stage import webhook_channel

from .seed import make_cluster

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _rules(db: None) -> None:
    install_default_rules()


def rule(key: str = "group_no_progress") -> Rule:
    return Rule.objects.get(key=key)


def test_an_admin_changes_a_rule_and_the_trail_says_from_what_to_what(admin: Client) -> None:
    typed = {"is_enabled": "on", "hold_seconds": "90", "severity": "warning"}
    assert admin.post("/alerts/rules/group_no_progress/", typed).status_code == 302
    assert (rule().hold_seconds, rule().severity, rule().is_enabled) == (90.0, "warning", True)
    entry = AuditEntry.objects.get()
    assert (entry.who, entry.action, entry.target) == ("ada", "rule changed", "group_no_progress")
    assert entry.detail == {
        "was": {"hold_seconds": 60.0, "severity": "critical"},
        "now": {"hold_seconds": 90.0, "severity": "warning"},
    }
    assert b"changed</span>" in admin.get("/alerts/rules/").content


def test_a_rule_goes_back_to_how_it_came(admin: Client) -> None:
    Rule.objects.filter(key="broker_down").update(is_enabled=False, severity="info", threshold=1.0)
    assert b"Reset to default" in admin.get("/alerts/rules/broker_down/").content
    assert admin.post("/alerts/rules/broker_down/reset/").status_code == 302
    assert (rule("broker_down").is_enabled, rule("broker_down").severity, rule("broker_down").threshold) == (
        True,
        "critical",
        2.0,
    )
    assert AuditEntry.objects.get().action == "rule reset"
    assert b"Reset to default" not in admin.get("/alerts/rules/broker_down/").content


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("hold_seconds", "soon", "“soon” is not a number of seconds"),
        ("hold_seconds", "-1", "“-1” is out of range"),
        ("hold_seconds", "nan", "“nan” is out of range"),
        ("hold_seconds", "1e9", "“1e9” is out of range"),
        ("severity", "fatal", "“fatal” is no severity"),
    ],
)
def test_a_bad_value_is_quoted_beside_its_field_and_changes_nothing(
    field: str, typed: str, said: str, admin: Client
) -> None:
    good = {"is_enabled": "on", "hold_seconds": "60", "severity": "critical"}
    response = admin.post("/alerts/rules/group_no_progress/", {**good, field: typed})
    assert response.status_code == 422
    assert said in response.content.decode()
    assert rule().hold_seconds == 60.0
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("key", "typed", "said"),
    [
        ("group_drain_long", "soon", "“soon” is not a number of seconds: write like 600."),
        ("group_drain_long", "nan", "“nan” is out of range: 1 to 31622400 seconds (a year)."),
        ("group_lag_high", "many", "“many” is not a number of records: write like 100000."),
        ("group_lag_high", "1,5", "“1,5” is not a number of records"),
        ("group_lag_high", "0", "“0” is out of range: 1 to 1000000000000 records."),
        ("group_lag_high", "1e3", "“1e3” is not a number of records"),
        ("group_lag_high", "-5", "“-5” is out of range"),
    ],
)
def test_a_bad_threshold_is_quoted_with_its_unit(key: str, typed: str, said: str, admin: Client) -> None:
    before = rule(key).threshold
    response = admin.post(f"/alerts/rules/{key}/", {"hold_seconds": "60", "severity": "warning", "threshold": typed})
    assert response.status_code == 422
    assert said in response.content.decode()
    assert rule(key).threshold == before


@pytest.mark.parametrize(
    ("key", "typed", "level", "over", "sentence"),
    [
        ("group_lag_high", "20 000", 20_000.0, 10_000.0, f"a group is 20{THIN}000 records behind or more"),
        ("group_lag_high", f"1{THIN}234{THIN}567", 1_234_567.0, 617_283.5, f"1{THIN}234{THIN}567 records behind"),
        (
            "group_drain_long",
            "90,5",
            90.5,
            45.25,
            f"needs 1{THIN}min 30{THIN}s or more to read what waits, or does not drain",
        ),
        ("group_head_old", "7200", 7200.0, 3600.0, f"a group's oldest unread record is 2{THIN}h old or more"),
        ("group_far_behind", "120", 120.0, 60.0, f"log-end age is 2{THIN}min or more"),
    ],
)
def test_a_threshold_is_typed_in_its_unit_and_stays_when_saved_as_it_is_shown(
    key: str, typed: str, level: float, over: float, sentence: str, admin: Client
) -> None:
    path, more = f"/alerts/rules/{key}/", {"is_enabled": "on", "hold_seconds": "60", "severity": "warning"}
    assert admin.post(path, {**more, "threshold": typed}).status_code == 302
    assert (rule(key).is_enabled, rule(key).threshold, rule(key).recover_level) == (True, level, over)
    page = html.unescape(admin.get(path).content.decode())
    assert sentence in page
    assert f"Threshold, {'records' if key == 'group_lag_high' else 'seconds'}<" in page
    shown = re.search('name="threshold" inputmode="decimal" value="([^"]+)"', page)
    assert shown is not None
    admin.post(path, {**more, "threshold": shown[1]})
    assert rule(key).threshold == level


def test_the_threshold_of_a_rule_that_has_no_unit_is_not_for_people(admin: Client) -> None:
    path = "/alerts/rules/group_no_progress/"
    assert 'name="threshold"' not in admin.get(path).content.decode()
    before = rule().threshold
    admin.post(path, {"is_enabled": "on", "hold_seconds": "60", "severity": "critical", "threshold": "1"})
    assert rule().threshold == before


def test_an_unknown_rule_is_not_found(admin: Client) -> None:
    assert admin.get("/alerts/rules/nothing/").status_code == 404
    assert admin.post("/alerts/rules/nothing/reset/").status_code == 404


SILENCE = {"rule": "broker_down", "cluster": "demo", "subject": "2", "until": "now+2h", "reason": "restart"}


def test_an_operator_silences_and_ends_it_early(operator: Client) -> None:
    assert operator.post("/alerts/silences/new/", SILENCE).status_code == 302
    one = Silence.objects.get()
    assert (one.rule, one.cluster, one.subject, one.created_by) == (rule("broker_down"), "demo", "2", "otto")
    assert timedelta(minutes=119) < one.ends_at - timezone.now() <= timedelta(hours=2)
    assert b"1 silence is on" in operator.get("/alerts/silences/").content
    assert operator.post(f"/alerts/silences/{one.pk}/end/").status_code == 302
    one.refresh_from_db()
    assert one.ends_at <= timezone.now()
    assert one.ended_by == "otto"
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == ["silence made", "silence ended"]
    assert b"Nothing is silenced" in operator.get("/alerts/silences/").content


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("until", "now-1h", "“now-1h” is not in the future"),
        ("until", "tomorrow", "“tomorrow” is not a time"),
        ("until", "now+1y", "more than 90 days away"),
        ("rule", "nothing", "There is no rule “nothing”"),
        ("reason", "", "This field is required"),
        ("subject", " ", "This field is required"),
        ("reason", "<b>" + "x" * 600, "at most 500 characters"),
    ],
)
def test_a_silence_that_cannot_be_is_refused_in_words(field: str, typed: str, said: str, operator: Client) -> None:
    response = operator.post("/alerts/silences/new/", {**SILENCE, field: typed})
    assert response.status_code == 422
    assert said in response.content.decode()
    assert b"<b>xxx" not in response.content
    assert not Silence.objects.exists()


def test_a_silence_begun_from_an_alert_matches_its_name_as_it_is(operator: Client) -> None:
    page = operator.get("/alerts/silences/new/", {"rule": "broker_down", "cluster": "demo", "subject": "a*[b]?"})
    assert 'value="a[*][[]b][?]"' in page.content.decode()


def make_alerts(count: int) -> None:
    cluster, now = make_cluster(), timezone.now()
    for i in range(count):
        alert = Alert.objects.create(
            rule=rule(), cluster=cluster, subject_kind="group", subject=f"group-{i}", state="resolved",
            severity="critical", sentence="stood still", started_at=now - timedelta(minutes=30),
            fired_at=now - timedelta(minutes=29), resolved_at=now - timedelta(minutes=5), changed_at=now,
        )  # fmt: skip
        for state, minutes in (("pending", 30), ("firing", 29), ("acknowledged", 20), ("resolved", 5)):
            Transition.objects.create(alert=alert, at=now - timedelta(minutes=minutes), new_state=state, reason="x")


def test_history_shows_the_range_and_its_queries_do_not_grow(viewer: Client) -> None:
    make_alerts(3)
    with CaptureQueriesContext(connection) as few:
        page = viewer.get("/alerts/history/").content.decode()
    assert "3 alerts fired or went on" in page
    assert page.count('class="f"') == 3
    assert "Nothing fired in this range" in viewer.get("/alerts/history/?from=now-2m").content.decode()
    assert "1 alert fired" in viewer.get("/alerts/history/?q=group-2").content.decode()
    Alert.objects.all().delete()
    from collectors.models import Cluster

    Cluster.objects.all().delete()
    make_alerts(40)
    with CaptureQueriesContext(connection) as many:
        viewer.get("/alerts/history/")
    assert len(few) == len(many)


def test_bars_begin_and_end_with_the_range_and_an_acknowledgement_does_not_break_them() -> None:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    moves = [
        Transition(at=at + timedelta(minutes=minutes), new_state=state)
        for minutes, state in (
            (-10, "pending"),
            (-5, "firing"),
            (20, "acknowledged"),
            (30, "recovering"),
            (50, "resolved"),
        )
    ]
    found = spans(moves, at, at + timedelta(minutes=100), at + timedelta(minutes=50))
    assert [(one.letter, one.x, one.width) for one in found] == [("f", "0.00", "300.00"), ("r", "300.00", "200.00")]


def test_a_dead_message_is_sent_again_with_its_key(operator: Client) -> None:
    now = timezone.now()
    dead = Delivery.objects.create(
        channel=webhook_channel(), event="test", idempotency_key="k", payload={}, state="dead", attempts=3,
        next_attempt_at=now, created_at=now, last_error="410 Gone",
    )  # fmt: skip
    page = operator.get("/alerts/deliveries/").content.decode()
    assert "1 message of 1 was given up" in page
    assert "Send again" in page
    operator.post(f"/alerts/deliveries/{dead.pk}/resend/")
    dead.refresh_from_db()
    assert (dead.state, dead.idempotency_key) == ("waiting", "k")
    operator.post(f"/alerts/deliveries/{dead.pk}/resend/")
    assert AuditEntry.objects.filter(action="message sent again").count() == 1


def test_rules_that_came_off_are_no_warning_and_those_switched_off_are(viewer: Client) -> None:
    install_default_rules()
    page = viewer.get("/alerts/rules/").content.decode()
    assert 'class="sg-head is-ok"' in page
    assert "of them off until you switch them on" in page
    Rule.objects.filter(key="broker_down").update(is_enabled=False)
    page = viewer.get("/alerts/rules/").content.decode()
    assert 'class="sg-head is-warn"' in page
    assert "1 rule of 14 was switched off" in page
