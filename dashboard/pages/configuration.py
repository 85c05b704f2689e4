"""What the cluster is set to, as far as this login may read it: brokers beside each other, and what topics set."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from collectors.domain import configuration as settings
from collectors.domain.configuration import Setting, Source
from collectors.models import Broker, ConfigSet, Cycle, Topic
from dashboard.access.roles import role
from dashboard.models import Role

from .clusters import evidence
from .shell import page, shell_of
from .summaries import Summary

TOPIC_SETTINGS_SHOWN = 40
VALUES_SHOWN = 8
TOPICS_NAMED = 5
MOST_SETS = 2_000  # topics set in more different ways than this are told in part


@dataclass(frozen=True, slots=True)
class Line:
    """A setting as a page shows it; `said` is its value in words, `raw` as the broker keeps it."""

    name: str
    raw: str
    said: str
    origin: str
    is_default: bool
    is_hidden: bool


def line(one: Setting) -> Line:
    said = "hidden" if one.is_sensitive else settings.spoken(one.name, one.value)
    raw = "" if one.value is None or one.value == said else one.value
    return Line(one.name, raw, said, settings.origin(one.source), one.is_default, one.is_sensitive)


@dataclass(frozen=True, slots=True)
class Shown:
    """The settings of one topic or broker: what somebody has set, and what is as Kafka comes."""

    own: list[Line]
    default: list[Line]
    retention: str
    policy: str

    @property
    def total(self) -> int:
        return len(self.own) + len(self.default)


def shown(config: ConfigSet | None) -> Shown | None:
    """None when they were never read."""
    if config is None:
        return None
    listed = config.listed
    own = [line(one) for one in listed if not one.is_default]
    default = [line(one) for one in listed if one.is_default]
    return Shown(own, default, settings.retention(listed), settings.value_of(listed, "cleanup.policy") or "")


def newest_cycle(here: Summary) -> Cycle | None:
    return Cycle.objects.filter(cluster=here.cluster, number=here.cluster.last_cycle).first()


def why_unread(newest: Cycle | None, part: str) -> str:
    """Why the settings of this part ("topic_configs", "broker_configs") are not there."""
    for error in newest.errors if newest is not None else ():
        if error.get("part") == part:
            reason = str(error.get("reason", "not answered"))
            needs = "the cluster" if part == "broker_configs" else "the topic"
            hint = f": it needs DescribeConfigs on {needs}" if reason == "not authorised" else ""
            return f"{reason}{hint}"
    return "asked every 10 minutes, not answered yet"


def why_of(here: Summary, row: Topic | Broker, part: str) -> str:
    """As `why_unread`; "" for one whose settings are there."""
    return "" if row.config_id is not None else why_unread(newest_cycle(here), part)


@role(Role.VIEWER)
@require_safe
def configuration(request: HttpRequest, slug: str) -> HttpResponse:
    shell = shell_of(request, slug)
    here = shell.cluster
    assert here is not None
    newest = newest_cycle(here)
    brokers = list(Broker.objects.filter(cluster=here.cluster, gone_at=None).select_related("config"))
    compared = _compared(brokers)
    on_topics, read, total = _on_topics(here)
    context: dict[str, Any] = {
        "section": "configuration",
        "here": here,
        "head": _headline(here, newest, compared, on_topics, is_read=bool(read) or any(b.config_id for b in brokers)),
        "compared": compared,
        "unlike": [one for one in compared if one.differs],
        "each_own": [one for one in compared if not one.differs and one.is_unlike],
        "alike": [one for one in compared if not one.is_unlike],
        "unread_brokers": [one for one in brokers if one.config is None],
        "why_brokers": why_unread(newest, "broker_configs"),
        "on_topics": on_topics[:TOPIC_SETTINGS_SHOWN],
        "more_settings": max(0, len(on_topics) - TOPIC_SETTINGS_SHOWN),
        "topics_read": read,
        "topics_total": total,
        "why_topics": why_unread(newest, "topic_configs"),
        "evidence": evidence(newest),
        "ages": sorted(newest.ages.items()) if newest is not None else [],
    }
    return page(request, "pages/configuration.html", context, shell=shell)


@dataclass(frozen=True, slots=True)
class Compared:
    """One setting over all brokers: `values` are (line, ids of the brokers that have it), the most common first."""

    name: str
    values: list[tuple[Line, list[int]]]
    differs: bool  # beyond what has to differ from broker to broker

    @property
    def is_unlike(self) -> bool:
        return len({one.said for one, _ in self.values}) > 1


OWN_TO_EACH = ("advertised.listeners", "broker.id", "broker.rack", "controller.listener.names", "listeners", "node.id")
"""Settings that name the broker itself; beside them the folders, that differ where several run on one machine."""
FOLDERS = ("log.dir", "log.dirs", "metadata.log.dir")


def _compared(brokers: Iterable[Broker]) -> list[Compared]:
    """What is not as Kafka comes on at least one broker; what differs first."""
    found: dict[str, dict[Setting, list[int]]] = defaultdict(lambda: defaultdict(list))
    for broker in brokers:
        for one in broker.config.listed if broker.config is not None else ():
            found[one.name][one].append(broker.node_id)
    out = []
    for name, by_value in found.items():
        if all(one.is_default for one in by_value):
            continue
        values = sorted(by_value.items(), key=lambda item: (-len(item[1]), item[1]))
        may_differ = name in OWN_TO_EACH or name in FOLDERS
        differs = len({one.value for one in by_value}) > 1 and not may_differ
        out.append(Compared(name, [(line(one), ids) for one, ids in values], differs))
    return sorted(out, key=lambda one: (not one.differs, one.name))


@dataclass(frozen=True, slots=True)
class OnTopics:
    """A setting that topics have of their own: (value, how many topics, names of a few), the most common first."""

    name: str
    topics: int
    values: list[tuple[Line, int, list[str]]]
    more_values: int


def _on_topics(here: Summary) -> tuple[list[OnTopics], int, int]:
    """Settings made on topics, topics whose settings are known, topics in all; queries do not grow with topics."""
    present = Topic.objects.filter(cluster=here.cluster, gone_at=None, is_internal=False)
    by_set = dict(present.order_by().values_list("config").annotate(Count("id")))
    total, held = sum(by_set.values()), {pk: count for pk, count in by_set.items() if pk is not None}
    sets = {row.pk: row for row in ConfigSet.objects.filter(pk__in=list(held)[:MOST_SETS])}
    counted: dict[str, Counter[Setting]] = defaultdict(Counter)
    sets_of: dict[Setting, list[int]] = defaultdict(list)
    for pk, row in sets.items():
        for one in row.listed:
            if one.source is Source.TOPIC:
                counted[one.name][one] += held[pk]
                sets_of[one].append(pk)
    names: dict[int, list[str]] = defaultdict(list)
    for pk, name in present.filter(config__in=sets).order_by("name").values_list("config_id", "name")[:2000]:
        if len(names[pk]) < TOPICS_NAMED:
            names[pk].append(name)
    out = []
    for name, values in counted.items():
        shown = [
            (line(one), count, sorted(n for pk in sets_of[one] for n in names[pk])[:TOPICS_NAMED])
            for one, count in values.most_common(VALUES_SHOWN)
        ]
        out.append(OnTopics(name, values.total(), shown, max(0, len(values) - VALUES_SHOWN)))
    return sorted(out, key=lambda one: (-one.topics, one.name)), sum(held.values()), total


def _headline(
    here: Summary, newest: Cycle | None, compared: list[Compared], on_topics: list[OnTopics], *, is_read: bool
) -> dict[str, str]:
    if not here.is_sampled:
        return {"verdict": "unknown", "sentence": here.row["sentence"]}
    if not is_read:
        why = why_unread(newest, "topic_configs")
        return {"verdict": "unknown", "sentence": "The settings of this cluster are not known", "sub": why}
    unlike = [one.name for one in compared if one.differs]
    if unlike:
        more = f" and {len(unlike) - 1} more settings" if len(unlike) > 1 else ""
        return {"verdict": "warn", "sentence": f"Brokers are set differently: {unlike[0]}{more}"}
    said = "All brokers are set alike" if compared else "Settings of topics are known, those of brokers are not"
    topics = f"{len(on_topics)} settings are made on topics" if on_topics else "No topic has a setting of its own"
    return {"verdict": "ok", "sentence": said, "sub": topics}
