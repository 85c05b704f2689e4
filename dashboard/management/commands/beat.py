"""`manage.py beat`: tells the workers when it is time for what is done regularly."""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from dashboard import schema
from dashboard.management.commands.worker import NO_REDIS
from dashboard.probes import answer_probes


class Command(BaseCommand):
    help = "Run the scheduler. One is enough; a second one makes housekeeping run twice, which harms nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--probes", type=int, metavar="PORT", help="answer /healthz and /readyz on this port")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.REDIS_URL:
            raise CommandError(NO_REDIS)
        try:
            schema.wait_for_upgrade(self.stdout.write)
        except schema.SchemaError as error:
            raise CommandError(str(error)) from None
        from celery import beat

        from dashboard.celery import app

        if options["probes"]:
            answer_probes(settings.HOST, options["probes"])
        # the schedule is code: nothing of it has to be kept on disk
        service = beat.Service(app, scheduler_cls="celery.beat:Scheduler")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # it sleeps, up to minutes: only this wakes it
        self.stdout.write("Streamgauge's beat runs (Ctrl-C stops it)")
        self.stdout.flush()
        service.start()
