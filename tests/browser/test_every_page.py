"""Every page in a real browser: no axe violation in either theme, a table twin and a unit for each chart, 390 px.

Looked at on a bad day: a broker is down, groups stand still or never committed, alerts fire, another cluster is silent.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import URLPattern, resolve
from playwright.sync_api import Browser, BrowserContext, Page, expect

from dashboard.urls import urlpatterns
from tests.e2e.served import ROOT, Served
from tests.screenshots import sign_in

from .conftest import POLICY, Notes

pytestmark = [pytest.mark.browser]

CLUSTER = "/clusters/demo/"
PATHS = [
    "/", "/?kiosk=1", CLUSTER, f"{CLUSTER}topics/", f"{CLUSTER}topics/orders/", f"{CLUSTER}topics/orders-dlt/",
    f"{CLUSTER}groups/", f"{CLUSTER}groups/payment-service/", f"{CLUSTER}groups/new-thing/",
    f"{CLUSTER}groups/payment-service/?view=heat",
    f"{CLUSTER}how/?group=payment-service&topic=orders&partition=0", f"{CLUSTER}brokers/",
    f"{CLUSTER}brokers/1/", f"{CLUSTER}brokers/3/", f"{CLUSTER}dead-letters/", f"{CLUSTER}events/",
    f"{CLUSTER}configuration/", f"{CLUSTER}rights/", f"{CLUSTER}edit/", "/clusters/silent/", "/clusters/add/",
    "/alerts/", "/alerts/history/", "/alerts/rules/", "/alerts/rules/broker_down/", "/alerts/silences/",
    "/alerts/silences/new/", "/alerts/deliveries/", "/alerts/routes/", "/alerts/routes/new/",
    "/alerts/maintenance/", "/alerts/maintenance/new/", "/settings/channels/", "/settings/channels/new/?kind=email",
    "/settings/channels/new/", "/settings/people/", "/settings/people/add/", "/settings/people/1/",
    "/settings/audit/", "/settings/account/", "/instance/", f"{CLUSTER}delete/",
]  # fmt: skip
ELSEWHERE = {
    "acknowledge", "acknowledge-link", "take-back", "channel", "channel-delete", "channel-test", "route",
    "route-delete", "signin", "signin-link", "signout", "cluster-add-test", "cluster-test", "cluster-pause",
    "cluster-restore", "series", "side", "strip", "strip-wish", "alert-rule-reset", "silence-end", "resend",
    "maintenance-end", "person-role", "person-reset", "person-disable", "person-enable", "person-signout",
    "session-end", "signout-everywhere", "star", "search", "live-check", "metrics", "healthz", "readyz",
}  # fmt: skip
"""Addresses that are no page of their own, need a link or an alert of their own, or look as one that is walked."""
CHARTS = {
    CLUSTER: 3, f"{CLUSTER}topics/orders/": 2, f"{CLUSTER}groups/payment-service/": 3, f"{CLUSTER}brokers/1/": 2,
    f"{CLUSTER}dead-letters/": 1, "/alerts/": 1, "/instance/": 1,
}  # fmt: skip
LOOKS = {"dark": (1440, 1000), "light": (1920, 1080), "phone": (390, 844)}
AXE_OPTIONS = {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Pages of an instance whose database was filled; nothing samples."""
    made = Served(tmp_path_factory.mktemp("staged"))
    made.manage("upgrade")
    subprocess.run([sys.executable, "-m", "tests.browser.stage"], cwd=ROOT, env=made.environment, check=True)
    try:
        made.start("web")
        made.wait_alive()
        yield made
    finally:
        made.stop()


def context_of(browser: Browser, look: str) -> BrowserContext:
    """A browser of its own in one look, which counts what breaks the policy."""
    width, height = LOOKS[look]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="light" if look == "light" else "dark"
    )
    context.add_init_script(POLICY)
    return context


@pytest.fixture(scope="module", params=LOOKS)
def walker(request: pytest.FixtureRequest, browser: Browser, staged: Served) -> Iterator[tuple[Page, Notes]]:
    """One signed-in page in each look that walks all addresses."""
    context = context_of(browser, request.param)
    made, notes = context.new_page(), Notes()
    notes.watch(made)
    sign_in(made, staged.manage("signinlink", "--port", str(staged.port)).splitlines()[-1])
    yield made, notes
    context.close()


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_fit_for_everybody(path: str, walker: tuple[Page, Notes], staged: Served) -> None:
    page, notes = walker
    notes.complaints.clear()
    answer = page.goto(staged.base + path)
    assert answer is not None
    assert answer.status == 200
    page.wait_for_load_state("load")
    charts = page.locator("figure[data-chart]:visible")
    assert charts.count() >= CHARTS.get(path, 0)
    for i in range(charts.count()):
        _has_unit_and_twin(page, i)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, "it scrolls sideways"
    assert page.evaluate("window.broken") == []  # before axe, which is injected past the policy
    assert findings(page) == []
    assert notes.complaints == []


def test_every_address_that_is_a_page_is_walked() -> None:
    """Whatever has a name and is neither walked nor named as something else fails."""
    walked = {resolve(urlsplit(path).path).url_name for path in PATHS}
    every = {one.name for one in urlpatterns if isinstance(one, URLPattern)}
    assert every - walked - ELSEWHERE == set()


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(("path", "status"), [("/signin/", 200), ("/signin/wrong/", 410), ("/nothing/", 404)])
def test_pages_for_who_is_not_signed_in_are_fit(
    look: str, path: str, status: int, browser: Browser, staged: Served
) -> None:
    context = context_of(browser, look)
    page = context.new_page()
    answer = page.goto(staged.base + path)
    assert answer is not None
    assert answer.status == status
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, "it scrolls sideways"
    assert page.evaluate("window.broken") == []
    assert findings(page) == []
    context.close()


def test_numbers_of_a_cluster_that_is_not_sampled_are_grey_and_said_to_be_old(browser: Browser, staged: Served) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    sign_in(page, staged.manage("signinlink", "--port", str(staged.port)).splitlines()[-1])
    silent = "/clusters/silent/"
    for path in (silent, f"{silent}groups/", f"{silent}topics/", f"{silent}brokers/", f"{silent}dead-letters/"):
        page.goto(staged.base + path)
        expect(page.locator(".sg-banner")).to_contain_text("Data is 1 h")
        expect(page.locator("[data-live] b")).to_have_text("old data")
        assert page.locator(".sg-stale .sg-main").count() == 1
        grey = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--sg-text-3').trim()")
        number = page.locator(".sg-main :is(.num, .val)").first
        red, green, blue = (int(grey[i : i + 2], 16) for i in (1, 3, 5))
        assert number.evaluate("one => getComputedStyle(one).color") == f"rgb({red}, {green}, {blue})"
    context.close()


def test_the_chart_of_an_alert_stays_as_it_is_when_the_list_is_fetched_anew(
    walker: tuple[Page, Notes], staged: Served
) -> None:
    page, _ = walker
    page.goto(f"{staged.base}/alerts/")
    figure = page.locator("#open-alerts figure[data-chart]:visible").first
    button = figure.locator("[data-do=table]")
    button.click()
    expect(figure.locator(".sg-twin tbody tr").first).to_be_visible(timeout=20_000)
    page.evaluate("document.querySelector('#open-alerts').dataset.before = 1")
    page.evaluate("document.querySelector('#body').dispatchEvent(new CustomEvent('sg:hint'))")
    expect(page.locator("#open-alerts:not([data-before])")).to_be_visible(timeout=20_000)
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(figure.locator(".sg-twin tbody tr").first).to_be_visible()


def _has_unit_and_twin(page: Page, index: int) -> None:
    """The unit stands in the head of the chart, and the table says it in the head of each column of numbers."""
    figure = page.locator("figure[data-chart]:visible").nth(index)
    unit = figure.get_attribute("data-unit")
    assert unit
    figure.scroll_into_view_if_needed()
    expect(figure.locator("[data-resolution]")).to_contain_text(unit, timeout=20_000)
    if figure.get_attribute("data-drawn"):
        on_axes = figure.locator(".annotation-text")
        assert on_axes.all_text_contents() == [unit, "UTC"], "the unit of the one axis and the zone of the other"
    button = figure.locator("[data-do=table]")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    heads = figure.locator(".sg-twin th.num")
    expect(heads.first).to_contain_text(unit, timeout=20_000)


def findings(page: Page) -> list[str]:
    """What axe complains of."""
    return [_said(one) for one in Axe().run(page, options=AXE_OPTIONS).response["violations"]]


def _said(violation: dict[str, Any]) -> str:
    nodes = "; ".join(f"{node['target']} {node['html'][:160]}" for node in violation["nodes"][:3])
    return f"{violation['id']}: {violation['help']} ({len(violation['nodes'])}): {nodes}"
