"""All clusters: the sentence, the table, the health wall, what needs attention, what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from collectors.domain import words as plain_words
from collectors.domain.verdicts import Verdict
from collectors.history import queries
from collectors.models import Group
from dashboard import names
from dashboard.access.roles import role
from dashboard.live import rows, wire
from dashboard.models import Role

from . import changes, deadhours, stars, words
from .days import last_days
from .lights import Light, lights_of
from .shell import Shell, page, shell_of
from .sparks import cluster_rate
from .summaries import Summary, worst_first
from .times import spark_range

WALL_CELLS = 350
ATTENTION_ROWS = 8
EVENT_ROWS = 12
FRAGMENTS = {
    "head": "pages/_overview_head.html",
    "wall": "pages/_wall.html",
    "attention": "pages/_attention.html",
    "changed": "pages/_changed.html",
    "starred": "pages/_starred.html",
    "deadhours": "pages/_deadhours.html",
}


@dataclass(frozen=True, slots=True)
class Cell:
    path: str
    how: str  # how its lag is known
    sub: str
    name: str
    title: str
    look: words.Look
    tone: str
    glyph: str
    lag: float | None
    has_commit: bool


@dataclass(frozen=True, slots=True)
class Wall:
    """The groups of one cluster as cells, worst first; `left_out` more are not drawn."""

    name: str
    path: str
    why_old: str
    total: int
    cells: list[Cell]
    left_out: int


@role(Role.VIEWER)
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    shell = shell_of(request)
    clusters = worst_first(shell.clusters)
    fragment = request.GET.get("fragment", "")
    context: dict[str, Any] = {"section": "overview", "fragment": fragment}
    if fragment in ("", "rows"):
        context |= {"clusters": clusters, "sparks": _sparks(clusters, shell.spark_seconds)}
        context["days"] = last_days([one.cluster.pk for one in clusters])
    if fragment in ("", "wall", "attention"):
        walls, tally, troubled = _walls(clusters)
        context |= {"walls": walls, "key": _key(tally), "groups_total": sum(tally.values())}
        context |= {"attention": _attention(clusters, troubled, shell.spark_seconds), "troubled_total": len(troubled)}
        context["unknown_total"] = tally["unknown"]
    is_kiosk = request.GET.get("kiosk") == "1"
    if fragment == "starred" or (not fragment and not is_kiosk):
        every = shell.stars.every
        context |= {"starred": stars.lines(every, clusters), "starred_left_out": max(0, len(every) - stars.ROWS)}
    if fragment in ("", "head", "rows", "deadhours"):
        context["hours"] = deadhours.hours(clusters)
    if fragment in ("", "changed"):
        context["events"] = changes.recent(EVENT_ROWS)
    if fragment in ("", "head") and clusters:
        context |= {"head": headline(clusters), "stats": _stats(shell, clusters)}
    if fragment == "rows":
        return page(request, "pages/_clusters.html", context, shell=shell)
    if fragment in FRAGMENTS:
        return page(request, FRAGMENTS[fragment], context, shell=shell)
    if not clusters:
        return page(request, "pages/empty.html", context, shell=shell)
    context["group_hints"] = " ".join(f"g/{one.slug}" for one in clusters)
    if is_kiosk:
        return page(request, "pages/kiosk.html", {**context, "kiosk": True}, shell=shell)
    return page(request, "pages/overview.html", context, shell=shell)


def headline(clusters: Sequence[Summary]) -> dict[str, str]:
    """State and sentence for all clusters: the worst one speaks, the others are counted."""
    worst = clusters[0]
    others = sum(one.verdict != "ok" for one in clusters[1:])
    sentence = str(worst.row["sentence"])
    if worst.verdict == "ok" and len(clusters) > 1:
        brokers = plain_words.counted(sum(one.row["brokers"] for one in clusters), "broker")
        groups = plain_words.counted(sum(one.row["groups"] for one in clusters), "group")
        said = f"Nothing needs you: {plain_words.counted(len(clusters), 'cluster')}, {brokers}, {groups}"
        return {"verdict": "ok", "sentence": said, "sub": "", "waiting": worst.row["waiting"]}
    sub = ""
    if others:
        sub = f"{plain_words.counted(others, 'more cluster')} {'needs' if others == 1 else 'need'} a look."
    said = f"{worst.name}: {sentence[:1].lower()}{sentence[1:]}" if len(clusters) > 1 else sentence
    return {"verdict": worst.verdict, "sentence": said, "sub": sub, "waiting": worst.row["waiting"]}


def _stats(shell: Shell, clusters: Sequence[Summary]) -> dict[str, Any]:
    known = [one for one in clusters if one.row["verdict"] != "unknown"]
    troubled = [one.row["troubled"] for one in known if one.row["troubled"] is not None]
    rates = [one.row["rate"] if one in known else None for one in clusters]
    return {
        "clusters": len(clusters),
        "known": len(known),
        "brokers": sum(one.row["brokers"] for one in known),
        "brokers_up": sum(one.row["brokers_up"] for one in known),
        "rate": sum(rate for rate in rates if rate is not None) if any(r is not None for r in rates) else None,
        "rate_is_partial": any(rate is None for rate in rates),
        "topics": sum(one.row["topics"] for one in clusters),
        "groups": sum(one.row["groups"] for one in clusters),
        "troubled": sum(troubled) if troubled else None,
        "troubled_is_partial": len(troubled) < len(clusters),
        "firing": shell.firing,
        "single": clusters[0] if len(clusters) == 1 else None,
    }


def _sparks(clusters: Sequence[Summary], seconds: float) -> dict[str, list[float | None]]:
    """Messages/s of each cluster over the last while."""
    return {one.slug: cluster_rate(one, seconds) for one in clusters}


def _walls(clusters: Sequence[Summary]) -> tuple[list[Wall], Counter[str], list[tuple[Summary, Light]]]:
    """Walls, groups by verdict word, and the groups in trouble, worst first; one query for all clusters."""
    by_id: dict[int, list[tuple[str, int | None, str]]] = {one.cluster.pk: [] for one in clusters}
    present = Group.objects.filter(cluster__in=by_id, gone_at=None).order_by()
    for pk, name, members in present.values_list("cluster_id", "name", "member_count"):
        by_id[pk].append((name, members, ""))  # a wall shows no types
    walls: list[Wall] = []
    tally: Counter[str] = Counter()
    troubled: list[tuple[Summary, Light]] = []
    for one in clusters:
        is_known = one.verdict != "unknown"  # of a stale cluster the wall shows nothing that may have passed
        found = lights_of(one.now if is_known else None, by_id[one.cluster.pk])
        found.sort(key=lambda light: light.name)
        found.sort(key=lambda light: light.urgency, reverse=True)
        tally.update(light.word for light in found)
        troubled += [(one, light) for light in found if light.is_in_trouble]
        cells = [_cell(one, light) for light in found[:WALL_CELLS]]
        path = names.cluster_path(one.slug) + "groups/"
        walls.append(Wall(one.name, path, one.why_old, len(found), cells, max(0, len(found) - WALL_CELLS)))
    troubled.sort(key=lambda pair: pair[1].urgency, reverse=True)
    return walls, tally, troubled


def _cell(one: Summary, light: Light) -> Cell:
    look = words.look(light.word)
    tone, glyph = ("w", "!") if light.is_in_trouble and look.cell == "e" else (look.cell, look.glyph)
    shown = light.name or "(empty name)"
    return Cell(
        names.group_path(one.slug, light.name),
        names.how_path(one.slug, light.name, of="lag"),
        wire.subject_id("g", one.slug, light.name),
        shown,
        f"{shown}: {look.word}",
        look,
        tone,
        glyph,
        light.lag,
        light.has_commit,
    )


def _key(tally: Counter[str]) -> list[dict[str, Any]]:
    order = [verdict.word for verdict in sorted(Verdict, key=lambda verdict: verdict.severity)]
    return [{"look": words.look(word), "count": tally[word]} for word in order if tally[word] or word == "ok"]


def _attention(
    clusters: Sequence[Summary], troubled: Sequence[tuple[Summary, Light]], seconds: float
) -> list[dict[str, Any]]:
    shown = troubled[:ATTENTION_ROWS]
    out: list[dict[str, Any]] = []
    made: dict[int, tuple[dict[str, Any], dict[str, list[float | None]]]] = {}
    for one in clusters:
        wanted = [light.name for summary, light in shown if summary is one]
        if wanted:
            lags: dict[str, list[float | None]] = {}
            if one.now is not None:
                since, until = spark_range(one.now.taken_at, seconds)
                lags = queries.sparklines(one.cluster.pk, "group_lag", wanted, since, until)
            made[one.cluster.pk] = (rows.group_rows(one.cluster, one.now, wanted), lags)
    for one, light in shown:
        found, lags = made[one.cluster.pk]
        if light.name in found:
            row = found[light.name]
            out.append({"cluster": one, "name": light.name, "row": row, "spark": lags.get(light.name)})
    return out
