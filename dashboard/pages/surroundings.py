"""What is around a page, fetched anew while the page stays open: the side bar and the demo's strip."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from collectors.models import Cluster
from dashboard.access.roles import role
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
    return page(request, "_strip.html", {}, shell=shell_of(request))
