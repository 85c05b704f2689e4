"""`manage.py worker`: samples the clusters that it gets a share of, judges, tells, and runs what may be late."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from dashboard import schema
from dashboard.probes import answer_probes

NO_REDIS = (
    "REDIS_URL is not set: with several processes tasks travel through Redis or Valkey. Set it, or run everything in "
    "one process by `manage.py serve`"
)


class Command(BaseCommand):
    help = "Run collectors, alerts and tasks. Any number of them, on any machines: they share the clusters out."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--concurrency", type=int, default=2, help="tasks at once (2)")
        parser.add_argument("--probes", type=int, metavar="PORT", help="answer /healthz and /readyz on this port")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.REDIS_URL:
            raise CommandError(NO_REDIS)
        try:
            schema.wait_for_upgrade(self.stdout.write)
        except schema.SchemaError as error:
            raise CommandError(str(error), returncode=2) from None
        from celery.worker import WorkController

        from dashboard.celery import app
        from dashboard.loops import LoopsStep

        sys.setswitchinterval(0.0005)
        if options["probes"]:
            answer_probes(settings.HOST, options["probes"])
        app.steps["worker"].add(LoopsStep)
        self.stdout.write("Streamgauge's worker runs (Ctrl-C stops it)")
        self.stdout.flush()
        app.set_current()
        # Celery's own Worker adds the signals to WorkController: SIGTERM ends it warmly
        worker: WorkController = app.Worker(
            pool="threads",
            concurrency=options["concurrency"],
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
            loglevel="WARNING",
        )
        worker.start()
        sys.exit(worker.exitcode)
