"""Sign-in by password or link, sign-out."""

from __future__ import annotations

import math

from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from dashboard.models import Role

from . import audit, links, throttle
from .roles import public, role, role_of, safe_next

BACKEND = "django.contrib.auth.backends.ModelBackend"
LONGEST_PASSWORD = 1024
NEXT_SECONDS = 3600


@public
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def signin(request: HttpRequest) -> HttpResponse:
    """Where people without a session land: name and password, or where a link comes from."""
    wanted = safe_next(request, request.POST.get("next") or request.GET.get("next"))
    if request.method == "POST":
        return _by_password(request, wanted)
    if role_of(request) is not None:
        return redirect(wanted)
    response = _signin_page(request, wanted)
    if wanted != reverse("overview"):
        # A link is pasted from a terminal, so the way back is remembered here; checked again when it is used. A
        # cookie, since a session would be a row that any stranger can have made.
        response.set_cookie(_next_cookie(), wanted, max_age=NEXT_SECONDS, httponly=True, samesite="Lax")
    return response


def _by_password(request: HttpRequest, wanted: str) -> HttpResponse:
    name, password = request.POST.get("name", "").strip(), request.POST.get("password", "")
    errors = {}
    if not name:
        errors["name"] = "Type your name."
    elif not name.isprintable():
        errors["name"] = "A name has no control characters."
    if not password:
        errors["password"] = "Type your password."
    if errors:
        return _signin_page(request, wanted, errors, status=422)
    remote = audit.remote_of(request)
    verdict = throttle.begin(name, remote, now=timezone.now())
    if verdict.attempt is None:
        minutes = math.ceil(verdict.wait_seconds / 60)
        said = f"Too many wrong passwords. Try again in {minutes} min, or sign in by a link."
        response = _signin_page(request, wanted, {"password": said}, status=429)
        response["Retry-After"] = str(verdict.wait_seconds)
        return response
    user = authenticate(request, username=name[:150], password=password[:LONGEST_PASSWORD])
    if user is None:
        # the same words for a name that nobody has
        return _signin_page(request, wanted, {"password": "Name and password do not belong together."}, status=403)
    throttle.succeed(verdict)
    login(request, user, backend=BACKEND)
    audit.record_of(request, "sign-in", "password")
    response = redirect(wanted)
    response.delete_cookie(_next_cookie())
    return response


def _signin_page(
    request: HttpRequest, wanted: str, errors: dict[str, str] | None = None, status: int = 200
) -> HttpResponse:
    context = {
        "next": wanted,
        "errors": errors or {},
        "name": request.POST.get("name", "")[:150],
        "is_demo": settings.DEMO,
        "is_open": settings.OPEN_READ_ONLY,
    }
    return render(request, "access/signin.html", context, status=status)


@public
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def link(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows a button (prefetchers and mail scanners only GET); POST spends the link."""
    now, remote = timezone.now(), audit.remote_of(request)
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
    login(request, found.user, backend=BACKEND)
    audit.record_of(request, "sign-in", "link")
    wanted = safe_next(request, request.COOKIES.get(_next_cookie()))
    response = redirect("account" if found.asks_password else wanted)
    response.delete_cookie(_next_cookie())
    return response


@role(Role.VIEWER, personal=True)
@require_POST
def signout(request: HttpRequest) -> HttpResponse:
    audit.record_of(request, "sign-out")
    logout(request)
    return redirect("signin")


def _next_cookie() -> str:
    return f"{settings.SESSION_COOKIE_NAME}_next"
