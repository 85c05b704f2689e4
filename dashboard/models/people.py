"""Who may do what: roles, sign-in links and sessions, failed and refused tries, the audit trail."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.dispatch import receiver
from django.utils import timezone

from collectors.models import roster_changed


class Role(models.IntegerChoices):
    VIEWER = 1, "viewer"
    OPERATOR = 2, "operator"
    ADMIN = 3, "admin"


class Person(models.Model):
    """The role and tastes of a user."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="person")
    role = models.SmallIntegerField(choices=Role, default=Role.VIEWER)

    def __str__(self) -> str:
        return f"{self.user} ({Role(self.role).label})"


class SignInLink(models.Model):
    token_digest = models.CharField(max_length=64, unique=True)  # sha256 of the token; the token is never stored
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    spent_at = models.DateTimeField(null=True)
    is_reusable = models.BooleanField(default=False)  # the demo on loopback: until the demo ends
    asks_password = models.BooleanField(default=False)  # made for a new person or a reset: leads to the password form

    def __str__(self) -> str:
        return f"link for {self.user}"


class SignedIn(models.Model):
    """A session of a person: Django's own rows do not tell whose they are."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="signed_in")
    session_key = models.CharField(max_length=40, unique=True)  # a secret: never on a page, which names rows by id
    at = models.DateTimeField()
    remote = models.CharField(max_length=64)
    agent = models.CharField(max_length=300)

    class Meta:
        ordering = ["-at", "-id"]

    def __str__(self) -> str:
        return f"{self.user} since {self.at:%Y-%m-%d %H:%M}"


class FailedSignIn(models.Model):
    """A password being tried: written before it is checked, so that many at once count too; gone when it was right."""

    at = models.DateTimeField(db_index=True)
    account = models.CharField(max_length=64)  # digest of the name as typed: people type passwords there
    remote = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.remote} at {self.at:%Y-%m-%d %H:%M:%S}"


class Refused(models.Model):
    """The newest request of a kind that a setting turned away, for `manage.py doctor`."""

    class Kind(models.TextChoices):
        SOCKET = "socket", "live socket"
        FORM = "form", "form"
        HOST = "host", "page"
        UPGRADE = "upgrade", "websocket handshake"

    kind = models.CharField(max_length=12, choices=Kind, unique=True)
    seen = models.CharField(max_length=500)
    advice = models.CharField(max_length=500)
    count = models.IntegerField(default=0)
    last_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.kind}: {self.seen}"


class AuditEntry(models.Model):
    at = models.DateTimeField()
    who = models.CharField(max_length=150)
    remote = models.CharField(max_length=64, blank=True)  # "": the command line
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=300, blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["-at", "-id"])]

    def __str__(self) -> str:
        return f"{self.who} {self.action} {self.target}"


@receiver(roster_changed, dispatch_uid="audit")
def _note_roster(*, who: str, action: str, slug: str, detail: dict[str, Any], **_: Any) -> None:
    """The collectors know of no audit trail: what commands and files do to the clusters is written here."""
    AuditEntry.objects.create(at=timezone.now(), who=who, action=action, target=slug, detail=detail)
