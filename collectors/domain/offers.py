"""What a Kafka of some version does not offer, so that a page says so and never calls it unknown or an error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that is shown, and the first release whose brokers tell it."""

    shows: str
    since: tuple[int, int]


OFFERS = (
    Offer("size of the volumes and what is free on them", (3, 3)),  # DescribeLogDirs v4, KIP-827
    Offer("the metadata quorum", (3, 3)),  # DescribeQuorum, KRaft
    Offer("types of groups: all are shown as classic", (3, 8)),  # ListGroups v5, KIP-848
    Offer("consumer groups of the new protocol", (4, 0)),  # ConsumerGroupDescribe, KIP-848
    Offer("share groups", (4, 1)),  # ShareGroupDescribe v1, KIP-932
    Offer("the lag of share groups", (4, 2)),  # DescribeShareGroupOffsets v1, KIP-1226
    Offer("streams groups", (4, 2)),  # StreamsGroupDescribe, KIP-1071
    Offer("how far members of streams groups have restored their tasks", (4, 4)),  # task offsets, KAFKA-20695
)


def release(version: str) -> tuple[int, int] | None:
    """ "3.7" -> (3, 7); None where it is not known."""
    major, _, minor = version.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


def oldest(versions: Iterable[str]) -> str:
    """The oldest of the known versions; "" when none is known. What all brokers offer is what it offers."""
    known = [version for version in versions if release(version) is not None]
    return min(known, key=lambda version: release(version) or (0, 0), default="")


def not_offered(version: str) -> list[str]:
    """What a broker of this version does not offer, in words; [] when the version is not known."""
    found = release(version)
    return [] if found is None else [offer.shows for offer in OFFERS if offer.since > found]
