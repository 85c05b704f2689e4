"""Who may do what: roles, one-time sign-in links, the audit trail."""

from __future__ import annotations

from django.conf import settings
from django.db import models


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

    def __str__(self) -> str:
        return f"link for {self.user}"


class AuditEntry(models.Model):
    at = models.DateTimeField()
    who = models.CharField(max_length=150)
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=300, blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.who} {self.action} {self.target}"
