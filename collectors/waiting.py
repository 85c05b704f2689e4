"""What a cycle saw, on its way into the database: it waits while the database is locked, full or away, and is stored in
order, each cycle in one transaction, by who holds the cluster's lease."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol

from django.db import connection, transaction

from . import storage
from .backlog import Backlog
from .changes import Changes
from .domain.losses import Lost
from .domain.numbers import Column
from .domain.rights import NOT_AUTHORISED, rights_of
from .domain.scope import Scope
from .domain.topology import Reach
from .domain.verdicts import GroupRow
from .domain.words import counted, duration
from .history.frames import FrameWriter
from .history.kinds import Kind
from .insight import Insight
from .inventory import Inventory
from .kafka.commit_tail import TailState
from .kafka.session import PartError
from .kafka.survey import LASTING, SurveyState
from .models import Cluster, CollectorTotals, Configuration, Cycle, Event, Lease
from .models.moments import aware

log = logging.getLogger(__name__)


UNANSWERED_SECONDS = 30.0
WAITING_CYCLES = 720
WAITING_POSITIONS = 4_000_000
"""About 40 MB: what was seen and could not be stored is kept in memory up to these bounds."""


class LeaseLostError(Exception):
    """Another process holds the cluster now, or our time had run out: nothing of this cycle was stored."""


class Announce(Protocol):
    def __call__(self, kind: str, data: dict[str, int]) -> None: ...


def lease_seconds(interval_seconds: float) -> float:
    return max(2 * interval_seconds, 6.0)


@dataclass(frozen=True, slots=True)
class Observation:
    """What one cycle saw, before anything is stored."""

    started_at: float
    taken_at: float
    columns: dict[Kind, Column]
    groups: dict[str, GroupRow]
    reach: dict[int, tuple[Reach, str]]
    requests: int
    errors: tuple[PartError, ...]
    is_reachable: bool
    completeness: float
    lost: Mapping[str, Lost] = field(default_factory=dict)  # by group: records deleted before it read them
    tail: TailState | None = None  # how the reading of commits goes; None where it is not wanted


@dataclass(frozen=True, slots=True)
class Seen:
    """A cycle that was seen, with what was known of the cluster then, on its way into the database."""

    state: SurveyState
    observation: Observation
    due_at: float
    skipped: int
    stepped: float

    @property
    def weight(self) -> int:
        return sum(len(column.numbers) for column in self.observation.columns.values())


class Waiting:
    """The cycles of one cluster that are seen and not stored yet, and their storing; for one thread.

    `stood_since` names the moment at which a group that makes no progress came to stand; `is_ending` tells that this
    process gives its leases back, and takes none again.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        scope: Scope,
        holder: str,
        epoch: int,
        missed: int,
        announce: Announce,
        stood_since: Callable[[str], float | None],
        is_ending: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self.cluster = cluster
        self.scope = scope
        self.holder = holder
        self.epoch = epoch
        self.missed = missed
        """Due times that the holder before passed over, until a cycle has said so."""
        self.announce = announce
        self.clock = clock
        self.interval = cluster.interval_seconds
        self.lease_name = f"cluster:{cluster.pk}"
        self.number = cluster.last_cycle
        """Of the newest cycle that was stored."""
        self.trouble = ""
        """Why nothing can be stored just now; "" when it can."""
        self._failures = 0
        self._stood_since = stood_since
        self._is_ending = is_ending
        self._backlog: Backlog[Seen] = Backlog(most=WAITING_CYCLES, heaviest=WAITING_POSITIONS)
        self._began = clock()
        self._writer = FrameWriter(cluster.pk)
        self._inventory: Inventory | None = None
        self._brokers: frozenset[int] = frozenset()
        self._insight: Insight | None = None
        self._stored: SurveyState | None = None  # of the newest cycle that was stored
        self._stored_tail: str | None = None  # likewise: why commits are not read

    def push(self, one: Seen) -> None:
        self._backlog.push(one, one.weight)

    def store(self) -> None:
        """Store all that waits, the oldest first. LeaseLostError when nothing may be stored any more; what the
        database raises leaves the rest waiting."""
        if self._failures:
            self._hold_lease()  # a small write first: while the database fails, nothing is planned in vain
        while (oldest := self._backlog.oldest) is not None:
            self._store_holding(oldest)
            self._backlog.done()
            self._backlog.dropped = 0
            self._stored = oldest.state
            self._stored_tail = _why_not_read(oldest.observation)
            self.announce("cycle", {"cluster": self.cluster.pk, "cycle": self.number})

    def note_trouble(self, error: Exception) -> None:
        """The database fails: what was seen waits, and people are told by what does not need the database."""
        self.trouble = f"{storage.why(error)}: {counted(len(self._backlog), 'cycle')} not stored yet"
        self._failures += 1
        if self._failures & (self._failures - 1) == 0:  # the 1st, 2nd, 4th, 8th … in a row
            log.error(
                "cycles cannot be stored cluster=%s failures=%s waiting=%s dropped=%s reason=%s",
                *(self.cluster.slug, self._failures, len(self._backlog), self._backlog.dropped, error),
            )
        connection.close_if_unusable_or_obsolete()

    def note_success(self) -> None:
        self.trouble, self._failures = "", 0

    def _store_holding(self, one: Seen) -> None:
        """Store, taking the lease again where it lapsed while the database was away or this machine slept."""
        try:
            try:
                self._store(one)
            except LeaseLostError:
                if not self._take_again():
                    raise
                self._forget_memory()
                self._store(one)
        except BaseException:
            self._forget_memory()
            raise

    def _forget_memory(self) -> None:
        """Memory must not claim what the database does not hold."""
        self.known_brokers()
        self._writer.forget()
        self._inventory = None
        self._insight = None
        self._stored = None

    def _hold_lease(self) -> None:
        try:
            with transaction.atomic():
                self._guard()
        except LeaseLostError:
            if not self._take_again():
                raise

    def _take_again(self) -> bool:
        """Take a lease that lapsed; only if nobody had it since, for the cycles of another would be between."""
        if self._is_ending():
            return False
        seconds = lease_seconds(self.interval)
        epoch = Lease.objects.acquire(self.lease_name, holder=self.holder, seconds=seconds)
        if epoch is None:
            return False
        if epoch != self.epoch + 1:
            Lease.objects.release(self.lease_name, holder=self.holder, epoch=epoch)
            return False
        log.warning("lease taken again cluster=%s epoch=%s: it had lapsed", self.cluster.slug, epoch)
        self.epoch = epoch
        return True

    def rows(self) -> Inventory:
        if self._inventory is None:
            self._inventory = Inventory(self.cluster.pk, began=self._began, scope=self.scope)
        return self._inventory

    def known_brokers(self) -> frozenset[int]:
        """The brokers that have rows, as last read: asking Kafka does not wait for the database. After `rows`."""
        if self._inventory is not None:
            self._brokers = frozenset(self._inventory.brokers)
        return self._brokers

    def _insights(self) -> Insight:
        if self._insight is None:
            self._insight = Insight(self.cluster)
        return self._insight

    def plan(self, state: SurveyState, seen: Observation, *, skipped: int, stepped: float, dropped: int = 0) -> Changes:
        changes = Changes()
        rows, old, now = self.rows(), self._stored, seen.taken_at
        rows.plan_brokers(
            changes,
            nodes=state.metadata.brokers if state.metadata else (),
            reach=seen.reach,
            quorum=state.quorum,
            versions=state.versions,
            now=now,
        )
        if state.metadata is not None and (old is None or state.metadata is not old.metadata):
            rows.plan_topics(changes, state.metadata, now=now)
        self._plan_groups(changes, state, now)
        if state.log_dirs is not None and (old is None or state.log_dirs is not old.log_dirs):
            # those of a broker that is silent just now keep the moment at which they were read
            changes.log_dirs = tuple(d for d in state.log_dirs if d.broker_id in state.log_dirs_answered)
        if (verdicts := seen.columns.get(Kind.VERDICT)) is not None:
            rows.plan_verdicts(
                changes,
                dict(zip(verdicts.layout.owners, verdicts.numbers.values.tolist(), strict=True)),
                now=now,
                stood_since=self._stood_since,
            )
        rows.plan_losses(changes, seen.lost, now=now)
        self._plan_insight(changes, state, _why_not_read(seen), now)
        at = aware(now)
        if skipped:
            why = "their collector had stopped" if self.missed else "the one before took longer than the interval"
            text = f"{counted(skipped, 'cycle')} skipped: {why}"
            data = {"skipped": skipped}
            changes.events.append(
                Event(cluster=self.cluster, at=at, kind=Event.Kind.CYCLES_SKIPPED, text=text, data=data)
            )
        if dropped:
            text = f"{counted(dropped, 'cycle')} could not be stored: the database failed for too long"
            data = {"dropped": dropped}
            changes.events.append(
                Event(cluster=self.cluster, at=at, kind=Event.Kind.CYCLES_SKIPPED, text=text, data=data)
            )
        if stepped:
            way = "forward" if stepped > 0 else "back"
            text = f"The collector's clock stepped {way} by {duration(abs(stepped))}; rates start afresh"
            data = {"seconds": round(stepped)}
            changes.events.append(
                Event(cluster=self.cluster, at=at, kind=Event.Kind.CLOCK_STEPPED, text=text, data=data)
            )
        return changes

    def _plan_groups(self, changes: Changes, state: SurveyState, now: float) -> None:
        """Groups that are the same as before are the same tuple; `groups_taken_at` says that somebody looked."""
        rows, old = self.rows(), self._stored
        if state.groups is None:
            return
        is_same = old is not None and state.groups is old.groups
        if is_same and old is not None and state.groups_taken_at == old.groups_taken_at:
            return
        if is_same and not rows.ownerships.was_away(now):
            rows.ownerships.look_the_same(now)
            return
        listed_all = not any(error.part == "groups" for error in state.errors)
        rows.plan_groups(changes, state.groups, is_complete=listed_all, now=now)

    def _plan_insight(self, changes: Changes, state: SurveyState, commit_times: str | None, now: float) -> None:
        """What this login may see, and how things are set. `commit_times`: why commits are not read."""
        rows, old = self._insights(), self._stored
        is_news = old is None or _bears_on_rights(state) != _bears_on_rights(old) or commit_times != self._stored_tail
        if state.metadata is not None and is_news:
            refused = {error.part: error.reason for error in state.errors if error.reason in LASTING}
            hidden = state.metadata.hidden
            groups = state.groups or ()
            # metadata and groups are refused by name, topic by topic; configurations of some topics may be
            partly = {"topic_configs"} if state.topic_configs else set()
            partly |= {"heads"} if state.has_read else set()
            refused = {k: why for k, why in refused.items() if k not in {"metadata", "groups"} | partly}
            rights = rights_of(
                state.sight,
                asked=state.asked - _unanswered(state),
                refused=refused,
                topics=len(state.metadata.topics) - len(hidden) + state.metadata.left_out,
                groups=len(groups) - len(state.hidden_groups) + state.groups_left_out,
                hidden_topics=len(hidden),
                hidden_groups=len(state.hidden_groups),
                partly=partly & {error.part for error in state.errors if error.reason == NOT_AUTHORISED},
                has_read=state.has_read,
                commit_times=commit_times,
            )
            rows.plan_rights(changes, rights, now=now)
        if old is None or state.topic_configs is not old.topic_configs:
            rows.plan_configs(
                changes,
                Configuration.Kind.TOPIC,
                state.topic_configs,
                refused=state.topic_configs_refused,
                now=now,
            )
        if old is None or state.broker_configs is not old.broker_configs:
            rows.plan_configs(
                changes,
                Configuration.Kind.BROKER,
                state.broker_configs,
                refused=state.broker_configs_refused,
                now=now,
            )
        left_out = {
            "topics_left_out": state.metadata.left_out if state.metadata is not None else None,
            "groups_left_out": state.groups_left_out if state.groups is not None else None,
        }
        for name, count in left_out.items():
            if count is not None and getattr(self.cluster, name) != count:
                setattr(self.cluster, name, count)
                changes.update.append((self.cluster, (name,)))

    def _store(self, one: Seen) -> None:
        state, seen = one.state, one.observation
        skipped = one.skipped + self._backlog.dropped
        changes = self.plan(state, seen, skipped=one.skipped, stepped=one.stepped, dropped=self._backlog.dropped)
        number = self.number + 1
        with transaction.atomic():
            self._guard()
            moved = Cluster.objects.filter(pk=self.cluster.pk, last_cycle=self.number).update(last_cycle=number)
            if not moved:
                raise LeaseLostError(f"cycle {number} of cluster {self.cluster.slug} is taken")
            self.rows().save(changes, now=seen.taken_at)
            self._writer.write(number, seen.taken_at, seen.columns)
            Cycle.objects.create(
                cluster_id=self.cluster.pk,
                number=number,
                epoch=self.epoch,
                due_at=aware(one.due_at),
                started_at=aware(seen.started_at),
                taken_at=aware(seen.taken_at),
                ended_at=aware(self.clock()),
                is_reachable=seen.is_reachable,
                requests=seen.requests,
                skipped=skipped,
                completeness=seen.completeness,
                errors=_as_rows(seen.errors),
                ages={part: round(at, 3) for part, at in state.ages.items()},
            )
            CollectorTotals.objects.add(
                self.cluster.pk,
                requests=seen.requests,
                skipped=skipped,
                errors=[(e.part, e.reason, 1) for e in self._new_errors(state, seen)],
                succeeded_at=aware(seen.taken_at) if seen.is_reachable else None,
                commit_tail=asdict(seen.tail) if seen.tail is not None else None,
            )
            if state.metadata is not None and state.metadata.cluster_id not in (None, self.cluster.kafka_cluster_id):
                self.cluster.kafka_cluster_id = str(state.metadata.cluster_id)[:100]
                self.cluster.save(update_fields=["kafka_cluster_id"])
        self.number = number

    def _guard(self) -> None:
        """Renew the lease inside the cycle's transaction: who lost it, or let it lapse, stores nothing."""
        seconds = lease_seconds(self.interval)
        if not Lease.objects.renew(self.lease_name, holder=self.holder, epoch=self.epoch, seconds=seconds):
            raise LeaseLostError(self.lease_name)

    def _new_errors(self, state: SurveyState, seen: Observation) -> Iterable[PartError]:
        """The survey's errors stand until its next try; they count once."""
        old = self._stored.errors if self._stored is not None else ()
        return [error for error in seen.errors if error not in state.errors or error not in old]


def _unanswered(state: SurveyState) -> set[str]:
    """Parts that failed for now, with nothing of them answered: that says nothing of a right, neither that it is there
    nor that it is not. Topics and groups are judged by what is listed."""
    failed = {error.part for error in state.errors if error.reason not in LASTING} - {"metadata", "groups"}
    return {part for part in failed if state.ages.get(part, math.inf) > UNANSWERED_SECONDS}


def _why_not_read(seen: Observation) -> str | None:
    return None if seen.tail is None else seen.tail.why


def _bears_on_rights(state: SurveyState) -> tuple[object, ...]:
    """What has to differ for the rights to be judged anew; metadata is another object with each answer."""
    seen = (id(state.metadata), id(state.groups), id(state.sight), state.groups_left_out, state.hidden_groups)
    return (*seen, bool(state.topic_configs), state.has_read, state.asked, state.errors)


def _as_rows(errors: Iterable[PartError]) -> list[dict[str, object]]:
    """Errors counted once per kind: what a page and the metrics need, and no more."""
    counts: Counter[tuple[str, str, int | None]] = Counter()
    for error in errors:
        counts[error.part, error.reason, error.broker] += error.count
    return [
        {"part": part, "reason": reason, "broker": broker, "count": count}
        for (part, reason, broker), count in counts.most_common(100)
    ]


def release(lease_name: str, *, holder: str, epoch: int) -> None:
    """Give a lease back at the end, so that another process need not wait until it lapses."""
    Lease.objects.release(lease_name, holder=holder, epoch=epoch)
