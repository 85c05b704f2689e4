"""One-time sign-in links: issued at first start and by `manage.py signinlink`, spent by a button, stored as digests."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from datetime import datetime, timedelta
from enum import Enum
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from dashboard.models import Role, SignInLink

from . import people, sessions

VALID_FOR = timedelta(hours=24)
DEMO_VALID_FOR = timedelta(days=90)  # a demo that runs for weeks still lets in; its end revokes the link


class Refusal(Enum):
    """Why a link does not let in."""

    UNKNOWN = "This sign-in link is not known here."
    SPENT = "This sign-in link has already been used."
    EXPIRED = "This sign-in link has expired."
    NOT_HERE = "This link of the demo works only on the machine that runs the demo."


def issue(
    *,
    user: str = "admin",
    role: Role | None = None,
    base_url: str,
    valid_for: timedelta = VALID_FOR,
    reusable: bool = False,
    asks_password: bool = False,
    now: datetime | None = None,
) -> str:
    """Make a link for a person (made without a password if new; a new person's role is `role`, else admin).

    `base_url` is what stands before "/signin/" ("http://127.0.0.1:8000"). A reusable link is for the demo on loopback
    alone (ValueError otherwise) and replaces earlier reusable ones; `revoke_reusable` ends it when the demo ends.
    """
    taken_at = now or timezone.now()
    if reusable and not (settings.DEMO and is_loopback(urlsplit(base_url).hostname or "")):
        raise ValueError("a reusable sign-in link is only for the demo, on a loopback address")
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        account = User.objects.filter(username__iexact=user).first() or people.add(user, role or Role.ADMIN)
        if not account.is_active:
            raise people.RefusedError(f"“{account.get_username()}” is switched off: an admin can switch it on again")
        if role is not None and people.role_of(account) != role:
            people.set_role(account, role)
        SignInLink.objects.filter(expires_at__lt=taken_at - timedelta(days=7)).delete()
        if reusable:
            SignInLink.objects.filter(is_reusable=True).delete()
        SignInLink.objects.create(
            token_digest=digest(token),
            user=account,
            created_at=taken_at,
            expires_at=taken_at + (DEMO_VALID_FOR if reusable else valid_for),
            is_reusable=reusable,
            asks_password=asks_password,
        )
    return f"{base_url.rstrip('/')}/signin/{token}/"


def reset(user: User, *, base_url: str) -> str:
    """Drop the password and all sessions; returns a one-time link whose owner chooses a new password."""
    if not user.is_active:
        raise people.RefusedError(f"“{user.get_username()}” is switched off: switch the account on first.")
    with transaction.atomic():
        user.set_unusable_password()
        user.save(update_fields=["password"])
        people.revoke_links(user)
        sessions.end_all(user)
        return issue(user=user.get_username(), base_url=base_url, asks_password=True)


def look(token: str, *, remote: str, now: datetime) -> SignInLink | Refusal:
    """The link of a token if it would let in, else why not; changes nothing."""
    link = SignInLink.objects.select_related("user").filter(token_digest=digest(token)).first()
    if link is None:
        return Refusal.UNKNOWN
    if link.expires_at <= now or not link.user.is_active:
        return Refusal.EXPIRED
    if link.is_reusable:
        return link if settings.DEMO and is_loopback(remote) else Refusal.NOT_HERE
    return link if link.spent_at is None else Refusal.SPENT


def spend(token: str, *, remote: str, now: datetime) -> SignInLink | Refusal:
    """Use the link: of two who try at once, one gets in."""
    link = look(token, remote=remote, now=now)
    if isinstance(link, Refusal) or link.is_reusable:
        return link
    won = SignInLink.objects.filter(pk=link.pk, spent_at=None, expires_at__gt=now).update(spent_at=now)
    return link if won else Refusal.SPENT


def needs_first_link() -> bool:
    """Whether nobody has ever signed in, so that the start has to print a link."""
    return not User.objects.filter(is_active=True, last_login__isnull=False).exists()


def revoke_reusable() -> int:
    """End the demo's links; returns how many."""
    return SignInLink.objects.filter(is_reusable=True).delete()[0]


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
