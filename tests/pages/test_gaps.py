"""Where a chart has no data it says so, with the cause in words."""

from __future__ import annotations

import time
from datetime import timedelta

import numpy as np
import pytest
from django.test import Client

from collectors.history import rolling
from collectors.models import Cluster, Cycle
from dashboard.charts.gaps import Hole, Tried, explained, holes

from .seed import INTERVAL, Company, make_company, moment

START = 1_790_000_000.0
BASE = "/clusters/demo/series/"
ASKED = {"subject": "g", "name": "payment-service", "what": "lag", "from": "now-1h", "to": "now"}


@pytest.mark.parametrize(
    ("known", "missing_before", "until", "expected"),
    [
        ("11111", [], 20, []),
        ("11111", [3], 20, [(10, 15)]),  # samples are missing
        ("11011", [], 20, [(5, 15)]),  # a sample is not known: from the last known to the next
        ("11001", [3], 20, [(5, 20)]),  # both together are one stretch
        ("01111", [], 20, []),  # the first point of a rate needs a second sample
        ("00011", [], 20, [(0, 15)]),
        ("11111", [], 60, [(20, 60)]),  # nothing came since
        ("11110", [], 60, [(15, 60)]),
    ],
)
def test_a_hole_reaches_from_what_is_known_to_what_is_known_again(
    known: str, missing_before: list[int], until: float, expected: list[tuple[float, float]]
) -> None:
    times = START + 5.0 * np.arange(len(known), dtype=np.float64)
    broken = np.isin(np.arange(len(known)), missing_before)
    found = holes(times, broken, np.array([c == "1" for c in known]), until=START + until, interval=5.0)
    assert [(hole.since - START, hole.until - START) for hole in found] == expected


@pytest.mark.parametrize(
    ("cycles", "hole", "expected"),
    [
        ([], Hole(START, START + 65), "the collector did not run"),
        ([Tried(START + 65, True, 12)], Hole(START, START + 65), "12 cycles skipped, the one before took longer"),
        (
            [Tried(START + 5 * i, False, why="connect: refused") for i in range(1, 13)],
            Hole(START, START + 65),
            "cluster not reached: connect",
        ),
        ([Tried(START + 5, True, why="broker 2: timed out")], Hole(START, START + 10), "broker 2: timed out"),
        ([Tried(START + 5, True)], Hole(START, START + 10), "not every partition was known"),
        ([Tried(START + 55, True, why="x"), Tried(START + 60, True, why="x")], Hole(START, START + 65), "did not run"),
        ([], Hole(START, START + 65, is_open=True), "no cycle has come since"),
    ],
)
def test_the_cause_is_said_in_words(cycles: list[Tried], hole: Hole, expected: str) -> None:
    (gap,) = explained([hole], cycles, is_paused=False)
    assert gap.why.startswith("no data since 14:13:20: " if hole.is_open else "no data 14:13:20 to 14:1")
    assert expected in gap.why


@pytest.mark.django_db
def test_a_chart_s_gap_names_the_cycles_that_did_not_reach_the_cluster(viewer: Client) -> None:
    cluster = make_company(Company(cycles=60, gap=(20, 30)))
    last = Cycle.objects.get(cluster=cluster, number=20)
    for i in range(1, 10):
        at = last.taken_at + timedelta(seconds=INTERVAL * i)
        Cycle.objects.create(
            cluster=cluster, number=1000 + i, epoch=1, due_at=at, started_at=at, taken_at=at, ended_at=at,
            is_reachable=False, errors=[{"part": "connect", "reason": "connection refused", "broker": None}],
        )  # fmt: skip
    (gap,) = viewer.get(BASE, ASKED).json()["gaps"]
    assert gap["why"].endswith("cluster not reached: connection refused (connect)")
    assert gap["from"] == pytest.approx(last.taken_at.timestamp(), abs=0.01)


@pytest.mark.django_db
def test_a_cluster_that_is_no_longer_sampled_has_an_open_gap(viewer: Client) -> None:
    make_company(Company(cycles=20), now=time.time() - 120)
    (gap,) = viewer.get(BASE, ASKED).json()["gaps"]
    assert gap["why"].endswith("no cycle has come since")
    Cluster.objects.update(is_paused=True)
    assert viewer.get(BASE, ASKED).json()["gaps"][0]["why"].endswith("sampling is paused")
    explicit = {**ASKED, "to": str(int((time.time() - 130) * 1000))}
    assert viewer.get(BASE, explicit).json()["gaps"] == []


@pytest.mark.django_db
@pytest.mark.parametrize("what", ["rate", "lag"])
def test_a_minute_that_is_not_over_is_no_gap_in_the_sums_of_a_cluster(viewer: Client, what: str) -> None:
    cluster = make_company(Company(cycles=20))
    rolling.roll(cluster.pk)
    asked = {"subject": "c", "name": "", "what": what, "from": "now-5m", "to": "now"}
    assert viewer.get(BASE, asked).json()["gaps"] == []
    make_company(Company(slug="late", name="late", cycles=60), now=time.time() - 600)
    rolling.roll(Cluster.objects.get(slug="late").pk)
    (gap,) = viewer.get("/clusters/late/series/", {**asked, "from": "now-1h"}).json()["gaps"]
    assert gap["why"].endswith("no cycle has come since")


@pytest.mark.django_db
def test_the_range_and_the_sparklines_fit_the_history_there_is(viewer: Client) -> None:
    cluster = make_company(Company(cycles=12))
    path = "/clusters/demo/groups/payment-service/"
    page = viewer.get(path).content.decode()
    assert "Last 5 minutes" in page
    assert 'data-live-range="300"' in page
    assert 'data-history-since="' in page
    assert "5\u202fmin</span></th>" in viewer.get("/clusters/demo/groups/").content.decode()
    assert 'data-span="300"' in viewer.get("/").content.decode()
    assert "Last 3 hours" in viewer.get(path + "?from=now-3h&to=now").content.decode()
    assert "data-range-steps" not in viewer.get(path + "?from=now-3h&to=now").content.decode()
    first = Cycle.objects.order_by("number").first()
    assert first is not None
    Cycle.objects.filter(pk=first.pk).update(taken_at=moment(time.time() - 400))
    assert "Last 15 minutes" in viewer.get(path).content.decode()
    assert 'data-span="900"' in viewer.get("/").content.decode()
    assert cluster.last_cycle == 12
