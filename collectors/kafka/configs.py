"""How topics and brokers are set (DescribeConfigs), and what the cluster says of this login (DescribeCluster, ACLs)."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Sequence

from kafka.protocol.admin import DescribeAclsRequest, DescribeClusterRequest, DescribeConfigsRequest

from ..domain.configuration import Config, Source
from ..domain.rights import Sight
from .answers import ConfigsAnswer
from .exchange import Exchange
from .link import Answer, Link, Request
from .reasons import Tally, reason_of_code

TOPIC, BROKER = 2, 4  # ConfigResource types
ANY = 1  # of ACL filters
TOPICS_A_REQUEST = 100
_DESCRIBE = 8  # AclOperation.DESCRIBE
_SECURITY_DISABLED = 54
_UNREADABLE = (ValueError, IndexError, struct.error)


def ask_topic_configs(
    exchange: Exchange, link: Link, topics: Sequence[str], deadline: float, tally: Tally
) -> ConfigsAnswer:
    """Configurations of the topics, by name; those without an answer are left out, with their reasons counted."""
    found: dict[str, Config] = {}
    refused: dict[str, str] = {}
    for start in range(0, len(topics), TOPICS_A_REQUEST):
        names = topics[start : start + TOPICS_A_REQUEST]

        def make(names: Sequence[str] = names) -> Request:
            return _request(TOPIC, names)

        answer = exchange.ask_any(link, "topic_configs", make, deadline, tally)
        if answer is None:
            break
        _read(answer, "topic_configs", found, refused, tally)
    return ConfigsAnswer(found, refused, tally.errors())


def ask_broker_configs(
    exchange: Exchange, link: Link, brokers: Iterable[int], deadline: float, tally: Tally
) -> ConfigsAnswer:
    """Configurations of the brokers, by node id as text; each broker tells its own."""
    suspects = exchange.suspects()
    asked = []
    for node in brokers:
        if node in suspects:
            tally.add("broker_configs", suspects[node], node)
        else:
            asked.append((node, "broker_configs", _request(BROKER, [str(node)]), None))
    found: dict[str, Config] = {}
    refused: dict[str, str] = {}
    for call in exchange.gather(link, asked, deadline):
        if call.answer is None:
            tally.add("broker_configs", exchange.reason_of_call(call), call.node)
        else:
            _read(call.answer, "broker_configs", found, refused, tally)
    return ConfigsAnswer(found, refused, tally.errors())


def ask_sight(exchange: Exchange, link: Link, deadline: float, tally: Tally) -> Sight | None:
    """Whether anything may be hidden from this login. Kafka refuses the list of ACLs in different words where there
    is no authorizer: only that proves that nothing is."""

    def cluster() -> Request:
        return Request(DescribeClusterRequest(include_cluster_authorized_operations=True))

    def acls() -> Request:
        return Request(
            DescribeAclsRequest(
                resource_type_filter=ANY,
                resource_name_filter=None,
                pattern_type_filter=ANY,
                principal_filter=None,
                host_filter=None,
                operation=ANY,
                permission_type=ANY,
            )
        )

    told = exchange.ask_any(link, "rights", cluster, deadline, tally)
    listed = exchange.ask_any(link, "rights", acls, deadline, tally, aside=True)
    if told is None or listed is None:
        return None
    try:
        operations = told.decode().authorized_operations or ()  # None: not told
        is_open = int.from_bytes(listed.body[4:6], "big", signed=True) == _SECURITY_DISABLED
    except _UNREADABLE:
        tally.add("rights", "unreadable answer", None)
        return None
    return Sight(is_open, is_open or _DESCRIBE in operations, time.time())


def _request(kind: int, names: Sequence[str]) -> Request:
    resource = DescribeConfigsRequest.DescribeConfigsResource
    asked = [resource(resource_type=kind, resource_name=name, configuration_keys=None) for name in names]
    return Request(DescribeConfigsRequest(resources=asked, include_synonyms=False, include_documentation=False))


def _read(answer: Answer, part: str, found: dict[str, Config], refused: dict[str, str], tally: Tally) -> None:
    try:
        results = answer.decode().results
    except _UNREADABLE:
        tally.add(part, "unreadable answer", None)
        return
    for one in results:
        if one.error_code:
            refused[one.resource_name] = reason_of_code(one.error_code)
            tally.add(part, refused[one.resource_name], None)
            continue
        found[one.resource_name] = Config(
            {
                entry.name: (None if entry.is_sensitive else entry.value, Source.of(entry.config_source))
                for entry in one.configs
            }
        )
