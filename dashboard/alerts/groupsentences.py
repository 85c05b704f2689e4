"""What alerts about consumer groups say, when it goes wrong and when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectors.domain import words
from collectors.domain.explanations import explain
from collectors.domain.topology import GroupType
from collectors.domain.verdicts import GroupRow, Verdict
from collectors.domain.words import visible
from collectors.history.now import ClusterNow
from collectors.history.queries import backlogs_at, lost_between, standing_partitions
from collectors.models import Group, Member

from .rules import Transition
from .scene import Scene, Told


def no_progress(scene: Scene, group: str, pending_since: float | None) -> Told:
    assert scene.now is not None
    numbers, since = group_numbers(scene.now, group), pending_since
    stored_verdict = scene.now.groups.verdict.at(scene.now.groups.index[group])
    is_unowned = stored_verdict == Verdict.UNOWNED
    if scene.looks_closer():
        row = Group.objects.filter(cluster=scene.cluster, name=group, gone_at=None).first()
        if row is not None and row.verdict_since is not None and row.verdict == Verdict.NO_PROGRESS:
            stored = row.verdict_since.timestamp()
            since = stored if stored <= scene.at else since  # else it has moved on from the cycle that is judged
        finding = explain(
            GroupRow(group, _group_type(row), row.member_count if row is not None else None),
            scene.window,
            verdict=Verdict.UNOWNED if is_unowned else Verdict.NO_PROGRESS,
            now=scene.at,
            since=since,
            owners=_owners(row),
            standing=frozenset() if is_unowned else standing_partitions(scene.now, group),
        )
        if finding.since is not None:
            numbers["no_progress_since"] = finding.since
        if scene.window.layout.owner_index(group) is not None and finding.sentence.startswith("No progress"):
            return Told(f"{visible(group)} makes {'n' + finding.sentence[1:]}", numbers)
        if finding.sentence.startswith("Unowned: "):
            return Told(f"Of {visible(group)}, {finding.sentence.removeprefix('Unowned: ')}", numbers)
    lag = numbers["lag"]
    waits = "" if lag is None else f": {words.counted(lag, 'record')} {'waits' if lag == 1 else 'wait'}"
    when = "" if since is None else f" since {words.moment(since, now=scene.at)}"
    what = "has partitions that no member was given" if is_unowned else "makes no progress"
    return Told(f"{visible(group)} {what}{when}{waits}", numbers)


def moves_again(scene: Scene, group: str, after: str, numbers: dict[str, Any]) -> Told:
    if scene.now is None or group not in scene.now.groups.index:
        return Told(f"{visible(group)} is known again and not standing still{after}", numbers)
    position = scene.now.groups.index[group]
    verdict = scene.now.groups.verdict.at(position)
    numbers |= group_numbers(scene.now, group)
    lag = numbers["lag"]
    left = "" if lag is None else f", {words.counted(lag, 'record')} behind"
    word = "" if verdict is None else Verdict(int(verdict)).word.replace("_", " ")
    if verdict == Verdict.NO_MEMBERS:
        return Told(f"{visible(group)} no longer stands still with members: it has none{after}{left}", numbers)
    if verdict in (None, Verdict.OK, Verdict.CATCHING_UP):
        return Told(f"{visible(group)} makes progress again{after}{left}", numbers)
    return Told(f"{visible(group)} makes progress again{after}, now {word}{left}", numbers)


def falls_behind(scene: Scene, group: str) -> Told:
    assert scene.now is not None
    numbers = group_numbers(scene.now, group)
    if scene.looks_closer():
        row = Group.objects.filter(cluster=scene.cluster, name=group, gone_at=None).first()
        members = row.member_count if row is not None else None
        finding = explain(
            GroupRow(group, _group_type(row), members), scene.window, verdict=Verdict.FALLING_BEHIND, now=scene.at
        )
        if finding.sentence.startswith("Falling behind: "):
            said = finding.sentence.removeprefix("Falling behind: ")
            return Told(f"{visible(group)} falls behind: {said}", numbers)
    return Told(f"{visible(group)} falls behind{behind(numbers)}", numbers)


def holds_its_own(scene: Scene, group: str, after: str, numbers: dict[str, Any]) -> Told:
    if scene.now is None or group not in scene.now.groups.index:
        return Told(f"{visible(group)} no longer falls behind{after}", numbers)
    verdict = scene.now.groups.verdict.at(scene.now.groups.index[group])
    numbers |= group_numbers(scene.now, group)
    is_well = verdict in (None, Verdict.OK, Verdict.CATCHING_UP)
    word = "" if is_well else f", now {Verdict(int(verdict or 0)).word.replace('_', ' ')}"
    how = ""
    if not word and scene.looks_closer() and scene.window.samples:
        part = scene.window.only(group)  # trends are of all groups that a window has
        told = Verdict.OK if verdict is None else Verdict(int(verdict))
        markers = int(backlogs_at(scene.now).marked[scene.now.groups.index[group]])
        row = GroupRow(group, GroupType.UNKNOWN, None)
        finding = explain(row, part, verdict=told, now=scene.at, markers=markers)
        how = f": {finding.sentence[:1].lower()}{finding.sentence[1:]}"
    return Told(f"{visible(group)} no longer falls behind{after}{word}{how or behind(numbers)}", numbers)


def unread(now: ClusterNow, group: str) -> Told:
    numbers = group_numbers(now, group)
    rate = numbers["arriving_per_second"]
    come = "records arrive" if rate is None else f"{words.rate(rate)} arrive"
    return Told(f"{visible(group)} has no members while {come}{behind(numbers)}", numbers)


def read_again(now: ClusterNow | None, group: str, after: str, numbers: dict[str, Any]) -> Told:
    if now is None or group not in now.groups.index:
        return Told(f"Of {visible(group)} nothing waits for members any more{after}", numbers)
    numbers |= group_numbers(now, group)
    position = now.groups.index[group]
    if now.groups.verdict.at(position) == Verdict.NO_MEMBERS:
        if now.groups.lag_state[position] == "no_commit":
            return Told(f"{visible(group)} has no committed offset any more, and no members{after}", numbers)
        return Told(f"Nothing arrives for {visible(group)} any more, which has no members{after}", numbers)
    row = Group.objects.filter(cluster=now.cluster_id, name=group, gone_at=None).first()
    if row is not None and row.is_read_alone:
        return Told(f"Somebody commits for {visible(group)} again, as no member{after}{behind(numbers)}", numbers)
    return Told(f"{visible(group)} has members again{after}{behind(numbers)}", numbers)


def lost(scene: Scene, group: str) -> Told:
    assert scene.now is not None
    at = scene.lost.index.get(group)
    new = None if at is None else scene.lost.numbers.at(at)
    position = scene.now.groups.index.get(group)
    gone = None if position is None else scene.now.groups.lost.at(position)
    what = "records" if new is None else words.counted(new, "record")
    total = f"; {words.count(gone)} in all lie between its place and the log starts" if gone and gone != new else ""
    said = f"{visible(group)} lost {what} before reading them: retention passed its place{total}"
    return Told(said, {"lost": new, "behind_log_start": gone, **group_numbers(scene.now, group)})


def lost_no_more(
    scene: Scene, group: str, transition: Transition, began: Mapping[str, Any], numbers: dict[str, Any]
) -> Told:
    since = float(began.get("at", transition.at))
    # from the cycle before: what it lost at once counts, too
    begin = since - 2 * scene.cluster.interval_seconds
    total = lost_between(scene.cluster.pk, group, begin, scene.at) if scene.looks_closer() else None
    numbers["lost"] = total
    lost = f"; {words.counted(total, 'record')} since {words.moment(since, now=scene.at)}" if total else ""
    return Told(f"{visible(group)} lost no record for {words.duration(transition.counted_seconds)}{lost}", numbers)


def behind(numbers: Mapping[str, Any]) -> str:
    lag = numbers.get("lag")
    return "" if lag is None else f"; {words.counted(lag, 'record')} {'waits' if lag == 1 else 'wait'}"


def group_numbers(now: ClusterNow, group: str) -> dict[str, Any]:
    position = now.groups.index.get(group)
    if position is None:
        return {"lag": None, "consumed_per_second": None, "arriving_per_second": None}
    return {
        "lag": now.groups.lag.at(position),
        "consumed_per_second": _rounded(now.groups.consumed_per_second.at(position)),
        "arriving_per_second": _rounded(now.groups.arriving_per_second.at(position)),
    }


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
