"""Put a cluster under watch."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.text import slugify

from collectors.kafka.reading import read_any_file, read_settings
from collectors.kafka.settings import SettingsError
from collectors.models import Cluster
from collectors.secrets import encrypt


class Command(BaseCommand):
    help = "Put a cluster under watch: addcluster NAME --bootstrap HOST:PORT, or --properties FILE (- for stdin)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--slug", help="part of the address; made from the name by default")
        parser.add_argument("--bootstrap", metavar="HOST:PORT[,HOST:PORT]")
        parser.add_argument("--properties", metavar="FILE", help="a client.properties file, - for standard input")
        parser.add_argument("--interval", type=float, default=5.0, help="seconds between cycles, 1 to 300 (default 5)")

    def handle(self, *args: Any, **options: Any) -> None:
        name, slug = options["name"].strip(), options["slug"] or slugify(options["name"])
        if not slug:
            raise CommandError(f"no address can be made from the name {options['name']!r}: give one by --slug")
        if not 1.0 <= options["interval"] <= 300.0:
            raise CommandError(f"--interval {options['interval']:g} is outside 1 to 300 seconds")
        if bool(options["bootstrap"]) == bool(options["properties"]):
            raise CommandError("give either --bootstrap HOST:PORT or --properties FILE")
        try:
            reading = read_settings(self._properties(options), read_file=read_any_file)
        except SettingsError as error:
            raise CommandError(str(error)) from None
        if Cluster.objects.filter(slug=slug).exists():
            raise CommandError(f"a cluster with the address {slug!r} is there already: give another by --slug")
        Cluster.objects.create(
            slug=slug,
            name=name,
            settings_encrypted=encrypt(reading.settings.to_stored(), settings.INSTANCE_KEY),
            interval_seconds=options["interval"],
        )
        for note in reading.notes:
            self.stdout.write(f"  {note}")
        self.stdout.write(f"{name} is watched from now on: /clusters/{slug}/")

    def _properties(self, options: dict[str, Any]) -> str | dict[str, str]:
        if options["bootstrap"]:
            return {"bootstrap.servers": options["bootstrap"]}
        if options["properties"] == "-":
            return sys.stdin.read()
        path = Path(options["properties"])
        if not path.is_file():
            raise CommandError(f"there is no file {str(path)!r}")
        return path.read_text(encoding="utf-8")
