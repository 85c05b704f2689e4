"""The loop of one cluster: ask, decide, store, announce."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from django.db import DatabaseError, InterfaceError, close_old_connections

from . import storage
from .alone import ReadAlone
from .asking import NOT_LISTED, OTHER_CLUSTER, Asking, budget_seconds
from .domain.losses import lost_at_newest
from .domain.numbers import Column, Layout
from .domain.ownership import ownership
from .domain.questions import stood_since
from .domain.standstills import Told, judge_and_hold, stored_standstills
from .domain.topology import Group, GroupType, Partition, Topic
from .domain.verdicts import Verdict, severities
from .domain.window import LENGTH, Window
from .domain.words import storable
from .heads import HeadBook
from .history import queries
from .history.kinds import PARTITION_VERDICT_CYCLES, Kind
from .history.policies import losable
from .history.recents import recent_samples
from .kafka.commit_tail import CommitTail
from .kafka.session import PartError, Session
from .kafka.survey import Survey, SurveyState
from .models import Cluster
from .models import Group as GroupLine
from .models import Topic as TopicLine
from .models.moments import aware
from .past import Past
from .waiting import Announce, LeaseLostError, Observation, Seen, Waiting

log = logging.getLogger(__name__)

EARLY_CYCLE_AFTER_SECONDS = 1.0
"""When brokers change, the next cycle comes at once, but never sooner than this after the last one."""
LOOK_SECONDS = 0.25
PAST_BUDGET_SECONDS, PAST_SHARE = 2.0, 0.2
"""What a step into the past of a new cluster may take, in seconds and of the interval."""
UNREAD_STARTS_SECONDS = 8.0
"""Log starts are asked again after this, not each minute, while a group does not read or falls behind: records that
retention deletes before they are read are told within three cycles."""
CLOCK_STEP_SECONDS = 1.0
STORE_SHARE = 0.2
"""Of the interval: how long a cycle waits for the database's writer, before it stays in memory until the next one."""


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
        self._judged: tuple[Told, Told] | None = None  # of the cycle before: as judged, and as told
        self._partitions: tuple[Column, int] | None = None  # verdicts that were stored last, and for how many cycles
        self._stood: Column | None = None  # where groups stand still by what was told in the cycle before
        self._alone = ReadAlone(self.interval)
        self._known_heads: Column | None = None  # of the cycle before
        self._starts: object = None  # those that the window has
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
        self.asking = Asking(
            session,
            survey,
            interval=self.interval,
            known_brokers=self.waiting.known_brokers,
            clock=clock,
            monotonic=monotonic,
        )
        self._past = Past(cluster.pk)

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
            self.asking.share_groups.close()
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
        self.asking.remember_abandoned(left)
        self.asking.share_groups.remember(committed.layout.of_owners(shares)[0])
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
                self._alone.later(stepped)

    def _look_back(self) -> None:
        """One step into the past of a new cluster; what goes wrong there costs no cycle."""
        state = self.asking.observed
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
        kinds = (Kind.VERDICT, Kind.COMMITTED, Kind.HEAD, Kind.PARTITION_VERDICT)
        verdicts, committed, heads, partitions = [queries.column_at(self.cluster.pk, kind) for kind in kinds]
        if verdicts is not None and committed is not None and verdicts[2] == committed[2]:
            if partitions is not None and verdicts[2] - partitions[2] >= PARTITION_VERDICT_CYCLES:
                partitions = None  # of an older program's cycles: they no longer hold
            self._stood = stored_standstills(verdicts[0], committed[0], partitions and partitions[0])
            self._known_heads = heads[0] if heads is not None and heads[2] == verdicts[2] else None
            rows = self.waiting.rows().groups.values()
            self._alone.rebuild(self.cluster.pk, rows, taken_at=verdicts[1], now=self.clock())

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
        seen = self.asking.ask(state, met)
        if Kind.COMMITTED in seen.columns and Kind.END in seen.columns:
            seen.columns.update(self._judge(state, seen))
            seen = replace(seen, lost=lost_at_newest(self._window))
            self._look_at_heads(state, seen)
        else:
            self._partitions = None  # it has a number and no verdicts: what was stored before may lie too far back
        if self.tail is not None:
            seen = self._with_commit_times(self.tail, seen)
        self.waiting.push(Seen(state, seen, due_at, skipped, stepped))
        try:
            self.waiting.store()
        except BaseException:
            self._partitions = None  # of the cycles that wait now, the first may be dropped
            raise
        self._wanted = GroupLine.objects.heads_wanted(self.cluster.pk, aware(self.clock()))
        if state.ages.get("start_offsets", 0.0) >= UNREAD_STARTS_SECONDS and self._somebody_may_lose(seen):
            self.survey.poke("start_offsets")
        return self.waiting.number

    def _judge(self, state: SurveyState, seen: Observation) -> dict[Kind, Column]:
        """What each group does, as it is told, and on each of its partitions, where that is to be stored."""
        committed = seen.columns[Kind.COMMITTED]
        self._window.push(
            seen.taken_at,
            committed,
            seen.columns[Kind.END],
            start=self._new_starts(state),
            stable=seen.columns.get(Kind.STABLE),
            owned=self._ownership(committed.layout, state.groups or ()),
        )
        judged = judge_and_hold(
            self._window,
            seen.groups,
            interval_seconds=self.interval,
            stood=self._stood,
            heads=self._known_heads,
            alone=self._alone.look(self._window, seen.groups),
        )
        self._stood = judged.stood
        told = judged.steadied(*self._judged) if self._judged is not None else judged
        self._judged = judged, told
        columns = {Kind.VERDICT: told.verdicts}
        if self._is_news(told.partitions):
            columns[Kind.PARTITION_VERDICT] = told.partitions
        return columns

    def _is_news(self, partitions: Column) -> bool:
        """Whether the verdicts of partitions are to be stored: they differ from those that were, or are due again."""
        before, cycles = self._partitions or (Column.empty(), 0)
        if partitions.equals(before) and cycles < PARTITION_VERDICT_CYCLES:
            self._partitions = before, cycles + 1
            return False
        self._partitions = partitions, 1
        return True

    def _stood_since(self, group: str) -> float | None:
        by_rounds = self._alone.stood_since(self._window, group)
        if by_rounds is not None:
            return by_rounds
        is_shared = group in self.asking.share_groups.names
        return stood_since(self._window, group, interval_seconds=self.interval, is_shared=is_shared)

    def _look_at_heads(self, state: SurveyState, seen: Observation) -> None:
        """What is known of the records that wait, and where the survey is to look next."""
        known, places = self._heads.turn(
            self._window,
            seen.columns[Kind.VERDICT],
            state.heads,
            now=seen.taken_at,
            without=self.asking.share_groups.names,
            wanted=self._wanted,
        )
        self._known_heads = known
        if known is not None:
            seen.columns[Kind.HEAD] = known
        self.survey.want_heads(places)
        if places and self._wanted - self._looked_for:
            self.survey.poke("heads")  # somebody has begun to look
        self._looked_for = self._wanted

    def _with_commit_times(self, tail: CommitTail, seen: Observation) -> Observation:
        """What the tail knows of the positions that this cycle has; share groups make no commits."""
        if (committed := seen.columns.get(Kind.COMMITTED)) is not None:
            known = tail.column(committed.layout, without=self.asking.share_groups.names)
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
