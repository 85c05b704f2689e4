"""Which alerts a silence covers, and who is told when it ends."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from fnmatch import fnmatchcase

from django.db import transaction
from django.utils import timezone

from dashboard.models import Alert, AuditEntry, Silence, Transition

from . import telling
from .telling import Telling

UNSILENCED = "unsilenced"


def covers(silence: Silence, *, rule_id: int, slug: str, subject: str) -> bool:
    """Whether rule, cluster and subject match. Globs as in the shell, capital letters as written."""
    if silence.rule_id is not None and silence.rule_id != rule_id:
        return False
    return fnmatchcase(slug, silence.cluster) and fnmatchcase(subject, silence.subject)


def covering(silences: Iterable[Silence], alert: Alert) -> Silence | None:
    """The silence over an alert that lasts longest; None when there is none."""
    found = [
        one for one in silences if covers(one, rule_id=alert.rule_id, slug=alert.cluster.slug, subject=alert.subject)
    ]
    return max(found, key=lambda one: one.ends_at, default=None)


def tell_unsilenced(cluster_id: int, *, now: datetime) -> tuple[int, int]:
    """Tell what fired under a silence that is over and still fires, in the caller's transaction.

    What somebody has acknowledged meanwhile is not told: they know. Returns (transitions, messages).
    """
    held = Alert.objects.raised().filter(cluster_id=cluster_id, is_held_back=True).select_related("rule", "cluster")
    active = list(Silence.objects.active(now))
    free = [alert for alert in held if covering(active, alert) is None]
    if not free:
        return 0, 0
    Alert.objects.filter(pk__in=[alert.pk for alert in free]).update(is_held_back=False)
    told = [alert for alert in free if alert.acknowledged_at is None]
    Transition.objects.bulk_create(
        Transition(
            alert=alert,
            at=now,
            old_state=alert.state,
            new_state=UNSILENCED,
            reason="the silence is over and it still fires: told now",
        )
        for alert in told
    )
    tellings = [Telling(alert, "firing", alert.sentence, _numbers(alert)) for alert in told]
    return len(told), telling.tell(tellings, now=now)


def _numbers(alert: Alert) -> dict[str, object]:
    return {key: value for key, value in alert.memory.get("began", {}).items() if key != "at"}


def end(silence_id: int, who: str) -> bool:
    """End a silence before its time; False when it was over already, or another person was faster."""
    now = timezone.now()
    with transaction.atomic():
        if not Silence.objects.filter(pk=silence_id, ends_at__gt=now).update(ends_at=now, ended_by=who[:150]):
            return False
        AuditEntry.objects.create(at=now, who=who[:150], action="silence ended", target=f"silence {silence_id}")
    return True
