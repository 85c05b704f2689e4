"""Events as lines of a page, and as marks under the charts."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from collectors.models import Cluster, Event
from dashboard.alerts.defaults import DEFAULT_RULES
from dashboard.models import Alert, Rule, Transition
from dashboard.pages import changes
from dashboard.pages.marks import marks_of

from .seed import Company, make_company

pytestmark = pytest.mark.django_db


def note(cluster: Cluster, kind: str, subject: tuple[str, str], text: str, at: datetime) -> Event:
    return Event.objects.create(
        cluster=cluster, kind=kind, subject_kind=subject[0], subject=subject[1], text=text, at=at
    )


def test_many_alike_at_one_moment_are_one_line(viewer: Client) -> None:
    cluster, now = make_company(Company()), timezone.now()
    for i in range(9):
        note(cluster, "group_new", ("group", f"<b>{i}"), f"Group <b>{i} appeared", now)
    note(cluster, "group_gone", ("group", "old"), "Group old is gone", now)
    first, second, *_ = changes.recent(5)
    told = {first.event.kind: first, second.event.kind: second}
    assert [one.subject for one in told["group_new"].named] == [f"<b>{i}" for i in range(5)]
    assert told["group_new"].left_out == 4
    assert (told["group_gone"].before, told["group_gone"].name, told["group_gone"].after) == (
        "Group ",
        "old",
        " is gone",
    )
    page = viewer.get("/").content.decode()
    assert "9 groups appeared" in page
    assert "<b>0" not in page.replace("<b>0</b>", "")


def test_two_alike_stay_two_lines() -> None:
    cluster, now = make_company(Company()), timezone.now()
    for i in range(2):
        note(cluster, "topic_created", ("topic", f"t{i}"), f"Topic t{i} was created", now)
    assert [line.name for line in changes.recent(2)] == ["t1", "t0"]


@pytest.mark.parametrize(
    ("kind", "subject", "text", "parts"),
    [
        ("broker", "1", "Broker 1 is down: 127.0.0.1 refused", ("", "Broker 1", " is down: 127.0.0.1 refused")),
        ("broker", "2", "Controller: broker 1, now broker 2", ("Controller: broker 1, now ", "broker 2", "")),
        ("group", "", "Group  appeared", ("Group  appeared", "", "")),
        ("", "", "1 cycle skipped", ("1 cycle skipped", "", "")),
        ("topic", "orders", "Demo: something on purpose", ("Demo: something on purpose", "", "")),
    ],
)  # fmt: skip
def test_the_name_within_the_text_is_the_link(kind: str, subject: str, text: str, parts: tuple[str, str, str]) -> None:
    line = changes.line(Event(subject_kind=kind, subject=subject, text=text))
    assert (line.before, line.name, line.after) == parts


def test_marks_are_of_the_subject_what_it_hangs_on_and_its_alerts() -> None:
    cluster, now = make_company(Company()), timezone.now()
    at = now - timedelta(minutes=1)
    for kind, subject, text in (
        ("leaders_moved", ("", ""), "3 leaders moved"),
        ("controller_moved", ("broker", "2"), "controller moved"),
        ("act", ("group", "x"), "act"),
        ("topic_grown", ("topic", "orders"), "orders grew"),
        ("topic_grown", ("topic", "clicks"), "clicks grew"),
        ("config_changed", ("topic", "orders"), "orders set"),
        ("members_changed", ("group", "payment-service"), "members moved"),
        ("members_changed", ("group", "analytics"), "others moved"),
        ("verdict_changed", ("group", "payment-service"), "no progress"),
    ):
        note(cluster, kind, subject, text, at)
    rule = Rule.objects.get_or_create(key="group_no_progress", defaults=DEFAULT_RULES["group_no_progress"])[0]
    alert = Alert.objects.create(
        rule=rule, cluster=cluster, subject_kind="group", subject="payment-service", state="firing",
        severity="critical", sentence="s", started_at=at, fired_at=at, changed_at=at,
    )  # fmt: skip
    for state in ("pending", "firing", "acknowledged"):
        Transition.objects.create(alert=alert, at=at, new_state=state, reason="r")
    cluster.refresh_from_db()

    def texts(subject: str, name: str) -> set[str]:
        found = marks_of(cluster, subject, name, now.timestamp() - 300, now.timestamp())
        return {mark.text for mark in found} - {"collector took over, epoch 1"}

    everywhere = {"3 leaders moved", "controller moved", "act"}
    fires = f"Alert fires: {rule.name}"
    assert texts("g", "payment-service") == everywhere | {
        "orders grew", "orders set", "members moved", "no progress", fires,
    }  # fmt: skip
    assert texts("t", "orders") == everywhere | {
        "orders grew", "orders set", "members moved", f"{fires} (payment-service)",
    }  # fmt: skip
    assert texts("t", "clicks") == everywhere | {"clicks grew", "others moved"}
    assert texts("b", "1") == everywhere
    assert texts("c", "") == everywhere | {"orders grew", "clicks grew", "orders set"}


def test_the_head_of_a_column_names_a_span_only_above_a_sparkline(viewer: Client) -> None:
    make_company(Company())
    for path, least in (("dead-letters/", 1), ("topics/", 1), ("groups/", 1), ("brokers/", 0)):
        page = viewer.get(f"/clusters/demo/{path}").content.decode()
        assert len(re.findall(r"<th[^>]*>[^<]*<span data-spark-span>", page)) == least, path
