"""Which topics hold dead letters, by the naming conventions of the frameworks (facts: kafka.md 6.1)."""

from __future__ import annotations

import re
from collections.abc import Container

_SUFFIXES = (
    re.compile(r"^(?P<source>.+?)__.+__dlq$", re.IGNORECASE),  # uForwarder: <topic>__<group>__dlq
    re.compile(r"^(?P<source>.+?)[._-](?:dlq|dlt|dead[._-]?letters?(?:[._-]?(?:queue|topic))?)$", re.IGNORECASE),
)
_SPRING_CLOUD_STREAM = re.compile(r"^error\.(?P<source>.+)\.[^.]+$")
_SOMEWHERE = re.compile(
    r"(?:^|[._-])(?:dlq|dlt|dead[._-]?letters?(?:[._-]?(?:queue|topic))?)(?:[._-]|$)", re.IGNORECASE
)


def dead_letters_of(topic: str, existing: Container[str]) -> str | None:
    """The source topic of a dead-letter topic: its name, "?" when only the kind is clear, None for other topics.

    `existing`: topics of the cluster; a source is named only if it exists (or a retry topic's source does).
    """
    for pattern in _SUFFIXES:
        if match := pattern.match(topic):
            return match["source"] if match["source"] in existing else "?"
    if match := _SPRING_CLOUD_STREAM.match(topic):
        return match["source"] if match["source"] in existing else "?"
    return "?" if _SOMEWHERE.search(topic) else None
