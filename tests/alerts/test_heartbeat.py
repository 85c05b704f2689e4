"""A beat each minute while the watch is whole, its failures shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from collectors.models import Cluster, Lease
from dashboard.alerts import heartbeat
from dashboard.alerts.heartbeat import HeartbeatLoop
from dashboard.models import Heartbeat, Role
from tests.pages.conftest import sign_in

from .receiver import Receiver, status
from .stage import Stage

pytestmark = pytest.mark.django_db


@pytest.fixture
def beating(receiver: Receiver, settings: Any) -> HeartbeatLoop:
    settings.ALLOWED_NETWORKS = ["loopback"]
    settings.HEARTBEAT_URL = receiver.url + "/T0K3N"
    stage = Stage()
    stage.cycle()
    held("judge")
    held(f"cluster:{stage.id}")
    return HeartbeatLoop()


def held(name: str, *, seconds: float = 60) -> None:
    assert Lease.objects.acquire(name, holder="here", seconds=seconds) is not None


def minute_passes(seconds: float = 61) -> None:
    Heartbeat.objects.update(attempted_at=timezone.now() - timedelta(seconds=seconds))


def page() -> str:
    client: Client = sign_in(Role.VIEWER, f"v{Heartbeat.objects.count()}-{timezone.now().timestamp()}")
    return client.get("/instance/?fragment=loops").content.decode()


def test_it_beats_once_a_minute_however_many_processes_there_are(beating: HeartbeatLoop, receiver: Receiver) -> None:
    assert beating.turn()
    assert not beating.turn()
    assert not HeartbeatLoop().turn(), "another process"
    minute_passes(58)
    assert not beating.turn()
    minute_passes()
    assert HeartbeatLoop().turn()
    assert len(receiver.received) == 2
    body = receiver.received[0].json
    assert (body["program"], body["clusters"]) == ("streamgauge", 1)
    assert "prod" not in str(body), "no cluster is named to a stranger"
    shown = page()
    assert "taken" in shown
    assert "T0K3N" not in shown


@pytest.mark.slow
def test_a_beat_that_is_not_taken_is_tried_again_soon_and_shown(beating: HeartbeatLoop, receiver: Receiver) -> None:
    receiver.script = [status(500, b"down <b>"), status(302)]
    beating.turn()
    minute_passes(14)
    assert not beating.turn()
    minute_passes(16)
    assert beating.turn()
    row = Heartbeat.objects.get()
    assert (row.failures, row.last_status, row.succeeded_at) == (2, 302, None)
    shown = page()
    assert "not taken" in shown
    assert "2 times" in shown.replace("\u202f", " ")
    minute_passes(16)
    beating.turn()
    row.refresh_from_db()
    assert (row.failures, row.succeeded_at is None) == (0, False)


@pytest.mark.parametrize("what", ["judge", "sampler"])
def test_it_is_withheld_while_the_watch_is_not_whole(what: str, beating: HeartbeatLoop, receiver: Receiver) -> None:
    Lease.objects.filter(name__startswith="judge" if what == "judge" else "cluster:").update(holder="")
    beating.turn()
    assert receiver.received == []
    said = Heartbeat.objects.get().last_error
    why = "nobody judges the rules" if what == "judge" else "1 cluster sampled by nobody: prod"
    assert said.replace("\u202f", " ") == f"withheld: {why}"
    if what == "sampler":
        Cluster.objects.update(is_paused=True)
        minute_passes(16)
        beating.turn()
        assert len(receiver.received) == 1, "a paused cluster is nobody's to sample"


def test_the_address_policy_holds_for_it_too(beating: HeartbeatLoop, receiver: Receiver, settings: Any) -> None:
    settings.ALLOWED_NETWORKS = []
    beating.turn()
    assert receiver.received == []
    assert "add loopback to STREAMGAUGE_ALLOWED_NETWORKS" in Heartbeat.objects.get().last_error


def test_without_an_address_nothing_is_sent_and_the_page_says_how(settings: Any) -> None:
    settings.HEARTBEAT_URL = ""
    assert not HeartbeatLoop().turn()
    assert heartbeat.pulse(timezone.now()) is None
    assert "STREAMGAUGE_HEARTBEAT_URL" in page()
