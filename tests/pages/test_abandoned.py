"""Offsets on topics that no member reads: on the group's page with the command that deletes them, and in no total."""

from __future__ import annotations

import pytest
from django.db import transaction
from django.test import Client

from collectors.history.frames import FrameWriter
from collectors.history.kinds import Kind
from collectors.history.leftbehind import LeftBehind, left_behind
from collectors.history.queries import cluster_at
from collectors.models import Cluster, Cycle
from tests.history.recording import column

from .seed import Company, make_company
from .test_how import text_of

pytestmark = pytest.mark.django_db
TOPIC = "payments"
GROUP = "shipping"


def leave_behind(cluster: Cluster, *each: dict[str, dict[tuple[str, int], int | None]]) -> None:
    """What the sampler found abandoned in the newest cycles, one after the other."""
    writer = FrameWriter(cluster.pk)
    for number, left in enumerate(each, cluster.last_cycle - len(each) + 1):
        taken_at = Cycle.objects.get(cluster=cluster, number=number).taken_at.timestamp()
        with transaction.atomic():
            writer.write(number, taken_at, {Kind.ABANDONED: column(left)})


def test_they_are_listed_with_the_command_that_deletes_them(viewer: Client) -> None:
    cluster = make_company(Company())
    before = cluster_at(cluster.pk)
    assert before is not None
    lag = before.groups.lag.at(before.groups.index["analytics"])
    leave_behind(cluster, {"analytics": {("orders", 0): 900, ("orders", 1): 1000, ("it's <b>", 0): 5}})
    now = cluster_at(cluster.pk, cluster.last_cycle)
    assert now is not None
    assert now.groups.lag.at(now.groups.index["analytics"]) == lag
    ends = {p: now.end.numbers.at(now.end.layout.position["orders", "orders", p]) for p in (0, 1)}
    assert ends[0] is not None
    assert ends[1] is not None
    assert left_behind(now, "analytics") == [
        LeftBehind("it's <b>", 1, None),
        LeftBehind("orders", 2, int(ends[0] + ends[1] - 1900)),
    ]
    assert left_behind(now, GROUP) == []
    page = viewer.get("/clusters/demo/groups/analytics/").content
    assert "<b>" not in page.decode().split("Abandoned offsets")[1].split("</section>")[0].replace("&lt;b&gt;", "")
    assert (
        "kafka-consumer-groups --bootstrap-server BROKER:9092 --delete-offsets --group analytics "
        "--topic 'it'\"'\"'s <b>' --topic orders"
    ) in text_of(page).replace("&#x27;", "'").replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">")
    assert "Abandoned offsets" not in viewer.get(f"/clusters/demo/groups/{GROUP}/").content.decode()


def test_what_is_read_again_is_no_longer_listed(viewer: Client) -> None:
    cluster = make_company(Company())
    leave_behind(cluster, {"analytics": {("orders", 0): 900}}, {})
    now = cluster_at(cluster.pk, cluster.last_cycle)
    assert now is not None
    assert left_behind(now, "analytics") == []
    assert b"Abandoned offsets" not in viewer.get("/clusters/demo/groups/analytics/?fragment=abandoned").content
