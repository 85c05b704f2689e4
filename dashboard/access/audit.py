"""The audit trail: who did what to what."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from dashboard.models import AuditEntry


def record(who: str, action: str, target: str = "", **detail: Any) -> AuditEntry:
    """Write one entry; `detail` must be plain JSON and hold no secrets."""
    return AuditEntry.objects.create(
        at=timezone.now(), who=who[:150], action=action[:60], target=target[:300], detail=detail
    )


def record_of(request: HttpRequest, action: str, target: str = "", **detail: Any) -> AuditEntry:
    """Write one entry for who asks."""
    return record(request.user.get_username() or "nobody", action, target, **detail)
