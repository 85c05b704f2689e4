"""Which role a view asks for; a view that declares none fails a test (tests/access/test_roles.py)."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from dashboard.models import Person, Role

View = TypeVar("View", bound=Callable[..., Any])

PUBLIC = "public"
"""What `declared_role` says of a view that answers without sign-in."""
SAFE = ("GET", "HEAD")


def public(view: View) -> View:
    """Declare that a view answers without sign-in."""
    view.declared_role = PUBLIC  # type: ignore[attr-defined]  # functions take attributes; Callable does not say so
    return view


def role(
    required: Role, *, personal: bool = False
) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Let in people of at least this role; others are sent to the sign-in page, or told what they lack.

    With STREAMGAUGE_OPEN_READ_ONLY whoever reaches the server may look at what a viewer may look at, except at
    `personal` pages, which are about who is signed in.
    """

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            have = role_of(request)
            if have is None:
                if settings.OPEN_READ_ONLY and required == Role.VIEWER and not personal and request.method in SAFE:
                    return view(request, *args, **kwargs)
                return _to_signin(request)
            if have < required:
                return render(request, "access/denied.html", {"required": required, "have": have}, status=403)
            return view(request, *args, **kwargs)

        guarded.declared_role = required  # type: ignore[attr-defined]  # as above
        return guarded

    return decorate


def declared_role(view: Callable[..., Any]) -> Role | str | None:
    """What a view declared: a role, PUBLIC, or None for a mistake."""
    declared: Role | str | None = getattr(view, "declared_role", None)
    return declared


def role_of(request: HttpRequest) -> Role | None:
    """The role of who asks; None when nobody is signed in. One query a request, kept on the request."""
    if not request.user.is_authenticated:
        return None
    kept: Role | None = getattr(request, "_streamgauge_role", None)
    if kept is None:
        kept = role_of_user(request.user)
        request._streamgauge_role = kept  # type: ignore[attr-defined]  # a cache for this request only
    return kept


def role_of_user(user: AbstractBaseUser | AnonymousUser) -> Role | None:
    """The stored role of a user, viewer where none is stored; None when nobody is signed in."""
    if not user.is_authenticated:
        return None
    found = Person.objects.filter(user_id=user.pk).values_list("role", flat=True).first()
    return Role(found) if found is not None else Role.VIEWER


def safe_next(request: HttpRequest, wanted: str | None) -> str:
    """`wanted` when it stays on this host, else the overview."""
    if wanted and url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure()):
        return wanted
    return reverse("overview")


def _to_signin(request: HttpRequest) -> HttpResponse:
    # A fragment or a form cannot be resumed by a GET of its own address: go back to the page that asked for it.
    target = request.get_full_path()
    if request.headers.get("HX-Request") == "true":
        target = request.headers.get("HX-Current-URL", reverse("overview"))
    elif request.method not in ("GET", "HEAD"):
        target = reverse("overview")
    address = f"{settings.LOGIN_URL}?{urlencode({'next': target})}"
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return HttpResponse(status=302, headers={"Location": address})
