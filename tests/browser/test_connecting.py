"""From a pasted client.properties with few rights to the first lag numbers, and which panels are off and why."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from collectors.demo.secured import SecuredKafka
from tests.conftest import create_topic
from tests.e2e.served import Life, Served
from tests.screenshots import sign_in

from .conftest import POLICY, Notes
from .test_every_page import findings

pytestmark = [pytest.mark.kafka, pytest.mark.browser]
PROMISED_SECONDS = 60
NUMBER = re.compile(r"^\d[\d\u202f]*$")


@pytest.fixture
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An instance that watches nothing yet."""
    made = Served(tmp_path_factory.mktemp("alone"))
    made.manage("migrate", "-v0")
    try:
        made.start()
        made.wait_alive()
        yield made
    finally:
        made.stop()


@pytest.fixture
def person(browser: Browser, alone: Served, notes: Notes) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.add_init_script(POLICY)
    page = context.new_page()
    notes.watch(page)
    sign_in(page, alone.manage("signinlink", "--port", str(alone.port)).splitlines()[-1])
    yield page
    context.close()
    assert notes.complaints == []


def pasted(node: SecuredKafka, user: str) -> str:
    return "".join(f"{key}={' '.join(value.split())}\n" for key, value in node.properties(user).items())


def test_a_person_with_few_rights_gets_from_paste_to_lag_within_a_minute(
    secured: SecuredKafka, alone: Served, person: Page
) -> None:
    create_topic(secured.bootstrap, "shown", partitions=2, replication=1)
    with Life(secured.bootstrap, "shown", "shown-readers"):
        began = time.monotonic()
        person.goto(f"{alone.base}/")
        person.get_by_role("link", name="Paste what your clients use").click()
        person.fill("#name", "Orders")
        person.fill("#properties", pasted(secured, "observer"))
        person.get_by_role("button", name="Test connection").click()
        steps = person.locator("#check ol > li")
        expect(steps).to_have_count(8, timeout=20_000)
        expect(person.locator("#check li.is-bad")).to_have_count(0)
        rights = steps.filter(has_text="Rights")
        expect(rights).to_contain_text("Off Sizes on disk, not authorised")
        expect(rights.locator("pre").first).to_contain_text("--allow-principal User:observer --operation Describe")
        expect(steps.filter(has_text="First cycle")).to_contain_text("log ends of")
        assert findings(person) == []
        person.get_by_role("button", name="Save and collect").click()
        person.wait_for_url("**/clusters/orders/")
        row = person.locator("tr", has_text="shown-readers").first
        lag = row.locator("[data-f=lag]").first
        expect(lag).to_have_text(NUMBER, timeout=40_000)
        took = time.monotonic() - began
        assert took < PROMISED_SECONDS, f"{took:.0f} s"
        person.get_by_role("link", name="Rights", exact=True).first.click()
        # Read on topics is one more, once it was tried
        expect(person.locator("h1")).to_contain_text(
            re.compile("(4 things of 6|5 things of 7) are off"), timeout=20_000
        )
        assert person.locator("tr", has_text="Sizes on disk").inner_text().count("Describe on the cluster") == 2
        assert person.locator("pre", has_text="kafka-acls").inner_text().count("--operation") in (3, 4)
        assert findings(person) == []
        person.goto(f"{alone.base}/clusters/orders/topics/shown/")
        expect(person.locator("#configuration")).to_contain_text("lacks the right DescribeConfigs on topics")
        assert person.evaluate("window.broken") == []
