"""Web, collectors, scheduler and alerts in one process, without Redis."""

from __future__ import annotations

import logging
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from dashboard.management.commands.web import WebProcess, free_port, prepare

log = logging.getLogger(__name__)

WORKER_STOP_SECONDS = 6.0


class Command(BaseCommand):
    help = "Run everything in this process: pages, live updates, collectors, alerts, scheduler."
    stealth_options = ("on_ready", "on_stopping")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.HOST, help=f"address to listen on (default {settings.HOST})")
        parser.add_argument(
            "--port",
            type=int,
            default=settings.PORT,
            help=f"port; a taken one is stepped over (default {settings.PORT})",
        )

    def handle(
        self,
        *args: Any,
        on_ready: Callable[[int], None] | None = None,
        on_stopping: Callable[[], None] | None = None,
        **options: Any,
    ) -> None:
        host, port = options["host"], free_port(options["host"], options["port"])
        settings.HOST, settings.PORT = host, port  # links in messages name the port that is really used
        prepare(self.stdout.write)
        Process(host, port, on_ready or self._say, on_stopping or (lambda: None)).run()

    def _say(self, port: int) -> None:
        self.stdout.write(f"Streamgauge listens on http://{settings.HOST}:{port}/  (Ctrl-C stops it)")
        from dashboard.access.links import needs_first_link

        if needs_first_link():
            call_command("signinlink", port=port)


class Process(WebProcess):
    """Daphne on the main thread, the Celery worker (with the resident loops) and beat in threads beside it."""

    def start_others(self) -> None:
        from celery import beat
        from celery.worker import WorkController

        from dashboard.celery import app
        from dashboard.loops import LoopsStep

        app.steps["worker"].add(LoopsStep)
        self.worker = WorkController(
            app=app, pool="threads", concurrency=2, without_gossip=True, without_mingle=True, without_heartbeat=True
        )
        self.worker_thread = threading.Thread(target=self._work, name="celery worker", daemon=True)
        self.worker_thread.start()
        self.beat = beat.Service(app, scheduler_cls="celery.beat:Scheduler", max_interval=0.5)
        self.beat_thread = threading.Thread(target=self.beat.start, kwargs={"embedded_process": False}, daemon=True)
        self.beat_thread.start()

    def _work(self) -> None:
        try:
            self.worker.start()
        except Exception:
            log.exception("the worker died: the process ends")
            self.exit_code = 70
            self.reactor.callFromThread(self.reactor.stop)  # type: ignore[misc]  # Twisted installs it at run time

    def stop_others(self) -> bool:
        from celery.worker import state

        if not hasattr(self, "worker_thread"):
            return True
        self.beat.stop(wait=False)
        state.should_stop = 0
        self.worker_thread.join(WORKER_STOP_SECONDS)
        if self.worker_thread.is_alive():
            log.warning("the worker did not stop within %s s", WORKER_STOP_SECONDS)
            return False
        return True
