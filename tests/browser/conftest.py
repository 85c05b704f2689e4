"""One instance and its life for all browser tests, and pages that note what goes wrong in them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, WebSocket, sync_playwright

from collectors.demo.nodes import KafkaCluster
from tests.conftest import create_topic
from tests.e2e.served import Life, Served, wait_for
from tests.screenshots import BROWSER_ARGUMENTS, sign_in

HOLD_SECONDS = 5
"""The rule's 60 s are the judge's own tests' business; here they would only be waited for."""


POLICY = """
window.broken = [];
document.addEventListener('securitypolicyviolation', e => window.broken.push(e.violatedDirective + ' ' + e.blockedURI));
"""
"""Counts what breaks the content security policy, from the first byte of each document on."""


@dataclass
class Notes:
    """What a page's browser saw: complaints, documents that were loaded, and the frames of its live sockets."""

    complaints: list[str] = field(default_factory=list)
    frames: list[dict[str, Any]] = field(default_factory=list)
    sockets: int = 0
    documents: int = 0
    server_is_away: bool = False  # on purpose: that nothing answers is then no complaint

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        page.on("websocket", self._socket)
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not self.server_is_away:
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _socket(self, socket: WebSocket) -> None:
        self.sockets += 1
        socket.on("framereceived", lambda data: self.frames.append(orjson.loads(data)))

    def _request(self, request: Request) -> None:
        self.documents += request.is_navigation_request()

    def alerts(self) -> list[tuple[int, str]]:
        """(alert, state) of each alert event, in the order in which they came."""
        return [
            (item["id"], item["state"])
            for frame in self.frames
            if frame["t"] == "events"
            for item in frame["items"]
            if item["type"] == "alert"
        ]


@pytest.fixture(scope="module")
def life(kafka: KafkaCluster) -> Iterator[Life]:
    mark = uuid.uuid4().hex[:6]
    create_topic(kafka.bootstrap, f"orders-{mark}", partitions=3)
    # a name from a stranger: it has to be text wherever it shows
    with Life(kafka.bootstrap, f"orders-{mark}", f"readers/<b>{mark}</b>") as made:
        yield made


@pytest.fixture(scope="module")
def served(kafka: KafkaCluster, life: Life, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An instance that samples the run's cluster each second."""
    made = Served(tmp_path_factory.mktemp("served"))
    made.manage("migrate", "-v0")
    made.manage("addcluster", "Test", "--slug", "test", "--interval", "1", "--bootstrap", kafka.bootstrap)
    try:
        made.start()
        made.wait_alive()
        made.change("UPDATE dashboard_rule SET hold_seconds = ? WHERE key = 'group_no_progress'", HOLD_SECONDS)
        wait_for("the first cycles", lambda: made.last_cycle() > 3, seconds=60)
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium, args=BROWSER_ARGUMENTS)
        yield made
        made.close()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def page(browser: Browser, served: Served, notes: Notes) -> Iterator[Page]:
    """A signed-in page; the test fails when its console has a complaint."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    made = context.new_page()
    notes.watch(made)
    sign_in(made, served.manage("signinlink", "--port", str(served.port)).splitlines()[-1])
    yield made
    context.close()
    assert notes.complaints == []


@pytest.fixture
def group_page(served: Served, life: Life) -> str:
    """The address of the group's page, once the collector knows the group."""
    known = "select 1 from collectors_group where name = ?"
    wait_for("the group is known", lambda: served.rows(known, life.group), seconds=60)
    return f"{served.base}/clusters/test/groups/{quote(life.group, safe='')}/"
