"""A Grafana dashboard and Prometheus alert rules, made from the registry: `manage.py monitoring` writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from .registry import BY_NAME, FAMILIES, PREFIX, Family

WIDTH, HEIGHT, COLUMNS = 12, 8, 24
MOST_SERIES = 20
PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
SUBJECTS = {
    "cluster": "Clusters",
    "broker": "Brokers",
    "topic": "Topics",
    "partition": "Topics",
    "group": "Consumer groups",
    "dead_letter": "Dead letters",
    "alerts": "Alerts and messages",
    "notifications": "Alerts and messages",
    "collector": "Streamgauge itself",
    "build": "Streamgauge itself",
}
"""What a family is about, by the first word of its name."""
UNITS = {"bytes": "bytes", "seconds": "s"}


@dataclass(frozen=True, slots=True)
class Number:
    """One of the large numbers at the top."""

    title: str
    expression: str
    is_bad_above: float | None = None  # red from the next whole number on


NUMBERS = (
    Number("Clusters that answer", "sum(streamgauge_cluster_up{CLUSTER})"),
    Number("Clusters that do not", "count(streamgauge_cluster_up{CLUSTER} == 0) or vector(0)", 0),
    Number("Brokers down", "count(streamgauge_broker_up{CLUSTER} == 0) or vector(0)", 0),
    Number("Partitions without a leader", "sum(streamgauge_topic_offline_partitions{CLUSTER})", 0),
    Number("Groups without progress", 'sum(streamgauge_group_verdict{CLUSTER,verdict=~"no_progress|unowned"})', 0),
    Number("Alerts firing", "sum(streamgauge_alerts_firing{CLUSTER}) or vector(0)", 0),
)
OWN_EXPRESSIONS = {
    "collector_last_success_timestamp_seconds": (
        "time() - streamgauge_collector_last_success_timestamp_seconds{CLUSTER}"
    ),
    "group_last_commit_timestamp_seconds": (
        f"topk({MOST_SERIES}, time() - streamgauge_group_last_commit_timestamp_seconds{{CLUSTER}})"
    ),
    "group_verdict": "sum by (cluster, verdict) (streamgauge_group_verdict{CLUSTER})",
    "group_partition_verdict": "sum by (cluster, verdict) (streamgauge_group_partition_verdict{CLUSTER})",
    "build_info": "streamgauge_build_info",
}
OWN_TITLES = {
    "collector_last_success_timestamp_seconds": "Seconds since the newest cycle that reached the cluster",
    "group_last_commit_timestamp_seconds": "Seconds since the newest commit of the group",
    "group_verdict": "Groups by verdict",
    "group_partition_verdict": "Partitions of groups by verdict",
}


@dataclass(frozen=True, slots=True)
class AlertRule:
    name: str
    expression: str
    hold: str
    severity: str
    summary: str
    description: str


RULES = (
    AlertRule(
        "StreamgaugeAbsent", "absent(streamgauge_build_info)", "2m", "critical",
        "Streamgauge is not scraped",
        "No Streamgauge answers this Prometheus: nobody looks at Kafka, and no alert of Streamgauge is sent.",
    ),
    AlertRule(
        "KafkaClusterDown", "streamgauge_cluster_up == 0", "1m", "critical",
        "Kafka cluster {{ $labels.cluster }} is not reached",
        "No cycle of the last three intervals reached the cluster.",
    ),
    AlertRule(
        "StreamgaugeCollectorBlind",
        "time() - streamgauge_collector_last_success_timestamp_seconds > 300 unless on (cluster) "
        "streamgauge_cluster_up == 1",
        "1m", "critical",
        "Nothing is known of {{ $labels.cluster }} for {{ $value | humanizeDuration }}",
        "Lag and everything else of this cluster is not known; what pages show is old.",
    ),
    AlertRule(
        "KafkaBrokerDown", "streamgauge_broker_up == 0", "1m", "critical",
        "Broker {{ $labels.broker }} of {{ $labels.cluster }} does not answer",
        "Suspect, or no longer listed by the cluster.",
    ),
    AlertRule(
        "KafkaPartitionsOffline", "streamgauge_topic_offline_partitions > 0", "1m", "critical",
        "{{ $value }} partitions of {{ $labels.topic }} have no leader",
        "Nobody can write to them or read from them in {{ $labels.cluster }}.",
    ),
    AlertRule(
        "KafkaPartitionsUnderReplicated", "streamgauge_topic_under_replicated_partitions > 0", "5m", "warning",
        "{{ $value }} partitions of {{ $labels.topic }} lack replicas",
        "The next broker that fails in {{ $labels.cluster }} may take their data with it.",
    ),
    AlertRule(
        "KafkaGroupNoProgress",
        'max without (verdict) (streamgauge_group_verdict{verdict=~"no_progress|unowned"}) == 1',
        "1m", "critical",
        "{{ $labels.group }} makes no progress",
        "Records arrive in {{ $labels.cluster }}, and the group commits none of them.",
    ),
    AlertRule(
        "KafkaGroupFallingBehind",
        'max without (verdict) (streamgauge_group_verdict{verdict=~"falling_behind|losing_data"}) == 1',
        "5m", "warning",
        "{{ $labels.group }} falls behind",
        "More arrives in {{ $labels.cluster }} than the group works off.",
    ),
    AlertRule(
        "KafkaGroupLagNotKnown", "streamgauge_group_lag_known == 0", "10m", "warning",
        "The lag of {{ $labels.group }} is not known",
        "Not all of its offsets can be had from {{ $labels.cluster }}: a silence of its lag means nothing.",
    ),
    AlertRule(
        "KafkaDeadLetters", "streamgauge_dead_letter_messages_per_second > 0", "1m", "warning",
        "Dead letters arrive in {{ $labels.topic }}",
        "{{ $value | humanize }} records a second in {{ $labels.cluster }}.",
    ),
    AlertRule(
        "StreamgaugeCyclesSkipped", "increase(streamgauge_collector_skipped_cycles_total[15m]) > 3", "0s", "warning",
        "Cycles of {{ $labels.cluster }} are skipped",
        "Collectors are late or cannot store: {{ $value | humanize }} due times passed over in 15 minutes.",
    ),
    AlertRule(
        "StreamgaugeMessagesLost", 'increase(streamgauge_notifications_total{outcome="dead"}[30m]) > 0', "0s",
        "critical",
        "Messages to {{ $labels.channel }} were given up",
        "Somebody was not told of an alert; Alerts, Deliveries shows which and why.",
    ),
)  # fmt: skip  # one rule a paragraph reads better than one argument a line


def rules_yaml() -> str:
    """The file for `rule_files` of Prometheus."""
    rules = [
        {
            "alert": rule.name,
            "expr": rule.expression,
            "for": rule.hold,
            "labels": {"severity": rule.severity},
            "annotations": {"summary": rule.summary, "description": rule.description},
        }
        for rule in RULES
    ]
    head = "# Made by `manage.py monitoring` from dashboard/metrics: change it there.\n"
    made: str = yaml.safe_dump(
        {"groups": [{"name": "streamgauge", "rules": rules}]}, sort_keys=False, width=1000, allow_unicode=True
    )
    return head + made


def dashboard_json() -> str:
    """The file for Grafana, by provisioning or by hand."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


def dashboard() -> dict[str, Any]:
    return {
        "uid": "streamgauge",
        "title": "Streamgauge",
        "description": "Made by `manage.py monitoring` from dashboard/metrics: change it there.",
        "tags": ["kafka", "streamgauge"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "utc",
        "templating": {"list": list(_variables())},
        "annotations": {"list": []},
        "panels": list(_numbered(_panels())),
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    for name, query in (
        ("cluster", "label_values(streamgauge_cluster_up, cluster)"),
        ("topic", 'label_values(streamgauge_topic_partitions{cluster=~"$cluster"}, topic)'),
        ("group", 'label_values(streamgauge_group_lag_known{cluster=~"$cluster"}, group)'),
    ):
        yield {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": PROMETHEUS,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }


def _panels() -> Iterator[dict[str, Any]]:
    width = COLUMNS // len(NUMBERS)
    for place, number in enumerate(NUMBERS):
        steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
        if number.is_bad_above is not None:
            steps.append({"color": "red", "value": number.is_bad_above + 1})
        yield {
            "type": "stat",
            "title": number.title,
            "gridPos": {"x": place * width, "y": 0, "w": width, "h": 4},
            "targets": [_target(number.expression.replace("CLUSTER", _selector({"cluster"})), instant=True)],
            "fieldConfig": {"defaults": {"noValue": "not known", "thresholds": {"steps": steps}}, "overrides": []},
            "options": {"colorMode": "value", "reduceOptions": {"calcs": ["lastNotNull"]}},
        }
    y = 4
    for title in dict.fromkeys(SUBJECTS.values()):
        yield {"type": "row", "title": title, "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}, "panels": []}
        y += 1
        families = [family for family in FAMILIES if _subject(family) == title]
        for place, family in enumerate(families):
            yield _panel(family, x=place % 2 * WIDTH, y=y + place // 2 * HEIGHT)
        y += -(-len(families) // 2) * HEIGHT


def _subject(family: Family) -> str:
    name = family.name.removeprefix(PREFIX)
    return next(title for word, title in SUBJECTS.items() if name.startswith(word + "_"))


def _panel(family: Family, *, x: int, y: int) -> dict[str, Any]:
    short = family.name.removeprefix(PREFIX)
    unit = UNITS.get(family.unit, "cps" if short.endswith("_per_second") else "short")
    shown = [label for label in family.labels if label != "partition"]
    return {
        "type": "timeseries",
        "title": OWN_TITLES.get(short, _title(family)),
        "description": f"{family.help} ({family.name})",
        "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT},
        "targets": [_target(_expression(family), legend=" · ".join(f"{{{{{label}}}}}" for label in shown))],
        # what is not known is a gap, never a line through it
        "fieldConfig": {"defaults": {"unit": unit, "custom": {"spanNulls": False, "fillOpacity": 6}}, "overrides": []},
        "options": {"legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"]}},
    }


def _title(family: Family) -> str:
    words = family.name.removeprefix(PREFIX).removesuffix("_total").replace("_", " ")
    title = words[0].upper() + words[1:]
    return title + " a second" if family.type == "counter" else title


def _expression(family: Family) -> str:
    """Summed over partitions, a rate for counters, the largest few where there may be thousands."""
    short = family.name.removeprefix(PREFIX)
    selector = _selector(set(family.labels))
    if short in OWN_EXPRESSIONS:
        return OWN_EXPRESSIONS[short].replace("CLUSTER", selector)
    by = [label for label in family.labels if label != "partition"]
    series = f"{family.name}{{{selector}}}" if selector else family.name
    if family.type == "counter":
        series = f"rate({series}[$__rate_interval])"
    summed = f"sum by ({', '.join(by)}) ({series})"
    return f"topk({MOST_SERIES}, {summed})" if len(by) > 1 else summed


def _selector(labels: set[str]) -> str:
    return ",".join(f'{label}=~"${label}"' for label in ("cluster", "topic", "group") if label in labels)


def _target(expression: str, *, legend: str = "", instant: bool = False) -> dict[str, Any]:
    return {
        "refId": "A",
        "datasource": PROMETHEUS,
        "expr": expression,
        "legendFormat": legend,
        "instant": instant,
        "range": not instant,
    }


def _numbered(panels: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, panel in enumerate(panels, 1):
        yield {"id": number, **panel, **({"datasource": PROMETHEUS} if panel["type"] != "row" else {})}


def unknown_families(expression: str) -> list[str]:
    """Names of ours in an expression that no family has."""
    words = "".join(c if c.isalnum() or c == "_" else " " for c in expression).split()
    return [word for word in words if word.startswith(PREFIX) and word not in BY_NAME]
