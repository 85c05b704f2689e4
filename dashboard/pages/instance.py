"""This instance: its loops, how sampling goes, the database, versions, and what /readyz says."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db import connection
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from collectors.history import forecast, vacuum
from collectors.models import CollectorTotals, Cycle, Event, Lease
from collectors.models.leases import WORKER
from dashboard import __version__
from dashboard.access.roles import role
from dashboard.alerts import heartbeat
from dashboard.metrics.readiness import readiness
from dashboard.models import Alert, Delivery, Role

from .ranges import QUICK, read_range
from .shell import page, shell_of
from .summaries import Summary

RECENT_SECONDS = 900.0
RECENT_CYCLES = 500
ERRORS_SHOWN = 8
CHARTS_SHOWN = 6
PACKAGES = ("django", "channels", "daphne", "celery", "kafka-python", "confluent-kafka", "numpy", "plotly")
FRAGMENTS = {"loops": "pages/_loops.html", "sampling": "pages/_sampling.html", "history": "pages/_history.html"}


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the sampling of one cluster goes."""

    summary: Summary
    usual_ms: float | None  # median of the last while
    slow_ms: float | None  # 95 of 100 are faster
    totals: CollectorTotals | None
    errors: list[tuple[str, str, int]]  # part, reason, how often since the beginning
    more_errors: int


@role(Role.VIEWER)
@require_safe
def instance(request: HttpRequest) -> HttpResponse:
    shell = shell_of(request)
    fragment = request.GET.get("fragment", "")
    now = timezone.now()
    context: dict[str, Any] = {"section": "instance", "ready": readiness(), "now": now}
    if fragment in ("", "loops"):
        context["pulse"] = heartbeat.pulse(now)
    if fragment in ("", "loops"):
        context["leases"] = _leases(shell.clusters)
    if fragment in ("", "sampling"):
        context["sampling"] = _sampling(shell.clusters, now)
    if fragment == "history":
        context["stored_of"] = [(one, _history(one)) for one in shell.clusters if one.is_sampled]
        context["disk"] = vacuum.disk()
    if fragment in FRAGMENTS:
        return page(request, FRAGMENTS[fragment], context, shell=shell)
    sampled = [one for one in shell.clusters if one.is_sampled]
    begins = [one.history_since for one in sampled[:CHARTS_SHOWN] if one.history_since is not None]
    context |= {
        "range": read_range(request.GET, now=now, history_since=min(begins, default=None)),
        "quick": QUICK,
        "charted": sampled[:CHARTS_SHOWN],
        "not_charted": max(0, len(sampled) - CHARTS_SHOWN),
        "versions": _versions(),
        "database": _database(),
        "stored": _stored(shell.clusters),
        "data_dir": settings.DATA_DIR if shell.is_admin else None,
        "row": None,
    }
    return page(request, "pages/instance.html", context, shell=shell)


def _leases(clusters: list[Summary]) -> list[dict[str, Any]]:
    """Who runs what, in every process of this instance, by the database's clock."""
    names = {f"cluster:{one.cluster.pk}": one for one in clusters}
    out = []
    held = set(Lease.objects.in_force().values_list("name", flat=True))
    for lease in Lease.objects.order_by("name"):
        cluster = names.get(lease.name)
        if lease.name.startswith("cluster:") and cluster is None:
            continue  # of a cluster that was deleted
        if lease.name.startswith("task:") and lease.name not in held:
            continue  # a task is held while it runs only
        if lease.name.startswith(WORKER) and lease.name not in held:
            continue  # of a process that is no more
        out.append(
            {
                "name": f"sampler of {cluster.name}" if cluster is not None else _loop_name(lease.name),
                "lease": lease,
                "is_held": lease.name in held,
                "is_paused": cluster is not None and cluster.cluster.is_paused,
            }
        )
    return out


def _loop_name(lease: str) -> str:
    return "worker" if lease.startswith(WORKER) else lease


def _sampling(clusters: list[Summary], now: datetime) -> list[Sampling]:
    pks = [one.cluster.pk for one in clusters]
    took: dict[int, list[float]] = {pk: [] for pk in pks}
    recent = Cycle.objects.filter(cluster__in=pks, taken_at__gte=now - timedelta(seconds=RECENT_SECONDS))
    rows = recent.order_by("-taken_at").values_list("cluster_id", "started_at", "ended_at")
    for pk, started, ended in rows[: RECENT_CYCLES * max(1, len(pks))]:
        took[pk].append((ended - started).total_seconds() * 1000)
    totals = {one.cluster_id: one for one in CollectorTotals.objects.filter(cluster__in=pks)}
    out = []
    for one in clusters:
        own, times = totals.get(one.cluster.pk), took[one.cluster.pk]
        reasons = own.errors.items() if own is not None else ()
        errors = [(part, reason, count) for part, found in reasons for reason, count in found.items()]
        errors.sort(key=lambda error: -error[2])
        usual, slow = (float(q) for q in np.percentile(times, (50, 95))) if times else (None, None)
        more = max(0, len(errors) - ERRORS_SHOWN)
        out.append(Sampling(one, usual, slow, own, errors[:ERRORS_SHOWN], more))
    return out


def _history(one: Summary) -> dict[str, Any]:
    """What a cluster's samples take by storey, and what they will take; None where there is too little to tell."""
    found = forecast.storeys(one.cluster)
    return {
        "storeys": found,
        "since": min((each.since for each in found if each.since is not None), default=None),
        "size": sum(each.size for each in found),
        "full": forecast.total(each.when_full for each in found),
    }


def _versions() -> list[tuple[str, str]]:
    found = [("Streamgauge", __version__), ("Python", platform.python_version())]
    return found + [(name, version) for name in PACKAGES if (version := _version(name))]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _database() -> dict[str, Any]:
    """Kind, version and size; None where the database does not tell."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT sqlite_version()")
            version = cursor.fetchone()[0]
            file = Path(str(connection.settings_dict["NAME"]))
            parts = [file, file.with_name(file.name + "-wal")]
            sizes = [part.stat().st_size for part in parts if part.is_file()]
            return {"kind": "SQLite", "version": version, "size": sum(sizes) if sizes else None}
        cursor.execute("SELECT pg_database_size(current_database()), current_setting('server_version')")
        size, version = cursor.fetchone()
        return {"kind": "PostgreSQL", "version": version, "size": size}


def _stored(clusters: list[Summary]) -> dict[str, Any]:
    """What is kept, and since when."""
    cycles = Cycle.objects.aggregate(count=Count("id"), first=Min("taken_at"))
    return {
        "cycles": cycles["count"],
        "since": cycles["first"],
        "events": Event.objects.count(),
        "alerts": Alert.objects.count(),
        "deliveries": Delivery.objects.count(),
        "positions": sum(len(one.now.end.layout) + len(one.now.committed.layout) for one in clusters if one.now),
    }
