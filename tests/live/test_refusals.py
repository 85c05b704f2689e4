"""A refused socket is said where people look: in the page that cannot read the handshake, and for the doctor."""

from __future__ import annotations

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import Client

from dashboard.access import refusals
from dashboard.models import Refused

FOREIGN = "https://gauge.example.org"


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "_kept_at", {})


@pytest.mark.django_db(transaction=True)
async def test_a_refused_origin_is_kept_with_what_was_seen_and_the_setting() -> None:
    from dashboard.asgi import application

    headers = [(b"host", b"localhost:8000"), (b"origin", FOREIGN.encode())]
    for _ in range(3):
        await WebsocketCommunicator(application, "/ws/", headers=headers).connect()
    kept = await Refused.objects.aget(kind=Refused.Kind.SOCKET)
    assert kept.count == 1  # at most one a second is written
    assert FOREIGN in kept.seen
    assert "http://localhost:8000" in kept.seen
    assert "STREAMGAUGE_PUBLIC_URL" in kept.advice


@pytest.fixture
def client(db: None) -> Client:
    made = Client()
    made.force_login(User.objects.create(username="ada"))
    return made


def test_the_page_learns_why_its_socket_is_refused(client: Client) -> None:
    said = client.get("/ws/", {"origin": FOREIGN}).json()
    assert FOREIGN in said["refused"]
    assert "STREAMGAUGE_TRUSTED_ORIGINS" in said["advice"]


def test_where_nothing_is_wrong_nothing_is_said(client: Client) -> None:
    assert client.get("/ws/", {"origin": "http://testserver"}).json() == {"refused": "", "advice": ""}


def test_b8_a_proxy_that_strips_the_upgrade_is_found_out(client: Client) -> None:
    handshake = client.get("/ws/", headers={"Sec-WebSocket-Key": "x", "Sec-WebSocket-Version": "13"})
    assert handshake.status_code == 426
    said = client.get("/ws/", {"origin": "http://testserver"}).json()
    assert "without its Upgrade" in said["refused"]
    assert "proxy_set_header Upgrade" in said["advice"]
