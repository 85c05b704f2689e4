"""Which channels an alert goes to, and from when: all routes that match; what none takes goes to every channel."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from fnmatch import fnmatchcase

from dashboard.models import Alert, Route

from . import hours

LABELS = ("rule", "group", "topic", "broker")


def matches(route: Route, alert: Alert) -> bool:
    """Whether severity, cluster and labels match. Globs as in the shell, capital letters as written.

    An alert has the labels `rule` and that of its subject: a label that it does not have does not match.
    """
    if route.severities and alert.severity not in route.severities:
        return False
    if not fnmatchcase(alert.cluster.slug, route.cluster):
        return False
    have = {"rule": alert.rule.key, alert.subject_kind: alert.subject}
    return all(name in have and fnmatchcase(have[name], str(glob)) for name, glob in route.labels.items())


def opens_at(route: Route, now: datetime) -> datetime | None:
    """When the route's hours begin; None while they last, or when it has none."""
    if route.begins is None or route.ends is None:
        return None
    length = hours.length_between(route.begins, route.ends)
    week = {"weekdays": route.weekdays, "begins": route.begins, "length": length, "zone": route.zone, "now": now}
    if hours.current(**week) is not None:
        return None
    coming = hours.following(**week)
    return coming[0] if coming is not None else None


def told(
    routes: Sequence[Route], alert: Alert, channels: Collection[int], *, now: datetime
) -> dict[int, datetime | None]:
    """Channel -> from when it is told (None: at once), of the channels that are on.

    `routes` are those that are on, with their channels. Of two routes to one channel the earlier moment counts.
    """
    taken = [route for route in routes if matches(route, alert)]
    if not taken:
        return dict.fromkeys(channels)
    out: dict[int, datetime | None] = {}
    for route in taken:
        at = opens_at(route, now)
        for channel in route.channels.all():
            if channel.pk not in channels:
                continue
            known = out.get(channel.pk, at)
            out[channel.pk] = None if at is None or known is None else min(at, known)
    return out
