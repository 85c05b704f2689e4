"""The README's tables say what the program really has."""

from __future__ import annotations

import re
from pathlib import Path

from dashboard.metrics.registry import FAMILIES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
VARIABLE = re.compile(r"\b(?:STREAMGAUGE_[A-Z_]+|DATABASE_URL|REDIS_URL)\b")


def test_the_metrics_table_is_the_registry() -> None:
    rows = re.findall(r"^\| `(streamgauge_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", README, re.MULTILINE)
    expected = [(f.name, f.type, ", ".join(f.labels) or "–", f.help) for f in FAMILIES]
    assert rows == expected


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
