"""A right is withdrawn while a cluster is watched: no number becomes 0, no group becomes ok, nothing "was deleted"."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs re-export nothing
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from collectors import heads
from collectors.demo.secured import RIGHTS, SecuredKafka
from collectors.domain.scope import Scope
from collectors.models import Configuration, Event
from tests.conftest import create_topic
from tests.e2e.served import Life
from tests.kafka.watching import Rows, Watch, watching

pytestmark = [pytest.mark.kafka, pytest.mark.django_db]
TOPIC, GROUP = "lively", "lively-readers"
NUMBERS = {
    "topic": ("rate", "size", "partitions"),
    "group": ("arriving", "members"),
    "overall": ("rate", "topics", "partitions", "groups", "brokers"),
}
"""What is above zero all the while."""
LOST = {"topic_deleted", "topic_recreated", "topic_created", "group_gone", "group_new"}


@pytest.fixture(scope="module")
def life(secured: SecuredKafka) -> Iterator[Life]:
    create_topic(secured.bootstrap, TOPIC, partitions=2, replication=1)
    with Life(secured.bootstrap, TOPIC, GROUP) as made:
        yield made


@pytest.fixture(scope="module")
def waiting(secured: SecuredKafka, life: Life) -> int:
    """What waits for the group that read three records of one partition once."""
    consumer = Consumer({"bootstrap.servers": secured.bootstrap, "group.id": "unused"})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition("watched", 0), timeout=10)
    finally:
        consumer.close()
    assert end > 3
    return int(end) - 3


def missing(watch: Watch, waiting: int) -> list[str]:
    """What is not as it should be when everything may be seen."""
    if not watch.cluster.last_cycle:
        return ["no cycle yet"]
    unmet = [f"{key}: {why}" for key, why in watch.off().items()]
    verdict, lag = watch.group(GROUP)["verdict"], watch.group("readers")["lag"]
    unmet += [f"verdict {verdict}"] if verdict != "ok" else []
    unmet += [f"lag {lag}"] if lag != waiting else []
    return unmet + [f"topic {key}" for key in NUMBERS["topic"] if not watch.topic(TOPIC)[key]]


def no_zeros(watch: Watch, waiting: int) -> None:
    """Unknown is never zero, and what is hidden is not gone."""
    seen: dict[str, Rows] = {
        "topic": watch.topic(TOPIC),
        "group": watch.group(GROUP),
        "overall": watch.overall(),
    }
    zeros = {(what, key) for what, keys in NUMBERS.items() for key in keys if seen[what][key] == 0}
    assert zeros == set()
    if seen["group"]["lag"] is None:
        # between two samples that lie close a group may well have committed nothing: then 0 is what was seen
        assert seen["group"]["consumed"] != 0
    assert watch.group("readers")["lag"] in (waiting, None)
    assert not LOST & set(Event.objects.filter(cluster=watch.cluster).values_list("kind", flat=True))


@pytest.mark.parametrize(
    ("kind", "operation", "off"),
    [
        ("TOPIC", "DESCRIBE", {"topics", "topic_configs"}),
        ("GROUP", "DESCRIBE", {"groups"}),
        ("BROKER", "DESCRIBE", {"log_dirs", "quorum"}),
        ("TOPIC", "DESCRIBE_CONFIGS", {"topic_configs"}),
        ("BROKER", "DESCRIBE_CONFIGS", {"broker_configs"}),
    ],
)
def test_each_right_withdrawn_in_turn_makes_unknown_and_never_zero(
    secured: SecuredKafka, waiting: int, kind: str, operation: str, off: set[str]
) -> None:
    every = RIGHTS["standard"]
    # DescribeConfigs implies Describe: to take Describe away, both have to go. Describe on the cluster shows every
    # group, so that the right to describe groups alone hides nothing.
    gone = [(k, o) for k, o in every if k == kind and (o == operation or operation == "DESCRIBE")]
    if kind == "GROUP":
        gone += [(k, o) for k, o in every if k == "BROKER"]
        off = off | {"log_dirs", "quorum", "broker_configs"}
    elif kind == "BROKER" and operation == "DESCRIBE":
        off = off | {"broker_configs"}
    with watching(secured.properties("standard")) as watch:
        watch.until_nothing(lambda: missing(watch, waiting))
        secured.withdraw("standard", gone)
        try:
            watch.until("it is missed", lambda: set(watch.off()) == off, each=lambda: no_zeros(watch, waiting))
            assert set(watch.off().values()) == {"not authorised"}
            for _ in range(3):
                watch.step()
                no_zeros(watch, waiting)
                if kind in ("TOPIC", "GROUP") and operation == "DESCRIBE":
                    assert watch.group(GROUP)["verdict"] == "unknown"
                    assert watch.group(GROUP)["lag"] is None
                    assert watch.group("readers")["lag"] is None
                    assert watch.cluster.cycles.latest("number").is_reachable
                else:
                    assert watch.group("readers")["lag"] == waiting
            assert Event.objects.filter(cluster=watch.cluster, kind="rights_changed").exists()
        finally:
            secured.grant("standard", gone)
        watch.until_nothing(lambda: missing(watch, waiting), each=lambda: no_zeros(watch, waiting))


def test_what_is_hidden_at_a_restart_is_missed_and_not_gone(secured: SecuredKafka, waiting: int) -> None:
    properties = secured.properties("standard")
    with watching(properties) as watch:
        watch.until_nothing(lambda: missing(watch, waiting))
    gone = [(k, o) for k, o in RIGHTS["standard"] if k in ("TOPIC", "GROUP", "BROKER")]
    secured.withdraw("standard", gone)
    try:
        with watching(properties, cluster=watch.cluster) as again:
            for _ in range(3):
                again.step()
                no_zeros(again, waiting)
                assert again.group(GROUP)["verdict"] == "unknown"
                assert again.group("readers")["lag"] is None
    finally:
        secured.grant("standard", gone)


def test_what_is_left_out_is_not_stored_and_how_much_that_is_is_known(secured: SecuredKafka, waiting: int) -> None:
    scope = Scope.read({"topics_exclude": "live*\n__*", "groups_include": "readers,nobody-*"})
    with watching(secured.properties("standard"), scope=scope) as watch:
        watch.until("configurations", watch.cluster.configurations.exists)
        assert [one.name for one in watch.cluster.topics.all()] == ["watched"]
        assert [one.name for one in watch.cluster.groups.all()] == ["readers"]
        assert set(watch.now.topics.index) == {"watched"}
        assert set(watch.now.groups.index) == {"readers"}
        assert {one.name for one in watch.cluster.configurations.filter(kind="topic")} == {"watched"}
        assert watch.cluster.topics_left_out >= 2  # type: ignore[operator]  # None would fail, too
        assert watch.cluster.groups_left_out >= 1  # type: ignore[operator]
        assert watch.group("readers")["lag"] == waiting


def test_a_change_of_configuration_is_an_event(secured: SecuredKafka, waiting: int) -> None:
    with watching(secured.properties("standard")) as watch:
        watch.until("configurations", lambda: watch.cluster.configurations.count() >= 3)
        before = Configuration.objects.get(cluster=watch.cluster, kind="topic", name=TOPIC)
        assert before.entries["retention.ms"] == ["604800000", "default"]
        secured.set_topic_config(TOPIC, "retention.ms", "3600000")
        try:
            changed = Event.objects.filter(cluster=watch.cluster, kind="config_changed")
            watch.until("the change", changed.exists)
            assert changed.get().text == f"Topic {TOPIC}: retention.ms 604800000 → 3600000"
            before.refresh_from_db()
            assert before.entries["retention.ms"] == ["3600000", "topic"]
        finally:
            secured.set_topic_config(TOPIC, "retention.ms", None)


def test_a_topic_whose_configuration_alone_is_refused_is_not_known_while_the_others_are(
    secured: SecuredKafka, waiting: int
) -> None:
    """A deny for one topic wins over the right on all: what was read of it before is marked, and read again after."""
    denied = (
        ResourceType.TOPIC, TOPIC, ResourcePatternType.LITERAL, "User:standard", "*", AclOperation.DESCRIBE_CONFIGS,
        AclPermissionType.DENY,
    )  # fmt: skip

    admin = secured.admin()  # kept: what it was asked for ends with it

    def refused() -> dict[str, str]:
        rows = Configuration.objects.filter(cluster=watch.cluster, kind="topic")
        return {row.name: row.refused_why for row in rows if row.refused_why}

    with watching(secured.properties("standard")) as watch:
        watch.until("configurations", lambda: watch.cluster.configurations.count() >= 3 and not refused())
        for made in admin.create_acls([AclBinding(*denied)]).values():
            made.result(10)
        try:
            watch.until("it is missed", lambda: refused() == {TOPIC: "not authorised"})
            assert "topic_configs" not in watch.off()  # the others are read as before
            told = Event.objects.get(cluster=watch.cluster, kind="rights_changed")
            assert told.text == f"Configuration of topic {TOPIC}: no longer visible: not authorised"
            assert watch.topic(TOPIC)["rate"] != 0
        finally:
            for gone in admin.delete_acls([AclBindingFilter(*denied)]).values():
                gone.result(10)
        watch.until("it is read again", lambda: not refused())


def test_an_observer_sees_lag_and_which_panels_are_off(secured: SecuredKafka, waiting: int) -> None:
    with watching(secured.properties("observer")) as watch:
        watch.until(
            "lag is known",
            lambda: watch.cluster.last_cycle and watch.group("readers")["lag"] == waiting,
        )
        off = dict.fromkeys(("log_dirs", "quorum", "topic_configs", "broker_configs"), "not authorised")
        watch.until("all was asked once", lambda: watch.off() == off)
        assert "only groups" in watch.cluster.rights.get(key="groups").caution
        assert watch.topic("watched")["size"] is None


def test_without_read_the_age_of_the_oldest_record_is_off_and_nothing_else(
    secured: SecuredKafka, waiting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "AGAIN_SECONDS", 1.0)
    read = [("TOPIC", "READ")]
    with watching(secured.properties("standard")) as watch:
        watch.until_nothing(lambda: missing(watch, waiting))
        watch.until("it is said", lambda: watch.cluster.rights.filter(key="heads", why="not authorised").exists())
        assert watch.group("readers")["head"] is None
        assert [one for one in watch.cluster.cycles.latest("number").errors if one["part"] == "heads"] == []
        secured.grant("standard", read)
        try:
            watch.until("it is read", lambda: watch.group("readers")["head"] is not None)
            assert watch.cluster.rights.get(key="heads").why == ""
            assert watch.group("readers")["lag"] == waiting
        finally:
            secured.withdraw("standard", read)
        known = watch.group("readers")["head"]
        watch.step()
        assert watch.group("readers")["head"] >= known, "what was read stays known, since records do not change"
