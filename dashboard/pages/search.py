"""What the palette finds: pages, clusters, groups, topics, brokers; a few of each, the best first."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from collectors.domain import words as plain_words
from collectors.history.now import ClusterNow
from collectors.models import Broker, Cluster, Group, Topic
from dashboard import names
from dashboard.access.roles import role, role_of
from dashboard.live.rows import verdict_of
from dashboard.models import Role

from . import words
from .lists import LONGEST_SEARCH
from .shell import json_answer
from .starred import Stars, starred_of
from .summaries import now_of

Row = TypeVar("Row", Group, Topic)

EACH = 7
PAGES: tuple[tuple[str, str, str, str, Role], ...] = (
    # words that find it, title, path, icon, least role
    ("overview start all clusters", "Overview", "/", "i-grid", Role.VIEWER),
    ("wall kiosk display screen", "Wall display", "/?kiosk=1", "i-expand", Role.VIEWER),
    ("alerts firing bell", "Alerts", "/alerts/", "i-bell", Role.VIEWER),
    ("alerts history past", "Alert history", "/alerts/history/", "i-clock", Role.VIEWER),
    ("alerts rules thresholds", "Alert rules", "/alerts/rules/", "i-sliders", Role.VIEWER),
    ("alerts silences mute", "Silences", "/alerts/silences/", "i-mute", Role.VIEWER),
    ("alerts maintenance windows planned", "Maintenance", "/alerts/maintenance/", "i-clock", Role.VIEWER),
    ("alerts routes who is told hours", "Routes", "/alerts/routes/", "i-send", Role.VIEWER),
    ("alerts deliveries messages sent log", "Deliveries", "/alerts/deliveries/", "i-send", Role.VIEWER),
    ("notification channels webhook settings", "Notification channels", "/settings/channels/", "i-send", Role.ADMIN),
    ("this instance loops version database health", "This instance", "/instance/", "i-gauge", Role.VIEWER),
    ("prometheus metrics scrape", "Prometheus metrics", "/metrics", "i-mark", Role.VIEWER),
)
CLUSTER_PAGES = (
    ("topics", "topics/", "i-topics"),
    ("groups", "groups/", "i-groups"),
    ("brokers", "brokers/", "i-server"),
    ("dead letters", "dead-letters/", "i-inbox"),
    ("events", "events/", "i-flag"),
    ("configuration", "configuration/", "i-sliders"),
    ("rights", "rights/", "i-ok"),
)


@role(Role.VIEWER)
@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """JSON for the palette: `{"query", "sections": [{"title", "items": [{"title", "note", "href", "icon"}], "more"}]}`.

    A handful of queries, each with a limit; `more` says that a section has others.
    """
    text = request.GET.get("q", "").replace("\0", "")[:LONGEST_SEARCH].strip()
    rows = list(Cluster.objects.order_by("name").only("pk", "slug", "name"))
    clusters = [(one.pk, one.slug, one.name) for one in rows]
    sections = [
        _section("Starred", _stars(starred_of(request, rows), text)),
        _section("Clusters", _clusters(clusters, text)),
        _section("Groups", _groups(text)),
        _section("Topics", _topics(text)),
        _section("Brokers", _brokers(text)),
        _section("Pages", _pages(text, clusters, role_of(request) or Role.VIEWER)),
    ]
    return json_answer({"query": text, "sections": [one for one in sections if one["items"]]})


def _section(title: str, items: list[dict[str, str]]) -> dict[str, Any]:
    return {"title": title, "items": items[:EACH], "more": len(items) > EACH}


def _item(title: str, note: str, href: str, icon: str, tone: str = "") -> dict[str, str]:
    return {"title": title, "note": note, "href": href, "icon": icon, "tone": tone}


def _clusters(clusters: list[tuple[int, str, str]], text: str) -> list[dict[str, str]]:
    found = [one for one in clusters if text.casefold() in f"{one[2]} {one[1]}".casefold()]
    found.sort(key=lambda one: not one[2].casefold().startswith(text.casefold()))
    return [_item(name, "cluster", names.cluster_path(slug), "i-grid") for _, slug, name in found[: EACH + 1]]


def _stars(stars: Stars, text: str) -> list[dict[str, str]]:
    """What the person who asks has starred; of those with `text` in their name, that begin with it first."""
    found = [one for one in stars.every if text.casefold() in one.title.casefold()]
    found.sort(key=lambda one: not one.title.casefold().startswith(text.casefold()))
    notes = {one: one.kind if one.kind == "cluster" else f"{one.kind} · {one.cluster}" for one in found}
    return [_item(one.title, notes[one], one.path, "i-starred") for one in found[: EACH + 1]]


def _best(rows: QuerySet[Row], text: str) -> QuerySet[Row]:
    """Rows with `text` in their name: the very name first, then those that begin with it, then by name."""
    same, begins = (
        Case(When(**{lookup: text}, then=Value(0)), default=Value(1), output_field=IntegerField())
        for lookup in ("name__iexact", "name__istartswith")
    )
    return rows.filter(name__icontains=text, gone_at=None).order_by(same, begins, "name")[: EACH + 1]


def _groups(text: str) -> list[dict[str, str]]:
    if not text:
        return []
    out = []
    nows: dict[int, ClusterNow | None] = {}
    for group in _best(Group.objects.select_related("cluster").defer("cluster__settings_encrypted"), text):
        if group.cluster_id not in nows:
            nows[group.cluster_id] = now_of(group.cluster)
        look = words.look(verdict_of(nows[group.cluster_id], group.name).word)
        path = names.group_path(group.cluster.slug, group.name)
        out.append(
            _item(group.name or "(empty name)", f"{group.cluster.name} · {look.word}", path, look.icon, look.tone)
        )
    return out


def _topics(text: str) -> list[dict[str, str]]:
    if not text:
        return []
    rows = Topic.objects.select_related("cluster").defer("partitions", "cluster__settings_encrypted")
    out = []
    for topic in _best(rows, text):
        kind = "dead letters" if topic.dead_letters_of else plain_words.counted(topic.partition_count, "partition")
        icon = "i-inbox" if topic.dead_letters_of else "i-topics"
        path = names.topic_path(topic.cluster.slug, topic.name)
        out.append(_item(topic.name, f"{topic.cluster.name} · {kind}", path, icon))
    return out


def _brokers(text: str) -> list[dict[str, str]]:
    """By id ("2", "broker 2"), address or rack."""
    if not text:
        return []
    number = text.casefold().removeprefix("broker").strip()
    wanted = Q(host__icontains=text) | Q(rack__icontains=text)
    if number.isascii() and number.isdigit() and len(number) < 10:
        wanted |= Q(node_id=int(number))
    elif text.casefold() in "broker":
        wanted = Q()
    rows = Broker.objects.filter(wanted, gone_at=None).select_related("cluster").defer("cluster__settings_encrypted")
    return [
        _item(
            f"broker {one.node_id}",
            f"{one.cluster.name} · {one.host}:{one.port}",
            names.broker_path(one.cluster.slug, one.node_id),
            "i-server",
        )
        for one in rows.order_by("cluster__name", "node_id")[: EACH + 1]
    ]


def _pages(text: str, clusters: list[tuple[int, str, str]], have: Role) -> list[dict[str, str]]:
    parts = text.casefold().split()
    found = [
        _item(title, "", path, icon)
        for terms, title, path, icon, least in PAGES
        if have >= least and all(part in f"{terms} {title}".casefold() for part in parts)
    ]
    if not parts:
        return found
    for _, slug, name in clusters:
        for title, piece, icon in CLUSTER_PAGES:
            if len(found) > EACH:
                return found
            if all(part in f"{title} {name}".casefold() for part in parts) and any(p in title for p in parts):
                found.append(_item(title.capitalize(), name, names.cluster_path(slug) + piece, icon))
    return found
