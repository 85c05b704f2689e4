"""Rows of rights and configurations: written when they change, and what changed is told once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from collectors.changes import Changes
from collectors.domain import topology
from collectors.domain.configuration import Config, Source, changes
from collectors.domain.rights import BY_KEY, NOT_ASKED, Right
from collectors.domain.scope import Scope
from collectors.insight import Insight
from collectors.inventory import Inventory
from collectors.kafka.session import PartError
from collectors.kafka.survey import SurveyState
from collectors.models import Cluster, ClusterRight, Configuration, Event, Topic
from collectors.waiting import _unanswered

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


def see_refused(cluster: Cluster, found: dict[str, Config], at: float = 0.0, **refused: str) -> list[str]:
    planned = Changes()
    Insight(cluster).plan_configs(planned, Configuration.Kind.TOPIC, found, refused=refused, now=NOW + at)
    return save(cluster, planned)


def test_a_topic_whose_configuration_alone_is_refused_is_not_known_since_then(cluster: Cluster) -> None:
    week = config(retention__ms=("604800000", Source.TOPIC))
    see_refused(cluster, {"t": week, "u": week})
    told = see_refused(cluster, {"u": week}, at=60, t="not authorised")
    assert told == ["Configuration of topic t: no longer visible: not authorised"]
    assert see_refused(cluster, {"u": week}, at=120, t="not authorised") == []
    row = Configuration.objects.get(name="t")
    assert (row.refused_why, row.refused_at) == ("not authorised", datetime.fromtimestamp(NOW + 60, UTC))
    assert row.entries == {"retention.ms": ["604800000", "topic"]}  # to tell what changed meanwhile, when it is back
    assert Configuration.objects.get(name="u").refused_why == ""
    hour = config(retention__ms=("3600000", Source.TOPIC))
    assert see_refused(cluster, {"t": hour, "u": week}, at=180) == [
        "Topic t: retention.ms 604800000 → 3600000",
        "Configuration of topic t: visible again",
    ]
    row.refresh_from_db()
    assert (row.refused_why, row.refused_at, row.entries["retention.ms"][0]) == ("", None, "3600000")


def test_one_that_was_never_read_says_so_and_its_first_reading_is_no_news(cluster: Cluster) -> None:
    assert see_refused(cluster, {}, t="not authorised") == []
    assert Configuration.objects.get().entries == {}
    assert see_refused(cluster, {"t": config(retention__ms=("1", Source.TOPIC))}) == []
    assert Configuration.objects.get().refused_why == ""


def test_a_right_that_is_withdrawn_for_many_topics_is_one_piece_of_news(cluster: Cluster) -> None:
    names = [f"t{i}" for i in range(5)]
    see_refused(cluster, {name: config(retention__ms=("1", Source.TOPIC)) for name in names})
    no = "not authorised"
    told = see_refused(cluster, {}, t0=no, t1=no, t2=no, t3=no, t4=no)
    assert told == ["Configuration of 5 topics (t0, t1, t2 and 2 more): no longer visible: not authorised"]


def test_in_one_insight_a_reading_that_comes_back_is_seen(cluster: Cluster) -> None:
    """The sampler keeps its Insight from cycle to cycle, and the survey the very same Config."""
    insight, week = Insight(cluster), config(retention__ms=("604800000", Source.TOPIC))
    for number, (found, refused) in enumerate([({"t": week}, {}), ({}, {"t": "timed out"}), ({"t": week}, {})]):
        planned = Changes()
        insight.plan_configs(planned, Configuration.Kind.TOPIC, found, refused=refused, now=NOW)
        save(cluster, planned)
        assert Configuration.objects.get().refused_why == ("timed out" if number == 1 else "")


@pytest.mark.parametrize(
    ("errors", "ages", "unanswered"),
    [
        ([("quorum", "timeout")], {}, {"quorum"}),
        ([("quorum", "timeout")], {"quorum": 300.0}, {"quorum"}),
        ([("log_dirs", "timeout")], {"log_dirs": 0.4}, set()),  # another broker answered
        ([("quorum", "not authorised")], {}, set()),  # that is an answer
        ([("metadata", "timeout"), ("groups", "timeout")], {}, set()),
    ],
)
def test_a_question_without_an_answer_says_nothing_of_a_right(
    errors: list[tuple[str, str]], ages: dict[str, float], unanswered: set[str]
) -> None:
    state = SurveyState(errors=tuple(PartError(part, reason, None) for part, reason in errors), ages=ages)
    assert _unanswered(state) == unanswered
