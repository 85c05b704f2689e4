"""The page that says how a number is known shows that number's own inputs, and agrees with the group's page."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable

import numpy as np
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from collectors import roster
from collectors.domain.heads import NO_RECORDS, Head, Markers
from collectors.domain.numbers import Column, Layout, Numbers
from collectors.history import queries
from collectors.history.frames import FrameWriter
from collectors.history.kinds import Kind
from collectors.history.policies import ASKED_EVERY_SECONDS
from collectors.history.queries import cluster_at
from collectors.kafka.settings import ConnectionSettings
from collectors.kafka.survey import EVERY_SECONDS
from collectors.models import Cluster, Configuration, Cycle, Group
from collectors.secrets import encrypt
from dashboard.models import Star
from dashboard.pages import headtold
from tests.history.recording import column

from .seed import Company, make_cluster, make_company, moment

pytestmark = pytest.mark.django_db


def text_of(content: bytes) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", content.decode()))


def test_the_age_of_a_partition_is_told_from_the_two_samples_around_it(viewer: Client) -> None:
    make_company(Company(frozen=frozenset({"payment-service"}), freeze_cycles=10))
    page = text_of(viewer.get("/clusters/demo/how/?group=payment-service&topic=orders&partition=2").content)
    assert "orders partition 2, as chosen" in page
    found = re.search(r"number (\d+) of the (\d+) that came in those 5.0 s", page)
    assert found is not None
    assert 1 <= int(found[1]) <= int(found[2])
    assert "Retention countdown" in page
    assert "unknown the topic's retention settings are not known" in page.replace("&#x27;", "'")


@pytest.mark.parametrize(
    ("ages", "said"),
    [
        (
            {"topic_configs": 75.0},
            "retention.ms: 10 min; retention.bytes: without limit; read 1 min 15 s before this cycle",
        ),
        ({}, "retention.ms: 10 min; retention.bytes: without limit; asked every 10 min"),
    ],
)
def test_the_settings_of_a_topic_say_when_they_were_read(viewer: Client, ages: dict[str, float], said: str) -> None:
    cluster = make_company(Company(frozen=frozenset({"payment-service"}), freeze_cycles=10))
    Cycle.objects.filter(cluster=cluster).update(ages=ages)
    entries = {"retention.ms": ["600000", "topic"], "retention.bytes": ["-1", "default"]}
    Configuration.objects.create(
        cluster=cluster, kind=Configuration.Kind.TOPIC, name="orders", changed_at=moment(0),
        entries=entries | {"cleanup.policy": ["delete", "default"]},
    )  # fmt: skip
    page = text_of(viewer.get("/clusters/demo/how/?group=payment-service&topic=orders&partition=2").content)
    assert said in re.sub(r"[\u202f\u2009\xa0]", " ", page)


@pytest.mark.parametrize(
    ("commits", "gap", "said"),
    [
        (
            [0, 60, 120, 180],
            5.0,
            r"it reads 0\.\d\d s of log a second: \(1 h − .* / \(1 − 0\.\d\d\) = .* longer than the 1 h",
        ),
        ([0, 60, 120, 180], 900.0, "a rate needs two samples in a row"),
        ([0, 495, 990, 1490], 5.0, r"by no more than comes between two commits \(5 s\), keeps ahead"),
    ],
)
def test_why_there_is_no_countdown_is_told(viewer: Client, commits: list[int], gap: float, said: str) -> None:
    """100 records a second come; the newest sample is `gap` seconds after the one before."""
    cluster = make_cluster()
    entries = {"retention.ms": ["3600000", "topic"], "retention.bytes": ["-1", "default"]}
    Configuration.objects.create(
        cluster=cluster, kind=Configuration.Kind.TOPIC, name="orders", changed_at=moment(0),
        entries=entries | {"cleanup.policy": ["delete", "default"]},
    )  # fmt: skip
    Group.objects.create(cluster=cluster, name="readers", first_seen_at=moment(0))
    times = [100.0, 105.0, 110.0, 110.0 + gap]
    for number, (at, commit) in enumerate(zip(times, commits, strict=True), 1):
        at += time.time() - times[-1] - 1
        columns = {
            Kind.START: column({"orders": {("orders", 0): 0}}),
            Kind.END: column({"orders": {("orders", 0): 500 * number - 500}}),
            Kind.COMMITTED: column({"readers": {("orders", 0): commit}}),
            Kind.VERDICT: column({"readers": {("", -1): 0}}),
        }
        with transaction.atomic():
            FrameWriter(cluster.pk).write(number, at, columns)
        Cycle.objects.create(
            cluster=cluster, number=number, epoch=1, due_at=moment(at), started_at=moment(at), taken_at=moment(at),
            ended_at=moment(at), is_reachable=True, requests=4,
        )  # fmt: skip
    Cluster.objects.filter(pk=cluster.pk).update(last_cycle=len(times))
    page = text_of(viewer.get("/clusters/demo/how/?group=readers&topic=orders&partition=0").content)
    assert re.search(said, re.sub(r"[\u202f\u2009\xa0]", " ", page)), page


def test_settings_are_said_to_be_asked_for_as_often_as_they_are() -> None:
    assert EVERY_SECONDS["topic_configs"] == ASKED_EVERY_SECONDS


def test_without_a_partition_the_oldest_is_told_of(viewer: Client) -> None:
    make_company(Company(frozen=frozenset({"payment-service"}), freeze_cycles=10))
    page = text_of(viewer.get("/clusters/demo/how/?group=payment-service").content)
    assert re.search(r"orders partition \d, its oldest", page)
    assert re.search(r"interpolated, (45|50) s to", page)


def test_a_group_without_a_commit_has_nothing_to_measure_from(viewer: Client) -> None:
    make_company(Company(never_committed=frozenset({"payment-service"})))
    page = text_of(viewer.get("/clusters/demo/how/?group=payment-service").content)
    assert "there is nothing to measure from" in page


@pytest.mark.parametrize(
    "query",
    ["", "?group=nobody", "?group=shipping&topic=orders&partition=0", "?group=shipping&topic=payments&partition=x",
     "?group=shipping&topic=payments&partition=99", "?group=shipping&topic=orders", "?topic=nowhere"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(viewer: Client, query: str) -> None:
    make_company(Company())
    assert viewer.get(f"/clusters/demo/how/{query}").status_code == 404


def test_a_record_that_nobody_hands_out_leaves_its_age_unknown(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The company has no Kafka behind it: the look ends with its time, and nothing is made up."""
    monkeypatch.setattr(headtold, "HEAD_SECONDS", 0.3)
    cluster = make_company(Company(frozen=frozenset({"payment-service"}), freeze_cycles=10))
    nobody = ConnectionSettings.from_properties({"bootstrap.servers": "127.0.0.1:9"})
    cluster.settings_encrypted = encrypt(nobody.to_stored(), settings.INSTANCE_KEY)
    cluster.save(update_fields=["settings_encrypted"])
    path = "/clusters/demo/how/?group=payment-service&topic=orders&partition=2"
    assert "Head-of-backlog age" in (before := text_of(viewer.get(path).content))
    assert "not read it is read when asked for" in before
    assert re.search("unknown (no record came within the time|refused|timeout)", text_of(viewer.post(path).content))


def test_of_a_group_that_is_caught_up_no_record_is_read(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headtold, "read_head", None)  # called, it would fail
    make_company(Company(groups={"readers": ("orders-dlt",)}))
    page = text_of(viewer.post("/clusters/demo/how/?group=readers").content)
    assert "none nothing waits to be read" in page


@pytest.mark.parametrize("timestamp", [0.0, 0.001, 1.7e12, 253_402_300_800.0, (2**63 - 1) / 1000])
def test_c5_t14_a_timestamp_that_no_clock_told_makes_no_age(
    viewer: Client, monkeypatch: pytest.MonkeyPatch, timestamp: float
) -> None:
    monkeypatch.setattr(headtold, "read_head", lambda settings, place: Head(place[2], timestamp, False))
    make_company(Company(frozen=frozenset({"payment-service"}), freeze_cycles=10))
    monkeypatch.setattr(roster, "connection_of", lambda cluster: None)
    answer = viewer.post("/clusters/demo/how/?group=payment-service&topic=orders&partition=2")
    assert answer.status_code == 200
    assert f"unknown the record carries {timestamp:.3f} s since 1970" in text_of(answer.content)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (lambda offset, now: Head(offset, now - 90.0, False), "1 min 30 s exact"),
        (lambda offset, now: Head(offset + 1, now - 90.0, True), "1 min 30 s at least"),
        (lambda offset, now: Head(offset, now - 90.0, False, now - 95.0), "1 min 30 s at least"),
        (lambda offset, now: Markers(offset + 1), "none only transaction markers lie before"),
    ],
)
def test_what_a_record_tells_is_said_with_how_sure_it_is(
    viewer: Client, monkeypatch: pytest.MonkeyPatch, found: Callable[[int, float], Head | Markers], said: str
) -> None:
    monkeypatch.setattr(headtold, "read_head", lambda settings, place: found(place[2], time.time()))
    make_company(Company(frozen=frozenset({"payment-service"}), freeze_cycles=10))
    monkeypatch.setattr(roster, "connection_of", lambda cluster: None)
    page = text_of(viewer.post("/clusters/demo/how/?group=payment-service&topic=orders&partition=2").content)
    assert said in page.replace("\u202f", " ").replace("\u2009", " ").replace("\xa0", " ")


def keep_head(cluster: Cluster, value: Callable[[float], int], topic: str, partition: int) -> None:
    """Store what the collector read for payment-service with the newest cycle."""
    now = queries.cluster_at(cluster.pk)
    assert now is not None
    layout = Layout.build({"payment-service": [(topic, partition)]})
    with transaction.atomic():
        FrameWriter(cluster.pk).write(
            now.cycle, now.taken_at, {Kind.HEAD: Column(layout, Numbers.of([value(now.taken_at)]))}
        )


@pytest.mark.parametrize(("sign", "sure"), [(1, "exact"), (-1, "at most")])
def test_what_the_collector_read_is_told_without_asking(viewer: Client, sign: int, sure: str) -> None:
    cluster = make_company(Company(frozen=frozenset({"payment-service"}), freeze_cycles=10))
    keep_head(cluster, lambda taken_at: sign * round((taken_at - 90) * 1000), "orders", 2)
    page = text_of(viewer.get("/clusters/demo/how/?group=payment-service&topic=orders&partition=2").content)
    assert f"1 min 30 s {sure}" in page.replace("\u202f", " ").replace("\u2009", " ").replace("\xa0", " ")
    assert ("the group has read on since" in page) == (sign < 0)
    group = text_of(viewer.get("/clusters/demo/groups/payment-service/").content)
    how = "the timestamp of the record where it stands" if sign > 0 else "at most: it has read on since"
    assert re.search(f"Head-of-backlog age 1.min 30.s {how}", group)


def test_markers_are_told_from_records(viewer: Client) -> None:
    cluster = make_company(Company(frozen=frozenset({"payment-service"}), freeze_cycles=10))
    keep_head(cluster, lambda taken_at: NO_RECORDS, "orders", 2)
    path = "/clusters/demo/how/?group=payment-service&topic=orders&partition=2"
    page = text_of(viewer.get(path).content)
    assert "only transaction markers lie between the committed offset and the log end: nothing waits" in page
    assert "what lies there are transaction markers, which nobody reads" in page
    assert "none only transaction markers wait" in page
    assert re.search(r"lag = .* never below 0", page)
    assert "Head-of-backlog age not read" in text_of(viewer.get("/clusters/demo/groups/payment-service/").content)


def test_what_an_open_transaction_holds_back_and_what_compaction_leaves_is_told(viewer: Client) -> None:
    cluster = make_company(Company(frozen=frozenset({"payment-service"}), freeze_cycles=10))
    now = cluster_at(cluster.pk)
    assert now is not None
    at = now.committed.layout.position["payment-service", "orders", 2]
    lag, end = now.lag.at(at), now.end_of_committed.at(at)
    assert lag is not None
    assert end is not None
    stable = int(end) - 5
    with transaction.atomic():
        FrameWriter(cluster.pk).write(
            now.cycle, now.taken_at, {Kind.STABLE: column({"orders": {("orders", 2): stable}})}
        )
    Configuration.objects.create(
        cluster=cluster, kind=Configuration.Kind.TOPIC, name="orders", changed_at=moment(now.taken_at),
        entries={"cleanup.policy": ["compact,delete", "topic"]},
    )  # fmt: skip
    page = text_of(viewer.get("/clusters/demo/how/?group=payment-service&topic=orders&partition=2").content)
    page = re.sub(r"(?<=\d) (?=\d{3})", "", page)
    assert f"last stable offset: {stable}; from there on 5 records of an open transaction" in page
    assert f"{lag - 5} of {lag} are readable" in page
    assert "the topic is compacted" in page
    assert "at most" in page


def test_the_drain_estimate_is_told_of_the_group_and_of_a_partition(viewer: Client) -> None:
    make_company(Company(frozen=frozenset({"payment-service"}), freeze_cycles=10))
    page = text_of(viewer.get("/clusters/demo/how/?group=payment-service").content)
    assert "Drain estimate lag over what is read beyond what arrives not draining" in page
    assert "of all its partitions together" in page
    page = text_of(viewer.get("/clusters/demo/how/?group=payment-service&topic=orders&partition=2").content)
    assert "of this partition" in page
    assert re.search(r"read 0/s, arriving \d+(\.\d)?/s", page)


def test_a_group_that_has_nothing_left_in_the_totals_has_nothing_to_tell(viewer: Client) -> None:
    cluster = make_company(Company())
    now = cluster_at(cluster.pk)
    assert now is not None
    layout = Layout(("shipping",), np.array([0, 0]), (), np.zeros(0, dtype=np.int32))
    with transaction.atomic():
        frame = {Kind.COMMITTED: Column(layout, Numbers.unknown(0))}
        FrameWriter(cluster.pk).write(now.cycle + 1, now.taken_at + 0.5, frame)
    newest = Cycle.objects.get(cluster=cluster, number=now.cycle)
    newest.pk, newest.number, newest.taken_at = None, now.cycle + 1, moment(now.taken_at + 0.5)
    newest.save()
    Cluster.objects.filter(pk=cluster.pk).update(last_cycle=now.cycle + 1)
    response = viewer.get("/clusters/demo/how/?group=shipping")
    assert response.status_code == 200
    assert "Nothing to tell" in text_of(response.content)


def links_to_how(page: str) -> list[tuple[str, str]]:
    """(field, address) of every live number that is a link to how it is known."""
    found = re.findall(r'<a (?:class="[^"]*" )?href="([^"]*/how/[^"]*)"[^>]*><span data-f="(\w+)"', page)
    return [(field, html.unescape(address)) for address, field in found]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/", {"lag": "group=payment-service#lag"}),
        (
            "/clusters/demo/groups/",
            {
                "lag": "group=payment-service#lag",
                "age": "group=payment-service#log-end-age",
                "countdown_said": "group=payment-service#retention-countdown",
            },
        ),
        (
            "/clusters/demo/",
            {
                "lag": "group=payment-service#lag",
                "age": "group=payment-service#log-end-age",
                "countdown_said": "group=payment-service#retention-countdown",
            },
        ),
        (
            "/clusters/demo/groups/payment-service/",
            {
                "lag": "group=payment-service&topic=orders&partition=2#lag",
                "age": "group=payment-service&topic=orders&partition=2#log-end-age",
                "head": "group=payment-service#head-of-backlog-age",
                "drain_said": "group=payment-service#drain-estimate",
                "countdown_said": "group=payment-service&topic=orders&partition=2#retention-countdown",
            },
        ),
        ("/clusters/demo/topics/", {"lag": "topic=orders#lag"}),
        (
            "/clusters/demo/topics/orders/",
            {
                "lag": "topic=orders#lag",
                "lag_here": "group=payment-service&topic=orders#lag",
                "age_here": "group=payment-service&topic=orders#log-end-age",
            },
        ),
    ],
)
def test_every_page_leads_from_a_number_to_how_it_is_known(path: str, fields: dict[str, str], viewer: Client) -> None:
    make_company(Company(frozen=frozenset({"payment-service"}), freeze_cycles=10))
    found = links_to_how(viewer.get(path).content.decode())
    for field, query in fields.items():
        address = f"/clusters/demo/how/?{query}"
        assert (field, address) in found, field
        told = viewer.get(address, follow=True)
        assert told.status_code == 200
        assert f'id="{address.partition("#")[2]}"' in told.content.decode()


@pytest.mark.parametrize(
    "path",
    ["/", "/?kiosk=1", "/clusters/demo/", "/clusters/demo/groups/", "/clusters/demo/topics/",
     "/clusters/demo/groups/payment-service/", "/clusters/demo/topics/orders/"],
)  # fmt: skip
def test_no_live_number_of_lag_or_time_is_without_its_link(path: str, viewer: Client) -> None:
    cluster = make_company(Company(frozen=frozenset({"payment-service"}), freeze_cycles=10))
    for kind, name in (("group", "payment-service"), ("topic", "orders")):
        Star.objects.create(user=User.objects.get(), cluster=cluster, kind=kind, name=name)
    page = viewer.get(path).content.decode()
    numbers = r'<span data-f="(lag|lag_here|age|age_here|head|drain_said|countdown_said)"'
    assert len(re.findall(numbers, page)) == len(links_to_how(page)) > 0


def test_the_worst_lag_of_a_topic_leads_to_the_group_that_has_it(viewer: Client) -> None:
    reads = {"ahead": ("orders",), "payment-service": ("orders",), "shipping": ("payments",)}
    make_company(Company(groups=reads, frozen=frozenset({"payment-service"}), freeze_cycles=10))
    answer = viewer.get("/clusters/demo/how/?topic=orders")
    assert answer["Location"] == "/clusters/demo/how/?group=payment-service&topic=orders"
    page = text_of(viewer.get(answer["Location"]).content)
    assert re.search(r"orders partition \d, its oldest there", page)
    assert re.search(r"the sum over all partitions of this topic: [\d\s]+ records", page)
    assert "the sum over all partitions that it reads" in text_of(
        viewer.get("/clusters/demo/how/?group=payment-service").content
    )
    assert "the sum over" not in text_of(
        viewer.get("/clusters/demo/how/?group=payment-service&topic=orders&partition=2").content
    )
    assert viewer.get("/clusters/demo/how/?topic=clicks").status_code == 404, "nobody reads it"
