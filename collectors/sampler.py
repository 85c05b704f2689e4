"""The loop of one cluster: ask, decide, store, announce."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
from django.db import DatabaseError, InterfaceError, close_old_connections

from . import storage
from .commit_epochs import CommitEpochs
from .domain.abandoned import Abandoned
from .domain.losses import lost_at_newest
from .domain.numbers import Column, Layout, Numbers
from .domain.ownership import ownership
from .domain.rebalances import Rebalances
from .domain.rights import NOT_AUTHORISED, NOT_OFFERED
from .domain.topology import Group, GroupType, LogDir, Metadata, Partition, Reach, Topic
from .domain.transactions import HeldTopics
from .domain.verdicts import GroupRow, Verdict, judge_groups, severities, steadied, stood_since
from .domain.window import LENGTH, Window
from .domain.words import storable
from .expected_commits import ExpectedCommits
from .heads import HeadBook
from .history import queries
from .history.kinds import Kind
from .history.policies import losable
from .history.recents import recent_samples
from .kafka.answers import OffsetsAnswer
from .kafka.commit_tail import CommitTail
from .kafka.exchange import BrokerReach
from .kafka.peek import PART as HEADS
from .kafka.session import PartError, Session
from .kafka.survey import Survey, SurveyState
from .models import Cluster
from .models import Group as GroupLine
from .models import Topic as TopicLine
from .models.moments import aware
from .past import Past
from .share_groups import ShareGroups
from .waiting import Announce, LeaseLostError, Observation, Seen, Waiting

log = logging.getLogger(__name__)

SHARE_OF_INTERVAL = 0.4
"""Each of the two rounds of requests may take this share of the interval, so that a cycle ends before the next. The
round before them, where there are share groups, takes long only while a broker hangs that the two do not wait for."""
LONGEST_BUDGET_SECONDS = 10.0
EARLY_CYCLE_AFTER_SECONDS = 1.0
"""When brokers change, the next cycle comes at once, but never sooner than this after the last one."""
LOOK_SECONDS = 0.25
MOVED_SECONDS = 1.0
"""How long a cycle waits for metadata that says where leaders went, before their ends are not known in it."""
PAST_BUDGET_SECONDS, PAST_SHARE = 2.0, 0.2
"""What a step into the past of a new cluster may take, in seconds and of the interval."""
OTHER_CLUSTER = "cluster"
"""The part of a cycle's errors that says that the address leads to another cluster."""
NOT_LISTED = "not listed yet"
"""Why a first cycle has no commits: the groups were asked for, and no answer has come so far."""
UNREAD_STARTS_SECONDS = 8.0
"""Log starts are asked again after this, not each minute, while a group does not read or falls behind: records that
retention deletes before they are read are told within three cycles."""
CLOCK_STEP_SECONDS = 1.0
STORE_SHARE = 0.2
"""Of the interval: how long a cycle waits for the database's writer, before it stays in memory until the next one."""


def budget_seconds(interval_seconds: float) -> float:
    """How long the answers of one round are awaited; two rounds stay below the interval and thus the lease."""
    return min(SHARE_OF_INTERVAL * interval_seconds, LONGEST_BUDGET_SECONDS)


class Sampler:
    """Samples one cluster while the lease is held; `run` ends when told to stop or when the lease is lost."""

    def __init__(
        self,
        cluster: Cluster,
        session: Session,
        survey: Survey,
        *,
        holder: str,
        epoch: int,
        announce: Announce,
        missed: int = 0,
        tail: CommitTail | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cluster = cluster
        self.session = session
        self.survey = survey
        self.tail = tail
        self.clock = clock
        self.monotonic = monotonic
        self.name = f"sampler {cluster.slug}"
        self.interval = cluster.interval_seconds
        self.last_turn = 0.0
        self._stop = threading.Event()
        self._window = Window()
        self._judged: tuple[Column, Column] | None = None  # of the cycle before: as judged, and as told
        self._starts: object = None  # those that the window has
        self._rebalances = Rebalances()
        self._heads = HeadBook()
        self._wanted: frozenset[str] = frozenset()  # groups whose heads somebody wants read, as of the cycle before
        self._looked_for = self._wanted  # and those that the survey was told of
        self._owned: tuple[Layout, object, np.ndarray[tuple[int], np.dtype[np.int8]]] | None = None
        self.waiting = Waiting(
            cluster,
            scope=session.scope,
            holder=holder,
            epoch=epoch,
            missed=missed,
            announce=announce,
            stood_since=self._stood_since,
            is_ending=lambda: self._stop.is_set(),
            clock=clock,
        )
        self._past = Past(cluster.pk)
        self._observed: SurveyState | None = None  # of the newest cycle that was seen
        self._expected_groups = ExpectedCommits()
        self._share_groups = ShareGroups(session)
        self._commit_epochs = CommitEpochs()
        self._stored_epochs: Column | None = None
        self._abandoned = Abandoned()
        self._stored_abandoned = Column.empty()
        self._held = HeldTopics()
        self._ends: OffsetsAnswer | None = None  # of the cycle before
        self._requests_before = 0

    @property
    def lease_name(self) -> str:
        return self.waiting.lease_name

    @property
    def epoch(self) -> int:
        """Of the lease that this sampler holds, or held last."""
        return self.waiting.epoch

    @property
    def trouble(self) -> str:
        """Why nothing can be stored just now; "" when it can."""
        return self.waiting.trouble

    # --- the loop -----------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        self._stop = stop
        try:
            self.remember()
        except (DatabaseError, InterfaceError) as error:
            self.waiting.note_trouble(error)
        self.survey.start()
        if self.tail is not None:
            self.tail.start()
        try:
            self.survey.wait_first(budget_seconds(self.interval))
            try:
                self._rebuild_window()
            except (DatabaseError, InterfaceError) as error:
                self.waiting.note_trouble(error)
                self._window = Window()
            self._loop(stop)
        finally:
            if self.tail is not None:
                self.tail.stop(2.0)
            self.survey.stop(2.0)
            self.session.close()
            close_old_connections()

    def remember(self) -> None:
        """Tell the session and the survey what was there before: what Kafka leaves out now is then missed.

        Before the survey is started.
        """
        rows = self.waiting.rows()
        newest = [queries.column_at(self.cluster.pk, kind) for kind in (Kind.COMMITTED, Kind.ABANDONED)]
        committed, left = (found[0] if found is not None else Column.empty() for found in newest)
        members = _members_of(committed.layout, left.layout)
        shares = {name for name, row in rows.groups.items() if row.type == GroupType.SHARE}
        self.session.remember(
            [_topic(row) for row in rows.topics.values() if row.gone_at is None],
            {name: runs for name, runs in members.items() if name not in shares},
            {name: runs for name, runs in members.items() if name in shares},
        )
        self._abandoned = Abandoned((group, topic) for group, topic, _ in left.layout.position)
        self._stored_abandoned = left
        self.survey.remember_groups([_group(row) for row in rows.groups.values() if row.gone_at is None])

    def _loop(self, stop: threading.Event) -> None:
        due = self.monotonic()
        skipped = self.waiting.missed
        offset = self._clock_offset()
        stepped = 0.0
        while not stop.is_set():
            try:
                storage.wait_at_most(STORE_SHARE * self.interval)
                self.cycle(due_at=self.clock() - max(0.0, self.monotonic() - due), skipped=skipped, stepped=stepped)
            except LeaseLostError:
                log.warning("lease lost cluster=%s epoch=%s: sampling ends here", self.cluster.slug, self.epoch)
                return
            except (DatabaseError, InterfaceError) as error:
                self.waiting.note_trouble(error)
            else:
                self.waiting.note_success()
                self.last_turn = self.monotonic()
                self._look_back()
            finally:
                close_old_connections()  # back to the pool: it holds fewer than there may be clusters
            done = self.monotonic()
            due += self.interval
            # late: the passed due times are skipped and counted, never caught up with
            skipped = max(0, int((done - due) // self.interval) + 1) if done > due else 0
            due += skipped * self.interval
            brokers = self._brokers_look()
            while not stop.is_set() and self.monotonic() < due:
                stop.wait(min(LOOK_SECONDS, max(0.0, due - self.monotonic())))
                if self.monotonic() - done >= EARLY_CYCLE_AFTER_SECONDS and self._brokers_look() != brokers:
                    due = self.monotonic()
            drift = self._clock_offset() - offset
            stepped = drift if abs(drift) > CLOCK_STEP_SECONDS else 0.0
            if stepped:
                offset += drift
                due, skipped = self.monotonic(), 0
                self._window, self._judged = Window(), None

    def _look_back(self) -> None:
        """One step into the past of a new cluster; what goes wrong there costs no cycle."""
        state = self._observed
        if self._past.is_done or state is None or state.layout is None or state.metadata is None:
            return
        first = queries.first_taken_at(self.cluster.pk)
        if first is None:
            return
        budget = min(PAST_BUDGET_SECONDS, PAST_SHARE * self.interval)
        try:
            self._past.step(self.session, state.layout, state.metadata, first_sample=first, budget_seconds=budget)
        except (DatabaseError, InterfaceError) as error:
            log.info("past not stored cluster=%s reason=%s", self.cluster.slug, storage.why(error))

    def _clock_offset(self) -> float:
        """Wall clock less monotonic clock; read again when this thread was put aside between the two readings."""
        while True:
            before = self.monotonic()
            offset = self.clock() - before
            if self.monotonic() - before < CLOCK_STEP_SECONDS / 10:
                return offset

    def _brokers_look(self) -> tuple[object, ...]:
        """What makes a cycle come early when it changes: who answers, and whom the cluster lists."""
        metadata = self.survey.newest().metadata
        listed = frozenset(node.node_id for node in metadata.brokers) if metadata else frozenset()
        return (listed, *sorted((node, int(state.state)) for node, state in self.session.reach().items()))

    def _rebuild_window(self) -> None:
        """After a take-over or a restart the recent window comes from the stored frames."""
        for recent in recent_samples(self.cluster.pk, self.clock() - LENGTH * self.interval):
            recent.into(self._window)

    # --- one cycle ----------------------------------------------------------------------------------------

    def cycle(self, *, due_at: float, skipped: int = 0, stepped: float = 0.0) -> int:
        """One cycle, seen and stored; returns its number. LeaseLostError when nothing may be stored any more.

        A failure of the database is raised, and the cycle stored by a later call, with its own time.
        """
        # in this order: a broker that is let go of between the two is told by the cluster's list already
        met = self.session.reach()
        state = self._of_this_cluster(self.survey.newest())
        if self.tail is not None:
            self.tail.mark()
        seen = self._ask(state, met)
        self._observed = state
        if Kind.COMMITTED in seen.columns and Kind.END in seen.columns:
            seen.columns[Kind.VERDICT] = self._judge(state, seen)
            seen = replace(seen, lost=lost_at_newest(self._window))
            self._look_at_heads(state, seen)
        if self.tail is not None:
            seen = self._with_commit_times(self.tail, seen)
        self.waiting.push(Seen(state, seen, due_at, skipped, stepped))
        self.waiting.store()
        self._wanted = GroupLine.objects.heads_wanted(self.cluster.pk, aware(self.clock()))
        if state.ages.get("start_offsets", 0.0) >= UNREAD_STARTS_SECONDS and self._somebody_may_lose(seen):
            self.survey.poke("start_offsets")
        return self.waiting.number

    def _judge(self, state: SurveyState, seen: Observation) -> Column:
        """What each group does, as it is told."""
        committed = seen.columns[Kind.COMMITTED]
        self._window.push(
            seen.taken_at,
            committed,
            seen.columns[Kind.END],
            start=self._new_starts(state),
            stable=seen.columns.get(Kind.STABLE),
            owned=self._ownership(committed.layout, state.groups or ()),
        )
        judged = judge_groups(self._window, seen.groups, interval_seconds=self.interval)
        before, told = self._judged or (None, None)
        told = steadied(told, before, judged)
        self._judged = judged, told
        return told

    def _stood_since(self, group: str) -> float | None:
        is_shared = group in self._share_groups.names
        return stood_since(self._window, group, interval_seconds=self.interval, is_shared=is_shared)

    def _look_at_heads(self, state: SurveyState, seen: Observation) -> None:
        """What is known of the records that wait, and where the survey is to look next."""
        known, places = self._heads.turn(
            self._window,
            seen.columns[Kind.VERDICT],
            state.heads,
            now=seen.taken_at,
            without=self._share_groups.names,
            wanted=self._wanted,
        )
        if known is not None:
            seen.columns[Kind.HEAD] = known
        self.survey.want_heads(places)
        if places and self._wanted - self._looked_for:
            self.survey.poke("heads")  # somebody has begun to look
        self._looked_for = self._wanted

    def _with_commit_times(self, tail: CommitTail, seen: Observation) -> Observation:
        """What the tail knows of the positions that this cycle has; share groups make no commits."""
        if (committed := seen.columns.get(Kind.COMMITTED)) is not None:
            known = tail.column(committed.layout, without=self._share_groups.names)
            if known is not None:
                seen.columns[Kind.COMMITTED_AT] = known
        return replace(seen, tail=tail.state)

    def _new_starts(self, state: SurveyState) -> Column | None:
        """The log starts, where the window does not have them yet."""
        if state.starts is None or (self._starts is state.starts and self._window.samples):
            return None
        self._starts = state.starts
        return losable(state.starts.column, state.compacted)

    def _ownership(self, layout: Layout, groups: tuple[Group, ...]) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
        if self._owned is None or self._owned[0] is not layout or self._owned[1] is not groups:
            self._owned = layout, groups, ownership(layout, groups)
        return self._owned[2]

    def _of_this_cluster(self, state: SurveyState) -> SurveyState:
        """The state, or one without facts where another cluster answers: two are never mixed in one history."""
        found = state.metadata.cluster_id if state.metadata is not None else None
        if not found or self.cluster.kafka_cluster_id in ("", found):
            return state
        # settings that were saved anew say that it is meant
        known = Cluster.objects.values_list("kafka_cluster_id", flat=True).get(pk=self.cluster.pk)
        if known in ("", found):
            self.cluster.kafka_cluster_id = known
            return state
        reason = f"another cluster answers there: its id is {storable(found, 100)}, that of this one is {known}"
        return SurveyState(errors=(PartError(OTHER_CLUSTER, reason, None),), ages=state.ages)

    def _somebody_may_lose(self, seen: Observation) -> bool:
        """Whether a group does not read, or not fast enough, so that retention may pass it."""
        verdicts = seen.columns.get(Kind.VERDICT)
        return verdicts is not None and bool((severities(verdicts.numbers.values) >= Verdict.NO_MEMBERS.severity).any())

    def _ask(self, state: SurveyState, met_before: Mapping[int, BrokerReach]) -> Observation:
        started_at = self.clock()
        budget = budget_seconds(self.interval)
        # what this Kafka does not offer is no error, nor that records are not for this login; the rights say so
        errors = [e for e in state.errors if e.reason != NOT_OFFERED and (e.part, e.reason) != (HEADS, NOT_AUTHORISED)]
        columns: dict[Kind, Column] = {}
        committed: Column | None = None
        if state.groups is not None and (self._observed is None or state.groups is not self._observed.groups):
            self._rebalances.look(state.groups, now=started_at)
        groups = {g.name: _group_row(g, self._rebalances) for g in state.groups or ()}
        taken_at = self.clock()
        answered = 0
        if state.metadata is not None and state.layout is not None:
            # commits before ends: lag can then only be overstated, by what arrives in between
            if state.groups is not None:
                # and share groups before commits: their slow answers would put commits and ends further apart
                began = self.monotonic()
                errors += self._share_groups.ask(state.groups, state.layout, state.metadata, budget_seconds=budget)
                wanted = sorted(group.name for group in state.groups if group.type is not GroupType.SHARE)
                commits = self.session.ask_commits(wanted, budget_seconds=self._left(budget, began))
                errors += commits.errors
                answered += int(commits.column.numbers.known.sum())
                commits = self._commit_epochs.take(
                    commits, state.layout, state.metadata, lambda known: self._newer_metadata(known, budget / 2)
                )
                epochs = self._commit_epochs.stored
                if epochs is not None and (epochs is not self._stored_epochs or self._has_new_starts(state)):
                    columns[Kind.EPOCH] = self._stored_epochs = epochs
                expected = self._expected_groups.add_to(commits, state.groups, state.metadata)
                looked_at = state.groups_taken_at or 0.0
                committed, left_behind = self._abandoned.take(
                    expected, state.groups, looked_at=looked_at, now=started_at
                )
                if self._abandoned.wants_look(looked_at=looked_at, now=started_at):
                    self.survey.poke("groups")
                if self._is_abandoned_news(left_behind, state):
                    columns[Kind.ABANDONED] = self._stored_abandoned = left_behind
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
                columns[Kind.COMMITTED] = self._share_groups.add_to(committed, ends.column)
            answered += int(ends.column.numbers.known.sum())
        if state.starts is not None and self._has_new_starts(state):
            columns[Kind.START] = state.starts.column
        if state.sizes is not None and (self._observed is None or state.sizes is not self._observed.sizes):
            columns[Kind.SIZE] = state.sizes
        if state.log_dirs is not None and (self._observed is None or state.log_dirs is not self._observed.log_dirs):
            columns[Kind.DISK] = _disk_column(state.log_dirs, state.log_dirs_answered)
        if state.metadata is not None and (self._observed is None or state.metadata is not self._observed.metadata):
            columns[Kind.LEADERS] = _leaders_column(state.metadata)
        reach = self._reach(state, met_before)
        columns[Kind.BROKER] = _broker_column(reach)
        asked = [columns[k].numbers.known for k in (Kind.END, Kind.COMMITTED) if k in columns]
        total = sum(len(known) for known in asked)
        others = self._commit_epochs.others if committed is not None else 0
        requests_now = self.session.requests
        requests, self._requests_before = requests_now - self._requests_before, requests_now
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

    def _is_abandoned_news(self, left: Column, state: SurveyState) -> bool:
        """Whether it differs from what was stored; what does not is stored with each look at the log starts."""
        before = self._stored_abandoned
        is_same = left.layout.digest == before.layout.digest and np.array_equal(
            left.numbers.values, before.numbers.values
        )
        return not is_same or (len(left.layout) > 0 and self._has_new_starts(state))

    def _has_new_starts(self, state: SurveyState) -> bool:
        return self._observed is None or state.starts is not self._observed.starts

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

    def _reach(self, state: SurveyState, met_before: Mapping[int, BrokerReach]) -> dict[int, tuple[Reach, str]]:
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
        known = self.waiting.known_brokers() | named
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
    return GroupRow(name, group.type, members, rebalances.count(name), rebalances.is_storm(name))


def _is_reached(answered: int, asked: int, reach: dict[int, tuple[Reach, str]], errors: Iterable[PartError]) -> bool:
    """Whether the cluster answered, if only that we may not know; where there is nothing to ask for (no topic yet),
    whether a broker is up."""
    if answered or not asked:
        return answered > 0 or any(state is Reach.UP for state, _ in reach.values())
    return any(error.reason == NOT_AUTHORISED and error.part in ("end_offsets", "commits") for error in errors)


def _topic(row: TopicLine) -> Topic:
    partitions = tuple(
        Partition(index, leader, epoch, tuple(replicas), tuple(isr), tuple(offline))
        for index, (leader, epoch, replicas, isr, offline) in enumerate(row.partitions)
    )
    return Topic(row.name, row.topic_id or None, row.is_internal, partitions)


def _group(row: GroupLine) -> Group:
    kind = GroupType(row.type) if row.type in set(GroupType) else GroupType.UNKNOWN
    return Group(row.name, kind, row.state, row.protocol_type, row.coordinator, error=NOT_LISTED)


def _members_of(*layouts: Layout) -> dict[str, list[tuple[str, list[int]]]]:
    found: dict[str, dict[str, list[int]]] = {}
    for layout in layouts:
        for owner, topic, partition in layout.position:
            found.setdefault(owner, {}).setdefault(topic, []).append(partition)
    return {owner: list(runs.items()) for owner, runs in found.items()}


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
