"""Accounts: adding, roles, resetting, switching off. Nobody can take away the last admin."""

from __future__ import annotations

import unicodedata

from django.contrib.auth.models import User
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Q, QuerySet

from dashboard.models import Person, Role, SignInLink

from . import sessions

LONGEST_NAME = 150


class RefusedError(ValueError):
    """Why a change is not made, in words for the page."""


def everyone(search: str = "") -> QuerySet[User]:
    """All accounts with their role and the number of living sessions, in one query."""
    found = User.objects.select_related("person").annotate(
        session_count=Count("signed_in", filter=Q(signed_in__in=sessions.living()))
    )
    if search:
        found = found.filter(username__icontains=search)
    return found.order_by("-is_active", "username")


def add(name: str, role: Role) -> User:
    """A new account without a password: a link lets its owner in, who then chooses one."""
    name = unicodedata.normalize("NFKC", name).strip()
    if not name:
        raise RefusedError("Type a name, like grace or grace@example.org.")
    if len(name) > LONGEST_NAME:
        raise RefusedError(f"A name has at most {LONGEST_NAME} characters, not {len(name)}.")
    try:
        UnicodeUsernameValidator()(name)
    except ValidationError:
        raise RefusedError(f"“{name[:80]}” is not a name: letters, digits and @ . + - _ only.") from None
    with transaction.atomic():
        if User.objects.filter(username__iexact=name).exists():
            raise RefusedError(f"There is already a person “{name}”.")
        user = User(username=name)
        user.set_unusable_password()
        user.save()
        Person.objects.create(user=user, role=role)
    return user


def role_of(user: User) -> Role:
    """The stored role; viewer where none is stored."""
    person = Person.objects.filter(user=user).first()
    return Role(person.role) if person else Role.VIEWER


def set_role(user: User, role: Role) -> Role:
    """Returns the role before."""
    with transaction.atomic():
        if role < Role.ADMIN:
            _keep_an_admin(user)
        person, _ = Person.objects.get_or_create(user=user)
        before = Role(person.role)
        person.role = role
        person.save(update_fields=["role"])
    return before


def disable(user: User) -> None:
    """Sessions end, links do not let in any more; what the person did stays in the audit trail."""
    with transaction.atomic():
        _keep_an_admin(user)
        User.objects.filter(pk=user.pk).update(is_active=False)
        revoke_links(user)
        sessions.end_all(user)
    user.is_active = False


def enable(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=True)
    user.is_active = True


def revoke_links(user: User) -> None:
    """Links that were not used yet let nobody in any more."""
    SignInLink.objects.filter(user=user, spent_at=None).delete()


def _keep_an_admin(user: User) -> None:
    """Refuse when nobody else could still administer."""
    admins = Person.objects.filter(role=Role.ADMIN, user__is_active=True).order_by("pk")
    # Every row is locked, in one order: else two admins could remove each other at once.
    holders = list(admins.select_for_update().values_list("user_id", flat=True))
    if holders == [user.pk]:
        raise RefusedError(f"“{user.get_username()}” is the last admin: make somebody else admin first.")
