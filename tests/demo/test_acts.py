"""The director plays acts in order, tells the traffic, and leaves marks that end."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from collectors.demo import company
from collectors.demo.acts import ACTS, CALM, FREEZE, LOOP
from collectors.demo.director import FIRST_ACT_AFTER_SECONDS, Director
from collectors.demo.traffic import MAX_POLL_INTERVAL_MS, State, rate_at
from collectors.models import Cluster, Event

NOW = 1_795_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def cluster(db: None) -> Cluster:
    return Cluster.objects.create(slug="demo", name="Demo company", settings_encrypted=b"")


def director_of(cluster: Cluster, told: list[dict[str, Any]], **options: Any) -> Director:
    return Director(cluster.pk, told.append, clock=Clock(), **options)


@pytest.mark.parametrize(
    ("first", "wanted"),
    [
        (None, [(CALM, FIRST_ACT_AFTER_SECONDS), (FREEZE, 180.0), (CALM, CALM.seconds), (FREEZE, 180.0)]),
        (FREEZE, [(FREEZE, 180.0), (CALM, CALM.seconds), (FREEZE, 180.0), (CALM, CALM.seconds)]),
        (CALM, [(CALM, CALM.seconds)] * 4),
    ],
    ids=["a quiet start, then they alternate", "an act by name begins at once", "calm by name stays calm"],
)
def test_the_order_of_acts(first: Any, wanted: list[Any]) -> None:
    director = Director(1, lambda order: None, first=first)
    assert list(itertools.islice(director.sequence(), 4)) == wanted


def test_an_act_tells_the_traffic_and_leaves_a_mark_at_both_ends(cluster: Cluster) -> None:
    told: list[dict[str, Any]] = []
    assert director_of(cluster, told).play(FREEZE, 0.0)
    assert told == [{"act": "freeze", "frozen": ["payments"]}, {"act": "calm"}]
    begin, end = Event.objects.order_by("id")
    assert begin.data == {
        "act": "freeze",
        "title": "payment service frozen on purpose",
        "ends_at": NOW,
        "subject_kind": "group",
        "subject": "payments",
        "phase": "begin",
        "next": "",
    }
    assert (begin.kind, begin.subject_kind, begin.subject) == (Event.Kind.ACT, "group", "payments")
    assert end.data["phase"] == "end"
    assert end.text == "Demo: over: payment service frozen on purpose"


def test_calm_leaves_one_mark_that_says_until_when(cluster: Cluster) -> None:
    director_of(cluster, []).play(CALM, 0.0)
    (mark,) = Event.objects.all()
    assert (mark.data["act"], mark.data["phase"], mark.subject) == ("calm", "begin", "")


def test_calm_says_what_comes_next_and_only_when_something_does(cluster: Cluster) -> None:
    director = director_of(cluster, [])
    director.play(CALM, 0.0, FREEZE)
    director.play(CALM, 0.0, CALM)
    assert [mark.data["next"] for mark in Event.objects.order_by("id")] == ["payment service frozen", ""]
    assert all(act.coming for act in ACTS.values() if not act.is_calm)


def test_an_act_cut_short_by_the_end_of_the_demo_is_marked_as_over(cluster: Cluster) -> None:
    told: list[dict[str, Any]] = []
    director = director_of(cluster, told)
    director.stop()
    assert not director.play(FREEZE, 180.0)
    assert [event.data["phase"] for event in Event.objects.order_by("id")] == ["begin", "end"]
    assert Event.objects.latest("id").text == "Demo: cut short: payment service frozen on purpose"


def test_what_a_killed_demo_left_under_way_is_closed_by_the_next(cluster: Cluster) -> None:
    director = director_of(cluster, [])
    director._mark(FREEZE, "begin", "Demo: frozen", NOW + 100)
    director._close_open_act()
    assert Event.objects.latest("id").data == {**Event.objects.earliest("id").data, "phase": "end", "ends_at": NOW}
    director._close_open_act()
    assert Event.objects.count() == 2, "closed once"


def test_an_act_that_ended_by_its_time_needs_no_closing(cluster: Cluster) -> None:
    director = director_of(cluster, [])
    director._mark(FREEZE, "begin", "Demo: frozen", NOW - 1)
    director._close_open_act()
    assert Event.objects.count() == 1


def test_acts_name_what_is_there() -> None:
    groups = {group.name for group in company.GROUPS}
    for act in ACTS.values():
        assert set(act.order.get("frozen", ())) <= groups
        assert act.subject_kind != "group" or act.subject in groups
        assert act.seconds * 1000 < MAX_POLL_INTERVAL_MS, "a frozen member must not be thrown out of its group"
    assert {act.name for act in LOOP} <= set(ACTS)


def test_the_company_is_as_small_as_the_issue_says() -> None:
    topics = {topic.name for topic in company.TOPICS}
    assert 10 <= len(company.GROUPS) <= 12
    assert [group.name for group in company.GROUPS if group.is_kip848] == ["clicks-realtime"]
    assert {topic for group in company.GROUPS for topic in group.topics} <= topics
    assert {source.topic for source in company.SOURCES} <= topics
    assert not any("orders-dlt" in group.topics for group in company.GROUPS), "nothing is written there in calm"
    per_second = {source.topic: source.per_second for source in company.SOURCES}
    assert 350 <= sum(per_second.values()) + 2 * per_second["orders"] <= 450


@pytest.mark.parametrize("source", company.SOURCES, ids=lambda source: str(source.topic))
def test_a_sources_rate_swings_around_its_average(source: company.Source) -> None:
    steps = 400
    rates = [rate_at(source, source.period_seconds * step / steps) for step in range(steps)]
    assert sum(rates) / steps == pytest.approx(source.per_second, rel=0.001)
    assert max(rates) == pytest.approx(source.per_second * (1 + source.swing), rel=0.001)
    assert min(rates) > 0


def test_an_order_replaces_the_one_before() -> None:
    state = State()
    state.obey({"act": "freeze", "frozen": ["payments"]})
    assert state.frozen == {"payments"}
    state.obey({"act": "calm"})
    assert state.frozen == frozenset()
