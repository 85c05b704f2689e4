"""The viewer's own zone, and a range that is zoomed, gone back from, held still and handed on."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.served import Life, Served
from tests.screenshots import sign_in

from .conftest import Notes

pytestmark = [pytest.mark.kafka, pytest.mark.browser]

LIVE = "[data-live] b"
CHART = "figure[data-chart=lag][data-drawn]"
ZONE = "Australia/Eucla"  # 8 h 45 min ahead of UTC, all year
AHEAD_MINUTES = 8 * 60 + 45
TICKS = "() => [...document.querySelectorAll('figure[data-drawn] .xtick text')].map(text => text.textContent)"


@pytest.fixture
def abroad(browser: Browser, served: Served, notes: Notes) -> Iterator[Page]:
    """A signed-in page of somebody in Eucla, who may use the clipboard."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, timezone_id=ZONE)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    made = context.new_page()
    notes.watch(made)
    sign_in(made, served.manage("signinlink", "--port", str(served.port)).splitlines()[-1])
    yield made
    context.close()
    assert notes.complaints == []


def minutes(text: str) -> int:
    hours, rest = text.split(":")[:2]
    return int(hours[-2:]) * 60 + int(rest[:2])


def is_now(text: str, ahead: int, page: Page) -> bool:
    """Whether a time of day is within ten minutes of now, in a zone so many minutes ahead of UTC."""
    now = page.evaluate("() => new Date().getUTCHours() * 60 + new Date().getUTCMinutes()")
    return bool(abs((minutes(text) - ahead - now + 720) % 1440 - 720) <= 10)


def test_times_are_those_of_the_viewer_and_utc_on_demand(abroad: Page, served: Served, group_page: str) -> None:
    abroad.goto(f"{served.base}/")  # the first page: the server does not know the zone yet, the script does
    expect(abroad.locator(".sg-side [data-zone-label]")).to_have_text(ZONE)
    abroad.goto(group_page)
    assert abroad.locator("body").get_attribute("data-zone") == ZONE
    abroad.wait_for_selector(CHART, timeout=40_000)
    abroad.wait_for_function(f"() => ({TICKS})().length > 1", timeout=20_000)
    assert is_now(abroad.evaluate(TICKS)[-1], AHEAD_MINUTES, abroad)
    abroad.locator("figure[data-chart=lag] [data-do=table]").click()
    expect(abroad.locator("figure[data-chart=lag] .sg-twin th").first).to_have_text(f"Time ({ZONE})")
    newest = abroad.locator("figure[data-chart=lag] .sg-twin td").first.inner_text()
    assert is_now(newest.split()[1], AHEAD_MINUTES, abroad)

    abroad.locator(".sg-side [data-do=utc]").click()
    expect(abroad.locator("body")).to_have_attribute("data-zone", "UTC")
    abroad.wait_for_selector(CHART, timeout=40_000)
    abroad.wait_for_function(f"() => ({TICKS})().length > 1", timeout=20_000)
    assert is_now(abroad.evaluate(TICKS)[-1], 0, abroad)
    abroad.locator(".sg-side [data-do=utc]").click()
    expect(abroad.locator("body")).to_have_attribute("data-zone", ZONE)


def drag(page: Page) -> None:
    layer = page.locator("figure[data-drawn] .nsewdrag").first
    box = layer.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.5, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.99, y, steps=5)  # also a young instance has samples there
    page.mouse.up()
    page.wait_for_url("**from=*to=*")


def test_back_leaves_a_zoom_and_a_copied_link_has_absolute_times(abroad: Page, group_page: str) -> None:
    abroad.goto(group_page)
    abroad.wait_for_selector(CHART, timeout=40_000)
    expect(abroad.locator(LIVE)).to_have_text("live", timeout=20_000)
    before = abroad.url
    drag(abroad)
    expect(abroad.locator(LIVE)).to_have_text("zoomed")
    zoomed = abroad.url
    from_ms, to_ms = (int(parse_qs(urlsplit(zoomed).query)[name][0]) for name in ("from", "to"))
    assert to_ms > from_ms
    assert abs(to_ms / 1000 - abroad.evaluate("() => Date.now() / 1000")) < 900  # of the axis's shift nothing is left
    expect(abroad.locator("[data-do=unzoom]")).to_be_visible()
    abroad.locator(".range-pop summary").click()
    abroad.get_by_role("button", name="Copy link with absolute times").click()
    expect(abroad.locator("#sg-toasts")).to_contain_text("Link copied")
    assert abroad.evaluate("() => navigator.clipboard.readText()") == zoomed
    abroad.go_back()
    expect(abroad.locator(LIVE)).to_have_text("live")
    assert abroad.url == before
    expect(abroad.locator("[data-do=unzoom]")).to_be_hidden()
    abroad.go_forward()
    expect(abroad.locator(LIVE)).to_have_text("zoomed")
    assert abroad.url == zoomed
    abroad.reload()
    abroad.wait_for_selector(CHART, timeout=40_000)
    abroad.go_back()
    abroad.wait_for_url(before)
    expect(abroad.locator(LIVE)).to_have_text("live", timeout=20_000)


def with_many_gaps(route: Route) -> None:
    """The chart as the server made it, with one gap more in each of 45 moments, as a busy machine's cycles leave."""
    answer = route.fetch()
    body = answer.body()
    length = int.from_bytes(body[4:8], "little")
    chart = orjson.loads(body[8 : 8 + length])
    gap = {"type": "rect", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "name": "gap", "layer": "below",
           "line": {"width": 0}, "fillcolor": "var(--sg-other)/0.16"}  # fmt: skip
    end = round(chart["to"] * 1000)
    chart["figure"]["layout"]["shapes"] += [
        gap | {"x0": end - i * 4000, "x1": end - i * 4000 + 2000} for i in range(45)
    ]
    head = orjson.dumps(chart)
    head += b" " * (-len(head) % 8)  # the columns behind it begin at a multiple of eight
    route.fulfill(response=answer, body=body[:4] + len(head).to_bytes(4, "little") + head + body[8 + length :])


def test_a_chart_with_many_gaps_is_drawn_again_and_again(page: Page, group_page: str) -> None:
    page.route("**/series/**what=lag**", with_many_gaps)
    page.goto(group_page)
    page.wait_for_selector(CHART, timeout=40_000)
    shapes = "document.querySelector('figure[data-chart=lag] .js-plotly-plot').layout.shapes"
    for _ in range(2):
        assert page.evaluate(f"() => {shapes}.length") > 40
        assert page.evaluate(f"() => {shapes}.every(one => !/var/.test(one.fillcolor || one.line.color))")
        page.locator("figure[data-chart=lag] .sg-leg button").first.click()  # drawn anew; the fixture sees complaints
        page.wait_for_timeout(500)


def test_the_crosshair_stands_in_all_charts_at_the_same_moment(page: Page, group_page: str) -> None:
    page.goto(group_page)
    page.wait_for_function("() => document.querySelectorAll('figure[data-drawn]').length === 2", timeout=40_000)
    box = page.locator("figure[data-chart=lag] .nsewdrag").bounding_box()
    assert box is not None
    for share in (0.97, 0.985):  # where there are samples, also in a young instance
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
        page.wait_for_timeout(100)
    cross = page.locator("figure[data-chart=rates] .sg-cross")
    expect(cross).to_be_visible()
    other = page.locator("figure[data-chart=rates] .nsewdrag").bounding_box()
    line = cross.bounding_box()
    assert other is not None
    assert line is not None
    assert abs((line["x"] - other["x"]) / other["width"] - 0.985) < 0.03
    page.mouse.move(5, 5)
    expect(cross).to_be_hidden()


def test_a_page_that_is_held_still_changes_nothing_until_it_goes_on(page: Page, group_page: str, life: Life) -> None:
    page.goto(group_page)
    page.wait_for_selector(CHART, timeout=40_000)
    expect(page.locator(LIVE)).to_have_text("live", timeout=20_000)
    button = page.locator("[data-live]")
    page.keyboard.press("p")
    expect(page.locator(LIVE)).to_have_text("paused")
    expect(button).to_have_attribute("aria-pressed", "true")
    page.evaluate("() => { window.asked = 0; document.addEventListener('htmx:beforeSend', () => window.asked++) }")
    end = page.locator("#partitions tr[data-key] [data-f=end]").first
    held = end.inner_text()
    page.wait_for_timeout(3000)  # three cycles, in which records arrive
    assert end.inner_text() == held
    assert page.evaluate("() => window.asked") == 0
    button.click()
    expect(page.locator(LIVE)).to_have_text("live")
    expect(end).not_to_have_text(held, timeout=20_000)


def test_who_wants_less_motion_gets_none(browser: Browser, served: Served) -> None:
    context = browser.new_context(reduced_motion="reduce")
    made = context.new_page()
    sign_in(made, served.manage("signinlink", "--port", str(served.port)).splitlines()[-1])
    made.goto(f"{served.base}/")
    made.evaluate("() => document.dispatchEvent(new CustomEvent('sg:say', { detail: { head: 'a', text: 'b' } }))")
    toast = made.locator(".sg-toast")
    expect(toast).to_be_visible()
    moving = """() => [...document.querySelectorAll('*')].map(one => getComputedStyle(one)).filter(
        style => style.animationName !== 'none' || style.transitionDuration !== '0s').length"""
    assert made.evaluate(moving) == 0
    context.close()
