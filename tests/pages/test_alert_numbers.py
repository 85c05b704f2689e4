"""The numbers in the sentences of alerts lead to how they are known, wherever an alert is shown."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from collectors.domain.words import THIN
from collectors.history.now import ClusterNow
from collectors.history.queries import cluster_at
from collectors.models import Cluster
from dashboard.alerts import backlogsentences, groupsentences, timesentences
from dashboard.alerts.defaults import install_default_rules
from dashboard.alerts.scene import Told
from dashboard.models import Alert, Rule, Transition
from dashboard.pages.alertnumbers import said
from dashboard.templatetags.sg import alert_said, step_said

from .seed import Company, make_company

pytestmark = pytest.mark.django_db
GROUP = "payment-service"
HOW = f"/clusters/demo/how/?group={GROUP}"


@pytest.fixture
def stuck() -> Cluster:
    install_default_rules()
    return make_company(Company(frozen=frozenset({GROUP}), freeze_cycles=10))


def raised(cluster: Cluster, rule: str, told: Told, state: Alert.State = Alert.State.FIRING) -> Alert:
    now = timezone.now()
    alert = Alert.objects.create(
        rule=Rule.objects.get(key=rule), cluster=cluster, subject_kind="group", subject=GROUP, severity="warning",
        sentence=told.sentence, memory={"began": told.numbers}, state=state, started_at=now, fired_at=now,
        changed_at=now,
    )  # fmt: skip
    Transition.objects.create(
        alert=alert, at=now, old_state="", new_state=state, reason=told.sentence, numbers=told.numbers
    )
    return alert


def links(page: str) -> list[tuple[str, str]]:
    return [
        (html.unescape(href), text) for href, text in re.findall(r'<a class="link" href="([^"]*)">([^<]*)</a>', page)
    ]


def made(rule: str, *, sentence: str, **numbers: Any) -> list[tuple[str, str]]:
    alert = Alert(
        rule=Rule(key=rule, quantity=rule), cluster=Cluster(slug="demo"), subject_kind="group", subject=GROUP,
        sentence=sentence,
    )  # fmt: skip
    return links(said(alert, sentence, numbers, now=timezone.now()))


SENTENCES: list[tuple[str, Callable[[ClusterNow, str], Told], str, str]] = [
    ("group_lag_high", backlogsentences.many_wait, "lag", rf"[\d{THIN}]+ records"),
    ("group_far_behind", timesentences.far_behind, "log-end-age", rf"\d+{THIN}s"),
    ("group_drain_long", backlogsentences.drains_late, "drain-estimate", "does not drain"),
    ("group_no_members", groupsentences.unread, "lag", rf"[\d{THIN}]+ records"),
]


@pytest.mark.parametrize(("rule", "sentence", "of", "number"), SENTENCES)
def test_the_number_of_an_open_alert_is_a_link(
    rule: str, sentence: Callable[[ClusterNow, str], Told], of: str, number: str, stuck: Cluster, viewer: Client
) -> None:
    now = cluster_at(stuck.pk)
    assert now is not None
    raised(stuck, rule, sentence(now, GROUP))
    for path, times in (("/alerts/", 3), ("/clusters/demo/", 1)):  # most urgent, in its row, and why
        found = [text for href, text in links(viewer.get(path).content.decode()) if href == f"{HOW}#{of}"]
        matching = [text for text in found if re.fullmatch(number, text)]
        assert len(matching) >= times, (path, found)
    assert viewer.get(HOW).status_code == 200


def test_the_numbers_of_alerts_that_are_pending_are_links_too(stuck: Cluster, viewer: Client) -> None:
    now = cluster_at(stuck.pk)
    assert now is not None
    raised(stuck, "group_lag_high", backlogsentences.many_wait(now, GROUP), Alert.State.PENDING)
    assert f"{HOW}#lag" in [href for href, _ in links(viewer.get("/alerts/?fragment=rows").content.decode())]


def test_each_number_leads_to_its_own_quantity() -> None:
    soon = f"{GROUP} loses records of orders/2 in 1{THIN}h, 12 unread records at stake: told from retention.ms"
    age = {"log_end_age_seconds": 3600.0, "countdown_seconds": 3600.0}
    assert made("group_countdown", sentence=soon, lag=12, **age) == [(f"{HOW}#retention-countdown", f"1{THIN}h")]
    head = f"The oldest unread record of {GROUP} is 1{THIN}h 10{THIN}min old: orders/2; 1{THIN}200 records wait"
    place = {"topic": "orders", "partition": 2}
    assert made("group_head_age", sentence=head, lag=1200, head_age_seconds=4200.0, **place) == [
        (f"{HOW}&topic=orders&partition=2#head-of-backlog-age", f"1{THIN}h 10{THIN}min"),
        (f"{HOW}#lag", f"1{THIN}200 records"),
    ]
    still = (
        f"{GROUP} makes no progress since 14:02:10 UTC: none of 48 waiting records read, 1 of 4 partitions stand still"
    )
    assert made("group_verdict", sentence=still, lag=60) == [(f"{HOW}#lag", "48 waiting records")]
    assert made("group_records_lost", sentence=f"{GROUP} lost 5 records before reading them") == []
    assert made("group_drain", sentence=f"{GROUP} needs 1{THIN}h 10{THIN}min to read it", drain_seconds=3600.0) == []


NO_NUMBERS = ["12", "", True, float("nan"), float("inf"), float("-inf"), [12], {}]


@pytest.mark.parametrize("stored", [*NO_NUMBERS, pytest.param(10**400, id="longer than any offset")])
def test_what_is_no_number_in_a_stored_alert_is_no_link(stored: object) -> None:
    said = f"{GROUP} is 12 records behind, nan or inf, for 1{THIN}h: {stored}"
    assert made("group_lag", sentence=said, lag=stored) == []
    alert = {"sentence": f"The oldest unread record of {GROUP} is 1{THIN}h old, or nan: {stored}"}
    assert made("group_head_age", **alert, head_age_seconds=stored) == []
    assert made("group_countdown", sentence=f"{GROUP} loses records at any moment", countdown_seconds=stored) == []


@pytest.mark.parametrize("numbers", [None, "12", [12], 12])
def test_an_alert_whose_numbers_are_none_is_told_all_the_same(numbers: object) -> None:
    alert = Alert(
        rule=Rule(quantity="group_lag"), cluster=Cluster(slug="demo"), subject_kind="group", subject=GROUP,
        sentence=f"{GROUP} is late", memory={"began": numbers},
    )  # fmt: skip
    assert alert_said(alert) == alert.sentence
    assert step_said(alert, Transition(reason=alert.sentence, numbers=numbers)) == alert.sentence


def test_what_an_alert_says_stays_text() -> None:
    alert = Alert(
        rule=Rule(quantity="group_lag"), cluster=Cluster(slug="demo"), subject_kind="group", subject="<b>5 records wait"
    )
    shown = said(alert, "<b>5 records wait is 7 records behind", {"lag": 7}, now=timezone.now())
    assert shown.startswith('&lt;b&gt;5 records wait is <a class="link" href="/clusters/demo/how/?group=%3Cb%3E5')
    assert shown.endswith('#lag">7 records</a> behind')
    alert.subject_kind = "topic"
    assert "<a" not in said(alert, "<b>7 records behind", {"lag": 7}, now=timezone.now())
