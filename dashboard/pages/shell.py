"""What is around every page: side bar, bell, the demo's strip, and the answer that carries them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from django.conf import settings
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from collectors import conductor
from collectors.conductor import Wish
from collectors.domain import words as plain_words
from collectors.models import Event
from dashboard import names
from dashboard.access.roles import role_of
from dashboard.models import Role, Transition

from . import words
from .ranges import DEFAULTS
from .starred import Stars, starred_of
from .summaries import Summary, summaries
from .times import spark_label

THEMES = ("dark", "light")


WISHES = (
    (Wish.NEXT, "Next", "Go on to the next act, after the minute of calm between two acts"),
    (Wish.REPEAT, "Repeat", "Play this act again, after the minute of calm between two acts"),
    (Wish.CALM, "Stay calm", "No act until somebody presses Next or Repeat"),
)


@dataclass(frozen=True)
class Act:
    """What the demo does on purpose at the moment."""

    title: str
    ends_at: float | None
    left: str
    path: str  # where it shows; "" when there is nothing to see
    coming: str = ""  # what begins when it ends
    is_calm: bool = False
    can_ask: bool = False  # somebody plays in this process, so that people can ask for another act


@dataclass(frozen=True)
class Shell:
    clusters: list[Summary]
    cluster: Summary | None
    firing: int
    role: Role
    is_demo: bool
    act: Act | None
    now: float
    events_seq: str
    stars: Stars
    looks: Mapping[str, Mapping[str, str]] = field(default_factory=words.for_scripts)

    @property
    def role_label(self) -> str:
        return str(self.role.label)

    @property
    def is_admin(self) -> bool:
        return self.role >= Role.ADMIN

    @property
    def is_operator(self) -> bool:
        return self.role >= Role.OPERATOR

    @property
    def wishes(self) -> tuple[tuple[Wish, str, str], ...]:
        """The buttons of the demo's strip: what, label, title."""
        return WISHES

    @property
    def spark_seconds(self) -> float:
        """Of all sparklines of the page: one head of a column says it for all rows."""
        shown = [self.cluster] if self.cluster else self.clusters
        return max((one.spark_seconds for one in shown), default=DEFAULTS[0][0])

    @property
    def spark_steps(self) -> list[tuple[float, str]]:
        return [(seconds, spark_label(seconds)) for seconds, _ in DEFAULTS]

    @property
    def spark_label(self) -> str:
        return spark_label(self.spark_seconds)

    @property
    def history_since(self) -> float | None:
        shown = [self.cluster] if self.cluster else self.clusters
        begins = [one.history_since.timestamp() for one in shown if one.history_since]
        return min(begins, default=None)

    @property
    def newest_at(self) -> float | None:
        return max((one.row["taken_at"] for one in self.clusters if one.row["taken_at"]), default=None)


def shell_of(request: HttpRequest, slug: str | None = None) -> Shell:
    """The surroundings of a page; `slug` names the cluster it belongs to (Http404 when there is none such)."""
    every = summaries()
    here = next((one for one in every if one.slug == slug), None)
    if slug is not None and here is None:
        raise Http404(f"There is no cluster “{slug}”.")
    if here is None and len(every) == 1:
        here = every[0]
    return Shell(
        clusters=sorted(every, key=lambda one: one.name.casefold()),
        cluster=here,
        firing=sum(one.row["alerts"] for one in every),
        role=role_of(request) or Role.VIEWER,
        is_demo=settings.DEMO,
        act=newest_act(timezone.now()) if settings.DEMO else None,
        now=timezone.now().timestamp(),
        events_seq=f"{_newest_id(Transition)}.{_newest_id(Event)}",
        stars=starred_of(request, [one.cluster for one in every]),
    )


def page(
    request: HttpRequest, template: str, context: dict[str, Any], *, shell: Shell, status: int | None = None
) -> HttpResponse:
    """Render a page with its surroundings."""
    return render(request, template, {"shell": shell, "theme": theme_of(request), **context}, status=status)


def rows_page(request: HttpRequest, template: str, context: dict[str, Any], *, shell: Shell) -> HttpResponse:
    """The rows of a list; the address in the browser follows what was searched, so that it can be shared."""
    response = page(request, template, context, shell=shell)
    if request.headers.get("HX-Request") == "true":
        params = request.GET.copy()
        params.pop("fragment", None)
        kept = urlencode([(key, value) for key, value in params.items() if value])
        response["HX-Replace-Url"] = quote(request.path) + (f"?{kept}" if kept else "")
    return response


def json_answer(value: Any) -> HttpResponse:
    """Plain JSON that no cache keeps."""
    return HttpResponse(
        orjson.dumps(value), content_type="application/json", headers={"Cache-Control": "private, no-store"}
    )


def theme_of(request: HttpRequest) -> str:
    """`?theme=` for this page, else the cookie that the switch writes, else "" (the system's choice)."""
    wanted = request.GET.get("theme") or request.COOKIES.get("sg_theme", "")
    return wanted if wanted in THEMES else ""


def newest_act(now: datetime) -> Act | None:
    """The act under way in the demo, from its newest mark."""
    event = Event.objects.filter(kind=Event.Kind.ACT).select_related("cluster").order_by("-at", "-id").first()
    if event is None:
        return None
    ends_at = event.data.get("ends_at")
    left = ends_at - now.timestamp() if isinstance(ends_at, int | float) else None
    if left is not None and left <= 0:
        return None
    kind = str(event.data.get("subject_kind") or event.subject_kind)
    subject = str(event.data.get("subject") or event.subject)
    path = names.cluster_path(event.cluster.slug) if kind in ("broker", "cluster") else ""
    if event.data.get("page") == "dead-letters":
        kind, path = "", names.cluster_path(event.cluster.slug) + "dead-letters/"
    if kind == "group" and subject:
        path = names.group_path(event.cluster.slug, subject)
    elif kind == "topic" and subject:
        path = names.topic_path(event.cluster.slug, subject)
    return Act(
        title=str(event.data.get("title") or event.text).removeprefix("Demo: ").rstrip("."),
        ends_at=float(ends_at) if left is not None and ends_at is not None else None,
        left=countdown(left) if left is not None else "",
        path=path,
        coming=str(event.data.get("next") or ""),
        is_calm=event.data.get("act") == "calm",
        can_ask=conductor.is_heard(),
    )


def countdown(seconds: float) -> str:
    """42 -> "0:42"; from an hour on in words."""
    whole = max(0, int(seconds))
    return f"{whole // 60}:{whole % 60:02d}" if whole < 3600 else plain_words.duration(whole)


def _newest_id(model: type[Transition] | type[Event]) -> int:
    newest: int | None = model.objects.aggregate(newest=Max("id"))["newest"]
    return newest or 0
