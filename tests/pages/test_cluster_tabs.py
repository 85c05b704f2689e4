"""Brokers, dead letters, events and this instance: the facts on them are those that are stored."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from collectors.models import Broker, Event, LogDir, Topic

from .seed import Company, make_company

pytestmark = pytest.mark.django_db
BROKERS = "/clusters/demo/brokers/"


def text_of(content: bytes) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", content.decode()))


def test_the_worst_broker_comes_first_with_since_when_and_why(viewer: Client) -> None:
    make_company(Company(down=frozenset({2})))
    response = viewer.get(BROKERS)
    page = text_of(response.content)
    assert "1 broker of 3 does not answer" in page
    assert [line.broker.node_id for line in response.context["listed"].rows] == [2, 1, 3]
    assert "connection refused" in page
    assert [one.broker.node_id for one in viewer.get(BROKERS + "?show=not_up").context["listed"].rows] == [2]
    assert [one.broker.node_id for one in viewer.get(BROKERS + "?q=rack-c").context["listed"].rows] == [3]


def test_a_broker_says_what_it_leads_and_holds(viewer: Client) -> None:
    make_company(Company(topics={"a": (4, 1.0), "b": (2, 1.0)}, groups={"g": ("a",)}, down=frozenset({3})))
    row = viewer.get(BROKERS + "1/").context["row"]
    assert (row["leaders"], row["replicas"], row["short"]) == (3, 6, 0)
    down = viewer.get(BROKERS + "3/")
    assert (down.context["row"]["replicas"], down.context["row"]["short"]) == (6, 6)
    assert len(down.context["short"]) == 6
    assert "Broker 3 is down: connection refused" in text_of(down.content)


def test_unknown_sizes_are_hatched_and_never_zero(viewer: Client) -> None:
    make_company(Company())
    LogDir.objects.filter(broker__node_id=1).update(error="offline")
    page = viewer.get(BROKERS + "1/")
    assert page.context["row"]["size"] is None
    assert "cannot be read" in page.content.decode()
    Broker.objects.filter(node_id=2).update(version="", quorum_role="")
    assert "quorum not described" in text_of(viewer.get(BROKERS + "2/").content)


@pytest.mark.parametrize("node", ["99", str(2**31), "9" * 30])
def test_a_broker_that_is_not_there_is_not_found(node: str, viewer: Client) -> None:
    make_company(Company())
    assert viewer.get(f"{BROKERS}{node}/").status_code == 404


def dead(**topics: tuple[int, float]) -> Company:
    every = {"orders": (2, 40.0), **{name.replace("_", "-"): fields for name, fields in topics.items()}}
    return Company(topics=every, groups={"dead-reader": ("orders-dlt",)} if "orders_dlt" in topics else {}, cycles=60)


def test_dead_letters_are_set_against_what_came_to_their_source(viewer: Client) -> None:
    make_company(dead(orders_dlt=(1, 4.0)))
    response = viewer.get("/clusters/demo/dead-letters/")
    line = response.context["listed"].rows[0]
    assert line.source == "orders"
    assert line.share == pytest.approx(4 / 40, rel=0.5)
    assert line.readers == ("dead-reader",)
    assert line.held is not None
    newest = response.context["newest"]["orders-dlt"]
    assert newest.by is not None
    assert newest.by - newest.after == pytest.approx(5, abs=0.01)  # one sample
    assert "dead letters/s arrive in orders-dlt" in text_of(response.content)


def test_a_quiet_queue_says_since_when_nothing_came(viewer: Client) -> None:
    make_company(dead(orders_dlt=(1, 0.0)))
    response = viewer.get("/clusters/demo/dead-letters/")
    assert response.context["newest"]["orders-dlt"].by is None
    assert "No dead letters arrive at the moment" in text_of(response.content)
    assert "none for" in text_of(response.content)


def test_an_unknown_source_gives_no_share(viewer: Client) -> None:
    make_company(dead(orders_dlt=(1, 1.0)))
    Topic.objects.filter(name="orders-dlt").update(dead_letters_of="?")
    response = viewer.get("/clusters/demo/dead-letters/")
    assert response.context["listed"].rows[0].share is None
    assert "source not known from the name" in text_of(response.content)


def test_events_are_filtered_and_paged_without_a_hole(viewer: Client) -> None:
    cluster = make_company(Company(cycles=2))
    Event.objects.all().delete()
    now = timezone.now()
    Event.objects.bulk_create(
        Event(
            cluster=cluster,
            at=now - timedelta(seconds=300 - i),
            kind=Event.Kind.TOPIC_CREATED if i % 2 else Event.Kind.GROUP_NEW,
            subject_kind="topic" if i % 2 else "group",
            subject=f"thing-{i}",
            text=f"event number {i}",
        )
        for i in range(250)
    )
    path = "/clusters/demo/events/"
    first = viewer.get(path)
    assert len(first.context["events"]) == 100
    seen = [line.event.subject for line in first.context["events"]]
    Event.objects.create(cluster=cluster, at=now, kind=Event.Kind.GROUP_NEW, text="meanwhile")
    older = first.context["older"]
    while older:
        page = viewer.get(path, {"before": older})
        seen += [line.event.subject for line in page.context["events"]]
        older = page.context["older"]
    assert seen == [f"thing-{i}" for i in reversed(range(250))]
    assert {e.event.kind for e in viewer.get(path + "?kind=group_new").context["events"]} == {"group_new"}
    assert {e.event.subject_kind for e in viewer.get(path + "?about=topic").context["events"]} == {"topic"}
    assert [e.event.subject for e in viewer.get(path + "?q=THING-24&about=group").context["events"]] == [
        "thing-248", "thing-246", "thing-244", "thing-242", "thing-240", "thing-24",
    ]  # fmt: skip
    assert len(viewer.get(path + "?kind=nonsense&before=x&about=y").context["events"]) == 100
    assert "No event matches" in text_of(viewer.get(path + "?q=%00nothing").content)


def test_this_instance_shows_the_data_folder_to_admins_only(viewer: Client, admin: Client) -> None:
    make_company(Company(cycles=30))
    assert "Data folder" not in viewer.get("/instance/").content.decode()
    page = admin.get("/instance/")
    assert "Data folder" in page.content.decode()
    (one,) = page.context["sampling"]
    assert one.usual_ms == pytest.approx(61, abs=1)
    assert page.context["stored"]["cycles"] == 30
