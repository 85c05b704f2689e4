"""The README's tables say what the program really has."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from collectors.demo import jars
from collectors.domain.rights import COMMIT_TIMES, HEADS, NEEDS
from collectors.kafka.settings import MECHANISMS
from collectors.models import Cluster
from dashboard import __version__
from dashboard.alerts.channels.kinds import KINDS
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


def rows_of(heading: str) -> list[list[str]]:
    """The cells of the first table of a section, without its head."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_the_rights_are_those_that_the_program_asks_for() -> None:
    every = (*NEEDS, HEADS, COMMIT_TIMES)
    assert rows_of("Rights") == [[need.shows, need.operation, need.on] for need in every]


REAL, STAND_IN, NEVER = "run against the real thing", "against a stand-in", "never run"
TOUCHES = {
    "Apache Kafka 4.3.1, three": "mark.kafka",
    "Apache Kafka 3.7.2": "mark.brokers",
    "Transactions left open": "mark.kafka",
    "KIP-848 members": "mark.kafka",
    "Streams groups": "streams_answers",
    "A broker that does not tell": "NOT_OFFERED",
    "SASL": "SecuredKafka",
    "OAUTHBEARER": "OAUTHBEARER",
    "SQLite": "django_db|db: None",
    "PostgreSQL 15": "Postgres|processes",
    "Redis": "redis",
    "Chromium": "playwright",
    "nginx": "nginx",
    "Webhook": "receiver|Receiver",
    "E-mail": "smtp|Smtp",
    "Slack": "standins|stand",
    "Other services by apprise": "apprise",
    "Prometheus 2.42": "promtool",
    "The image": "venv|virtual",
    "The compose file": "docker-compose",
}
"""By the beginning of what was tried: a word of the tests that only those have which touch it."""


def test_what_was_tried_names_tests_that_touch_it() -> None:
    rows = rows_of("Tried")
    assert len(rows) > 15
    for what, how, by in rows:
        claim = next((known for known in (REAL, STAND_IN, NEVER) if how.startswith(known)), None)
        assert claim, f"{what}: {how!r}"
        named = re.findall(r"`(tests/[\w/]+\.py)`", by)
        assert bool(named) == (claim != NEVER), f"{what} is {how}, by {by!r}"
        texts = [(ROOT / name).read_text(encoding="utf-8") for name in named]
        assert all("def test_" in text for text in texts), what
        if texts:
            (word,) = [word for begin, word in TOUCHES.items() if what.startswith(begin)]
            assert any(re.search(word, text) for text in texts), f"{what}: no test named says {word}"


def test_what_was_tried_leaves_out_nothing_that_is_offered() -> None:
    tried = " ".join(what for what, _, _ in rows_of("Tried"))
    channels = {
        "webhook": "Webhook",
        "email": "E-mail",
        "slack": "Slack",
        "slack_webhook": "Slack (both)",
        "pagerduty": "PagerDuty",
        "alertmanager": "Alertmanager",
        "teams": "Teams",
        "apprise": "apprise",
    }
    assert channels.keys() == KINDS.keys()
    offered = [
        *MECHANISMS,
        *channels.values(),
        jars.KAFKA_VERSION,
        *jars.OLDER,
        "SQLite",
        "PostgreSQL",
        "Valkey",
        "Redis",
    ]
    assert [one for one in offered if one not in tried] == []


def test_the_files_that_the_readme_names_are_there() -> None:
    named = re.findall(r"`((?:tests|docs|docker|collectors|dashboard)/[\w./-]+)`", README)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_each_screenshot_is_there() -> None:
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert shown
    assert all((ROOT / name).stat().st_size > 10_000 for name in shown)
