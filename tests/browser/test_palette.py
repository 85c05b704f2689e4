"""The palette and the keys, by keyboard alone, as a screen reader is told of them."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as TooLong

from tests.e2e.served import Life, Served

pytestmark = [pytest.mark.kafka, pytest.mark.browser]


def test_a_group_is_found_and_opened_without_a_mouse(page: Page, served: Served, life: Life, group_page: str) -> None:
    page.goto(f"{served.base}/")
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Cluster, topic, group, broker or page")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-expanded", "true")  # pages and clusters before anything is typed
    page.keyboard.type(life.group.removesuffix("</b>"))  # it holds markup, which stays text
    option = page.get_by_role("option").first
    expect(option).to_contain_text(life.group, timeout=20_000)
    expect(option).to_have_attribute("aria-selected", "true")
    assert field.get_attribute("aria-activedescendant") == option.get_attribute("id")
    page.keyboard.press("Enter")
    page.wait_for_url(group_page)


def test_arrows_go_round_and_escape_closes(page: Page, served: Served) -> None:
    page.goto(f"{served.base}/alerts/")
    page.keyboard.press("Control+k")
    options = page.locator("#sg-found [role=option]")
    expect(options.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowUp")
    expect(options.last).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    page.keyboard.type("no such thing at all")
    expect(page.locator(".sg-palette-said")).to_have_text("Nothing is called “no such thing at all”.")
    page.keyboard.press("Escape")
    expect(page.locator("#sg-palette")).not_to_be_visible()
    assert page.url == f"{served.base}/alerts/"


def _lead(page: Page, keys: str, url: str) -> None:
    """Types both keys: anew where a busy renderer took longer for the first than a pair may last."""
    for left in (2, 1, 0):
        for key in keys:
            page.keyboard.press(key)
        try:
            page.wait_for_url(url, timeout=10_000)
        except TooLong:
            if not left:
                raise
        else:
            page.wait_for_load_state("load")
            return


def test_letters_lead_to_sections_and_a_question_mark_names_them(page: Page, served: Served) -> None:
    page.goto(f"{served.base}/clusters/test/")
    for keys, path in (
        ("gg", "groups/"),
        ("gt", "topics/"),
        ("gb", "brokers/"),
        ("gd", "dead-letters/"),
        ("ge", "events/"),
    ):
        _lead(page, keys, f"{served.base}/clusters/test/{path}")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("its dead letters")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.keyboard.press("Escape")
    assert page.url == f"{served.base}/clusters/test/events/", "keys lead nowhere behind a dialog"
