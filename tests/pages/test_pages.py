"""Every page, with data, without any, with hostile names, and with a number of queries that does not grow."""

from __future__ import annotations

import html
import re
import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from collectors.domain.drain import DrainOutcome
from collectors.domain.verdicts import Verdict
from collectors.history.cache import clear_caches
from collectors.history.queries import cluster_at, drains_at
from collectors.models import Cluster, Event, Group
from dashboard.live import findings, leaders
from dashboard.live.reading import DatabaseReader
from dashboard.live.wire import Subject, subject_id
from dashboard.models import Alert, AuditEntry, Rule, Star, Transition
from dashboard.names import group_path, topic_path
from dashboard.pages import days, deadhours

from .seed import Company, make_cluster, make_company

pytestmark = pytest.mark.django_db

HOSTILE = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "a'b\"c", "\u202egnp.exe", "two\nlines", "..",
    "%2F", "a/b", "",
]  # fmt: skip


def company(count: int = 3, **changes: object) -> Company:
    topics = {f"topic-{i}": (2, 20.0) for i in range(count)} | {f"topic-{i}-dlt": (1, 0.4) for i in range(count // 3)}
    groups = {f"group-{i}": (f"topic-{i}",) for i in range(count)}
    return Company(topics=topics, groups=groups, cycles=14, freeze_cycles=8, **changes)  # type: ignore[arg-type]  # fields


# Queries of the first request of a cycle, which computes what the process then keeps, and of each further one.
QUERIES = {
    "/": (85, 49),
    "/clusters/demo/": (71, 45),
    "/clusters/demo/groups/": (49, 29),
    "/clusters/demo/groups/group-0/": (47, 27),
    "/clusters/demo/topics/": (30, 22),
    "/clusters/demo/topics/topic-0/": (48, 28),
    "/alerts/": (25, 17),
    "/clusters/demo/brokers/": (33, 24),
    "/clusters/demo/brokers/1/": (36, 27),
    "/clusters/demo/dead-letters/": (49, 41),
    "/clusters/demo/events/": (23, 15),
    "/clusters/demo/configuration/": (30, 22),
    "/clusters/demo/rights/": (26, 18),
    "/instance/": (32, 24),
    "/alerts/history/": (26, 18),
    "/alerts/rules/": (24, 16),
    "/alerts/silences/": (25, 17),
    "/alerts/maintenance/": (23, 15),
    "/alerts/routes/": (24, 16),
    "/alerts/deliveries/": (25, 17),
    "/?kiosk=1": (65, 29),
    "/?fragment=head": (30, 14),
    "/?fragment=rows": (39, 14),
    "/?fragment=wall": (48, 28),
    "/?fragment=attention": (48, 28),
    "/?fragment=changed": (23, 15),
    "/?fragment=starred": (54, 34),
    "/?fragment=deadhours": (30, 14),
    "/clusters/demo/?fragment=top": (29, 15),
    "/clusters/demo/?fragment=timeline": (24, 16),
    "/clusters/demo/?fragment=firing": (23, 15),
    "/clusters/demo/?fragment=brokers": (27, 18),
    "/clusters/demo/groups/group-0/?fragment=top": (43, 23),
    "/clusters/demo/topics/topic-0/?fragment=top": (28, 18),
    "/surroundings/side/?section=groups&cluster=demo": (23, 15),
    "/clusters/demo/?fragment=groups": (48, 28),
    "/clusters/demo/?fragment=topics": (30, 22),
    "/clusters/demo/?fragment=changed": (23, 15),
    "/clusters/demo/groups/?fragment=rows": (49, 29),
    "/clusters/demo/topics/?fragment=rows": (30, 22),
    "/clusters/demo/groups/group-0/?fragment=partitions": (41, 21),
    "/clusters/demo/groups/group-0/?fragment=members": (42, 22),
    "/clusters/demo/groups/group-0/?fragment=changed": (44, 24),
    "/clusters/demo/groups/group-0/?fragment=owners": (46, 26),
    "/clusters/demo/topics/topic-0/?fragment=partitions": (27, 17),
    "/clusters/demo/topics/topic-0/?fragment=readers": (41, 21),
    "/clusters/demo/topics/topic-0/?fragment=spread": (46, 26),
    "/alerts/?fragment=rows": (25, 17),
    "/clusters/demo/brokers/?fragment=rows": (33, 24),
    "/clusters/demo/brokers/1/?fragment=changed": (27, 18),
    "/clusters/demo/brokers/1/?fragment=short": (27, 18),
    "/clusters/demo/brokers/1/?fragment=dirs": (28, 19),
    "/alerts/deliveries/?fragment=rows": (25, 17),
    "/clusters/demo/rights/?fragment=seen": (25, 17),
    "/instance/?fragment=loops": (25, 17),
    "/instance/?fragment=sampling": (25, 17),
    "/instance/?fragment=history": (29, 21),
    "/clusters/demo/dead-letters/?fragment=rows": (49, 41),
    "/clusters/demo/events/?fragment=rows": (23, 15),
}
PAGES = [path for path in QUERIES if "fragment" not in path and "surroundings" not in path]
FRAGMENTS = [path for path in QUERIES if path not in PAGES]


def star(count: int) -> None:
    """Groups, topics and the cluster, by everyone: no more than are shown at once."""
    cluster = Cluster.objects.get(slug="demo")
    named = [("cluster", ""), *((kind, f"{kind}-{i}") for i in range(min(count, 5)) for kind in ("group", "topic"))]
    for user in User.objects.all():
        Star.objects.bulk_create(Star(user=user, cluster=cluster, kind=kind, name=name) for kind, name in named)


def text_of(content: bytes) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", content.decode()))


@pytest.mark.parametrize("path", PAGES)
def test_a_page_shows_data(path: str, viewer: Client) -> None:
    make_company(company(frozen=frozenset({"group-0"})))
    response = viewer.get(path)
    assert response.status_code == 200
    page = response.content.decode()
    assert "<h1" in page
    assert " style=" not in page  # the policy forbids them
    assert "onclick" not in page
    assert "None" not in text_of(response.content)


@pytest.mark.parametrize("path", FRAGMENTS)
def test_a_fragment_is_only_its_part(path: str, viewer: Client) -> None:
    make_company(company(frozen=frozenset({"group-0"})))
    response = viewer.get(path, headers={"HX-Request": "true"})
    assert response.status_code == 200
    assert b"<html" not in response.content
    assert response.content.strip()


def test_the_group_page_says_why(viewer: Client) -> None:
    make_company(company(frozen=frozenset({"group-0"})))
    page = text_of(viewer.get("/clusters/demo/groups/group-0/").content)
    assert "No progress since" in page
    assert "stand still" in page


@pytest.mark.parametrize("path", ["/", "/alerts/"])
def test_without_a_cluster_pages_say_what_to_do(path: str, viewer: Client) -> None:
    response = viewer.get(path)
    assert response.status_code == 200
    if path == "/":
        assert b"Connect your first cluster" in response.content
        assert b"manage.py addcluster" in response.content


@pytest.mark.parametrize(
    "path",
    ["/", "/clusters/demo/", "/clusters/demo/groups/", "/clusters/demo/topics/", "/alerts/", "/clusters/demo/brokers/",
     "/clusters/demo/dead-letters/", "/clusters/demo/events/", "/clusters/demo/configuration/",
     "/clusters/demo/rights/", "/instance/"],
)  # fmt: skip
def test_a_cluster_that_was_never_sampled_has_pages(path: str, viewer: Client) -> None:
    make_cluster()
    response = viewer.get(path)
    assert response.status_code == 200
    if path == "/clusters/demo/":
        assert "waiting for the first cycle" in text_of(response.content)
        assert "unknown" in text_of(response.content)


def test_after_one_sample_pages_say_what_they_wait_for(viewer: Client) -> None:
    make_company(Company(cycles=1))
    page = text_of(viewer.get("/clusters/demo/groups/analytics/").content)
    assert re.search(r"1 of 2 samples; rates in \d+", page)


def test_numbers_of_a_stale_cluster_are_not_sold_as_present(viewer: Client) -> None:
    make_company(company(), now=time.time() - 600)
    page = text_of(viewer.get("/").content)
    assert "No new samples since" in page
    assert "0 of 1 clusters known" in page
    assert '"Worst group"><span class="t3">none' not in viewer.get("/").content.decode(), "nobody knows"


def test_groups_of_a_stale_cluster_are_unknown_wherever_they_are_shown(viewer: Client) -> None:
    made = company(frozen=frozenset({"group-0"}))
    cluster = make_company(made, now=time.time() - 120)
    Group.objects.filter(name="group-0").update(verdict=Verdict.NO_PROGRESS, verdict_since=timezone.now())
    listed = viewer.get("/clusters/demo/groups/")
    total = len(made.groups)
    assert {key: count for key, _, count in listed.context["shows"]} == {
        "all": total, "troubled": None, "no_members": None, "unknown": total, "ok": None
    }  # fmt: skip
    page = text_of(listed.content)
    assert "in trouble" not in page.replace("In trouble", "")
    assert "No new samples since" in page
    assert "What the groups do is unknown until a cycle ends" in page
    for line in listed.context["lines"]:
        row = line["row"]
        assert row["sentence"].startswith("Unknown: not sampled since ")
        assert [row[key] for key in ("lag", "arriving", "consumed", "age", "drain", "countdown")] == [None] * 6
        assert (row["verdict"], row["verdict_since"], row["countdown_said"]) == ("unknown", None, "unknown")
    answer = viewer.get("/clusters/demo/groups/group-0/")
    row = answer.context["row"]
    assert row["points"] is None
    assert row["partitions"]
    assert {(part["verdict"], part["lag"], part["age"]) for part in row["partitions"]} == {("unknown", None, None)}
    assert "the newest sample is too old" in answer.content.decode()
    assert "stand still" not in text_of(answer.content)
    top = text_of(viewer.get("/clusters/demo/").content)
    assert re.search(rf"Groups in trouble unknown of {total} not sampled since", top)
    topic = viewer.get("/clusters/demo/topics/topic-0/")
    assert {one["lag"] for one in topic.context["readers"]} == {None}
    assert viewer.get("/clusters/demo/how/?group=group-0").status_code == 200
    pushed = DatabaseReader()
    (head,) = pushed.heads()
    subject = Subject(subject_id("g", "demo", "group-0"), "g", "demo", "group-0")
    row = pushed.update(head, [subject]).rows[subject.id]
    assert row is not None
    assert row["verdict"] == "unknown"
    # what rules and metrics look at stays as it was sampled
    now = cluster_at(cluster.pk)
    assert now is not None
    assert (drains_at(now).outcome != int(DrainOutcome.UNKNOWN)).all()


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_strangers_stay_text(name: str, viewer: Client) -> None:
    topic = name or "t"
    make_company(Company(topics={topic: (1, 5.0)}, groups={name: (topic,)}, cycles=6, frozen=frozenset({name})))
    own = (group_path("demo", name), topic_path("demo", topic))
    for path in ("/", "/clusters/demo/", "/clusters/demo/groups/", "/clusters/demo/topics/", *own):
        response = viewer.get(path)
        assert response.status_code == 200, path
        assert b"<script>alert" not in response.content
        assert b"<img src=x" not in response.content


@pytest.mark.slow
def test_the_number_of_queries_does_not_depend_on_the_number_of_rows(viewer: Client) -> None:
    """Of each page and fragment, exactly: one query more or less is a change of this table."""
    counts: dict[int, dict[str, tuple[int, int]]] = {}
    for number in (3, 300):
        Cluster.objects.all().delete()
        make_company(company(number, frozen=frozenset(f"group-{i}" for i in range(number // 2))))
        Cluster.objects.update(interval_seconds=600)  # else a busy machine finds them too old at the last pages
        star(number // 3)
        # the hint that a page leaves for the collector is written once in a while: see test_wishes.py
        Group.objects.update(head_wanted_until=timezone.now() + timedelta(hours=1))
        counts[number] = {}
        for path in PAGES + FRAGMENTS:
            findings.forget()
            days.forget()
            deadhours.forget()
            leaders.forget()
            clear_caches()
            with CaptureQueriesContext(connection) as first:
                viewer.get(path)
            with CaptureQueriesContext(connection) as second:
                viewer.get(path)
            counts[number][path] = len(first), len(second)
    assert counts[3] == QUERIES
    assert counts[300] == QUERIES


@pytest.mark.slow
def test_lists_are_fit_for_ten_thousand_topics_and_groups(viewer: Client) -> None:
    """Sorted, searched and paged: the same queries as with three, and a page of rows in the answer."""
    many = 10_000
    topics = {f"topic-{i}": (1, 2.0) for i in range(many)}
    groups = {f"group-{i}": (f"topic-{i}",) for i in range(many)}
    make_company(Company(topics=topics, groups=groups, cycles=2, freeze_cycles=1, frozen=frozenset({"group-77"})))
    Cluster.objects.update(interval_seconds=600)
    lists = {"/clusters/demo/groups/": "group-77", "/clusters/demo/topics/": "topic-77"}
    for path, wanted in lists.items():
        for query in ("", "?sort=-lag&page=200", "?q=77&sort=name", "?sort=name&show=nonsense"):
            viewer.get(path)
            with CaptureQueriesContext(connection) as asked:
                response = viewer.get(path + query)
            assert len(asked) <= QUERIES[path][1], query
            assert 0 < len(response.context["lines"]) <= 50
            assert len(response.content) < 400_000
        assert wanted in [line["name"] for line in viewer.get(f"{path}?q={wanted}&sort=name").context["lines"]]
        assert viewer.get(f"{path}?page=200").context["listed"].last == many
    with CaptureQueriesContext(connection) as asked:
        found = viewer.get("/search/?q=77").json()
    assert len(asked) <= 12
    assert all(len(section["items"]) <= 7 for section in found["sections"])


def test_lists_sort_filter_search_and_page_by_their_address(viewer: Client) -> None:
    make_company(company(120, frozen=frozenset({"group-77"})))
    path = "/clusters/demo/groups/"

    def names(query: str) -> list[str]:
        return [line["name"] for line in viewer.get(path + query).context["lines"]]

    assert names("")[0] == "group-77"  # worst first
    assert len(names("")) == 50
    assert len(names("?page=3")) == 20
    assert names("?page=99") == names("?page=3")
    assert names("?q=GROUP-11&sort=name") == ["group-11", *(f"group-11{i}" for i in range(10))]
    assert names("?show=troubled") == ["group-77"]
    assert names("?sort=name")[0] == "group-0"
    assert names("?sort=-name")[0] == "group-99"
    assert names("?sort=nonsense&page=x&show=y")[0] == "group-77"
    assert b"No group matches" in viewer.get(path + "?q=nothing").content
    assert viewer.get(path + "?q=<b>").content.count(b"<b>nothing") == 0
    lags = [line["row"]["lag"] for line in viewer.get(path + "?sort=-lag").context["lines"]]
    assert lags == sorted(lags, reverse=True)


def test_groups_are_sorted_by_what_protocol_they_speak(viewer: Client) -> None:
    make_company(company(5))
    spoken = {"group-0": ("share", ""), "group-1": ("consumer", ""), "group-2": ("classic", "connect"),
              "group-3": ("streams", ""), "group-4": ("classic", "consumer")}  # fmt: skip
    for name, (kind, protocol) in spoken.items():
        Group.objects.filter(name=name).update(type=kind, protocol_type=protocol)
    found = viewer.get("/clusters/demo/groups/?sort=type").context["lines"]
    said = [line["row"]["type_said"] for line in found]
    assert said == ["classic", "Connect", "consumer", "share", "streams"]
    backwards = viewer.get("/clusters/demo/groups/?sort=-type")
    assert [line["row"]["type_said"] for line in backwards.context["lines"]] == said[::-1]
    assert 'data-k="Type">Connect<' in backwards.content.decode()


def test_the_address_follows_a_search(viewer: Client) -> None:
    make_company(company())
    query = "?fragment=rows&q=group-1&show=all&sort=-lag&page="
    response = viewer.get("/clusters/demo/groups/" + query, headers={"HX-Request": "true"})
    assert response["HX-Replace-Url"] == "/clusters/demo/groups/?q=group-1&show=all&sort=-lag"
    assert "HX-Replace-Url" not in viewer.get("/clusters/demo/groups/" + query)


def test_a_bad_range_is_a_message_beside_its_field(viewer: Client) -> None:
    make_company(company())
    response = viewer.get("/clusters/demo/groups/group-0/?from=now-1x&to=<b>")
    assert response.status_code == 200
    page = response.content.decode()
    assert 'id="from-err"' in page
    assert 'id="to-err"' in page
    assert "&lt;b&gt;" in page
    sources = re.findall(r'data-src="([^"]+)"', page)
    assert len(sources) == 3
    for source in sources:  # the charts show the range that stands in for it
        assert viewer.get(html.unescape(source)).status_code == 200


def test_the_demo_s_strip_is_on_every_page_while_the_act_lasts(viewer: Client, settings: Settings) -> None:
    cluster = make_company(company())
    event = Event.objects.create(
        cluster=cluster, at=timezone.now(), kind=Event.Kind.ACT, text="x",
        data={"act": "freeze", "title": "payment service frozen on purpose", "ends_at": time.time() + 42.5,
              "subject_kind": "group", "subject": "group-0"},
    )  # fmt: skip
    assert b"data-demo-strip" not in viewer.get("/").content
    settings.DEMO = True
    for path in PAGES:
        page = viewer.get(path).content.decode()
        assert "payment service frozen on purpose" in page, path
        assert re.search(r">0:[1-4]\d<", page)
        assert 'href="/clusters/demo/groups/group-0/"' in page
    event.data["ends_at"] = time.time() - 1
    event.save()
    assert b"data-demo-strip" not in viewer.get("/").content


def test_in_a_calm_act_the_strip_says_what_comes_next_without_a_link(viewer: Client, settings: Settings) -> None:
    cluster = make_company(company())
    settings.DEMO = True
    data = {"act": "calm", "title": "all is well", "ends_at": time.time() + 42.5, "subject_kind": "", "subject": ""}
    event = Event.objects.create(
        cluster=cluster, at=timezone.now(), kind=Event.Kind.ACT, text="x",
        data={**data, "next": "payment service frozen"},
    )  # fmt: skip
    strip = viewer.get("/surroundings/strip/").content
    assert re.search(r"Demo: all is well , next: payment service frozen in 0:4\d", text_of(strip))
    assert b"<a " not in strip
    event.data["next"] = ""  # calm for ever: nothing is counted down to
    event.save()
    assert text_of(viewer.get("/surroundings/strip/").content).strip() == "Demo: all is well"


def make_alert(**changes: object) -> Alert:
    cluster = make_company(company())
    rule = Rule.objects.create(
        key="no-progress",
        name="No progress",
        quantity="group_verdict",
        comparison=">=",
        threshold=5,
        severity="critical",
    )
    now = timezone.now()
    alert = Alert.objects.create(
        rule=rule, cluster=cluster, subject_kind="group", subject="group-0", state="firing", severity="critical",
        sentence="<b>group-0</b> stands still", started_at=now - timedelta(minutes=2),
        fired_at=now - timedelta(minutes=1), changed_at=now, **changes,
    )  # fmt: skip
    Transition.objects.create(alert=alert, at=now - timedelta(minutes=1), new_state="firing", reason="held for 60 s")
    return alert


def test_an_operator_acknowledges_and_a_second_one_does_not_take_it_over(operator: Client, admin: Client) -> None:
    alert = make_alert()
    assert b"Acknowledge" in operator.get("/alerts/").content
    assert operator.post(f"/alerts/{alert.pk}/acknowledge/").status_code == 302
    admin.post(f"/alerts/{alert.pk}/acknowledge/")
    alert.refresh_from_db()
    assert alert.acknowledged_by == "otto"
    assert alert.state == "firing"
    assert AuditEntry.objects.filter(action="acknowledge").count() == 1
    assert [row.new_state for row in Transition.objects.order_by("id")] == ["firing", "acknowledged"]
    assert operator.get(f"/alerts/{alert.pk}/acknowledge/").status_code == 405
    assert operator.post("/alerts/999999/acknowledge/").status_code == 404


def test_an_acknowledgement_is_taken_back_and_every_page_hears_of_both(
    operator: Client, viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    monkeypatch.setattr("dashboard.pages.alerts.announce", lambda kind, data: heard.append(kind))
    alert = make_alert()
    operator.post(f"/alerts/{alert.pk}/acknowledge/")
    assert viewer.post(f"/alerts/{alert.pk}/take-back/").status_code == 403
    assert "Undo" in operator.get("/alerts/?fragment=rows").content.decode()
    assert "Undo" not in viewer.get("/alerts/?fragment=rows").content.decode()
    operator.post(f"/alerts/{alert.pk}/take-back/")
    operator.post(f"/alerts/{alert.pk}/take-back/")
    alert.refresh_from_db()
    assert (alert.acknowledged_at, alert.acknowledged_by) == (None, "")
    assert heard == ["alert", "alert"]
    states = [row.new_state for row in Transition.objects.order_by("id")]
    assert states == ["firing", "acknowledged", "taken_back"]
    assert "acknowledgement taken back by otto" in viewer.get("/alerts/").content.decode()
    page = viewer.get("/alerts/history/").content.decode()
    assert page.count("<title>firing from ") == 1  # it fired all the while


def test_the_alerts_page_says_why_and_links_to_the_chart(viewer: Client) -> None:
    make_alert()
    page = viewer.get("/alerts/").content.decode()
    assert "&lt;b&gt;group-0&lt;/b&gt; stands still" in page
    assert "held for 60 s" in page
    assert 'href="/clusters/demo/groups/group-0/"' in page
    assert "/acknowledge/" not in page  # a viewer may not
    assert "a group is judged “no progress”" in viewer.get("/alerts/rules/").content.decode()


def test_both_themes_without_a_choice_and_with_one_have_the_same_tokens() -> None:
    from django.conf import settings as real

    css = (real.BASE_DIR / "static/css/tokens.css").read_text()
    chosen = re.search(r'\n\[data-bs-theme="light"\] \{(.*?)\n\}', css, re.S)
    system = re.search(r":root:not\(\[data-bs-theme\]\) \{(.*?)\n\}", css, re.S)
    assert chosen
    assert system
    assert chosen[1].split() == system[1].split()


def test_the_theme_comes_from_the_address_then_the_cookie(viewer: Client) -> None:
    assert b'data-bs-theme="light"' in viewer.get("/?theme=light").content
    viewer.cookies["sg_theme"] = "dark"
    assert b'data-bs-theme="dark"' in viewer.get("/").content
    viewer.cookies["sg_theme"] = '"><script>'
    assert b"data-bs-theme=" not in viewer.get("/").content
