"""Events as lines: each with a link where its subject is named, and many alike at one moment as one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from collectors.domain import words as plain_words
from collectors.models import Event

ALIKE = 3
"""This many events of one kind at one moment are one line."""
NAMES_SHOWN = 5
READ_AHEAD = 5  # events read for each line wanted, since many may become one
_TOGETHER = {
    # kind -> (one of many, many, what happened to them)
    "group_new": ("group", "groups", "appeared"),
    "group_gone": ("group", "groups", "went"),
    "topic_created": ("topic", "topics", "were created"),
    "topic_deleted": ("topic", "topics", "were deleted"),
    "topic_recreated": ("topic", "topics", "were deleted and made anew"),
    "topic_grown": ("topic", "topics", "got more partitions"),
    "config_changed": ("setting", "subjects", "were set differently"),
    "members_changed": ("group", "groups", "changed members or partitions"),
    "records_lost": ("group", "groups", "lost records before reading them"),
    "verdict_changed": ("group", "groups", "changed their verdict"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One event, or several alike. The name stands between `before` and `after`; "" when the text does not hold it."""

    event: Event
    before: str
    name: str
    after: str
    together: Sequence[Event] = ()

    @property
    def at(self) -> datetime:
        return self.event.at

    @property
    def named(self) -> Sequence[Event]:
        return self.together[:NAMES_SHOWN]

    @property
    def left_out(self) -> int:
        return max(0, len(self.together) - NAMES_SHOWN)


def line(event: Event) -> Line:
    name = f"roker {event.subject}" if event.subject_kind == "broker" else event.subject
    before, found, after = event.text.partition(name) if event.subject_kind and name else (event.text, "", "")
    if found and event.subject_kind == "broker":
        before, found = before[:-1], before[-1:] + found
    return Line(event, before, found, after)


def lines(events: Iterable[Event], *, together: bool = True) -> list[Line]:
    """In the order given; with `together`, neighbours of one kind, cluster and moment become one line."""
    if not together:
        return [line(event) for event in events]
    out: list[Line] = []
    for (_, kind, _), some in itertools.groupby(events, key=lambda one: (one.cluster_id, one.kind, one.at)):
        alike = list(some)
        if len(alike) < ALIKE or kind not in _TOGETHER or not all(one.subject_kind for one in alike):
            out += [line(event) for event in alike]
            continue
        _, many, verb = _TOGETHER[kind]
        ordered = sorted(alike, key=lambda one: one.subject)
        out.append(Line(alike[0], f"{plain_words.count(len(alike))} {many} {verb}: ", "", "", ordered))
    return out


def recent(limit: int, **filters: Any) -> list[Line]:
    """The newest changes with their clusters."""
    found = Event.objects.filter(**filters).select_related("cluster").order_by("-at", "kind", "-id")
    return lines(found[: limit * READ_AHEAD])[:limit]
