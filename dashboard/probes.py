"""/healthz and /readyz of a process that shows no pages, for whoever watches containers."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from django.core.management.base import CommandError
from django.db import connection

from dashboard.metrics.readiness import readiness


class Probes(BaseHTTPRequestHandler):
    timeout = 5

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(200, {"status": "alive"})
        elif self.path == "/readyz":
            try:
                found = readiness()
            finally:
                connection.close()
            said = {"database": found.database, "late_loops": [pulse.name for pulse in found.late]}
            status = "ready" if found.is_ready else "not ready"
            self._answer(200 if found.is_ready else 503, {"status": status, **said})
        else:
            self._answer(404, {"status": "only /healthz and /readyz are here"})

    def _answer(self, status: int, said: dict[str, object]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A probe every few seconds is no news."""


def answer_probes(host: str, port: int) -> None:
    """From a thread of its own, for as long as the process lives."""
    try:
        server = ThreadingHTTPServer((host, port), Probes)
    except OSError as error:
        raise CommandError(f"probes cannot be answered on {host}:{port}: {error.strerror}") from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
