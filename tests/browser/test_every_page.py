"""Every page in a real browser: no axe violation in either theme, a table twin and a unit for each chart, 390 px.

Looked at on a bad day: a broker is down, groups stand still or never committed, alerts fire, another cluster is silent.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

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
    "/settings/channels/new/", "/settings/people/", "/settings/audit/", "/settings/account/", "/instance/",
]  # fmt: skip
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


@pytest.fixture(scope="module", params=LOOKS)
def walker(request: pytest.FixtureRequest, browser: Browser, staged: Served) -> Iterator[tuple[Page, Notes]]:
    """One signed-in page in each look that walks all addresses."""
    look: str = request.param
    width, height = LOOKS[look]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="light" if look == "light" else "dark"
    )
    context.add_init_script(POLICY)
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
