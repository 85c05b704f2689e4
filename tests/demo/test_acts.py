"""The director plays acts in turn with calm between, tells the traffic, breaks and mends, and leaves marks that end."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from collectors.conductor import Wish
from collectors.demo import company
from collectors.demo.acts import ACTS, BLIND, BROKER, CALM, FREEZE, LOOP, RETENTION, SALE, Act
from collectors.demo.director import FIRST_ACT_AFTER_SECONDS, Director
from collectors.demo.effects import CUT_HOLDER, SamplingCut
from collectors.demo.traffic import MAX_POLL_INTERVAL_MS, State, key_of, rate_at
from collectors.models import Cluster, Event, Lease
from dashboard.alerts.defaults import DEFAULT_RULES

from .stage import NOW, performed


class Broken:
    """An effect that notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def begin(self) -> None:
        self.asked.append("begin")

    def end(self, *, stopping: bool) -> None:
        self.asked.append("stopping" if stopping else "end")


@pytest.fixture
def cluster(db: None) -> Cluster:
    return Cluster.objects.create(slug="demo", name="Demo company", settings_encrypted=b"")


def everything() -> dict[str, Any]:
    return {act.effect: Broken() for act in LOOP if act.effect}


def test_one_loop_plays_every_act_once_in_about_half_an_hour(cluster: Cluster) -> None:
    marks = performed(cluster, seconds=2100, effects=everything())
    begun = [(at, act) for at, act, phase in marks if phase == "begin" and act != "calm"]
    assert [act for _, act in begun][: len(LOOP)] == [act.name for act in LOOP]
    again = begun[len(LOOP)]
    assert again[1] == LOOP[0].name
    assert 25 * 60 <= again[0] - begun[0][0] <= 35 * 60


def test_never_two_acts_at_once_and_a_minute_of_calm_between(cluster: Cluster) -> None:
    marks = performed(cluster, seconds=2100, effects=everything())
    ends = {"begin": ["mend"], "mend": ["end"], "end": ["begin"]}
    played = [mark for mark in marks if mark[1] != "calm"]
    for (at, act, phase), (after, other, then) in pairwise(played[:-1]):  # the last was cut short
        assert then in ends[phase]
        assert act == other if phase != "end" else after - at >= 60
    calms = [at for at, act, _ in marks if act == "calm"]
    assert calms[0] == 0
    assert calms[1:] == [at for at, _, phase in played if phase == "end"][: len(calms) - 1]


def test_an_act_by_name_begins_after_the_first_quiet_seconds_and_the_loop_goes_on(cluster: Cluster) -> None:
    marks = performed(cluster, seconds=1200, first=FREEZE, effects=everything())
    begun = [(at, act) for at, act, phase in marks if phase == "begin" and act != "calm"]
    assert begun[0] == (FIRST_ACT_AFTER_SECONDS, "freeze")
    assert begun[1][1] == LOOP[LOOP.index(FREEZE) + 1].name


def test_calm_by_name_stays_calm_until_somebody_asks(cluster: Cluster) -> None:
    assert performed(cluster, seconds=3600, first=CALM) == [(0, "calm", "begin")]
    Event.objects.all().delete()
    marks = performed(cluster, seconds=1000, first=CALM, wishes={700.0: Wish.NEXT})
    assert (700, SALE.name, "begin") in marks


def test_an_act_whose_effect_is_not_there_is_left_out(cluster: Cluster) -> None:
    marks = performed(cluster, seconds=2500, effects={"retention": Broken()})
    assert not {act for _, act, _ in marks} & {BROKER.name, BLIND.name}
    assert RETENTION.name in {act for _, act, _ in marks}


NEXT, REPEAT, STAY = Wish.NEXT, Wish.REPEAT, Wish.CALM


@pytest.mark.parametrize(
    ("said", "wishes", "wanted"),
    [
        ("next ends the act; the next comes after a minute", {50.0: NEXT}, [(20, "sale"), (110, "freeze")]),
        ("repeat plays the same again", {50.0: REPEAT}, [(20, "sale"), (110, "sale")]),
        ("calm ends it, and nothing comes", {50.0: STAY}, [(20, "sale")]),
        ("calm, and later next", {50.0: STAY, 400.0: NEXT}, [(20, "sale"), (400, "freeze")]),
        ("calm, and soon next: the minute passes first", {50.0: STAY, 60.0: NEXT}, [(20, "sale"), (110, "freeze")]),
        ("calm, and later repeat", {50.0: STAY, 400.0: REPEAT}, [(20, "sale"), (400, "sale")]),
        ("next before the first act begins it at once", {10.0: NEXT}, [(10, "sale")]),
        ("next in the calm between changes nothing", {50.0: NEXT, 60.0: NEXT}, [(20, "sale"), (110, "freeze")]),
        ("repeat in the calm between", {50.0: NEXT, 60.0: REPEAT}, [(20, "sale"), (110, "sale")]),
        ("next while things mend", {210.0: NEXT}, [(20, "sale"), (270, "freeze")]),
    ],
)  # fmt: skip
def test_wishes(cluster: Cluster, said: str, wishes: dict[float, Wish], wanted: list[tuple[int, str]]) -> None:
    marks = performed(cluster, seconds=wanted[-1][0] + 90, wishes=wishes)
    assert [(at, act) for at, act, phase in marks if phase == "begin" and act != "calm"] == wanted, said
    assert [phase for _, act, phase in marks if act == "sale"].count("begin") <= [
        phase for _, act, phase in marks if act == "sale"
    ].count("end"), "what was cut short is marked as over"


def test_an_act_tells_the_traffic_breaks_and_mends(cluster: Cluster) -> None:
    told: list[dict[str, Any]] = []
    broken = Broken()
    act = replace(RETENTION, seconds=0.0, recovery_seconds=0.0)
    director = Director(cluster.pk, told.append, effects={"retention": broken}, clock=lambda: NOW)
    director.play(act)
    assert told == [{"act": "retention", "members": {"log-archive": 0}}, {"act": "calm"}]
    assert broken.asked == ["begin", "end"]
    begin, end = Event.objects.order_by("id")
    assert begin.data == {
        "act": "retention",
        "title": RETENTION.title,
        "ends_at": NOW,
        "subject_kind": "group",
        "subject": "log-archive",
        "page": "",
        "phase": "begin",
        "next": BROKER.coming if BROKER in director.loop else director.loop[0].coming,
    }
    assert (begin.kind, begin.subject_kind, begin.subject) == (Event.Kind.ACT, "group", "log-archive")
    assert (end.data["phase"], end.text) == ("end", f"Demo: over: {RETENTION.title}")


def test_an_act_that_cannot_be_played_is_said_so_and_the_next_one_comes(cluster: Cluster) -> None:
    class Refused(Broken):
        def begin(self) -> None:
            super().begin()
            raise RuntimeError("the cluster refuses")

    refused = Refused()
    marks = performed(cluster, seconds=300, first=RETENTION, effects={"retention": refused, "broker": Broken()})
    assert refused.asked == ["begin", "end"]
    assert [(act, phase) for _, act, phase in marks if act != "calm"][:3] == [
        ("retention", "begin"),
        ("retention", "end"),
        ("broker", "begin"),
    ]
    assert Event.objects.filter(text__startswith="Demo: could not be played").count() == 1


def test_what_ends_with_the_demo_is_not_mended(cluster: Cluster) -> None:
    told: list[dict[str, Any]] = []
    broken = Broken()
    director = Director(cluster.pk, told.append, effects={"broker": broken}, clock=lambda: NOW)
    director.stop()
    director.play(BROKER)
    assert broken.asked == ["begin", "stopping"]
    assert told == [{"act": "broker"}]
    assert Event.objects.latest("id").text == f"Demo: cut short: {BROKER.title}"


def test_on_a_cluster_of_somebody_else_marks_name_what_is_there(cluster: Cluster) -> None:
    performed(cluster, seconds=400, first=FREEZE, prefix="sg-demo.")
    begin = Event.objects.filter(data__act="freeze").earliest("id")
    assert (begin.subject, begin.data["subject"]) == ("sg-demo.payments", "sg-demo.payments")


def test_calm_says_what_comes_next_and_only_when_something_does(cluster: Cluster) -> None:
    performed(cluster, seconds=40, wishes={35.0: Wish.CALM})
    quiet, *_, calm = Event.objects.order_by("id")
    assert (quiet.data["next"], quiet.data["ends_at"]) == (SALE.coming, NOW + FIRST_ACT_AFTER_SECONDS)
    assert (calm.data["act"], calm.data["next"], calm.data["ends_at"]) == ("calm", "", None)


def test_what_a_killed_demo_left_under_way_is_closed_by_the_next(cluster: Cluster) -> None:
    director = Director(cluster.pk, lambda order: None, clock=lambda: NOW)
    director._mark(FREEZE, "begin", "Demo: frozen", NOW + 100)
    director._close_open_act()
    newest = Event.objects.latest("id").data
    assert (newest["act"], newest["phase"], newest["ends_at"]) == ("freeze", "end", NOW)
    director._close_open_act()
    assert Event.objects.count() == 2, "closed once"


@pytest.mark.parametrize(("act", "ends_at"), [(FREEZE, NOW - 1), (CALM, None)], ids=["ended by its time", "calm"])
def test_what_needs_no_closing(cluster: Cluster, act: Act, ends_at: float | None) -> None:
    director = Director(cluster.pk, lambda order: None, clock=lambda: NOW)
    director._mark(act, "begin", "Demo", ends_at)
    director._close_open_act()
    assert Event.objects.count() == 1


def test_the_sampling_is_cut_by_holding_its_lease_and_lapses_by_itself(cluster: Cluster) -> None:
    name = f"cluster:{cluster.pk}"
    epoch = Lease.objects.acquire(name, holder="sampler", seconds=10)
    assert epoch is not None
    cut = SamplingCut(cluster.pk)
    cut.begin()
    assert not Lease.objects.renew(name, holder="sampler", epoch=epoch, seconds=10)
    assert Lease.objects.acquire(name, holder="other", seconds=10) is None
    assert Lease.objects.get(name=name).holder == CUT_HOLDER
    cut.end(stopping=False)
    assert Lease.objects.acquire(name, holder="other", seconds=10) == epoch + 2


def test_the_end_of_a_cut_takes_nothing_from_a_later_holder(cluster: Cluster) -> None:
    name = f"cluster:{cluster.pk}"
    cut = SamplingCut(cluster.pk)
    cut.begin()
    Lease.objects.filter(name=name).update(holder="other")
    cut.end(stopping=False)
    assert Lease.objects.get(name=name).holder == "other"


def test_acts_name_what_is_there() -> None:
    groups = {group.name: group.members for group in company.GROUPS}
    topics = {topic.name for topic in company.TOPICS}
    for act in ACTS.values():
        assert set(act.order.get("frozen", ())) <= set(groups)
        assert all(count < groups[name] for name, count in act.order.get("members", {}).items())
        assert {*act.order.get("rush", {}), *act.order.get("hot", {})} <= topics
        assert act.subject_kind != "group" or act.subject in groups
        assert act.subject_kind != "topic" or act.subject in topics
        assert act.seconds * 1000 < MAX_POLL_INTERVAL_MS, "a frozen member must not be thrown out of its group"
        assert act.is_calm or (act.coming and act.recovering)


@pytest.mark.parametrize(
    ("act", "rule", "seen_within"),
    [
        ("sale", "group_falls_behind", 30),
        ("freeze", "group_no_progress", 30),
        ("hot", "partition_skew", 45),
        ("retention", "group_no_members", 25),
        ("blind", "collector_blind", 20),
        ("broker", "broker_down", 15),
    ],
)
def test_an_act_lasts_as_long_as_its_rule_by_the_defaults_needs(act: str, rule: str, seen_within: int) -> None:
    held = DEFAULT_RULES[rule].get("hold_seconds", 0.0)
    assert ACTS[act].seconds >= seen_within + held


@pytest.mark.parametrize(("act", "rule"), [("poison", "dead_letters_arriving"), ("retention", "records_lost")])
def test_the_mending_lasts_as_long_as_the_rule_stays_quiet(act: str, rule: str) -> None:
    assert ACTS[act].recovery_seconds >= DEFAULT_RULES[rule]["recover_seconds"] + 15


def test_the_company_is_as_small_as_the_issue_says() -> None:
    topics = {topic.name for topic in company.TOPICS}
    assert 10 <= len(company.GROUPS) <= 12
    assert [group.name for group in company.GROUPS if group.is_kip848] == ["clicks-realtime"]
    assert {topic for group in company.GROUPS for topic in group.topics} <= topics
    assert {source.topic for source in company.SOURCES} <= topics
    assert not any(company.ORDERS_DLT in group.topics for group in company.GROUPS)
    per_second = {source.topic: source.per_second for source in company.SOURCES}
    assert 350 <= sum(per_second.values()) + 2 * per_second["orders"] <= 450


@pytest.mark.parametrize("source", company.SOURCES, ids=lambda source: str(source.topic))
def test_a_sources_rate_swings_around_its_average(source: company.Source) -> None:
    steps = 400
    rates = [rate_at(source, source.period_seconds * step / steps) for step in range(steps)]
    assert sum(rates) / steps == pytest.approx(source.per_second, rel=0.001)
    assert max(rates) == pytest.approx(source.per_second * (1 + source.swing), rel=0.001)
    assert min(rates) > 0
    assert rate_at(source, 1.0, 8.0) == 8 * source.per_second


def test_a_hot_key_gets_its_share_of_all_records() -> None:
    source = company.Source("t", 100.0, 0.0, 60.0, 120)
    keys = [key_of(source, 0.5) for _ in range(4000)]
    assert keys.count(0) / 4000 == pytest.approx(0.5 + 0.5 / 120, abs=0.05)
    assert max(keys) == 119
    assert [key_of(source, 0.0) for _ in range(4000)].count(0) < 100


def test_an_order_replaces_the_one_before() -> None:
    state = State()
    archive = next(group for group in company.GROUPS if group.name == company.SENSOR_ARCHIVE)
    state.obey({"act": "x", "frozen": ["payments"], "members": {company.SENSOR_ARCHIVE: 2}, "poison": True})
    assert (state.frozen, state.is_poisoned) == (frozenset({"payments"}), True)
    assert [state.is_away(archive, number) for number in range(4)] == [False, False, True, True]
    state.obey({"act": "calm"})
    assert (state.frozen, state.is_poisoned) == (frozenset(), False)
    assert not state.is_away(archive, 3)
