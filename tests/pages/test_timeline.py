"""The timeline, charts and firing alerts of a cluster's page, and the last day of each cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from collectors.models import Cluster, Cycle, Event
from dashboard.alerts.defaults import DEFAULT_RULES
from dashboard.models import Alert, Rule
from dashboard.pages import days
from dashboard.pages.ranges import read_range
from dashboard.pages.timeline import LANES, Timeline, timeline

from .seed import Company, make_cluster, make_company

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def note(cluster: Cluster, kind: str, subject: tuple[str, str], minutes: float, text: str = "t") -> None:
    at = NOW - timedelta(minutes=minutes)
    Event.objects.create(cluster=cluster, kind=kind, subject_kind=subject[0], subject=subject[1], text=text, at=at)


def fired(cluster: Cluster, minutes: float, over: float | None, *, now: datetime = NOW, severity: str = "") -> None:
    rule = Rule.objects.get_or_create(key="broker_down", defaults=DEFAULT_RULES["broker_down"])[0]
    at = now - timedelta(minutes=minutes)
    ended = None if over is None else now - timedelta(minutes=over)
    Alert.objects.create(
        rule=rule, cluster=cluster, subject_kind="broker", subject="1", sentence="Broker <b>1</b> is down",
        state="firing" if over is None else "resolved", severity=severity or rule.severity,
        started_at=at, fired_at=at, changed_at=at, resolved_at=ended,
    )  # fmt: skip


def drawn(cluster: Cluster, minutes: int = 60) -> Timeline:
    return timeline(cluster, read_range({"from": f"now-{minutes}m"}, now=NOW, history_since=None), now=NOW)


def test_every_kind_of_event_has_its_lane() -> None:
    told = [kind for _, kinds in LANES for kind in kinds]
    assert sorted(told) == sorted(Event.Kind.values)


def test_only_lanes_with_something_are_drawn_and_marks_stand_where_they_happened() -> None:
    cluster = make_cluster()
    note(cluster, "config_changed", ("topic", "orders"), 30)
    note(cluster, "topic_created", ("topic", "new"), 90)  # before the range
    [lane] = drawn(cluster).lanes
    assert lane.title == "Settings"
    [mark] = lane.marks
    assert (mark.x, mark.label, mark.path) == ("50.00%", "orders", "/clusters/demo/topics/orders/")


def test_what_lies_close_is_one_mark_with_its_number() -> None:
    cluster = make_cluster()
    for i in range(20):
        note(cluster, "members_changed", ("group", f"g{i % 2}"), 30 - i / 60, text=f"moved {i}")
    note(cluster, "members_changed", ("group", "g0"), 5)
    [lane] = drawn(cluster).lanes
    assert [mark.count for mark in lane.marks] == [20, 1]
    assert lane.marks[0].title.count("\n") == 12
    assert lane.marks[0].title.endswith("and 8 more")
    assert lane.marks[0].path == "/clusters/demo/events/"  # of several subjects


def test_a_broker_is_away_from_the_first_word_until_it_answers_or_the_range_ends() -> None:
    cluster = make_cluster()
    for node, minutes in (("1", 60 * 0.75), ("2", 30.0)):
        note(cluster, "broker_suspect", ("broker", node), minutes)
        note(cluster, "broker_down", ("broker", node), minutes - 0.1)
    note(cluster, "broker_up", ("broker", "1"), 15)
    note(cluster, "broker_up", ("broker", "3"), 45)  # it went before the range
    [lane] = drawn(cluster).lanes
    spans = {span.path[-2]: (span.x, span.width, span.tone) for span in lane.spans}
    assert spans == {
        "1": ("25.00%", "50.00%", "is-bad"),
        "2": ("50.00%", "50.00%", "is-bad"),
        "3": ("0.00%", "25.00%", "is-warn"),
    }


def test_alerts_are_stretches_and_the_open_one_ends_now() -> None:
    cluster = make_cluster()
    fired(cluster, 90, 45)
    fired(cluster, 30, None)
    fired(cluster, 200, 100)  # over before the range
    [lane] = drawn(cluster).lanes
    assert [(span.x, span.width) for span in lane.spans] == [("0.00%", "25.00%"), ("50.00%", "50.00%")]


def test_the_page_shows_timeline_firing_alerts_and_three_charts(viewer: Client) -> None:
    cluster = make_company(Company(frozen=frozenset({"payment-service"})))
    fired(cluster, 1, None, now=timezone.now())
    response = viewer.get("/clusters/demo/")
    page = response.content.decode()
    assert "Broker &lt;b&gt;1&lt;/b&gt; is down" in page
    assert "<b>1</b>" not in page
    assert [alert.subject for alert in response.context["firing"]] == ["1"]
    for what in ("rates", "lags", "disks"):
        assert f'data-chart="{what}"' in page
        path = f"/clusters/demo/series/?subject=c&name=&what={what}&from=now-5m"
        answer = viewer.get(path).json()
        assert not answer["empty"], what
        assert answer["unit"] in ("records/s", "records", "bytes")
    names = [
        one["name"] for one in viewer.get("/clusters/demo/series/?subject=c&name=&what=lags").json()["figure"]["data"]
    ]
    assert names[0] == "payment-service"  # the furthest behind first


def test_a_chart_of_a_cluster_without_samples_is_empty_and_no_error(viewer: Client) -> None:
    make_cluster()
    for what in ("rates", "lags", "disks"):
        answer = viewer.get(f"/clusters/demo/series/?subject=c&name=&what={what}")
        assert answer.status_code == 200, what
        assert answer.json()["empty"]


def test_the_last_day_says_hour_by_hour_how_bad_it_was_and_what_was_not_measured() -> None:
    now = timezone.now()
    cluster, silent = make_cluster(), make_cluster("silent", "silent")
    for hours in (0.5, 1.5, 2.5, 3.5):
        at = now - timedelta(hours=hours)
        Cycle.objects.create(
            cluster=cluster, number=int(hours), epoch=1, due_at=at, started_at=at, taken_at=at, ended_at=at,
            is_reachable=hours != 3.5,
        )  # fmt: skip
    fired(cluster, 130, 115, now=now, severity="warning")
    fired(cluster, 20, None, now=now)
    found = days.last_days([cluster.pk, silent.pk])
    assert found[cluster.pk].letters == "u" * 21 + "w" + "w" + "b"
    assert found[silent.pk].letters == "u" * 24
    assert found[silent.pk].said == "last 24 h: 24 h nothing measured"
    assert "1 h critical" in found[cluster.pk].said


def test_the_last_day_is_read_once_a_minute(django_assert_num_queries: object) -> None:
    cluster = make_cluster()
    days.last_days([cluster.pk])
    with django_assert_num_queries(0):  # type: ignore[operator]  # a fixture of pytest-django
        days.last_days([cluster.pk])


def test_an_open_alert_shows_its_curve_and_its_life(viewer: Client) -> None:
    cluster = make_company(Company())
    fired(cluster, 3, None, now=timezone.now())
    page = viewer.get("/alerts/").content.decode()
    assert 'data-chart="leaders"' in page
    assert "subject=b&amp;name=1&amp;what=leaders" in page
    assert 'class="sg-life"' in page
