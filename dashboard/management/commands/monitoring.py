"""`manage.py monitoring FOLDER`: write the Grafana dashboard and the alert rules for Prometheus."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from dashboard.metrics.monitoring import dashboard_json, rules_yaml

FILES = {"grafana/dashboards/streamgauge.json": dashboard_json, "prometheus/streamgauge.rules.yml": rules_yaml}


class Command(BaseCommand):
    help = "Write a Grafana dashboard and alert rules for Prometheus, made from the families of /metrics."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", nargs="?", type=Path, default=Path("docker"), help="where to (docker)")

    def handle(self, *args: Any, **options: Any) -> None:
        for name, make in FILES.items():
            path = options["folder"] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(make(), encoding="utf-8")
            self.stdout.write(str(path))
