"""Rows as pages and sockets show them, from a stored company."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from collectors.domain.verdicts import Verdict
from collectors.history import queries
from collectors.history.cache import clear_caches
from collectors.models import Cluster, ClusterRight, Configuration, Group
from dashboard.live import clusterrows, details, findings, leaders, rows
from dashboard.live.reading import DatabaseReader
from dashboard.live.wire import parse_subject
from dashboard.models import Alert, Rule
from tests.pages.seed import Company, make_cluster, make_company

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _forget() -> None:
    findings.forget()
    leaders.forget()


def test_a_frozen_group_is_told_with_its_sentence_and_its_numbers() -> None:
    cluster = make_company(Company(frozen=frozenset({"payment-service"})))
    now = queries.cluster_at(cluster.pk)
    row = rows.group_row(cluster, now, "payment-service")
    assert row is not None
    assert (row["verdict"], row["lag_state"], row["consumed"]) == ("no_progress", "known", 0.0)
    assert row["sentence"].startswith("No progress since ")
    assert row["lag"] > 0
    assert row["spark"] == row["lag"]
    healthy = rows.group_row(cluster, now, "analytics")
    assert healthy is not None
    assert healthy["verdict"] == "ok"
    assert healthy["consumed"] > 100


def test_a_group_that_never_committed_has_no_lag_rather_than_zero() -> None:
    cluster = make_company(Company(never_committed=frozenset({"shipping"})))
    row = details.group_detail(cluster, queries.cluster_at(cluster.pk), "shipping")
    assert row is not None
    assert (row["lag"], row["lag_state"]) == (None, "no_commit")
    assert {(part["lag"], part["committed"], part["lag_state"]) for part in row["partitions"]} == {
        (None, None, "no_commit")
    }
    assert all(part["end"] > 0 for part in row["partitions"])


def test_the_detail_of_a_group_has_its_partitions_by_lag_and_the_newest_point() -> None:
    cluster = make_company(Company(frozen=frozenset({"payment-service"})))
    now = queries.cluster_at(cluster.pk)
    row = details.group_detail(cluster, now, "payment-service")
    assert row is not None
    assert now is not None
    lags = [part["lag"] for part in row["partitions"]]
    assert lags == sorted(lags, reverse=True)
    assert sum(lags) == row["lag"]
    assert row["points"] == {
        "t": now.taken_at, "lag": row["lag"], "arriving": row["arriving"], "consumed": 0.0, "age": row["age"],
    }  # fmt: skip
    assert (row["partitions_total"], row["waiting"]) == (4, "")


def test_the_same_rows_cost_the_same_queries_for_one_group_and_for_all() -> None:
    cluster = make_company(Company())
    now = queries.cluster_at(cluster.pk)
    rows.group_rows(cluster, now)  # fills the window
    with CaptureQueriesContext(
        connection,
    ) as one:
        rows.group_rows(cluster, now, ["analytics"])
    with CaptureQueriesContext(connection) as every:
        rows.group_rows(cluster, now)
    assert len(one) == len(every) <= 3


def test_a_group_that_stands_still_ages_and_says_how_that_is_known() -> None:
    cluster = make_company(Company(frozen=frozenset({"payment-service"}), freeze_cycles=10))
    found = rows.group_rows(cluster, queries.cluster_at(cluster.pk))
    stands = found["payment-service"]
    assert 45.0 <= stands["age"] <= 55.0
    assert stands["age_low"] <= stands["age"] <= stands["age_high"]
    assert (stands["age_method"], stands["drain"], stands["drain_said"]) == ("interpolated", None, "not draining")
    assert stands["countdown_said"] == "unknown"
    assert "settings are not known" in stands["countdown_why"]
    Configuration.objects.create(
        cluster=cluster,
        kind=Configuration.Kind.TOPIC,
        name="orders",
        entries={
            "retention.ms": ["3600000", "topic"],
            "retention.bytes": ["-1", "default"],
            "cleanup.policy": ["delete", "default"],
        },
        changed_at=timezone.now(),
    )
    clear_caches()
    stands = rows.group_rows(cluster, queries.cluster_at(cluster.pk))["payment-service"]
    assert 3540.0 <= stands["countdown"] <= 3560.0
    assert stands["at_stake"] == stands["lag"]


def test_a_right_that_went_makes_the_countdown_unknown_again() -> None:
    cluster = make_company(Company(frozen=frozenset({"payment-service"}), freeze_cycles=10))
    entries = {"retention.ms": ["3600000", "topic"], "retention.bytes": ["-1", "default"]}
    Configuration.objects.create(
        cluster=cluster, kind="topic", name="orders", changed_at=timezone.now(),
        entries=entries | {"cleanup.policy": ["delete", "default"]},
    )  # fmt: skip
    ClusterRight.objects.create(cluster=cluster, key="topic_configs", why="not authorised", since=timezone.now())
    row = rows.group_rows(cluster, queries.cluster_at(cluster.pk))["payment-service"]
    assert (row["countdown"], row["countdown_said"]) == (None, "unknown")


def test_topics_know_their_worst_reader() -> None:
    cluster = make_company(Company(frozen=frozenset({"payment-service"})))
    now = queries.cluster_at(cluster.pk)
    found = rows.topic_rows(cluster, now)
    group = rows.group_row(cluster, now, "payment-service")
    assert group is not None
    assert found["orders"]["lag"] == group["lag"]
    assert found["orders-dlt"]["lag"] is None
    assert found["clicks"]["rate"] > 100
    assert found["clicks"]["size"] > 0
    detail = details.topic_detail(cluster, now, "clicks")
    assert detail is not None
    assert [part["partition"] for part in detail["partition_rows"]] == list(range(6))
    assert all(part["end"] >= part["start"] for part in detail["partition_rows"])
    assert detail["points"]["rate"] == found["clicks"]["rate"]


def test_what_the_cluster_does_not_have_has_no_row() -> None:
    cluster = make_company(Company())
    now = queries.cluster_at(cluster.pk)
    assert rows.group_row(cluster, now, "nobody") is None
    assert details.group_detail(cluster, now, "nobody") is None
    assert details.topic_detail(cluster, now, "nothing") is None
    assert rows.broker_row(cluster, now, "77") is None
    Group.objects.filter(name="analytics").delete()
    assert "analytics" not in rows.group_rows(cluster, now)


def test_before_the_first_cycle_everything_is_unknown_and_says_what_it_waits_for() -> None:
    cluster = make_cluster()
    row = clusterrows.cluster_row(cluster, None)
    assert (row["verdict"], row["rate"], row["taken_at"], row["cycle_ms"]) == ("unknown", None, None, None)
    assert row["sentence"] == "Waiting for the first cycle"
    assert row["waiting"].startswith("0 of 2 samples")


def test_a_cluster_says_the_worst_thing_first() -> None:
    calm = make_company(Company(slug="calm", name="calm"))
    frozen = make_company(Company(slug="frozen", name="frozen", frozen=frozenset({"payment-service"})))
    down = make_company(Company(slug="down", name="down", down=frozenset({2})))
    clusters = [calm, frozen, down, make_cluster("new", "new")]
    nows = {cluster.pk: queries.cluster_at(cluster.pk) for cluster in clusters}
    found = clusterrows.cluster_rows(clusters, nows)
    assert {slug: row["verdict"] for slug, row in found.items()} == {
        "calm": "ok",
        "frozen": "warn",
        "down": "bad",
        "new": "unknown",
    }
    assert found["frozen"]["worst_group"] == "payment-service"
    assert "Group payment-service makes no progress" in found["frozen"]["sentence"]
    assert (found["down"]["brokers_up"], found["down"]["brokers"]) == (2, 3)
    assert found["down"]["sentence"].startswith("Broker 2 is down")


def test_the_window_of_sentences_reads_only_what_came_since() -> None:
    cluster = make_company(Company(cycles=30))
    now = queries.cluster_at(cluster.pk)
    rows.group_rows(cluster, now)
    with CaptureQueriesContext(connection) as again:
        rows.group_rows(cluster, now)
    assert not any("collectors_frame" in query["sql"] for query in again)


def test_the_database_reader_gives_a_row_for_each_subject_and_prints_for_lists() -> None:
    cluster = make_company(Company())
    reader = DatabaseReader()
    head = reader.heads()[0]
    assert (head.slug, head.cycle) == ("demo", cluster.last_cycle)
    ids = [
        "c/demo",
        "g/demo/analytics",
        "t/demo/clicks",
        "b/demo/1",
        "G/demo/analytics",
        "T/demo/clicks",
        "g/demo",
        "b/demo",
    ]
    ids += ["g/demo/nobody", "b/demo/x"]
    subjects = [subject for id in ids if (subject := parse_subject(id))]
    update = reader.update(head, subjects)
    assert set(update.rows) == set(ids) - {"g/demo", "b/demo"}
    assert {id for id, row in update.rows.items() if row is None} == {"g/demo/nobody", "b/demo/x"}
    assert {"g/demo", "b/demo", "c/demo", "G/demo/analytics", "T/demo/clicks"} <= set(update.fingerprints)
    assert reader.update(head, subjects).fingerprints == update.fingerprints
    Group.objects.filter(cluster=cluster, name="analytics").update(verdict=int(Verdict.NO_MEMBERS))
    assert reader.update(head, subjects).fingerprints["g/demo"] != update.fingerprints["g/demo"]
    assert Cluster.objects.count() == 1


def test_an_alert_that_is_alone_is_named_and_several_are_counted() -> None:
    cluster = make_company(Company())
    rule = Rule.objects.create(key="dead", name="Dead letters arriving", quantity="x", threshold=0, severity="warning")
    now = timezone.now()

    def sentence_with(subject: str) -> str:
        Alert.objects.create(
            rule=rule, cluster=cluster, subject_kind="topic", subject=subject, state="firing", severity="warning",
            sentence="x", started_at=now, fired_at=now, changed_at=now,
        )  # fmt: skip
        return str(clusterrows.cluster_row(cluster, queries.cluster_at(cluster.pk))["sentence"])

    assert sentence_with("orders-dlt") == "Dead letters arriving: orders-dlt"
    assert sentence_with("more-dlt") == "2 alerts firing"
