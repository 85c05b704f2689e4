"""Rows of the showing side: one module per subject."""

from .alerts import Alert, Judgement, Rule, Transition
from .deliveries import Channel, Delivery, NotificationCount
from .people import AuditEntry, FailedSignIn, Person, Refused, Role, SignedIn, SignInLink
from .silences import Silence

__all__ = [
    "Alert",
    "AuditEntry",
    "Channel",
    "Delivery",
    "FailedSignIn",
    "Judgement",
    "NotificationCount",
    "Person",
    "Refused",
    "Role",
    "Rule",
    "SignInLink",
    "SignedIn",
    "Silence",
    "Transition",
]
