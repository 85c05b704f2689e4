"""One long-lived set of connections per cluster and process: every question has a budget and always an answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..domain.numbers import Layout
from ..domain.rights import Sight
from ..domain.scope import ALL, Scope
from ..domain.topology import Group, Metadata, Quorum, Topic
from . import configs, peek, slow, wire
from .answers import Answered, CommitsAnswer, ConfigsAnswer, LogDirsAnswer, OffsetsAnswer, ShareLagAnswer
from .commits import CommitBook
from .exchange import BrokerReach, Exchange
from .groups import ListedGroups, ask_groups
from .log_dirs import ask_log_dirs
from .offsets import OffsetPlans, leaders_of
from .reasons import PartError, Tally
from .settings import ConnectionSettings
from .share_lag import ShareLagBook

__all__ = [
    "Answered",
    "BrokerReach",
    "CommitsAnswer",
    "ListedGroups",
    "LogDirsAnswer",
    "OffsetsAnswer",
    "PartError",
    "Session",
    "ShareLagAnswer",
]


class Session:
    """Asks one cluster. Safe for one cycle thread (offsets, commits) and one survey thread (the other questions).

    An answer is awaited for `budget_seconds`; what came is returned, the rest is an error with its reason, and
    the call is left running until the library's own time-out (15 s) closes that connection. Nothing here raises
    for an unreachable broker.
    """

    def __init__(self, settings: ConnectionSettings, *, client_id: str = "streamgauge", scope: Scope = ALL) -> None:
        """Does not connect; the first question does. What `scope` leaves out is in no answer."""
        self.scope = scope
        self._exchange = Exchange(settings, settings.client_id if client_id == "streamgauge" else client_id)
        self._offsets = OffsetPlans(self._exchange)
        self._commits = CommitBook(self._exchange, scope)
        self._share_lag = ShareLagBook(self._exchange, scope)
        self._metadata = slow.MetadataAsker(self._exchange, scope)

    def remember(
        self,
        topics: Iterable[Topic],
        commits: Mapping[str, Iterable[tuple[str, Sequence[int]]]] | None = None,
        shares: Mapping[str, Iterable[tuple[str, Sequence[int]]]] | None = None,
    ) -> None:
        """What was there before this session, so that it is missed when Kafka leaves it out. Before the first question.

        `commits` are (topic, partitions) by group, and `shares` of share groups.
        """
        self._metadata.remember(topics)
        self._commits.remember(commits or {})
        self._share_lag.remember(shares or {})

    # --- each cycle ---------------------------------------------------------------------------------------

    def ask_end_offsets(self, layout: Layout, metadata: Metadata, *, budget_seconds: float) -> OffsetsAnswer:
        """Log end of every position of a layout of topics; brokers that lead nothing get a ping beside."""
        deadline = _deadline(budget_seconds)
        return self._offsets.ask("end_offsets", wire.LATEST, layout, metadata, deadline)

    def ask_stable_offsets(self, layout: Layout, metadata: Metadata, *, budget_seconds: float) -> OffsetsAnswer:
        """Last stable offset of every position of a layout of topics: below it every transaction has ended."""
        deadline = _deadline(budget_seconds)
        return self._offsets.ask("stable_offsets", wire.LATEST, layout, metadata, deadline, stable=True, pings=False)

    def ask_held_offsets(self, layout: Layout, metadata: Metadata, *, budget_seconds: float) -> OffsetsAnswer:
        """The same of the few partitions that are asked for in each cycle, as an open transaction holds them back."""
        deadline = _deadline(budget_seconds)
        return self._offsets.ask("held_offsets", wire.LATEST, layout, metadata, deadline, stable=True, pings=False)

    def ask_start_offsets(self, layout: Layout, metadata: Metadata, *, budget_seconds: float) -> OffsetsAnswer:
        """Log start of every position of a layout of topics."""
        deadline = _deadline(budget_seconds)
        return self._offsets.ask("start_offsets", wire.EARLIEST, layout, metadata, deadline)

    def ask_first_records(self, layout: Layout, metadata: Metadata, *, budget_seconds: float) -> OffsetsAnswer:
        """Offset of the first record that exists, of a layout of compacted topics: their log start tells nothing.

        Not known, without an error, where there is no record.
        """
        return self._offsets.ask("first_records", 0, layout, metadata, _deadline(budget_seconds), pings=False)

    def ask_offsets_at(
        self, moment: float, layout: Layout, metadata: Metadata, *, budget_seconds: float
    ) -> OffsetsAnswer:
        """Offset of the first record at or after a moment (unix seconds); not known where there is none, without an
        error then."""
        return self._offsets.ask_once("past_offsets", round(moment * 1000), layout, metadata, _deadline(budget_seconds))

    def ask_commits(self, groups: Sequence[str], *, budget_seconds: float) -> CommitsAnswer:
        """Committed offsets of the groups, all their coordinators asked at once."""
        return self._commits.ask(groups, _deadline(budget_seconds))

    def ask_share_ends(self, layout: Layout, metadata: Metadata, *, budget_seconds: float) -> OffsetsAnswer:
        """Log ends of what share groups read, asked before their lag."""
        deadline = _deadline(budget_seconds)
        return self._offsets.ask("share_ends", wire.LATEST, layout, metadata, deadline, pings=False)

    def ask_share_lag(self, coordinators: Mapping[str, int | None], *, budget_seconds: float) -> ShareLagAnswer:
        """What the brokers count as the lag of share groups, given with the coordinator of each."""
        return self._share_lag.ask(coordinators, _deadline(budget_seconds))

    # --- slow facts ---------------------------------------------------------------------------------------

    def ask_metadata(self, *, budget_seconds: float) -> Answered[Metadata]:
        """Brokers and topics; `value.topics` is the same object as long as nothing about topics has changed."""
        asked_at, deadline, tally = time.time(), _deadline(budget_seconds), Tally()
        link = self._exchange.connected(deadline, tally)
        found = self._metadata.ask(link, deadline, tally) if link is not None else None
        if found is not None:
            self._commits.learn(found.hidden, asked_at)
            self._share_lag.learn(found.hidden, asked_at)
        return Answered(found, asked_at, tally.errors())

    def ask_groups(
        self, metadata: Metadata, previous: Iterable[Group] = (), *, budget_seconds: float
    ) -> Answered[ListedGroups]:
        """All groups with members; `previous` are kept for brokers that do not answer."""
        asked_at, deadline, tally = time.time(), _deadline(budget_seconds), Tally()
        link = self._exchange.connected(deadline, tally)
        if link is None:
            return Answered(None, asked_at, tally.errors())
        known = {group.name: group for group in previous}
        return ask_groups(self._exchange, link, _nodes(metadata), known, self.scope, deadline, tally)

    def ask_log_dirs(self, layout: Layout, metadata: Metadata, *, budget_seconds: float) -> LogDirsAnswer | None:
        """Directories of every broker and the bytes of every leader replica; None when not even connected."""
        deadline, tally = _deadline(budget_seconds), Tally()
        link = self._exchange.connected(deadline, tally)
        if link is None:
            return None
        leaders = leaders_of(layout, metadata)
        return ask_log_dirs(self._exchange, link, layout, leaders, _nodes(metadata), deadline, tally)

    def ask_quorum(self, *, budget_seconds: float) -> Answered[Quorum]:
        asked_at, deadline, tally = time.time(), _deadline(budget_seconds), Tally()
        link = self._exchange.connected(deadline, tally)
        found = slow.ask_quorum(self._exchange, link, deadline, tally) if link is not None else None
        return Answered(found, asked_at, tally.errors())

    def ask_topic_configs(self, topics: Sequence[str], *, budget_seconds: float) -> ConfigsAnswer | None:
        """How the topics are set; None when not even connected."""
        deadline, tally = _deadline(budget_seconds), Tally()
        link = self._exchange.connected(deadline, tally)
        return configs.ask_topic_configs(self._exchange, link, topics, deadline, tally) if link is not None else None

    def ask_broker_configs(self, metadata: Metadata, *, budget_seconds: float) -> ConfigsAnswer | None:
        """How the brokers are set, by node id as text; None when not even connected."""
        deadline, tally = _deadline(budget_seconds), Tally()
        link = self._exchange.connected(deadline, tally)
        if link is None:
            return None
        return configs.ask_broker_configs(self._exchange, link, _nodes(metadata), deadline, tally)

    def ask_sight(self, *, budget_seconds: float) -> Answered[Sight]:
        """Whether anything may be hidden from this login."""
        asked_at, deadline, tally = time.time(), _deadline(budget_seconds), Tally()
        link = self._exchange.connected(deadline, tally)
        found = configs.ask_sight(self._exchange, link, deadline, tally) if link is not None else None
        return Answered(found, asked_at, tally.errors())

    def ask_versions(self, metadata: Metadata, *, budget_seconds: float) -> Answered[dict[int, str]]:
        """{broker: "4.3"} of the brokers that answered."""
        asked_at, deadline, tally = time.time(), _deadline(budget_seconds), Tally()
        link = self._exchange.connected(deadline, tally)
        found = None
        if link is not None:
            found = slow.ask_versions(self._exchange, link, _nodes(metadata), deadline, tally)
        return Answered(found, asked_at, tally.errors())

    def ask_heads(self, places: Iterable[peek.Place], *, budget_seconds: float) -> peek.HeadsAnswer:
        """The first record at or after each (topic, partition, offset), a few places at once."""
        return peek.ask_heads(self._exchange, places, _deadline(budget_seconds))

    def probe_suspects(self) -> None:
        """Knock at suspect brokers without waiting, so that one that is back is seen although it leads nothing."""
        self._exchange.probe_suspects()

    # --- what is known anyway -----------------------------------------------------------------------------

    def reach(self) -> dict[int, BrokerReach]:
        """UP or SUSPECT for every broker ever asked and still listed. Never waits."""
        return self._exchange.reach()

    def call_on_attention(self, callback: Callable[[], None] | None) -> None:
        """Have `callback` called (any thread, must not block) when our picture of the cluster looks old."""
        self._exchange.on_attention = callback

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        return self._exchange.requests

    @property
    def bytes_in(self) -> int:
        return self._exchange.bytes_in

    @property
    def bytes_out(self) -> int:
        return self._exchange.bytes_out

    def close(self) -> None:
        """End the connections and their thread; later questions are answered "closed"."""
        self._exchange.close()


def _deadline(budget_seconds: float) -> float:
    return time.monotonic() + budget_seconds


def _nodes(metadata: Metadata) -> list[int]:
    return [node.node_id for node in metadata.brokers]
