"""Notification channels by form: validated, secret never shown, deleted only after a question."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import Settings

from dashboard.alerts import outbox
from dashboard.models import AuditEntry, Channel, Delivery

pytestmark = pytest.mark.django_db
SECRET = "a-secret-that-nobody-sees-again"


@pytest.fixture(autouse=True)
def _loopback(settings: Settings) -> None:
    settings.ALLOWED_NETWORKS = ["127.0.0.0/8"]


def made(admin: Client, **changes: str) -> Channel:
    form = {"name": "on-call", "url": "http://127.0.0.1:9/hooks/T0K3N", "secret": SECRET, "is_enabled": "on", **changes}
    response = admin.post("/settings/channels/new/", form)
    assert response.status_code == 302, response.content.decode()[-3000:]
    return Channel.objects.get()


def test_a_webhook_is_made_encrypted_and_audited(admin: Client) -> None:
    channel = made(admin)
    assert SECRET.encode() not in bytes(channel.settings_encrypted)
    stored = outbox.settings_of(channel)
    assert (stored["url"], stored["secret"]) == ("http://127.0.0.1:9/hooks/T0K3N", SECRET)
    entry = AuditEntry.objects.get(action="channel made")
    assert entry.who == "ada"
    assert SECRET not in str(entry.detail)
    for path in ("/settings/channels/", f"/settings/channels/{channel.pk}/"):
        page = admin.get(path).content.decode()
        assert SECRET not in page
        assert "T0K3N" not in page


def test_fields_left_empty_keep_what_is_stored(admin: Client) -> None:
    channel = made(admin)
    admin.post(f"/settings/channels/{channel.pk}/", {"name": "night shift", "url": "", "secret": ""})
    channel.refresh_from_db()
    assert (channel.name, channel.is_enabled) == ("night shift", False)
    assert outbox.settings_of(channel)["secret"] == SECRET
    admin.post(f"/settings/channels/{channel.pk}/", {"name": "night shift", "drop_secret": "on", "is_enabled": "on"})
    channel.refresh_from_db()
    assert outbox.settings_of(channel)["secret"] == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"url": ""}, "Type the address"),
        ({"url": "ftp://x/"}, "ftp"),
        ({"url": "http://10.0.0.1/"}, "STREAMGAUGE_ALLOWED_NETWORKS"),
        ({"name": ""}, "required"),
        ({"secret": "whsec_%%%"}, "base64"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(changes: dict[str, str], said: str, admin: Client) -> None:
    form = {"name": "x", "url": "http://127.0.0.1:9/", "secret": "", "is_enabled": "on", **changes}
    response = admin.post("/settings/channels/new/", form)
    assert response.status_code == 422
    assert 'role="alert"' in response.content.decode()
    assert said in response.content.decode()
    assert not Channel.objects.exists()


def test_a_name_is_taken_once(admin: Client) -> None:
    made(admin)
    response = admin.post("/settings/channels/new/", {"name": "on-call", "url": "http://127.0.0.1:9/"})
    assert response.status_code == 422
    assert b"already a channel" in response.content


def test_a_test_message_is_queued_and_shown_in_the_log(admin: Client) -> None:
    channel = made(admin)
    assert admin.post(f"/settings/channels/{channel.pk}/test/").status_code == 302
    delivery = Delivery.objects.get()
    assert (delivery.event, delivery.alert) == ("test", None)
    delivery.state, delivery.last_error = Delivery.State.DEAD, "connection refused <b>"
    delivery.save()
    page = admin.get("/settings/channels/").content.decode()
    assert "given up" in page
    assert "connection refused &lt;b&gt;" in page


def test_deleting_asks_first(admin: Client) -> None:
    channel = made(admin)
    assert b"Delete" in admin.get(f"/settings/channels/{channel.pk}/delete/").content
    assert Channel.objects.exists()
    admin.post(f"/settings/channels/{channel.pk}/delete/")
    assert not Channel.objects.exists()
    assert AuditEntry.objects.filter(action="channel deleted").exists()
    assert admin.get("/settings/channels/999/").status_code == 404


def test_the_form_is_not_open_to_other_sites(admin: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = admin.cookies
    assert strict.post("/settings/channels/new/", {"name": "x", "url": "http://127.0.0.1:9/"}).status_code == 403
