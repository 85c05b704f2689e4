"""Settings of topics and brokers: where each comes from, what differs, and the words for their values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from . import words

DIFFERENCES_TOLD = 6


class Source(IntEnum):
    """Where a value comes from (DescribeConfigs, `ConfigSource` of kafka-clients)."""

    UNKNOWN = 0
    TOPIC = 1
    BROKER = 2  # changed while the broker runs
    CLUSTER = 3  # changed while it runs, for all brokers
    FILE = 4  # the broker's own properties file
    DEFAULT = 5

    @classmethod
    def of(cls, code: int) -> Source:
        """The source of a code; others than these (loggers, groups, newer ones) are unknown here."""
        return cls(code) if 0 <= code <= cls.DEFAULT else cls.UNKNOWN


@dataclass(frozen=True, slots=True)
class Setting:
    name: str
    value: str | None  # None: the broker does not tell it, or it has none
    source: Source
    is_sensitive: bool = False

    @property
    def is_default(self) -> bool:
        return self.source is Source.DEFAULT


Settings = tuple[Setting, ...]
"""Sorted by name."""


def digest(settings: Settings) -> str:
    """32 characters that are equal when all settings are."""
    made = hashlib.blake2b(digest_size=16)
    for one in settings:
        made.update(repr((one.name, one.value, int(one.source), one.is_sensitive)).encode("utf-8", "surrogatepass"))
    return made.hexdigest()


def value_of(settings: Iterable[Setting], name: str) -> str | None:
    return next((one.value for one in settings if one.name == name), None)


def differences(old: Settings, new: Settings) -> list[str]:
    """What to tell of a change, a sentence a setting: "retention.ms is 1 h, was 7 d". Sensitive values stay hidden."""
    before: Mapping[str, Setting] = {one.name: one for one in old}
    after: Mapping[str, Setting] = {one.name: one for one in new}
    told = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            # a newer broker knows more settings: what it has by default is no change
            one = was or now
            if one is not None and not one.is_default:
                told.append(f"{name} {'is gone' if now is None else f'is {_shown(now)}'}")
        elif was.value != now.value:
            told.append(f"{name} is {_shown(now)}, was {_shown(was)}")
        elif was.source != now.source and Source.UNKNOWN not in (was.source, now.source):
            told.append(f"{name} is still {_shown(now)}, {_ORIGIN[now.source]} now")
    return told


_ORIGIN = {
    Source.UNKNOWN: "of unknown origin",
    Source.TOPIC: "set on the topic",
    Source.BROKER: "set on the broker",
    Source.CLUSTER: "set for all brokers",
    Source.FILE: "from the broker's file",
    Source.DEFAULT: "by default",
}


def origin(source: int) -> str:
    return _ORIGIN[Source.of(source)]


def _shown(one: Setting) -> str:
    return "hidden" if one.is_sensitive else spoken(one.name, one.value)


def spoken(name: str, value: str | None) -> str:
    """A value as people read it: "7 d" for retention.ms=604800000, "no limit" for retention.bytes=-1."""
    if value is None:
        return "none"
    if not value:
        return "empty"
    number = int(value) if len(value) <= 19 and value.removeprefix("-").isascii() and _is_whole(value) else None
    if number is None:
        return value if len(value) <= 200 else f"{value[:199]}…"
    if number == -1 and name.endswith(_LIMITS):
        return "no limit"
    if number >= 2**63 - 1 or (number == 2**31 - 1 and name.endswith(".messages")):
        return "never" if name.endswith((".ms", ".messages")) else "no limit"
    if number > 0 and name.endswith(".ms"):
        return words.duration(number / 1000) if number >= 1000 else f"{number}{words.THIN}ms"
    if number > 0 and name.endswith(".hours"):
        return words.duration(number * 3600)
    if number > 0 and name.endswith(".minutes"):
        return words.duration(number * 60)
    if number > 0 and name.endswith(".bytes"):
        return words.size(number)
    return words.count(number) if abs(number) >= 10_000 else value


_LIMITS = ("retention.ms", "retention.bytes", "retention.hours", "local.retention.ms", "local.retention.bytes")


def _is_whole(value: str) -> bool:
    return value.removeprefix("-").isdigit()


def retention(settings: Iterable[Setting]) -> str:
    """What a topic keeps, in words: "7 d", "7 d or 1 GB a partition", "the newest of each key"; "" when not known."""
    by_name = {one.name: one.value for one in settings}
    policy = by_name.get("cleanup.policy")
    if policy is None:
        return ""
    kept = []
    if "delete" in policy:
        for name, suffix in (("retention.ms", ""), ("retention.bytes", " a partition")):
            value = by_name.get(name)
            if value is None:
                return ""
            said = spoken(name, value)
            if said not in ("no limit", "never"):
                kept.append(f"{said}{suffix}")
        kept = [" or ".join(kept) or "everything"]
    if "compact" in policy:
        kept.insert(0, "the newest of each key")
    return ", ".join(kept)
