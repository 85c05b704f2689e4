"""How a topic or a broker is set: values with where they come from, and what changed between two readings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from . import words


class Source(StrEnum):
    """Where a value comes from, in Kafka's order of precedence (ConfigEntry.ConfigSource)."""

    TOPIC = "topic"  # set on the topic itself
    BROKER = "broker"  # set while running, on this broker or on all
    FILE = "file"  # in server.properties
    DEFAULT = "default"
    OTHER = "other"

    @classmethod
    def of(cls, number: int | None) -> Source:
        known = {1: cls.TOPIC, 2: cls.BROKER, 3: cls.BROKER, 4: cls.FILE, 5: cls.DEFAULT}
        return known.get(number if number is not None else 0, cls.OTHER)


TOPIC_KEYS = (
    "cleanup.policy", "retention.ms", "retention.bytes", "delete.retention.ms", "min.insync.replicas",
    "segment.bytes", "segment.ms", "max.message.bytes", "message.timestamp.type", "compression.type",
    "unclean.leader.election.enable", "local.retention.ms", "local.retention.bytes", "remote.storage.enable",
)  # fmt: skip
BROKER_KEYS = (
    "log.retention.hours", "log.retention.ms", "log.retention.bytes", "log.cleanup.policy", "log.segment.bytes",
    "offsets.retention.minutes", "default.replication.factor", "min.insync.replicas", "num.partitions",
    "auto.create.topics.enable", "delete.topic.enable", "unclean.leader.election.enable", "message.max.bytes",
)  # fmt: skip
"""Kept even where they are the default; of all others only what somebody has set."""
MAX_VALUE = 2_000
MAX_KEPT = 400


@dataclass(frozen=True, slots=True)
class Config:
    """{key: (value, where it comes from)}; a value that Kafka keeps secret is None."""

    entries: Mapping[str, tuple[str | None, Source]]

    @property
    def is_only_compacted(self) -> bool:
        """Of a topic: nothing is deleted but what was written anew under the same key."""
        return self.entries.get("cleanup.policy", ("", Source.OTHER))[0] == "compact"

    def kept(self, keys: tuple[str, ...]) -> dict[str, list[Any]]:
        """Plain JSON of what is worth a row: `keys`, and all that is not the default; {key: [value, source]}."""
        chosen = sorted(
            key for key, (_, source) in self.entries.items() if key in keys or source not in (Source.DEFAULT,)
        )
        out: dict[str, list[Any]] = {}
        for key in chosen[:MAX_KEPT]:
            value, source = self.entries[key]
            text = None if value is None else words.storable(value, MAX_VALUE)
            out[words.storable(key, 200)] = [text, str(source)]
        return out


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """In words what differs between two kept configurations: "retention.ms 604800000 → 3600000"."""
    said = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if before is not None and after is not None and before[0] == after[0]:
            continue  # only where it comes from: the topic goes on as before
        said.append(f"{key} {_said(before)} → {_said(after)}")
    return said


def _said(entry: Any) -> str:
    if entry is None:
        return "default"
    return "(secret)" if entry[0] is None else str(entry[0])[:60] or "(empty)"


def milliseconds(value: str | None) -> str:
    """ "604800000" -> "7 d"; "-1" is for ever."""
    number = _number(value)
    return "" if number is None else "for ever" if number < 0 else words.duration(number / 1000)


def number_of(config: Mapping[str, Any] | None, key: str) -> int | None:
    """A whole number of a kept configuration; None where it is not known."""
    entry = (config or {}).get(key)
    return None if entry is None else _number(entry[0])


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
