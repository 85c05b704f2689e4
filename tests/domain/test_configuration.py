"""Settings in words: what differs, what a value means, what a topic keeps."""

from __future__ import annotations

import pytest

from collectors.domain.configuration import Setting, Settings, Source, differences, digest, retention, spoken
from collectors.domain.words import THIN


def settings(*made: Setting) -> Settings:
    return tuple(sorted(made, key=lambda one: one.name))


def own(name: str, value: str | None) -> Setting:
    return Setting(name, value, Source.TOPIC)


def by_default(name: str, value: str | None) -> Setting:
    return Setting(name, value, Source.DEFAULT)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("retention.ms", "604800000", "7 d"),
        ("retention.ms", "-1", "no limit"),
        ("retention.bytes", "-1", "no limit"),
        ("retention.bytes", "1073741824", "1.07 GB"),
        ("segment.ms", "500", "500 ms"),
        ("flush.ms", str(2**63 - 1), "never"),
        ("log.retention.hours", "168", "7 d"),
        ("linger.ms", "0", "0"),
        ("min.insync.replicas", "2", "2"),
        ("num.partitions", "-7", "-7"),
        ("cleanup.policy", "compact,delete", "compact,delete"),
        ("follower.replication.throttled.replicas", "", "empty"),
        ("ssl.keystore.location", None, "none"),
        ("a.ms", "12x", "12x"),
        ("a.ms", "²", "²"),
        ("long", "x" * 300, "x" * 199 + "…"),
    ],
)
def test_a_value_is_said_as_people_read_it(name: str, value: str | None, said: str) -> None:
    assert spoken(name, value).replace(THIN, " ") == said


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ([own("retention.ms", "1000")], [own("retention.ms", "1000")], []),
        ([own("retention.ms", "3600000")], [own("retention.ms", "60000")], ["retention.ms is 1 min, was 1 h"]),
        ([by_default("a", "1")], [own("a", "1")], ["a is still 1, set on the topic now"]),
        ([], [by_default("new.in.this.version", "1")], []),
        ([by_default("gone.in.this.version", "1")], [], []),
        ([], [own("b", "2")], ["b is 2"]),
        ([own("b", "2")], [], ["b is gone"]),
    ],
)
def test_a_change_is_told_in_words(old: list[Setting], new: list[Setting], told: list[str]) -> None:
    found = differences(settings(*old), settings(*new))
    assert [one.replace(THIN, " ") for one in found] == told


def test_a_sensitive_value_is_never_told() -> None:
    old = (Setting("ssl.key.password", "was-secret", Source.FILE, is_sensitive=True),)
    new = (Setting("ssl.key.password", "now-secret", Source.FILE, is_sensitive=True),)
    assert differences(old, new) == ["ssl.key.password is hidden, was hidden"]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"cleanup.policy": "delete", "retention.ms": "604800000", "retention.bytes": "-1"}, "7 d"),
        (
            {"cleanup.policy": "delete", "retention.ms": "3600000", "retention.bytes": "1000000"},
            "1 h or 1 MB a partition",
        ),
        ({"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}, "everything"),
        ({"cleanup.policy": "compact", "retention.ms": "1000", "retention.bytes": "-1"}, "the newest of each key"),
        (
            {"cleanup.policy": "compact,delete", "retention.ms": "86400000", "retention.bytes": "-1"},
            "the newest of each key, 1 d",
        ),
        ({"cleanup.policy": "delete"}, ""),
        ({}, ""),
    ],
)
def test_retention_is_a_phrase_and_empty_when_not_known(made: dict[str, str], said: str) -> None:
    assert retention([own(name, value) for name, value in made.items()]).replace(THIN, " ") == said


def test_equal_settings_have_one_digest_and_any_difference_another() -> None:
    base = settings(own("a", "1"))
    assert digest(base) == digest(settings(own("a", "1")))
    others = [
        settings(own("a", "2")),
        settings(by_default("a", "1")),
        settings(own("a", None)),
        settings(own("b", "1")),
    ]
    assert len({digest(base), *map(digest, others)}) == 5


def test_a_source_of_a_newer_kafka_is_unknown_and_no_error() -> None:
    assert Source.of(8) is Source.UNKNOWN
    assert Source.of(-1) is Source.UNKNOWN
