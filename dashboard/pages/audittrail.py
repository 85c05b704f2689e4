"""The audit trail: who changed what, from where, newest first."""

from __future__ import annotations

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from dashboard.access.roles import role
from dashboard.models import AuditEntry, Role

from .shell import page, rows_page, shell_of

PAGE_ROWS = 100
BIGGEST_ID = 2**63 - 1


@role(Role.ADMIN)
@require_safe
def trail(request: HttpRequest) -> HttpResponse:
    """`?q=` searches in who, what and whom; `?before=` is the id that the next page starts below."""
    search, errors = request.GET.get("q", "").replace("\0", "")[:150].strip(), {}
    before_text = request.GET.get("before", "")
    found = AuditEntry.objects.order_by("-id")
    if search:
        found = found.filter(Q(who__icontains=search) | Q(action__icontains=search) | Q(target__icontains=search))
    if before_text:
        if before_text.isascii() and before_text.isdigit() and 0 < int(before_text[:30]) <= BIGGEST_ID:
            found = found.filter(id__lt=int(before_text))
        else:
            errors["before"] = f"“{before_text[:40]}” is not the number of an entry: this is the newest page."
    rows = list(found[: PAGE_ROWS + 1])
    context = {
        "section": "audit",
        "rows": [{"entry": one, "said": _said(one)} for one in rows[:PAGE_ROWS]],
        "older": rows[PAGE_ROWS - 1].pk if len(rows) > PAGE_ROWS else None,
        "is_newest": not before_text or bool(errors),
        "q": search,
        "errors": errors,
    }
    shell = shell_of(request)
    if request.GET.get("fragment") == "rows":
        return rows_page(request, "access/_trail.html", context, shell=shell)
    return page(request, "access/trail.html", context, shell=shell, status=422 if errors else 200)


def _said(entry: AuditEntry) -> list[tuple[str, str]]:
    """What else was noted, as words; whatever it holds is text."""
    detail = entry.detail if isinstance(entry.detail, dict) else {"detail": entry.detail}
    return [(str(key).replace("_", " "), str(value)[:500]) for key, value in detail.items() if value not in ("", None)]
