"""A real `manage.py demo` in a process of its own, watched through its pages and its database."""

from __future__ import annotations

import html
import http.cookiejar
import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .served import ROOT, Served, wait_for

START_SECONDS = 150.0
SIGN_IN = re.compile(r"Sign in +(http://\S+)")
TAGS = re.compile(r"<(script|style).*?</\1>|<[^>]+>", re.DOTALL)


@dataclass(frozen=True)
class Mark:
    """What the director wrote down: unix seconds, act, "begin", "mend" or "end"."""

    at: float
    act: str
    phase: str


@dataclass(frozen=True)
class Said:
    """A transition of an alert."""

    at: float
    rule: str
    subject: str
    state: str
    sentence: str


class Demo(Served):
    """The demo with its own folder, ports and Kafka; `cluster` is the slug of what it watches."""

    def __init__(self, folder: Path, *arguments: str, cluster: str = "demo") -> None:
        super().__init__(folder)
        self.arguments = arguments
        self.cluster = cluster
        self.log = folder / "demo.log"
        jar = http.cookiejar.CookieJar()
        self._browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        self._token = ""

    def start(self, command: str = "demo", *, typed: str = "") -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "manage.py", command, "--port", str(self.port), *self.arguments],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        assert self.process.stdin is not None
        self.process.stdin.write(typed.encode())
        self.process.stdin.close()

    def stop(self, *, seconds: float = 20.0) -> None:
        """End it as Ctrl-C would, and wait: what it made elsewhere takes its time to go."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_signed_in(self) -> None:
        """Until the demo has printed its link, and then go through it."""

        def link() -> str | None:
            assert self.process is not None
            assert self.process.poll() is None, self.output()
            found = SIGN_IN.search(self.output())
            return found[1] if found else None

        address = wait_for("the sign-in link", link, seconds=START_SECONDS)
        self.base = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(address))
        self._open(address)
        self._open(address, {})

    def _open(self, address: str, form: dict[str, str] | None = None) -> str:
        data = None
        if form is not None:
            data = urllib.parse.urlencode({**form, "csrfmiddlewaretoken": self._token}).encode()
        request = urllib.request.Request(address, data, {"Referer": self.base + "/", "Origin": self.base})
        with self._browser.open(request, timeout=20) as answer:
            content: str = answer.read().decode()
        if found := re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', content):
            self._token = found[1]
        return content

    def page(self, path: str) -> str:
        """The text of a page below the cluster's own, without its tags."""
        content = self._open(f"{self.base}/clusters/{self.cluster}/{path}")
        return " ".join(html.unescape(TAGS.sub(" ", content)).split())

    def overview(self) -> str:
        return " ".join(html.unescape(TAGS.sub(" ", self._open(f"{self.base}/"))).split())

    def press(self, wish: str) -> None:
        """Press a button of the strip."""
        self._open(f"{self.base}/")
        self._open(f"{self.base}/surroundings/strip/{wish}/", {})

    def json(self, path: str) -> Any:
        with self._browser.open(f"{self.base}/clusters/{self.cluster}/{path}", timeout=20) as answer:
            return json.loads(answer.read())

    # -- what happened

    def marks(self) -> list[Mark]:
        rows = self.rows("select at, data from collectors_event where kind = 'act' order by id")
        return [Mark(unix(at), str(plain(data)["act"]), str(plain(data)["phase"])) for at, data in rows]

    def wait_mark(self, act: str, phase: str, *, seconds: float) -> float:
        """Unix seconds of the mark."""
        found = wait_for(
            f"{act} {phase}",
            lambda: [mark for mark in self.marks() if (mark.act, mark.phase) == (act, phase)],
            seconds=seconds,
        )
        return found[-1].at

    def said(self) -> list[Said]:
        """What people were told or would be: transitions into firing and out of it, in order.

        Not one that fires again before it was over: nobody is told of that.
        """
        rows = self.rows(
            "select t.at, r.key, a.subject, t.new_state, t.reason from dashboard_transition t"
            " join dashboard_alert a on a.id = t.alert_id join dashboard_rule r on r.id = a.rule_id"
            " where a.fired_at is not null and not a.is_held_back"
            " and t.new_state in ('firing', 'no_data', 'resolved')"
            " and not (t.old_state = 'recovering' and t.new_state = 'firing') order by t.id"
        )
        return [Said(unix(at), *others) for at, *others in rows]

    def events(self, kind: str) -> list[tuple[float, str]]:
        rows = self.rows("select at, text from collectors_event where kind = ? order by id", kind)
        return [(unix(at), text) for at, text in rows]

    def wait_text(self, path: str, pattern: str, *, since: float, within: float) -> tuple[float, str]:
        """Seconds after `since` at which the page said so, and its text."""
        wanted = re.compile(pattern.replace(" ", r"\s"))

        def look() -> str | None:
            text = self.overview() if path == "/" else self.page(path)
            return text if wanted.search(text) else None

        try:
            text = wait_for(pattern, look, seconds=max(1.0, since + within - time.time()))
        except AssertionError as error:
            raise AssertionError(f"{error}; the page says: {self.page(path)[:1500] if path != '/' else ''}") from None
        return time.time() - since, text


class Receiver:
    """A webhook's other end; `got` are (event, rule, subject) in the order in which they came."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.bodies.append(body)
                outer.got.append((body["event"], body["rule"]["key"], body["subject"]["name"]))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def seconds_of(words: str) -> float:
    """ "1 min 10 s" back to 70."""
    sizes = {"s": 1, "min": 60, "h": 3600, "d": 86400}
    return float(sum(int(number) * sizes[unit] for number, unit in re.findall(r"(\d+)\s?(s|min|h|d)\b", words)))


def unix(stored: str | datetime) -> float:
    """A moment as SQLite (text, UTC) or PostgreSQL gives it."""
    at = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def plain(stored: str | dict[str, Any]) -> dict[str, Any]:
    """JSON as SQLite (text) or PostgreSQL gives it."""
    found: dict[str, Any] = json.loads(stored) if isinstance(stored, str) else stored
    return found
