"""`manage.py upgrade`: bring the database to this version's schema, as `serve` and `web` do when they start."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from collectors import storage
from dashboard import schema
from dashboard.alerts.defaults import install_default_rules
from dashboard.backups import BackupError


class Command(BaseCommand):
    help = "Upgrade the database: one process at a time, after a copy of a SQLite file; refuses a newer one."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        file = storage.database_file()
        if file is not None and (reason := storage.unusable(file)):
            raise CommandError(reason, returncode=2)
        try:
            schema.upgrade(self.stdout.write)
        except (schema.SchemaError, BackupError) as error:
            raise CommandError(str(error), returncode=2) from None
        install_default_rules()
