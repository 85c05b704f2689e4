"""What a page marks as live is in the rows that it subscribes to, under the names that the rows have."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client

from dashboard.live.reading import DatabaseReader
from dashboard.live.wire import parse_subject

from .seed import Company, make_company

pytestmark = pytest.mark.django_db

VOID = {"meta", "link", "input", "br", "hr", "img", "use", "rect", "circle", "path"}
PAGES = [
    "/",
    "/clusters/demo/",
    "/clusters/demo/groups/",
    "/clusters/demo/groups/payment-service/",
    "/clusters/demo/topics/",
    "/clusters/demo/topics/orders/",
    "/alerts/",
]


@dataclass
class Live(HTMLParser):
    """Collects (subject, field) of live elements and (subject, list, key, own subject, field) of list items."""

    fields: set[tuple[str, str]] = field(default_factory=set)
    parts: set[tuple[str, str, str, str, str]] = field(default_factory=set)
    subjects: set[str] = field(default_factory=set)
    stack: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        here = {name: value or "" for name, value in attrs}
        above = [*self.stack, here]
        sub = next((one["data-sub"] for one in reversed(above) if one.get("data-sub")), "")
        rows = next((one for one in reversed(above) if "data-rows" in one), None)
        item = next((one for one in reversed(above) if "data-key" in one), None)
        if sub:
            self.subjects.add(sub)
        for name in filter(None, (here.get("data-f"), here.get("data-f-push"), here.get("data-f-bad"))):
            if rows is not None and item is not None:
                own = item.get("data-sub", "")
                self.parts.add((rows["data-rows-sub"], rows["data-rows"], item["data-key"], own, name))
            else:
                assert sub, f"{tag} {here} is live, but not of anything"
                self.fields.add((sub, name))
        if tag not in VOID:
            self.stack.append({**here, "tag": tag})

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        while self.stack and self.stack.pop()["tag"] != tag:
            pass


@pytest.mark.parametrize("path", PAGES)
def test_every_live_part_of_a_page_is_in_the_row_it_listens_to(path: str, viewer: Client) -> None:
    make_company(Company(frozen=frozenset({"payment-service"}), cycles=30))
    live = Live()
    live.feed(viewer.get(path).content.decode())
    assert live.fields
    ids = {sub for sub, _ in live.fields} | {sub for sub, *_ in live.parts} | live.subjects
    reader = DatabaseReader()
    head = reader.heads()[0]
    rows = dict(reader.update(head, [subject for id in sorted(ids) if (subject := parse_subject(id))]).rows)
    rows["alerts"] = reader.alerts()
    for sub, name in live.fields:
        assert name in (rows[sub] or {}), f"{sub} has no {name}"
    for sub, listed, key, own, name in live.parts:
        by_key = {part["key"]: part for part in (rows[sub] or {})[listed]}
        assert key in by_key, f"{listed} of {sub} has no {key!r}"
        assert name in by_key[key] or name in (rows.get(own) or {}), f"{key!r} in {listed} of {sub} has no {name}"


@pytest.mark.parametrize(
    ("path", "hints"),
    [
        ("/clusters/demo/groups/payment-service/", {"G/demo/payment-service", "alerts", "c"}),
        ("/clusters/demo/topics/orders/", {"T/demo/orders", "c"}),
        ("/", {"c", "g/demo", "alerts"}),
        ("/alerts/", {"c", "alerts"}),
    ],
)
def test_fragments_are_fetched_when_something_changes(path: str, hints: set[str], viewer: Client) -> None:
    make_company(Company(cycles=6))
    seen: set[str] = set()

    class Hints(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            here = dict(attrs)
            listens = (here.get("data-hints") or "").split() + ([str(here["data-on"])] if "data-on" in here else [])
            seen.update(listens)
            if listens and "data-reload" not in here:
                assert "sg:hint" in (here.get("hx-trigger") or ""), here

    Hints().feed(viewer.get(path).content.decode())
    assert hints - {"alerts"} <= seen
    assert "alerts" not in hints or seen & {"alerts", "events"}
