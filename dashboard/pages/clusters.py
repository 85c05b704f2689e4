"""One cluster: sentence, tiles, brokers, the worst groups, the busiest topics, what changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from collectors.domain import words as plain_words
from collectors.models import Broker, Cycle
from dashboard.access.roles import role
from dashboard.live import rows
from dashboard.live.sentences import plain_reason
from dashboard.models import Alert, Role

from . import changes, groups, topics
from .ranges import QUICK, read_range
from .shell import page, shell_of
from .sparks import cluster_rate
from .summaries import Summary
from .timeline import timeline

GROUP_ROWS = 6
TOPIC_ROWS = 8
FIRING_SHOWN = 8
FRAGMENTS = {
    "top": "pages/_cluster_top.html",
    "brokers": "pages/_brokers.html",
    "groups": "pages/_worst_groups.html",
    "topics": "pages/_busiest_topics.html",
    "changed": "pages/_changed.html",
    "timeline": "pages/_timeline.html",
    "firing": "pages/_firing.html",
}
_REACH_RANK = {"down": 0, "suspect": 1, "up": 2}
_MORE_THAN_PART = {
    "connect": "connecting",
    "end_offsets": "log ends",
    "start_offsets": "log starts",
    "commits": "committed offsets",
    "share_lag": "lag of share groups",
    "describe": "members of groups",
    "log_dirs": "sizes on disk",
    "topic_configs": "configuration of topics",
    "broker_configs": "configuration of brokers",
    "rights": "rights",
}


@dataclass(frozen=True, slots=True)
class BrokerLine:
    broker: Broker
    row: dict[str, Any]


@role(Role.VIEWER)
@require_safe
def cluster(request: HttpRequest, slug: str) -> HttpResponse:
    shell = shell_of(request, slug)
    here = shell.cluster
    assert here is not None
    fragment, now = request.GET.get("fragment", ""), timezone.now()
    context: dict[str, Any] = {"section": "cluster", "here": here, "fragment": fragment}
    context["star"] = shell.stars.of("cluster", slug)
    if not fragment:
        own = here.cluster.kafka_cluster_id
        context["twins"] = [
            one for one in shell.clusters if own and one.cluster.kafka_cluster_id == own and one is not here
        ]
    if fragment in ("", "brokers"):
        context["brokers"] = _brokers(here)
    if fragment in ("", "groups"):
        context["group_rows"] = groups.worst(here, GROUP_ROWS)
    if fragment in ("", "topics"):
        context["topic_rows"] = topics.busiest(here, TOPIC_ROWS)
    if fragment in ("", "changed"):
        context["events"] = changes.recent(20, cluster=here.cluster)
    if fragment in ("", "top"):
        context |= {"evidence": evidence(here), "rate_spark": cluster_rate(here, here.spark_seconds)}
        context["lacks_rights"] = any("not authorised" in one["text"] for one in context["evidence"])
    span = read_range(request.GET, now=now, history_since=here.history_since)
    if fragment in ("", "timeline"):
        context |= {"timeline": timeline(here.cluster, span, now=now), "range": span, "quick": QUICK}
    if fragment in ("", "firing"):
        context["firing"] = list(
            Alert.objects.raised()
            .filter(cluster=here.cluster)
            .select_related("rule", "cluster")
            .order_by("-fired_at")[:FIRING_SHOWN]
        )
    if fragment in FRAGMENTS:
        return page(request, FRAGMENTS[fragment], context, shell=shell)
    now = timezone.now()
    context |= {"range": read_range(request.GET, now=now, history_since=here.history_since), "quick": QUICK}
    return page(request, "pages/cluster.html", context, shell=shell)


def _brokers(here: Summary) -> list[BrokerLine]:
    made = rows.broker_rows(here.cluster, here.now)
    found = list(here.cluster.brokers.filter(gone_at=None))
    here.sight.without_stale_roles(found, is_old=here.is_old)
    lines = [BrokerLine(broker, made[str(broker.node_id)]) for broker in found if str(broker.node_id) in made]
    return sorted(lines, key=lambda line: (_REACH_RANK.get(line.row["reach"], 3), line.broker.node_id))


def evidence(here: Summary) -> list[dict[str, Any]]:
    """What the newest cycle could not learn, in words; nothing when all was answered."""
    newest = Cycle.objects.filter(cluster=here.cluster, number=here.cluster.last_cycle).first()
    if newest is None:
        return []
    out = []
    for error in newest.errors[:6]:
        part = str(error.get("part", ""))
        what = _MORE_THAN_PART.get(part, part.replace("_", " "))
        where = f"broker {error['broker']}" if error.get("broker") is not None else "the cluster"
        times = error.get("count") or 1
        said = f"{what} from {where}: {plain_reason(str(error.get('reason', 'no reason given')))}"
        out.append({"text": said, "times": f", {plain_words.counted(times, 'time')}" if times > 1 else ""})
    return out
