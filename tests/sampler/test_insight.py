"""Rows of rights and configurations: written when they change, and what changed is told once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from collectors.domain import topology
from collectors.domain.configuration import Config, Source, changes
from collectors.domain.rights import BY_KEY, NOT_ASKED, Right
from collectors.domain.scope import Scope
from collectors.insight import Insight
from collectors.inventory import Changes, Inventory
from collectors.models import Cluster, ClusterRight, Configuration, Event, Topic

pytestmark = pytest.mark.django_db
NOW = 1_000_000.0


@pytest.fixture
def cluster() -> Cluster:
    return Cluster.objects.create(slug="c", name="c", settings_encrypted=b"x")


def save(cluster: Cluster, planned: Changes) -> list[str]:
    Inventory(cluster.pk).save(planned, now=NOW)
    return [event.text for event in planned.events]


def see_rights(cluster: Cluster, **why: str) -> list[str]:
    planned = Changes()
    Insight(cluster).plan_rights(planned, [Right(BY_KEY[key], said) for key, said in why.items()], now=NOW)
    return save(cluster, planned)


def test_a_right_that_is_taken_is_told_and_one_that_was_not_asked_yet_is_no_news(cluster: Cluster) -> None:
    assert see_rights(cluster, quorum=NOT_ASKED) == []
    assert see_rights(cluster, quorum="") == []
    assert see_rights(cluster, quorum="not authorised") == ["Controller and quorum: no longer visible: not authorised"]
    # after a restart: what was known stays until it was asked again
    assert see_rights(cluster, quorum=NOT_ASKED) == []
    assert ClusterRight.objects.get().why == "not authorised"
    assert see_rights(cluster, quorum="") == ["Controller and quorum: visible again"]
    assert see_rights(cluster, quorum="") == []


def config(**entries: tuple[str | None, Source]) -> Config:
    return Config({key.replace("__", "."): value for key, value in entries.items()})


def see_config(cluster: Cluster, name: str, one: Config) -> list[str]:
    planned = Changes()
    Insight(cluster).plan_configs(planned, Configuration.Kind.TOPIC, {name: one}, now=NOW)
    return save(cluster, planned)


def test_what_is_set_and_what_matters_is_kept_and_a_change_is_told_once(cluster: Cluster) -> None:
    week = config(
        retention__ms=("604800000", Source.DEFAULT),
        flush__ms=("9", Source.DEFAULT),
        segment__jitter__ms=("5", Source.TOPIC),
    )
    assert see_config(cluster, "t", week) == []
    row = Configuration.objects.get()
    assert row.entries == {"retention.ms": ["604800000", "default"], "segment.jitter.ms": ["5", "topic"]}
    assert row.set_count == 1
    assert see_config(cluster, "t", week) == []
    hour = config(retention__ms=("3600000", Source.TOPIC))
    told = see_config(cluster, "t", hour)
    assert told == ["Topic t: retention.ms 604800000 → 3600000, segment.jitter.ms 5 → default"]
    assert (Event.objects.get().subject_kind, Event.objects.get().subject) == ("topic", "t")
    same = config(retention__ms=("3600000", Source.BROKER))
    assert see_config(cluster, "t", same) == [], "the value is the same, only where it comes from is not"
    assert Configuration.objects.get().set_count == 0


def test_a_secret_value_is_never_there() -> None:
    assert changes({"k": [None, "file"]}, {"k": ["x", "file"]}) == ["k (secret) → x"]
    assert config(k=(None, Source.FILE)).kept(()) == {"k": [None, "file"]}


def metadata(*names: str, id_: str = "one") -> topology.Metadata:
    partition = topology.Partition(0, 1, 0, (1,), (1,))
    return topology.Metadata("x", (), tuple(topology.Topic(n, id_, False, (partition,)) for n in names), NOW)


def see_topics(cluster: Cluster, seen: topology.Metadata, scope: Scope) -> list[str]:
    planned = Changes()
    Inventory(cluster.pk, scope=scope).plan_topics(planned, seen, now=NOW)
    return save(cluster, planned)


def test_what_is_left_out_from_now_on_was_not_deleted_and_what_is_back_was_not_made_anew(cluster: Cluster) -> None:
    everything, some = Scope(), Scope(topics_exclude=("b",))
    see_topics(cluster, metadata("a", "b"), everything)
    assert see_topics(cluster, metadata("a"), some) == []
    assert Topic.objects.get(name="b").gone_at == datetime.fromtimestamp(NOW, UTC)
    assert see_topics(cluster, metadata("a", "b"), everything) == []
    assert Topic.objects.get(name="b").gone_at is None
    assert see_topics(cluster, metadata("a"), everything) == ["Topic b was deleted"]
    told = see_topics(cluster, metadata("a", "b", id_="two"), everything)
    assert [text.partition(":")[0] for text in told] == [
        "Topic a was deleted and made anew", "Topic b was deleted and made anew",
    ]  # fmt: skip
