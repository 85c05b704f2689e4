"""Topics: the list, and one topic with its charts, partitions and readers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from collectors import roster
from collectors.history import queries
from collectors.models import Configuration, Topic
from dashboard.access.roles import role
from dashboard.live import details, rows
from dashboard.models import Role

from . import changes, configured, spread
from .lists import SPARK, arrange, headings, read_state, tabs
from .ranges import QUICK, read_range
from .shell import page, rows_page, shell_of
from .summaries import Summary
from .times import spark_range

SHOWS = {
    "user": "Topics",
    "dead": "Dead letters",
    "degraded": "Degraded",
    "internal": "Internal",
    "unknown": "Unknown",
}
COLUMNS = (
    ("name", "Topic", False, ""),
    ("state", "Replication", False, "worst first"),
    ("rate", "Messages/s", True, "records written per second, all partitions"),
    ("size", "Size", True, "bytes of the leaders' replicas"),
    ("partitions", "Partitions", True, ""),
    ("lag", "Worst lag", True, "of the group that is furthest behind on it"),
    (SPARK, "Messages/s", False, ""),
)


@dataclass(frozen=True, slots=True)
class Light:
    """What sorting and filtering need of a topic."""

    name: str
    is_internal: bool
    dead_letters_of: str
    partitions: int
    under_replicated: int | None  # None: it was too long ago that anybody asked
    offline: int | None
    rate: float | None
    size: float | None
    lag: float | None


KEYS = {
    "name": lambda one: one.name.casefold(),
    "state": lambda one: (one.offline or 0, one.under_replicated or 0, one.rate or 0),
    "rate": lambda one: one.rate,
    "size": lambda one: one.size,
    "partitions": lambda one: one.partitions,
    "lag": lambda one: one.lag,
}


@role(Role.VIEWER)
@require_safe
def topics(request: HttpRequest, slug: str) -> HttpResponse:
    shell = shell_of(request, slug)
    here = shell.cluster
    assert here is not None
    state = read_state(request.GET, columns=list(KEYS), default_sort="-state", shows=list(SHOWS))
    every = lights(here)
    listed = arrange(every, state, name=lambda one: one.name, keys=KEYS, wanted=_is_wanted)
    context = {
        "section": "topics",
        "here": here,
        "state": state,
        "listed": listed,
        "headings": headings(state, COLUMNS),
        "lines": lines(here, [one.name for one in listed.rows]),
        "shows": tabs(every, SHOWS, wanted=_is_wanted, is_known=here.is_known),
        "degraded": [one for one in every if one.under_replicated or one.offline],
    }
    if request.GET.get("fragment") == "rows":
        return rows_page(request, "pages/_topics_rows.html", context | {"oob": True}, shell=shell)
    return page(request, "pages/topics.html", context, shell=shell)


def _is_wanted(one: Light, show: str) -> bool | None:
    if show == "internal":
        return one.is_internal
    if show == "unknown":
        return not one.is_internal and one.offline is None
    if show == "degraded":
        return None if one.offline is None else bool(one.under_replicated or one.offline)
    return not one.is_internal and (show == "user" or bool(one.dead_letters_of))


def lights(here: Summary) -> list[Light]:
    """All topics of a cluster, in one query and the newest numbers."""
    found = Topic.objects.filter(cluster=here.cluster, gone_at=None).order_by()
    now = here.now
    worst = rows.worst_reader_lag(now) if now else None
    out = []
    for name, internal, dead, partitions, under, offline in found.values_list(
        "name", "is_internal", "dead_letters_of", "partition_count", "under_replicated_count", "offline_count"
    ):
        at = now.topics.index.get(name) if now else None
        rate = now.topics.messages_per_second.at(at) if now and at is not None else None
        size = now.topics.size_bytes.at(at) if now and at is not None else None
        lag = worst.at(at) if worst is not None and at is not None else None
        short, leaderless = (None, None) if here.is_old else (under, offline)
        out.append(Light(name, internal, dead, partitions, short, leaderless, rate, size, lag))
    return out


def lines(here: Summary, names: list[str]) -> list[dict[str, Any]]:
    """Rows with sparklines for these topics, in this order."""
    made = rows.topic_rows(here.cluster, here.now, names) if names else {}
    sparks: dict[str, list[float | None]] = {}
    if here.now is not None and names:
        since, until = spark_range(here.now.taken_at, here.spark_seconds)
        sparks = queries.sparklines(here.cluster.pk, "topic_rate", names, since, until)
    read = set(here.now.groups.gt_topic_names) if here.now is not None else set()
    return [
        {
            "name": name,
            "row": made[name],
            "spark": sparks.get(name),
            "state": replication(made[name]),
            "has_reader": name in read,
        }
        for name in names
        if name in made
    ]


def replication(row: dict[str, Any]) -> str:
    """The word of a topic's replicas."""
    if row["offline"] is None:
        return "unknown"
    return "offline" if row["offline"] else "under_replicated" if row["under_replicated"] else "in_sync"


def busiest(here: Summary, limit: int) -> list[dict[str, Any]]:
    """Degraded ones first, then by messages/s; internal ones only when degraded."""
    every = [one for one in lights(here) if not one.is_internal or one.offline or one.under_replicated]
    every.sort(key=lambda one: one.name.casefold())
    every.sort(key=lambda one: (bool(one.offline), bool(one.under_replicated), one.rate or 0), reverse=True)
    return lines(here, [one.name for one in every[:limit]])


@role(Role.VIEWER)
@require_safe
def topic(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    shell = shell_of(request, slug)
    here = shell.cluster
    assert here is not None
    found = Topic.objects.filter(cluster=here.cluster, name=name).first()
    if found is None:
        raise Http404(f"There is no topic “{name}” in {here.name}.")
    row = details.topic_detail(here.cluster, here.now, name)
    fragment = request.GET.get("fragment", "")
    context: dict[str, Any] = {"section": "topics", "here": here, "topic": found, "row": row, "fragment": fragment}
    context["star"] = shell.stars.of("topic", slug, name)
    if fragment in ("partitions", "top"):
        return page(request, f"pages/_topic_{fragment}.html", context, shell=shell)
    context["events"] = changes.recent(20, cluster=here.cluster, subject_kind="topic", subject=name)
    if fragment == "changed":
        return page(request, "pages/_changed.html", context, shell=shell)
    context |= _readers(here, row)
    if fragment == "readers":
        return page(request, "pages/_readers.html", context, shell=shell)
    if found.gone_at is None:
        context["spreading"] = spread.spreading(here, name)
    if fragment == "spread":
        return page(request, "pages/_spread.html", context, shell=shell)
    config = (
        configured.of(here.cluster, Configuration.Kind.TOPIC, name, here.sight.why.get("topic_configs"))
        if found.gone_at is None
        else None
    )
    context |= {
        **configured.for_page(config),
        "retention": configured.retention(config.entries) if config is not None and not config.refused_why else "",
        "left_out": not roster.scope_of(here.cluster).takes_topic(name),
        "held": _held(row),
        "range": read_range(request.GET, now=timezone.now(), history_since=here.history_since),
        "quick": QUICK,
    }
    return page(request, "pages/topic.html", context, shell=shell)


def _held(row: dict[str, Any] | None) -> int | None:
    """Records in the topic; not known if one partition is not, or not all of them are listed."""
    if row is None or len(row["partition_rows"]) < row["partitions_total"]:
        return None
    parts = [(part["start"], part["end"]) for part in row["partition_rows"]]
    if any(start is None or end is None for start, end in parts):
        return None
    return sum(max(0, int(end) - int(start)) for start, end in parts)


def _readers(here: Summary, row: dict[str, Any] | None) -> dict[str, Any]:
    """The groups that have committed offsets for the topic, with their own rows."""
    shown = row["readers"] if row else []
    made = rows.group_rows(here.cluster, here.now, [one["key"] for one in shown]) if shown else {}
    readers = [
        {
            "name": one["key"],
            "lag": one["lag_here"],
            "consumed": one["consumed_here"],
            "age": one["age_here"],
            "age_bounds": one["age_bounds_here"],
            "row": made[one["key"]],
        }
        for one in shown
        if one["key"] in made
    ]
    return {"readers": readers, "readers_left_out": row["readers_total"] - len(shown) if row else 0}
