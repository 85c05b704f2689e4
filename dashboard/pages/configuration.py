"""What the cluster is set to and what this login may see of it, as far as that has been read."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from collectors.models import Cycle
from dashboard.access.roles import role
from dashboard.models import Role

from .clusters import evidence
from .shell import page, shell_of


@role(Role.VIEWER)
@require_safe
def configuration(request: HttpRequest, slug: str) -> HttpResponse:
    shell = shell_of(request, slug)
    here = shell.cluster
    assert here is not None
    newest = Cycle.objects.filter(cluster=here.cluster, number=here.cluster.last_cycle).first()
    context = {
        "section": "configuration",
        "here": here,
        "evidence": evidence(here),
        "ages": sorted(newest.ages.items()) if newest is not None else [],
    }
    return page(request, "pages/configuration.html", context, shell=shell)
