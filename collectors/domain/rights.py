"""What a login may see of a cluster: each thing that is shown, the right it needs, and the words that grant it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from shlex import quote

NOT_AUTHORISED = "not authorised"
NOT_OFFERED = "not offered"
NONE_VISIBLE = "none visible to this login"
"""Kafka answers "there is none" and "you may not see any" alike."""
NOT_ASKED = "not asked yet"
NOTHING_TO_ASK = "no topic to ask about"
NO_NEWS = {NOT_ASKED, NONE_VISIBLE, NOTHING_TO_ASK}
"""That a new cluster's first topic or group appears tells nothing of rights."""


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that Streamgauge shows, and the least right that turns it on."""

    key: str
    shows: str
    operation: str  # Describe, DescribeConfigs or Read
    resource: str  # topic, group or cluster
    part: str  # of the survey: whose errors tell
    name: str = "*"  # of the resource: all of that kind, or this one

    @property
    def on(self) -> str:
        """What the right is on, as people say it: "topic", or "topic __consumer_offsets"."""
        return self.resource if self.name == "*" else f"{self.resource} {self.name}"


NEEDS = (
    Need("topics", "Topics, partitions, rates and log ends", "Describe", "topic", "metadata"),
    Need("groups", "Consumer groups, members and lag", "Describe", "group", "groups"),
    Need("log_dirs", "Sizes on disk", "Describe", "cluster", "log_dirs"),
    Need("quorum", "Controller and quorum", "Describe", "cluster", "quorum"),
    Need("topic_configs", "Retention and configuration of topics", "DescribeConfigs", "topic", "topic_configs"),
    Need("broker_configs", "Configuration of brokers", "DescribeConfigs", "cluster", "broker_configs"),
)
HEADS = Need("heads", "Age of the oldest unread record", "Read", "topic", "heads")
"""Only known once a record was asked for, which is when a group is in trouble or somebody looks: till then nothing is
said of it."""
COMMIT_TIMES = Need("commit_times", "Commit times", "Read", "topic", "commit_times", "__consumer_offsets")
"""Only where the cluster's setting is on: by itself nobody reads that topic."""
BY_KEY: Mapping[str, Need] = {need.key: need for need in (*NEEDS, HEADS, COMMIT_TIMES)}
_CONFLUENT = {"topic": "topic", "group": "consumer-group"}
_MSK = {
    "topics": ("DescribeTopic", "topic"),
    "groups": ("DescribeGroup", "group"),
    "log_dirs": ("DescribeCluster", "cluster"),
    "quorum": ("DescribeCluster", "cluster"),
    "topic_configs": ("DescribeTopicDynamicConfiguration", "topic"),
    "broker_configs": ("DescribeClusterDynamicConfiguration", "cluster"),
    "heads": ("ReadData", "topic"),
    "commit_times": ("ReadData", "topic"),
}
"""The action of an IAM policy (service authorization reference of Apache Kafka APIs for Amazon MSK)."""


@dataclass(frozen=True, slots=True)
class Right:
    """Whether one need is met. `why` is empty when it is; else the reason, NOT_AUTHORISED among them."""

    need: Need
    why: str = ""
    caution: str = ""  # it works, but what is seen may not be all

    @property
    def key(self) -> str:
        return self.need.key

    @property
    def shows(self) -> str:
        return self.need.shows

    @property
    def is_on(self) -> bool:
        return not self.why

    @property
    def is_missing(self) -> bool:
        """Whether a right would turn it on."""
        return self.why in (NOT_AUTHORISED, NONE_VISIBLE)

    def kafka_acls(self, principal: str, bootstrap: str) -> str:
        """The line of Kafka's own tool that grants it."""
        need = self.need
        name = "'*'" if need.name == "*" else need.name
        where = "--cluster" if need.resource == "cluster" else f"--{need.resource} {name}"
        return (
            f"kafka-acls --bootstrap-server {quote(bootstrap)} --add --allow-principal {quote('User:' + principal)} "
            f"--operation {need.operation} {where}"
        )

    def confluent(self, principal: str) -> str:
        """The same for Confluent Cloud, whose principals are service accounts (sa-…)."""
        need = self.need
        name = "'*'" if need.name == "*" else need.name
        where = "--cluster-scope" if need.resource == "cluster" else f"--{_CONFLUENT[need.resource]} {name}"
        operation = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", need.operation).lower()
        return (
            f"confluent kafka acl create --allow --service-account {quote(principal)} --operations {operation} {where}"
        )

    def msk(self) -> str:
        """The statement of an IAM policy for Amazon MSK; a SCRAM or TLS login there takes the kafka-acls line."""
        action, kind = _MSK[self.key]
        path = "cluster/NAME/*" if kind == "cluster" else f"{kind}/NAME/*/{self.need.name}"
        return (
            f'{{"Effect": "Allow", "Action": "kafka-cluster:{action}", '
            f'"Resource": "arn:aws:kafka:REGION:ACCOUNT:{path}"}}'
        )


@dataclass(frozen=True, slots=True)
class Sight:
    """What the cluster says of this login: whether there is an authorizer at all, and who may describe the cluster."""

    is_open: bool  # no authorizer: whoever signs in sees everything
    describes_cluster: bool  # and so sees every group
    taken_at: float


_SOME_TOPICS = "some topics are refused to this login"


def rights_of(
    sight: Sight | None,
    *,
    asked: Collection[str],
    refused: Mapping[str, str],
    topics: int,
    groups: int,
    hidden_topics: int = 0,
    hidden_groups: int = 0,
    partly: Collection[str] = (),
    has_read: bool = False,
    commit_times: str | None = None,
) -> tuple[Right, ...]:
    """Each need with whether it is met.

    `asked` are the parts of the survey that were asked at least once, `refused` the reasons of those that were
    refused for lasting (a right, or an API that this Kafka does not offer). Numbers are what is visible; hidden
    ones were seen before and are now refused by name. Parts in `partly` were refused for some subjects only. `has_read`
    says that some record was handed out to this login; `commit_times` why commits are not read ("": they are, None:
    nobody wants them read).
    """
    found = []
    is_open = sight is not None and sight.is_open
    sees_groups = is_open or (sight is not None and sight.describes_cluster)
    for need in NEEDS:
        why, caution = refused.get(need.part, ""), ""
        if not why and need.part not in asked:
            why = NOT_ASKED
        elif need.key == "topics" and not is_open:
            if hidden_topics and not topics:
                why = NOT_AUTHORISED
            elif not topics and not why:
                why = NONE_VISIBLE
            caution = _hidden(hidden_topics, "topic") or "Kafka does not even name the topics that a login may not see"
        elif need.key == "groups" and not sees_groups:
            if hidden_groups and not groups:
                why = NOT_AUTHORISED
            elif not groups and not why:
                why = NONE_VISIBLE
            caution = _hidden(hidden_groups, "group") or "only groups that this login may describe are listed"
        elif need.part in partly:
            caution = _SOME_TOPICS
        elif need.key == "topic_configs" and not topics and not why:
            why = NOT_AUTHORISED if hidden_topics else NOTHING_TO_ASK
        found.append(Right(need, why, "" if why else caution))
    if has_read or HEADS.part in refused:
        why = refused.get(HEADS.part, "")
        found.append(Right(HEADS, why, _SOME_TOPICS if HEADS.part in partly and not why else ""))
    if commit_times is not None:
        found.append(Right(COMMIT_TIMES, commit_times))
    return tuple(found)


def _hidden(count: int, what: str) -> str:
    if not count:
        return ""
    return f"{count} {what if count == 1 else what + 's'} seen before may no longer be described"


def missing(rights: Iterable[Right]) -> list[Right]:
    return [right for right in rights if right.is_missing]
