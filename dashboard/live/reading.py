"""What the hub reads from the database, in a few queries a turn; tests put a fake in its place."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone

from collectors.history import queries
from collectors.history.now import ClusterNow
from collectors.models import Cluster, Event, Group, Topic
from dashboard import names
from dashboard.live import clusterrows, details, rows
from dashboard.live.presence import is_too_old, present
from dashboard.live.wire import Position, Subject, subject_id
from dashboard.models import Person, Role, Transition


@dataclass(frozen=True, slots=True)
class Head:
    """A cluster and its newest cycle."""

    id: int
    slug: str
    cycle: int
    interval: float
    taken_at: float | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """An event as it goes to pages. `kind` is "transition" or "mark", each with ids of its own."""

    kind: str
    id: int
    cluster: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Update:
    """Rows by subject id (None: no such subject), and for hints a fingerprint of each list's order and members."""

    rows: Mapping[str, Mapping[str, Any] | None]
    fingerprints: Mapping[str, int]
    taken_at: float | None


class Reader(Protocol):
    def heads(self) -> Sequence[Head]: ...
    def update(self, head: Head, subjects: Sequence[Subject]) -> Update: ...
    def alerts(self) -> Mapping[str, Any]: ...
    def position(self) -> Position: ...
    def items(self, after: Position, limit: int) -> Sequence[Item]: ...
    def allowed(self, session_keys: Collection[str]) -> Mapping[str, Role]: ...
    def close(self) -> None: ...


class DatabaseReader:
    """The real thing; used by one thread, on that thread's own connection."""

    def __init__(self) -> None:
        self._clusters: dict[int, Cluster] = {}

    def heads(self) -> list[Head]:
        self._clusters = {cluster.pk: cluster for cluster in Cluster.objects.defer("settings_encrypted")}
        return [Head(c.pk, c.slug, c.last_cycle, c.interval_seconds) for c in self._clusters.values()]

    def update(self, head: Head, subjects: Sequence[Subject]) -> Update:
        cluster = self._clusters[head.id]
        now = queries.cluster_at(cluster.pk) if cluster.last_cycle else None
        now = present(now, cluster.interval_seconds, time.time())
        by_kind: dict[str, list[Subject]] = {}
        for subject in subjects:
            by_kind.setdefault(subject.kind, []).append(subject)
        out: dict[str, Mapping[str, Any] | None] = {}
        for kind, wanted in by_kind.items():
            members = [subject for subject in wanted if not subject.is_list]
            found = _rows(kind, cluster, now, [subject.name for subject in members]) if members else {}
            for subject in members:
                out[subject.id] = found.get(subject.name)
        return Update(out, self._fingerprints(cluster, now, subjects, out), now.taken_at if now else None)

    def _fingerprints(
        self,
        cluster: Cluster,
        now: ClusterNow | None,
        subjects: Sequence[Subject],
        rows_by_id: Mapping[str, Mapping[str, Any] | None],
    ) -> dict[str, int]:
        kinds = {subject.kind for subject in subjects}
        prints: dict[str, int] = {}
        is_old = is_too_old(now)
        if "g" in kinds:
            groups = Group.objects.filter(cluster=cluster, gone_at=None).values_list("name", "state", "verdict")
            prints[f"g/{cluster.slug}"] = _crc([is_old, *groups])
        if "t" in kinds:
            topics = Topic.objects.filter(cluster=cluster, gone_at=None).values_list(
                "name", "partition_count", "under_replicated_count", "offline_count", "dead_letters_of"
            )
            prints[f"t/{cluster.slug}"] = _crc([is_old, *topics])
        if "b" in kinds:
            brokers = cluster.brokers.filter(gone_at=None).values_list(
                "node_id", "reach", "is_controller", "host", "port", "rack", "version"
            )
            prints[f"b/{cluster.slug}"] = _crc([is_old, *brokers])
        for subject in subjects:
            row = rows_by_id.get(subject.id)
            if subject.kind in _SHAPES and row is not None:
                prints[subject.id] = _crc(_SHAPES[subject.kind](row))
        return prints

    def alerts(self) -> Mapping[str, Any]:
        return rows.alerts_row()

    def position(self) -> Position:
        transition = Transition.objects.order_by("-id").values_list("id", flat=True).first()
        mark = Event.objects.order_by("-id").values_list("id", flat=True).first()
        return Position(transition or 0, mark or 0)

    def items(self, after: Position, limit: int) -> list[Item]:
        transitions = Transition.objects.filter(id__gt=after.transition).select_related(
            "alert", "alert__rule", "alert__cluster"
        )
        marks = Event.objects.filter(id__gt=after.mark).select_related("cluster").order_by("id")
        found = [_alert_item(transition) for transition in transitions.order_by("id")[:limit]]
        return found + [_mark_item(event) for event in marks[:limit]]

    def allowed(self, session_keys: Collection[str]) -> dict[str, Role]:
        """The role behind each session that still lives: not signed out, not expired, user active, password same."""
        live: dict[str, Mapping[str, Any]] = {}
        keys = list(session_keys)
        for start in range(0, len(keys), rows.NAMES_IN_SQL):
            chunk = keys[start : start + rows.NAMES_IN_SQL]
            for session in Session.objects.filter(session_key__in=chunk, expire_date__gt=timezone.now()):
                live[session.session_key] = session.get_decoded()
        ids = {data[SESSION_KEY] for data in live.values() if SESSION_KEY in data}
        users = {str(user.pk): user for user in get_user_model().objects.filter(pk__in=ids, is_active=True)}
        roles = dict(Person.objects.filter(user_id__in=ids).values_list("user_id", "role"))
        out: dict[str, Role] = {}
        for key, data in live.items():
            user = users.get(str(data.get(SESSION_KEY)))
            if user is not None and data.get(HASH_SESSION_KEY) == user.get_session_auth_hash():
                out[key] = Role(roles.get(user.pk, Role.VIEWER))
        return out

    def close(self) -> None:
        connection.close()


_SHAPES: Mapping[str, Callable[[Mapping[str, Any]], list[Any]]] = {
    "c": lambda row: [
        row[name]
        for name in (
            "verdict", "worst_group", "troubled", "groups", "topics", "partitions", "under_replicated", "offline",
            "brokers", "brokers_up", "alerts", "reachable", "missing", "waiting_for_rates",
        )
    ],
    "G": lambda row: [
        *(row[name] for name in ("verdict", "state", "members", "type", "assignor", "coordinator", "described_error")),
        sorted((part["topic"], part["partition"], part["owner"], bool(part["hot"])) for part in row["partitions"]),
        sorted(topic["name"] for topic in row["topics"]),
    ],
    "T": lambda row: [
        *(row[name] for name in ("partitions", "replication_factor", "dead_letters_of", "verdict")),
        [(part["leader"], part["isr"], part["missing"], bool(part["hot"])) for part in row["partition_rows"]],
        sorted(reader["key"] for reader in row["readers"]),
    ],
}  # fmt: skip
"""What of a row a page shows in places that the row's values do not reach: when it changes, fragments are fetched."""


def _rows(kind: str, cluster: Cluster, now: ClusterNow | None, wanted: Sequence[str]) -> Mapping[str, Any]:
    match kind:
        case "c":
            return {"": clusterrows.cluster_row(cluster, now)}
        case "g":
            return rows.group_rows(cluster, now, wanted)
        case "t":
            return rows.topic_rows(cluster, now, wanted)
        case "b":
            return rows.broker_rows(cluster, now, wanted)
        case "G":
            return {name: details.group_detail(cluster, now, name) for name in wanted}
        case "T":
            return {name: details.topic_detail(cluster, now, name) for name in wanted}
    raise ValueError(f"no rows of kind {kind!r}")


def _crc(values: Iterable[Any]) -> int:
    """A fingerprint of a list; crc32, since `hash` differs between processes and a wrong hint costs little."""
    return zlib.crc32(repr(list(values)).encode("utf-8", "surrogatepass"))


def _alert_item(transition: Transition) -> Item:
    alert = transition.alert
    return Item(
        "transition",
        transition.pk,
        alert.cluster.slug,
        {
            "type": "alert",
            "id": alert.pk,
            "rule": alert.rule.name,
            "state": transition.new_state,
            "old": transition.old_state,
            "severity": alert.severity,
            "sentence": alert.sentence,
            "reason": transition.reason,
            "cluster": alert.cluster.slug,
            "subject_kind": alert.subject_kind,
            "subject": alert.subject,
            "href": subject_path(alert.cluster.slug, alert.subject_kind, alert.subject),
            "at": transition.at.timestamp(),
            "acknowledged": alert.acknowledged_at is not None,
            "silenced": alert.is_held_back,
        },
    )


def _mark_item(event: Event) -> Item:
    return Item(
        "mark",
        event.pk,
        event.cluster.slug,
        {
            "type": "mark",
            "id": event.pk,
            "kind": event.kind,
            "text": event.text,
            "cluster": event.cluster.slug,
            "subject_kind": event.subject_kind,
            "subject": event.subject,
            "sub": subject_id(event.subject_kind[0].upper(), event.cluster.slug, event.subject)
            if event.subject_kind in ("group", "topic")
            else "",
            "t": event.at.timestamp(),
        },
    )


def subject_path(slug: str, kind: str, name: str) -> str:
    """The page of what an alert is about."""
    return names.subject_path(slug, kind, name)
