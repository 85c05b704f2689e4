"""Acknowledging by a link, routes, maintenance, and every kind of channel by its form."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import signing
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from collectors.models import Cluster
from dashboard.alerts import messages, outbox, telling
from dashboard.alerts.channels.kinds import KINDS
from dashboard.alerts.defaults import install_default_rules
from dashboard.models import Alert, AuditEntry, Channel, Delivery, Maintenance, Route, Rule, Transition
from tests.alerts.stage import webhook_channel

from .seed import make_cluster

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _setting(settings: Settings) -> None:
    settings.ALLOWED_NETWORKS = ["loopback"]
    install_default_rules()


def firing(subject: str = "2") -> Alert:
    now = timezone.now()
    return Alert.objects.create(
        rule=Rule.objects.get(key="broker_down"), cluster=Cluster.objects.first() or make_cluster(),
        subject_kind="broker", subject=subject, state="firing", severity="critical",
        sentence=f"Broker {subject} is down", started_at=now, fired_at=now, changed_at=now,
    )  # fmt: skip


# -- acknowledging by a link


def path_of(alert: Alert, channel: str = "on-call") -> str:
    link = messages.acknowledge_link(alert, channel)
    return link.removeprefix(messages.public_url())


def test_looking_at_the_link_acknowledges_nothing_and_its_button_does() -> None:
    alert = firing()
    anyone = Client(enforce_csrf_checks=True)
    path = path_of(alert)
    for method in (anyone.get, anyone.head, anyone.get):
        response = method(path)
        assert response.status_code == 200
        assert "no-store" in response["Cache-Control"]
        alert.refresh_from_db()
        assert alert.acknowledged_at is None
    page = anyone.get(path).content.decode()
    assert "Broker 2 is down" in page
    assert anyone.post(path).status_code == 403, "a foreign page cannot press it"
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token is not None
    response = anyone.post(path, {"csrfmiddlewaretoken": token[1]})
    assert "Acknowledged" in response.content.decode()
    alert.refresh_from_db()
    assert alert.acknowledged_by == "the link sent to on-call"
    assert Transition.objects.get(alert=alert).new_state == "acknowledged"
    assert AuditEntry.objects.get(action="acknowledge").who == "the link sent to on-call"
    anyone.post(path, {"csrfmiddlewaretoken": token[1]})
    assert Transition.objects.count() == 1, "once is enough"


def test_who_is_signed_in_is_named(viewer: Client) -> None:
    alert = firing()
    viewer.post(path_of(alert))
    alert.refresh_from_db()
    assert alert.acknowledged_by == "vera, by the link sent to on-call"


def test_a_link_that_is_old_cut_off_or_of_another_alert_does_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = firing()
    path = path_of(alert)
    token = path.rstrip("/").rpartition("/")[2]
    anyone = Client()
    changed = signing.dumps([alert.pk, int(alert.started_at.timestamp()), "x"], salt="another use", compress=True)
    for wrong in (token[:-1] + ("A" if token[-1] != "A" else "B"), token[:-3], "x", changed, "a" * 3000):
        assert anyone.post(f"/acknowledge/{wrong}/").status_code == 404
    odd = signing.dumps({"a": 1}, salt=messages._SALT)
    assert anyone.post(f"/acknowledge/{odd}/").status_code == 404
    Alert.objects.filter(pk=alert.pk).update(started_at=alert.started_at - timedelta(hours=1))
    assert anyone.post(path).status_code == 410, "another alert has its number now"
    Alert.objects.filter(pk=alert.pk).update(started_at=alert.started_at)
    monkeypatch.setattr(messages, "ACKNOWLEDGE_FOR", timedelta(seconds=-1))
    assert anyone.post(path).status_code == 410
    alert.refresh_from_db()
    assert alert.acknowledged_at is None
    monkeypatch.undo()
    settings.SECRET_KEY = "another-instance-key-of-many-letters"
    assert anyone.post(path).status_code == 404


def test_an_alert_that_is_over_needs_no_acknowledgement() -> None:
    alert = firing()
    path = path_of(alert)
    Alert.objects.update(state="resolved", resolved_at=timezone.now())
    assert "It is over" in Client().get(path).content.decode()
    Client().post(path)
    alert.refresh_from_db()
    assert alert.acknowledged_at is None


def test_the_link_stands_in_the_message_with_absolute_times() -> None:
    webhook_channel()
    alert = firing()
    telling.tell([telling.Telling(alert, "firing", alert.sentence, {})], now=timezone.now())
    payload = Delivery.objects.get().payload
    assert re.search(
        r"/clusters/[a-z]+/brokers/2/\?from=\d{4}-\d\d-\d\dT[\d:]+Z&to=\d{4}-\d\d-\d\dT[\d:]+Z$", payload["link"]
    )
    assert "/acknowledge/" in payload["acknowledge"]


# -- channels


TYPED: dict[str, dict[str, str]] = {
    "email": {
        "recipients": "ops@example.org", "sender": "sg@example.org", "host": "127.0.0.1", "port": "2525",
        "security": "starttls", "user": "ann", "password": "PLANTED-1",
    },
    "slack": {"token": "xoxb-PLANTED-1-abcdefgh", "channel": "#ops", "api": "http://127.0.0.1:9/api"},
    "slack_webhook": {"url": "http://127.0.0.1:9/PLANTED-1"},
    "pagerduty": {"routing_key": "PLANTED1".ljust(32, "x"), "api": "http://127.0.0.1:9/"},
    "alertmanager": {"url": "http://127.0.0.1:9", "token": "PLANTED-1"},
    "teams": {"url": "http://127.0.0.1:9/PLANTED-1"},
    "apprise": {"url": "discord://4174216298/PLANTED-1_JHMHI8qBe7bk2ZwO5U711o3dV_js"},
    "webhook": {"url": "http://127.0.0.1:9/PLANTED-1", "secret": "PLANTED-1-secret"},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_made_by_its_form_tested_and_shows_no_secret(kind: str, admin: Client) -> None:
    assert set(TYPED) == set(KINDS) == {word for word, _ in Channel.Kind.choices}
    assert KINDS[kind].label in admin.get(f"/settings/channels/new/?kind={kind}").content.decode()
    form = {"kind": kind, "name": "on-call", "is_enabled": "on", **TYPED[kind]}
    response = admin.post("/settings/channels/new/", form)
    assert response.status_code == 302, response.content.decode()[-2000:]
    channel = Channel.objects.get()
    assert channel.kind == kind
    assert b"PLANTED" not in bytes(channel.settings_encrypted)
    assert admin.post(f"/settings/channels/{channel.pk}/test/").status_code == 302
    for path in ("/settings/channels/", f"/settings/channels/{channel.pk}/", "/alerts/", "/alerts/routes/"):
        assert "PLANTED" not in admin.get(path).content.decode()
    assert "PLANTED" not in f"{outbox.settings_of(channel)!r} {outbox.settings_of(channel)} {channel!r} {vars(channel)}"
    assert "PLANTED" not in str(AuditEntry.objects.get(action="channel made").detail)
    kept = {one.name: TYPED[kind].get(one.name, "") for one in KINDS[kind].fields if not one.is_secret}
    admin.post(f"/settings/channels/{channel.pk}/", {"name": "night", "is_enabled": "on", **kept})
    channel.refresh_from_db()
    assert channel.name == "night"
    assert "PLANTED" in str(dict(outbox.settings_of(channel))), "left empty, the secret stays"


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_form_says_what_each_field_needs(kind: str, admin: Client) -> None:
    response = admin.post("/settings/channels/new/", {"kind": kind, "name": "x"})
    assert response.status_code == 422
    page = response.content.decode()
    for field in KINDS[kind].fields:
        if field.is_required and not field.default:
            assert f'id="{field.name}-err"' in page, field.name
    assert not Channel.objects.exists()


# -- routes


def test_an_admin_makes_changes_and_deletes_a_route(admin: Client, viewer: Client) -> None:
    channel = webhook_channel("night")
    form = {
        "name": "Nights", "is_enabled": "on", "severities": ["critical"], "cluster": "prod-*", "rule": "broker_*",
        "broker": "1", "weekdays": ["0", "4"], "begins": "22:00", "ends": "6:30", "zone": "Europe/Berlin",
        "channels": [str(channel.pk)],
    }  # fmt: skip
    response = admin.post("/alerts/routes/new/", form)
    assert response.status_code == 302, response.content.decode()
    route = Route.objects.get()
    assert (route.severities, route.labels, route.weekdays) == (
        ["critical"],
        {"rule": "broker_*", "broker": "1"},
        [0, 4],
    )
    page = viewer.get("/alerts/routes/").content.decode()
    assert "critical alerts of cluster prod-*, rule broker_*, broker 1" in page
    assert "Mon, Fri, 22:00 to 06:30 (Europe/Berlin)" in page
    assert 'value="22:00"' in admin.get(f"/alerts/routes/{route.pk}/").content.decode()
    admin.post(f"/alerts/routes/{route.pk}/", {"name": "Nights", "cluster": ""})
    route.refresh_from_db()
    assert (route.is_enabled, route.cluster, route.begins, list(route.channels.all())) == (False, "*", None, [])
    assert "nobody" in viewer.get("/alerts/routes/").content.decode()
    assert viewer.post(f"/alerts/routes/{route.pk}/delete/").status_code == 403
    admin.post(f"/alerts/routes/{route.pk}/delete/")
    assert not Route.objects.exists()
    assert [entry.action for entry in AuditEntry.objects.order_by("id")] == [
        "route made", "route changed", "route deleted",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"name": ""}, "name", "required"),
        ({"begins": "25:00", "ends": "06:00"}, "begins", "“25:00” is no time of the day"),
        ({"begins": "22:00"}, "ends", "both a beginning and an end"),
        ({"weekdays": ["0"]}, "begins", "00:00 to 00:00"),
        ({"weekdays": ["9"], "begins": "1:00", "ends": "2:00"}, "weekdays", "9"),
        ({"zone": "Berlin"}, "zone", "“Berlin” is no time zone"),
        ({"severities": ["fatal"]}, "severities", "fatal"),
        ({"channels": ["999"]}, "channels", "999"),
        ({"group": "a", "topic": "b"}, "topic", "cannot have a group and a topic"),
    ],
)
def test_a_route_that_cannot_be_is_refused_beside_its_field(
    changes: dict[str, Any], field: str, words: str, admin: Client
) -> None:
    response = admin.post("/alerts/routes/new/", {"name": "x", "is_enabled": "on", "cluster": "*", **changes})
    assert response.status_code == 422
    page = response.content.decode()
    assert f'id="{field}-err"' in page
    assert words in page
    assert not Route.objects.exists()


# -- maintenance


WEEKLY = {
    "reason": "patch day", "cluster": "prod-*", "repeat": "weekly", "weekdays": ["6"], "begins": "02:00",
    "length": "3h", "zone": "UTC",
}  # fmt: skip


def test_an_operator_plans_maintenance_and_takes_it_away(operator: Client) -> None:
    once = {"reason": "new disks", "cluster": "*", "repeat": "once", "starts": "now", "length": "90m", "zone": ""}
    assert operator.post("/alerts/maintenance/new/", once).status_code == 302
    assert operator.post("/alerts/maintenance/new/", WEEKLY).status_code == 302
    now_open, weekly = Maintenance.objects.order_by("id")
    assert now_open.ends_at is not None
    assert timedelta(minutes=89) < now_open.ends_at - timezone.now() <= timedelta(minutes=90)
    assert (weekly.weekdays, weekly.minutes) == ([6], 180)
    page = operator.get("/alerts/maintenance/").content.decode()
    assert "1 maintenance window is open" in page
    assert "Sun from 02:00 for 3\u202fh (UTC)" in page
    operator.post(f"/alerts/maintenance/{now_open.pk}/end/")
    assert "No maintenance now; the next begins" in operator.get("/alerts/maintenance/").content.decode()
    actions = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["maintenance made", "maintenance made", "maintenance ended"]


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"reason": " "}, "reason", "required"),
        ({"length": "long"}, "length", "“long” is no length"),
        ({"length": "8d"}, "length", "1 minute to 7 days"),
        ({"length": "0m"}, "length", "1 minute to 7 days"),
        ({"begins": ""}, "begins", "Type the time of the day"),
        ({"begins": "2 am"}, "begins", "“2 am” is no time of the day"),
        ({"zone": "../etc"}, "zone", "is no time zone"),
        ({"repeat": "yearly"}, "repeat", "yearly"),
        ({"repeat": "once", "starts": "tomorrow"}, "starts", "“tomorrow” is not a time"),
        ({"repeat": "once", "starts": "now-1d"}, "starts", "it would be over"),
        ({"repeat": "once", "starts": "now+2y"}, "starts", "more than a year away"),
    ],
)
def test_maintenance_that_cannot_be_is_refused_beside_its_field(
    changes: dict[str, str], field: str, words: str, operator: Client
) -> None:
    response = operator.post("/alerts/maintenance/new/", {**WEEKLY, **changes})
    assert response.status_code == 422
    page = response.content.decode()
    assert f'id="{field}-err"' in page
    assert words in page
    assert not Maintenance.objects.exists()


def test_the_alert_page_says_why_nobody_was_told(operator: Client) -> None:
    cause, held = firing("2"), firing("3")
    Alert.objects.filter(pk=held.pk).update(
        is_held_back=True, held_by=cause, held_reason="held back by its cause: Broker 2 is <down>",
        rule=Rule.objects.get(key="under_replicated"), subject="2",
    )  # fmt: skip
    page = operator.get("/alerts/").content.decode()
    assert "held back by its cause: Broker 2 is &lt;down&gt;" in page
    assert "It is told when that is over and it still fires" in page
