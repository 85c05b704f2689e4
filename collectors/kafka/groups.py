"""Groups of every type: listed by each broker, and described by the API of their type."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kafka.protocol.admin import DescribeGroupsRequest, ListGroupsRequest
from kafka.protocol.api_message import ApiMessage

from ..domain.assignments import Assignment
from ..domain.rights import NOT_AUTHORISED
from ..domain.scope import Scope
from ..domain.topology import Group, GroupType
from . import schemas
from .answers import Answered
from .described import described_group
from .exchange import Exchange
from .link import Call, Link, Request
from .reasons import Tally, reason_of_code

GROUPS_A_DESCRIBE = 200
_GROUP_REFUSED = 30
_GROUP_NOT_FOUND = 69
_NONE: frozenset[str] = frozenset()


class ConsumerGroupDescribeRequest(ApiMessage, load_json=schemas):  # type: ignore[call-arg,misc]  # a metaclass argument
    pass


class ConsumerGroupDescribeResponse(ApiMessage, load_json=schemas):  # type: ignore[call-arg,misc]  # as above
    pass


class ShareGroupDescribeRequest(ApiMessage, load_json=schemas):  # type: ignore[call-arg,misc]  # as above
    pass


class ShareGroupDescribeResponse(ApiMessage, load_json=schemas):  # type: ignore[call-arg,misc]  # as above
    pass


class StreamsGroupDescribeRequest(ApiMessage, load_json=schemas):  # type: ignore[call-arg,misc]  # as above
    pass


class StreamsGroupDescribeResponse(ApiMessage, load_json=schemas):  # type: ignore[call-arg,misc]  # as above
    pass


_DESCRIBE = {
    GroupType.CONSUMER: ConsumerGroupDescribeRequest,
    GroupType.SHARE: ShareGroupDescribeRequest,
    GroupType.STREAMS: StreamsGroupDescribeRequest,
}


@dataclass(frozen=True, slots=True)
class ListedGroups:
    groups: tuple[Group, ...]  # by name
    is_complete: bool  # every broker that the cluster lists has listed its groups
    hidden: frozenset[str] = frozenset()  # seen once, and now refused by name; among `groups` with that error
    left_out: int = 0  # groups that the scope does not take


def ask_groups(
    exchange: Exchange,
    link: Link,
    brokers: Iterable[int],
    previous: Mapping[str, Group],
    scope: Scope,
    deadline: float,
    tally: Tally,
) -> Answered[ListedGroups]:
    """List the groups of every broker, then describe those of the scope that may have members.

    Brokers that do not answer lose nothing: the groups they coordinated before stay, with the reason as error. So do
    groups that are listed no more because this login may not describe them: Kafka leaves those out in silence.
    """
    asked_at = time.time()
    found_all, silent = _list(exchange, link, brokers, deadline, tally)
    listed = {name: group for name, group in found_all.items() if scope.takes_group(name)}
    groups = _describe(exchange, link, listed, deadline, tally)
    if silent:
        for name, group in previous.items():
            if name not in groups and (group.coordinator in silent or group.coordinator is None):
                reason = silent.get(group.coordinator if group.coordinator is not None else -1, "not listed")
                why = f"its coordinator, broker {group.coordinator}, does not answer: {reason}"
                groups[name] = replace(group, members=(), error=why)
    missed = {name: g for name, g in previous.items() if name not in groups and scope.takes_group(name)}
    hidden, unknown = _look_up(exchange, link, brokers, missed, deadline, tally) if missed else (_NONE, _NONE)
    for name in hidden:
        groups[name] = replace(previous[name], members=(), error=NOT_AUTHORISED)
    for name in unknown:
        groups[name] = replace(
            previous[name], members=(), error="listed by no broker, and its coordinator is not there"
        )
    found = tuple(_within(groups[name], scope) for name in sorted(groups))
    left_out = len(found_all) - len(listed)
    return Answered(ListedGroups(found, not silent, hidden, left_out), asked_at, tally.errors())


def _look_up(
    exchange: Exchange, link: Link, brokers: Iterable[int], missed: Iterable[str], deadline: float, tally: Tally
) -> tuple[frozenset[str], frozenset[str]]:
    """Of groups that nobody lists any more: those that are refused by name, and those of which nothing is known.

    The others are gone: only a group's coordinator says so. While the coordinator of a group moves or loads, no broker
    lists the group, and all of them answer.
    """
    names = sorted(missed)
    suspects = exchange.suspects()
    batches = [names[start : start + GROUPS_A_DESCRIBE] for start in range(0, len(names), GROUPS_A_DESCRIBE)]
    asked = [
        (node, "groups", Request(DescribeGroupsRequest(groups=some, include_authorized_operations=False)), None)
        for node in brokers
        if node not in suspects
        for some in batches
    ]
    refused: set[str] = set()
    gone: set[str] = set()
    for call in exchange.gather(link, asked, deadline):
        try:
            described = call.answer.decode().groups if call.answer is not None else ()
        except (ValueError, IndexError, struct.error):
            continue
        for one in described:
            if one.error_code == _GROUP_REFUSED:
                refused.add(one.group_id)
            elif one.error_code == _GROUP_NOT_FOUND or (one.error_code == 0 and one.group_state == "Dead"):
                gone.add(one.group_id)
    unknown = set(names) - refused - gone
    tally.add("groups", NOT_AUTHORISED, None, len(refused))
    tally.add("groups", "groups that are no longer listed have no coordinator that answers", None, len(unknown))
    return frozenset(refused), frozenset(unknown)


def _within(group: Group, scope: Scope) -> Group:
    """The group without what its members read of topics that are left out."""
    if not (scope.topics_include or scope.topics_exclude) or not group.members:
        return group

    def within(assignment: Assignment) -> Assignment:
        return tuple(one for one in assignment if scope.takes_topic(one[0]))

    members = tuple(
        replace(
            m,
            assignment=within(m.assignment),
            moving=replace(m.moving, gets=within(m.moving.gets), gives=within(m.moving.gives)),
        )
        for m in group.members
    )
    return replace(group, members=members)


def _list(
    exchange: Exchange, link: Link, brokers: Iterable[int], deadline: float, tally: Tally
) -> tuple[dict[str, Group], dict[int, str]]:
    """Groups by name (not described yet), and the brokers that did not list theirs, with the reason."""
    listed: dict[str, Group] = {}
    suspects = exchange.suspects()
    silent = {node: suspects[node] for node in brokers if node in suspects}
    asked = [(node, "groups", Request(ListGroupsRequest()), None) for node in brokers if node not in suspects]
    for call in exchange.gather(link, asked, deadline):
        reason = None if call.answer else exchange.reason_of_call(call)
        if call.answer is not None:
            try:
                answer = call.answer.decode()
            except (ValueError, IndexError, struct.error):
                reason = "unreadable answer"
            else:
                if answer.error_code:
                    reason = reason_of_code(answer.error_code)
                for one in answer.groups:
                    found = listed_group(one, call.node)
                    listed[found.name] = found
        if reason is not None:
            silent[call.node] = reason
    for node, reason in silent.items():
        tally.add("groups", reason, node)
    return listed, silent


def listed_group(one: Any, coordinator: int) -> Group:
    """A group as ListGroups tells it; brokers before 3.8 name no type: theirs are classic."""
    named = (getattr(one, "group_type", None) or "classic").lower()
    kind = GroupType(named) if named in set(GroupType) else GroupType.UNKNOWN
    return Group(
        name=one.group_id,
        type=kind,
        state=getattr(one, "group_state", None) or "",
        protocol_type=one.protocol_type or "",
        coordinator=coordinator,
    )


def _describe(
    exchange: Exchange, link: Link, listed: dict[str, Group], deadline: float, tally: Tally
) -> dict[str, Group]:
    groups = dict(listed)
    batches: dict[tuple[int, GroupType], list[str]] = {}
    for name, group in listed.items():
        if group.type is GroupType.UNKNOWN:
            groups[name] = replace(group, error="a group type that is not known here: its members cannot be asked")
        elif not (group.type is GroupType.CLASSIC and group.state == "Empty"):  # an empty one has nobody to describe
            batches.setdefault((group.coordinator if group.coordinator is not None else -1, group.type), []).append(
                name
            )
    asked = []
    for (node, kind), names in batches.items():
        for start in range(0, len(names), GROUPS_A_DESCRIBE):
            some = names[start : start + GROUPS_A_DESCRIBE]
            asked.append((node, "describe", _request(kind, some), (kind, some)))
    for call in exchange.gather(link, asked, deadline):
        _take(call, exchange, groups, tally)
    return groups


def _request(kind: GroupType, names: list[str]) -> Request:
    if kind is GroupType.CLASSIC:
        return Request(DescribeGroupsRequest(groups=names, include_authorized_operations=False))
    return Request(_DESCRIBE[kind](group_ids=names, include_authorized_operations=False))


def _take(call: Call, exchange: Exchange, groups: dict[str, Group], tally: Tally) -> None:
    kind, names = call.tag
    reason = None if call.answer else exchange.reason_of_call(call)
    described: dict[str, Any] = {}
    if call.answer is not None:
        try:
            described = {one.group_id: one for one in call.answer.decode().groups}
        except (ValueError, IndexError, struct.error):
            reason = "unreadable answer"
    for name in names:
        one = described.get(name)
        if one is None:
            groups[name] = replace(groups[name], error=reason or "left out of the answer")
        elif one.error_code:
            reason_here = reason_of_code(one.error_code)
            groups[name] = replace(groups[name], error=reason_here)
            tally.add("describe", reason_here, call.node)
        else:
            groups[name] = described_group(groups[name], kind, one)
    if reason is not None:
        tally.add("describe", reason, call.node, len(names))
