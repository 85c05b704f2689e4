"""A page that is looked at asks for the head of its group's backlog, and neither waits for that nor fails by it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from collectors.history.cache import clear_caches
from collectors.models import Group
from collectors.models.groups import WANTED
from dashboard.live import times
from dashboard.pages import wishes
from tests.faults.pretend import failing_writes

from .seed import Company, make_company
from .test_how import keep_head, text_of

pytestmark = pytest.mark.django_db

GROUP = "/clusters/demo/groups/payment-service/"
HOW = "/clusters/demo/how/?group=payment-service"
FALLS_BEHIND = Company(frozen=frozenset({"payment-service"}), freeze_cycles=10)


def wanted() -> dict[str, bool]:
    return {one.name: one.is_head_wanted(timezone.now()) for one in Group.objects.all()}


@pytest.mark.parametrize("path", [GROUP, f"{GROUP}?fragment=top", HOW])
def test_the_page_of_a_group_asks_once_in_a_half_minute(path: str, viewer: Client) -> None:
    make_company(FALLS_BEHIND)
    writes = []
    for age in (None, 29, 31):
        if age is not None:
            Group.objects.filter(name="payment-service").update(
                head_wanted_until=timezone.now() + WANTED - timedelta(seconds=age)
            )
        with CaptureQueriesContext(connection) as asked:
            assert viewer.get(path).status_code == 200
        writes.append(sum("head_wanted_until" in one["sql"] and "UPDATE" in one["sql"] for one in asked))
    assert writes == [1, 0, 1]
    assert [name for name, is_wanted in wanted().items() if is_wanted] == ["payment-service"]
    left = Group.objects.get(name="payment-service").head_wanted_until
    assert left is not None
    assert WANTED - timedelta(seconds=10) < left - timezone.now() <= WANTED


@pytest.mark.parametrize("path", ["/", "/clusters/demo/", "/clusters/demo/groups/", f"{GROUP}?fragment=members"])
def test_what_does_not_show_it_asks_for_nothing(path: str, viewer: Client) -> None:
    make_company(FALLS_BEHIND)
    viewer.get(path)
    assert not any(wanted().values())


def test_of_a_group_that_is_gone_or_shared_nothing_is_asked(viewer: Client) -> None:
    make_company(FALLS_BEHIND)
    Group.objects.filter(name="payment-service").update(gone_at=timezone.now())
    viewer.get(GROUP)
    Group.objects.filter(name="payment-service").update(gone_at=None, type="share")
    page = text_of(viewer.get(GROUP).content)
    viewer.get(HOW)
    assert not any(wanted().values())
    assert times.SHARED in page


def test_the_page_says_at_once_that_it_is_being_read_and_then_what_was(viewer: Client) -> None:
    cluster = make_company(FALLS_BEHIND)
    page = text_of(viewer.get(GROUP).content)
    assert times.BEING_READ in page
    assert times.NOT_READ not in page
    keep_head(cluster, lambda taken_at: round((taken_at - 90) * 1000), "orders", 2)
    clear_caches()  # it comes with a cycle that was looked at already
    assert times.BEING_READ not in text_of(viewer.get(GROUP).content)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)  # outside of one, as a page is
@pytest.mark.parametrize("text", ["database is locked", "attempt to write a readonly database", "disk is full"])
@pytest.mark.parametrize("path", [GROUP, HOW])
def test_a_database_that_takes_no_write_fails_no_page(path: str, text: str, viewer: Client) -> None:
    make_company(FALLS_BEHIND)
    viewer.get("/")
    with failing_writes(text):
        answer = viewer.get(path)
    assert answer.status_code == 200
    assert not any(wanted().values())
    if path == GROUP:
        assert times.NOT_READ in text_of(answer.content)


@pytest.mark.sqlite
def test_it_hardly_waits_for_another_writer(viewer: Client) -> None:
    make_company(FALLS_BEHIND)
    patience: list[int] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE"):
            patience.append(patience_now(context["cursor"]))
        return execute(sql, params, many, context)

    with connection.cursor() as cursor:
        before = patience_now(cursor)
        with connection.execute_wrapper(note):
            viewer.get(GROUP)
        assert patience == [round(1000 * wishes.BUSY_SECONDS)]
        assert before == patience_now(cursor) > patience[0]


def patience_now(cursor: Any) -> int:
    """Milliseconds that SQLite waits for its one writer."""
    return int(cursor.execute("PRAGMA busy_timeout").fetchone()[0])


def test_a_mistake_of_this_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    make_company(FALLS_BEHIND)

    def mistake(*_: object) -> int:
        raise IntegrityError("a constraint")

    monkeypatch.setattr(Group.objects.none().__class__, "want_heads", mistake)
    with pytest.raises(IntegrityError):
        wishes.want_head(Group.objects.get(name="payment-service"), now=timezone.now())


def test_whoever_may_look_without_signing_in_asks_too(client: Client, settings: Settings) -> None:
    settings.OPEN_READ_ONLY = True
    make_company(FALLS_BEHIND)
    assert client.get(GROUP).status_code == 200
    assert wanted()["payment-service"]
