"""Plays the acts one after the other: tells the traffic, and leaves a mark on the timeline."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import close_old_connections

from collectors.models import Cluster, Event

from .acts import ACTS, CALM, LOOP, Act

log = logging.getLogger(__name__)

FIRST_ACT_AFTER_SECONDS = 20.0
"""Quiet seconds between the first cycle and the first act, so that there is a "before"."""


class Director:
    """Runs in a thread of the demo; `tell` sends an order to the traffic."""

    def __init__(
        self,
        cluster_id: int,
        tell: Callable[[dict[str, Any]], None],
        *,
        first: Act | None = None,
        loop: Sequence[Act] = LOOP,
        quiet_seconds: float = FIRST_ACT_AFTER_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.cluster_id = cluster_id
        self.tell = tell
        self.first = first
        self.loop = loop
        self.quiet_seconds = quiet_seconds
        self.clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo director", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(3.0)

    def sequence(self) -> Iterator[tuple[Act, float]]:
        """Acts with their lengths: an act asked for by name begins at once, then the loop goes on."""
        if self.first is None:
            yield CALM, self.quiet_seconds
            rest = itertools.cycle(self.loop)
        elif self.first.is_calm:
            yield from itertools.repeat((CALM, CALM.seconds))
            return
        else:
            yield self.first, self.first.seconds
            rest = itertools.cycle([CALM, *(act for act in self.loop if act is not CALM)])
        yield from ((act, act.seconds) for act in rest)

    def _run(self) -> None:
        try:
            self._close_open_act()
            if not self._wait_first_cycle():
                return
            for (act, seconds), (after, _) in itertools.pairwise(self.sequence()):
                if not self.play(act, seconds, after):
                    return
        except Exception:
            log.exception("the demo's director stopped: the traffic goes on as it is")
        finally:
            close_old_connections()

    def _wait_first_cycle(self) -> bool:
        """Wait for the first cycle of this run; False when told to stop."""
        before = Cluster.objects.values_list("last_cycle", flat=True).get(pk=self.cluster_id)
        while not self._stop.wait(0.5):
            if Cluster.objects.values_list("last_cycle", flat=True).get(pk=self.cluster_id) > before:
                return True
        return False

    def _close_open_act(self) -> None:
        """Mark as over what a killed demo had left under way: the traffic of this run does not play it."""
        newest = Event.objects.filter(cluster_id=self.cluster_id, kind=Event.Kind.ACT).order_by("-at", "-id").first()
        if newest is not None and newest.data.get("phase") == "begin" and newest.data.get("ends_at", 0) > self.clock():
            name = str(newest.data.get("act"))
            act = ACTS.get(name) or Act(name, str(newest.data.get("title")), 0.0, newest.subject_kind, newest.subject)
            self._mark(act, "end", f"Demo: cut short: {act.title}", self.clock())

    def play(self, act: Act, seconds: float, after: Act | None = None) -> bool:
        """Play one act to its end; False when told to stop before. `after` is what comes next."""
        coming = after.coming if after is not None and after is not act else ""
        self._mark(act, "begin", f"Demo: {act.title}", self.clock() + seconds, coming)
        self.tell({"act": act.name, **act.order})
        ended = not self._stop.wait(seconds)
        if not act.is_calm:
            if ended:
                self.tell({"act": CALM.name})
            self._mark(act, "end", f"Demo: {'over' if ended else 'cut short'}: {act.title}", self.clock())
        return ended

    def _mark(self, act: Act, phase: str, text: str, ends_at: float, coming: str = "") -> None:
        Event.objects.create(
            cluster_id=self.cluster_id,
            at=datetime.fromtimestamp(self.clock(), UTC),
            kind=Event.Kind.ACT,
            subject_kind=act.subject_kind,
            subject=act.subject,
            text=text,
            data={
                "act": act.name,
                "title": act.title,
                "ends_at": ends_at,
                "subject_kind": act.subject_kind,
                "subject": act.subject,
                "phase": phase,
                "next": coming,
            },
        )
