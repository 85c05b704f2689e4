"""Rows of whole clusters: what each has, how it does, and the sentence that says so."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
from django.db.models import Count, Max, Q, Sum

from collectors.domain import words
from collectors.domain.numbers import Numbers
from collectors.domain.topology import Reach
from collectors.domain.verdicts import Verdict, severities
from collectors.history.now import ClusterNow
from collectors.models import Broker, Cluster, Cycle, Group, Topic
from dashboard.live.presence import is_too_old
from dashboard.live.rows import OPEN_ALERTS, Row, newest_cycles, unix, verdict_of
from dashboard.live.sentences import ClusterFacts, cluster_sentence, is_stale, waiting_sentence, why_unknown
from dashboard.models import Alert


def cluster_rows(clusters: Sequence[Cluster], nows: Mapping[int, ClusterNow | None]) -> dict[str, Row]:
    """Rows by slug; `nows` by cluster id. Five queries for any number of clusters."""
    ids = [cluster.pk for cluster in clusters]
    cycles = newest_cycles(clusters)
    reaches: dict[int, list[tuple[int, Reach]]] = {}
    found = Broker.objects.filter(cluster__in=ids, gone_at=None).order_by("node_id")
    for pk, node, reach in found.values_list("cluster_id", "node_id", "reach"):
        reaches.setdefault(pk, []).append((node, Reach(reach)))
    counts = dict(
        Group.objects.filter(cluster__in=ids, gone_at=None)
        .order_by()
        .values_list("cluster_id")
        .annotate(count=Count("pk"))
    )
    alerts: dict[int, dict[str, int]] = {}
    only: dict[int, str] = {}
    for pk, severity, count, rule, subject in (
        Alert.objects.filter(cluster__in=ids, state__in=OPEN_ALERTS)
        .order_by()
        .values_list("cluster_id", "severity")
        .annotate(count=Count("pk"), rule_name=Max("rule__name"), one=Max("subject"))
    ):
        alerts.setdefault(pk, {})[severity] = count
        only[pk] = f"{rule}: {words.visible(subject)}" if count == 1 and subject and pk not in only else ""
    topics = {
        pk: counted
        for pk, *counted in Topic.objects.filter(cluster__in=ids, gone_at=None)
        .order_by()
        .values_list("cluster_id")
        .annotate(
            Count("pk"),
            Sum("partition_count"),
            Sum("under_replicated_count"),
            Sum("offline_count"),
            degraded=Count("pk", filter=Q(under_replicated_count__gt=0)),
            leaderless=Count("pk", filter=Q(offline_count__gt=0)),
            dead_letters=Count("pk", filter=~Q(dead_letters_of="")),
        )
    }
    moment = time.time()
    rows: dict[str, Row] = {}
    for cluster in clusters:
        now, cycle = nows.get(cluster.pk), cycles.get(cluster.pk)
        brokers = reaches.get(cluster.pk, [])
        count, partitions, short, leaderless, under, offline, dead = topics.get(cluster.pk, (0,) * 7)
        troubled, worst = _troubled(now) if now else (0, "")
        facts = ClusterFacts(
            name=cluster.name,
            is_paused=cluster.is_paused,
            interval=cluster.interval_seconds,
            taken_at=unix(cycle.taken_at) if cycle else None,
            sampled_at=now.taken_at if now else None,
            is_reachable=cycle.is_reachable if cycle else None,
            errors=cycle.errors if cycle else [],
            brokers=len(brokers),
            brokers_up=sum(reach is Reach.UP for _, reach in brokers),
            away=[one for one in brokers if one[1] is not Reach.UP],
            topics_under_replicated=under,
            topics_offline=offline,
            groups=counts.get(cluster.pk, 0),
            troubled=troubled,
            worst_group=worst,
            worst_verdict=verdict_of(now, worst),
            alerts=alerts.get(cluster.pk, {}),
            only_alert=only.get(cluster.pk, ""),
        )
        verdict, sentence = cluster_sentence(facts, moment)
        is_old = is_too_old(now)
        is_untried = facts.taken_at is not None and is_stale(facts.taken_at, facts.interval, moment)
        rate = _total_known(now.topics.messages_per_second) if now and facts.is_reachable else None
        rows[cluster.slug] = {
            "verdict": verdict,
            "sentence": sentence,
            "brokers_up": None if is_untried else facts.brokers_up,
            "brokers": facts.brokers,
            "topics": count,
            "dead_letter_topics": dead,
            "partitions": partitions,
            "under_replicated": None if is_old else short,
            "offline": None if is_old else leaderless,
            "rate": rate,
            "groups": facts.groups,
            "troubled": None if is_old else troubled,
            "worst_group": worst,
            "alerts": sum(facts.alerts.values()),
            "taken_at": facts.taken_at,
            "cycle": cluster.last_cycle,
            "cycle_ms": _cycle_ms(cycle),
            "requests": cycle.requests if cycle else None,
            "completeness": cycle.completeness if cycle else None,
            "interval": cluster.interval_seconds,
            "reachable": bool(facts.is_reachable),
            "missing": why_unknown(facts.errors),
            "waiting_for_rates": cluster.last_cycle < 2,
            "waiting": waiting_sentence(cluster, facts.taken_at, moment),
            "spark": rate,
            "points": {"t": now.taken_at, "rate": rate, "cycle_ms": _cycle_ms(cycle)} if now and not is_old else None,
        }
    return rows


def _cycle_ms(cycle: Cycle | None) -> int | None:
    return round((cycle.ended_at - cycle.started_at).total_seconds() * 1000) if cycle else None


def cluster_row(cluster: Cluster, now: ClusterNow | None) -> Row:
    return cluster_rows([cluster], {cluster.pk: now})[cluster.slug]


def _troubled(now: ClusterNow) -> tuple[int, str]:
    """How many groups a person should look at, and the worst of them ("" when none).

    A group without members whose records are all read is at rest, not in trouble.
    """
    groups = now.groups
    verdicts = np.where(groups.verdict.known, groups.verdict.values, int(Verdict.UNKNOWN))
    at_rest = (verdicts == int(Verdict.NO_MEMBERS)) & groups.lag.known & (groups.lag.values == 0)
    severity = severities(verdicts)
    in_trouble = (severity > Verdict.UNKNOWN.severity) & ~at_rest
    if not in_trouble.any():
        return 0, ""
    lag = np.where(groups.lag.known, groups.lag.values, 0)
    order = np.lexsort((lag, np.where(in_trouble, severity, -1)))
    return int(in_trouble.sum()), groups.names[int(order[-1])]


def _total_known(numbers: Numbers) -> float | None:
    return float(numbers.values[numbers.known].sum()) if numbers.known.any() else None
