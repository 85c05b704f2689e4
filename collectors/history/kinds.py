"""Which kinds of numbers are kept as frames."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The words are stored in the sample tables: never rename."""

    END = "end"  # owner = topic: log end offset of each partition
    START = "start"  # owner = topic: log start offset of each partition
    STABLE = "stable"  # owner = topic: last stable offsets where an open transaction holds some back, else log ends
    SIZE = "size"  # owner = topic: bytes of the leader's replica of each partition
    COMMITTED = "committed"  # owner = group: committed offset, NO_COMMIT where the group is known to have none
    VERDICT = "verdict"  # owner = group, single: collectors.domain.verdicts.Verdict
    BROKER = "broker"  # owner = broker id as text, single: collectors.domain.topology.Reach
    DISK = "disk"  # owner = broker id as text, single: bytes of the replicas in all its log directories
    ABANDONED = "abandoned"  # owner = group: commits that no member of it reads on from, as they are not in COMMITTED
    EPOCH = "epoch"  # owner = group: leader epoch of each committed offset, as domain.commit_epochs reads it
    LEADERS = "leaders"  # owner = broker id as text, single: partitions that it leads
    HEAD = "head"  # owner = group, only positions that were read: collectors.domain.heads.NO_RECORDS, or a timestamp
    # owner = group: milliseconds of the newest commit that was seen, or, negative, since when there was none
    COMMITTED_AT = "committed_at"
    # owner = group: collectors.domain.partitions.PartitionVerdict of each position; twelve letters are all that fit
    PARTITION_VERDICT = "part_verdict"


EVERY_CYCLE = (Kind.END, Kind.COMMITTED, Kind.VERDICT, Kind.BROKER)
"""Written with each cycle; the others only when the survey has a newer answer, and HEAD and COMMITTED_AT with each
cycle in which some is known: they hold for that cycle's offsets alone. PARTITION_VERDICT is written when it differs
from what was written last, and each PARTITION_VERDICT_CYCLES: it holds as long as verdicts are written."""

PARTITION_VERDICT_CYCLES = 12
"""Seldom enough to cost next to nothing, and often enough that one is among the cycles that are read for the newest."""

OF_TOPICS = (Kind.END, Kind.START, Kind.STABLE, Kind.SIZE)
"""Owned by topics: what is not said otherwise, an owner's positions are its partitions 0, 1, 2 …"""
