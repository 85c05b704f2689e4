"""DescribeConfigs: topics by the hundred at any broker, each broker's own at that broker."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from kafka.protocol.admin import DescribeConfigsRequest

from ..domain.configuration import Setting, Settings, Source
from ..domain.words import storable
from .exchange import Exchange
from .link import Link, Request
from .reasons import Tally, reason_of_code

TOPICS_A_REQUEST = 200
LONGEST_VALUE = 2_000
_TOPIC, _BROKER = 2, 4  # ConfigResource types
_UNKNOWN_TOPIC = 3
_UNREADABLE = (ValueError, IndexError, struct.error)


def ask_topics(
    exchange: Exchange, link: Link, topics: Sequence[str], deadline: float, tally: Tally
) -> dict[str, Settings]:
    """Settings of those topics that were answered; one that has gone meanwhile is no error."""
    found: dict[str, Settings] = {}
    for first in range(0, len(topics), TOPICS_A_REQUEST):
        some = topics[first : first + TOPICS_A_REQUEST]
        answer = exchange.ask_any(link, "topic_configs", partial(_request, _TOPIC, some), deadline, tally)
        if answer is None:
            break  # the next ones would only wait for the same
        try:
            results = answer.decode().results
        except _UNREADABLE:
            tally.add("topic_configs", "unreadable answer", None)
            continue
        for one in results:
            if one.error_code not in (0, _UNKNOWN_TOPIC):
                tally.add("topic_configs", reason_of_code(one.error_code), None)
            elif not one.error_code:
                found[one.resource_name] = _settings(one.configs)
    return found


def ask_brokers(
    exchange: Exchange, link: Link, brokers: Iterable[int], deadline: float, tally: Tally
) -> dict[int, Settings]:
    """Settings of each broker, as it says itself; suspect ones are not asked."""
    found: dict[int, Settings] = {}
    suspects = exchange.suspects()
    asked = []
    for node in brokers:
        if node in suspects:
            tally.add("broker_configs", suspects[node], node)
        else:
            asked.append((node, "broker_configs", _request(_BROKER, [str(node)]), None))
    for call in exchange.gather(link, asked, deadline):
        if call.answer is None:
            tally.add("broker_configs", exchange.reason_of_call(call), call.node)
            continue
        try:
            results = call.answer.decode().results
        except _UNREADABLE:
            tally.add("broker_configs", "unreadable answer", call.node)
            continue
        for one in results:
            if one.error_code:
                tally.add("broker_configs", reason_of_code(one.error_code), call.node)
            else:
                found[call.node] = _settings(one.configs)
    return found


def _request(kind: int, names: Sequence[str]) -> Request:
    resource = DescribeConfigsRequest.DescribeConfigsResource
    asked = [resource(resource_type=kind, resource_name=name, configuration_keys=None) for name in names]
    return Request(DescribeConfigsRequest(resources=asked, include_synonyms=False, include_documentation=False))


def _settings(configs: Iterable[Any]) -> Settings:
    """Sorted by name; a sensitive value is never kept, whatever the broker sent."""
    made = (
        Setting(
            storable(one.name, 250),
            None if one.is_sensitive or one.value is None else storable(one.value, LONGEST_VALUE),
            Source.of(one.config_source),
            bool(one.is_sensitive),
        )
        for one in configs
    )
    return tuple(sorted(made, key=lambda one: one.name))
