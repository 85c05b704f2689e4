"""What the commands of single processes say and answer before anything else runs."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django import Settings

from dashboard import probes
from dashboard.management.commands.web import free_port
from dashboard.metrics.readiness import Readiness


@pytest.mark.parametrize("command", ["worker", "beat"])
def test_without_redis_a_worker_says_what_is_missing(command: str, settings: Settings) -> None:
    settings.REDIS_URL = ""
    with pytest.raises(CommandError, match="REDIS_URL is not set"):
        call_command(command)


def test_web_does_not_step_over_a_taken_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"port {port} on 127.0.0.1 is taken"):
            free_port("127.0.0.1", port, tried=1)


def test_probes_answer_as_the_pages_do(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Readiness((), "reachable"), Readiness((), "unreachable: OperationalError")]
    monkeypatch.setattr(probes, "readiness", lambda: found[0])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    probes.answer_probes("127.0.0.1", port)
    assert asked(port, "/healthz") == (200, {"status": "alive"})
    assert asked(port, "/readyz") == (200, {"status": "ready", "database": "reachable", "late_loops": []})
    del found[0]
    status, said = asked(port, "/readyz")
    assert status == 503
    assert said["database"] == "unreachable: OperationalError"
    assert asked(port, "/")[0] == 404
    with pytest.raises(CommandError, match="probes cannot be answered"):
        probes.answer_probes("127.0.0.1", port)


def asked(port: int, path: str) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
