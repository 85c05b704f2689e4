"""Put a cluster under watch."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from getpass import getpass
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from collectors import roster
from collectors.domain.scope import LISTS, Scope, ScopeError
from collectors.kafka.probe import Outcome, probe
from collectors.kafka.reading import Reading, read_any_file, read_settings
from collectors.kafka.settings import SettingsError


class Command(BaseCommand):
    help = "Put a cluster under watch: addcluster NAME --bootstrap HOST:PORT, or --properties FILE (- for stdin)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--slug", help="part of the address; made from the name by default")
        parser.add_argument("--bootstrap", metavar="HOST:PORT[,HOST:PORT]")
        parser.add_argument("--properties", metavar="FILE", help="a client.properties file, - for standard input")
        parser.add_argument(
            "--set",
            metavar="KEY=VALUE",
            action="append",
            default=[],
            help="a single client property beside --bootstrap, like security.protocol=SASL_SSL; may be repeated",
        )
        parser.add_argument(
            "--secret",
            metavar="KEY",
            action="append",
            default=[],
            help="a property whose value is asked for and not shown, like sasl.password; may be repeated",
        )
        parser.add_argument("--test", action="store_true", help="connect first, and add it only when that works")
        parser.add_argument("--interval", type=float, default=5.0, help="seconds between cycles, 1 to 300 (default 5)")
        parser.add_argument(
            "--commit-times",
            action="store_true",
            help="read when groups commit, from __consumer_offsets (needs Read on it; off by default)",
        )
        for field in LISTS:
            what, which = field.split("_")
            help_text = f"globs of {what} to {which}, separated by commas"
            parser.add_argument(f"--{what}-{which}", metavar="GLOB[,GLOB]", default="", help=help_text)

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["bootstrap"]) == bool(options["properties"]):
            raise CommandError("give either --bootstrap HOST:PORT or --properties FILE")
        if options["properties"] and (options.get("set") or options.get("secret")):
            raise CommandError("--set and --secret go with --bootstrap; a file holds all keys")
        try:
            reading = read_settings(self._properties(options), read_file=read_any_file)
            if options["test"]:
                self._test(reading)
            scope = Scope.read({field: options.get(field) or "" for field in LISTS})
            with transaction.atomic():
                cluster = roster.add(
                    name=options["name"],
                    slug=options["slug"] or "",
                    connection=reading.settings,
                    interval=options["interval"],
                    scope=scope,
                    commit_times=bool(options.get("commit_times")),
                )
                roster.announce("command line", "cluster added", cluster.slug, reading.settings)
        except (SettingsError, ScopeError, roster.RosterError) as error:
            raise CommandError(str(error)) from None
        for note in reading.notes:
            self.stdout.write(f"  {note}")
        self.stdout.write(f"{cluster.name} is watched from now on: /clusters/{cluster.slug}/")

    def _test(self, reading: Reading) -> None:
        """The connection test in text; a failed step ends the command."""
        failed = ""
        for step in probe(reading.settings, notes=reading.notes, taken=reading.taken):
            took = f" ({step.seconds * 1000:.0f} ms)" if step.seconds is not None else ""
            self.stdout.write(f"{step.outcome.upper():5} {step.title}: {step.say}{took}")
            for is_on, what, note in step.marks:
                self.stdout.write(f"      {'on ' if is_on else 'off'} {what}{': ' + note if note else ''}")
            for line in (step.fix, *step.lines):
                if line:
                    self.stdout.write(f"      {line}")
            if step.outcome is Outcome.BAD:
                failed = step.title
        if failed:
            raise CommandError(f"not added: {failed} failed")

    def _properties(self, options: dict[str, Any]) -> str | dict[str, str]:
        if options["bootstrap"]:
            return {"bootstrap.servers": options["bootstrap"], **self._single(options)}
        if options["properties"] == "-":
            return sys.stdin.read()
        path = Path(options["properties"])
        if not path.is_file():
            raise CommandError(f"there is no file {str(path)!r}")
        return path.read_text(encoding="utf-8")

    def _single(self, options: dict[str, Any]) -> dict[str, str]:
        """The properties given one by one."""
        found: dict[str, str] = {}
        for given in options.get("set") or []:
            key, equals, value = given.partition("=")
            if not equals or not key.strip():
                # nothing of it is quoted but its beginning: it may hold a password
                raise CommandError(f"--set {given[:20]!r}: use KEY=VALUE, like security.protocol=SASL_SSL")
            found[key.strip()] = value
        for key in options.get("secret") or []:
            found[key] = getpass(f"{key}: ")
        return found
