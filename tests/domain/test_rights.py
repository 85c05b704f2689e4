"""What a login may see, judged from refusals, and never from emptiness alone."""

from __future__ import annotations

from typing import Any

import pytest

from collectors.domain.offers import not_offered, oldest
from collectors.domain.rights import BY_KEY, NEEDS, NONE_VISIBLE, NOT_ASKED, Right, Sight, rights_of
from collectors.domain.scope import Scope, ScopeError

OPEN, CLUSTER, NARROW = Sight(True, True, 0.0), Sight(False, True, 0.0), Sight(False, False, 0.0)
ASKED = frozenset(need.part for need in NEEDS)
CASES: list[tuple[str, dict[str, Any], dict[str, str], set[str]]] = [
    ("no authorizer: nothing can be hidden", {"sight": OPEN}, {}, set()),
    ("no authorizer and no topic yet: that is no missing right", {"sight": OPEN, "topics": 0, "groups": 0},
     {"topic_configs": "no topic to ask about"}, set()),
    ("an authorizer: topics may be hidden, whoever describes the cluster sees all groups", {"sight": CLUSTER}, {},
     {"topics"}),
    ("few rights: groups may be hidden, too", {"sight": NARROW}, {}, {"topics", "groups"}),
    ("nothing at all is seen", {"sight": NARROW, "topics": 0, "groups": 0},
     {"topics": NONE_VISIBLE, "groups": NONE_VISIBLE, "topic_configs": "no topic to ask about"}, set()),
    ("what was seen and is now refused by name was taken away",
     {"sight": NARROW, "topics": 0, "groups": 0, "hidden_topics": 3, "hidden_groups": 1},
     {"topics": "not authorised", "groups": "not authorised", "topic_configs": "not authorised"}, set()),
    ("some topics are hidden: on, with a caution", {"sight": CLUSTER, "hidden_topics": 1}, {}, {"topics"}),
    ("a part was refused", {"sight": CLUSTER, "refused": {"log_dirs": "not authorised"}},
     {"log_dirs": "not authorised"}, {"topics"}),
    ("a part was refused for some topics only: on, with a caution", {"sight": OPEN, "partly": {"topic_configs"}}, {},
     {"topic_configs"}),
    ("a part is not offered", {"sight": OPEN, "refused": {"quorum": "not offered"}}, {"quorum": "not offered"}, set()),
    ("records were read", {"sight": OPEN, "has_read": True}, {}, set()),
    ("records are refused", {"sight": OPEN, "refused": {"heads": "not authorised"}},
     {"heads": "not authorised"}, set()),
    ("the records of some topics are refused: on, with a caution",
     {"sight": OPEN, "has_read": True, "partly": {"heads"}}, {}, {"heads"}),
    ("commits are read", {"sight": OPEN, "commit_times": ""}, {}, set()),
    ("commits are refused", {"sight": OPEN, "commit_times": "not authorised"},
     {"commit_times": "not authorised"}, set()),
    ("a part was not asked yet", {"sight": OPEN, "asked": ASKED - {"log_dirs"}}, {"log_dirs": NOT_ASKED}, set()),
]  # fmt: skip


@pytest.mark.parametrize(("told", "off", "cautious"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_off_and_what_may_be_hidden(told: dict[str, Any], off: dict[str, str], cautious: set[str]) -> None:
    seen = {"asked": ASKED, "refused": {}, "topics": 5, "groups": 2, **told}
    found = rights_of(seen.pop("sight"), **seen)
    is_tried = told.get("has_read") or "heads" in told.get("refused", {})
    is_wanted = "commit_times" in told
    more = ["heads"] * bool(is_tried) + ["commit_times"] * is_wanted
    assert [right.key for right in found] == [need.key for need in NEEDS] + more
    assert {right.key: right.why for right in found if right.why} == off
    assert {right.key for right in found if right.caution} == cautious


@pytest.mark.parametrize("key", list(BY_KEY))
def test_every_need_has_its_words_for_every_kind_of_kafka(key: str) -> None:
    right = Right(BY_KEY[key], "not authorised")
    assert "--allow-principal 'User:CN=a b,O=x'" in right.kafka_acls("CN=a b,O=x", "host:9092")
    does = "Read" if key in ("heads", "commit_times") else "Describe"
    assert right.confluent("sa-1").startswith(
        f"confluent kafka acl create --allow --service-account sa-1 --operations {does.lower()}"
    )
    assert f'"Action": "kafka-cluster:{does}' in right.msk()


@pytest.mark.parametrize(
    ("versions", "expected"), [(["4.3", "3.7", "4.0"], "3.7"), (["3.10", "3.9"], "3.9"), (["", "x"], ""), ([], "")]
)
def test_the_oldest_broker_decides_what_is_offered(versions: list[str], expected: str) -> None:
    assert oldest(versions) == expected


def test_what_is_not_known_is_not_called_missing() -> None:
    assert not_offered("") == []
    assert not_offered("4.3") == ["how far members of streams groups have restored their tasks"]
    assert not_offered("4.4") == []
    assert len(not_offered("3.0")) > len(not_offered("3.7")) > len(not_offered("4.0")) > 0


@pytest.mark.parametrize(
    ("given", "taken", "left_out"),
    [
        ({}, {"a", "__x"}, set()),
        ({"topics_exclude": "__*"}, {"a"}, {"__x"}),
        ({"topics_include": "or*\npay?"}, {"orders", "pays"}, {"pay", "Orders", "xorders"}),
        ({"topics_include": "*", "topics_exclude": "*.tmp,b"}, {"a"}, {"x.tmp", "b"}),  # exclude wins
        ({"topics_include": ["[ab]*"]}, {"a", "b1"}, {"c"}),
    ],
)
def test_globs_take_and_leave_out(given: dict[str, Any], taken: set[str], left_out: set[str]) -> None:
    scope = Scope.read(given)
    assert {name for name in taken | left_out if scope.takes_topic(name)} == taken
    assert Scope.from_stored(scope.to_stored()) == scope


@pytest.mark.parametrize("bad", ["x" * 301, "a\x00b", ",".join(f"p{i}" for i in range(101))])
def test_a_pattern_that_cannot_be_used_names_its_field(bad: str) -> None:
    with pytest.raises(ScopeError) as caught:
        Scope.read({"groups_exclude": bad})
    assert caught.value.field == "groups_exclude"


def test_the_right_to_read_commits_is_on_one_topic_alone() -> None:
    right = Right(BY_KEY["commit_times"], "not authorised")
    assert right.kafka_acls("observer", "host:9092").endswith("--operation Read --topic __consumer_offsets")
    assert right.confluent("sa-1").endswith("--operations read --topic __consumer_offsets")
    assert "topic/NAME/*/__consumer_offsets" in right.msk()
