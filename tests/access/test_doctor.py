"""`manage.py doctor`: each wrong combination is named with its fix, a sound installation is not complained about."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django import Settings

from collectors import secrets
from collectors.models import Cluster, Cycle
from dashboard.access.combinations import Level, Setup, judge, unknown_variables
from dashboard.alerts.addresses import parse_networks
from dashboard.live.origin import parse_origin
from dashboard.models import Refused
from dashboard.reach import NOWHERE, parse_public_url

SOUND = Setup(
    host="127.0.0.1", port=8000, public=NOWHERE, allowed_hosts=["localhost", "127.0.0.1", "[::1]"], trusted_origins=[],
    trusted_proxies=[], allowed_networks=[], metrics_token="", is_debug=False, is_demo=False, is_open=False,
    is_sqlite=True, has_redis=False, has_own_key=False, has_former_keys=False,
)  # fmt: skip
PUBLIC = replace(
    SOUND, public=parse_public_url("https://gauge.example.org"), trusted_proxies=["loopback"], metrics_token="t" * 24
)
OPEN_PORT = replace(SOUND, host="0.0.0.0", allowed_hosts=["gauge.example.org"], metrics_token="t" * 24)


def judged(setup: Setup) -> list[Any]:
    return judge(setup, is_origin=lambda text: parse_origin(text) is not None, check_networks=parse_networks)


@pytest.mark.parametrize("setup", [SOUND, PUBLIC, replace(SOUND, is_debug=True), replace(SOUND, is_open=True)])
def test_what_fits_together_is_not_complained_about(setup: Setup) -> None:
    assert judged(setup) == []


@pytest.mark.parametrize(
    ("setup", "level", "what", "fix"),
    [
        (replace(SOUND, port=99999), Level.BAD, "STREAMGAUGE_PORT is 99999", "1 to 65535"),
        (replace(SOUND, allowed_hosts=["*"]), Level.BAD, "ALLOWED_HOSTS holds *", "name the hosts"),
        (replace(SOUND, host="0.0.0.0"), Level.BAD, "answered by 400", "STREAMGAUGE_PUBLIC_URL"),
        (OPEN_PORT, Level.NOTE, "without TLS", "STREAMGAUGE_TRUSTED_PROXIES"),
        (replace(PUBLIC, trusted_proxies=[]), Level.BAD, "no proxy is trusted", "loopback"),
        (replace(SOUND, trusted_proxies=["loopback"]), Level.NOTE, "past the proxy", "STREAMGAUGE_PUBLIC_URL"),
        (replace(PUBLIC, trusted_proxies=["0.0.0.0/0"]), Level.BAD, "trusts every address", "own address"),
        (replace(PUBLIC, is_debug=True), Level.BAD, "STREAMGAUGE_DEBUG", "switch it off"),
        (replace(PUBLIC, is_demo=True), Level.BAD, "STREAMGAUGE_DEMO", "make demo"),
        (replace(PUBLIC, is_open=True), Level.NOTE, "STREAMGAUGE_OPEN_READ_ONLY", "leave it out"),
        (replace(PUBLIC, metrics_token=""), Level.NOTE, "/metrics answers everyone", "STREAMGAUGE_METRICS_TOKEN"),
        (replace(SOUND, metrics_token="short"), Level.BAD, "has 5 characters", "openssl"),
        (replace(SOUND, trusted_origins=["gauge.example.org"]), Level.BAD, "no whole origin", "scheme, host and port"),
        (replace(SOUND, trusted_origins=["https://*.example.org/x"]), Level.BAD, "no whole origin", "scheme"),
        (replace(PUBLIC, trusted_origins=["http://a.example"]), Level.NOTE, "trusted without TLS", "https"),
        (replace(SOUND, has_redis=True), Level.NOTE, "the database is SQLite", "DATABASE_URL"),
        (
            replace(SOUND, is_sqlite=False, has_redis=True),
            Level.NOTE,
            "another data folder cannot read",
            "same STREAMGAUGE_SECRET_KEY",
        ),
        (replace(SOUND, has_former_keys=True), Level.BAD, "cannot be rotated", "a line each"),
        (replace(SOUND, allowed_networks=["nonsense"]), Level.BAD, "nonsense", "STREAMGAUGE_ALLOWED_NETWORKS"),
    ],
)
def test_each_wrong_combination_is_named_with_its_fix(setup: Setup, level: Level, what: str, fix: str) -> None:
    found = [one for one in judged(setup) if what in one.what]
    assert len(found) == 1, judged(setup)
    assert found[0].level == level
    assert fix in found[0].fix


def test_a_slip_of_the_pen_is_found() -> None:
    found = unknown_variables(
        ["STREAMGAUGE_PUBLIC_ULR", "STREAMGAUGE_PORT", "PATH"], {"STREAMGAUGE_PUBLIC_URL": "", "STREAMGAUGE_PORT": ""}
    )
    assert [one.fix for one in found] == ["did you mean STREAMGAUGE_PUBLIC_URL?"]


@pytest.fixture
def sound(settings: Settings, tmp_path: Path, db: None, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("STREAMGAUGE_DEMO", "STREAMGAUGE_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    settings.DATA_DIR = tmp_path
    settings.INSTANCE_KEY = secrets.load_or_make_keys(tmp_path, None)
    settings.PORT = 1  # nobody listens there
    return settings


def examined(**options: Any) -> tuple[str, int]:
    out = StringIO()
    try:
        call_command("doctor", stdout=out, **options)
    except SystemExit as end:
        return out.getvalue(), int(end.code or 0)
    return out.getvalue(), 0


def test_a_sound_installation_ends_with_zero(sound: Settings) -> None:
    said, code = examined()
    assert "BAD" not in said
    assert code == 0
    assert "up to date" in said


def test_a_key_file_that_others_read_is_bad(sound: Settings, tmp_path: Path) -> None:
    (tmp_path / secrets.KEY_FILE).chmod(0o644)
    said, code = examined()
    assert re.search(r"BAD  the key file .* has mode 0644\n +chmod 600 ", said)
    assert code == 1


def test_clusters_as_code_are_read_as_the_next_start_will_read_them(
    sound: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMGAUGE_CLUSTERS_0_NAME", "Orders")
    monkeypatch.setenv("STREAMGAUGE_CLUSTERS_0_BOOTSTRAP_SERVERS", "a:9092")
    (tmp_path / "clusters.yaml").write_text("clusters:\n- {name: Logs, properties: {bootstrap.servers: 'b:9092'}}\n")
    said, code = examined()
    assert "2 clusters by" in said
    assert "nothing reads the variable" not in said
    assert code == 0
    (tmp_path / "clusters.yaml").write_text("clusters:\n- {name: Logs, properties: {bootstrap.servers: b}}\n")
    said, code = examined()
    assert "BAD  clusters.yaml, line 2: bootstrap.servers 'b': use host:port" in said
    assert code == 1


def test_secrets_of_another_key_are_bad(sound: Settings) -> None:
    blob = secrets.encrypt({"a": 1}, "another key altogether")
    cluster = Cluster.objects.create(slug="c", name="C", settings_encrypted=blob)
    said, code = examined()
    assert f"the stored secrets of cluster {cluster.pk} cannot be read" in said
    assert code == 1


def test_redis_that_does_not_answer_is_bad_and_its_password_is_not_shown(sound: Settings) -> None:
    sound.REDIS_URL = "redis://:hunter2hunter2@127.0.0.1:1/0"
    said, code = examined()
    assert "Redis does not answer (ConnectionError)" in said
    assert "hunter2" not in said
    assert code == 1


def test_a_public_url_that_does_not_answer_is_bad_when_asked_for(sound: Settings) -> None:
    sound.PUBLIC = parse_public_url("http://127.0.0.1:1")
    sound.PUBLIC_URL = sound.PUBLIC.text
    assert "BAD  http://127.0.0.1:1: nothing answers" not in examined()[0]
    said, code = examined(reach=True)
    assert "BAD  http://127.0.0.1:1: nothing answers" in said
    assert code == 1


def test_a_cycle_of_the_future_is_a_wrong_clock(sound: Settings) -> None:
    cluster = Cluster.objects.create(slug="c", name="C", settings_encrypted=b"")
    later = timezone.now() + timedelta(hours=1)
    times = {"due_at": later, "started_at": later, "taken_at": later, "ended_at": later}
    Cycle.objects.create(cluster=cluster, number=1, epoch=1, is_reachable=True, **times)
    said, code = examined()
    assert "ahead of this machine's clock" in said
    assert code == 1


def test_what_was_refused_lately_is_shown_with_its_setting(sound: Settings) -> None:
    Refused.objects.create(kind="socket", seen="Origin 'https://x'", advice="set that", count=3, last_at=timezone.now())
    said, code = examined()
    assert "3 × a live socket was refused" in said
    assert "Origin 'https://x'" in said
    assert "set that" in said
    assert code == 0
