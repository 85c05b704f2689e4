"""Fills an instance's database with a company on a bad day, for pages that are looked at without a Kafka.

`python -m tests.browser.stage`, in the environment of the instance, after `manage.py upgrade`.
"""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta

SLOW_SECONDS = 300.0  # no cycle will follow: the interval keeps what is there from growing old


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    django.setup()
    fill()


def fill() -> None:
    from collectors.models import Cluster
    from tests.pages.seed import Company, make_company

    demo = make_company(
        Company(
            cycles=120,
            freeze_cycles=40,
            frozen=frozenset({"payment-service"}),
            empty_groups=frozenset({"nightly"}),
            never_committed=frozenset({"new-thing"}),
            gap=(50, 58),
            down=frozenset({3}),
            groups={
                "analytics": ("clicks",),
                "payment-service": ("orders",),
                "audit": ("orders", "payments"),
                "nightly": ("payments",),
                "new-thing": ("clicks",),
                "<b>odd</b>/group": ("payments",),
            },
        )
    )
    make_company(Company(slug="silent", name="silent", cycles=20), now=time.time() - 3600)
    Cluster.objects.filter(pk=demo.pk).update(interval_seconds=SLOW_SECONDS)
    happenings(demo.pk)
    alerts(demo.pk)
    settings(demo.pk)


def happenings(cluster: int) -> None:
    from django.utils import timezone

    from collectors.models import Event, Topic

    now = timezone.now()
    told = [
        ("leaders_moved", "", "", "4 partition leaders moved from broker 3", 2.9),
        ("controller_moved", "broker", "2", "The controller moved from broker 3 to broker 2", 2.9),
        ("members_changed", "group", "audit", "Group audit has 2 members, had 3: audit-2 left", 6),
        ("config_changed", "topic", "orders", "topic orders: retention.ms 604800000 → 3600000", 8),
        ("topic_grown", "topic", "clicks", "Topic clicks grew from 4 to 6 partitions", 7),
    ]
    told += [("group_new", "group", f"job-{i}", f"Group job-{i} appeared", 9) for i in range(9)]
    Event.objects.bulk_create(
        Event(cluster_id=cluster, kind=kind, subject_kind=about, subject=name, text=text, at=_ago(now, minutes))
        for kind, about, name, text, minutes in told
    )
    Topic.objects.filter(cluster=cluster, name="orders-dlt").update(dead_letters_of="orders")


def alerts(cluster: int) -> None:
    """One that nobody took, one that somebody did, one that is over."""
    from django.utils import timezone

    from dashboard.models import Alert, Rule, Transition

    now = timezone.now()
    for key, kind, subject, fired, over, who in (
        ("broker_down", "broker", "3", 3.0, None, ""),
        ("group_no_progress", "group", "payment-service", 2.0, None, "ada"),
        ("dead_letters_arriving", "topic", "orders-dlt", 9.0, 5.0, ""),
    ):
        rule, at = Rule.objects.get(key=key), _ago(now, fired)
        ended = None if over is None else _ago(now, over)
        alert = Alert.objects.create(
            rule=rule, cluster_id=cluster, subject_kind=kind, subject=subject, severity=rule.severity,
            state="firing" if over is None else "resolved", sentence=f"{rule.name}: {subject}", changed_at=at,
            started_at=at - timedelta(seconds=60), fired_at=at, resolved_at=ended, acknowledged_by=who,
            acknowledged_at=at if who else None,
        )  # fmt: skip
        steps = [("pending", at - timedelta(seconds=60)), ("firing", at)]
        steps += [("acknowledged", at)] if who else []
        steps += [("resolved", ended)] if ended is not None else []
        for state, moment in steps:
            Transition.objects.create(alert=alert, at=moment, new_state=state, reason=f"it is {state}")


def settings(cluster: int) -> None:
    from django.utils import timezone

    from collectors.models import Configuration

    def keep(kind: str, name: str, **entries: list[str | None]) -> None:
        by_name = {key.replace("_", "."): entry for key, entry in entries.items()}
        own = sum(entry[1] not in ("default", "file") for entry in entries.values())
        Configuration.objects.create(
            cluster_id=cluster, kind=kind, name=name, entries=by_name, changed_at=timezone.now(), set_count=own
        )

    for topic in ("orders", "clicks", "payments"):
        keep("topic", topic, cleanup_policy=["delete", "default"], retention_ms=["3600000", "topic"])
    for broker in ("1", "2", "3"):
        keep("broker", broker, num_io_threads=["4" if broker == "3" else "8", "file"], node_id=[broker, "file"],
             ssl_key_password=[None, "file"], num_partitions=["1", "default"])  # fmt: skip


def _ago(now: datetime, minutes: float) -> datetime:
    return now - timedelta(minutes=minutes)


if __name__ == "__main__":
    main()
