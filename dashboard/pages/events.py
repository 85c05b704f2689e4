"""What changed in one cluster: all of it, by kind and subject, page by page."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from collectors.models import Event
from dashboard.access.roles import role
from dashboard.models import Role

from . import changes
from .lists import LONGEST_SEARCH
from .shell import page, rows_page, shell_of

PAGE_EVENTS = 100
SUBJECTS = {"": "Anything", "group": "Groups", "topic": "Topics", "broker": "Brokers", "cluster": "The cluster itself"}


@role(Role.VIEWER)
@require_safe
def events(request: HttpRequest, slug: str) -> HttpResponse:
    """Pages go by `?before=ID`, so that what comes in meanwhile moves nothing."""
    shell = shell_of(request, slug)
    here = shell.cluster
    assert here is not None
    kind, about = request.GET.get("kind", ""), request.GET.get("about", "")
    search = request.GET.get("q", "").replace("\0", "")[:LONGEST_SEARCH].strip()
    kind = kind if kind in Event.Kind.values else ""
    about = about if about in SUBJECTS else ""
    found = Event.objects.filter(cluster=here.cluster)
    if kind:
        found = found.filter(kind=kind)
    if about:
        found = found.filter(subject_kind="" if about == "cluster" else about)
    if search:
        found = found.filter(subject__icontains=search)
    before = request.GET.get("before", "")
    is_first = not (before.isascii() and before.isdigit() and len(before) < 19)
    if not is_first:
        found = found.filter(id__lt=int(before))
    some = list(found.select_related("cluster").order_by("-id")[: PAGE_EVENTS + 1])
    context: dict[str, Any] = {
        "section": "events",
        "here": here,
        "events": changes.lines(some[:PAGE_EVENTS], together=False),
        "older": some[PAGE_EVENTS - 1].pk if len(some) > PAGE_EVENTS else None,
        "is_first": is_first,
        "is_filtered": bool(kind or about or search),
        "kinds": [(value, label.lower()) for value, label in Event.Kind.choices],
        "subjects": list(SUBJECTS.items()),
        "kind": kind,
        "about": about,
        "search": search,
    }
    if request.GET.get("fragment") == "rows":
        return rows_page(request, "pages/_events_rows.html", context, shell=shell)
    return page(request, "pages/events.html", context, shell=shell)
