"""Configurations as pages show them: values with their meaning, what somebody has set marked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from collectors.domain.configuration import Source, milliseconds, number_of
from collectors.models import Cluster, Configuration

from . import words

SOURCES = {
    Source.TOPIC: "set on the topic",
    Source.BROKER: "set while running",
    Source.FILE: "set in the broker's file",
    Source.DEFAULT: "default",
    Source.OTHER: "",
}

EACH_ITS_OWN = frozenset(
    {
        "advertised.listeners",
        "broker.id",
        "broker.rack",
        "listeners",
        "log.dir",
        "log.dirs",
        "metadata.log.dir",
        "node.id",
    }
)
"""Keys in which brokers differ by nature."""


@dataclass(frozen=True, slots=True)
class Line:
    """One key; `value` is None where Kafka keeps it secret."""

    key: str
    value: str | None
    meaning: str  # "7 d", "1.1 GB"; "" where the value says it all
    source: str
    is_set: bool
    differs: str = ""  # which brokers have it otherwise


def of(cluster: Cluster, kind: Configuration.Kind, name: str, why_off: str | None) -> Configuration | None:
    """None where there is none, or where the login may no longer see whether it is still so."""
    if why_off:
        return None
    return Configuration.objects.filter(cluster=cluster, kind=kind, name=name).first()


def for_page(config: Configuration | None) -> dict[str, Any]:
    """What the panel of one topic or broker shows; a reading that may no longer be so is not shown."""
    if config is not None and config.refused_why:
        return {"config": None, "config_refused": config, "lines": []}
    return {"config": config, "config_refused": None, "lines": lines(config.entries) if config is not None else []}


def lines(entries: Mapping[str, Any]) -> list[Line]:
    """What was set first, then the others by name."""
    made = [_line(key, value, source) for key, (value, source) in entries.items()]
    return sorted(made, key=lambda one: (not one.is_set, one.key))


def _line(key: str, value: str | None, source: str, differs: str = "") -> Line:
    found = Source(source) if source in set(Source) else Source.OTHER
    return Line(key, value, meaning(key, value), SOURCES[found], found is not Source.DEFAULT, differs)


def meaning(key: str, value: str | None) -> str:
    """What a number of milliseconds or bytes amounts to."""
    if value is None:
        return ""
    if key.endswith(".ms"):
        return "as retention.ms" if key.startswith("local.") and value == "-2" else milliseconds(value)
    if key.endswith(".bytes"):
        if not value.lstrip("-").isdigit():
            return ""
        if key.startswith("local.") and value == "-2":
            return "as retention.bytes"
        return "without limit" if int(value) < 0 else words.size(int(value))
    if key.endswith((".hours", ".minutes")) and value.isdigit():
        return milliseconds(str(int(value) * (3_600_000 if key.endswith(".hours") else 60_000)))
    return ""


def retention(entries: Mapping[str, Any]) -> str:
    """How long records stay: "7 d", "7 d, and 1 GB a partition", "for ever"."""
    policy = entries.get("cleanup.policy", [""])[0] or ""
    if policy == "compact":
        return "for ever, the newest record of each key"
    time = milliseconds(entries.get("retention.ms", [None])[0])
    most = number_of(entries, "retention.bytes")
    said = time or "not known"
    if most is not None and most >= 0:
        said += f", {words.size(most)} a partition at most"
    return said + (" (and compacted)" if "compact" in policy else "")


OWN_TO_EACH = frozenset(
    {
        "advertised.listeners", "broker.id", "broker.rack", "listeners", "log.dir", "log.dirs", "metadata.log.dir",
        "node.id",
    }
)  # fmt: skip
"""What names the broker or its place: that it differs is no news."""


def over_brokers(found: Iterable[Configuration]) -> list[Line]:
    """One line a key for all brokers: the value of most, and who has it otherwise."""
    by_key: dict[str, dict[tuple[str | None, str], list[str]]] = {}
    for one in found:
        for key, (value, source) in one.entries.items():
            by_key.setdefault(key, {}).setdefault((value, source), []).append(one.name)
    out = []
    for key, values in by_key.items():
        ranked = sorted(values.items(), key=lambda item: (-len(item[1]), item[1]))
        (value, source), _ = ranked[0]
        if key in EACH_ITS_OWN and len(ranked) > 1:
            out.append(Line(key, value, "each broker has its own", SOURCES[Source(source)], True))
            continue
        others = [
            f"broker {', '.join(sorted(names, key=lambda n: n.zfill(10)))}: {'(secret)' if v is None else v}"
            for (v, _), names in ranked[1:]
            if v != value
        ]
        if others and key in OWN_TO_EACH:
            value, others = "its own on each", []
        out.append(_line(key, value, source, "; ".join(others)))
    return sorted(out, key=lambda one: (not one.differs, not one.is_set, one.key))
