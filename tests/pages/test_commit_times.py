"""Commit times on pages and in settings: off unless a person turns them on, shown where known, and nowhere else."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.utils import timezone

from collectors import roster
from collectors.as_code import EnvironmentRefusedError, declared, reconcile
from collectors.domain.numbers import Column, Numbers
from collectors.domain.rights import NOT_AUTHORISED
from collectors.history import queries
from collectors.history.commit_times import last_commits
from collectors.history.frames import FrameWriter
from collectors.history.kinds import Kind
from collectors.kafka.commit_tail import TailState
from collectors.models import Cluster, ClusterRight, CollectorTotals, Frame
from dashboard import loops
from tests.pages.seed import Company, make_company
from tests.pages.test_connect import TEXT, made

pytestmark = pytest.mark.django_db
BOX = {"commit_times": ["off", "on"]}


def edit(admin: Client, **changes: Any) -> Cluster:
    response = admin.post("/clusters/orders-eu/edit/", {"name": "Orders EU", "properties": TEXT, **changes})
    assert response.status_code == 302
    return Cluster.objects.get()


def test_it_is_off_until_an_admin_ticks_the_box_and_off_again_without(admin: Client) -> None:
    assert not made(admin).reads_commit_times
    page = admin.get("/clusters/orders-eu/edit/").content.decode()
    assert 'name="commit_times" value="on">' in page
    assert "one record for each partition and commit" in page
    assert "the right Read on <code>__consumer_offsets</code>" in page
    assert edit(admin, **BOX).reads_commit_times
    assert 'name="commit_times" value="on" checked>' in admin.get("/clusters/orders-eu/edit/").content.decode()
    assert edit(admin).reads_commit_times, "a form that does not say leaves it as it is"
    assert not edit(admin, commit_times="off").reads_commit_times


def test_a_new_cluster_may_begin_with_it(admin: Client) -> None:
    assert made(admin, **BOX).reads_commit_times


def test_a_change_of_it_makes_a_new_sampler(admin: Client) -> None:
    cluster = made(admin)
    before = loops._made_with(cluster)
    assert roster.change(cluster, name=cluster.name, interval=cluster.interval_seconds, commit_times=True)
    cluster.refresh_from_db()
    assert loops._made_with(cluster) != before
    assert not roster.change(cluster, name=cluster.name, interval=cluster.interval_seconds, commit_times=True)


def test_the_command_turns_it_on() -> None:
    call_command("addcluster", "Plain", bootstrap="a:1")
    call_command("addcluster", "Orders", bootstrap="a:1", commit_times=True)
    assert list(Cluster.objects.order_by("slug").values_list("slug", "reads_commit_times")) == [
        ("orders", True), ("plain", False),
    ]  # fmt: skip


def test_file_and_environment_turn_it_on_and_off(tmp_path: Path) -> None:
    path = tmp_path / "clusters.yaml"
    text = "clusters:\n  - name: Orders\n    properties: {bootstrap.servers: 'a:1'}\n"
    path.write_text(text + "    commit_times: true\n")
    reconcile({}, path)
    assert Cluster.objects.get().reads_commit_times
    path.write_text(text)
    reconcile({}, path)
    assert not Cluster.objects.get().reads_commit_times
    path.write_text(text + "    commit_times: maybe\n")
    with pytest.raises(EnvironmentRefusedError, match="line 4: commit_times 'maybe': use true or false"):
        reconcile({}, path)
    variables = {"STREAMGAUGE_CLUSTERS_0_NAME": "x", "STREAMGAUGE_CLUSTERS_0_BOOTSTRAP_SERVERS": "a:1"}
    assert [one.commit_times for one in declared(variables)] == [False]
    assert [one.commit_times for one in declared({**variables, "STREAMGAUGE_CLUSTERS_0_COMMIT_TIMES": "True"})] == [
        True
    ]
    with pytest.raises(EnvironmentRefusedError, match="COMMIT_TIMES 'on': use true or false"):
        declared({**variables, "STREAMGAUGE_CLUSTERS_0_COMMIT_TIMES": "on"})


def company(*, ago: dict[str, float | None] | None = None) -> Cluster:
    """The company, whose newest cycle has commit times: seconds ago by group, negative where none was seen."""
    cluster = make_company(Company(cycles=30, frozen=frozenset({"payment-service"})))
    if ago is not None:
        Cluster.objects.update(reads_commit_times=True)
        newest = queries.cluster_at(cluster.pk)
        assert newest is not None
        layout = newest.committed.layout
        values = [ago.get(layout.owners[owner]) for owner in layout.owner_of_position.tolist()]
        ms = [None if v is None else round((newest.taken_at - abs(v)) * 1000) * (1 if v > 0 else -1) for v in values]
        with transaction.atomic():
            column = Column(layout, Numbers.of(ms))
            FrameWriter(cluster.pk).write(newest.cycle, newest.taken_at, {Kind.COMMITTED_AT: column})
    cluster.refresh_from_db()
    return cluster


AGO = {"payment-service": 3.0, "shipping": -240.0, "analytics": None}


def page_of(client: Client, group: str) -> str:
    return client.get(f"/clusters/demo/groups/{group}/").content.decode().replace("\u202f", " ")


def test_the_page_of_a_group_shows_the_last_commit_where_it_is_known(viewer: Client) -> None:
    company(ago=AGO)
    known, none_seen, unknown = (page_of(viewer, name) for name in ("payment-service", "shipping", "analytics"))
    assert known.count('data-fmt="text">last commit 3 s ago') == 1 + 4, "of the group, and of each partition"
    assert none_seen.count('data-fmt="text">no commit seen for 4 min') == 1 + 4
    assert "last commit" not in unknown
    assert "no commit seen" not in unknown


def test_with_the_setting_off_no_page_says_a_word_of_it(viewer: Client) -> None:
    cluster = company()
    ClusterRight.objects.create(cluster=cluster, key="commit_times", since=timezone.now())  # from when it was on
    for path in ("groups/payment-service/", "rights/", ""):
        page = viewer.get(f"/clusters/demo/{path}").content.decode()
        assert "last commit" not in page.lower()
        assert "commit times" not in page.lower()
    assert "commit times" not in viewer.get("/instance/").content.decode()
    assert "group_last_commit_timestamp_seconds{" not in viewer.get("/metrics").content.decode()


def test_times_hold_for_their_own_cycle_alone() -> None:
    cluster = company(ago=AGO)
    newest = queries.cluster_at(cluster.pk)
    assert newest is not None
    found = last_commits(newest)
    by_name = {name: found.at(i) for name, i in newest.groups.index.items()}
    assert by_name == {
        "payment-service": pytest.approx(newest.taken_at - 3, abs=0.01), "shipping": None, "analytics": None,
    }  # fmt: skip
    before = queries.cluster_at(cluster.pk, newest.cycle - 1)
    assert before is not None
    assert not before.committed_at.known.any()
    assert not last_commits(before).known.any()
    assert Frame.objects.filter(kind="committed_at").count() == 1


def test_metrics_have_the_last_commit_where_one_was_seen(viewer: Client) -> None:
    company(ago=AGO)
    lines = [
        line for line in viewer.get("/metrics").content.decode().splitlines()
        if line.startswith("streamgauge_group_last_commit_timestamp_seconds{")
    ]  # fmt: skip
    assert len(lines) == 1
    assert 'group="payment-service"' in lines[0]
    assert float(lines[0].rsplit(" ", 1)[1]) == pytest.approx(time.time() - 4, abs=5)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (TailState("", 1_240.0, 0.021, 312, {"other type": 9, "damaged": 1}),
         "reads 1 240 records/s, 2.1 % of a core, 312 partitions with a commit, 1 record damaged"),
        (TailState(""), "being read, not measured yet"),
        (TailState(NOT_AUTHORISED), "not authorised"),
        (TailState(), "not read yet"),
    ],
)  # fmt: skip
def test_this_instance_says_what_the_reading_takes(viewer: Client, state: TailState, words: str) -> None:
    cluster = company(ago=AGO)
    CollectorTotals.objects.add(cluster.pk, commit_tail=asdict(state))
    page = viewer.get("/instance/?fragment=sampling").content.decode().replace("\u202f", " ")
    assert words in " ".join(page.replace("</span>", "").replace('<span class="name">', "").split())


def test_the_right_is_told_as_the_others_are(admin: Client) -> None:
    cluster = company(ago=AGO)
    assert "Commit times" in admin.get("/clusters/demo/rights/").content.decode()
    ClusterRight.objects.create(cluster=cluster, key="commit_times", why=NOT_AUTHORISED, since=timezone.now())
    page = admin.get("/clusters/demo/rights/").content.decode()
    assert "this login lacks the right Read on __consumer_offsets" in page
    assert "Read on <code>__consumer_offsets</code>" in page
    assert "--operation Read --topic __consumer_offsets" in page
