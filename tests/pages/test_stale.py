"""What was sampled too long ago is unknown since then on every page, and never zero or fine."""

from __future__ import annotations

import html
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from collectors.domain.topology import Reach
from collectors.domain.words import moment
from collectors.history.leftbehind import LeftBehind
from collectors.history.queries import cluster_at
from collectors.models import Broker, Cluster, Cycle, Topic
from dashboard.live.presence import present
from dashboard.live.reading import DatabaseReader
from dashboard.live.wire import Subject, subject_id
from dashboard.pages.abandoned import abandoned

from .seed import Company, make_cluster, make_company

pytestmark = pytest.mark.django_db
AGO = 120


def text_of(content: bytes) -> str:
    shown = re.sub(r"<script.*?</script>", " ", content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", shown)))


@pytest.fixture
def stale() -> str:
    """A cluster that nobody has asked for two minutes: since when that is, as pages say it."""
    cluster = make_company(Company(), now=time.time() - AGO)
    now = cluster_at(cluster.pk)
    assert now is not None
    return f"not sampled since {datetime.fromtimestamp(now.taken_at, UTC):%H:%M:%S} UTC"


@pytest.fixture
def unreachable(stale: str) -> str:
    """The same, where cycles go on and reach no broker."""
    cluster = Cluster.objects.get()
    cycle = Cycle.objects.get(cluster=cluster, number=cluster.last_cycle)
    cycle.pk, cycle.number, cycle.taken_at, cycle.is_reachable = None, cycle.number + 1, timezone.now(), False
    cycle.errors = [{"part": "connect", "reason": "timeout"}]
    cycle.save()
    Cluster.objects.update(last_cycle=cycle.number)
    Broker.objects.update(reach=Reach.DOWN)
    return stale


def pushed(kind: str, name: str) -> dict[str, object]:
    reader = DatabaseReader()
    (head,) = reader.heads()
    subject = Subject(subject_id(kind, "demo", name), kind, "demo", name)
    row = reader.update(head, [subject]).rows[subject.id]
    assert row is not None
    return dict(row)


def test_the_list_of_topics_says_nothing_of_rates_and_replicas(stale: str, viewer: Client) -> None:
    answer = viewer.get("/clusters/demo/topics/")
    for line in answer.context["lines"]:
        assert line["state"] == "unknown"
        numbers = ("rate", "size", "under_replicated", "offline", "lag", "hot")
        assert [line["row"][number] for number in numbers] == [None] * 6
    page = text_of(answer.content)
    assert "is in sync" not in page.replace("whether every partition is in sync", "")
    assert "in sync, is unknown until a cycle ends" in page
    assert f'title="{stale}"' in answer.content.decode()
    shows = {key: count for key, _, count in answer.context["shows"]}
    assert (shows["unknown"], shows["degraded"]) == (shows["user"], None)


def test_a_topic_says_since_when_and_why_it_is_not_known(unreachable: str, viewer: Client) -> None:
    answer = viewer.get("/clusters/demo/topics/orders/")
    row = answer.context["row"]
    assert row["sentence"] == f"Unknown: {unreachable}: timeout (connect)"
    assert (row["verdict"], row["rate"], row["size"], row["points"]) == ("unknown", None, None, None)
    for part in row["partition_rows"]:
        numbers = ("leader", "rate", "start", "end", "held", "size")
        assert (part["state"], [part[number] for number in numbers]) == ("unknown", [None] * 6)
    page = text_of(answer.content)
    assert "every partition has a leader" not in page
    assert "in sync" not in page.replace("In sync", "")
    assert ">none</span></td>" not in answer.content.decode(), "that there is no leader is not known either"
    assert unreachable[:1].upper() + unreachable[1:] in page, "how they are spread"
    assert unreachable in page


def test_of_a_group_nothing_is_told_as_zero(stale: str, viewer: Client) -> None:
    answer = viewer.get("/clusters/demo/groups/payment-service/")
    assert "unknown at stake" in text_of(answer.content)
    assert pushed("g", "payment-service")["at_stake"] is None


def test_the_overview_and_a_cluster_s_page_do_not_say_how_many_brokers_answer(stale: str, viewer: Client) -> None:
    for path in ("/", "/?kiosk=1", "/clusters/demo/"):
        answer = viewer.get(path)
        page = text_of(answer.content)
        assert "3 of 3" not in page
        assert "unknown of 3" in page
        assert "None of 3" not in page
        assert f'title="{stale}"' in answer.content.decode()
    assert "every partition has one" not in page
    assert re.search(r"Under-replicated unknown of \d+ partitions Without leader unknown " + stale, page)
    row = pushed("c", "")
    names = ("brokers_up", "under_replicated", "offline", "rate", "troubled", "points")
    assert [row[name] for name in names] == [None] * 6


def test_of_a_cluster_that_no_cycle_reaches_it_is_known_that_no_broker_answers(
    unreachable: str, viewer: Client
) -> None:
    answer = viewer.get("/")
    assert answer.status_code == 200
    page = text_of(answer.content)
    assert "0 of 3 brokers up" in page
    assert "unknown in trouble" in page
    assert pushed("c", "")["brokers_up"] == 0
    page = text_of(viewer.get("/clusters/demo/brokers/").content)
    assert "3 brokers of 3 do not answer" in page
    assert "Every partition" not in text_of(viewer.get("/clusters/demo/topics/").content)
    for path in ("/clusters/demo/", "/clusters/demo/brokers/1/", "/clusters/demo/dead-letters/"):
        assert viewer.get(path).status_code == 200


def test_brokers_are_unknown_with_what_they_hold(stale: str, viewer: Client) -> None:
    answer = viewer.get("/clusters/demo/brokers/")
    for line in answer.context["listed"].rows:
        numbers = ("leaders", "replicas", "short", "size", "free", "points")
        assert (line.row["reach"], [line.row[number] for number in numbers]) == ("unknown", [None] * 6)
        assert line.row["reason"] == stale
    assert f", {stale}" not in text_of(answer.content)
    answer = viewer.get("/clusters/demo/brokers/1/")
    page = text_of(answer.content)
    assert f"What broker 1 does is unknown: {stale}" in page
    assert "every copy" not in page.lower()


def test_dead_letters_are_not_counted_into_a_last_hour_that_ended_long_ago(stale: str, viewer: Client) -> None:
    answer = viewer.get("/clusters/demo/dead-letters/")
    lines = answer.context["listed"].rows
    assert [(one.rate, one.held, one.arrived) for one in lines] == [(None, None, None)] * len(lines)
    assert lines
    assert "No new samples since" in text_of(answer.content)


def test_a_group_s_offsets_and_last_commits_are_not_those_of_now(stale: str, viewer: Client) -> None:
    answer = viewer.get("/clusters/demo/groups/shipping/")
    for part in answer.context["row"]["partitions"]:
        assert [part[number] for number in ("committed", "end", "lag", "commit_said")] == [None, None, None, ""]
    assert answer.context["row"]["commit_said"] == ""
    assert stale in answer.content.decode()


def test_what_a_partition_had_no_commit_for_or_a_commit_past_its_end_is_not_told_as_of_now(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Company(never_committed=frozenset({"shipping"}))
    cluster = make_company(made, now=time.time() - AGO)
    now = cluster_at(cluster.pk)
    assert now is not None
    short = replace(now.end, numbers=replace(now.end.numbers, values=now.end.numbers.values - 10**6))
    monkeypatch.setattr("dashboard.pages.summaries.sampled_of", lambda _: replace(now, end=short))
    for name in ("shipping", "payment-service"):
        answer = viewer.get(f"/clusters/demo/groups/{name}/?fragment=partitions")
        parts = answer.context["row"]["partitions"]
        assert {(part["lag_state"], part["is_past_end"]) for part in parts} == {("unknown", False)}, name
        page = answer.content.decode()
        assert "no commit" not in page, name
        assert "past the log end" not in page, name


def test_open_pages_hear_of_it(stale: str) -> None:
    row = pushed("T", "orders")
    assert (row["verdict"], row["rate"]) == ("unknown", None)
    assert pushed("t", "orders")["under_replicated"] is None
    assert pushed("b", "1")["reach"] == "unknown"


def test_as_soon_as_it_is_sampled_again_all_is_known(viewer: Client) -> None:
    cluster = make_company(Company())
    now = cluster_at(cluster.pk)
    assert present(now, cluster.interval_seconds, time.time()) is now
    assert {line["state"] for line in viewer.get("/clusters/demo/topics/").context["lines"]} == {"in_sync"}
    assert Topic.objects.filter(under_replicated_count=0).exists()
    assert "not sampled since" not in viewer.get("/clusters/demo/topics/orders/").content.decode()


def tab_counts(client: Client, part: str) -> dict[str, int | None]:
    return {key: number for key, _, number in client.get(f"/clusters/demo/{part}/").context["shows"]}


def test_a_tab_of_a_list_counts_nothing_where_it_is_not_known(stale: str, viewer: Client) -> None:
    assert tab_counts(viewer, "brokers") == {"all": 3, "not_up": None, "short": None}
    assert tab_counts(viewer, "groups") == {"all": 3, "troubled": None, "no_members": None, "unknown": 3, "ok": None}
    found = tab_counts(viewer, "topics")
    assert (found["user"], found["dead"], found["degraded"]) == (found["unknown"], 1, None)
    assert tab_counts(viewer, "dead-letters") == {"all": 1, "arriving": None, "unread": 1}
    page = viewer.get("/clusters/demo/brokers/").content.decode()
    assert f'Not up <span class="sg-na sg-hatch" title="{stale}">unknown</span>' in page


def test_of_a_cluster_that_no_cycle_has_reached_no_list_counts_anything(viewer: Client) -> None:
    make_cluster()
    for part in ("brokers", "groups", "topics", "dead-letters"):
        assert set(tab_counts(viewer, part).values()) == {None}, part


def test_where_cycles_reach_no_broker_it_is_known_that_none_is_up(unreachable: str, viewer: Client) -> None:
    assert tab_counts(viewer, "brokers") == {"all": 3, "not_up": 3, "short": None}


def test_a_broker_of_which_nothing_is_known_is_none_that_does_not_answer(
    unreachable: str, viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the newest cycle becomes too old between the cluster's sentence and the brokers' rows
    monkeypatch.setattr("dashboard.live.rows.without_cycles", lambda *_: True)
    page = text_of(viewer.get("/clusters/demo/brokers/").content)
    assert f"Whether the brokers are up is unknown: {unreachable}" in page
    assert "not answer" not in page


@pytest.mark.parametrize("part", ["brokers", "groups", "topics", "dead-letters"])
def test_an_open_list_hears_with_its_rows_that_its_sentence_and_its_tabs_hold_no_more(
    part: str, stale: str, viewer: Client
) -> None:
    rows = viewer.get(f"/clusters/demo/{part}/?fragment=rows").content.decode()
    assert '<div id="head" hx-swap-oob="true"><div class="sg-head is-unknown">' in rows
    assert re.search(r'id="shows" hx-swap-oob="true">.*sg-na sg-hatch', rows)


def test_group_topic_and_cluster_name_the_same_moment_on_a_page_and_to_those_that_are_open(
    stale: str, viewer: Client
) -> None:
    for path, kind, name in (("groups/shipping/", "G", "shipping"), ("topics/orders/", "T", "orders")):
        assert viewer.get(f"/clusters/demo/{path}").context["row"]["sentence"] == f"Unknown: {stale}"
        assert pushed(kind, name)["sentence"] == f"Unknown: {stale}", "no age, which would stand still there"
    assert f"No new samples {stale.removeprefix('not sampled ')}: " in str(pushed("c", "")["sentence"])


def test_when_no_cycle_comes_after_some_that_reached_no_broker_all_name_the_newest_sample(
    unreachable: str, viewer: Client
) -> None:
    Cycle.objects.filter(is_reachable=False).update(taken_at=timezone.now() - timedelta(seconds=AGO / 2))
    assert f"No new samples {unreachable.removeprefix('not sampled ')}: " in str(pushed("c", "")["sentence"])
    assert str(pushed("g", "shipping")["sentence"]).startswith(f"Unknown: {unreachable}")


@pytest.mark.parametrize("age", [16, AGO])
def test_evidence_of_before_says_as_of_when(age: int, viewer: Client) -> None:
    cluster = make_company(Company(), now=time.time() - age)
    now = cluster_at(cluster.pk)
    assert now is not None
    evidence = viewer.get("/clusters/demo/groups/shipping/").context["row"]["evidence"]
    assert evidence[0] == f"as of {moment(now.taken_at, now=time.time())}, when the newest sample was taken:"
    assert len(evidence) > 1


def test_the_overview_says_since_when_no_dead_letters_are_counted(stale: str, viewer: Client) -> None:
    answer = viewer.get("/?fragment=deadhours")
    assert answer.context["hours"].total is None
    assert f"Not known at the moment {stale}." in text_of(answer.content)
    page = viewer.get("/").content.decode()
    assert "two samples" not in page.lower()
    assert f'title="{stale}">unknown</span></b> dead letters' in page


def test_of_several_clusters_the_dead_letters_of_those_that_are_sampled_are_told_and_the_others_named(
    stale: str, viewer: Client
) -> None:
    make_company(Company(slug="here", name="here"))
    page = text_of(viewer.get("/?fragment=deadhours").content)
    assert f"No dead letter came, as far as is known demo: {stale}." in page
    assert "here:" not in page


def test_who_is_in_a_group_is_not_known_any_more_and_is_not_nobody(stale: str, viewer: Client) -> None:
    row = viewer.get("/clusters/demo/groups/shipping/").context["row"]
    assert (row["members"], row["state"], row["moving_said"]) == (None, "unknown", "")
    page = text_of(viewer.get("/clusters/demo/groups/shipping/").content)
    assert "members unknown" in page
    assert "nobody reads" not in page
    assert f"who reads which partition, {stale}" in page
    assert [one.members for one in viewer.get("/clusters/demo/groups/").context["listed"].rows] == [None] * 3


@pytest.mark.parametrize(
    "path",
    ["groups/", "groups/shipping/", "groups/shipping/?fragment=members", "topics/orders/", "topics/", "brokers/",
     "brokers/1/", "dead-letters/", ""],
)  # fmt: skip
def test_no_page_of_a_stale_cluster_gives_another_reason_for_what_it_does_not_know(
    path: str, stale: str, viewer: Client
) -> None:
    page = re.sub(r"<script.*?</script>", "", viewer.get(f"/clusters/demo/{path}").content.decode(), flags=re.DOTALL)
    reasons = set(re.findall(r'class="sg-na sg-hatch" title="([^"]*)"', page))
    assert reasons - {"not read yet"} <= {stale, "the newest sample is too old"}, "but of its configuration"


def test_what_a_stale_broker_lacked_and_led_is_not_told_as_of_now(viewer: Client) -> None:
    make_company(Company(down=frozenset({3})), now=time.time() - AGO)
    answer = viewer.get("/clusters/demo/brokers/3/?fragment=short")
    assert "Not known: not sampled since" in text_of(answer.content)
    assert "orders" not in text_of(answer.content)
    top = viewer.get("/clusters/demo/brokers/2/?fragment=top")
    assert "What broker 2 does is unknown" in text_of(top.content)
    assert "quorum role unknown" in text_of(top.content)
    for path in ("/clusters/demo/", "/clusters/demo/brokers/"):
        page = viewer.get(path).content.decode()
        assert "active controller" not in page
        assert "leads the quorum" not in page


def test_that_no_dead_letter_came_is_not_said_of_a_time_in_which_nobody_looked(stale: str, viewer: Client) -> None:
    page = text_of(viewer.get("/clusters/demo/dead-letters/").content)
    assert "none for" not in page


def test_how_much_lies_behind_abandoned_offsets_is_not_known_any_more(
    stale: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.pages.abandoned.left_behind", lambda *_: [LeftBehind("orders", 2, 70)])
    now = cluster_at(Cluster.objects.get().pk)
    assert now is not None
    for shown, unread in ((now, 70), (present(now, 5.0, time.time()), None)):
        left = abandoned(shown, "shipping")
        assert left is not None
        assert [one.unread for one in left.topics] == [unread]


def test_groups_in_trouble_are_at_least_so_many_where_one_cluster_is_stale(stale: str, viewer: Client) -> None:
    make_company(Company(slug="here", name="here", frozen=frozenset({"shipping"})))
    page = text_of(viewer.get("/").content)
    assert "at least 1 in trouble" in page
    assert f"demo 3, {stale}" in page, "on the wall"
    assert f"here 3, {stale}" not in page


def test_an_unreachable_cluster_s_groups_say_that_the_cluster_is(unreachable: str, viewer: Client) -> None:
    page = text_of(viewer.get("/clusters/demo/groups/").content)
    assert "Unreachable: timeout (connect)" in page
    assert "What the groups do is unknown until a cycle ends" in page


def test_a_second_sample_that_does_not_come_is_not_promised_for_the_next_second(viewer: Client) -> None:
    make_company(Company(cycles=1), now=time.time() - AGO)
    page = text_of(viewer.get("/clusters/demo/groups/analytics/").content)
    assert "1 of 2 samples; waiting for the second" in page
