"""All clusters: the sentence, the table, the health wall, what needs attention, what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse

from collectors.domain import words as plain_words
from collectors.domain.verdicts import Verdict
from collectors.history import queries
from collectors.models import Event, Group
from dashboard import names
from dashboard.access.roles import role
from dashboard.live import rows
from dashboard.models import Role

from . import words
from .shell import Shell, page, shell_of
from .sparks import cluster_rate
from .summaries import Summary, worst_first
from .times import spark_range

WALL_CELLS = 350
ATTENTION_ROWS = 8
EVENT_ROWS = 12
FRAGMENTS = {"wall": "pages/_wall.html", "attention": "pages/_attention.html", "changed": "pages/_changed.html"}


@dataclass(frozen=True, slots=True)
class Cell:
    path: str
    title: str
    tone: str
    glyph: str


@dataclass(frozen=True, slots=True)
class Wall:
    """The groups of one cluster as cells, worst first; `left_out` more are not drawn."""

    name: str
    path: str
    total: int
    cells: list[Cell]
    left_out: int


@role(Role.VIEWER)
def overview(request: HttpRequest) -> HttpResponse:
    shell = shell_of(request)
    clusters = worst_first(shell.clusters)
    fragment = request.GET.get("fragment", "")
    context: dict[str, Any] = {"section": "overview", "fragment": fragment}
    if fragment in ("", "rows"):
        context |= {"clusters": clusters, "sparks": _sparks(clusters)}
    if fragment in ("", "wall", "attention"):
        walls, tally, troubled = _walls(clusters)
        context |= {"walls": walls, "key": _key(tally), "groups_total": sum(tally.values())}
        context |= {"attention": _attention(clusters, troubled), "troubled_total": len(troubled)}
    if fragment in ("", "changed"):
        context["events"] = recent_events()
    if fragment == "rows":
        return page(request, "pages/_clusters.html", context, shell=shell)
    if fragment in FRAGMENTS:
        return page(request, FRAGMENTS[fragment], context, shell=shell)
    if not clusters:
        return page(request, "pages/empty.html", context, shell=shell)
    context |= {"head": headline(clusters), "stats": _stats(shell, clusters)}
    return page(request, "pages/overview.html", context, shell=shell)


def recent_events(limit: int = EVENT_ROWS, **filters: Any) -> list[Event]:
    """The newest events with their clusters."""
    return list(Event.objects.filter(**filters).select_related("cluster").order_by("-at", "-id")[:limit])


def headline(clusters: Sequence[Summary]) -> dict[str, str]:
    """State and sentence for all clusters: the worst one speaks, the others are counted."""
    worst = clusters[0]
    others = sum(one.verdict != "ok" for one in clusters[1:])
    sentence = str(worst.row["sentence"])
    if worst.verdict == "ok":
        brokers = sum(one.row["brokers"] for one in clusters)
        groups = sum(one.row["groups"] for one in clusters)
        lead = "" if len(clusters) == 1 else f"{plain_words.counted(len(clusters), 'cluster')}, "
        said = f"All is well: {lead}{plain_words.counted(brokers, 'broker')}, {plain_words.counted(groups, 'group')}"
        return {"verdict": "ok", "sentence": said, "sub": "", "waiting": worst.row["waiting"]}
    sub = ""
    if others:
        sub = f"{plain_words.counted(others, 'more cluster')} {'needs' if others == 1 else 'need'} a look."
    said = f"{worst.name}: {sentence[:1].lower()}{sentence[1:]}" if len(clusters) > 1 else sentence
    return {"verdict": worst.verdict, "sentence": said, "sub": sub, "waiting": worst.row["waiting"]}


def _stats(shell: Shell, clusters: Sequence[Summary]) -> dict[str, Any]:
    known = [one for one in clusters if one.row["verdict"] != "unknown"]
    rates = [one.row["rate"] for one in clusters]
    return {
        "clusters": len(clusters),
        "known": len(known),
        "brokers": sum(one.row["brokers"] for one in clusters),
        "brokers_up": sum(one.row["brokers_up"] for one in clusters),
        "rate": sum(rate for rate in rates if rate is not None) if any(r is not None for r in rates) else None,
        "rate_is_partial": any(rate is None for rate in rates),
        "topics": sum(one.topics for one in clusters),
        "groups": sum(one.row["groups"] for one in clusters),
        "troubled": sum(one.row["troubled"] for one in clusters),
        "firing": shell.firing,
        "single": clusters[0] if len(clusters) == 1 else None,
    }


def _sparks(clusters: Sequence[Summary]) -> dict[str, list[float | None]]:
    """Messages/s of each cluster over the last while."""
    return {one.slug: cluster_rate(one) for one in clusters}


def _walls(clusters: Sequence[Summary]) -> tuple[list[Wall], Counter[str], list[tuple[Summary, str, Verdict]]]:
    """Walls, groups by verdict word, and the groups in trouble (cluster, name, verdict), worst first."""
    by_id: dict[int, list[tuple[int, str]]] = {one.cluster.pk: [] for one in clusters}
    present = Group.objects.filter(cluster__in=by_id, gone_at=None).order_by()
    for pk, name, verdict in present.values_list("cluster_id", "name", "verdict"):
        by_id[pk].append((verdict, name))
    walls, tally, troubled = [], Counter[str](), []
    for one in clusters:
        is_known = one.now is not None and one.verdict != "unknown"
        found = [(verdict if is_known else int(Verdict.UNKNOWN), name) for verdict, name in by_id[one.cluster.pk]]
        found.sort(key=lambda pair: (-_urgency(pair[0]), pair[1]))
        for verdict, name in found:
            tally[Verdict(verdict).word] += 1
            if Verdict(verdict) in (Verdict.NO_PROGRESS, Verdict.FALLING_BEHIND, Verdict.NOT_COMMITTING):
                troubled.append((one, name, Verdict(verdict)))
        cells = [_cell(one, name, Verdict(verdict)) for verdict, name in found[:WALL_CELLS]]
        path = names.cluster_path(one.slug) + "groups/"
        walls.append(Wall(one.name, path, len(found), cells, max(0, len(found) - WALL_CELLS)))
    troubled.sort(key=lambda item: -_urgency(int(item[2])))
    return walls, tally, troubled


def _urgency(verdict: int) -> int:
    """As the verdicts are ordered, but a group at rest comes after one that is not known."""
    return {int(Verdict.NO_MEMBERS): 1, int(Verdict.UNKNOWN): 2, int(Verdict.NOT_COMMITTING): 3}.get(verdict, verdict)


def _cell(one: Summary, name: str, verdict: Verdict) -> Cell:
    look = words.look(verdict.word)
    return Cell(names.group_path(one.slug, name), f"{name or '(empty name)'}: {look.word}", look.cell, look.glyph)


def _key(tally: Counter[str]) -> list[dict[str, Any]]:
    order = ("ok", "no_members", "unknown", "not_committing", "falling_behind", "no_progress")
    return [{"look": words.look(word), "count": tally[word]} for word in order if tally[word] or word == "ok"]


def _attention(clusters: Sequence[Summary], troubled: Sequence[tuple[Summary, str, Verdict]]) -> list[dict[str, Any]]:
    shown = troubled[:ATTENTION_ROWS]
    out: list[dict[str, Any]] = []
    made: dict[int, tuple[dict[str, Any], dict[str, list[float | None]]]] = {}
    for one in clusters:
        wanted = [name for summary, name, _ in shown if summary is one]
        if wanted:
            lags: dict[str, list[float | None]] = {}
            if one.now is not None:
                since, until = spark_range(one.now.taken_at)
                lags = queries.sparklines(one.cluster.pk, "group_lag", wanted, since, until)
            made[one.cluster.pk] = (rows.group_rows(one.cluster, one.now, wanted), lags)
    for one, name, _ in shown:
        found, lags = made[one.cluster.pk]
        if name in found:
            out.append({"cluster": one, "name": name, "row": found[name], "spark": lags.get(name)})
    return out


