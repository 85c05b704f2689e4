"""What one cycle asks of a cluster, commits before log ends, and what is put together from the answers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from .commit_epochs import CommitEpochs
from .domain.abandoned import Abandoned
from .domain.numbers import Column, Layout, Numbers
from .domain.rebalances import Rebalances
from .domain.rights import NOT_AUTHORISED, NOT_OFFERED
from .domain.topology import Group, GroupType, LogDir, Metadata, Reach
from .domain.transactions import HeldTopics
from .domain.verdicts import GroupRow
from .expected_commits import ExpectedCommits
from .history.kinds import Kind
from .history.layouts import stored
from .kafka.answers import OffsetsAnswer
from .kafka.exchange import BrokerReach
from .kafka.peek import PART as HEADS
from .kafka.session import PartError, Session
from .kafka.survey import Survey, SurveyState
from .share_groups import ShareGroups
from .waiting import Observation

SHARE_OF_INTERVAL = 0.4
"""Each of the two rounds of requests may take this share of the interval, so that a cycle ends before the next."""
LONGEST_BUDGET_SECONDS = 10.0
MOVED_SECONDS = 1.0
"""How long a cycle waits for metadata that says where leaders went, before their ends are not known in it."""
OTHER_CLUSTER = "cluster"
"""The part of a cycle's errors that says that the address leads to another cluster."""
NOT_LISTED = "not listed yet"
"""Why a first cycle has no commits: the groups were asked for, and no answer has come so far."""


def budget_seconds(interval_seconds: float) -> float:
    """How long the answers of one round are awaited; two rounds stay below the interval and thus the lease."""
    return min(SHARE_OF_INTERVAL * interval_seconds, LONGEST_BUDGET_SECONDS)


class Asking:
    """Asks a cluster, cycle by cycle, and remembers between two of them what the next one is put together from."""

    def __init__(
        self,
        session: Session,
        survey: Survey,
        *,
        interval: float,
        known_brokers: Callable[[], frozenset[int]],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`known_brokers`: those that the cluster had before, if only its list lacks them now."""
        self.session = session
        self.survey = survey
        self.interval = interval
        self.clock = clock
        self.monotonic = monotonic
        self.observed: SurveyState | None = None
        """Of the newest cycle."""
        self.share_groups = ShareGroups(session, interval=interval, monotonic=monotonic)
        self._known_brokers = known_brokers
        self._rebalances = Rebalances()
        self._expected_groups = ExpectedCommits()
        self._commit_epochs = CommitEpochs()
        self._abandoned = Abandoned()
        self._stored: dict[Kind, Column] = {}  # what is stored when it changes, as it was stored last
        self._held = HeldTopics()
        self._ends: OffsetsAnswer | None = None  # of the cycle before
        self._requests_before = 0
        self._unlisted: tuple[str, Layout, np.ndarray[tuple[int], np.dtype[np.int64]]] | None = None

    def remember_abandoned(self, left: Column) -> None:
        """What groups had left behind before a restart, as it was stored."""
        self._abandoned = Abandoned((group, topic) for group, topic, _ in left.layout.position)
        self._stored[Kind.ABANDONED] = left

    def ask(self, state: SurveyState, met_before: Mapping[int, BrokerReach]) -> Observation:
        """One cycle's questions and what is put together from their answers; never an error of Kafka's.

        `state` is what the survey knows, `met_before` how the connections stood when the cycle began.
        """
        started_at = self.clock()
        budget = budget_seconds(self.interval)
        # what this Kafka does not offer is no error, nor that records are not for this login; the rights say so
        errors = [e for e in state.errors if e.reason != NOT_OFFERED and (e.part, e.reason) != (HEADS, NOT_AUTHORISED)]
        columns: dict[Kind, Column] = {}
        committed: Column | None = None
        if state.groups is not None and (self.observed is None or state.groups is not self.observed.groups):
            self._rebalances.look(state.groups, now=started_at)
        groups = {g.name: _group_row(g, self._rebalances) for g in state.groups or ()}
        taken_at = self.clock()
        answered = 0
        if state.metadata is not None and state.layout is not None:
            # commits before ends: lag can then only be overstated, by what arrives in between
            if state.groups is not None:
                # and share groups before commits: to wait for them would put commits and ends further apart
                began = self.monotonic()
                errors += self.share_groups.ask(state.groups, state.layout, state.metadata, budget_seconds=budget)
                wanted = sorted(group.name for group in state.groups if group.type is not GroupType.SHARE)
                commits = self.session.ask_commits(wanted, budget_seconds=self._left(budget, began))
                errors += commits.errors
                answered += int(commits.column.numbers.known.sum())
                self._look_for_unlisted(commits.column, state.layout)
                commits, epochs = self._commit_epochs.take(
                    commits, state.layout, state.metadata, lambda known: self._newer_metadata(known, budget / 2)
                )
                if self._is_news(Kind.EPOCH, epochs, state):
                    columns[Kind.EPOCH] = epochs
                expected = self._expected_groups.add_to(commits, state.groups, state.metadata)
                looked_at = state.groups_taken_at or 0.0
                committed, left_behind = self._abandoned.take(
                    expected, state.groups, looked_at=looked_at, now=started_at
                )
                if self._abandoned.wants_look(looked_at=looked_at, now=started_at):
                    self.survey.poke("groups")
                if self._is_news(Kind.ABANDONED, left_behind, state):
                    columns[Kind.ABANDONED] = left_behind
            elif "groups" not in {error.part for error in errors}:
                errors.append(PartError("groups", NOT_LISTED, None))  # no commits in this cycle, and that is said
            taken_at = self.clock()
            began = self.monotonic()
            stable = self._ask_held(state, state.layout, state.metadata, budget)
            ends = self._ask_ends(state.layout, state.metadata, self._left(budget, began))
            errors += ends.errors
            columns[Kind.END] = ends.column
            if stable is not None and self._ends is not None:
                columns[Kind.STABLE] = self._held.settle(stable, self._ends.column, ends.column)
            self._ends = ends
            if committed is not None:
                columns[Kind.COMMITTED] = self.share_groups.add_to(committed, ends.column)
            answered += int(ends.column.numbers.known.sum())
        if state.starts is not None and self._has_new_starts(state):
            columns[Kind.START] = state.starts.column
        if state.sizes is not None and (self.observed is None or state.sizes is not self.observed.sizes):
            columns[Kind.SIZE] = state.sizes
        if state.log_dirs is not None and (self.observed is None or state.log_dirs is not self.observed.log_dirs):
            columns[Kind.DISK] = _disk_column(state.log_dirs, state.log_dirs_answered)
        if state.metadata is not None and (self.observed is None or state.metadata is not self.observed.metadata):
            columns[Kind.LEADERS] = _leaders_column(state.metadata)
        reach = self.reach(state, met_before)
        columns[Kind.BROKER] = _broker_column(reach)
        asked = [columns[k].numbers.known for k in (Kind.END, Kind.COMMITTED) if k in columns]
        total = sum(len(known) for known in asked)
        others = self._commit_epochs.others if committed is not None else 0
        requests_now = self.session.requests
        requests, self._requests_before = requests_now - self._requests_before, requests_now
        self.observed = state
        return Observation(
            started_at=started_at,
            taken_at=taken_at,
            columns=columns,
            groups=groups,
            reach=reach,
            requests=requests,
            errors=tuple(errors),
            is_reachable=_is_reached(answered, total, reach, errors),
            # an offset of another log was answered
            completeness=(sum(int(known.sum()) for known in asked) + others) / total if total else 0.0,
        )

    def _look_for_unlisted(self, commits: Column, layout: Layout) -> None:
        """Have metadata asked anew when groups commit on a topic that it does not list: one that was just made, or was
        deleted and made anew. Commits that only lie there, on a topic that is gone, are no reason."""
        known = commits.numbers.values[stored(layout).positions_by_topic(stored(commits.layout)) < 0]
        before, self._unlisted = self._unlisted, (commits.layout.digest, layout, known)
        is_same = before is not None and before[:2] == self._unlisted[:2] and np.array_equal(before[2], known)
        if len(known) and not is_same:
            self.survey.poke("metadata")

    def _left(self, budget: float, began: float) -> float:
        """Of a round's budget, for the last question of the round: half of it at least."""
        return max(budget / 2, budget - (self.monotonic() - began))

    def _ask_held(self, state: SurveyState, layout: Layout, metadata: Metadata, budget: float) -> Column | None:
        """Last stable offsets where an open transaction holds records back, before log ends; None where none does."""
        if state.stable is not None and self._ends is not None and self._ends.asked_at < state.stable.asked_at:
            self._held.look(state.stable.column, self._ends.column)
        asked = self._held.partitions(layout)
        if not len(asked):
            return None
        return self.session.ask_held_offsets(asked, metadata, budget_seconds=budget / 4).column

    def _is_news(self, kind: Kind, column: Column, state: SurveyState) -> bool:
        """Whether it is to be stored: it differs from what was, or is due again, with each look at the log starts."""
        before = self._stored.get(kind, Column.empty())
        if column.equals(before) and not (len(column.layout) and self._has_new_starts(state)):
            return False
        self._stored[kind] = column
        return True

    def _has_new_starts(self, state: SurveyState) -> bool:
        return self.observed is None or state.starts is not self.observed.starts

    def _newer_metadata(self, known: Metadata, seconds: float) -> Metadata | None:
        self.survey.poke("metadata")
        return self.survey.wait_for_metadata(known, min(MOVED_SECONDS, seconds))

    def _ask_ends(self, layout: Layout, metadata: Metadata, budget: float) -> OffsetsAnswer:
        """Log ends; where leaders have moved, once more by the metadata that says where to."""
        began = self.monotonic()
        ends = self.session.ask_end_offsets(layout, metadata, budget_seconds=budget)
        if not ends.has_moved:
            return ends
        left = budget - (self.monotonic() - began)
        newer = self.survey.wait_for_metadata(metadata, min(MOVED_SECONDS, left / 2)) if left > 0 else None
        if newer is None:
            return ends
        left = max(0.0, budget - (self.monotonic() - began))
        return ends.filled_by(self.session.ask_end_offsets(layout, newer, budget_seconds=left))

    def reach(self, state: SurveyState, met_before: Mapping[int, BrokerReach]) -> dict[int, tuple[Reach, str]]:
        """Who answers: the connections say suspect at once, the cluster's own list says down.

        `met_before`: how the connections stood when the cycle began. One that was closed since, because a newer list
        than that of this cycle lacks its broker, is no broker that answers again.
        """
        if any(error.part == OTHER_CLUSTER for error in state.errors):
            return {}  # its brokers are not ours, though they have the same numbers
        met = {**met_before, **self.session.reach()}
        if state.metadata is None:
            return {node: (max(Reach.SUSPECT, r.state), r.reason) for node, r in met.items() if r.state is not Reach.UP}
        listed = {node.node_id for node in state.metadata.brokers}
        named = {r for topic in state.metadata.topics for p in topic.partitions for r in p.replicas}
        # not the voters of the quorum: controllers of their own are no brokers, and are never listed as such
        known = self._known_brokers() | named
        reach = {}
        for node in sorted(known | listed):
            if node not in listed:
                reach[node] = (Reach.DOWN, "the cluster no longer lists it")
            elif node in met and met[node].state is Reach.SUSPECT:
                reach[node] = (Reach.SUSPECT, met[node].reason)
            else:
                reach[node] = (Reach.UP, "")
        return reach


def _group_row(group: Group, rebalances: Rebalances) -> GroupRow:
    members = len(group.members) if group.error is None else None
    name = group.name
    return GroupRow(
        name,
        group.type,
        members,
        rebalances.count(name),
        rebalances.is_storm(name),
        is_simple=group.is_simple,
        members_since=rebalances.members_since(name),
    )


def _is_reached(answered: int, asked: int, reach: dict[int, tuple[Reach, str]], errors: Iterable[PartError]) -> bool:
    """Whether the cluster answered, if only that we may not know; where there is nothing to ask for (no topic yet),
    whether a broker is up."""
    if answered or not asked:
        return answered > 0 or any(state is Reach.UP for state, _ in reach.values())
    return any(error.reason == NOT_AUTHORISED and error.part in ("end_offsets", "commits") for error in errors)


def _broker_column(reach: dict[int, tuple[Reach, str]]) -> Column:
    layout = Layout.single(str(node) for node in reach)
    values = np.array([int(reach[int(owner)][0]) for owner in layout.owners], dtype=np.int64)
    return Column(layout, Numbers(values, np.ones(len(layout), dtype=np.bool_)))


def _disk_column(log_dirs: Iterable[LogDir], answered: frozenset[int]) -> Column:
    """Bytes by broker; not known of one that did not answer, or that has a directory it cannot read."""
    sizes: dict[int, int | None] = {}
    for one in log_dirs:
        before = sizes.get(one.broker_id, 0)
        is_known = one.broker_id in answered and one.error is None and before is not None
        sizes[one.broker_id] = (before or 0) + one.size_bytes if is_known else None
    return _singles(sizes)


def _leaders_column(metadata: Metadata) -> Column:
    """Partitions led by each listed broker."""
    led = Counter(partition.leader for topic in metadata.topics for partition in topic.partitions)
    return _singles({node.node_id: led[node.node_id] for node in metadata.brokers})


def _singles(values: dict[int, int | None]) -> Column:
    layout = Layout.single(str(node) for node in values)
    return Column(layout, Numbers.of([values[int(owner)] for owner in layout.owners]))
