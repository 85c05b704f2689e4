"""Every page in a real browser: no axe violation in either theme, a table twin and a unit for each chart, 390 px."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.e2e.served import Served, wait_for
from tests.screenshots import sign_in

from .conftest import POLICY, Notes

pytestmark = [pytest.mark.kafka, pytest.mark.browser]

CLUSTER = "/clusters/test/"
PATHS = [
    "/", "/?kiosk=1", CLUSTER, f"{CLUSTER}topics/", f"{CLUSTER}groups/", f"{CLUSTER}brokers/", f"{CLUSTER}brokers/1/",
    f"{CLUSTER}dead-letters/", f"{CLUSTER}events/", f"{CLUSTER}configuration/", f"{CLUSTER}rights/",
    f"{CLUSTER}edit/", "/clusters/add/", "TOPIC", "GROUP", "/alerts/",
    "/alerts/history/", "/alerts/rules/", "/alerts/rules/broker_down/", "/alerts/silences/", "/alerts/silences/new/",
    "/alerts/maintenance/", "/alerts/maintenance/new/", "/alerts/routes/", "/alerts/routes/new/",
    "/settings/channels/new/?kind=email",
    "/alerts/deliveries/", "/settings/channels/", "/settings/channels/new/", "/settings/people/", "/settings/audit/",
    "/settings/account/", "/instance/",
]  # fmt: skip
CHARTS = {CLUSTER + "brokers/1/": 2, "TOPIC": 2, "GROUP": 2, "/instance/": 1}
AXE_OPTIONS = {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


@pytest.fixture(scope="module")
def addresses(served: Served) -> dict[str, str]:
    """The pages of a topic and of a group that the collector knows."""
    topic = wait_for(
        "a topic", lambda: served.rows("select name from collectors_topic where not is_internal"), seconds=60
    )
    return {"TOPIC": f"{CLUSTER}topics/{topic[0][0]}/"}


@pytest.fixture(scope="module", params=["dark", "light", "phone"])
def walker(request: pytest.FixtureRequest, browser: Browser, served: Served) -> Iterator[tuple[Page, Notes]]:
    """One signed-in page in each look that walks all addresses."""
    look: str = request.param
    size = {"width": 390, "height": 844} if look == "phone" else {"width": 1400, "height": 1000}
    context = browser.new_context(viewport=size, color_scheme="light" if look == "light" else "dark")  # type: ignore[arg-type]  # a plain dict
    context.add_init_script(POLICY)
    made, notes = context.new_page(), Notes()
    notes.watch(made)
    sign_in(made, served.manage("signinlink", "--port", str(served.port)).splitlines()[-1])
    yield made, notes
    context.close()


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_fit_for_everybody(
    path: str, walker: tuple[Page, Notes], served: Served, addresses: dict[str, str], group_page: str
) -> None:
    page, notes = walker
    notes.complaints.clear()
    address = group_page if path == "GROUP" else served.base + addresses.get(path, path)
    answer = page.goto(address)
    assert answer is not None
    assert answer.status == 200
    page.wait_for_load_state("load")
    charts = page.locator("figure[data-chart]")
    assert charts.count() >= CHARTS.get(path, 0)
    for i in range(charts.count()):
        _has_unit_and_twin(page, i)
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, "it scrolls sideways"
    assert page.evaluate("window.broken") == []  # before axe, which is injected past the policy
    assert findings(page) == []
    assert notes.complaints == []


def _has_unit_and_twin(page: Page, index: int) -> None:
    """The unit stands in the head of the chart, and the table says it in the head of each column of numbers."""
    figure = page.locator("figure[data-chart]").nth(index)
    unit = figure.get_attribute("data-unit")
    assert unit
    figure.scroll_into_view_if_needed()
    expect(figure.locator("[data-resolution]")).to_contain_text(unit, timeout=20_000)
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
