"""Sign-in by link, sign-out."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from dashboard.models import Role

from . import audit, links
from .roles import public, role, role_of, safe_next


@public
@never_cache
@require_GET
def signin(request: HttpRequest) -> HttpResponse:
    """Where people without a session land: says where a link comes from."""
    wanted = safe_next(request, request.GET.get("next"))
    if role_of(request) is not None:
        return redirect(wanted)
    response = render(request, "access/signin.html", {"next": wanted, "is_demo": settings.DEMO})
    if wanted != "/":
        # The link is pasted from a terminal, so the way back is remembered here; checked again when it is used.
        request.session["next"] = wanted
    return response


@public
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def link(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows a button (prefetchers and mail scanners only GET); POST spends the link."""
    now, remote = timezone.now(), request.META.get("REMOTE_ADDR") or ""
    if request.method != "POST":
        found = links.look(token, remote=remote, now=now)
    else:
        found = links.spend(token, remote=remote, now=now)
    if isinstance(found, links.Refusal):
        signed_in = role_of(request) is not None
        context = {"refusal": found.value, "is_signed_in": signed_in, "is_demo": settings.DEMO}
        return render(request, "access/refused.html", context, status=403 if request.method == "POST" else 410)
    if request.method != "POST":
        return render(request, "access/link.html", {"link": found})
    wanted = safe_next(request, request.session.get("next"))
    login(request, found.user, backend="django.contrib.auth.backends.ModelBackend")
    request.session.pop("next", None)
    audit.record(found.user.get_username(), "sign-in", "link", remote=remote)
    return redirect(wanted)


@role(Role.VIEWER)
@require_POST
def signout(request: HttpRequest) -> HttpResponse:
    audit.record_of(request, "sign-out")
    logout(request)
    return redirect("signin")
