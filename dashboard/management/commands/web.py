"""`manage.py web`: pages, live updates and metrics, as many as are wanted; `worker` and `beat` do the rest."""

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
from collectors.as_code import EnvironmentRefusedError, clusters_file, reconcile
from dashboard import schema

log = logging.getLogger(__name__)

PORTS_TRIED = 50
OTHERS_STOP_SECONDS = 8.0
IDLE_SECONDS = 25
"""How long a connection may say nothing, or not end its request, before it is closed."""


def free_port(host: str, first: int, *, tried: int = PORTS_TRIED) -> int:
    """The first port from `first` on that nobody listens on; CommandError when `tried` are taken."""
    for port in range(first, first + tried):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    taken = f"port {first}" if tried == 1 else f"ports {first} to {first + tried - 1}"
    are = "is" if tried == 1 else "are all"
    raise CommandError(f"{taken} on {host} {are} taken: give another by --port")


def prepare(say: Callable[[str], object]) -> None:
    """What a process that shows pages does before it listens: schema, rules, clusters of the environment, files."""
    from dashboard.static_files import collect

    call_command("upgrade")
    if (folder := storage.database_folder()) is not None:
        storage.keep_reserve(folder)
    try:
        with schema.one_at_a_time(say):
            for line in reconcile(os.environ, clusters_file(settings.CLUSTERS_FILE, settings.DATA_DIR)):
                say(line)
    except (EnvironmentRefusedError, schema.SchemaError) as error:
        raise CommandError(str(error), returncode=2) from None
    collect()
    # one busy Python thread must not make a page wait 20 times longer
    sys.setswitchinterval(0.0005)


class Command(BaseCommand):
    help = "Run pages, live updates and metrics only. Any number of them; `worker` samples, judges and tells."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.HOST, help=f"address to listen on (default {settings.HOST})")
        parser.add_argument("--port", type=int, default=settings.PORT, help=f"port (default {settings.PORT})")

    def handle(self, *args: Any, **options: Any) -> None:
        # a proxy in front knows this port: a taken one is an error here, not stepped over
        host, port = options["host"], free_port(options["host"], options["port"], tried=1)
        settings.HOST, settings.PORT = host, port
        prepare(self.stdout.write)
        if not settings.REDIS_URL:
            self.stdout.write("REDIS_URL is not set: pages look for news every two seconds instead of at once")
        WebProcess(host, port, self._say, lambda: None).run()

    def _say(self, port: int) -> None:
        from dashboard.access.links import needs_first_link

        self.stdout.write(f"Streamgauge's pages: http://{settings.HOST}:{port}/")
        if needs_first_link():
            self.stdout.write(str(call_command("signinlink", port=port, stdout=open(os.devnull, "w"))))  # noqa: SIM115
        self.stdout.flush()


class WebProcess:
    """Daphne on the main thread and the hub beside it; what else runs is started and stopped by `others`."""

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
        from dashboard.metrics.views import warmer

        self.warmer = warmer
        self.reactor = reactor
        self.server = Server(
            application,
            endpoints=[f"tcp:port={self.port}:interface={self.host.replace(':', chr(92) + ':')}"],
            signal_handlers=True,
            ready_callable=self._begin,
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
        self.hub.stop()
        self.warmer.stop()
        has_stopped = self.stop_others()
        others.join(OTHERS_STOP_SECONDS)
        if not has_stopped:
            os._exit(self.exit_code)  # the worker's threads would be waited for without end
        if self.exit_code:
            sys.exit(self.exit_code)

    def _begin(self) -> None:
        import asyncio

        from dashboard.intake import bound
        from dashboard.live.guard import GuardedProtocol

        # both factories are made by run(), the first connection comes later
        self.server.ws_factory.protocol = GuardedProtocol
        self.server.http_factory.timeOut = IDLE_SECONDS
        bound(self.server.http_factory)
        self.hub.start(asyncio.get_event_loop())
        self.warmer.start()
        self.start_others()
        threading.Thread(target=self.on_ready, args=(self.port,), name="ready", daemon=True).start()

    def start_others(self) -> None:
        """Called once Daphne listens."""

    def stop_others(self) -> bool:
        """Whether all of them ended in time."""
        return True
