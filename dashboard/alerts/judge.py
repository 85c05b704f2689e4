"""The resident loop that steps the rules: each cycle once, in order, and what goes by the clock every second."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, InterfaceError, close_old_connections, connection, transaction
from django.utils import timezone

from collectors import storage
from collectors.history import queries
from collectors.history.now import ClusterNow
from collectors.history.recents import recent_samples
from collectors.models import Cluster, Cycle, Group, Lease, Topic
from collectors.models.groups import WANTED_AGAIN
from dashboard.models import Alert, Judgement

from . import readings
from .defaults import install_default_rules
from .holds import tell_freed
from .ledger import Change, Written, write
from .readings import LastEnds, Quantity
from .rules import GONE, UNKNOWN, Reading
from .scene import RecentSamples, Scene, Silence
from .stepping import ActiveRule, active_rules, ended, heads_wanted, step_rule, stepped, subjects_of

log = logging.getLogger(__name__)

LEASE = "judge"
LEASE_SECONDS = 5.0
RENEW_SECONDS = 1.0
CYCLES_A_TURN = 50
"""Of one cluster before the next one has its turn."""
FORGET_SECONDS = 24 * 3600.0
LOOK_BACK_CYCLES = 12
METADATA_STALE_SECONDS = 90.0
"""Three surveys: what the topics' rows say of replicas is then no longer known."""

ReadCluster = Callable[[int, int | None], ClusterNow | None]
Announce = Callable[[str, dict[str, Any]], None]


class LeaseLostError(Exception):
    """Another judge has taken over: nothing more may be written."""


@dataclass(slots=True)
class _Sight:
    """When a cluster was last reached, by a clock that does not step: the age it had when seen, and seen when."""

    last_cycle: int
    age_seconds: float
    seen_monotonic: float
    because: str  # what the newest cycle could not do; "" when it reached the cluster


class Judge:
    """One of these judges at a time: it holds the lease "judge" and writes only while it does."""

    name = "judge"

    def __init__(
        self,
        *,
        announce: Announce | None = None,
        read: ReadCluster = queries.cluster_at,
        recent: RecentSamples = recent_samples,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        interval: float = 1.0,
    ) -> None:
        """After each commit `announce` gets "alert" when there are transitions and "delivery" when messages wait."""
        self.interval = interval
        self.last_turn = time.monotonic()
        self.trouble = ""
        self._announce = announce
        self._read = read
        self._recent = recent
        self._clock = clock
        self._monotonic = monotonic
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"
        self._epoch: int | None = None
        self._renewed = 0.0
        self._began = 0.0
        self._woken = threading.Event()
        self._stop = threading.Event()
        self._ends: dict[int, LastEnds] = {}
        self._sights: dict[int, _Sight] = {}
        self._newest: dict[int, tuple[int, ClusterNow]] = {}
        self._heads_asked: dict[int, float] = {}  # when by the monotonic clock, by cluster

    def wake(self) -> None:
        """A cycle was stored: look now and not at the next second."""
        self._woken.set()

    def run(self, stop: threading.Event) -> None:
        self._stop = stop
        try:
            while not stop.is_set():
                has_more = False
                try:
                    close_old_connections()
                    has_more = self.turn()
                except (DatabaseError, InterfaceError) as error:
                    self.trouble = storage.why(error)
                    log.warning("the judge cannot use the database: %s", error)
                else:
                    self.trouble = ""
                    self.last_turn = time.monotonic()
                if not has_more:
                    self._woken.wait(self.interval)
                self._woken.clear()
            with contextlib.suppress(DatabaseError, InterfaceError):  # it lapses by itself
                self.release()
        finally:
            connection.close()

    def release(self) -> None:
        """Give the lease back, so that another judge can go on at once."""
        if self._epoch is not None:
            Lease.objects.release(LEASE, holder=self._holder, epoch=self._epoch)
            self._epoch = None

    def turn(self) -> bool:
        """Judge what has come and step what goes by the clock; True when more cycles wait."""
        if not self._holds_lease():
            return False
        has_more = False
        try:
            active = active_rules()
            clusters = list(Cluster.objects.order_by("pk"))
            judged = dict(Judgement.objects.values_list("cluster_id", "judged_cycle"))
            for cluster in clusters:
                has_more |= self._catch_up(cluster, judged.get(cluster.pk), active)
            self._step_clock(clusters, active)
            self._tell_freed(clusters)
        except LeaseLostError:
            log.warning("the judge lost its lease and wrote nothing since")
            self._epoch = None
            return False
        return has_more

    # -- the lease

    def _holds_lease(self) -> bool:
        if self._epoch is not None:
            if self._monotonic() - self._renewed < RENEW_SECONDS:
                return True
            if Lease.objects.renew(LEASE, holder=self._holder, epoch=self._epoch, seconds=LEASE_SECONDS):
                self._renewed = self._monotonic()
                return True
            self._epoch = None
        self._epoch = Lease.objects.acquire(LEASE, holder=self._holder, seconds=LEASE_SECONDS)
        if self._epoch is None:
            return False
        self._renewed = self._began = self._monotonic()
        self._ends.clear()
        self._newest.clear()
        self._sights.clear()
        install_default_rules()
        return True

    def _guard(self) -> None:
        """First statement of each transaction: renewing takes the row, so that no other judge can come between."""
        if self._epoch is None or not Lease.objects.renew(
            LEASE, holder=self._holder, epoch=self._epoch, seconds=LEASE_SECONDS
        ):
            raise LeaseLostError
        self._renewed = self._monotonic()

    # -- cycles

    def _catch_up(self, cluster: Cluster, judged: int | None, active: Sequence[ActiveRule]) -> bool:
        if judged is None:
            judged = Judgement.objects.get_or_create(cluster=cluster)[0].judged_cycle
        if cluster.last_cycle <= judged:
            return False
        cycles = list(
            Cycle.objects.filter(cluster=cluster, number__gt=judged, number__lte=cluster.last_cycle).order_by("number")[
                :CYCLES_A_TURN
            ]
        )
        if not cycles or cycles[0].taken_at.timestamp() < self._clock() - FORGET_SECONDS:
            young = Cycle.objects.filter(
                cluster=cluster,
                number__gt=judged,
                taken_at__gte=datetime.fromtimestamp(self._clock() - FORGET_SECONDS, UTC),
            )
            first = young.order_by("number").values_list("number", flat=True).first()
            self._skip(cluster, judged, (first or cluster.last_cycle + 1) - 1)
            return first is not None
        for cycle in cycles:
            if self._stop.is_set():
                return False
            if cycle.number != judged + 1:
                self._skip(cluster, judged, cycle.number - 1)
            if not self._holds_lease():
                raise LeaseLostError
            if not self._judge_cycle(cluster, cycle, active):
                return False
            judged = cycle.number
        return judged < cluster.last_cycle

    def _skip(self, cluster: Cluster, judged: int, to: int) -> None:
        log.warning("cluster=%s cycles %d to %d are not judged: gone or over a day old", cluster.slug, judged + 1, to)
        with transaction.atomic():
            self._guard()
            Judgement.objects.filter(cluster=cluster, judged_cycle=judged).update(judged_cycle=to)

    def _judge_cycle(self, cluster: Cluster, cycle: Cycle, active: Sequence[ActiveRule]) -> bool:
        """Step the rules over one cycle; False when another judge has done so already."""
        number, at = cycle.number, cycle.taken_at.timestamp()
        now = self._numbers(cluster, number) if cycle.is_reachable else None
        special = Topic.objects.filter(cluster=cluster, gone_at=None).exclude(dead_letters_of="", is_internal=False)
        kinds = list(special.order_by().values_list("name", "dead_letters_of", "is_internal"))
        sources = {name: source for name, source, _ in kinds if source}
        internal = frozenset(name for name, _, is_internal in kinds if is_internal)
        last = self._last_ends(cluster, number - 1, sources)
        before = self._before(cluster, number - 1) if now is not None else None
        scene = Scene(cluster, at, now, last, sources, internal=internal, before=before, recent=self._recent)
        scene.behind = _behind(cluster, cycle)
        changes = self._step_rules(scene, [rule for rule in active if not rule.quantity.is_stepped_by_clock])
        with transaction.atomic():
            self._guard()
            moved = Judgement.objects.filter(cluster=cluster, judged_cycle=number - 1).update(
                judged_cycle=number, judged_at=datetime.fromtimestamp(self._clock(), UTC)
            )
            if not moved:
                return False
            written = write(changes, cluster=cluster, cycle=number, at=cycle.taken_at)
        self._ends[cluster.pk] = last.after(number, now, sources)
        if now is not None:
            self._newest[cluster.pk] = number, now
        self._tell(cluster, written)
        if number == cluster.last_cycle:
            self._want_heads(scene, active)
        return True

    def _want_heads(self, scene: Scene, active: Sequence[ActiveRule]) -> None:
        """Ask the collector to read the records that rules want to know the age of: a hint, kept from lapsing."""
        cluster, now = scene.cluster, self._monotonic()
        if now - self._heads_asked.get(cluster.pk, -math.inf) < WANTED_AGAIN.total_seconds():
            return
        wanted = heads_wanted(scene, active)
        if wanted:
            groups = Group.objects.filter(cluster=cluster, name__in=wanted)
            groups.want_heads(datetime.fromtimestamp(self._clock(), UTC))
            self._heads_asked[cluster.pk] = now

    def _numbers(self, cluster: Cluster, number: int) -> ClusterNow | None:
        try:
            return self._read(cluster.pk, number)
        except (DatabaseError, InterfaceError):
            raise
        except Exception:  # one cluster's unreadable frame must not end judging for all the others
            log.exception("cluster=%s cycle %d cannot be read; it counts as not known", cluster.slug, number)
            return None

    def _before(self, cluster: Cluster, number: int) -> ClusterNow | None:
        """The cluster as the cycle before last knew it: a log start that moved meanwhile is compared with that."""
        kept = self._newest.get(cluster.pk)
        return kept[1] if kept is not None and kept[0] == number else self._numbers(cluster, number)

    def _last_ends(self, cluster: Cluster, before: int, sources: dict[str, str]) -> LastEnds:
        known = self._ends.get(cluster.pk)
        if known is not None and known.cycle == before:
            return known
        reached = Cycle.objects.filter(cluster=cluster, number__lte=before, is_reachable=True).order_by("-number")
        last = LastEnds(0)
        looks = []
        for number in reached.values_list("number", flat=True)[:LOOK_BACK_CYCLES]:
            looks.append((number, self._numbers(cluster, number)))
            last = LastEnds(0)
            for number_, now in reversed(looks):
                last = last.after(number_, now, sources)
            listed = looks[0][1].topics.index if looks[0][1] is not None else {}
            if last.has_looked and all(topic in last.ends for topic in sources if topic in listed):
                break
        return replace(last, cycle=before)

    def _step_rules(self, scene: Scene, active: Sequence[ActiveRule]) -> list[Change]:
        opened: dict[int, dict[str, Alert]] = {}
        for alert in Alert.objects.open().filter(cluster=scene.cluster, rule__in=[rule.row.pk for rule in active]):
            opened.setdefault(alert.rule_id, {})[alert.subject] = alert
        subjects = subjects_of(scene, active)
        changes: list[Change] = []
        for rule in active:
            if not self._holds_lease():  # a rule with thousands of subjects takes its time
                raise LeaseLostError
            changes += step_rule(rule, scene, subjects.get(rule.quantity), opened.get(rule.row.pk, {}))
        return changes

    # -- the clock

    def _step_clock(self, clusters: Sequence[Cluster], active: Sequence[ActiveRule]) -> None:
        """Rules about silence, and the end of alerts whose rule was switched off."""
        now = self._clock()
        ruled = {rule.row.pk for rule in active}
        silent = [rule for rule in active if rule.quantity is Quantity.COLLECTOR_SILENCE]
        opened: dict[int, list[Alert]] = {}
        for alert in Alert.objects.open().select_related("rule"):
            if alert.rule_id not in ruled or any(alert.rule_id == rule.row.pk for rule in silent):
                opened.setdefault(alert.cluster_id, []).append(alert)
        for cluster in clusters:
            scene = Scene(cluster, now)
            changes: list[Change] = []
            for alert in opened.get(cluster.pk, []):
                if alert.rule_id not in ruled:
                    changes += ended(alert, scene)
            for rule in silent:
                alert_of = {a.subject: a for a in opened.get(cluster.pk, []) if a.rule_id == rule.row.pk}
                changes += self._step_silence(rule, scene, alert_of.get(""))
            if not changes:
                continue
            with transaction.atomic():
                self._guard()
                written = write(changes, cluster=cluster, cycle=None, at=datetime.fromtimestamp(now, UTC))
            self._tell(cluster, written)

    def _tell_freed(self, clusters: Sequence[Cluster]) -> None:
        """What was held back by something that is over now, and still fires."""
        held = set(Alert.objects.raised().filter(is_held_back=True).values_list("cluster_id", flat=True))
        if not held:
            return
        for cluster in clusters:
            if cluster.pk not in held:
                continue
            with transaction.atomic():
                self._guard()
                sampled_at = datetime.fromtimestamp(self._clock(), UTC)
                told, messages = tell_freed(cluster.pk, now=timezone.now(), sampled_at=sampled_at)
            self._tell(cluster, Written((0,) * told, messages))

    def _step_silence(self, rule: ActiveRule, scene: Scene, alert: Alert | None) -> list[Change]:
        cluster = scene.cluster
        terms = rule.terms_for(cluster)
        if cluster.is_paused:
            # when it goes on, its silence begins at that moment
            self._sights[cluster.pk] = _Sight(cluster.last_cycle, 0.0, self._monotonic(), "")
        if cluster.is_paused or not rule.selects(cluster, ""):
            return stepped(rule, terms, scene, "", GONE, alert) if alert is not None else []
        sight = self._sight(cluster)
        age = sight.age_seconds + self._monotonic() - sight.seen_monotonic
        intervals = readings.silent_intervals(age, cluster.interval_seconds)
        scene.silence = Silence(age, cluster.interval_seconds, intervals, sight.because)
        reading = Reading.of(intervals)
        watched = readings.silent_intervals(self._monotonic() - self._began, cluster.interval_seconds)
        if alert is None and watched < rule.terms.threshold:
            # silence from before this judge began is that of an instance that was off; its collectors begin, too
            reading = UNKNOWN
        if alert is None and not (reading is UNKNOWN or rule.terms.is_breached(intervals)):
            return []
        return stepped(rule, terms, scene, "", reading, alert)

    def _sight(self, cluster: Cluster) -> _Sight:
        """When the cluster was last reached. Wall clocks are compared once per cycle, then time is counted."""
        sight = self._sights.get(cluster.pk)
        if sight is not None and sight.last_cycle == cluster.last_cycle:
            return sight
        newest = Cycle.objects.filter(cluster=cluster, number__lte=cluster.last_cycle).order_by("-number").first()
        if sight is not None and newest is not None and not newest.is_reachable:
            sight.last_cycle, sight.because = cluster.last_cycle, _first_error(newest)
            return sight
        reached = newest
        if newest is not None and not newest.is_reachable:
            reached = Cycle.objects.filter(cluster=cluster, is_reachable=True).order_by("-number").first()
        since = cluster.created_at if reached is None else reached.taken_at
        sight = _Sight(
            last_cycle=cluster.last_cycle,
            age_seconds=max(0.0, self._clock() - since.timestamp()),
            seen_monotonic=self._monotonic(),
            because="" if newest is None or newest.is_reachable else _first_error(newest),
        )
        self._sights[cluster.pk] = sight
        return sight

    def _tell(self, cluster: Cluster, written: Written) -> None:
        """Announce what is committed; a hint that is lost is made up for by those who look themselves."""
        if self._announce is None:
            return
        if written.transitions:
            self._announce("alert", {"cluster": cluster.pk, "transitions": len(written.transitions)})
        if written.messages:
            self._announce("delivery", {"cluster": cluster.pk, "messages": written.messages})


def _behind(cluster: Cluster, cycle: Cycle) -> dict[int, readings.Behind] | None:
    """What brokers' replicas lack by the newest metadata; None when that is too old to say."""
    age = cycle.ages.get("metadata")
    if not cycle.is_reachable or age is None or age > METADATA_STALE_SECONDS:
        return None
    rows = Topic.objects.filter(cluster=cluster, gone_at=None, under_replicated_count__gt=0)
    return readings.behind_by_broker(rows.values_list("name", "partitions"))


def _first_error(cycle: Cycle) -> str:
    """The first thing that a cycle could not do, in words; "" when it says nothing."""
    for error in cycle.errors:
        if isinstance(error, dict) and error.get("reason"):
            return str(error["reason"])[:200]
    return ""
