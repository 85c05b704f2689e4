"""Charts: `?subject=g|t|b|c&name=…&what=…&from=…&to=…&points=…&compare=…&format=json|columns`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypedDict

import numpy as np
from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from collectors.history import queries
from collectors.history.queries import ArrivalHistory
from collectors.models import Cluster, Cycle, Topic
from dashboard.access.roles import role
from dashboard.charts import gaps, histories
from dashboard.charts.encoding import COLUMNS_TYPE, chart_columns, chart_json
from dashboard.charts.figures import Chart, Gap, Mark
from dashboard.live.sentences import why_unknown
from dashboard.models import Role

from . import deadletters
from .marks import marks_of
from .ranges import RangeError, parse_bound, read_comparison
from .shell import json_answer

MOST_POINTS = 2000
USUAL_POINTS = 600
MOST_AGES = 300
"""Each point is looked for among all samples before it."""
MOST_CYCLES = 20_000
LONGEST_SECONDS = 400 * 86_400.0
SUBJECTS = {
    "g": ("lag", "rates", "age"),
    "t": ("rate", "size"),
    "b": ("disk", "leaders"),
    "c": ("rate", "lag", "dead_letters", "cycles", "rates", "lags", "disks"),
}

TOPS = {
    "rates": (queries.Quantity.RATE, "Messages in", "records/s"),
    "lags": (queries.Quantity.LAG, "Lag", "records"),
}
"""Charts of a cluster that show those with most in the range: (quantity, title, unit)."""


class _How(TypedDict):
    marks: list[Mark]
    interval: float
    explain: histories.Explain


@role(Role.VIEWER)
@require_safe
def series(request: HttpRequest, slug: str) -> HttpResponse:
    """One chart; 400 with the field and what would be right for what cannot be read."""
    cluster = Cluster.objects.filter(slug=slug).defer("settings_encrypted").first()
    if cluster is None:
        return _bad("cluster", f"there is no cluster “{slug}”", status=404)
    params = request.GET
    subject, what, name = params.get("subject", ""), params.get("what", ""), params.get("name")
    if what not in SUBJECTS.get(subject, ()):
        offered = "; ".join(f"subject={kind}: what={' or '.join(named)}" for kind, named in SUBJECTS.items())
        return _bad("what", f"there is no such chart; there are {offered}")
    if name is None:
        return _bad("name", "the name of the group, topic or broker is missing")
    now = timezone.now()
    bounds: dict[str, datetime] = {}
    for field, fallback in (("from", "now-1h"), ("to", "now")):
        try:
            bounds[field] = parse_bound(params.get(field) or fallback, now=now, is_end=field == "to")
        except RangeError as error:
            return _bad(field, str(error))
    since, until = bounds["from"].timestamp(), bounds["to"].timestamp()
    if not 0 < until - since <= LONGEST_SECONDS:
        return _bad("from", "“from” must be before “to”, by 400 days at most")
    try:
        comparison = read_comparison(params.get("compare", ""), now=now, until=bounds["to"])
    except RangeError as error:
        return _bad("compare", str(error))
    if params.get("format", "json") not in ("json", "columns"):
        return _bad("format", "there are format=json, and format=columns (dashboard/charts/encoding.py)")
    points = params.get("points", "")
    count = min(MOST_POINTS, max(20, int(points))) if points.isascii() and points.isdigit() else USUAL_POINTS
    owners = _owners(cluster, what, since, until) if subject == "c" and what in TOPS else []
    chart = _chart(cluster, subject, what, name, since, until, count, now=now.timestamp(), owners=owners)
    measured_since = queries.reconstructed_before(cluster.pk) if what == "rate" and subject in "tc" else None
    if measured_since is not None and since < measured_since:
        at = f"{datetime.fromtimestamp(measured_since, timezone.get_current_timezone()):%b %d %H:%M}"
        said = f"reconstructed before {at}, hour by hour, from log offsets"
        mark = Mark(float(measured_since), f"Measured from here, {said}", "i-clock")
        chart = replace(chart, notes=[*chart.notes, said], marks=[mark, *chart.marks])
    if comparison is not None:
        back = comparison.back_seconds
        earlier = since - back, until - back
        before = _chart(cluster, subject, what, name, *earlier, count, now=now.timestamp(), owners=owners[:1])
        chart = histories.compared(chart, before, back, comparison.label)
    if params.get("format") == "columns":
        return HttpResponse(
            chart_columns(chart), content_type=COLUMNS_TYPE, headers={"Cache-Control": "private, no-store"}
        )
    return json_answer(chart_json(chart))


def _chart(
    cluster: Cluster,
    subject: str,
    what: str,
    name: str,
    since: float,
    until: float,
    points: int,
    *,
    now: float,
    owners: Sequence[str] = (),
) -> Chart:
    interval = cluster.interval_seconds
    if subject == "c" and what in ("rate", "lag"):
        interval = max(interval, queries.CLUSTER_STEP)  # a minute that is not over yet is no gap

    def explain(times: np.ndarray, gap_before: np.ndarray, known: np.ndarray) -> list[Gap]:
        found = gaps.holes(times, gap_before, known, until=min(until, now), interval=interval)
        return gaps.explained(
            found,
            _tried(cluster, found),
            is_paused=cluster.is_paused,
            interval=interval,
            recorded_since=now - settings.HISTORY_KEEP.seconds("cycles", cluster=cluster.slug),
            zone=timezone.get_current_timezone(),
        )

    how: _How = {"marks": marks_of(cluster, subject, name, since, until), "interval": interval, "explain": explain}
    if subject == "g" and what == "age":
        ages = queries.age_history(cluster.pk, name, since, until, min(points, MOST_AGES))
        return histories.group_age(ages, since, until, **how)
    if subject == "g":
        group = queries.group_history(cluster.pk, name, since, until, points, parts="topic" if what == "lag" else None)
        draw = histories.group_lag if what == "lag" else histories.group_rates
        return draw(group, since, until, **how)
    if subject == "b":
        kind = queries.Kind.DISK if what == "disk" else queries.Kind.LEADERS
        gauge = queries.gauge_history(cluster.pk, kind, name, since, until, points)
        draw_gauge = histories.broker_disk if what == "disk" else histories.broker_leaders
        return draw_gauge(gauge, since, until, marks=how["marks"], explain=explain)
    if subject == "c" and what in ("rate", "lag"):
        whole = queries.cluster_history(cluster.pk, since, until, points)
        draw_cluster = histories.cluster_rate if what == "rate" else histories.cluster_lag
        return draw_cluster(whole, since, until, **how)
    if subject == "c" and what == "dead_letters":
        return histories.dead_letters(_dead_letters(cluster, since, until, points), since, until, **how)
    if subject == "c" and what in TOPS:
        quantity, title, unit = TOPS[what]
        found = queries.top_curves(cluster.pk, quantity, owners, since, until, points)
        return histories.beside(title, unit, found, since, until, **how)
    if subject == "c" and what == "disks":
        found = queries.top_curves(cluster.pk, queries.Quantity.DISK, _brokers(cluster), since, until, points)
        return histories.beside(
            "Log size", "bytes", found, since, until, marks=how["marks"], explain=explain, named="broker "
        )
    if subject == "c":
        cycles = queries.cycle_times(cluster.pk, since, until, points)
        return histories.cycles(cycles, since, until, marks=how["marks"], explain=explain)
    topic = queries.topic_history(cluster.pk, name, since, until, points)
    draw_topic = histories.topic_rate if what == "rate" else histories.topic_size
    return draw_topic(topic, since, until, **how)


def _tried(cluster: Cluster, holes: Sequence[gaps.Hole]) -> list[gaps.Tried]:
    """The cycles within the holes and those that end them; what failed is read only of the first of each hole."""
    if not holes:
        return []
    where = Q()
    for hole in holes:
        since, until = (datetime.fromtimestamp(at, UTC) for at in (hole.since, hole.until))
        where |= Q(taken_at__gt=since, taken_at__lte=until + timedelta(milliseconds=1))
    cycles = Cycle.objects.filter(where, cluster=cluster).order_by("taken_at")
    found = list(cycles.values_list("pk", "taken_at", "is_reachable", "skipped")[:MOST_CYCLES])
    wanted = []
    for hole in holes:
        within = [one for one in found if hole.since < one[1].timestamp() < hole.until - 0.001]
        wanted += [one[0] for one in within[:1]] + [one[0] for one in within if not one[2]][:1]
    errors = dict(Cycle.objects.filter(pk__in=wanted).values_list("pk", "errors"))
    return [
        gaps.Tried(at.timestamp(), reachable, skipped, why_unknown(errors.get(pk, [])))
        for pk, at, reachable, skipped in found
    ]


def _dead_letters(cluster: Cluster, since: float, until: float, points: int) -> ArrivalHistory:
    """Rates of the dead-letter topics that got most in the range."""
    topics = Topic.objects.filter(cluster=cluster, gone_at=None).exclude(dead_letters_of="")
    names = list(topics.order_by("name").values_list("name", flat=True))
    came = queries.arrived_about(cluster.pk, names, since, until)
    if came is None:
        exact = queries.arrived(queries.ends_of(cluster.pk, names, since, until, 2)) if names else {}
        came = {name: float(one.records) for name, one in exact.items()}
    names.sort(key=lambda name: came.get(name, 0), reverse=True)
    shown = names[: deadletters.CHART_TOPICS]
    rolled = queries.arrival_rates(cluster.pk, shown, since, until, points, cluster.interval_seconds)
    if rolled is not None:
        return rolled
    ends = queries.ends_of(cluster.pk, shown, since, until, points) if shown else {}
    return queries.arrival_history(ends, cluster.interval_seconds)


LINES = 5
"""Of a chart of a cluster: more could not be told apart."""


def _owners(cluster: Cluster, what: str, since: float, until: float) -> list[str]:
    """The topics or groups with most in the range; Kafka's own topics are left out."""
    quantity = TOPS[what][0]
    own = (lambda name: name.startswith("__")) if quantity is queries.Quantity.RATE else None
    found = queries.top(cluster.pk, quantity, since, until, LINES, skip=own)
    return [one.owner for one in found]


def _brokers(cluster: Cluster) -> list[str]:
    nodes = cluster.brokers.filter(gone_at=None).order_by("node_id").values_list("node_id", flat=True)
    return [str(node) for node in nodes[: LINES + 2]]


def _bad(field: str, message: str, *, status: int = 400) -> JsonResponse:
    return JsonResponse({"field": field, "error": message}, status=status)
