"""People: who may sign in and as what; adding, roles, resetting, switching off. Links are shown once."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.access import audit, links, sessions
from dashboard.access import people as accounts
from dashboard.access.proxy import base_url
from dashboard.access.roles import role
from dashboard.models import AuditEntry, Role

from .shell import page, shell_of

SHOWN = 500
ROLES = {one.label: one for one in Role}
MEANING = {
    Role.VIEWER: "looks at everything but settings",
    Role.OPERATOR: "also acknowledges and silences alerts",
    Role.ADMIN: "also changes clusters, channels and people",
}


@role(Role.ADMIN)
@require_safe
def people(request: HttpRequest) -> HttpResponse:
    return _list(request)


@role(Role.ADMIN)
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: HttpRequest) -> HttpResponse:
    """A new account; the answer shows its one-time link, once."""
    errors: dict[str, str] = {}
    typed = {"name": request.POST.get("name", ""), "role": request.POST.get("role", Role.VIEWER.label)}
    if request.method == "POST":
        try:
            chosen = _role(typed["role"])
            user = accounts.add(typed["name"], chosen)
        except accounts.RefusedError as error:
            errors["role" if typed["role"] not in ROLES else "name"] = str(error)
        else:
            link = links.issue(user=user.get_username(), base_url=base_url(request), asks_password=True)
            audit.record_of(request, "person added", user.get_username(), role=chosen.label)
            return _person(request, user, link=link)
    context = {"section": "people", "errors": errors, "typed": typed, "roles": _choices()}
    return page(request, "access/person_add.html", context, shell=shell_of(request), status=422 if errors else 200)


@role(Role.ADMIN)
@require_safe
def person(request: HttpRequest, pk: int) -> HttpResponse:
    return _person(request, _user(pk))


@role(Role.ADMIN)
@require_POST
def set_role(request: HttpRequest, pk: int) -> HttpResponse:
    user = _user(pk)
    try:
        chosen = _role(request.POST.get("role", ""))
        before = accounts.set_role(user, chosen)
    except accounts.RefusedError as error:
        return _person(request, user, error=str(error))
    if before != chosen:
        audit.record_of(request, "role changed", user.get_username(), before=before.label, now=chosen.label)
    messages.success(request, f"{user.get_username()} is {chosen.label} now.")
    return redirect("person", pk=pk)


@role(Role.ADMIN)
@never_cache
@require_POST
def reset(request: HttpRequest, pk: int) -> HttpResponse:
    """Drop the password, end all sessions, show a one-time link once."""
    user = _user(pk)
    try:
        link = links.reset(user, base_url=base_url(request))
    except accounts.RefusedError as error:
        return _person(request, user, error=str(error))
    audit.record_of(request, "password reset", user.get_username())
    return _person(request, user, link=link)


@role(Role.ADMIN)
@require_POST
def disable(request: HttpRequest, pk: int) -> HttpResponse:
    user = _user(pk)
    try:
        accounts.disable(user)
    except accounts.RefusedError as error:
        return _person(request, user, error=str(error))
    audit.record_of(request, "person switched off", user.get_username())
    messages.success(request, f"{user.get_username()} cannot sign in any more; open pages close within half a minute.")
    return redirect("person", pk=pk)


@role(Role.ADMIN)
@require_POST
def enable(request: HttpRequest, pk: int) -> HttpResponse:
    user = _user(pk)
    accounts.enable(user)
    audit.record_of(request, "person switched on", user.get_username())
    messages.success(request, f"{user.get_username()} can sign in again.")
    return redirect("person", pk=pk)


@role(Role.ADMIN)
@require_POST
def sign_out(request: HttpRequest, pk: int) -> HttpResponse:
    user = _user(pk)
    count = sessions.end_all(user)
    audit.record_of(request, "signed out everywhere", user.get_username(), sessions=count)
    messages.success(request, f"Ended {count} of {user.get_username()}'s sessions.")
    return redirect("person", pk=pk)


def _list(request: HttpRequest) -> HttpResponse:
    search = request.GET.get("q", "").replace("\0", "")[:150].strip()
    found = accounts.everyone(search)
    rows = [_row(user) for user in found[: SHOWN + 1]]
    context = {
        "section": "people",
        "people": rows[:SHOWN],
        "is_cut": len(rows) > SHOWN,
        "shown": SHOWN,
        "q": search,
        "active": User.objects.filter(is_active=True).count(),
    }
    return page(request, "access/people.html", context, shell=shell_of(request))


def _row(user: User) -> dict[str, object]:
    stored = getattr(user, "person", None)
    has = Role(stored.role) if stored else Role.VIEWER
    return {
        "user": user,
        "role": has,
        "has_password": user.has_usable_password(),
        "sessions": getattr(user, "session_count", None),
    }


def _person(request: HttpRequest, user: User, *, link: str = "", error: str = "") -> HttpResponse:
    user.refresh_from_db()
    name = user.get_username()
    context = {
        "section": "people",
        "one": {**_row(user), "role": accounts.role_of(user)},
        "roles": _choices(),
        "signed_in": list(sessions.living(user)),
        "link": link,
        "link_hours": int(links.VALID_FOR.total_seconds() // 3600),
        "error": error,
        "trail": list(AuditEntry.objects.filter(target=name)[:20]),
        "now": timezone.now(),
    }
    status = 422 if error else 200
    return page(request, "access/person.html", context, shell=shell_of(request), status=status)


def _choices() -> list[tuple[str, str]]:
    return [(one.label, MEANING[one]) for one in Role]


def _role(label: str) -> Role:
    if label not in ROLES:
        raise accounts.RefusedError(f"“{label[:40]}” is not a role: viewer, operator or admin.")
    return ROLES[label]


def _user(pk: int) -> User:
    user = User.objects.filter(pk=pk).first()
    if user is None:
        raise Http404("There is no such person.")
    return user
