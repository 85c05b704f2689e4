"""The floors of the program: an import only ever goes down, and each technology has one room."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# DESIGN.md, "Two sides". The longest prefix counts.
FLOORS = {
    "manage": 9,
    "collectors": 9,  # commands and the demo
    "collectors.apps": 0,
    "collectors.secrets": 0,
    "collectors.loop": 0,
    "collectors.storage": 0,
    "collectors.backlog": 0,
    "collectors.conductor": 0,
    "collectors.domain": 0,
    "collectors.kafka": 1,
    "collectors.models": 2,
    "collectors.migrations": 2,
    "collectors.history": 3,
    "collectors.alone": 4,
    "collectors.changes": 4,
    "collectors.heads": 4,
    "collectors.insight": 4,
    "collectors.inventory": 4,
    "collectors.membership": 4,
    "collectors.ownership": 4,
    "collectors.past": 4,
    "collectors.sampler": 4,
    "collectors.expected_commits": 4,
    "collectors.commit_epochs": 4,
    "collectors.asking": 4,
    "collectors.share_groups": 4,
    "collectors.shares": 4,
    "collectors.waiting": 4,
    "collectors.roster": 4,
    "collectors.as_code": 4,
    "collectors.clusters_yaml": 4,
    "collectors.deadletters": 4,
    "dashboard": 9,  # commands, loops, urls, routing, asgi
    "dashboard.apps": 0,
    "dashboard.settings": 1,
    "dashboard.names": 0,
    "dashboard.logs": 0,
    "dashboard.reach": 0,
    "dashboard.subpath": 0,
    "dashboard.models": 2,
    "dashboard.migrations": 2,
    "dashboard.alerts.rules": 0,
    "dashboard.charts": 5,
    "dashboard.access": 5,
    "dashboard.live": 6,
    "dashboard.metrics": 6,
    "dashboard.alerts": 6,
    "dashboard.tasks": 7,
    "dashboard.celery": 7,
    "dashboard.pages": 8,
    "dashboard.templatetags": 8,
}
PURE = ("collectors.domain", "dashboard.alerts.rules")
SAMPLE_TABLES = {"Frame", "Layout", "Block", "Rollup"}

# Foreign package -> the modules (and what lies below them) that may import it.
ROOMS: dict[str, tuple[str, ...]] = {
    "kafka": ("collectors.kafka", "collectors.demo"),
    "confluent_kafka": ("collectors.kafka", "collectors.demo"),
    "fastavro": ("collectors.deadletters.decode",),
    "avro": ("collectors.deadletters.decode",),
    "google.protobuf": ("collectors.deadletters.decode",),
    "channels": ("dashboard.live", "dashboard.routing", "dashboard.asgi"),
    "prometheus_client": ("dashboard.metrics",),
    "celery": (
        "dashboard.celery",
        "dashboard.loops",
        "dashboard.tasks",
        *(f"dashboard.management.commands.{name}" for name in ("serve", "web", "worker", "beat")),
    ),
}


def is_in(module: str, *rooms: str) -> bool:
    return any(module == room or module.startswith(room + ".") for room in rooms)


def floor(module: str) -> int:
    if module in ("collectors", "dashboard"):
        return 0  # the packages themselves hold a version at most
    return FLOORS[max((room for room in FLOORS if is_in(module, room)), key=len)]


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def imports_of(module: str, tree: ast.Module, *, is_package: bool) -> Iterator[tuple[str, str]]:
    """(module, name or "") of every import, also inside functions; relative ones resolved, `from a import b` is a.b
    where that is a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            above = parts[: len(parts) - node.level + is_package] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                longer = f"{source}.{alias.name}"
                yield (longer, "") if is_module(longer) else (source, alias.name)


def complaints(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """What is wrong with the imports of one module, a sentence each."""
    out = []
    for target, name in imports_of(module, ast.parse(source), is_package=is_package):
        top = target.split(".")[0]
        what = f"{module} imports {target}"
        if is_in(module, "collectors") and top == "dashboard":
            out.append(f"{what}: collectors never imports dashboard")
        if is_in(module, *PURE) and not (top in sys.stdlib_module_names or top == "numpy" or is_in(target, *PURE)):
            out.append(f"{what}: it is pure (standard library, numpy, collectors.domain)")
        for package, rooms in ROOMS.items():
            if is_in(f"{target}.{name}", package) and not is_in(module, *rooms):
                out.append(f"{what}: only {', '.join(rooms)} may")
        is_sample = name in SAMPLE_TABLES or is_in(target, "collectors.models.samples")
        is_at_home = is_in(module, "collectors.history", "collectors.models")
        if is_in(target, "collectors.models") and is_sample and not is_at_home:
            out.append(f"{what}: only collectors.history touches the sample tables")
        is_other_room = top in ("collectors", "dashboard") and module.split(".")[:2] != target.split(".")[:2]
        if is_other_room and floor(target) > floor(module):
            out.append(f"{what}: from floor {floor(module)} up to {floor(target)}")
    return out


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted([*ROOT.glob("collectors/**/*.py"), *ROOT.glob("dashboard/**/*.py"), ROOT / "manage.py"]):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def test_no_import_goes_up_or_into_anothers_room() -> None:
    found = [
        complaint
        for module, path in modules()
        for complaint in complaints(module, path.read_text(), is_package=path.name == "__init__.py")
    ]
    assert found == []


@pytest.mark.parametrize(
    ("module", "source", "why"),
    [
        ("collectors.sampler", "from dashboard.models import Rule", "never imports dashboard"),
        ("collectors.demo.traffic", "import dashboard", "never imports dashboard"),
        ("collectors.domain.lag", "from django.utils import timezone", "it is pure"),
        ("collectors.domain.lag", "def f():\n    import orjson", "it is pure"),
        ("collectors.domain.lag", "from ..models import Cluster", "it is pure"),
        ("dashboard.alerts.rules", "from collectors.models import Cluster", "it is pure"),
        ("dashboard.alerts.rules", "from . import judge", "it is pure"),
        ("collectors.sampler", "from kafka.admin import KafkaAdminClient", "only collectors.kafka"),
        ("collectors.history.queries", "import confluent_kafka", "only collectors.kafka"),
        ("dashboard.metrics.parts", "from collectors.models import Frame", "touches the sample tables"),
        ("dashboard.metrics.parts", "from collectors.models.samples import Frame as F", "touches the sample tables"),
        ("collectors.sampler", "from .models import Cluster, Layout", "touches the sample tables"),
        ("collectors.kafka.peek", "import fastavro", "only collectors.deadletters.decode"),
        ("collectors.kafka.peek", "from google import protobuf", "only collectors.deadletters.decode"),
        ("dashboard.pages.groups", "from channels.layers import get_channel_layer", "only dashboard.live"),
        ("dashboard.pages.instance", "from prometheus_client import generate_latest", "only dashboard.metrics"),
        ("dashboard.alerts.sender", "from celery import shared_task", "only dashboard.celery"),
        ("collectors.management.commands.sample", "import celery", "only dashboard.celery"),
        ("dashboard.access.roles", "from dashboard.alerts import judge", "from floor 5 up to 6"),
        ("dashboard.live.hub", "from ..pages import groups", "from floor 6 up to 8"),
        ("dashboard.alerts.judge", "from dashboard import tasks", "from floor 6 up to 7"),
        ("collectors.history.queries", "from collectors import sampler", "from floor 3 up to 4"),
        ("collectors.kafka.session", "from collectors.models import Cluster", "from floor 1 up to 2"),
    ],
)
def test_a_planted_violation_is_found(module: str, source: str, why: str) -> None:
    found = complaints(module, source)
    assert any(why in complaint for complaint in found), found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("collectors.domain.lag", "import numpy as np\nfrom .numbers import Numbers\nimport dataclasses"),
        ("collectors.history.queries", "from collectors.models import Frame\nfrom collectors.domain.lag import sums"),
        ("dashboard.metrics.parts", "from collectors.domain.numbers import Layout\nfrom dashboard import __version__"),
        ("dashboard.pages.groups", "from dashboard import tasks"),
        ("collectors.demo.company", "import confluent_kafka\nfrom collectors.sampler import Sampler"),
    ],
)
def test_what_the_design_allows_is_not_complained_about(module: str, source: str) -> None:
    assert complaints(module, source) == []
