"""What is stored of a cluster: show it, check it, take it out as CSV or Parquet and in again, say what it will take."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from collectors.domain import words
from collectors.history import exchange, forecast, parquet
from collectors.history.kinds import Kind
from collectors.models import Cluster


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        for name, text in (
            ("show", "what is stored, since when, how large"),
            ("forecast", "what it will take when as much is deleted as is added, and after a year"),
            ("verify", "read everything and name what is damaged; ends with 1 if anything is"),
        ):
            action = actions.add_parser(name, help=text)
            action.add_argument("cluster", nargs="?", help="slug; all clusters without it")
        for name, text in (
            ("export", "samples as CSV, or as Parquet into a file named so"),
            ("import", "what export wrote, into a cluster without samples"),
        ):
            action = actions.add_parser(name, help=text)
            action.add_argument("cluster")
            action.add_argument("kind", choices=[kind.value for kind in Kind])
            action.add_argument(
                "--file", help="a file instead of the terminal's input or output; one that ends in .parquet is Parquet"
            )
            if name == "export":
                action.add_argument("--owner", action="append", help="a topic, group or broker; may be given again")
                action.add_argument("--from", dest="since", help="ISO 8601, UTC unless it says otherwise")
                action.add_argument("--to", dest="until", help="ISO 8601")

    def handle(self, *args: Any, **options: Any) -> None:
        action = options["action"]
        if action == "export":
            self._export(self._cluster(options["cluster"]), options)
        elif action == "import":
            self._import(self._cluster(options["cluster"]), options)
        else:
            slug = options["cluster"]
            clusters = [self._cluster(slug)] if slug else list(Cluster.objects.order_by("slug"))
            {"show": self._show, "forecast": self._forecast, "verify": self._verify}[action](clusters)

    def _cluster(self, slug: str) -> Cluster:
        found = Cluster.objects.filter(slug=slug).first()
        if found is None:
            known = ", ".join(Cluster.objects.order_by("slug").values_list("slug", flat=True)) or "none"
            raise CommandError(f"there is no cluster “{slug}”; there are: {known}")
        return found

    def _show(self, clusters: list[Cluster]) -> None:
        for cluster in clusters:
            self.stdout.write(f"{cluster.slug}")
            for one in forecast.storeys(cluster):
                kept = f"kept {one.kept_days:g} days" if one.kept_days is not None else "until compacted"
                name = f"{one.name} {one.kind}".strip()
                self.stdout.write(
                    f"  {name:<18} {one.rows:>9} rows  about {words.size(one.size):>9}  "
                    f"{_moment(one.since)} to {_moment(one.until)}  {kept}"
                )

    def _forecast(self, clusters: list[Cluster]) -> None:
        for cluster in clusters:
            self.stdout.write(f"{cluster.slug}")
            found = forecast.storeys(cluster)
            for one in found:
                name = f"{one.name} {one.kind}".strip()
                self.stdout.write(
                    f"  {name:<18} a day {_size(one.a_day):>9}  when full {_size(one.when_full):>9}  "
                    f"after a year {_size(one.after(365.0)):>9}"
                )
            full = forecast.total(one.when_full for one in found)
            year = forecast.total(one.after(365.0) for one in found)
            self.stdout.write(f"  {'together':<18} when full {_size(full)}, after a year {_size(year)}")

    def _verify(self, clusters: list[Cluster]) -> None:
        damaged = 0
        for cluster in clusters:
            found = exchange.verify(cluster.pk)
            counts = ", ".join(f"{count} {what}" for what, count in found.read.items()) or "nothing stored"
            self.stdout.write(f"{cluster.slug}: {counts} read, {len(found.bad)} damaged")
            for one in found.bad:
                self.stdout.write(f"  {one}")
            damaged += len(found.bad)
        if damaged:
            raise CommandError(f"{damaged} damaged; what they hold is shown as unknown, the rest is not touched by it")

    def _export(self, cluster: Cluster, options: dict[str, Any]) -> None:
        since = _parsed(options["since"], 0.0)
        until = _parsed(options["until"], 4e9)
        kind, owners, name = Kind(options["kind"]), options["owner"], options["file"]
        if is_parquet(name):
            try:
                rows = exchange.export_parquet(cluster.pk, kind, Path(name), since=since, until=until, owners=owners)
            except parquet.MissingError as error:
                raise CommandError(str(error)) from None
        else:
            with ExitStack() as stack:
                out = stack.enter_context(Path(name).open("w", encoding="utf-8", newline="")) if name else sys.stdout
                rows = exchange.export(cluster.pk, kind, out, since=since, until=until, owners=owners)
        self.stderr.write(f"{rows} rows")

    def _import(self, cluster: Cluster, options: dict[str, Any]) -> None:
        kind, name = Kind(options["kind"]), options["file"]
        try:
            if is_parquet(name):
                cycles = exchange.load_parquet(cluster, kind, Path(name))
            else:
                with ExitStack() as stack:
                    source = stack.enter_context(Path(name).open(encoding="utf-8", newline="")) if name else sys.stdin
                    cycles = exchange.load(cluster, kind, source)
        except (exchange.ExchangeError, parquet.MissingError) as error:
            raise CommandError(str(error)) from None
        self.stderr.write(f"{cycles} cycles; they are compacted and rolled up by the running instance")


def is_parquet(name: str | None) -> bool:
    return bool(name) and str(name).lower().endswith(".parquet")


def _size(size: float | None) -> str:
    return "unknown" if size is None else words.size(size)


def _moment(at: float | None) -> str:
    return "-" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def _parsed(text: str | None, otherwise: float) -> float:
    if not text:
        return otherwise
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"“{text}” is not a time: write like 2026-11-22T14:30:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
