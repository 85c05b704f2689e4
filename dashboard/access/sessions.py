"""Whose session is whose: kept at each sign-in, so that all of a person's sessions can be shown and ended."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from dashboard.models import SignedIn

from .audit import remote_of


def remember(sender: type[User], request: HttpRequest, user: User, **_: Any) -> None:
    """Keep who signed in with which session (Django's signal, so that no way in is left out)."""
    if request.session.session_key is None:
        request.session.save()
    with transaction.atomic():
        SignedIn.objects.filter(user=user).exclude(pk__in=living(user).values("pk")).delete()
        SignedIn.objects.update_or_create(
            session_key=request.session.session_key,
            defaults={
                "user": user,
                "at": timezone.now(),
                "remote": remote_of(request)[:64],
                "agent": request.headers.get("User-Agent", "")[:300],
            },
        )


def living(user: User | None = None) -> QuerySet[SignedIn]:
    """Sessions that still let in, as far as their own rows say."""
    alive = Session.objects.filter(session_key=OuterRef("session_key"), expire_date__gt=timezone.now())
    found = SignedIn.objects.filter(Exists(alive))
    return found if user is None else found.filter(user=user)


def end_all(user: User, *, but: str | None = None) -> int:
    """End every session of a person (`but` one); open pages lose their sockets within seconds. Returns how many."""
    with transaction.atomic():
        mine = SignedIn.objects.filter(user=user).exclude(session_key=but or "")
        keys = list(mine.values_list("session_key", flat=True))
        ended, _ = Session.objects.filter(session_key__in=keys).delete()
        mine.delete()
    return ended


def end_one(signed_in: SignedIn) -> None:
    Session.objects.filter(session_key=signed_in.session_key).delete()
    signed_in.delete()


user_logged_in.connect(remember, dispatch_uid="streamgauge.sessions")
