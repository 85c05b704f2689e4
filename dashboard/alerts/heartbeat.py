"""A beat to an address outside, each minute: when it stays away, whoever expects it knows that this instance is dead.

STREAMGAUGE_HEARTBEAT_URL names a check of healthchecks.io, Uptime Kuma, Dead Man's Snitch or the like. A beat says that
the watch is whole: it is withheld when nobody judges or a cluster that is not paused is sampled by nobody. Of several
processes one beats, by compare-and-set.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from collectors import storage
from collectors.domain import words
from collectors.models import Cluster, Cycle, Lease
from dashboard import __version__
from dashboard.models import Heartbeat

from . import addresses, outbox
from .channels import Answer, Outcome, http

log = logging.getLogger(__name__)

BEAT_SECONDS = 60.0
AGAIN_SECONDS = 15.0
"""After a beat that failed or was withheld."""
LOOK_SECONDS = 5.0


class HeartbeatLoop:
    """Beats when it is due, in whichever process is the first to see that."""

    name = "heartbeat"

    def __init__(self, *, interval: float = LOOK_SECONDS) -> None:
        self.interval = interval
        self.last_turn = time.monotonic()
        self.trouble = ""

    def run(self, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                try:
                    close_old_connections()
                    self.turn()
                    self.trouble = ""
                except (DatabaseError, InterfaceError) as error:
                    self.trouble = storage.why(error)
                    log.warning("the heartbeat cannot use the database: %s", error)
                else:
                    self.trouble = ""
                    self.last_turn = time.monotonic()
                stop.wait(self.interval)
        finally:
            connection.close()

    def turn(self) -> bool:
        """Beat if it is due; False when it is not, or another process was faster."""
        if not settings.HEARTBEAT_URL or not _claimed():
            return False
        missing = what_is_missing()
        answer = Answer(Outcome.RETRY, error=f"withheld: {missing}") if missing else _beat()
        _record(answer)
        return True


def _claimed() -> bool:
    row = Heartbeat.objects.get_or_create(pk=1)[0]
    wait = timedelta(seconds=AGAIN_SECONDS if row.failures else BEAT_SECONDS)
    due = Q(attempted_at=None) | Q(attempted_at__lte=Now() - wait)
    return bool(Heartbeat.objects.filter(due, pk=1).update(attempted_at=Now()))


def what_is_missing() -> str:
    """Why this instance does not watch as it should; "" when it does."""
    held = set(Lease.objects.filter(expires_at__gt=Now()).exclude(holder="").values_list("name", flat=True))
    if "judge" not in held:
        return "nobody judges the rules"
    watched = Cluster.objects.filter(is_paused=False).values_list("pk", "name")
    alone = [name for pk, name in watched if f"cluster:{pk}" not in held]
    if alone:
        return f"{words.counted(len(alone), 'cluster')} sampled by nobody: {', '.join(map(words.visible, alone[:3]))}"
    return ""


def _beat() -> Answer:
    """What is sent names no cluster: it goes to a stranger."""
    newest = Cycle.objects.order_by("-taken_at").values_list("taken_at", flat=True).first()
    age = None if newest is None else round((timezone.now() - newest).total_seconds(), 1)
    body: dict[str, Any] = {
        "program": "streamgauge",
        "version": __version__,
        "clusters": Cluster.objects.filter(is_paused=False).count(),
        "newest_cycle_age_seconds": age,
    }
    headers = {"Content-Type": "application/json", "User-Agent": "Streamgauge"}
    return http.answer_to(settings.HEARTBEAT_URL, http.json_body(body), headers, outbox.outside())


def _record(answer: Answer) -> None:
    is_well = answer.outcome is Outcome.DELIVERED
    before = Heartbeat.objects.get(pk=1).failures
    Heartbeat.objects.filter(pk=1).update(
        failures=0 if is_well else before + 1,
        last_status=answer.status,
        last_error=answer.error[:500],
        **({"succeeded_at": Now()} if is_well else {}),
    )
    if not is_well and before == 0:
        log.warning("heartbeat failed: %s", answer.error)
    if is_well and before:
        log.info("heartbeat is taken again after %d failures", before)


@dataclass(frozen=True, slots=True)
class Pulse:
    """The heartbeat for a page."""

    target: str  # without what may be a token
    row: Heartbeat
    is_late: bool


def pulse(now: datetime) -> Pulse | None:
    """How the heartbeat goes; None when there is no address for it."""
    if not settings.HEARTBEAT_URL:
        return None
    try:
        target = addresses.parse_url(settings.HEARTBEAT_URL).public_text
    except addresses.AddressRefusedError:
        target = "an address that cannot be used"
    row = Heartbeat.objects.filter(pk=1).first() or Heartbeat()
    late = row.succeeded_at is None or now - row.succeeded_at > timedelta(seconds=3 * BEAT_SECONDS)
    return Pulse(target, row, late or row.failures > 0)
