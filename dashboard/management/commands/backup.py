"""`manage.py backup`: one file with the whole database, made while everything runs."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from dashboard import backups


class Command(BaseCommand):
    help = "Copy the database to FILE, consistently, while everything runs. The key of stored credentials is not in it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help="where to (streamgauge-DATE-TIME in this folder)")
        parser.add_argument("--overwrite", action="store_true", help="replace a file of this name")

    def handle(self, *args: Any, **options: Any) -> None:
        target = options["file"] or Path(backups.file_name(timezone.now()))
        try:
            size = backups.save(target.absolute(), overwrite=options["overwrite"])
        except backups.BackupError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{target}: {size / 1e6:.1f} MB\n{backups.key_words()}")
