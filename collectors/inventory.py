"""The rows of a cluster (brokers, topics, groups, members), written only when the survey shows a change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .changes import Changes
from .domain import topology
from .domain.deadletters import dead_letters_of
from .domain.losses import Lost
from .domain.scope import ALL, Scope
from .domain.verdicts import Verdict
from .domain.words import counted, storable
from .membership import Memberships, save_members, save_progress
from .models import Broker, Event, Group, LogDir, Topic
from .models.moments import aware
from .models.updates import update_each
from .ownership import Ownerships

SETTLING_SECONDS = 60.0
"""After a collector's start, or a group's first sight, samples must come together: that "unknown" ends is no news."""
NAMED_LOST = 3


class Inventory:
    """The rows as they stand, and what a survey changes in them.

    `plan_*` mutate the rows in memory and note what is to be written; `save` writes it inside the caller's
    transaction. If that fails, make a new Inventory: memory and database must not differ.
    """

    def __init__(self, cluster_id: int, *, began: float = 0.0, scope: Scope = ALL) -> None:
        """`began`: when this collector began to sample the cluster, unix seconds."""
        self.cluster_id = cluster_id
        self.began = began
        self.scope = scope
        self.brokers = {row.node_id: row for row in Broker.objects.filter(cluster_id=cluster_id)}
        self.topics = {row.name: row for row in Topic.objects.filter(cluster_id=cluster_id)}
        self.groups = {row.name: row for row in Group.objects.filter(cluster_id=cluster_id)}
        self.memberships = Memberships(cluster_id)
        self.ownerships = Ownerships(cluster_id)
        # everything is new in the first survey: that is no news
        self._first_topics = not self.topics
        self._first_groups = not self.groups
        self._first_brokers = not self.brokers

    # --- planning -----------------------------------------------------------------------------------------

    def plan_brokers(
        self,
        changes: Changes,
        *,
        nodes: Iterable[topology.BrokerNode],
        reach: Mapping[int, tuple[topology.Reach, str]],
        quorum: topology.Quorum | None,
        versions: Mapping[int, str],
        now: float,
    ) -> None:
        """Bring the broker rows to what metadata, quorum and reach say; a broker that vanishes is down, not gone."""
        listed = {node.node_id: node for node in nodes}
        controller = quorum.leader_id if quorum is not None else None
        old_controller = next((b.node_id for b in self.brokers.values() if b.is_controller), None)
        for node_id in sorted({*listed, *reach}):
            node = listed.get(node_id)
            state, reason = reach[node_id]
            wanted: dict[str, Any] = {"reach": int(state), "reach_reason": storable(reason, 300), "gone_at": None}
            if node is not None:
                wanted |= {"host": storable(node.host, 255), "port": node.port, "rack": storable(node.rack or "", 255)}
            if versions.get(node_id):
                wanted["version"] = versions[node_id][:40]
            if quorum is not None:
                wanted["is_controller"] = node_id == controller
                wanted["quorum_role"] = quorum.role_of(node_id)
            row = self.brokers.get(node_id)
            if row is None:
                row = Broker(
                    cluster_id=self.cluster_id,
                    node_id=node_id,
                    host="",
                    port=0,
                    first_seen_at=aware(now),
                    reach_since=aware(now),
                )
                _assign(row, wanted)
                self.brokers[node_id] = row
                changes.create.append(row)
                if state is not topology.Reach.UP:
                    self._reach_event(changes, row, reason, now)
                continue
            if row.reach != int(state):
                row.reach_since = aware(now)
                _assign(row, wanted)
                changes.update.append((row, (*wanted, "reach_since")))
                self._reach_event(changes, row, reason, now)
            elif changed := _assign(row, wanted):
                changes.update.append((row, changed))
        if controller is not None and old_controller is not None and controller != old_controller:
            self._event(
                changes,
                now,
                Event.Kind.CONTROLLER_MOVED,
                ("broker", str(controller)),
                f"The controller moved from broker {old_controller} to broker {controller}",
                {"old": old_controller, "new": controller},
            )

    def _reach_event(self, changes: Changes, row: Broker, reason: str, now: float) -> None:
        kind, text = {
            topology.Reach.UP: (Event.Kind.BROKER_UP, f"Broker {row.node_id} answers again"),
            topology.Reach.SUSPECT: (Event.Kind.BROKER_SUSPECT, f"Broker {row.node_id} does not answer: {reason}"),
            topology.Reach.DOWN: (Event.Kind.BROKER_DOWN, f"Broker {row.node_id} is down: {reason}"),
        }[topology.Reach(row.reach)]
        self._event(changes, now, kind, ("broker", str(row.node_id)), text, {"reason": reason})

    def plan_topics(self, changes: Changes, metadata: topology.Metadata, *, now: float) -> None:
        present = {topic.name: topic for topic in metadata.topics}
        leaders_moved: Counter[int] = Counter()
        for topic in metadata.topics:
            wanted = _topic_fields(topic, present)
            row = self.topics.get(topic.name)
            if row is None:
                row = Topic(cluster_id=self.cluster_id, name=topic.name[:249], first_seen_at=aware(now), **wanted)
                self.topics[topic.name] = row
                changes.create.append(row)
                if not self._first_topics:
                    many = counted(len(topic.partitions), "partition")
                    self._topic_event(
                        changes,
                        now,
                        Event.Kind.TOPIC_CREATED,
                        topic.name,
                        f"Topic {topic.name} was created with {many}",
                    )
                continue
            old_id, old_count, was_gone, old = row.topic_id, row.partition_count, row.gone_at, row.partitions
            changed = _assign(row, wanted)
            if was_gone is not None:
                row.gone_at = None
                changed = (*changed, "gone_at")
            if not changed:
                continue
            changes.update.append((row, changed))
            # one that is back with its id was only out of sight: left out, or hidden from this login
            if (was_gone is not None and not (old_id and row.topic_id == old_id)) or (
                old_id and row.topic_id != old_id
            ):
                text = f"Topic {topic.name} was deleted and made anew: its offsets start again at 0"
                self._topic_event(changes, now, Event.Kind.TOPIC_RECREATED, topic.name, text)
            elif row.partition_count > old_count:
                text = f"Topic {topic.name} grew from {old_count} to {row.partition_count} partitions"
                self._topic_event(changes, now, Event.Kind.TOPIC_GROWN, topic.name, text)
            for before, after in zip(old, row.partitions, strict=False):
                if before[0] != after[0]:
                    leaders_moved[before[0]] += 1
        for name, row in self.topics.items():
            if name not in present and row.gone_at is None:
                row.gone_at = aware(now)
                changes.update.append((row, ("gone_at",)))
                if self.scope.takes_topic(name):
                    self._topic_event(changes, now, Event.Kind.TOPIC_DELETED, name, f"Topic {name} was deleted")
        for broker, moved in sorted(leaders_moved.items()):
            source = f"from broker {broker}" if broker >= 0 else "to a broker after having none"
            text = f"{counted(moved, 'partition leader')} moved {source}"
            self._event(changes, now, Event.Kind.LEADERS_MOVED, ("", ""), text, {"from": broker, "count": moved})
        self._first_topics = False

    def _topic_event(self, changes: Changes, now: float, kind: Event.Kind, name: str, text: str) -> None:
        self._event(changes, now, kind, ("topic", name), text, {})

    def plan_groups(self, changes: Changes, groups: Iterable[topology.Group], *, is_complete: bool, now: float) -> None:
        """Bring group and member rows up to date; `is_complete`: every broker listed its groups."""
        present = {group.name: group for group in groups}
        self.ownerships.look(changes, now=now)
        for group in present.values():
            described = group.error is None
            wanted = {
                "type": str(group.type),
                "state": storable(group.state, 100)[:40],
                "protocol_type": storable(group.protocol_type, 100),
                "assignor": storable(group.assignor, 200),
                "coordinator": group.coordinator,
                "epoch": group.epoch,
                "member_count": len(group.members) if described else None,
                "described_error": storable(group.error or "", 300),
                "gone_at": None,
            }
            row = self.groups.get(group.name)
            if row is None:
                row = Group(cluster_id=self.cluster_id, name=group.name, first_seen_at=aware(now), **wanted)
                self.groups[group.name] = row
                changes.create.append(row)
                if not self._first_groups:
                    text = f"Group {group.name} appeared"
                    self._event(changes, now, Event.Kind.GROUP_NEW, ("group", group.name), text, {})
            elif changed := _assign(row, wanted):
                changes.update.append((row, changed))
            if not described:
                self.ownerships.lose(changes, [group.name], now=now)
            elif not group.is_rebalancing:
                is_same = self.memberships.is_same(group)
                self.ownerships.hold(changes, self.groups[group.name], group, is_same=is_same, now=now)
                if is_same:
                    self.memberships.take_progress(changes, group)
                else:
                    self.memberships.take(changes, group, first_look=self._first_groups, now=now)
        if is_complete:
            for name, row in self.groups.items():
                if name not in present and row.gone_at is None:
                    row.gone_at = aware(now)
                    changes.update.append((row, ("gone_at",)))
                    self.ownerships.lose(changes, [name], now=now)
                    if not self.scope.takes_group(name):
                        continue
                    self._event(changes, now, Event.Kind.GROUP_GONE, ("group", name), f"Group {name} is gone", {})
        self._first_groups = False

    def plan_verdicts(
        self, changes: Changes, verdicts: Mapping[str, int], *, now: float, stood_since: Callable[[str], float | None]
    ) -> None:
        """`stood_since` names the moment (unix seconds) at which a group that makes no progress came to stand: seconds
        before the verdict, and soon out of the window's sight."""
        for name, verdict in verdicts.items():
            row = self.groups.get(name)
            if row is None or (row.verdict == verdict and row.verdict_since is not None):
                continue
            if verdict == Verdict.UNKNOWN and row.verdict_since is None:
                # nothing was known of it yet: that the first samples bring a verdict is no news
                if row.verdict != verdict:
                    row.verdict = verdict
                    changes.update.append((row, ("verdict",)))
                continue
            before, first = Verdict(row.verdict), row.verdict_since is None
            began = stood_since(name) if verdict == Verdict.NO_PROGRESS else None
            row.verdict, row.verdict_since = verdict, aware(now if began is None else began)
            changes.update.append((row, ("verdict", "verdict_since")))
            is_settling = now - max(self.began, row.first_seen_at.timestamp()) < SETTLING_SECONDS
            if first or (is_settling and {before, Verdict(verdict)} == {Verdict.OK, Verdict.UNKNOWN}):
                continue
            was, is_now = (v.word.replace("_", " ") for v in (before, Verdict(verdict)))
            data = {"old": before.word, "new": Verdict(verdict).word}
            text = f"Group {name}: {is_now}, was {was}"
            self._event(changes, now, Event.Kind.VERDICT_CHANGED, ("group", name), text, data)

    def plan_losses(self, changes: Changes, lost: Mapping[str, Lost], *, now: float) -> None:
        """Records that groups lost, counted and told when it happens."""
        for name, one in lost.items():
            row = self.groups.get(name)
            if row is None:
                continue
            row.lost_records += one.records
            for topic, partition, records in one.partitions:
                of_topic = row.lost_by_partition.setdefault(topic, {})
                of_topic[str(partition)] = of_topic.get(str(partition), 0) + records
            changes.update.append((row, ("lost_records", "lost_by_partition")))
            more = f" and {len(one.partitions) - NAMED_LOST} more" if len(one.partitions) > NAMED_LOST else ""
            where = ", ".join(f"{topic}-{partition}" for topic, partition, _ in one.partitions[:NAMED_LOST])
            were = "was" if one.records == 1 else "were"
            text = f"Group {name}: {counted(one.records, 'record')} of {where}{more} {were} deleted before being read"
            data = {
                "records": one.records,
                "partitions": [[topic, partition] for topic, partition, _ in one.partitions[:50]],
            }
            self._event(changes, now, Event.Kind.RECORDS_LOST, ("group", name), text, data)

    def _event(
        self, changes: Changes, now: float, kind: Event.Kind, subject: tuple[str, str], text: str, data: dict[str, Any]
    ) -> None:
        changes.note(self.cluster_id, now, kind, subject, text, data)

    # --- writing ------------------------------------------------------------------------------------------

    def save(self, changes: Changes, *, now: float) -> None:
        """Write the plan; call it inside the transaction of the cycle."""
        # first what other rows belong to: a group may be new while another's members have changed
        by_model: dict[type[Any], list[Any]] = {Broker: [], Topic: [], Group: []}
        for row in changes.create:
            by_model.setdefault(type(row), []).append(row)
        for model, rows in by_model.items():
            model.objects.bulk_create(rows, batch_size=500)
        updates: dict[tuple[type[Any], tuple[str, ...]], list[Any]] = {}
        for row, fields in changes.update:
            if row.pk is not None:
                updates.setdefault((type(row), fields), []).append(row)
        for (_, fields), rows in updates.items():
            update_each(rows, fields)
        save_members(changes.members, self.groups, now=now)
        save_progress(changes.progress, self.groups)
        if changes.log_dirs is not None:
            self._save_log_dirs(changes.log_dirs, now)
        Event.objects.bulk_create(changes.events, batch_size=500)

    def _save_log_dirs(self, log_dirs: tuple[topology.LogDir, ...], now: float) -> None:
        rows = [
            LogDir(
                broker=self.brokers[d.broker_id],
                path=storable(d.path, 1000),
                size_bytes=d.size_bytes,
                total_bytes=d.total_bytes,
                usable_bytes=d.usable_bytes,
                error=storable(d.error or "", 300),
                taken_at=aware(now),
            )
            for d in log_dirs
            if d.broker_id in self.brokers
        ]
        fields = ["size_bytes", "total_bytes", "usable_bytes", "error", "taken_at"]
        LogDir.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["broker", "path"], update_fields=fields, batch_size=500
        )


def _assign(row: Any, wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Set what differs; returns the names of the fields that changed."""
    changed = tuple(name for name, value in wanted.items() if getattr(row, name) != value)
    for name in changed:
        setattr(row, name, wanted[name])
    return changed


def _topic_fields(topic: topology.Topic, existing: Mapping[str, topology.Topic]) -> dict[str, Any]:
    return {
        "topic_id": (topic.topic_id or "")[:40],
        "is_internal": topic.is_internal,
        "dead_letters_of": dead_letters_of(topic.name, existing) or "",
        "partition_count": len(topic.partitions),
        "replication_factor": max((len(p.replicas) for p in topic.partitions), default=0),
        "under_replicated_count": sum(p.is_under_replicated for p in topic.partitions),
        "offline_count": sum(p.is_offline for p in topic.partitions),
        "partitions": [
            [p.leader, p.leader_epoch, list(p.replicas), list(p.isr), list(p.offline)] for p in topic.partitions
        ],
    }
