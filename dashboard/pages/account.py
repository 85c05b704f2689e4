"""One's own account: password, and the sessions that are signed in."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from dashboard.access import audit, sessions, throttle
from dashboard.access.roles import role
from dashboard.access.views import LONGEST_PASSWORD
from dashboard.models import Role, SignedIn

from .shell import page, shell_of


@role(Role.VIEWER, personal=True)
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """GET shows password form and sessions; POST changes the password and ends all other sessions."""
    user = _me(request)
    errors: dict[str, str] = {}
    if request.method == "POST":
        errors = _change(request, user)
        if not errors:
            messages.success(request, "Your password is changed; all your other sessions are ended.")
            return redirect("account")
    context = {
        "section": "account",
        "errors": errors,
        "has_password": user.has_usable_password(),
        "signed_in": list(sessions.living(user)),
        "here": request.session.session_key,
        "now": timezone.now(),
    }
    return page(request, "access/account.html", context, shell=shell_of(request), status=422 if errors else 200)


def _change(request: HttpRequest, user: User) -> dict[str, str]:
    """Change the password, or say beside which field what is wrong."""
    old, new = request.POST.get("old", ""), request.POST.get("new", "")
    if not new:
        return {"new": "Type a new password."}
    if len(new) > LONGEST_PASSWORD:
        return {"new": f"A password has at most {LONGEST_PASSWORD} characters, not {len(new)}."}
    if new != request.POST.get("again", ""):
        return {"again": "This is not what stands above."}
    try:
        validate_password(new, user)
    except ValidationError as error:
        return {"new": " ".join(error.messages)}
    if user.has_usable_password():
        # A page left open must not be a way to guess.
        verdict = throttle.begin(user.get_username(), audit.remote_of(request), now=timezone.now())
        if verdict.attempt is None:
            return {"old": f"Too many wrong passwords. Try again in {verdict.wait_seconds // 60 + 1} min."}
        if not user.check_password(old[:LONGEST_PASSWORD]):
            return {"old": "This is not your present password."}
        throttle.succeed(verdict)
    user.set_password(new)
    user.save(update_fields=["password"])
    update_session_auth_hash(request, user)
    request.session.save()
    _follow(request, user)
    sessions.end_all(user, but=request.session.session_key)
    audit.record_of(request, "password changed", user.get_username())
    return {}


@role(Role.VIEWER, personal=True)
@require_POST
def end_session(request: HttpRequest, pk: int) -> HttpResponse:
    """End one of one's own sessions; another person's is as unknown as one that does not exist."""
    user = _me(request)
    found = SignedIn.objects.filter(pk=pk, user=user).first()
    if found is None:
        raise Http404("There is no such session.")
    sessions.end_one(found)
    audit.record_of(request, "session ended", user.get_username())
    return redirect("account")


@role(Role.VIEWER, personal=True)
@require_POST
def end_all(request: HttpRequest) -> HttpResponse:
    """Sign out everywhere, here too."""
    user = _me(request)
    count = sessions.end_all(user)
    audit.record_of(request, "signed out everywhere", user.get_username(), sessions=count)
    return redirect("signin")


def _follow(request: HttpRequest, user: User) -> None:
    """A changed password gives this session a new key: the list of sessions follows it."""
    sessions.remember(User, request=request, user=user)


def _me(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # `personal` views are reached by people who are signed in
    return request.user
