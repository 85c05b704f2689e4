"""What alerts say: one sentence with its numbers for each quantity, when it goes wrong and when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectors.domain import words
from collectors.domain.topology import Reach
from collectors.domain.words import visible
from collectors.history.now import ClusterNow
from collectors.models import Member

from . import backlogsentences, groupsentences, timesentences
from .readings import Quantity, dead_letters, first_offsets
from .rules import Reason, Transition
from .scene import Scene, Told

READERS_LOOKED_AT = 200
"""Groups of a topic whose members are looked through for who holds a partition."""


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
        return groupsentences.no_progress(scene, subject, began.get("at"))
    if quantity is Quantity.GROUP_FALLS_BEHIND:
        return groupsentences.falls_behind(scene, subject)
    if quantity is Quantity.GROUP_UNREAD_RATE:
        return groupsentences.unread(scene.now, subject)
    if quantity is Quantity.GROUP_RECORDS_LOST:
        return groupsentences.lost(scene, subject)
    if quantity is Quantity.GROUP_LAG:
        return backlogsentences.many_wait(scene.now, subject)
    if quantity is Quantity.GROUP_LOG_END_AGE:
        return timesentences.far_behind(scene.now, subject)
    if quantity is Quantity.GROUP_HEAD_AGE:
        return backlogsentences.head_is_old(scene.now, subject)
    if quantity is Quantity.GROUP_DRAIN:
        return backlogsentences.drains_late(scene.now, subject)
    if quantity is Quantity.GROUP_COUNTDOWN:
        return timesentences.soon_lost(scene.now, subject)
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
        return groupsentences.moves_again(scene, subject, after, numbers)
    if quantity is Quantity.GROUP_FALLS_BEHIND:
        return groupsentences.holds_its_own(scene, subject, after, numbers)
    if quantity is Quantity.GROUP_UNREAD_RATE:
        return groupsentences.read_again(scene.now, subject, after, numbers)
    if quantity is Quantity.GROUP_RECORDS_LOST:
        return groupsentences.lost_no_more(scene, subject, transition, began, numbers)
    if quantity is Quantity.GROUP_LAG:
        return backlogsentences.fewer_wait(scene.now, subject, after, numbers)
    if quantity is Quantity.GROUP_LOG_END_AGE:
        return timesentences.near_again(scene.now, subject, after, numbers)
    if quantity is Quantity.GROUP_HEAD_AGE:
        return backlogsentences.head_is_young(scene.now, subject, after, numbers)
    if quantity is Quantity.GROUP_DRAIN:
        return backlogsentences.drains_soon(scene.now, subject, after, numbers)
    if quantity is Quantity.GROUP_COUNTDOWN:
        return timesentences.safe_again(scene.now, subject, after, numbers)
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


def _skewed(scene: Scene, topic: str) -> Told:
    assert scene.now is not None
    at = scene.now.topics.index.get(topic)
    if at is None or scene.now.topics.hot_partition[at] < 0:
        return Told(f"{visible(topic)} is spread unevenly over its partitions")
    partition, share = int(scene.now.topics.hot_partition[at]), float(scene.now.topics.hot_share[at])
    times = scene.now.topics.times_even.at(at) or 1.0
    readers = _readers_of(scene, at, topic, partition) if scene.looks_closer() else []
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
