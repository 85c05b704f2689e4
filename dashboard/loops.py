"""Which resident loops a process runs: a sampler per leased cluster, the judge, the sender."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from celery import bootsteps
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from collectors import loop, roster, sampler, shares, storage, waiting
from collectors.kafka.commit_tail import CommitTail
from collectors.kafka.session import Session
from collectors.kafka.settings import SettingsError
from collectors.kafka.survey import Survey
from collectors.models import Cluster, Lease
from collectors.secrets import SecretUnreadableError
from dashboard.alerts.heartbeat import HeartbeatLoop
from dashboard.alerts.judge import Judge
from dashboard.alerts.sender import Sender
from dashboard.live.announce import announce

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
STOP_SECONDS = 6.0
PRESENT_SECONDS = 6.0
"""A worker that has not said for this long that it lives is no longer counted when clusters are shared out."""
SAY_SECONDS = 2.0
KEEP_SECONDS = 600.0
AWAY_FAILURES = 3
DEATHS_ALLOWED = 5
DEATHS_WITHIN_SECONDS = 120.0


def holder_name() -> str:
    """Who holds a lease: host, process and a part that no later process with the same number shares."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


@dataclass
class Running:
    """A loop in its thread."""

    loop: loop.Loop
    stop: threading.Event
    thread: threading.Thread


class ResidentLoops:
    """Starts the loops of this process, restarts one that dies, and gives up the process if that does not help."""

    def __init__(self, *, on_fatal: Callable[[str], None] | None = None) -> None:
        self.holder = holder_name()
        self.on_fatal = on_fatal or _end_process
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="loops", daemon=True)
        self._running: dict[str, Running] = {}
        self._clusters: dict[int, tuple[sampler.Sampler, tuple[object, ...]]] = {}  # pk -> its sampler, its settings
        self._refused: dict[int, tuple[object, ...]] = {}  # pk -> the settings that could not be read
        self._deaths: dict[str, list[float]] = {}
        self._file = storage.FileWatch(storage.database_file())
        self._said_at = float("-inf")
        self._failures = 0
        self._back_at = float("-inf")  # when the database answered again after it had been away
        self._given: set[int] = set()  # clusters that were more than our share
        self._keep_until = float("-inf")  # nothing is given back before, since nobody took what was

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End all loops and give their leases back; returns within about six seconds."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS + 2)

    # --- supervision --------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        judge = Judge(announce=self._announce)
        sender = Sender(announce=self._announce)
        self._judge = judge
        self._sender = sender
        self._makers: dict[str, Callable[[], loop.Loop]] = {
            "judge": lambda: judge,
            "sender": lambda: sender,
        }
        if settings.HEARTBEAT_URL:
            self._makers["heartbeat"] = HeartbeatLoop
        try:
            while not self._stop.wait(0 if not self._running else LOOK_SECONDS):
                if self._file.is_lost():
                    log.critical("the database file was deleted or replaced: what is written now, nobody will read")
                    self.on_fatal("loops")
                    return
                try:
                    close_old_connections()
                    self._keep_permanent()
                    self._say_present()
                    if self._failures >= AWAY_FAILURES:
                        self._back_at = time.monotonic()  # before samplers are looked at: see _may_come_back
                    self._failures = 0
                    self._keep_samplers()
                except (DatabaseError, InterfaceError) as error:
                    self._failures += 1
                    if self._failures & (self._failures - 1) == 0:  # the 1st, 2nd, 4th, 8th …
                        log.warning("database away, loops go on as they are count=%s error=%s", self._failures, error)
                    connection.close()
        except Exception:
            log.exception("the supervisor of the loops died")
            self.on_fatal("loops")
        finally:
            self._end_all()
            close_old_connections()

    def _keep_permanent(self) -> None:
        for name, make in self._makers.items():
            running = self._running.get(name)
            if running is None or not running.thread.is_alive():
                self._start(name, make())

    def _say_present(self) -> None:
        if time.monotonic() - self._said_at >= SAY_SECONDS:
            Lease.objects.be_there(self.holder, seconds=PRESENT_SECONDS)
            self._said_at = time.monotonic()

    def _keep_samplers(self) -> None:
        wanted = {cluster.pk: cluster for cluster in Cluster.objects.filter(is_paused=False).defer("kafka_cluster_id")}
        for pk, (made, made_with) in list(self._clusters.items()):
            changed = pk not in wanted or _made_with(wanted[pk]) != made_with
            if changed or not self._running[made.name].thread.is_alive():
                self._give_back(pk)
        share = shares.share(len(wanted), len(Lease.objects.workers()))
        if time.monotonic() >= self._keep_until:
            for pk in list(self._clusters)[share:]:
                self._give_back(pk)
                self._given.add(pk)
        free = [pk for pk in wanted if pk not in self._clusters and self._refused.get(pk) != _made_with(wanted[pk])]
        for pk, standing in shares.free_leases(free).items():
            if standing is shares.Standing.GIVEN_BACK and len(self._clusters) >= share:
                continue  # another's share; one whose holder is gone is taken by whoever sees it first
            if standing is shares.Standing.LAPSED and self._may_come_back(wanted[pk]):
                continue
            if standing is shares.Standing.UNTAKEN and pk in self._given:
                # the others cannot: without the key, or too busy. Not to and fro for ever
                self._keep_until = time.monotonic() + KEEP_SECONDS
            self._given.discard(pk)
            try:
                self._take(wanted[pk], is_left=standing is shares.Standing.LAPSED)
            except (SecretUnreadableError, SettingsError) as error:
                # one cluster's settings are no reason to end the others'; a change of them is a new try
                log.error("cluster not sampled slug=%s reason=%s", wanted[pk].slug, error)
                self._refused[pk] = _made_with(wanted[pk])

    def _may_come_back(self, cluster: Cluster) -> bool:
        """All leases lapse while the database is away: their holders, who were not, get an interval to go on."""
        return time.monotonic() - self._back_at < cluster.interval_seconds + 2 * LOOK_SECONDS

    def _take(self, cluster: Cluster, *, is_left: bool = False) -> None:
        """`is_left`: its holder has not given it back, so what was due since counts as skipped."""
        connection_settings = roster.connection_of(cluster)
        seconds = waiting.lease_seconds(cluster.interval_seconds)
        epoch = Lease.objects.acquire(f"cluster:{cluster.pk}", holder=self.holder, seconds=seconds)
        if epoch is None:
            return
        cluster.refresh_from_db()  # cycles stored by the former holder count
        scope = roster.scope_of(cluster)
        session = Session(connection_settings, scope=scope)
        made = sampler.Sampler(
            cluster,
            session,
            Survey(session),
            holder=self.holder,
            epoch=epoch,
            announce=self._announce,
            missed=shares.missed(cluster, time.time()) if is_left else 0,
            tail=CommitTail(connection_settings, scope=scope) if cluster.reads_commit_times else None,
        )
        self._clusters[cluster.pk] = (made, _made_with(cluster))
        self._start(made.name, made)

    def _give_back(self, pk: int) -> None:
        made, _ = self._clusters[pk]
        self._end(made.name)
        waiting.release(made.lease_name, holder=self.holder, epoch=made.epoch)
        del self._clusters[pk]

    def _announce(self, kind: str, data: dict[str, int]) -> None:
        """A hint to everyone who may be faster for it; the database says the same a little later."""
        if kind == "cycle":
            self._judge.wake()
        elif kind == "delivery":
            self._sender.wake()
        announce(kind, data)

    # --- threads ------------------------------------------------------------------------------------------

    def _start(self, name: str, made: loop.Loop) -> None:
        stop = threading.Event()
        running = Running(made, stop, threading.Thread(target=self._run, args=(name, made, stop), name=name))
        running.thread.daemon = True
        self._running[name] = running
        loop.register(made)
        running.thread.start()

    def _run(self, name: str, made: loop.Loop, stop: threading.Event) -> None:
        try:
            made.run(stop)
        except Exception:
            now = time.monotonic()
            deaths = [at for at in self._deaths.get(name, []) if now - at < DEATHS_WITHIN_SECONDS] + [now]
            self._deaths[name] = deaths
            log.exception("loop died name=%s deaths=%s within=%ss", name, len(deaths), DEATHS_WITHIN_SECONDS)
            if len(deaths) >= DEATHS_ALLOWED:
                self.on_fatal(name)
            stop.wait(min(2.0 ** len(deaths), 15.0))
        finally:
            close_old_connections()
            connection.close()

    def _end(self, name: str) -> None:
        running = self._running.pop(name)
        running.stop.set()
        running.thread.join(STOP_SECONDS)
        loop.unregister(running.loop)

    def _end_all(self) -> None:
        """All at once; each lease is given back as soon as its sampler has ended, so that no cycle is lost to it."""
        for running in self._running.values():
            running.stop.set()
        with self._database_may_be_away():
            Lease.objects.be_gone(self.holder)
        deadline = time.monotonic() + STOP_SECONDS
        waited = dict(self._running)
        leases = {made.name: made for made, _ in self._clusters.values()}
        while waited:
            ended = [name for name, running in waited.items() if not running.thread.is_alive()]
            if not ended and time.monotonic() > deadline:
                break
            for name in ended:
                loop.unregister(waited.pop(name).loop)
                if (made := leases.pop(name, None)) is not None:
                    with self._database_may_be_away():
                        waiting.release(made.lease_name, holder=self.holder, epoch=made.epoch)
            if waited:
                time.sleep(0.05)
        for name in waited:
            log.warning("loop did not end in time name=%s: its lease lapses by itself", name)

    @contextmanager
    def _database_may_be_away(self) -> Iterator[None]:
        try:
            yield
        except (DatabaseError, InterfaceError) as error:
            log.warning("lease not given back, it lapses by itself: %s", error)
            connection.close()


def _made_with(cluster: Cluster) -> tuple[object, ...]:
    """What a running sampler was made from; a change of it makes a new one."""
    sealed, tail = bytes(cluster.settings_encrypted), cluster.reads_commit_times
    return (cluster.slug, sealed, cluster.interval_seconds, str(cluster.scope), tail)


def _end_process(name: str) -> None:
    log.critical("loop %s cannot be kept running: the process ends", name)
    os._exit(70)


class LoopsStep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Starts and stops samplers, judge and sender with the worker; they need only the database, not the broker."""

    requires = {"celery.worker.components:Pool"}

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.loops: ResidentLoops | None = None

    def start(self, parent: Any) -> None:
        self.loops = ResidentLoops()
        self.loops.start()

    def stop(self, parent: Any) -> None:
        if self.loops is not None:
            self.loops.stop()

    terminate = stop
