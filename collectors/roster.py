"""Which clusters are watched: adding, changing, pausing, deleting with a day to think again."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings as django_settings
from django.db import IntegrityError, transaction
from django.utils.text import slugify

from .domain.scope import ALL, Scope
from .history.keep import DELETED_SECONDS
from .kafka.settings import ConnectionSettings, SettingsError
from .models import Cluster, roster_changed
from .secrets import SecretUnreadableError, decrypt, encrypt

INTERVALS = (1.0, 300.0)
RESERVED = frozenset({"add", "new"})
"""Addresses that pages have."""


class RosterError(ValueError):
    """What was asked cannot be done; `field` is "name", "slug" or "interval", the text says what would be right."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def check_name(name: str) -> str:
    name = name.strip()
    if not name:
        raise RosterError("name", "Give it a name of 1 to 200 characters.")
    if len(name) > 200 or not name.isprintable():
        said = f"The name {name[:50]!r} cannot be used: 1 to 200 characters, none of them a control character."
        raise RosterError("name", said)
    return name


def check_slug(slug: str, name: str) -> str:
    """`slug`, or one made from the name."""
    made = slug.strip() or slugify(name)[:64]
    if not made:
        raise RosterError("slug", f"No address can be made from the name {name!r}: give one of letters, digits and '-'")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", made) or made.lower() in RESERVED:
        raise RosterError(
            "slug", f"The address {made!r} cannot be used: 1 to 64 letters, digits, '-' or '_', not 'add' or 'new'."
        )
    return made


def check_interval(seconds: float) -> float:
    if not INTERVALS[0] <= seconds <= INTERVALS[1]:
        raise RosterError("interval", f"The interval {seconds:g} is outside 1 to 300 seconds.")
    return seconds


def add(
    *,
    name: str,
    slug: str = "",
    connection: ConnectionSettings,
    interval: float = 5.0,
    managed_by: str = "",
    scope: Scope = ALL,
    commit_times: bool = False,
) -> Cluster:
    """A new cluster, watched from now on."""
    name = check_name(name)
    slug = check_slug(slug, name)
    interval = check_interval(interval)
    if (other := Cluster.everything.filter(slug=slug).first()) is not None:
        state = "was deleted less than a day ago; restore it, or" if other.deleted_at else "is there already:"
        raise RosterError("slug", f"A cluster with the address {slug!r} {state} give another address")
    try:
        with transaction.atomic():
            return Cluster.objects.create(
                slug=slug,
                name=name,
                settings_encrypted=_sealed(connection),
                interval_seconds=interval,
                managed_by=managed_by,
                scope=scope.to_stored(),
                reads_commit_times=commit_times,
            )
    except IntegrityError:
        raise RosterError("slug", f"A cluster with the address {slug!r} is there already: give another") from None


def change(
    cluster: Cluster,
    *,
    name: str,
    interval: float,
    connection: ConnectionSettings | None = None,
    scope: Scope | None = None,
    commit_times: bool | None = None,
    is_meant: bool = False,
) -> bool:
    """Other words or another way to the same cluster, its history kept; whether anything was written.

    With another connection, or where a person says that it `is_meant`, Kafka's own id of the cluster is learnt anew:
    until then a cluster of another id is not sampled.
    """
    fields: dict[str, object] = {}
    if (name := check_name(name)) != cluster.name:
        fields["name"] = name
    if check_interval(interval) != cluster.interval_seconds:
        fields["interval_seconds"] = interval
    if connection is not None and not _is_stored(cluster, connection):
        fields["settings_encrypted"] = _sealed(connection)
    if "settings_encrypted" in fields or (is_meant and cluster.kafka_cluster_id):
        fields["kafka_cluster_id"] = ""
    if scope is not None and scope != scope_of(cluster):
        fields["scope"] = scope.to_stored()
    if commit_times is not None and commit_times != cluster.reads_commit_times:
        fields["reads_commit_times"] = commit_times
    if fields:
        Cluster.objects.filter(pk=cluster.pk).update(**fields)
    return bool(fields)


def _is_stored(cluster: Cluster, connection: ConnectionSettings) -> bool:
    """Settings that nobody can read any more (another key) are no reason not to write new ones."""
    try:
        return connection == connection_of(cluster)
    except (SecretUnreadableError, SettingsError):
        return False


def connection_of(cluster: Cluster) -> ConnectionSettings:
    """The stored settings; SecretUnreadableError or SettingsError when they cannot be had."""
    stored = decrypt(bytes(cluster.settings_encrypted), django_settings.INSTANCE_KEY)
    return ConnectionSettings.from_stored(stored)


def scope_of(cluster: Cluster) -> Scope:
    """Which topics and groups of it are watched."""
    return Scope.from_stored(cluster.scope)


def pause(cluster: Cluster, *, paused: bool) -> None:
    Cluster.objects.filter(pk=cluster.pk).update(is_paused=paused)


def delete(cluster: Cluster, *, now: datetime) -> None:
    """Out of sight and no longer sampled; its rows go when the time to restore it is over."""
    Cluster.everything.filter(pk=cluster.pk, deleted_at=None).update(deleted_at=now)


def restore(slug: str, *, now: datetime) -> Cluster | None:
    """Back with all its history; None when there is nothing to restore any more."""
    since = now - timedelta(seconds=DELETED_SECONDS)
    if not Cluster.everything.filter(slug=slug, deleted_at__gt=since).update(deleted_at=None):
        return None
    return Cluster.objects.get(slug=slug)


def told(connection: ConnectionSettings) -> dict[str, Any]:
    """What may be said of a connection: no secret is in it."""
    return {
        "servers": list(connection.bootstrap_servers),
        "protocol": connection.security_protocol,
        "mechanism": connection.sasl_mechanism,
        "identity": connection.identity,
    }


def announce(who: str, action: str, slug: str, connection: ConnectionSettings | None = None) -> None:
    """Say what a command or a file did to a cluster, for the audit trail; pages write their own entries."""
    detail = told(connection) if connection is not None else {}
    roster_changed.send(sender=Cluster, who=who, action=action, slug=slug, detail=detail)


def _sealed(connection: ConnectionSettings) -> bytes:
    return encrypt(connection.to_stored(), django_settings.INSTANCE_KEY)
