"""What is around a page, fetched anew while it stays open: the side bar, and the demo's strip with its buttons."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from collectors import conductor
from collectors.conductor import Wish
from collectors.models import Cluster
from dashboard.access import audit
from dashboard.access.roles import role, safe_next
from dashboard.models import Role

from .shell import page, shell_of


@role(Role.VIEWER)
@require_GET
def side(request: HttpRequest) -> HttpResponse:
    """The side bar of the page that `section` and `cluster` name; a cluster that has gone is as if none was named."""
    slug = request.GET.get("cluster", "")
    is_there = Cluster.objects.filter(slug=slug).exists()
    context = {"section": request.GET.get("section", "")}
    return page(request, "_side.html", context, shell=shell_of(request, slug if is_there else None))


@role(Role.VIEWER)
@require_GET
def strip(request: HttpRequest) -> HttpResponse:
    return _strip(request)


def _strip(request: HttpRequest) -> HttpResponse:
    return page(request, "_strip.html", {}, shell=shell_of(request))


@role(Role.OPERATOR)
@require_POST
def wish(request: HttpRequest, what: str) -> HttpResponse:
    """Ask the demo for the next act, the same again, or calm; the strip follows when the director has done so."""
    if not settings.DEMO or what not in list(Wish):
        raise Http404("There is no such button.")
    if conductor.ask(Wish(what)):
        audit.record_of(request, "demo", what)
    else:
        messages.error(request, "The demo plays no acts at the moment, so nobody hears that button.")
    if request.headers.get("HX-Request") == "true":
        return _strip(request)
    return redirect(safe_next(request, request.headers.get("Referer")))
