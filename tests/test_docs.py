"""The README's tables say what the program really has."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from collectors.models import Cluster
from dashboard import __version__
from dashboard.alerts.messages import payload_of
from dashboard.metrics.registry import readme_table
from dashboard.models import Alert, Rule

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
VARIABLE = re.compile(r"\b(?:STREAMGAUGE_[A-Z_]+|DATABASE_URL|REDIS_URL)\b")


def test_the_metrics_table_is_the_registry() -> None:
    rows = re.findall(r"^\| `streamgauge_.*$", README, re.MULTILINE)
    assert rows == readme_table().splitlines()[2:]


def test_the_webhooks_body_is_the_one_that_is_sent() -> None:
    shown = json.loads(README.split("```json")[1].split("```")[0])
    alert = Alert(rule=Rule(key="k"), cluster=Cluster(slug="demo"), started_at=datetime.now(UTC))
    sent = payload_of(alert, "firing", sentence="", numbers={})
    assert shown.keys() == sent.keys()
    assert all(shown[name].keys() == sent[name].keys() for name in ("rule", "cluster", "subject"))


def test_the_version_is_one() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__


def test_every_variable_that_is_read_is_in_the_configuration_table_and_no_other() -> None:
    section = README.split("## Configuration")[1].split("\n## ")[0]
    documented = set(re.findall(r"`([A-Z_]+)`", section))
    sources = [
        *(ROOT / "collectors").rglob("*.py"),
        *(ROOT / "dashboard").rglob("*.py"),
        ROOT / "tests" / "conftest.py",
    ]
    read = {
        name
        for path in sources
        for line in path.read_text(encoding="utf-8").splitlines()
        if "env." in line or "environ" in line
        for name in VARIABLE.findall(line)
    }
    assert documented == read
