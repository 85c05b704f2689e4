"""`manage.py restore`: put a file of `manage.py backup` in the place of the database, and upgrade it."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.models.functions import Now

from collectors.models import Cluster, Lease
from dashboard import backups, schema
from dashboard.management.commands.rotatekey import unreadable_secrets


class Command(BaseCommand):
    help = "Put the copy in FILE in the place of the database. Stop serve, web, worker and beat before."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="made by manage.py backup, by this version or an older one")
        parser.add_argument("--overwrite", action="store_true", help="replace a database that holds something")

    def handle(self, *args: Any, **options: Any) -> None:
        source = options["file"].absolute()
        try:
            schema.refuse_newer(schema.newer_in(backups.migrations_in(source)), str(options["file"]))
            self._refuse_what_is_lost(may_overwrite=options["overwrite"])
            backups.bring_back(source)
            schema.upgrade(self.stdout.write)
        except (backups.BackupError, schema.SchemaError) as error:
            raise CommandError(str(error)) from None
        # leases of processes that ran when the copy was made: nobody holds them
        Lease.objects.update(holder="", expires_at=Now())
        clusters = ", ".join(Cluster.objects.values_list("name", flat=True)) or "none"
        self.stdout.write(f"Restored from {options['file']}. Clusters: {clusters}")
        if names := list(unreadable_secrets()):
            self.stdout.write(
                f"NOT READABLE with the key that is here: the stored secrets of {', '.join(names)}. "
                "Put the key back that belongs to the copy (secret.key in the data folder, or STREAMGAUGE_SECRET_KEY), "
                "or type the credentials again"
            )

    def _refuse_what_is_lost(self, *, may_overwrite: bool) -> None:
        tables = set(connection.introspection.table_names())
        running = Lease.objects.workers() if Lease._meta.db_table in tables else []
        if running:
            names = ", ".join(sorted(holder.rsplit(":", 1)[0] for holder in running)[:3])
            raise CommandError(
                f"Streamgauge runs on this database (host:process {names}): stop it before. "
                "One that was killed counts as running for some seconds"
            )
        if tables and not may_overwrite:
            raise CommandError("the database holds something already: --overwrite replaces all of it")
