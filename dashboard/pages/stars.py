"""Stars: what a person wants first in the side bar, on the overview and in the search."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from collectors.models import Cluster, Group, Topic
from dashboard import names
from dashboard.access.roles import role
from dashboard.live import wire
from dashboard.models import Role, Star

from . import groups, topics
from .starred import MOST, Starred, starred_of
from .summaries import Summary

ROWS = 12
"""On the overview."""


@dataclass(frozen=True, slots=True)
class Line:
    """A starred thing with its row; `row` None: its cluster does not list it any more."""

    star: Starred
    cluster: Summary
    sub: str
    state: str | None
    row: dict[str, Any] | None
    spark: Sequence[float | None] | None
    how: str = ""  # how its lag is known; "" where nobody reads it


@role(Role.VIEWER, personal=True)
@require_POST
def toggle(request: HttpRequest, kind: str, slug: str, name: str) -> HttpResponse:
    """Star with `on=1`, else take the star away; the button alone answers a script, the page a form."""
    assert isinstance(request.user, User)
    cluster = Cluster.objects.filter(slug=slug).first()
    if cluster is None or kind not in Star.Kind.values or not _is_there(cluster, kind, name):
        raise Http404("There is nothing like that to star.")
    own = Star.objects.filter(user=request.user)
    if request.POST.get("on") != "1":
        own.filter(cluster=cluster, kind=kind, name=name).delete()
    elif own.count() >= MOST:
        messages.error(request, f"{MOST} stars are the most: take one away first.")
    else:
        try:
            with transaction.atomic():
                own.get_or_create(user=request.user, cluster=cluster, kind=kind, name=name)
        except IntegrityError:  # a second tab was faster
            pass
    if request.headers.get("HX-Request") != "true":
        return redirect(names.subject_path(slug, kind, name))
    star = starred_of(request, [cluster]).of(kind, slug, name)
    response = render(request, "_star.html", {"star": star})
    response["HX-Trigger"] = "sg-starred"
    return response


def _is_there(cluster: Cluster, kind: str, name: str) -> bool:
    if kind == Star.Kind.GROUP:
        return Group.objects.filter(cluster=cluster, name=name).exists()
    if kind == Star.Kind.TOPIC:
        return Topic.objects.filter(cluster=cluster, name=name).exists()
    return name == ""


def lines(every: Iterable[Starred], clusters: Sequence[Summary]) -> list[Line]:
    """Rows of the first stars, in their order; a few queries for each cluster that has some."""
    shown = list(every)[:ROWS]
    out: dict[Starred, Line] = {}
    for one in clusters:
        own = [star for star in shown if star.slug == one.slug]
        in_groups = [star.name for star in own if star.kind == Star.Kind.GROUP]
        in_topics = [star.name for star in own if star.kind == Star.Kind.TOPIC]
        found = {("group", line["name"]): line for line in groups.lines(one, in_groups)}
        found |= {("topic", line["name"]): line for line in topics.lines(one, in_topics)}
        for star in own:
            if star.kind == Star.Kind.CLUSTER:
                out[star] = Line(star, one, wire.subject_id("c", one.slug), one.verdict, one.row, None)
                continue
            line = found.get((star.kind, star.name))
            state = None if line is None else line["state"] if star.kind == "topic" else line["row"]["verdict"]
            sub = wire.subject_id(star.kind[0], one.slug, star.name)
            row, spark = (line["row"], line["spark"]) if line is not None else (None, None)
            out[star] = Line(star, one, sub, state, row, spark, _how(star, line))
    return [out[star] for star in shown if star in out]


def _how(star: Starred, line: dict[str, Any] | None) -> str:
    if star.kind == Star.Kind.GROUP:
        return names.how_path(star.slug, star.name, of="lag")
    return names.worst_how_path(star.slug, star.name, of="lag") if line is not None and line["has_reader"] else ""
