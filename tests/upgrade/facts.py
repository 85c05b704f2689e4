"""What a database holds, read by the program's own ways: printed as JSON, to be compared before and after upgrades.

`python -m tests.upgrade.facts` on the database that the environment names.
"""

from __future__ import annotations

import json
from typing import Any

import django


def facts() -> dict[str, Any]:
    from django.conf import settings
    from django.contrib.auth.models import User

    from collectors.history import queries
    from collectors.models import Cluster, Cycle, Event, Group, Topic
    from collectors.secrets import decrypt
    from dashboard.models import Alert, Channel, Delivery, Rule, Transition

    found: dict[str, Any] = {}
    for cluster in Cluster.objects.order_by("slug"):
        now = queries.cluster_at(cluster.pk)
        older = queries.cluster_at(cluster.pk, cluster.last_cycle - 20)
        assert now is not None
        assert older is not None
        found[cluster.slug] = {
            "name": cluster.name,
            "last_cycle": cluster.last_cycle,
            "cycles": Cycle.objects.filter(cluster=cluster).count(),
            "events": Event.objects.filter(cluster=cluster).count(),
            "topics": sorted(Topic.objects.filter(cluster=cluster).values_list("name", flat=True)),
            "groups": sorted(Group.objects.filter(cluster=cluster).values_list("name", flat=True)),
            "ends": now.end.numbers.values.tolist(),
            "lag": [
                int(value) if known else None
                for value, known in zip(now.lag.values.tolist(), now.lag.known.tolist(), strict=True)
            ],
            "older_ends": older.end.numbers.values.tolist(),
            "older_cycle": older.cycle,
            "taken_at": round(now.taken_at, 3),
            "connection": decrypt(bytes(cluster.settings_encrypted), settings.INSTANCE_KEY)
            if cluster.settings_encrypted
            else None,
        }
    return {
        "clusters": found,
        "rolled": rolled(),
        "rules": dict(Rule.objects.filter(key__in=OLD_RULES).order_by("key").values_list("key", "hold_seconds")),
        "alerts": list(Alert.objects.order_by("id").values_list("rule__key", "subject", "state", "sentence")),
        "transitions": list(Transition.objects.order_by("id").values_list("old_state", "new_state")),
        "deliveries": list(Delivery.objects.order_by("id").values_list("event", "state", "idempotency_key")),
        "channels": [
            (one.name, decrypt(bytes(one.settings_encrypted), settings.INSTANCE_KEY)["url"])
            for one in Channel.objects.order_by("id")
        ],
        "people": list(User.objects.order_by("username").values_list("username", "person__role")),
    }


def rolled() -> dict[str, list[list[int]]]:
    """ "cluster/group" -> highest lag and age of each minute that is rolled up; an age that no program stored is -1."""
    from collectors.history import strips
    from collectors.history.families import Family
    from collectors.models import Cluster, Group

    out = {}
    for cluster in Cluster.objects.order_by("slug"):
        names = list(Group.objects.filter(cluster=cluster).order_by("name").values_list("name", flat=True))
        for name, strip in strips.read(cluster.pk, Family.GROUP, names, 0, 2e9, 60).items():
            lag, age = strip.rolled.fives["lag"], strip.rolled.fives["age"]
            known = age.known.tolist()
            ages = [high if there else -1 for high, there in zip(age.high.tolist(), known, strict=True)]
            if len(strip):
                out[f"{cluster.slug}/{name}"] = [lag.high.tolist(), ages]
    return out


OLD_RULES = ("broker_down", "collector_blind", "dead_letters", "group_no_progress")
"""Later versions add rules; these stay, with what people changed in them."""


if __name__ == "__main__":
    django.setup()
    print(json.dumps(facts(), sort_keys=True))
