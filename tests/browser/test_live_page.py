"""What a person sees in a real browser, live, on a real Kafka."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.served import Life, Served, wait_for
from tests.screenshots import BROWSER_ARGUMENTS, sign_in

pytestmark = [pytest.mark.kafka, pytest.mark.browser]


@pytest.fixture
def browser(chromium: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium, args=BROWSER_ARGUMENTS)
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser, served: Served, life: Life) -> Iterator[Page]:
    """A signed-in page; any error on the console fails the test, but for the socket's own while the server is away."""
    served.start()
    served.wait_alive()
    wait_for("the first cycles", lambda: served.last_cycle() > 3, seconds=60)
    context = browser.new_context()
    made = context.new_page()
    complaints: list[str] = []
    made.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    made.on("pageerror", lambda error: complaints.append(str(error)))
    sign_in(made, served.manage("signinlink", "--port", str(served.port)).splitlines()[-1])
    yield made
    context.close()
    assert [text for text in complaints if "WebSocket" not in text] == []


def group_page(served: Served, life: Life) -> str:
    return f"{served.base}/clusters/test/groups/{quote(life.group, safe='')}/"


def test_a_number_changes_without_a_reload_and_charts_stream(page: Page, served: Served, life: Life) -> None:
    page.goto(group_page(served, life))
    page.evaluate("window.marked = true")
    end = page.locator("#partitions tr[data-key] [data-f=end]").first
    before = end.text_content()
    expect(end).not_to_have_text(before or "", timeout=20_000)
    expect(page.locator("[data-live] b")).to_have_text("live", timeout=20_000)
    page.wait_for_selector("figure[data-chart=lag][data-drawn]", timeout=40_000)
    assert page.evaluate("window.marked") is True, "the page was loaded again"


def test_the_frozen_consumers_toast_comes_and_goes_and_is_told_once_each(
    page: Page, served: Served, life: Life, receiver: list[dict[str, object]], receiver_url: str
) -> None:
    page.goto(f"{served.base}/settings/channels/new/")
    page.fill("input[name=name]", "Receiver")
    page.fill("input[name=url]", receiver_url)
    page.locator("main form button[type=submit], main form button.btn-primary").first.click()
    page.goto(group_page(served, life))
    life.frozen.set()
    expect(page.locator(".sg-head h1")).to_contain_text("No progress since", timeout=45_000)
    toast = page.locator("#sg-toasts [data-state=firing]")
    expect(toast).to_contain_text(life.group, timeout=90_000)
    wait_for("the webhook's request", lambda: len(receiver) >= 1, seconds=15)
    life.frozen.clear()
    expect(page.locator("#sg-toasts [data-state=resolved]")).to_be_visible(timeout=60_000)
    wait_for("the webhook's second request", lambda: len(receiver) >= 2, seconds=15)
    events = [message["event"] for message in receiver]
    assert events == ["firing", "resolved"]


def test_the_socket_comes_back_after_a_restart_of_the_server(page: Page, served: Served, life: Life) -> None:
    page.goto(group_page(served, life))
    expect(page.locator("[data-live] b")).to_have_text("live", timeout=20_000)
    served.kill()
    expect(page.locator("[data-live] b")).to_have_text("reconnecting", timeout=20_000)
    expect(page.locator("#sg-banner")).to_contain_text("Connection lost")
    served.start()
    served.wait_alive()
    expect(page.locator("[data-live] b")).to_have_text("live", timeout=60_000)
    end = page.locator("#partitions tr[data-key] [data-f=end]").first
    before = end.text_content()
    expect(end).not_to_have_text(before or "", timeout=30_000)


@pytest.fixture
def receiver() -> list[dict[str, object]]:
    return []


@pytest.fixture
def receiver_url(receiver: list[dict[str, object]]) -> Iterator[str]:
    """A webhook receiver on this machine; what it gets goes into the list."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            receiver.append(json.loads(body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook"
    server.shutdown()
