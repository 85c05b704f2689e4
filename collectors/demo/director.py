"""Plays the acts one after the other: tells the traffic, breaks what is to be broken, leaves marks on the timeline."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from django.db import close_old_connections

from collectors import conductor
from collectors.conductor import Wish
from collectors.history import queries
from collectors.models import Cluster, Event

from .acts import ACTS, CALM, CALM_BETWEEN_SECONDS, LOOP, Act
from .company import GROUPS
from .effects import Effect

log = logging.getLogger(__name__)

LIFE_SECONDS = 60.0
"""How long the services' first commits are waited for."""
FIRST_ACT_AFTER_SECONDS = 20.0
"""Quiet seconds between the first commits and the first act, so that there is a "before"."""
POLL_SECONDS = 0.1


class _Ended(Enum):
    """How waiting ended, when not by a wish."""

    TIME = "time"
    STOP = "stop"


class Director:
    """Runs in a thread of the demo; `tell` sends an order to the traffic.

    Never two acts at once, and CALM_BETWEEN_SECONDS lie between two, whatever is wished. An act consists of its
    trouble and of the time in which things mend. `effects` by name are what acts break beside the traffic; an act whose
    effect is not there is left out.
    """

    def __init__(
        self,
        cluster_id: int,
        tell: Callable[[dict[str, Any]], None],
        *,
        first: Act | None = None,
        loop: Sequence[Act] = LOOP,
        effects: Mapping[str, Effect] | None = None,
        prefix: str = "",
        quiet_seconds: float = FIRST_ACT_AFTER_SECONDS,
        calm_seconds: float = CALM_BETWEEN_SECONDS,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cluster_id = cluster_id
        self.tell = tell
        self.effects = dict(effects or {})
        self.loop = [act for act in loop if not act.effect or act.effect in self.effects]
        self.prefix = prefix
        self.quiet_seconds = quiet_seconds
        self.calm_seconds = calm_seconds
        self.clock = clock
        self.monotonic = monotonic
        self.first = first
        self._newest: Act | None = None  # that was played
        self._stop = threading.Event()
        self._wishes: list[Wish] = []
        self._thread = threading.Thread(target=self._run, name="demo director", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(3.0)

    def wish(self, wish: Wish) -> None:
        """Called by a page's thread."""
        self._wishes.append(wish)

    def _run(self) -> None:
        try:
            self._close_open_act()
            if not self._wait_life():
                return
            conductor.listen(self.wish)
            self.perform()
        except Exception:
            log.exception("the demo's director stopped: the traffic goes on as it is")
        finally:
            conductor.listen(None)
            close_old_connections()

    def perform(self) -> None:
        """Acts and calm in turn until told to stop."""
        upcoming = (self.first or self.loop[0]) if self.first is None or not self.first.is_calm else None
        least = self.quiet_seconds
        while (act := self.calm(upcoming, least)) is not None:
            wish = self.play(act)
            if wish is _Ended.STOP:
                return
            upcoming = self._after(wish, act)
            least = self.calm_seconds

    def _after(self, wish: Wish | _Ended, act: Act | None) -> Act | None:
        """What is to come; `act` is what plays or was to come when somebody wished."""
        newest = self._newest or act
        if wish is Wish.CALM:
            return None
        if wish is Wish.REPEAT:
            return newest or self.loop[0]
        if newest is None or newest not in self.loop:
            return self.loop[0]
        return self.loop[(self.loop.index(newest) + 1) % len(self.loop)]

    def calm(self, upcoming: Act | None, least: float) -> Act | None:
        """Calm of at least `least` seconds, then the act to begin; without one upcoming, calm until one is wished.
        None when told to stop."""
        begin = self.monotonic()
        while True:
            left = max(0.0, begin + least - self.monotonic())
            ends_at = self.clock() + left if upcoming is not None else None
            self._mark(CALM, "begin", f"Demo: {CALM.title}", ends_at, upcoming)
            wish = self._wait(left if upcoming is not None else None)
            if wish is _Ended.STOP:
                return None
            if wish is _Ended.TIME:
                return upcoming
            if wish is Wish.NEXT and upcoming is not None:
                # what comes is what they wait for: the minute between two acts only has to pass
                least = min(least, self.calm_seconds if self._newest is not None else 0.0)
                continue
            upcoming = self._after(wish, upcoming)

    def play(self, act: Act) -> Wish | _Ended:
        """Play one act, trouble and mending; a wish cuts it short. Returns how it ended."""
        self._newest = act
        coming = self._after(_Ended.TIME, act)
        self._mark(act, "begin", f"Demo: {act.title}", self.clock() + act.seconds, coming)
        effect = self.effects.get(act.effect)
        if effect is not None and not self._managed(act, effect.begin):
            self._managed(act, lambda: effect.end(stopping=self._stop.is_set()))
            self._mark(act, "end", f"Demo: could not be played: {act.title}", self.clock(), coming)
            return _Ended.STOP if self._stop.is_set() else _Ended.TIME
        self.tell({"act": act.name, **act.order})
        ended = self._wait(act.seconds)
        stopping = ended is _Ended.STOP
        if effect is not None:
            self._managed(act, lambda: effect.end(stopping=stopping))
        if not stopping:
            self.tell({"act": CALM.name})
        if ended is _Ended.TIME and act.recovery_seconds:
            self._mark(act, "mend", f"Demo: {act.recovering}", self.clock() + act.recovery_seconds, coming)
            ended = self._wait(act.recovery_seconds)
        how = "over" if ended is _Ended.TIME else "cut short"
        self._mark(act, "end", f"Demo: {how}: {act.title}", self.clock(), coming)
        return ended

    def _managed(self, act: Act, change: Callable[[], None]) -> bool:
        """Break or mend something; False when that failed. The other acts go on: Kafka has its own bad moments."""
        try:
            change()
        except Exception:
            log.exception("act %s: what it breaks could not be changed", act.name)
            return False
        return True

    def _wait(self, seconds: float | None) -> Wish | _Ended:
        """Until the time is over (None: never), somebody wishes something, or it is told to stop."""
        until = None if seconds is None else self.monotonic() + seconds
        while True:
            if self._wishes:
                return self._wishes.pop(0)
            left = POLL_SECONDS if until is None else min(POLL_SECONDS, until - self.monotonic())
            if self._stop.wait(max(0.0, left)):
                return _Ended.STOP
            if until is not None and self.monotonic() >= until:
                return _Ended.TIME

    def _wait_life(self) -> bool:
        """Wait for a cycle of this run that knows a commit of every service; False when told to stop.

        Trouble before the first commits would be no trouble of a service that worked until then: a group that stops
        without ever having committed makes no "no progress", and nobody sees a "before".
        """
        before = Cluster.objects.values_list("last_cycle", flat=True).get(pk=self.cluster_id)
        services = {self.prefix + plan.name for plan in GROUPS}
        until = self.monotonic() + LIFE_SECONDS
        while not self._stop.wait(0.5):
            now = queries.cluster_at(self.cluster_id)
            if now is None or now.cycle <= before:
                continue
            states = dict(zip(now.groups.names, now.groups.lag_state, strict=True))
            missing = sorted(name for name in services if states.get(name) != "known")
            if not missing:
                return True
            if self.monotonic() >= until:
                log.warning("no commits yet groups=%s: the acts begin all the same", ",".join(missing))
                return True
        return False

    def _close_open_act(self) -> None:
        """Mark as over what a killed demo had left under way: the traffic of this run does not play it."""
        newest = Event.objects.filter(cluster_id=self.cluster_id, kind=Event.Kind.ACT).order_by("-at", "-id").first()
        if newest is None or newest.data.get("phase") == "end" or newest.data.get("act") == CALM.name:
            return
        if newest.data.get("ends_at", 0) > self.clock():
            name = str(newest.data.get("act"))
            act = ACTS.get(name) or Act(name, str(newest.data.get("title")), 0.0)
            self._mark(act, "end", f"Demo: cut short: {act.title}", self.clock())

    def _mark(self, act: Act, phase: str, text: str, ends_at: float | None, coming: Act | None = None) -> None:
        shown = act.named(self.prefix)
        Event.objects.create(
            cluster_id=self.cluster_id,
            at=datetime.fromtimestamp(self.clock(), UTC),
            kind=Event.Kind.ACT,
            subject_kind="" if shown.subject_kind == "cluster" else shown.subject_kind,
            subject=shown.subject,
            text=text,
            data={
                "act": act.name,
                "title": act.recovering if phase == "mend" else act.title,
                "ends_at": ends_at,
                "subject_kind": shown.subject_kind,
                "subject": shown.subject,
                "page": act.page,
                "phase": phase,
                "next": coming.coming if coming is not None else "",
            },
        )
