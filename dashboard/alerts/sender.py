"""The resident loop that sends what the outbox holds, a few channels at once, each attempt with a deadline."""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any

from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from collectors import storage
from collectors.secrets import SecretUnreadableError

from . import outbox
from .channels import SEND_SECONDS, Answer, Outcome
from .channels.kinds import KINDS
from .outbox import Claim

log = logging.getLogger(__name__)

AT_ONCE = 8
AT_ONCE_ILL = 4
"""Channels whose newest attempt failed may take no more than this many of the places."""
STOP_SECONDS = 4.0


class Sender:
    """Claims due messages, sends each from its own thread, records the answers; any number of them may run.

    All work on the database is done by the thread that runs `turn`. A message that is being sent when the process
    dies is sent again, with the same key, once its claim has lapsed.
    """

    name = "sender"

    def __init__(
        self,
        *,
        announce: Callable[[str, dict[str, Any]], None] | None = None,
        interval: float = 1.0,
        send_seconds: float = SEND_SECONDS,
    ) -> None:
        self.interval = interval
        self.last_turn = time.monotonic()
        self.trouble = ""
        self._announce = announce
        self._send_seconds = send_seconds
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"
        self._woken = threading.Event()
        self._answers: SimpleQueue[tuple[Claim, Answer]] = SimpleQueue()
        self._busy: dict[int, Claim] = {}  # by channel
        self._ill: set[int] = set()
        self._jitter = random.Random()

    def wake(self) -> None:
        """There may be something to send: look now and not at the next second."""
        self._woken.set()

    def run(self, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                try:
                    close_old_connections()
                    self.turn()
                except (DatabaseError, InterfaceError) as error:
                    self.trouble = storage.why(error)
                    log.warning("the sender cannot use the database: %s", error)
                else:
                    self.trouble = ""
                    self.last_turn = time.monotonic()
                self._woken.wait(self.interval)
                self._woken.clear()
            self._finish()
        finally:
            connection.close()

    def turn(self) -> int:
        """Record the answers that came and begin what is due; returns how many attempts were begun."""
        self._record_answers()
        begun = 0
        free = AT_ONCE - len(self._busy)
        free_ill = AT_ONCE_ILL - len(self._ill & self._busy.keys())
        if free <= 0:
            return 0
        for delivery in outbox.due(busy_channels=self._busy, limit=AT_ONCE * 2):
            is_ill = delivery.channel_id in self._ill
            if begun >= free or (is_ill and free_ill <= 0):
                continue
            claimed = outbox.claim(delivery, holder=self._holder)
            if claimed is None:
                continue
            self._busy[delivery.channel_id] = claimed
            begun += 1
            free_ill -= is_ill
            threading.Thread(
                target=self._send, args=(claimed,), name=f"send-{claimed.delivery_id}", daemon=True
            ).start()
        return begun

    def _send(self, claimed: Claim) -> None:
        """In a thread of its own: touches no database."""
        answer = Answer(Outcome.RETRY, error="the attempt ended with a mistake in Streamgauge; see the log")
        try:
            kind = KINDS[claimed.channel.kind]
            stored = outbox.settings_of(claimed.channel)
            answer = kind.send(stored, claimed.message, outbox.outside(seconds=self._send_seconds))
        except SecretUnreadableError as error:
            answer = Answer(Outcome.RETRY, error=str(error))
        except Exception:  # one message's mistake must not look like an answer that never came
            log.exception("channel=%s event=%s cannot be sent", claimed.channel.name, claimed.message.event)
        finally:
            self._answers.put((claimed, answer))
            self._woken.set()

    def _record_answers(self) -> None:
        while True:
            try:
                claimed, answer = self._answers.get_nowait()
            except Empty:
                return
            channel = claimed.channel.pk
            try:
                state = outbox.record(claimed, answer, now=datetime.now(UTC), jitter=self._jitter)
            except (DatabaseError, InterfaceError):
                self._answers.put((claimed, answer))  # sent is sent: its answer must not be lost to a full disk
                raise
            self._busy.pop(channel, None)
            (self._ill.discard if answer.outcome is Outcome.DELIVERED else self._ill.add)(channel)
            if state is None:
                log.warning("message %s was answered after its claim had lapsed", claimed.message.key)
            elif answer.outcome is not Outcome.DELIVERED:
                log.warning(
                    "channel=%s event=%s %s: %s", claimed.channel.name, claimed.message.event, state, answer.error
                )
            if self._announce is not None:
                self._announce("delivery", {"delivery": claimed.delivery_id, "channel": channel})

    def _finish(self) -> None:
        """Wait a little for answers under way; what does not come is sent again later, with the same key."""
        ends = time.monotonic() + STOP_SECONDS
        while self._busy and time.monotonic() < ends:
            self._woken.wait(0.1)
            self._woken.clear()
            try:
                self._record_answers()
            except (DatabaseError, InterfaceError) as error:
                log.warning("the sender cannot record answers: %s", error)
                return
