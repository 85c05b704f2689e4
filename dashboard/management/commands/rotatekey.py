"""`manage.py rotatekey`: a fresh key, and every stored secret written anew with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import models, transaction

from collectors import secrets
from dashboard.access import audit

SUFFIX = "_encrypted"


class Command(BaseCommand):
    help = "Make a fresh key and write every stored secret with it; former keys still read until --forget-former."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--forget-former", action="store_true", help="then drop the former keys: sessions signed with them end"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        keyring: secrets.Keyring = settings.INSTANCE_KEY
        if keyring.path is not None:
            secrets.add_key(keyring.path)
        elif len(keyring.keys) < 2:
            raise CommandError(
                "the key comes from STREAMGAUGE_SECRET_KEY: set it to a fresh one (`openssl rand -base64 32`), put the "
                "present one into STREAMGAUGE_SECRET_KEY_FALLBACKS, and run this again"
            )
        written, unreadable = rewrite_all(keyring)
        audit.record("command line", "key rotated", secrets=written, unreadable=len(unreadable))
        self.stdout.write(f"{written} stored secrets are written with the fresh key.")
        for one in unreadable:
            self.stderr.write(f"{one}: no key that is known here can read it; type its credentials again.")
        if options["forget_former"]:
            self._forget(keyring)
        elif keyring.path is not None:
            self.stdout.write("Former keys still read. Restart the servers, then run this with --forget-former.")
        else:
            self.stdout.write("When all servers run with the fresh key, empty STREAMGAUGE_SECRET_KEY_FALLBACKS.")

    def _forget(self, keyring: secrets.Keyring) -> None:
        if keyring.path is None:
            raise CommandError("the keys come from the environment: empty STREAMGAUGE_SECRET_KEY_FALLBACKS yourself")
        dropped = secrets.drop_former_keys(keyring.path)
        self.stdout.write(f"{dropped} former keys are forgotten: servers have to be restarted, sessions may end.")


def rewrite_all(keyring: secrets.Keyring) -> tuple[int, list[str]]:
    """Write every stored secret with the first key; returns how many, and the rows that no key reads (left alone)."""
    written, unreadable = 0, []
    for model, field in encrypted_fields():
        for pk in list(model._default_manager.values_list("pk", flat=True)):
            with transaction.atomic():
                row = model._default_manager.select_for_update().filter(pk=pk).first()
                blob = bytes(getattr(row, field, b"") or b"")
                if row is None or not blob:
                    continue
                try:
                    fresh = secrets.rewrite(blob, keyring)
                except secrets.SecretUnreadableError:
                    unreadable.append(f"{model._meta.verbose_name} {pk}")
                    continue
                model._default_manager.filter(pk=pk).update(**{field: fresh})
                written += 1
    return written, unreadable


def unreadable_secrets() -> Iterator[str]:
    """The rows whose stored secrets no key here reads, by kind and number."""
    for model, field in encrypted_fields():
        for row in model._default_manager.only("pk", field).iterator():
            blob = bytes(getattr(row, field) or b"")
            try:
                if blob:
                    secrets.decrypt(blob, settings.INSTANCE_KEY)
            except secrets.SecretUnreadableError:
                yield f"{model._meta.verbose_name} {row.pk}"


def encrypted_fields() -> list[tuple[type[models.Model], str]]:
    """Every column that holds secrets: by its name, so that a new one is not forgotten."""
    return [
        (model, field.name)
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, models.BinaryField) and field.name.endswith(SUFFIX)
    ]
