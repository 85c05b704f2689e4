"""The lanes of a group: who held which partition, and when nobody can say."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from collectors.models import Cluster, Cycle, Group, Ownership
from dashboard.pages.owners import Owners, owners, runs
from dashboard.pages.ranges import TimeRange

from .seed import Company, make_company

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
HOUR = TimeRange(START, START + timedelta(hours=1), "now-1h", "now")
Held = dict[str, list[int]]


def minute(number: float) -> datetime:
    return START + timedelta(minutes=number)


@pytest.fixture
def group(db: None) -> Group:
    cluster = Cluster.objects.create(slug="c", name="C", settings_encrypted=b"")
    taken = minute(60)
    Cycle.objects.create(
        cluster=cluster, number=1, epoch=1, due_at=taken, started_at=taken, taken_at=taken, ended_at=taken,
        is_reachable=True, requests=1, completeness=1.0,
    )  # fmt: skip
    return Group.objects.create(cluster=cluster, name="g", type="classic", state="Stable", first_seen_at=START)


def hold(group: Group, since: float, until: float | None, held: Held, topic: str = "t") -> None:
    Ownership.objects.create(
        group=group, since=minute(since), until=None if until is None else minute(until),
        members=[[key, key.split("-")[0], "10.0.0.1", [[topic, own]] if own else []] for key, own in held.items()],
    )  # fmt: skip


def drawn(found: Owners) -> dict[str, list[tuple[str, str, str]]]:
    return {lane.title: [(bar.x, bar.width, bar.text) for bar in lane.bars] for lane in found.lanes}


def test_each_member_has_a_lane_with_what_it_held(group: Group) -> None:
    hold(group, 0, 30, {"a-1": [0, 1], "b-1": [2, 3]})
    hold(group, 30, None, {"a-1": [0, 1, 2, 3]})
    found = owners(group.cluster, group, HOUR)
    assert drawn(found) == {
        "a": [("0.00%", "50.00%", "0 1"), ("50.00%", "50.00%", "0–3")],
        "b": [("0.00%", "50.00%", "2 3")],
    }
    assert not found.unknown


def test_a_member_that_kept_its_partitions_has_one_bar(group: Group) -> None:
    hold(group, 0, 30, {"a-1": [0], "b-1": [1]})
    hold(group, 30, None, {"a-1": [0], "c-1": [1]})
    assert drawn(owners(group.cluster, group, HOUR))["a"] == [("0.00%", "100.00%", "0")]


def test_what_nobody_looked_at_is_hatched_and_never_bridged(group: Group) -> None:
    hold(group, 15, 30, {"a-1": [0]})
    hold(group, 45, None, {"a-1": [0]})
    found = owners(group.cluster, group, HOUR)
    assert drawn(found)["a"] == [("25.00%", "25.00%", "0"), ("75.00%", "25.00%", "0")]
    assert [(gap.x, gap.width) for gap in found.unknown] == [("0.00%", "25.00%"), ("50.00%", "25.00%")]


def test_of_a_cluster_that_does_not_answer_the_newest_holding_ends_with_the_last_answer(group: Group) -> None:
    hold(group, 0, None, {"a-1": [0]})
    Cycle.objects.update(taken_at=minute(30))
    found = owners(group.cluster, group, HOUR)
    assert drawn(found)["a"] == [("0.00%", "50.00%", "0")]
    assert [(gap.x, gap.width) for gap in found.unknown] == [("50.00%", "50.00%")]


def test_a_group_without_members_is_held_by_nobody(group: Group) -> None:
    hold(group, 0, 30, {"a-1": [0]})
    hold(group, 30, None, {})
    assert drawn(owners(group.cluster, group, HOUR))["nobody"] == [("50.00%", "50.00%", "none")]


def test_members_with_one_client_id_are_told_apart_and_topics_named_where_there_are_several(group: Group) -> None:
    hold(group, 0, 30, {"a-0001": [0], "a-0002": [1]})
    hold(group, 30, None, {"a-0001": [5]}, topic="u")
    found = drawn(owners(group.cluster, group, HOUR))
    assert list(found) == ["a …0001", "a …0002"]
    assert [text for _, _, text in found["a …0001"]] == ["t 0", "u 5"]


def test_two_queries_whatever_moved(group: Group, django_assert_num_queries: object) -> None:
    for number in range(400):
        hold(group, number / 10, (number + 1) / 10, {f"m{number}-1": [number]})
    with django_assert_num_queries(2):  # type: ignore[operator]  # a fixture without a type
        found = owners(group.cluster, group, HOUR)
    assert len(found.lanes) == 24
    assert found.left_out == 300 - 24
    assert found.is_cut


@pytest.mark.parametrize(
    ("partitions", "text"),
    [((), ""), ((3,), "3"), ((0, 1), "0 1"), ((0, 1, 2, 3, 7, 9), "0–3 7 9"), ((1, 2, 4, 5, 6), "1 2 4–6")],
)
def test_runs_of_partitions(partitions: tuple[int, ...], text: str) -> None:
    assert runs(partitions) == text


def test_the_page_shows_the_lanes_of_its_range(viewer: Client) -> None:
    make_company(Company(cycles=14))
    page = viewer.get("/clusters/demo/groups/analytics/").content.decode()
    assert "analytics-0-5f0c" in page  # the whole member id, in the title
    assert ">0 2 4</text>" in page
    since = int(time.time() - 86_400) * 1000
    page = viewer.get(f"/clusters/demo/groups/analytics/?from={since}&to={since + 60_000}").content.decode()
    assert "Nothing recorded" in page


def test_a_partition_s_row_has_rates_and_a_verdict(viewer: Client) -> None:
    make_company(Company(cycles=30, frozen=frozenset({"analytics"}), freeze_cycles=25))
    parts = viewer.get("/clusters/demo/groups/analytics/").context["row"]["partitions"]
    assert {part["verdict"] for part in parts} == {"no_progress"}
    assert all(part["consumed"] == 0 and part["arriving"] > 5 for part in parts)
    parts = viewer.get("/clusters/demo/groups/shipping/").context["row"]["partitions"]
    assert {part["verdict"] for part in parts} == {"ok"}
    rows = viewer.get("/clusters/demo/topics/clicks/").context["row"]["partition_rows"]
    assert sum(row["rate"] for row in rows) == pytest.approx(180, rel=0.3)


def test_a_hot_partition_is_marked_where_it_is_listed(viewer: Client) -> None:
    from collectors.history import now as history_now

    make_company(Company(topics={"t": (4, 40.0)}, groups={"g": ("t",)}))
    assert "× even" not in viewer.get("/clusters/demo/groups/g/").content.decode()
    found = history_now.cluster_at(Cluster.objects.get(slug="demo").pk)
    assert found is not None
    found.topics.hot_partition[0], found.topics.times_even.values[0] = 2, 3.1
    for path in ("/clusters/demo/groups/g/", "/clusters/demo/topics/t/"):
        page = viewer.get(path).content.decode()
        assert page.count("hot: 3.1 × even") == 1, path
