"""Clusters from clusters.yaml and the environment: read at start, reconciled with the stored ones, locked in pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from . import roster
from .clusters_yaml import Entry, FileRefusedError, read_clusters
from .domain.scope import ALL, LISTS, Scope, ScopeError
from .kafka.allowed import TAKEN
from .kafka.reading import read_any_file, read_settings
from .kafka.settings import ConnectionSettings, SettingsError
from .models import Cluster

MANAGED_BY = "environment"
FILE = "clusters.yaml"
"""What `managed_by` says of a cluster of the file, whatever the file is called."""
_OURS = re.compile(r"^STREAMGAUGE_CLUSTERS_(\d{1,3})_([A-Z0-9_]+)$")
_KAFKA_UI = re.compile(r"^KAFKA_CLUSTERS_(\d{1,3})_(NAME|BOOTSTRAPSERVERS|PROPERTIES_[A-Z0-9_]+)$")
_BY_VARIABLE = {key.replace(".", "_").upper(): key for key in TAKEN}
"""SASL_JAAS_CONFIG -> sasl.jaas.config: the habit of every container image of Kafka."""
_REDPANDA = {
    "KAFKA_BROKERS": "bootstrap.servers",
    "KAFKA_SASL_USERNAME": "sasl.username",
    "KAFKA_SASL_PASSWORD": "sasl.password",
    "KAFKA_TLS_CAFILEPATH": "ssl.ca.location",
}
"""Names of Redpanda Console and KMinion, beside those that equal a client property."""


class EnvironmentRefusedError(ValueError):
    """What the environment or the file says cannot be used; the text names the variable or the line."""


@dataclass(frozen=True, slots=True)
class Declared:
    name: str
    slug: str
    interval: float
    connection: ConnectionSettings
    notes: tuple[str, ...] = ()
    scope: Scope = ALL
    managed_by: str = MANAGED_BY
    commit_times: bool = False


def in_file(path: Path | None, environment: Mapping[str, str]) -> list[Declared]:
    """The clusters of the file, whose `${NAME}` the environment fills; [] without a file."""
    if path is None:
        return []
    try:
        return [_of_entry(entry) for entry in read_clusters(path, environment)]
    except FileRefusedError as error:
        raise EnvironmentRefusedError(str(error)) from None


def clusters_file(named: str, data_dir: Path) -> Path | None:
    """The file that was named, else clusters.yaml in the data folder where there is one."""
    if named:
        return Path(named)
    usual = data_dir / FILE
    return usual if usual.is_file() else None


def declared(environment: Mapping[str, str]) -> list[Declared]:
    """The clusters that the environment names: STREAMGAUGE_CLUSTERS_n_…, else other tools' names for the same."""
    ours = _numbered(environment, _OURS)
    if ours:
        return [_ours(number, values) for number, values in sorted(ours.items())]
    others = _numbered(environment, _KAFKA_UI)
    if others:
        return [_kafka_ui(number, values) for number, values in sorted(others.items())]
    return _single(environment)


@transaction.atomic
def reconcile(environment: Mapping[str, str], file: Path | None = None) -> list[str]:
    """Bring the stored clusters in line with the file and the environment; what was done, a sentence each.

    A cluster that is no longer named there is deleted as by a person: for a day it can be restored. All of it in one
    transaction with its entries in the audit trail.
    """
    wanted: dict[str, Declared] = {}
    for one in (*in_file(file, environment), *declared(environment)):
        if one.slug in wanted:
            raise EnvironmentRefusedError(
                f"two clusters have the address {one.slug!r} ({wanted[one.slug].name} and {one.name}): "
                "give one of them another slug"
            )
        wanted[one.slug] = one
    told: list[str] = []
    for slug, one in wanted.items():
        told += [f"{one.name}: {note}" for note in one.notes]
        origin = _origin(one.managed_by)
        cluster = Cluster.everything.filter(slug=slug).first()
        if cluster is None:
            roster.add(
                name=one.name,
                slug=slug,
                connection=one.connection,
                interval=one.interval,
                managed_by=one.managed_by,
                scope=one.scope,
                commit_times=one.commit_times,
            )
            roster.announce(one.managed_by, "cluster added", slug, one.connection)
            told.append(f"{one.name}: added from {origin}")
            continue
        if cluster.deleted_at is not None:
            roster.announce(one.managed_by, "cluster restored", slug)
        elif cluster.managed_by != one.managed_by:
            roster.announce(one.managed_by, "cluster taken over", slug)
        Cluster.everything.filter(pk=cluster.pk).update(managed_by=one.managed_by, deleted_at=None)
        changed = roster.change(
            cluster,
            name=one.name,
            interval=one.interval,
            connection=one.connection,
            scope=one.scope,
            commit_times=one.commit_times,
        )
        if changed:
            roster.announce(one.managed_by, "cluster changed", slug, one.connection)
            told.append(f"{one.name}: changed as {origin} says")
    for cluster in Cluster.objects.filter(managed_by__in=(MANAGED_BY, FILE)).exclude(slug__in=wanted):
        roster.delete(cluster, now=timezone.now())
        Cluster.everything.filter(pk=cluster.pk).update(managed_by="")
        roster.announce(cluster.managed_by, "cluster deleted", cluster.slug)
        told.append(f"{cluster.name}: deleted, since {_origin(cluster.managed_by)} no longer names it")
    return told


def _origin(managed_by: str) -> str:
    return f"the {managed_by}" if managed_by == MANAGED_BY else managed_by


def reads(variable: str) -> bool:
    """Whether the variable is one of a numbered cluster."""
    return _OURS.match(variable) is not None


def _of_entry(entry: Entry) -> Declared:
    source: str | dict[str, str] = entry.source
    if entry.properties_file:
        try:
            source = read_any_file("properties_file", entry.properties_file).decode()
        except (SettingsError, UnicodeDecodeError) as error:
            raise EnvironmentRefusedError(f"{entry.where}: {error}") from None
    made = _made(f"{entry.where}", entry.name, entry.slug, entry.interval, source, scope=entry.scope, managed_by=FILE)
    return replace(made, commit_times=entry.commit_times)


def _numbered(environment: Mapping[str, str], pattern: re.Pattern[str]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for variable, value in environment.items():
        if match := pattern.match(variable):
            found.setdefault(int(match[1]), {})[match[2]] = value
    return found


def _ours(number: int, values: dict[str, str]) -> Declared:
    prefix = f"STREAMGAUGE_CLUSTERS_{number}_"
    if "NAME" not in values:
        raise EnvironmentRefusedError(f"{prefix}NAME is missing: give the cluster a name")
    properties: dict[str, str] = {}
    patterns: dict[str, str] = {}
    text = ""
    interval, slug, commit_times = 5.0, "", False
    for short, value in values.items():
        if short == "INTERVAL":
            try:
                interval = float(value)
            except ValueError:
                raise EnvironmentRefusedError(f"{prefix}INTERVAL {value!r}: use seconds, 1 to 300") from None
        elif short == "SLUG":
            slug = value
        elif short == "COMMIT_TIMES":
            if value.lower() not in ("true", "false"):
                raise EnvironmentRefusedError(f"{prefix}COMMIT_TIMES {value!r}: use true or false")
            commit_times = value.lower() == "true"
        elif short.lower() in LISTS:
            patterns[short.lower()] = value
        elif short == "PROPERTIES":
            text = value
        elif short == "PROPERTIES_FILE":
            try:
                text = read_any_file(f"{prefix}PROPERTIES_FILE", value).decode()
            except (SettingsError, UnicodeDecodeError) as error:
                raise EnvironmentRefusedError(str(error)) from None
        elif short != "NAME":
            properties[_key(short, prefix)] = value
    if text and properties:
        raise EnvironmentRefusedError(f"{prefix}PROPERTIES stands for all keys: leave {sorted(properties)[0]} out")
    try:
        scope = Scope.read(patterns)
    except ScopeError as error:
        raise EnvironmentRefusedError(f"{prefix}{error.field.upper()}: {error}") from None
    made = _made(f"{prefix}…", values["NAME"], slug, interval, text or properties, scope=scope)
    return replace(made, commit_times=commit_times)


def _key(short: str, prefix: str) -> str:
    if short not in _BY_VARIABLE:
        raise EnvironmentRefusedError(
            f"{prefix}{short} is unknown: use NAME, SLUG, INTERVAL, PROPERTIES, PROPERTIES_FILE, TOPICS_INCLUDE, "
            "TOPICS_EXCLUDE, GROUPS_INCLUDE, GROUPS_EXCLUDE, COMMIT_TIMES or a client property in capitals with '_' "
            "for '.', like BOOTSTRAP_SERVERS"
        )
    return _BY_VARIABLE[short]


def _kafka_ui(number: int, values: dict[str, str]) -> Declared:
    prefix = f"KAFKA_CLUSTERS_{number}_"
    properties = {
        _key(short.removeprefix("PROPERTIES_"), prefix): value
        for short, value in values.items()
        if short.startswith("PROPERTIES_")
    }
    properties["bootstrap.servers"] = values.get("BOOTSTRAPSERVERS", "")
    note = f"read {prefix}…; the canonical names are STREAMGAUGE_CLUSTERS_{number}_…"
    return _made(f"{prefix}…", values.get("NAME", f"cluster {number}"), "", 5.0, properties, (note,))


def _single(environment: Mapping[str, str]) -> list[Declared]:
    """One cluster by the names that clients and other tools use: KAFKA_BOOTSTRAP_SERVERS or KAFKA_BROKERS."""
    started = next((name for name in ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BROKERS") if environment.get(name)), None)
    if started is None:
        return []
    properties: dict[str, str] = {}
    for variable, value in environment.items():
        short = variable.removeprefix("KAFKA_")
        if variable in _REDPANDA:
            properties[_REDPANDA[variable]] = value
        elif variable.startswith("KAFKA_") and short in _BY_VARIABLE:
            properties[_BY_VARIABLE[short]] = value
    if "security.protocol" not in properties:
        tls = environment.get("KAFKA_TLS_ENABLED", "").lower() == "true"
        sasl = environment.get("KAFKA_SASL_ENABLED", "").lower() == "true"
        properties["security.protocol"] = ("SASL_" if sasl else "") + ("SSL" if tls else "PLAINTEXT")
    notes = () if started == "KAFKA_BOOTSTRAP_SERVERS" else ("read KAFKA_BROKERS; canonical: KAFKA_BOOTSTRAP_SERVERS",)
    return [_made("KAFKA_…", "Kafka", "kafka", 5.0, properties, notes)]


def _made(
    where: str,
    name: str,
    slug: str,
    interval: float,
    source: str | dict[str, str],
    notes: tuple[str, ...] = (),
    *,
    scope: Scope = ALL,
    managed_by: str = MANAGED_BY,
) -> Declared:
    """`where` is the variables or the line, for what is refused."""
    try:
        reading = read_settings(source, read_file=read_any_file)
        name = roster.check_name(name)
        slug = roster.check_slug(slug or slugify(name), name)
        interval = roster.check_interval(interval)
    except (SettingsError, roster.RosterError) as error:
        raise EnvironmentRefusedError(f"{where}: {error}") from None
    return Declared(name, slug, interval, reading.settings, (*notes, *reading.notes), scope, managed_by)
