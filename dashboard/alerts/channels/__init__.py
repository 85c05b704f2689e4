"""One module per kind of channel: what its form asks for, and how a message becomes one request and a word.

A kind says what is wrong beside the field it is wrong in, and never raises for what lies outside when it sends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from dashboard.alerts import addresses
from dashboard.alerts.addresses import Network, Resolver

SEND_SECONDS = 10.0
"""Deadline of one attempt, from the look-up of the name to the last byte of the answer."""


class Outcome(StrEnum):
    DELIVERED = "delivered"
    RETRY = "retry"  # may work later
    REFUSED = "refused"  # will not work by being repeated


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: the key stays the same when a message is repeated, `attempt` counts from 1.

    Messages about one thing share a `thread`; `receipt` is what the receiver gave for the thread's first message.
    """

    key: str
    event: str  # "firing", "resolved", "acknowledged", "taken_back", "test"
    attempt: int
    payload: dict[str, Any]
    thread: str = ""
    receipt: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    outcome: Outcome
    status: int | None = None  # None: no answer
    error: str = ""
    retry_after_seconds: float | None = field(default=None)
    receipt: Mapping[str, str] = field(default_factory=dict)  # what later messages of the thread need
    renew_after_seconds: float | None = field(default=None)  # the receiver forgets unless it is told again


@dataclass(frozen=True, slots=True)
class Outside:
    """What an attempt may use of the world."""

    allowed: Sequence[Network] = ()
    now: float = 0.0  # unix seconds
    seconds: float = SEND_SECONDS
    resolver: Resolver = addresses.look_up
    own: tuple[str, ...] = ()  # addresses of this instance, like "https://example.org:443": a message must not loop


class Stored(dict[str, str]):
    """Settings of a channel as they are stored; what it holds is never in its repr."""

    def __repr__(self) -> str:
        return f"Stored({', '.join(sorted(self))})"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class Field:
    """One input of a kind's form. A secret one is written and never shown; left empty, the stored value stays."""

    name: str
    label: str
    text: str = ""  # below the input
    placeholder: str = ""
    default: str = ""
    is_secret: bool = False
    is_required: bool = True
    choices: tuple[tuple[str, str], ...] = ()


class FieldError(ValueError):
    """What was typed cannot be; `field` names the input, the message says what would be right."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Kind(Protocol):
    """A kind of channel. `is_grouped`: people read it, so alerts of one cluster and cause come as one message."""

    @property
    def label(self) -> str: ...

    @property
    def says(self) -> str:
        """One sentence on how it tells, for the form."""

    @property
    def fields(self) -> tuple[Field, ...]: ...

    @property
    def is_grouped(self) -> bool: ...

    @property
    def also_hears(self) -> frozenset[str]:
        """Events beside firing, resolved and test."""

    def check(self, typed: Mapping[str, str], outside: Outside) -> Stored:
        """What is stored; FieldError for what cannot be, as far as it can be told without sending."""

    def target(self, settings: Mapping[str, str]) -> str:
        """Where it tells, for people: no secret."""

    def send(self, settings: Mapping[str, str], message: Message, outside: Outside) -> Answer: ...


def one_line(text: str, most: int) -> str:
    """Text from a stranger for a subject or a header: no control characters, cut with an ellipsis."""
    line = "".join(c if c.isprintable() else " " for c in text).strip()
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
