"""Web, collectors, scheduler and alerts in one process, without Redis."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from collectors import storage
from collectors.as_code import EnvironmentRefusedError, reconcile
from dashboard.database import why_not_to_start

log = logging.getLogger(__name__)

PORTS_TRIED = 50
WORKER_STOP_SECONDS = 6.0
OTHERS_STOP_SECONDS = 8.0
IDLE_SECONDS = 25
"""How long a connection may say nothing, or not end its request, before it is closed."""


def free_port(host: str, first: int) -> int:
    """The first port from `first` on that nobody listens on; CommandError when fifty are taken."""
    for port in range(first, first + PORTS_TRIED):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise CommandError(f"ports {first} to {first + PORTS_TRIED - 1} on {host} are all taken: give another by --port")


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
        if reason := why_not_to_start():
            raise CommandError(reason, returncode=2)
        call_command("migrate", interactive=False, verbosity=0)
        from dashboard.alerts.defaults import install_default_rules
        from dashboard.static_files import collect

        if (folder := storage.database_folder()) is not None:
            storage.keep_reserve(folder)
        install_default_rules()
        try:
            for line in reconcile(os.environ):
                self.stdout.write(line)
        except EnvironmentRefusedError as error:
            raise CommandError(str(error), returncode=2) from None
        collect()
        # one busy Python thread must not make a page wait 20 times longer
        sys.setswitchinterval(0.0005)
        Process(host, port, on_ready or self._say, on_stopping or (lambda: None)).run()

    def _say(self, port: int) -> None:
        self.stdout.write(f"Streamgauge listens on http://{settings.HOST}:{port}/  (Ctrl-C stops it)")
        from dashboard.access.links import needs_first_link

        if needs_first_link():
            call_command("signinlink", port=port)


class Process:
    """Daphne on the main thread, the Celery worker (with the resident loops) and beat in threads beside it."""

    def __init__(self, host: str, port: int, on_ready: Callable[[int], None], on_stopping: Callable[[], None]) -> None:
        self.host, self.port = host, port
        self.on_ready, self.on_stopping = on_ready, on_stopping
        self.exit_code = 0

    def run(self) -> None:
        # importing the server installs Twisted's asyncio reactor: before anything else touches the reactor
        from daphne.server import Server
        from twisted.internet import reactor

        from dashboard.asgi import application
        from dashboard.live.guard import MAX_MESSAGE_BYTES
        from dashboard.live.hub import get_hub

        self.reactor = reactor
        self.server = Server(
            application,
            endpoints=[f"tcp:port={self.port}:interface={self.host.replace(':', chr(92) + ':')}"],
            signal_handlers=True,
            ready_callable=self._start_threads,
            application_close_timeout=2,
            server_name="",
            websocket_max_message_size=MAX_MESSAGE_BYTES,
            websocket_max_frame_size=MAX_MESSAGE_BYTES,
            verbosity=0,
        )
        self.hub = get_hub()
        self.server.run()
        others = threading.Thread(target=self.on_stopping, name="stopping", daemon=True)
        others.start()
        has_stopped = self._stop_threads()
        others.join(OTHERS_STOP_SECONDS)
        if not has_stopped:
            os._exit(self.exit_code)  # the worker's threads would be waited for without end
        if self.exit_code:
            sys.exit(self.exit_code)

    def _start_threads(self) -> None:
        import asyncio

        from celery import beat
        from celery.worker import WorkController

        from dashboard.celery import app
        from dashboard.intake import bound
        from dashboard.live.guard import GuardedProtocol
        from dashboard.loops import LoopsStep

        # both factories are made by run(), the first connection comes later
        self.server.ws_factory.protocol = GuardedProtocol
        self.server.http_factory.timeOut = IDLE_SECONDS
        bound(self.server.http_factory)
        app.steps["worker"].add(LoopsStep)
        self.hub.start(asyncio.get_event_loop())
        self.worker = WorkController(
            app=app, pool="threads", concurrency=2, without_gossip=True, without_mingle=True, without_heartbeat=True
        )
        self.worker_thread = threading.Thread(target=self._work, name="celery worker", daemon=True)
        self.worker_thread.start()
        self.beat = beat.Service(app, scheduler_cls="celery.beat:Scheduler", max_interval=0.5)
        self.beat_thread = threading.Thread(target=self.beat.start, kwargs={"embedded_process": False}, daemon=True)
        self.beat_thread.start()
        threading.Thread(target=self.on_ready, args=(self.port,), name="ready", daemon=True).start()

    def _work(self) -> None:
        try:
            self.worker.start()
        except Exception:
            log.exception("the worker died: the process ends")
            self.exit_code = 70
            self.reactor.callFromThread(self.reactor.stop)  # type: ignore[misc]  # Twisted installs it at run time

    def _stop_threads(self) -> bool:
        """Whether all ended in time."""
        from celery.worker import state

        if not hasattr(self, "worker_thread"):
            return True
        self.hub.stop()
        self.beat.stop(wait=False)
        state.should_stop = 0
        self.worker_thread.join(WORKER_STOP_SECONDS)
        if self.worker_thread.is_alive():
            log.warning("the worker did not stop within %s s", WORKER_STOP_SECONDS)
            return False
        return True
