"""Rights and configuration: what is off says why and what turns it on, what is set is marked, globs leave out."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from collectors import roster
from collectors.domain.rights import NEEDS, NOT_ASKED
from collectors.domain.scope import Scope
from collectors.kafka.settings import ConnectionSettings
from collectors.models import Broker, Cluster, ClusterRight, Configuration, LogDir, Topic
from dashboard.live.sentences import why_unknown

from .seed import Company, make_company

pytestmark = pytest.mark.django_db
OFF = dict.fromkeys(("log_dirs", "quorum", "topic_configs", "broker_configs"), "not authorised")
SECURED = ConnectionSettings.from_properties(
    "bootstrap.servers=kafka.example.org:9093\nsecurity.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n"
    'sasl.jaas.config=x.ScramLoginModule required username="observer" password="hunter2-planted";'
)


def text_of(content: bytes) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", content.decode()))


def made(off: dict[str, str], **cautions: str) -> Cluster:
    cluster = make_company(Company(with_sizes="log_dirs" not in off))
    roster.change(cluster, name="demo", interval=5.0, connection=SECURED)
    ClusterRight.objects.bulk_create(
        ClusterRight(
            cluster=cluster,
            key=need.key,
            why=off.get(need.key, ""),
            caution=cautions.get(need.key, ""),
            since=timezone.now(),
        )
        for need in NEEDS
    )
    return cluster


def configure(cluster: Cluster, kind: str, name: str, set_count: int = 1, **entries: Any) -> None:
    values = {key.replace("__", "."): value for key, value in entries.items()}
    Configuration.objects.create(
        cluster=cluster, kind=kind, name=name, entries=values, set_count=set_count, changed_at=timezone.now()
    )


def test_an_admin_sees_the_lines_of_each_kind_of_kafka_for_this_login(admin: Client) -> None:
    made(OFF)
    response = admin.get("/clusters/demo/rights/")
    page = response.content.decode()
    assert "4 things of 6 are off: this login lacks the rights" in page
    acls = re.findall(r"kafka-acls --bootstrap-server [^<\n]*", page)
    assert [line.partition("--allow-principal ")[2] for line in acls] == [
        "User:observer --operation Describe --cluster",
        "User:observer --operation DescribeConfigs --topic &#x27;*&#x27;",
        "User:observer --operation DescribeConfigs --cluster",
    ]
    assert "--operations describe-configs --topic" in page
    assert "kafka-cluster:DescribeTopicDynamicConfiguration" in page
    assert "hunter2" not in page


def test_a_viewer_sees_what_is_off_and_not_whom_kafka_knows(viewer: Client) -> None:
    made(OFF)
    page = text_of(viewer.get("/clusters/demo/rights/").content)
    assert "this login lacks the right Describe on the cluster" in page
    assert "An admin finds the lines" in page
    assert "observer" not in page
    assert "kafka-acls" not in page


def test_what_may_be_hidden_is_said_unless_nothing_can_be(viewer: Client) -> None:
    made({}, topics="Kafka does not even name the topics that a login may not see")
    page = text_of(viewer.get("/clusters/demo/rights/").content)
    assert "Everything is on, for all that is visible to this login" in page
    assert "does not even name" in page
    ClusterRight.objects.update(caution="")
    assert "nothing is hidden: this cluster checks no rights" in viewer.get("/clusters/demo/rights/").content.decode()


def test_a_cluster_that_was_not_asked_yet_claims_nothing(viewer: Client) -> None:
    make_company(Company())
    page = text_of(viewer.get("/clusters/demo/rights/").content)
    assert "What this login may see has not been asked yet" in page
    assert page.count("not asked yet") == len(NEEDS)


def test_a_cluster_of_which_some_was_asked_does_not_claim_the_rest(viewer: Client) -> None:
    made({"quorum": NOT_ASKED, "log_dirs": NOT_ASKED})
    whole, part = (viewer.get(f"/clusters/demo/rights/{query}").content for query in ("", "?fragment=seen"))
    assert "4 of 6 things asked so far" in text_of(whole)
    assert "Everything is on" not in text_of(whole)
    assert b'hx-trigger="every 3s"' in part
    assert b"<html" not in part
    ClusterRight.objects.update(why="")
    assert b'hx-trigger="every 60s"' in viewer.get("/clusters/demo/rights/?fragment=seen").content


@pytest.mark.parametrize(("version", "missing"), [("3.7", True), ("4.3", False), ("", False)])
def test_what_an_older_kafka_does_not_offer_is_said(viewer: Client, version: str, missing: bool) -> None:
    made({})
    Broker.objects.filter(node_id=2).update(version=version)
    Broker.objects.exclude(node_id=2).update(version=version and "4.3")
    page = text_of(viewer.get("/clusters/demo/rights/").content)
    assert ("Not offered by Kafka 3.7" in page) == missing
    assert ("Share groups" in page) == missing
    assert ("Version not known yet" in page) == (version == "")


def test_each_panel_that_is_off_says_why_on_its_own_page(viewer: Client) -> None:
    cluster = made(OFF)
    configure(cluster, "topic", "orders", retention__ms=["3600000", "topic"])  # read before the right went
    configure(cluster, "broker", "1", num__partitions=["1", "default"])
    LogDir.objects.all().delete()
    Broker.objects.update(quorum_role="voter")
    topic = text_of(viewer.get("/clusters/demo/topics/orders/").content)
    assert "Retention and configuration are off This login lacks the right DescribeConfigs on topics" in topic
    assert "off: this login lacks the right Describe on the cluster" in topic  # the size
    broker = text_of(viewer.get("/clusters/demo/brokers/1/").content)
    assert "Sizes on disk are off" in broker
    assert "quorum off: this login lacks the right Describe on the cluster" in broker
    assert "voter" not in text_of(viewer.get("/clusters/demo/brokers/").content)
    assert "Configuration of brokers is off" in broker
    page = text_of(viewer.get("/clusters/demo/configuration/").content)
    assert "The settings of this cluster are not visible to this login" in page
    ClusterRight.objects.filter(cluster=cluster).update(why="not offered")
    assert "quorum off: not offered by Kafka 4.3" in text_of(viewer.get("/clusters/demo/brokers/1/").content)


def test_groups_that_are_not_known_are_not_called_fine(viewer: Client) -> None:
    make_company(Company(unknown=frozenset({"analytics", "shipping"})))
    page = text_of(viewer.get("/clusters/demo/groups/").content)
    assert "2 groups of 3 are unknown; no other stands still or falls behind" in page


def test_what_lag_does_not_need_is_no_reason_for_unknown_lag() -> None:
    lost = {"part": "commits", "reason": "timeout", "broker": 2}
    off = [{"part": part, "reason": "not authorised", "broker": None} for part in ("quorum", "log_dirs", "rights")]
    assert why_unknown([*off, lost]) == "broker 2: timeout (commits)"
    assert why_unknown(off) == ""


def test_a_topic_says_how_long_records_stay_and_what_is_set_on_it(viewer: Client) -> None:
    cluster = made({})
    week, gigabyte = "604800000", "1000000000"
    configure(
        cluster, "topic", "orders",
        retention__ms=[week, "default"], retention__bytes=[gigabyte, "topic"], cleanup__policy=["delete", "default"],
    )  # fmt: skip
    response = viewer.get("/clusters/demo/topics/orders/")
    assert response.context["retention"] == "7\u202fd, 1\u202fGB a partition at most"
    assert [(one.key, one.is_set) for one in response.context["lines"]] == [
        ("retention.bytes", True), ("cleanup.policy", False), ("retention.ms", False),
    ]  # fmt: skip
    assert "1 set on this topic" in text_of(response.content)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"retention.ms": ["-1", "topic"], "cleanup.policy": ["delete", "default"]}, "for ever"),
        (
            {"retention.ms": ["3600000", "topic"], "cleanup.policy": ["compact,delete", "topic"]},
            "1\u202fh (and compacted)",
        ),
        ({"cleanup.policy": ["compact", "topic"]}, "for ever, the newest record of each key"),
        ({}, "not known"),
    ],
)
def test_retention_in_words(entries: dict[str, Any], words: str) -> None:
    from dashboard.pages.configured import retention

    assert retention(entries) == words


def test_brokers_that_are_set_differently_come_first(viewer: Client) -> None:
    cluster = made({})
    for node in ("1", "2", "3"):
        configure(
            cluster, "broker", node,
            num__partitions=["1", "default"],
            log__retention__hours=["24" if node == "2" else "168", "file"],
            ssl__keystore__password=[None, "file"],
        )  # fmt: skip
    configure(cluster, "topic", "orders", retention__ms=["3600000", "topic"])
    configure(cluster, "topic", "clicks", set_count=0, retention__ms=["604800000", "default"])
    response = viewer.get("/clusters/demo/configuration/")
    lines = response.context["lines"]
    assert [(one.key, one.value, one.differs) for one in lines] == [
        ("log.retention.hours", "168", "broker 2: 24"),
        ("ssl.keystore.password", None, ""),
        ("num.partitions", "1", ""),
    ]
    assert lines[0].meaning == "7\u202fd"
    assert [one.name for one, _ in response.context["topics"]] == ["orders"]
    assert "kept secret by Kafka" in response.content.decode()
    assert "No topic like" in viewer.get("/clusters/demo/configuration/?q=%3Cb%3E").content.decode()


# --- what is left out -----------------------------------------------------------------------------------------


def test_patterns_are_saved_shown_and_changed(admin: Client) -> None:
    form = {"name": "Orders", "properties": "a:9092", "topics_exclude": "__*\ntmp-*", "groups_include": "pay*, ord*"}
    assert admin.post("/clusters/add/", form).status_code == 302
    cluster = Cluster.objects.get()
    assert roster.scope_of(cluster) == Scope(topics_exclude=("__*", "tmp-*"), groups_include=("pay*", "ord*"))
    assert ">__*\ntmp-*</textarea>" in admin.get("/clusters/orders/edit/").content.decode()
    admin.post("/clusters/orders/edit/", {"name": "Orders", "interval": "5", "properties": ""})
    assert roster.scope_of(Cluster.objects.get()) == roster.scope_of(cluster), "what was not sent stays"
    emptied = {"name": "Orders", "interval": "5", "properties": "", "topics_exclude": "", "groups_include": ""}
    admin.post("/clusters/orders/edit/", emptied)
    assert roster.scope_of(Cluster.objects.get()).takes_all
    refused = admin.post("/clusters/orders/edit/", {**emptied, "topics_include": "x" * 301}).content.decode()
    assert 'id="topics_include-err"' in refused
    assert "at most 300 printable characters" in refused


def test_lists_and_rights_say_how_many_are_left_out(viewer: Client) -> None:
    cluster = made({})
    Cluster.objects.update(scope={"topics_exclude": ["orders*"]}, topics_left_out=12, groups_left_out=0)
    assert "12 left out by patterns" in text_of(viewer.get("/clusters/demo/topics/").content)
    assert "left out by patterns" not in text_of(viewer.get("/clusters/demo/groups/").content)
    page = text_of(viewer.get("/clusters/demo/rights/").content)
    assert "12 topics and 0 groups are neither asked for nor stored" in page
    assert "No topics like orders*" in page
    Topic.objects.filter(cluster=cluster, name="orders").update(gone_at=timezone.now())
    assert "This topic is left out" in text_of(viewer.get("/clusters/demo/topics/orders/").content)
