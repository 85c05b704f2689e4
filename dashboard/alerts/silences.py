"""Which alerts a silence covers, and its end before its time."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from django.db import transaction
from django.utils import timezone

from dashboard.models import Alert, AuditEntry, Silence


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


def end(silence_id: int, who: str) -> bool:
    """End a silence before its time; False when it was over already, or another person was faster."""
    now = timezone.now()
    with transaction.atomic():
        if not Silence.objects.filter(pk=silence_id, ends_at__gt=now).update(ends_at=now, ended_by=who[:150]):
            return False
        AuditEntry.objects.create(at=now, who=who[:150], action="silence ended", target=f"silence {silence_id}")
    return True
