"""Why a group is in trouble, most likely, and what to do next: a decision table over what the window shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from . import words
from .commit_times import Committing
from .verdicts import Verdict

BURST_TIMES = 2.0
"""Twice what came before is a burst; less is what traffic does anyway."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """Where records wait and nothing moves: partition by name ("orders-3"), the next offset to read, who owns it."""

    partition: str
    offset: int
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Hot:
    """A partition that gets far more than its even share, and who reads it."""

    partition: str
    share: float  # of 1, of what comes to its topic
    owner: str = ""
    backlog: float = 0.0  # of 1, of what waits for the group


@dataclass(frozen=True, slots=True)
class Situation:
    """What the table decides by. None: not known."""

    verdict: Verdict
    members: int | None = None
    partitions: int = 0
    consumed: float | None = None  # records per second
    arriving: float | None = None
    arriving_before: float | None = None  # before the verdict, or when the window began
    stuck: tuple[Stuck, ...] = ()
    moving_owners: frozenset[str] = field(default_factory=frozenset)  # members that read some other partition
    hot: Hot | None = None
    is_storm: bool = False
    trouble: str = ""  # why something could not be asked: "broker 3: timed out"
    lost: int | None = None
    held: int = 0  # records of open transactions, where these are all that stands still
    went_to_start: bool = False  # rewound to where the log begins
    committing: Committing | None = None  # at all that stands still; None: not known, or not the same everywhere
    commit_said: str = ""  # "last commit 3 s ago"
    is_shared: bool = False  # a share group: many members may read one partition, and acknowledge each record


@dataclass(frozen=True, slots=True)
class Cause:
    """`word` names the kind, `because` says what speaks for it, `step` what to do."""

    word: str
    because: str
    step: str


NO_CAUSE = Cause("", "", "")


def likely_cause(at: Situation) -> Cause:
    """The first line of the table that fits; NO_CAUSE where nothing is wrong, or nothing is known."""
    for verdicts, question, answer in TABLE:
        if at.verdict in verdicts and question(at):
            return answer(at)
    return NO_CAUSE


def scaling_advice(
    members: int | None,
    partitions: int,
    consumed: float | None,
    arriving: float | None,
    *,
    is_shared: bool = False,
) -> str:
    """How many members would keep up, by what each of them reads now; "" where that cannot be told.

    `is_shared`: many may read one partition.
    """
    if not members or not partitions or not consumed or not arriving:
        return ""
    readers = members if is_shared else min(members, partitions)
    needed = max(math.ceil(arriving / (consumed / readers)), 1)
    count, on = words.counted(members, "member"), words.counted(partitions, "partition")
    said = (
        f"{count} on {on} {'reads' if members == 1 else 'read'} {words.rate(consumed)}, {words.rate(arriving)} arrive"
    )
    if needed <= readers:
        return ""
    if is_shared:
        return f"{said}: {words.count(needed)} would do"
    if needed <= partitions:
        return f"{said}: {words.count(needed)} would do; more than {words.count(partitions)} is useless"
    if members >= partitions:
        return f"{said}: more members are useless, each has to read faster, or the topic needs more partitions"
    return (
        f"{said}: even {words.count(partitions)}, one a partition, would not do; "
        "each has to read faster, or the topic needs more partitions"
    )


def _advice(at: Situation) -> str:
    return scaling_advice(at.members, at.partitions, at.consumed, at.arriving, is_shared=at.is_shared)


# --- questions --------------------------------------------------------------------------------------------------------


def _always(at: Situation) -> bool:
    return True


def _has_broker_trouble(at: Situation) -> bool:
    return bool(at.trouble)


def _rebalances_all_the_time(at: Situation) -> bool:
    return at.is_storm


def _owners(at: Situation) -> set[str]:
    return {one.owner for one in at.stuck if one.owner}


def _chokes_on_a_record(at: Situation) -> bool:
    """One partition stands, and the member that owns it goes on elsewhere: it is the record, not the member."""
    return len(at.stuck) == 1 and at.stuck[0].owner in at.moving_owners


def _has_one_stuck_member(at: Situation) -> bool:
    owners = _owners(at)
    return len(owners) == 1 and all(one.owner for one in at.stuck) and not owners & at.moving_owners


def _is_nobody_s_member(at: Situation) -> bool:
    return at.members == 0


def _is_one_of_several(at: Situation) -> bool:
    return _has_one_stuck_member(at) and (at.members or 0) > 1


def _is_held_by_one_partition(at: Situation) -> bool:
    return not at.is_shared and at.hot is not None and at.hot.backlog >= 0.5


def _commits_in_place(at: Situation) -> bool:
    return at.committing is Committing.IN_PLACE


def _commits_nothing(at: Situation) -> bool:
    return at.committing is Committing.NOTHING


def _had_a_burst(at: Situation) -> bool:
    before = at.arriving_before
    return at.arriving is not None and before is not None and before > 0 and at.arriving >= BURST_TIMES * before


def _lost_records(at: Situation) -> bool:
    return bool(at.lost)


def _is_held_back(at: Situation) -> bool:
    return at.held > 0


def _went_to_start(at: Situation) -> bool:
    return at.went_to_start


# --- answers ----------------------------------------------------------------------------------------------------------


def _broker_trouble(at: Situation) -> Cause:
    return Cause("broker trouble", at.trouble, "Look at that broker first: the group may be as well as it was.")


def _storm(at: Situation) -> Cause:
    return Cause(
        "rebalance storm",
        "its members leave and come back again and again",
        "See on its events who leaves; give them time (max.poll.interval.ms, session.timeout.ms) or less to do in one "
        "poll (max.poll.records), and a fixed place (group.instance.id).",
    )


def _open_transaction(at: Situation) -> Cause:
    one = at.stuck[0]
    return Cause(
        "open transaction",
        f"a producer's transaction holds {words.counted(at.held, 'record')} back, and the group has read all before it",
        f"Find the producer of {one.partition} (kafka-transactions, describe-producers) and end or abort its "
        "transaction: a restart of the group changes nothing.",
    )


def _poison(at: Situation) -> Cause:
    one = at.stuck[0]
    return Cause(
        "a record that cannot be processed",
        f"{one.owner} reads its other partitions on and stands at {one.partition} alone",
        f"Look at the record at offset {words.count(one.offset)} of {one.partition}, and at the log of {one.owner}.",
    )


def _stuck_member(at: Situation) -> Cause:
    (name,) = _owners(at)
    others = f"; the other {words.counted((at.members or 1) - 1, 'member')} can take them over"
    return Cause(
        "stuck member",
        f"all that stands still belongs to {name}",
        f"Look at the log of {name}, then restart it: its partitions are handed out anew{others}.",
    )


def _stuck_members(at: Situation) -> Cause:
    who = "its only member" if at.members == 1 else "every member that has records waiting"
    return Cause(
        "stuck members" if at.members != 1 else "stuck member",
        f"{who} is in the group and {'acknowledges' if at.is_shared else 'commits'} nothing",
        "Look what they all wait for (a database, a lock, another service); a restart helps only against a hang.",
    )


def _stuck_simple(at: Situation) -> Cause:
    return Cause(
        "stuck reader",
        "who reads here commits without being a member, and commits nothing new where it stands",
        "Look at the log of what reads for this group (Flink, Spark, a reader with assign()): Kafka does not know who.",
    )


def _stuck_on_a_record(at: Situation) -> Cause:
    one = at.stuck[0]
    where = f"at offset {words.count(one.offset)} of {one.partition}"
    return Cause(
        "stuck on a record, or blocked downstream",
        f"its members go on committing, always the same offset ({at.commit_said}): they run, and get nothing done",
        f"Look at the record {where}, and at what is called for each record; a restart comes to the same record again.",
    )


def _dead_loop(at: Situation) -> Cause:
    owners = _owners(at)
    who = next(iter(owners)) if len(owners) == 1 and all(one.owner for one in at.stuck) else "its members"
    are = "are" if who == "its members" else "is"
    return Cause(
        "stuck or dead member loop",
        f"{who} {are} in the group and {'do' if are == 'are' else 'does'} not commit ({at.commit_said}): the loop that "
        "reads and commits does not come round",
        f"Look where {who} hang{'' if are == 'are' else 's'} (the log, a dump of its threads), then restart: another "
        "member, or the new one, begins at the last commit.",
    )


def _missing_members(at: Situation) -> Cause:
    lost = "; retention has begun to delete what waits" if at.lost else ""
    return Cause(
        "missing members",
        f"nobody is in the group{lost}",
        "Start its members; what waits is kept only as long as the topic's retention says.",
    )


def _unowned(at: Situation) -> Cause:
    who = "its members hold other partitions"
    if at.members:
        many = words.counted(at.members, "member")
        who = f"the group's {many} {'holds' if at.members == 1 else 'hold'} other partitions"
    return Cause(
        "missing members",
        f"{who}, and nobody was given these",
        "See whether a member fails while it joins, or subscribes to less than the others; a restart of all members "
        "shares the partitions out anew.",
    )


def _retention(at: Situation) -> Cause:
    advice = _advice(at)
    more = f" {advice[:1].upper()}{advice[1:]}." if advice else ""
    return Cause(
        "retention",
        "records are deleted before the group comes to them",
        f"Raise retention.ms or retention.bytes of the topic until the group has caught up.{more}",
    )


def _hot_partition(at: Situation) -> Cause:
    assert at.hot is not None
    share = f"{100 * at.hot.share:.0f}{words.THIN}%"
    owner = f" and {at.hot.owner} alone has to read it" if at.hot.owner else ""
    return Cause(
        "hot partition",
        f"{at.hot.partition} gets {share} of what comes to its topic{owner}",
        "Spread the keys: more members do not help one partition.",
    )


def _burst(at: Situation) -> Cause:
    assert at.arriving is not None
    assert at.arriving_before is not None
    advice = _advice(at)
    return Cause(
        "producer burst",
        f"{words.rate(at.arriving)} arrive, before that it were {words.rate(at.arriving_before)}",
        _sentence(advice) or f"Wait for its end, or {'read with more' if at.members == 0 else 'start more members'}.",
    )


def _slow(at: Situation) -> Cause:
    advice, who = _advice(at), "its reader" if at.members == 0 else "a member"
    return Cause(
        "slow consumer",
        f"records come evenly, and {'fewer are read' if at.members == 0 else 'its members read fewer'}",
        _sentence(advice) or f"Look what takes {who} its time: what it calls, how much it asks for in one poll.",
    )


def _reset_to_start(at: Situation) -> Cause:
    return Cause(
        "offsets reset",
        "its commits went back to where the log begins",
        "If nobody did that on purpose, look at auto.offset.reset, and for a commit that had expired.",
    )


def _reset(at: Situation) -> Cause:
    return Cause(
        "offsets reset",
        "its commits went back by more than partitions that change hands are read twice",
        "If nobody did that on purpose, look who may reset offsets. What was read is read again: is that safe?",
    )


def _commits_elsewhere(at: Situation) -> Cause:
    return Cause(
        "no commits",
        "its members are assigned partitions, and nothing is committed of what came",
        "Turn commits on, or silence the group if it keeps its place elsewhere (Flink, Spark, a database).",
    )


def _sentence(text: str) -> str:
    return f"{text}." if text else ""


Row = tuple[frozenset[Verdict], Callable[[Situation], bool], Callable[[Situation], Cause]]

_STANDS = frozenset({Verdict.NO_PROGRESS})
_SLOW = frozenset({Verdict.FALLING_BEHIND})
TABLE: tuple[Row, ...] = (
    (frozenset({Verdict.NO_MEMBERS}), _always, _missing_members),
    (frozenset({Verdict.UNOWNED}), _always, _unowned),
    (_STANDS | _SLOW | {Verdict.UNKNOWN, Verdict.LOSING_DATA}, _has_broker_trouble, _broker_trouble),
    (_STANDS | _SLOW | {Verdict.REBALANCING}, _rebalances_all_the_time, _storm),
    (_STANDS, _is_held_back, _open_transaction),
    (_STANDS, _is_nobody_s_member, _stuck_simple),
    (_STANDS, _chokes_on_a_record, _poison),
    (_STANDS, _commits_in_place, _stuck_on_a_record),
    (_STANDS, _commits_nothing, _dead_loop),
    (_STANDS, _is_one_of_several, _stuck_member),
    (_STANDS, _always, _stuck_members),
    (frozenset({Verdict.LOSING_DATA}), _always, _retention),
    (_SLOW, _lost_records, _retention),
    (_SLOW, _is_held_by_one_partition, _hot_partition),
    (_SLOW, _had_a_burst, _burst),
    (_SLOW, _always, _slow),
    (frozenset({Verdict.REWOUND}), _went_to_start, _reset_to_start),
    (frozenset({Verdict.REWOUND}), _always, _reset),
    (frozenset({Verdict.NOT_COMMITTING}), _always, _commits_elsewhere),
    (frozenset({Verdict.REBALANCING}), _always, _storm),
)
"""(verdicts, question, answer), the first that fits counts. What lies outside the group comes before what lies in it,
and what one thing explains before what everything could."""
