"""The rules that every instance begins with."""

from __future__ import annotations

from typing import Any

from collectors.domain.skew import HOT_TIMES_EVEN
from collectors.domain.topology import Reach
from collectors.domain.verdicts import Verdict
from dashboard.models import Rule

from .readings import Quantity

DEFAULT_RULES: dict[str, dict[str, Any]] = {
    "broker_down": {
        "name": "Broker down",
        "quantity": Quantity.BROKER_REACH,
        "comparison": ">=",
        "threshold": float(Reach.DOWN),
        "recover_level": float(Reach.UP),  # suspect is neither down nor up again
        "severity": "critical",
    },
    "under_replicated": {
        "name": "Under-replicated",
        "quantity": Quantity.REPLICAS_BEHIND,
        "comparison": ">",
        "threshold": 0.0,
        "hold_seconds": 300.0,
        "severity": "warning",
    },
    "group_no_progress": {
        "name": "Group makes no progress",
        "quantity": Quantity.GROUP_VERDICT,
        "comparison": ">=",
        "threshold": Verdict.NO_PROGRESS.severity,
        "hold_seconds": 60.0,
        "severity": "critical",
    },
    "group_falls_behind": {
        "name": "Group falls behind",
        "quantity": Quantity.GROUP_FALLS_BEHIND,
        "comparison": ">=",
        "threshold": 1.0,
        "hold_seconds": 120.0,
        "severity": "warning",
    },
    "group_no_members": {
        "name": "No members while records arrive",
        "quantity": Quantity.GROUP_UNREAD_RATE,
        "comparison": ">",
        "threshold": 0.0,
        "hold_seconds": 60.0,
        "severity": "warning",
    },
    "records_lost": {
        "name": "Records lost",
        "quantity": Quantity.GROUP_RECORDS_LOST,
        "comparison": ">",
        "threshold": 0.0,
        "recover_seconds": 120.0,
        "severity": "critical",
    },
    # Half an hour is what a person needs to be woken, look and start a reader. Held, since a reader that restarts
    # pauses for less. A topic that keeps records for less than half an hour alarms only while its reader stands.
    "retention_soon": {
        "name": "Retention overtakes a group soon",
        "quantity": Quantity.GROUP_COUNTDOWN,
        "comparison": "<=",
        "threshold": 1800.0,
        "recover_level": 2700.0,
        "hold_seconds": 60.0,
        "severity": "critical",
    },
    # How far behind is too far only the owner of a group knows: a nightly job is a day behind and well. Off until
    # somebody switches it on, with the threshold and for the groups that it is meant for.
    "group_far_behind": {
        "name": "Group is far behind in time",
        "is_enabled": False,
        "quantity": Quantity.GROUP_LOG_END_AGE,
        "comparison": ">=",
        "threshold": 600.0,
        "recover_level": 300.0,
        "hold_seconds": 60.0,
        "severity": "warning",
    },
    # The same by the timestamp of the oldest unread record. It is over after two quiet minutes: of a group that reads
    # on, records of two partitions are read now and then, and for a moment only the younger one may be known.
    "group_head_old": {
        "name": "Oldest unread record is old",
        "is_enabled": False,
        "quantity": Quantity.GROUP_HEAD_AGE,
        "comparison": ">=",
        "threshold": 600.0,
        "recover_level": 300.0,
        "hold_seconds": 60.0,
        "recover_seconds": 120.0,
        "severity": "warning",
    },
    # So it is with the number of records, and how long it may take to read them: a topic of a million records an hour
    # is well where one of ten is not. Held longer, since a rush, after which nobody drains, passes.
    "group_lag_high": {
        "name": "Many records wait for a group",
        "is_enabled": False,
        "quantity": Quantity.GROUP_LAG,
        "comparison": ">=",
        "threshold": 100_000.0,
        "recover_level": 50_000.0,
        "hold_seconds": 60.0,
        "severity": "warning",
    },
    "group_drain_long": {
        "name": "Backlog takes long to read",
        "is_enabled": False,
        "quantity": Quantity.GROUP_DRAIN,
        "comparison": ">=",
        "threshold": 3600.0,
        "recover_level": 1800.0,
        "hold_seconds": 300.0,
        "severity": "warning",
    },
    "partition_skew": {
        "name": "Partition skew",
        "quantity": Quantity.TOPIC_SKEW,
        "comparison": ">=",
        "threshold": HOT_TIMES_EVEN,
        "hold_seconds": 120.0,
        "severity": "warning",
    },
    "dead_letters_arriving": {
        "name": "Dead letters arriving",
        "quantity": Quantity.DEAD_LETTERS_ARRIVED,
        "comparison": ">",
        "threshold": 0.0,
        "recover_seconds": 120.0,
        "severity": "warning",
    },
    "collector_blind": {
        "name": "Collector blind",
        "quantity": Quantity.COLLECTOR_SILENCE,
        "comparison": ">=",
        "threshold": 3.0,
        "severity": "critical",
    },
}


def install_default_rules() -> list[str]:
    """Add the default rules that are missing and return their keys; what a person changed or switched off stays."""
    added = []
    for key, fields in DEFAULT_RULES.items():
        _, was_made = Rule.objects.get_or_create(key=key, defaults={**fields, "is_default": True})
        if was_made:
            added.append(key)
    return added
