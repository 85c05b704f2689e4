"""The words of the live socket: subject ids, messages with the role each asks for, frames, close codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import orjson

from dashboard.models import Role
from dashboard.names import name_from_path, name_to_path

MAX_SUBSCRIPTIONS = 200
MAX_MESSAGE_CHARACTERS = 64 * 1024
MAX_SUBJECT_CHARACTERS = 2_000  # a group name may have 500 characters, each of them up to 12 when percent-encoded


class Close(IntEnum):
    """Close codes that the page understands (4000 and up are free for applications, RFC 6455 7.4.2)."""

    BAD_MESSAGE = 4003  # also: an Origin that is not this site's
    TOO_FAST_OR_DEAF = 4008  # a flooder, or a page that does not acknowledge
    SIGNED_OUT = 4401


MESSAGES: Mapping[str, Role] = {"hello": Role.VIEWER, "ack": Role.VIEWER, "subs": Role.VIEWER, "pong": Role.VIEWER}
"""Every word a page may say, with the least role that may say it. A word that is not here closes the socket."""

ROW_KINDS = frozenset("ctgbGT")
LIST_KINDS = frozenset("tgb")


class BadMessage(ValueError):  # noqa: N818 - what it is, not that it is an error
    """A message that breaks the rules; the text says which, and is the reason the socket is closed with."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a row is about: `kind` c, t, g, b, G or T, a cluster's slug, and a name ("" for a cluster).

    With `is_list` it stands for the list of all topics, groups or brokers of the cluster: it has no row, only
    the hint that rows came, went or changed places.
    """

    id: str
    kind: str
    slug: str
    name: str
    is_list: bool = False


def subject_id(kind: str, slug: str, name: str | int = "") -> str:
    """The id under which pages subscribe: subject_id("g", "demo", "a b") is "g/demo/a%20b"."""
    return f"{kind}/{slug}" if kind == "c" else f"{kind}/{slug}/{name_to_path(str(name))}"


@lru_cache(maxsize=20_000)
def parse_subject(text: str) -> Subject | None:
    """The subject of an id; None for the ids without a cluster ("alerts", "me"). Raises BadMessage."""
    if text in ("alerts", "me", "c"):
        return None
    if len(text) > MAX_SUBJECT_CHARACTERS:
        raise BadMessage(f"a subject id has at most {MAX_SUBJECT_CHARACTERS} characters")
    kind, _, rest = text.partition("/")
    slug, slash, name = rest.partition("/")
    if kind not in ROW_KINDS or not slug:
        raise BadMessage(f"{text[:60]!r} is not a subject id such as g/demo/name")
    if kind == "c":
        if slash:
            raise BadMessage(f"{text[:60]!r}: a cluster's id is c/slug")
        return Subject(text, kind, slug, "")
    if not slash:
        if kind not in LIST_KINDS:
            raise BadMessage(f"{text[:60]!r} lacks a name")
        return Subject(text, kind, slug, "", is_list=True)
    try:
        return Subject(text, kind, slug, name_from_path(unquote(name, errors="surrogatepass")))
    except ValueError as error:
        raise BadMessage(str(error)) from error


@dataclass(frozen=True, slots=True)
class Hello:
    subs: tuple[str, ...]
    since: Position | None  # None: a page that has seen no event yet


@dataclass(frozen=True, slots=True)
class Ack:
    frame: int


@dataclass(frozen=True, slots=True)
class Subs:
    subs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pong:
    pass


Message = Hello | Ack | Subs | Pong


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """How far a page has read the events: ids of the newest alert transition and the newest mark.

    On the wire "12.840", opaque to the page. Row ids, so that it means the same after a restart of the server.
    """

    transition: int
    mark: int

    def __str__(self) -> str:
        return f"{self.transition}.{self.mark}"

    @classmethod
    def parse(cls, text: str) -> Position:
        transition, dot, mark = text.partition(".")
        if not (dot and transition.isascii() and transition.isdigit() and mark.isascii() and mark.isdigit()):
            raise BadMessage("seq is the newest seq that the server sent, or null")
        if len(text) > 40:
            raise BadMessage("seq is too long")
        return cls(int(transition), int(mark))


def _subscriptions(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadMessage("subs must be a list of subject ids")
    subs = tuple(dict.fromkeys(value))
    if len(subs) > MAX_SUBSCRIPTIONS:
        raise BadMessage(f"{len(subs)} subscriptions; a page may have {MAX_SUBSCRIPTIONS}")
    for item in subs:
        parse_subject(item)
    return subs


def parse_message(text: str) -> tuple[Role, Message]:
    """A page's message with the role that its word asks for; raises BadMessage with the reason.

    The table decides, never an attribute named by the text: "__class__" or "disconnect" are just unknown words.
    """
    if len(text) > MAX_MESSAGE_CHARACTERS:
        raise BadMessage(f"a message has at most {MAX_MESSAGE_CHARACTERS} characters, this has {len(text)}")
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadMessage("not JSON") from error
    word = message.get("t") if isinstance(message, dict) else None
    if not isinstance(word, str) or word not in MESSAGES:
        raise BadMessage(f"unknown word {str(word)[:40]!r}; known are {', '.join(MESSAGES)}")
    role = MESSAGES[word]
    if word == "hello":
        seq = message.get("seq")
        if seq is not None and not isinstance(seq, str):
            raise BadMessage("seq is the newest seq that the server sent, or null")
        return role, Hello(_subscriptions(message.get("subs")), None if seq is None else Position.parse(seq))
    if word == "subs":
        return role, Subs(_subscriptions(message.get("subs")))
    if word == "ack":
        number = message.get("n")
        if not isinstance(number, int) or isinstance(number, bool):
            raise BadMessage("ack needs n, the number of the frame")
        return role, Ack(number)
    return role, Pong()


def encode_row(id: str, row: Mapping[str, Any] | None) -> bytes:
    """One member of the object `rows`, encoded once for all sockets; None: there is no such subject (any more)."""
    return orjson.dumps(id) + b":" + orjson.dumps(row)


def encode_item(item: Mapping[str, Any]) -> bytes:
    return orjson.dumps(item)


def state_frame(
    number: int, now: float, rows: Iterable[bytes], clusters: Mapping[str, Mapping[str, Any]], hints: Iterable[str]
) -> bytes:
    """{"t":"state","n":…,"now":…,"clusters":{slug:{"cycle":…,"taken_at":…,"interval":…}},"hint":[…],"rows":{…}}."""
    head = orjson.dumps({"t": "state", "n": number, "now": now, "clusters": clusters, "hint": sorted(hints)})
    return head[:-1] + b',"rows":{' + b",".join(rows) + b"}}"


def events_frame(number: int, now: float, position: Position, items: Iterable[bytes], *, reload: bool) -> bytes:
    """{"t":"events","n":…,"now":…,"seq":"12.840","reload":false,"items":[…]}."""
    head = orjson.dumps({"t": "events", "n": number, "now": now, "seq": str(position), "reload": reload})
    return head[:-1] + b',"items":[' + b",".join(items) + b"]}"
