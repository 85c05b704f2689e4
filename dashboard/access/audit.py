"""The audit trail: who did what to what, from where."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from dashboard.models import AuditEntry


def record(who: str, action: str, target: str = "", *, remote: str = "", **detail: Any) -> AuditEntry:
    """Write one entry; `detail` must be plain JSON and hold no secrets."""
    return AuditEntry.objects.create(
        at=timezone.now(), who=who[:150], remote=remote[:64], action=action[:60], target=target[:300], detail=detail
    )


def record_of(request: HttpRequest, action: str, target: str = "", **detail: Any) -> AuditEntry:
    """Write one entry for who asks."""
    return record(request.user.get_username() or "nobody", action, target, remote=remote_of(request), **detail)


def remote_of(request: HttpRequest) -> str:
    """The address that asks: behind a trusted proxy the one that it names (dashboard/access/proxy.py)."""
    return str(request.META.get("REMOTE_ADDR") or "")
