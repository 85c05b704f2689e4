"""Dead letters of one cluster: what is held, what arrives, from where, and who reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from collectors.domain import words as plain_words
from collectors.history import queries
from collectors.history.queries import Arrived, NewestArrival
from collectors.models import Topic
from dashboard.access.roles import role
from dashboard.live import rows
from dashboard.models import Role

from . import words
from .lists import SPARK, arrange, headings, read_state, tabs
from .ranges import QUICK, read_range
from .shell import page, rows_page, shell_of
from .summaries import Summary
from .times import spark_range

SHARE_SECONDS = 3600.0
LOOK_BACK_SECONDS = 24 * 3600.0
COARSE_POINTS = 289
FINE_SECONDS = 900.0
FINE_POINTS = 181
CHART_TOPICS = 6
SHOWS = {"all": "All", "arriving": "Arriving", "unread": "Nobody reads"}
COLUMNS = (
    ("name", "Dead-letter topic", False, ""),
    ("held", "Held", True, "records that are in it now: log end minus log start"),
    ("rate", "Arriving/s", True, "records written to it per second"),
    ("hour", "Last hour", True, "records that came in the last hour, or since sampling began"),
    ("share", "Of its source", True, "share of the records that came to the source topic in the same time"),
    ("", "Newest", False, "when the newest record came, as the samples tell"),
    ("readers", "Read by", True, "groups with committed offsets there"),
    ("", "First seen", False, "by Streamgauge"),
    (SPARK, "Arriving/s", False, ""),
)


@dataclass(frozen=True, slots=True)
class Line:
    """A dead-letter topic; None where something is not known."""

    name: str
    source: str  # "" when only the kind is known
    first_seen_at: datetime
    rate: float | None
    held: int | None
    arrived: Arrived | None
    share: float | None  # of what came to the source meanwhile; None also when nothing did
    share_now: float | None  # the same of the present rates
    readers: tuple[str, ...]

    @property
    def is_arriving(self) -> bool:
        return bool(self.rate) or bool(self.arrived and self.arrived.records)


KEYS = {
    "name": lambda one: one.name.casefold(),
    "held": lambda one: one.held,
    "rate": lambda one: (one.rate, one.held or 0) if one.rate is not None else None,
    "hour": lambda one: None if one.arrived is None else one.arrived.records,
    "share": lambda one: one.share,
    "readers": lambda one: len(one.readers),
}


@role(Role.VIEWER)
@require_safe
def dead_letters(request: HttpRequest, slug: str) -> HttpResponse:
    shell = shell_of(request, slug)
    here = shell.cluster
    assert here is not None
    state = read_state(request.GET, columns=list(KEYS), default_sort="-rate", shows=list(SHOWS))
    every = lines(here)
    listed = arrange(every, state, name=lambda one: one.name, keys=KEYS, wanted=_is_wanted)
    shown = [one.name for one in listed.rows]
    context: dict[str, Any] = {
        "section": "deadletters",
        "here": here,
        "state": state,
        "listed": listed,
        "headings": headings(state, COLUMNS),
        "newest": _newest(here, shown),
        "sparks": _sparks(here, shown),
        "made": rows.topic_rows(here.cluster, here.now, shown) if shown else {},
        "shows": tabs(every, SHOWS, wanted=_is_wanted, is_known=here.is_known),
        "head": _headline(here, every),
        "covered": covered(every),
    }
    if request.GET.get("fragment") == "rows":
        return rows_page(request, "pages/_deadletters_rows.html", context | {"oob": True}, shell=shell)
    context |= {
        "range": read_range(request.GET, now=timezone.now(), history_since=here.history_since),
        "quick": QUICK,
        "chart_topics": CHART_TOPICS,
    }
    return page(request, "pages/deadletters.html", context, shell=shell)


def _is_wanted(one: Line, show: str) -> bool | None:
    if show == "arriving":
        return None if one.rate is None and one.arrived is None else one.is_arriving
    return show == "all" or not one.readers


def lines(here: Summary) -> list[Line]:
    """Every dead-letter topic of a cluster; the number of queries does not depend on how many there are."""
    found = list(
        Topic.objects.filter(cluster=here.cluster, gone_at=None)
        .exclude(dead_letters_of="")
        .order_by("name")
        .values_list("name", "dead_letters_of", "first_seen_at")
    )
    came = _arrived(here, [name for name, _, _ in found] + [source for _, source, _ in found if source != "?"])
    readers = _readers(here)
    out = []
    for name, source, first_seen_at in found:
        rate, source_rate = (_rate(here, topic) for topic in (name, source))
        own, of = came.get(name), came.get(source)
        share = own.records / of.records if own is not None and of is not None and of.records > 0 else None
        out.append(
            Line(
                name,
                "" if source == "?" else source,
                first_seen_at,
                rate,
                _held(here, name),
                own,
                share,
                rate / source_rate if rate is not None and source_rate else None,
                tuple(readers.get(name, ())),
            )
        )
    return out


def _rate(here: Summary, name: str) -> float | None:
    at = here.now.topics.index.get(name) if here.now is not None else None
    return here.now.topics.messages_per_second.at(at) if here.now is not None and at is not None else None


def _arrived(here: Summary, topics: list[str]) -> dict[str, Arrived]:
    if here.now is None or here.is_old or not topics:
        return {}
    until = here.now.taken_at
    wanted = list(dict.fromkeys(topics))
    return queries.arrived(queries.ends_of(here.cluster.pk, wanted, until - SHARE_SECONDS, until, 2))


def _held(here: Summary, name: str) -> int | None:
    """Records in a topic; known only if start and end of every partition are."""
    now = here.now
    if (
        now is None
        or now.is_old
        or now.end.layout.owner_index(name) is None
        or now.start.layout.owner_index(name) is None
    ):
        return None
    end, start = now.end.of(name), now.start.of(name)
    if len(end) != len(start) or not (end.known.all() and start.known.all()):
        return None
    # the start was read by a survey before the end, so it can only be the smaller one
    return int((end.values - start.values).clip(min=0).sum())


def _readers(here: Summary) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    if here.now is not None:
        for group, topic in here.now.groups.pairs():
            out.setdefault(topic, []).append(group)
    return out


def _newest(here: Summary, topics: list[str]) -> dict[str, NewestArrival]:
    """When the newest record of each came: the kept day coarsely, the last quarter of an hour exactly."""
    if here.now is None or here.is_old or not topics:
        return {}
    until = here.now.taken_at
    pk = here.cluster.pk
    coarse = queries.newest_arrivals(queries.ends_of(pk, topics, until - LOOK_BACK_SECONDS, until, COARSE_POINTS))
    fine = queries.newest_arrivals(queries.ends_of(pk, topics, until - FINE_SECONDS, until, FINE_POINTS))
    return coarse | {topic: one for topic, one in fine.items() if one.by is not None}


def _sparks(here: Summary, topics: list[str]) -> dict[str, list[float | None]]:
    if here.now is None or not topics:
        return {}
    since, until = spark_range(here.now.taken_at, here.spark_seconds)
    return queries.sparklines(here.cluster.pk, "topic_rate", topics, since, until)


def covered(every: Sequence[Line]) -> float | None:
    """How many seconds "last hour" really stands for: less in a young instance."""
    spans = [one.arrived.until - one.arrived.since for one in every if one.arrived is not None]
    return max(spans) if spans else None


def _headline(here: Summary, every: list[Line]) -> dict[str, str]:
    if not here.is_sampled or here.is_old or here.verdict == "unknown":
        return {"verdict": "unknown", "sentence": here.row["sentence"]}
    if not every:
        return {"verdict": "ok", "sentence": "No topic of this cluster looks like it holds dead letters"}
    coming = [one for one in every if one.rate]
    held = [one.held for one in every]
    known = [value for value in held if value is not None]
    least = "" if len(known) == len(held) else "at least "
    holds = "how many records they hold is not known yet"
    if known:
        holds = f"{least}{plain_words.counted(sum(known), 'record')} held in {plain_words.counted(len(every), 'topic')}"
    if coming:
        rate = words.rate(sum(one.rate or 0 for one in coming))
        worst = max(coming, key=lambda one: one.rate or 0)
        where = f"in {worst.name}" if len(coming) == 1 else f"in {len(coming)} topics, most of them in {worst.name}"
        if worst.share_now is not None:
            where += f", {words.percent(worst.share_now)} of what comes to {worst.source}"
        return {"verdict": "warn", "sentence": f"{rate} dead letters/s arrive {where}", "sub": holds}
    if any(one.rate is None for one in every):
        unknown = Counter(one.rate is None for one in every)[True]
        said = f"How much arrives is not known for {plain_words.counted(unknown, 'dead-letter topic')}"
        return {"verdict": "unknown", "sentence": said, "sub": holds}
    return {"verdict": "ok", "sentence": "No dead letters arrive at the moment", "sub": holds}
