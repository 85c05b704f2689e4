"""Rows of what this login may see of a cluster, and of how its topics and brokers are set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from .changes import Changes
from .domain.configuration import BROKER_KEYS, TOPIC_KEYS, Config, Source, changes
from .domain.rights import NO_NEWS, NOT_ASKED, NOT_AUTHORISED, Right
from .models import Cluster, ClusterRight, Configuration, Event
from .models.moments import aware

_KEYS = {Configuration.Kind.TOPIC: TOPIC_KEYS, Configuration.Kind.BROKER: BROKER_KEYS}
CHANGES_IN_A_SENTENCE = 5
NAMES_IN_A_SENTENCE = 3


class Insight:
    """The rows as they stand. As with Inventory: after a failed save, make a new one."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.rights = {row.key: row for row in ClusterRight.objects.filter(cluster=cluster)}
        self.configurations = {
            (Configuration.Kind(row.kind), row.name): row for row in Configuration.objects.filter(cluster=cluster)
        }
        self._seen: dict[tuple[Configuration.Kind, str], Config] = {}

    def plan_rights(self, into: Changes, rights: Iterable[Right], *, now: float) -> None:
        """What is met and what is not; one that is taken or given while we look is an event."""
        for right in rights:
            row = self.rights.get(right.key)
            if row is None:
                row = ClusterRight(cluster=self.cluster, key=right.key, since=aware(now))
                row.why, row.caution = right.why, right.caution
                self.rights[right.key] = row
                into.create.append(row)
                continue
            if (row.why, row.caution) == (right.why, right.caution) or right.why == NOT_ASKED:
                continue  # what was known before a restart stays until it was asked again
            if row.why != right.why:
                row.since = aware(now)
                if not {row.why, right.why} & NO_NEWS:
                    state = f"no longer visible: {right.why}" if right.why else "visible again"
                    text, data = f"{right.shows}: {state}", {"right": right.key, "why": right.why}
                    into.note(self.cluster.pk, now, Event.Kind.RIGHTS_CHANGED, ("", ""), text, data)
            row.why, row.caution = right.why, right.caution
            into.update.append((row, ("why", "caution", "since")))

    def plan_configs(
        self,
        into: Changes,
        kind: Configuration.Kind,
        configs: Mapping[str, Config],
        *,
        now: float,
        refused: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Readings that differ from the last ones; the first of each is no event. `refused`: why, by name."""
        self._plan_refused(into, kind, refused, now)
        again = []
        for name, config in configs.items():
            if self._seen.get((kind, name)) is config:
                continue
            self._seen[kind, name] = config
            entries = config.kept(_KEYS[kind])
            row = self.configurations.get((kind, name))
            if row is None:
                row = Configuration(cluster=self.cluster, kind=kind, name=name[:249], changed_at=aware(now))
                row.entries, row.set_count = entries, _set_count(kind, entries)
                self.configurations[kind, name] = row
                into.create.append(row)
                continue
            was_refused, is_first = row.refused_why, not row.entries
            if was_refused:
                row.refused_why, row.refused_at = "", None
                into.update.append((row, ("refused_why", "refused_at")))
                if was_refused == NOT_AUTHORISED and not is_first:
                    again.append(name)
            if row.entries == entries:
                continue
            said = [] if is_first else changes(row.entries, entries)
            if said:
                more = f" and {len(said) - CHANGES_IN_A_SENTENCE} more" if len(said) > CHANGES_IN_A_SENTENCE else ""
                text = f"{kind.label} {name}: {', '.join(said[:CHANGES_IN_A_SENTENCE])}{more}"
                data: dict[str, Any] = {"changed": said[:50]}
                into.note(self.cluster.pk, now, Event.Kind.CONFIG_CHANGED, (str(kind), name), text, data)
            row.entries, row.set_count, row.changed_at = entries, _set_count(kind, entries), aware(now)
            into.update.append((row, ("entries", "set_count", "changed_at")))
        self._note_sight(into, kind, again, "visible again", now)

    def _plan_refused(self, into: Changes, kind: Configuration.Kind, refused: Mapping[str, str], now: float) -> None:
        """What cannot be read keeps its last reading, marked with since when and why it may no longer be so."""
        lost = []
        for name, why in refused.items():
            self._seen.pop((kind, name), None)
            row = self.configurations.get((kind, name))
            if row is None:
                row = Configuration(cluster=self.cluster, kind=kind, name=name[:249], changed_at=aware(now))
                row.refused_why, row.refused_at = why[:300], aware(now)
                self.configurations[kind, name] = row
                into.create.append(row)
            elif row.refused_why != why[:300]:
                if why == NOT_AUTHORISED and row.entries and not row.refused_why:
                    lost.append(name)
                row.refused_why, row.refused_at = why[:300], row.refused_at or aware(now)
                into.update.append((row, ("refused_why", "refused_at")))
        self._note_sight(into, kind, lost, f"no longer visible: {NOT_AUTHORISED}", now)

    def _note_sight(self, into: Changes, kind: Configuration.Kind, names: list[str], state: str, now: float) -> None:
        """One event for all: a right that is withdrawn for every topic is one piece of news."""
        if not names:
            return
        about = (str(kind), names[0]) if len(names) == 1 else ("", "")
        more = f" and {len(names) - NAMES_IN_A_SENTENCE} more" if len(names) > NAMES_IN_A_SENTENCE else ""
        named = f"{', '.join(names[:NAMES_IN_A_SENTENCE])}{more}"
        what = f"{kind} {named}" if len(names) == 1 else f"{len(names)} {kind}s ({named})"
        text = f"Configuration of {what}: {state}"
        into.note(self.cluster.pk, now, Event.Kind.RIGHTS_CHANGED, about, text, {"names": names[:50]})


def _set_count(kind: Configuration.Kind, entries: Mapping[str, Any]) -> int:
    if kind is Configuration.Kind.TOPIC:
        return sum(source == Source.TOPIC for _, source in entries.values())
    return sum(source != Source.DEFAULT for _, source in entries.values())
