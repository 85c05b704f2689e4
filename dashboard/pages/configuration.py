"""Configuration: how the brokers are set, which topics differ from them, and how old the slow facts are."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from collectors.models import Configuration, Cycle
from dashboard.access.roles import role
from dashboard.models import Role

from . import configured
from .clusters import evidence
from .shell import page, shell_of

TOPICS_SHOWN = 100
REFUSED_SHOWN = 20
LONGEST_SEARCH = 249


@role(Role.VIEWER)
@require_safe
def configuration(request: HttpRequest, slug: str) -> HttpResponse:
    shell = shell_of(request, slug)
    here = shell.cluster
    assert here is not None
    newest = Cycle.objects.filter(cluster=here.cluster, number=here.cluster.last_cycle).first()
    every = Configuration.objects.filter(cluster=here.cluster)
    wanted = request.GET.get("q", "").replace("\0", "")[:LONGEST_SEARCH]
    read = every.filter(refused_why="")
    own = read.filter(kind=Configuration.Kind.TOPIC, set_count__gt=0, name__icontains=wanted).order_by("name")
    refused = every.filter(kind=Configuration.Kind.TOPIC).exclude(refused_why="").order_by("refused_at", "name")
    off = here.sight.why  # what was read before the right was taken away may no longer be so
    brokers = [] if "broker_configs" in off else list(read.filter(kind=Configuration.Kind.BROKER))
    topics = [] if "topic_configs" in off else list(own[: TOPICS_SHOWN + 1])
    context = {
        "section": "configuration",
        "here": here,
        "evidence": evidence(here),
        "ages": sorted(newest.ages.items()) if newest is not None else [],
        "brokers": brokers,
        "lines": configured.over_brokers(brokers),
        "topics": [
            (one, [line for line in configured.lines(one.entries) if line.source == "set on the topic"])
            for one in topics[:TOPICS_SHOWN]
        ],
        "has_more": len(topics) > TOPICS_SHOWN,
        "wanted": wanted,
        "refused": [] if "topic_configs" in off else list(refused[:REFUSED_SHOWN]),
        "refused_total": refused.count() if "topic_configs" not in off else 0,
        "topics_read": "topic_configs" not in off and read.filter(kind=Configuration.Kind.TOPIC).exists(),
    }
    return page(request, "pages/configuration.html", context, shell=shell)
