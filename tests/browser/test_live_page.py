"""What a person sees in a real browser, live, on a real Kafka."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.served import Life, Served, wait_for

from .conftest import Notes

pytestmark = [pytest.mark.kafka, pytest.mark.browser]

LIVE = "[data-live] b"
PLOT = "document.querySelector('figure[data-drawn] .plot')"


def test_a_group_appears_in_an_open_list_and_its_numbers_change_without_a_reload(
    page: Page, served: Served, life: Life, notes: Notes
) -> None:
    page.goto(f"{served.base}/clusters/test/groups/")
    row = page.locator("tr", has_text=life.group)
    expect(row).to_be_visible(timeout=40_000)  # it comes by itself, by a hint
    row.get_by_role("link").first.click()
    expect(page.locator(LIVE)).to_have_text("live", timeout=20_000)
    documents = notes.documents
    end = page.locator("#partitions tr[data-key] [data-f=end]").first
    expect(end).not_to_have_text("unknown", timeout=40_000)
    before = end.inner_text()
    expect(end).not_to_have_text(before, timeout=20_000)
    page.wait_for_selector("figure[data-chart=lag][data-drawn]", timeout=40_000)
    line = f"() => {PLOT}.querySelector('path.js-line').getAttribute('d')"
    page.wait_for_selector("figure[data-chart=lag] path.js-line", state="attached", timeout=20_000)
    drawn = page.evaluate(line)
    heights = "() => [...document.querySelectorAll('figure[data-drawn]')].map(figure => figure.offsetHeight)"
    tall = page.evaluate(heights)
    page.wait_for_function(f"drawn => ({line})() !== drawn", arg=drawn, timeout=20_000)
    page.wait_for_timeout(2500)  # two cycles more
    assert page.evaluate(heights) == tall, "a chart grows with each drawing"
    assert notes.documents == documents


def test_a_frozen_consumer_is_told_once_and_its_end_too_across_a_crash_of_the_server(
    page: Page,
    served: Served,
    life: Life,
    notes: Notes,
    group_page: str,
    receiver: list[dict[str, object]],
    receiver_url: str,
) -> None:
    page.goto(f"{served.base}/settings/channels/new/")
    page.fill("input[name=name]", "Receiver")
    page.fill("input[name=url]", receiver_url)
    page.locator("main form button[type=submit], main form button.btn-primary").first.click()
    page.goto(group_page)
    expect(page.locator(LIVE)).to_have_text("live", timeout=20_000)
    documents = notes.documents
    page.evaluate("() => { window.before = 'the same page' }")

    life.frozen.set()
    try:
        expect(page.locator(".sg-head h1")).to_contain_text("No progress since", timeout=45_000)
        toast = page.locator("#sg-toasts [data-state=firing]")
        expect(toast).to_contain_text(life.group, timeout=45_000)
        expect(toast).to_have_attribute("role", "alert")
        expect(page.locator(".sg-bell .n")).to_have_text("1")
        assert page.title().startswith("(1) ")
        wait_for("the webhook's request", lambda: len(receiver) >= 1, seconds=15)

        notes.server_is_away = True
        served.kill()
        expect(page.locator(LIVE)).to_have_text("reconnecting", timeout=20_000)
        expect(page.locator("#sg-banner")).to_contain_text("Connection lost")
    finally:
        life.frozen.clear()
    served.start()
    served.wait_alive()
    expect(page.locator(LIVE)).to_have_text("live", timeout=60_000)
    notes.server_is_away = False

    expect(page.locator("#sg-toasts [data-state=resolved]")).to_be_visible(timeout=60_000)
    expect(page.locator(".sg-bell .n")).to_be_hidden(timeout=20_000)
    expect(page.locator(".sg-head .sg-v")).to_have_text("ok", timeout=45_000)
    wait_for("the webhook's second request", lambda: len(receiver) >= 2, seconds=15)
    assert [message["event"] for message in receiver] == ["firing", "resolved"]
    assert page.evaluate("() => window.before") == "the same page"
    assert notes.documents == documents

    # no hole and nothing twice: what came over both sockets is what is stored
    stored = served.rows(
        "select t.alert_id, t.new_state from dashboard_transition t join dashboard_alert a on a.id = t.alert_id"
        " where a.subject = ? order by t.id",
        life.group,
    )
    wait_for("all transitions in the page", lambda: len(notes.alerts()) >= len(stored), seconds=10)
    assert notes.alerts() == stored
    assert notes.sockets >= 2


def test_a_zoomed_view_stays_while_data_stream_in(page: Page, group_page: str) -> None:
    page.goto(group_page)
    page.wait_for_selector("figure[data-chart=lag][data-drawn]", timeout=40_000)
    expect(page.locator(LIVE)).to_have_text("live", timeout=20_000)
    layer = page.locator("figure[data-drawn] .nsewdrag").first
    box = layer.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.4, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, y, steps=5)
    page.mouse.up()
    page.wait_for_url("**from=*to=*")
    expect(page.locator(LIVE)).to_have_text("zoomed")
    # Plotly holds what was dragged as text without a zone, and what the page sets as a number
    moment = "t => typeof t === 'number' ? t : Date.parse(t.replace(' ', 'T') + 'Z')"
    shown = f"() => {PLOT}.layout.xaxis.range.map({moment})"
    sought = page.evaluate("() => ['from', 'to'].map(name => Number(new URL(location.href).searchParams.get(name)))")
    page.wait_for_function(
        f"sought => ({shown})().every((t, i) => Math.abs(t - sought[i]) < 1000)", arg=sought, timeout=20_000
    )
    zoomed = page.evaluate(shown)
    page.evaluate("() => { window.cycles = 0; document.addEventListener('sg:state', () => window.cycles++) }")
    page.wait_for_function("() => window.cycles > 3", timeout=20_000)
    assert page.evaluate(shown) == zoomed
    layer.dblclick()
    expect(page.locator(LIVE)).to_have_text("live")
    page.wait_for_function(f"zoomed => ({shown})()[1] > zoomed[1]", arg=zoomed, timeout=20_000)


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
