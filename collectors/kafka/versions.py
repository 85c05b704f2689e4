"""Which Kafka a broker runs, derived from what it says it can do (no API says it)."""

from __future__ import annotations

from typing import Any

from .link import supported_version

_FIRST_LEVELS = (
    (1, "3.0"), (2, "3.1"), (3, "3.2"), (4, "3.3"), (8, "3.4"), (9, "3.5"), (12, "3.6"), (15, "3.7"),
    (20, "3.8"), (21, "3.9"), (22, "4.0"), (26, "4.1"), (28, "4.2"), (30, "4.3"), (31, "4.4"),
)  # fmt: skip
"""The first metadata.version level of each release (org.apache.kafka.server.common.MetadataVersion)."""
NEWEST_LEVEL = 33  # of Kafka 4.4.0; a higher one is a release that this table does not know yet


def version_of_level(level: int) -> str:
    """The release that brought a metadata.version level, "" if it is older or newer than the table."""
    found = [version for first, version in _FIRST_LEVELS if first <= level <= NEWEST_LEVEL]
    return found[-1] if found else ""


def version_of(answer: Any) -> str:
    """The release, as "4.3", from a decoded ApiVersions answer; "" where it cannot be derived.

    The highest metadata.version that a broker supports is its own; brokers without one (ZooKeeper) are known by
    their API versions.
    """
    for feature in getattr(answer, "supported_features", None) or ():
        if feature.name == "metadata.version":
            return version_of_level(feature.max_version)
    return supported_version({api.api_key: (api.min_version, api.max_version) for api in answer.api_keys})
