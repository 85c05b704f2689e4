"""One module per kind of channel: each turns a message into one request and an answer into a word."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SEND_SECONDS = 10.0
"""Deadline of one attempt, from the look-up of the name to the last byte of the answer."""


class Outcome(StrEnum):
    DELIVERED = "delivered"
    RETRY = "retry"  # may work later
    REFUSED = "refused"  # will not work by being repeated


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: the key stays the same when a message is repeated, `attempt` counts from 1."""

    key: str
    event: str
    attempt: int
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    outcome: Outcome
    status: int | None = None  # None: no answer
    error: str = ""
    retry_after_seconds: float | None = field(default=None)
