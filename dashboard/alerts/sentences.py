"""What alerts say: one sentence with its numbers for each quantity, when it goes wrong and when it is over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from collectors.domain import words
from collectors.domain.explanations import explain
from collectors.domain.numbers import Column, Numbers
from collectors.domain.topology import GroupType, Reach
from collectors.domain.verdicts import GroupRow, Verdict
from collectors.domain.window import LENGTH, Window
from collectors.domain.words import visible
from collectors.history.kinds import Kind
from collectors.history.now import ClusterNow
from collectors.history.queries import lost_between
from collectors.models import Cluster, Group, Member

from .readings import Behind, LastEnds, Quantity, Subjects, dead_letters, first_offsets, records_lost
from .rules import Reason, Transition

READERS_LOOKED_AT = 200
"""Groups of a topic whose members are looked through for who holds a partition."""
RecentColumns = Callable[[int, Kind, float], list[tuple[int, float, Column]]]


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence and the numbers that it was made of (plain JSON)."""

    sentence: str
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Silence:
    """How long a cluster has not been reached."""

    age_seconds: float
    interval_seconds: float
    intervals: float
    because: str = ""  # of the newest cycle that failed


@dataclass(eq=False)
class Scene:
    """All that sentences about one cluster at one moment are made from; history is read when one needs it."""

    cluster: Cluster
    at: float  # unix seconds
    now: ClusterNow | None = None
    last: LastEnds = field(default_factory=lambda: LastEnds(0))
    dead_letters: Mapping[str, str] = field(default_factory=dict)
    internal: Collection[str] = ()  # topics of Kafka itself
    before: ClusterNow | None = None  # at the cycle before
    silence: Silence | None = None
    behind: Mapping[int, Behind] | None = None  # what brokers' replicas lack; None: not known
    recent: RecentColumns | None = None

    @cached_property
    def lost(self) -> Subjects:
        """Records that each group lost since the cycle before; nothing is known of a cycle without numbers."""
        return Subjects((), Numbers.unknown(0)) if self.now is None else records_lost(self.now, self.before)

    @cached_property
    def window(self) -> Window:
        """The newest samples up to this moment, as the group page's sentence is made from."""
        window = Window()
        if self.now is None or self.recent is None:
            return window
        since = self.at - LENGTH * max(1.0, self.cluster.interval_seconds)
        ends = {cycle: column for cycle, _, column in self.recent(self.cluster.pk, Kind.END, since)}
        for cycle, taken_at, committed in self.recent(self.cluster.pk, Kind.COMMITTED, since):
            if cycle in ends and cycle <= self.now.cycle:
                window.push(taken_at, committed, ends[cycle])
        return window


def wrong(quantity: Quantity, subject: str, scene: Scene, began: Mapping[str, Any]) -> Told:
    """What is wrong with a subject whose reading is in breach, or of which nothing is known.

    `began`: the numbers of when it became pending, with "at" in unix seconds; empty when it begins now.
    """
    if quantity is Quantity.COLLECTOR_SILENCE:
        return _silent(scene)
    if scene.now is None:
        return Told(f"Nothing is known of {_subject(quantity, subject)}: the cluster was not reached")
    if quantity is Quantity.BROKER_REACH:
        return _broker_down(scene.now, subject)
    if quantity is Quantity.REPLICAS_BEHIND:
        return _replicas_behind(scene, subject)
    if quantity is Quantity.GROUP_VERDICT:
        return _no_progress(scene, subject, began.get("at"))
    if quantity is Quantity.GROUP_FALLS_BEHIND:
        return _falls_behind(scene, subject)
    if quantity is Quantity.GROUP_UNREAD_RATE:
        return _unread(scene.now, subject)
    if quantity is Quantity.GROUP_RECORDS_LOST:
        return _lost(scene, subject)
    if quantity is Quantity.TOPIC_SKEW:
        return _skewed(scene, subject)
    return _dead_letters_arrived(scene, subject)


def over(quantity: Quantity, subject: str, scene: Scene, transition: Transition, began: Mapping[str, Any]) -> Told:
    """How it ended. `began`: the numbers of when it went wrong, with "at" in unix seconds."""
    lasted = max(0.0, transition.at - float(began.get("at", transition.at)))
    after = f" after {words.duration(lasted)}" if lasted >= 1 else ""
    numbers: dict[str, Any] = {"lasted_seconds": round(lasted, 1)}
    name = _subject(quantity, subject, scene)
    if transition.reason is Reason.SUBJECT_GONE and quantity is Quantity.COLLECTOR_SILENCE:
        return Told(f"{name} was paused, or is no longer watched by this rule", numbers)
    if transition.reason is Reason.SUBJECT_GONE:
        return Told(f"{_capital(name)} is no longer there, or no longer watched by this rule", numbers)
    if quantity is Quantity.BROKER_REACH:
        return Told(f"{_capital(name)} is up again{after}", numbers)
    if quantity is Quantity.REPLICAS_BEHIND:
        return Told(f"The replicas of {name} are in sync again{after}", numbers)
    if quantity is Quantity.COLLECTOR_SILENCE:
        return Told(f"{name} is measured again{after}", numbers)
    if quantity is Quantity.GROUP_VERDICT:
        return _moves_again(scene, subject, after, numbers)
    if quantity is Quantity.GROUP_FALLS_BEHIND:
        return _holds_its_own(scene, subject, after, numbers)
    if quantity is Quantity.GROUP_UNREAD_RATE:
        return _read_again(scene.now, subject, after, numbers)
    if quantity is Quantity.GROUP_RECORDS_LOST:
        return _lost_no_more(scene, subject, transition, began, numbers)
    if quantity is Quantity.TOPIC_SKEW:
        return Told(f"No partition of {visible(subject)} is hot any more{after}", numbers)
    return _dead_letters_ended(scene, subject, began, transition, numbers)


def why(transition: Transition) -> str:
    """The reason of a transition that has no sentence of its own."""
    counted = words.duration(transition.counted_seconds)
    return {
        Reason.BREACHED: "in breach",
        Reason.HELD: f"in breach for {counted}",
        Reason.WENT_QUIET: "no longer in breach",
        Reason.STAYED_QUIET: f"quiet for {counted}",
        Reason.RELAPSED: "in breach again before it was over",
        Reason.CALMED: f"over after {counted}, before it had held long enough",
        Reason.SUBJECT_GONE: "no longer there, or no longer watched by this rule",
        Reason.DATA_MISSING: "nothing is known",
        Reason.DATA_BACK: "known again, and in breach",
    }[transition.reason]


def _subject(quantity: Quantity, subject: str, scene: Scene | None = None) -> str:
    if quantity in (Quantity.BROKER_REACH, Quantity.REPLICAS_BEHIND):
        return f"broker {subject}"
    if quantity is Quantity.COLLECTOR_SILENCE and scene is not None:
        return visible(scene.cluster.name)
    return visible(subject)


def _capital(text: str) -> str:
    return "B" + text[1:] if text.startswith("broker ") else text


def _silent(scene: Scene) -> Told:
    silence = scene.silence
    if silence is None:
        return Told(f"{visible(scene.cluster.name)} is not measured")
    because = f": {visible(silence.because)}" if silence.because else ""
    return Told(
        f"{visible(scene.cluster.name)} has not been measured for {words.duration(silence.age_seconds)}, "
        f"with a cycle due every {words.duration(silence.interval_seconds)}{because}",
        {"age_seconds": round(silence.age_seconds, 1), "interval_seconds": silence.interval_seconds},
    )


def _broker_down(now: ClusterNow, subject: str) -> Told:
    reach = now.brokers.reach
    up = int((reach.known & (reach.values == int(Reach.UP))).sum())
    count = len(now.brokers.ids)
    return Told(
        f"Broker {subject} is down: the cluster no longer lists it; {up} of {words.counted(count, 'broker')} up",
        {"broker": int(subject), "brokers_up": up, "brokers": count},
    )


def _replicas_behind(scene: Scene, subject: str) -> Told:
    own = (scene.behind or {}).get(int(subject))
    if own is None:
        return Told(f"Nothing is known of the replicas of broker {subject}")
    are = "is" if own.partitions == 1 else "are"
    named = ", ".join(visible(topic) for topic in own.topics[:3]) + (" and others" if len(own.topics) > 3 else "")
    return Told(
        f"{words.counted(own.partitions, 'partition')} {are} under-replicated: broker {subject} is not in sync "
        f"for {named}",
        {"broker": int(subject), "partitions_behind": own.partitions, "topics": len(own.topics)},
    )


def _no_progress(scene: Scene, group: str, pending_since: float | None) -> Told:
    assert scene.now is not None
    row = Group.objects.filter(cluster=scene.cluster, name=group, gone_at=None).first()
    since = row.verdict_since.timestamp() if row is not None and row.verdict_since is not None else None
    if row is None or row.verdict != Verdict.NO_PROGRESS or (since is not None and since > scene.at):
        since = pending_since  # the row has moved on from the cycle that is judged
    finding = explain(
        GroupRow(group, _group_type(row), row.member_count if row is not None else None),
        scene.window,
        verdict=Verdict.NO_PROGRESS,
        now=scene.at,
        since=since,
        owners=_owners(row),
    )
    numbers = _group_numbers(scene.now, group)
    if finding.since is not None:
        numbers["no_progress_since"] = finding.since
    if scene.window.layout.owner_index(group) is None or not finding.sentence.startswith("No progress"):
        lag = numbers["lag"]
        waits = "" if lag is None else f": {words.counted(lag, 'record')} {'waits' if lag == 1 else 'wait'}"
        when = "" if since is None else f" since {words.moment(since, now=scene.at)}"
        return Told(f"{visible(group)} makes no progress{when}{waits}", numbers)
    return Told(f"{visible(group)} makes {'n' + finding.sentence[1:]}", numbers)


def _moves_again(scene: Scene, group: str, after: str, numbers: dict[str, Any]) -> Told:
    if scene.now is None or group not in scene.now.groups.index:
        return Told(f"{visible(group)} is known again and not standing still{after}", numbers)
    position = scene.now.groups.index[group]
    verdict = scene.now.groups.verdict.at(position)
    numbers |= _group_numbers(scene.now, group)
    lag = numbers["lag"]
    left = "" if lag is None else f", {words.counted(lag, 'record')} behind"
    word = "" if verdict is None else Verdict(int(verdict)).word.replace("_", " ")
    if verdict == Verdict.NO_MEMBERS:
        return Told(f"{visible(group)} no longer stands still with members: it has none{after}{left}", numbers)
    if verdict in (None, Verdict.OK):
        return Told(f"{visible(group)} makes progress again{after}{left}", numbers)
    return Told(f"{visible(group)} makes progress again{after}, now {word}{left}", numbers)


def _falls_behind(scene: Scene, group: str) -> Told:
    assert scene.now is not None
    row = Group.objects.filter(cluster=scene.cluster, name=group, gone_at=None).first()
    members = row.member_count if row is not None else None
    finding = explain(
        GroupRow(group, _group_type(row), members), scene.window, verdict=Verdict.FALLING_BEHIND, now=scene.at
    )
    numbers = _group_numbers(scene.now, group)
    if not finding.sentence.startswith("Falling behind: "):
        return Told(f"{visible(group)} falls behind{_behind(numbers)}", numbers)
    return Told(f"{visible(group)} falls behind: {finding.sentence.removeprefix('Falling behind: ')}", numbers)


def _holds_its_own(scene: Scene, group: str, after: str, numbers: dict[str, Any]) -> Told:
    if scene.now is None or group not in scene.now.groups.index:
        return Told(f"{visible(group)} no longer falls behind{after}", numbers)
    verdict = scene.now.groups.verdict.at(scene.now.groups.index[group])
    numbers |= _group_numbers(scene.now, group)
    word = "" if verdict in (None, Verdict.OK) else f", now {Verdict(int(verdict or 0)).word.replace('_', ' ')}"
    finding = explain(GroupRow(group, GroupType.UNKNOWN, None), scene.window, verdict=Verdict.OK, now=scene.at)
    how = f": {finding.sentence[:1].lower()}{finding.sentence[1:]}" if not word and scene.window.samples else ""
    return Told(f"{visible(group)} no longer falls behind{after}{word}{how or _behind(numbers)}", numbers)


def _unread(now: ClusterNow, group: str) -> Told:
    numbers = _group_numbers(now, group)
    rate = numbers["arriving_per_second"]
    come = "records arrive" if rate is None else f"{words.rate(rate)} arrive"
    return Told(f"{visible(group)} has no members while {come}{_behind(numbers)}", numbers)


def _read_again(now: ClusterNow | None, group: str, after: str, numbers: dict[str, Any]) -> Told:
    if now is None or group not in now.groups.index:
        return Told(f"Of {visible(group)} nothing waits for members any more{after}", numbers)
    numbers |= _group_numbers(now, group)
    if now.groups.verdict.at(now.groups.index[group]) == Verdict.NO_MEMBERS:
        return Told(f"Nothing arrives for {visible(group)} any more, which has no members{after}", numbers)
    return Told(f"{visible(group)} has members again{after}{_behind(numbers)}", numbers)


def _lost(scene: Scene, group: str) -> Told:
    assert scene.now is not None
    at = scene.lost.index.get(group)
    new = None if at is None else scene.lost.numbers.at(at)
    position = scene.now.groups.index.get(group)
    gone = None if position is None else scene.now.groups.lost.at(position)
    what = "records" if new is None else words.counted(new, "record")
    total = f"; {words.count(gone)} in all lie between its commits and the log starts" if gone and gone != new else ""
    said = f"{visible(group)} lost {what} before reading them: retention passed its commits{total}"
    return Told(said, {"lost": new, "behind_log_start": gone, **_group_numbers(scene.now, group)})


def _lost_no_more(
    scene: Scene, group: str, transition: Transition, began: Mapping[str, Any], numbers: dict[str, Any]
) -> Told:
    since = float(began.get("at", transition.at))
    # from the cycle before: what it lost at once counts, too
    total = lost_between(scene.cluster.pk, group, since - 2 * scene.cluster.interval_seconds, scene.at)
    numbers["lost"] = total
    lost = f"; {words.counted(total, 'record')} since {words.moment(since, now=scene.at)}" if total else ""
    return Told(f"{visible(group)} lost no record for {words.duration(transition.counted_seconds)}{lost}", numbers)


def _skewed(scene: Scene, topic: str) -> Told:
    assert scene.now is not None
    at = scene.now.topics.index.get(topic)
    if at is None or scene.now.topics.hot_partition[at] < 0:
        return Told(f"{visible(topic)} is spread unevenly over its partitions")
    partition, share = int(scene.now.topics.hot_partition[at]), float(scene.now.topics.hot_share[at])
    times = scene.now.topics.times_even.at(at) or 1.0
    readers = _readers_of(scene, at, topic, partition)
    read = f"; read by {', '.join(readers[:3])}{' and others' if len(readers) > 3 else ''}" if readers else ""
    said = (
        f"Partition {partition} of {visible(topic)} is hot: {100 * share:.0f}{words.THIN}% of the records, "
        f"{times:.1f} times its even share{read}"
    )
    return Told(said, {"partition": partition, "share": round(share, 3), "times_even": round(float(times), 2)})


def _readers_of(scene: Scene, position: int, topic: str, partition: int) -> list[str]:
    """The members that hold a partition: "member of group"."""
    assert scene.now is not None
    groups = scene.now.groups
    reading = [groups.names[i] for i in groups.gt_group[groups.gt_topic == position].tolist()]
    members = Member.objects.filter(group__cluster=scene.cluster, group__name__in=reading[:READERS_LOOKED_AT])
    return [
        f"{visible(str(member))} of {visible(member.group.name)}"
        for member in members.select_related("group").order_by("group__name", "client_id")
        if any(name == topic and partition in held for name, held in member.assignment)
    ]


def _behind(numbers: Mapping[str, Any]) -> str:
    lag = numbers.get("lag")
    return "" if lag is None else f"; {words.counted(lag, 'record')} {'waits' if lag == 1 else 'wait'}"


def _group_numbers(now: ClusterNow, group: str) -> dict[str, Any]:
    position = now.groups.index.get(group)
    if position is None:
        return {"lag": None, "consumed_per_second": None, "arriving_per_second": None}
    return {
        "lag": now.groups.lag.at(position),
        "consumed_per_second": _rounded(now.groups.consumed_per_second.at(position)),
        "arriving_per_second": _rounded(now.groups.arriving_per_second.at(position)),
    }


def _dead_letters_arrived(scene: Scene, topic: str) -> Told:
    assert scene.now is not None
    subjects = dead_letters(scene.now, scene.last, {topic: scene.dead_letters.get(topic, "?")})
    arrived = subjects.numbers.at(0) if len(subjects.numbers) else None
    source = scene.dead_letters.get(topic, "?")
    end = scene.now.topics.end_sum.at(scene.now.topics.index[topic]) if topic in scene.now.topics.index else None
    held = None if end is None else int(end) - first_offsets(scene.now, topic)
    of = f" of {visible(source)}" if source not in ("", "?") else ""
    total = f"; it holds {words.count(held)}" if held is not None and held != arrived else ""
    what = "dead letters arrived" if arrived is None else f"{words.counted(arrived, 'dead letter')} arrived"
    numbers = {
        "arrived": arrived,
        "held": held,
        "source": source if of else None,
        "end_before": None if end is None or arrived is None else int(end) - int(arrived),
    }
    return Told(f"{what[0].upper()}{what[1:]} in {visible(topic)}{of}{total}", numbers)


def _dead_letters_ended(
    scene: Scene, topic: str, began: Mapping[str, Any], transition: Transition, numbers: dict[str, Any]
) -> Told:
    total = None
    if scene.now is not None and topic in scene.now.topics.index:
        end = scene.now.topics.end_sum.at(scene.now.topics.index[topic])
        before = began.get("end_before")
        total = int(end) - int(before) if end is not None and before is not None and end >= before else None
    numbers["arrived"] = total
    quiet = words.duration(transition.counted_seconds)
    since = words.moment(float(began["at"]), now=scene.at) if "at" in began else ""
    came = f"; {words.count(total)} came since {since}" if total is not None and since else ""
    return Told(f"No dead letter arrived in {visible(topic)} for {quiet}{came}", numbers)


def _owners(row: Group | None) -> dict[tuple[str, int], str]:
    if row is None:
        return {}
    return {
        (str(topic), int(partition)): member.client_id or member.member_id
        for member in Member.objects.filter(group=row)
        for topic, partitions in member.assignment
        for partition in partitions
    }


def _group_type(row: Group | None) -> GroupType:
    try:
        return GroupType(row.type) if row is not None else GroupType.UNKNOWN
    except ValueError:
        return GroupType.UNKNOWN


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 2)
