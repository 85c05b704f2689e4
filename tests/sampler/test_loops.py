"""The supervisor of the resident loops: one that dies is restarted, or ends the process; one cluster harms no other."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from django.conf import settings

from collectors import loop
from collectors.kafka.settings import ConnectionSettings
from collectors.models import Cluster, Lease
from collectors.secrets import encrypt
from dashboard import loops
from dashboard.loops import DEATHS_ALLOWED, ResidentLoops

pytestmark = pytest.mark.django_db


class Dying:
    """A loop that cannot run."""

    name, interval, last_turn, trouble = "judge", 1.0, 0.0, ""

    def run(self, stop: threading.Event) -> None:
        raise RuntimeError("it is broken")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, loop.Loop]:
    """Loops that would have been started, by name."""
    found: dict[str, loop.Loop] = {}
    monkeypatch.setattr(ResidentLoops, "_start", lambda self, name, made: found.update({name: made}))
    return found


def die_once(resident: ResidentLoops) -> None:
    """A loop's life, in a thread with a database connection of its own; without the pause before a restart."""
    stop = threading.Event()
    stop.set()
    thread = threading.Thread(target=resident._run, args=("judge", Dying(), stop))
    thread.start()
    thread.join(10)


def test_a_loop_that_keeps_dying_ends_the_process() -> None:
    fatal: list[str] = []
    resident = ResidentLoops(on_fatal=fatal.append)
    for death in range(1, DEATHS_ALLOWED + 1):
        assert fatal == []
        die_once(resident)
        assert len(resident._deaths["judge"]) == death
    assert fatal == ["judge"]


def test_deaths_long_ago_are_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(loops, "time", SimpleNamespace(monotonic=lambda: clock.now))
    fatal: list[str] = []
    resident = ResidentLoops(on_fatal=fatal.append)
    for _ in range(3 * DEATHS_ALLOWED):
        clock.now += 40.0  # never five within two minutes
        die_once(resident)
    assert fatal == []


def test_the_end_of_the_process_is_not_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    loops._end_process("judge")
    assert codes
    assert codes[0] != 0


def test_a_cluster_whose_settings_cannot_be_read_does_not_stop_the_others(started: dict[str, loop.Loop]) -> None:
    stored = ConnectionSettings.from_properties({"bootstrap.servers": "127.0.0.1:1"}).to_stored()
    Cluster.objects.create(slug="lost", name="Lost", settings_encrypted=encrypt(stored, "another key"))
    Cluster.objects.create(slug="odd", name="Odd", settings_encrypted=encrypt({"no": "such"}, settings.INSTANCE_KEY))
    fine = Cluster.objects.create(slug="fine", name="Fine", settings_encrypted=encrypt(stored, settings.INSTANCE_KEY))
    resident = ResidentLoops(on_fatal=lambda name: pytest.fail(f"{name} ended the process"))
    resident._keep_samplers()
    assert list(started) == ["sampler fine"]
    assert list(Lease.objects.values_list("name", flat=True)) == [f"cluster:{fine.pk}"]

    lost = Cluster.objects.get(slug="lost")
    lost.settings_encrypted = encrypt(stored, settings.INSTANCE_KEY)
    lost.save()
    resident._running = {}
    resident._clusters = {}
    resident._keep_samplers()
    assert "sampler lost" in started, "settings that were mended are tried again"
